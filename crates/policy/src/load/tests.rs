mod bad_input;
mod extends;
mod says;

use std::collections::HashMap;
use std::path::PathBuf;

use super::*;
use crate::layer::Layer;
use crate::policy::{CallAction, EnvValue, ProcView, Root};

const PATH: &str = "policy.toml";

fn load(text: &str) -> Result<Policy, PolicyError> {
    Loader::new().text(Path::new(PATH), text)
}

fn explain(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

/// The explanation of what is wrong with a policy that extends `default` and says `text`, on line 2 on.
fn explain_on_default(text: &str) -> String {
    explain(&format!("extends = \"default\"\n{text}"))
}

fn on_default(text: &str) -> Policy {
    load(&format!("extends = \"default\"\n{text}")).unwrap_or_else(|error| panic!("{error}"))
}

fn files<'a>(all: &'a [(&'a str, &'a str)]) -> Loader<'a> {
    let all: HashMap<PathBuf, &str> = all.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
    Loader::new().with_reader(move |path| {
        all.get(path).map(|text| (*text).to_owned()).ok_or_else(|| io::Error::from_raw_os_error(2))
    })
}

fn rules(policy: &Policy) -> Vec<(&str, CallAction)> {
    policy.system_calls.rules.iter().map(|rule| (rule.rule.as_str(), rule.action)).collect()
}

fn reads(policy: &Policy) -> Vec<String> {
    policy.files.read.iter().map(|bind| bind.guest.display().to_string()).collect()
}
