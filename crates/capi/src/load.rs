//! Policies by name, path and text.

use crate::{BAD_POLICY, Failure};
use lazaret_filter::Rule;
use lazaret_policy::{Loader, Policy, PolicyError, RuleProblem};
use std::path::Path;

/// A built-in policy, or, with a slash in the name, one in a file.
pub(crate) fn named(name: &str) -> Result<Policy, Failure> {
    let loaded = if name.contains('/') { loader().file(Path::new(name)) } else { loader().profile(name) };
    loaded.map_err(|error| failure(&error))
}

/// The policy in `text`. Files that it extends are looked for in the working directory.
pub(crate) fn text(text: &str) -> Result<Policy, Failure> {
    loader().text(Path::new("policy"), text).map_err(|error| failure(&error))
}

fn failure(error: &PolicyError) -> Failure {
    Failure::new(BAD_POLICY, error.to_string())
}

fn loader() -> Loader<'static> {
    Loader::new().with_reader(|path| std::fs::read_to_string(path)).with_rule_check(check_rule)
}

fn check_rule(text: &str) -> Result<(), RuleProblem> {
    Rule::parse(text).map(drop).map_err(|error| RuleProblem {
        span: error.span(),
        message: error.kind().to_string(),
        hint: error.suggestion().map(|nearest| format!("did you mean `{nearest}`?")),
    })
}
