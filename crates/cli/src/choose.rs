//! From arguments to a policy and a job.

use crate::args::JobArgs;
use crate::message::Failure;
use lazaret::{Job, Policy, Source};
use lazaret_policy::{EnvValue, Old};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The policy that the arguments choose, with their changes on top.
pub(crate) fn policy(args: &JobArgs) -> Result<Policy, Failure> {
    let policy = match &args.policy {
        Some(path) => lazaret::policy_file(path)?,
        None => lazaret::profile(&args.profile)?,
    };
    let mut builder = policy.builder();
    if let Some(tier) = &args.tier {
        let tier = tier.parse().map_err(|e: lazaret_policy::UnknownName| Failure::message(e.to_string(), e.hint()))?;
        builder.tier(tier, Source::option("--tier"));
    }
    for host in &args.hosts {
        builder.host(host, lazaret::check_host, Source::option(format!("--net {host}")))?;
    }
    for limit in &args.limits {
        builder.limit(limit, Source::option(format!("--limit {limit}")))?;
    }
    for fetch in &args.fetch {
        builder.fetch(fetch, lazaret::check_url, Source::option(format!("--fetch {fetch}")))?;
    }
    for layer in &args.degrade {
        builder.degrade(layer, Source::option(format!("--degrade {layer}")))?;
    }
    for layer in &args.require {
        builder.require(layer, Source::option(format!("--require {layer}")))?;
    }
    for variable in &args.environment {
        builder.environment(variable, Source::option(format!("--env {variable}")))?;
    }
    Ok(builder.build())
}

/// The policy, and the one that it replaces.
fn policies(policy: &Policy) -> impl Iterator<Item = &Policy> {
    let old = policy.rollout.as_ref().and_then(|rollout| match &rollout.old.value {
        Old::Policy(old) => Some(old.as_ref()),
        Old::None => None,
    });
    std::iter::once(policy).chain(old)
}

/// The job that the arguments describe. Variables that the policy passes come from this process's environment.
pub(crate) fn job(args: &JobArgs, policy: &Policy) -> Result<Job, Failure> {
    let (command, rest) =
        args.command.split_first().ok_or_else(|| Failure::message("there is no command", "write it behind `--`"))?;
    let mut job = Job::new(command).args(rest);
    if let Some(key) = &args.job_key {
        job = job.key(key.as_bytes());
    }
    for variable in policies(policy).flat_map(|policy| &policy.environment) {
        if variable.value.value == EnvValue::FromCaller
            && let Some(value) = std::env::var_os(&variable.value.name)
        {
            let value = value.into_string().map_err(|_not_text| {
                Failure::message(
                    format!("the environment variable `{}` is not text", variable.value.name),
                    "set it with --env",
                )
            })?;
            job = job.pass(&variable.value.name, value);
        }
    }
    for input in &args.inputs {
        let (host, name) = split(input, |host| Path::new(host).exists());
        job = match name {
            Some(name) => job.input_as(host, name),
            None => job.input(host),
        };
    }
    for output in &args.outputs {
        let (name, host) = split_first(output);
        let to = host.map_or_else(|| PathBuf::from(&name), PathBuf::from);
        job = job.output_to(name, to);
    }
    if let Some(path) = &args.export_changes {
        job = job.export_changes(path);
    }
    if args.stdin {
        job = job.stdin_inherited();
    }
    Ok(job)
}

/// `HOST:NAME` at its last colon, unless all of it is a file of that name.
fn split(text: &OsStr, exists: impl Fn(&OsStr) -> bool) -> (OsString, Option<OsString>) {
    let bytes = text.as_bytes();
    match bytes.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !exists(text) => {
            (OsString::from_vec(bytes[..colon].to_vec()), Some(OsString::from_vec(bytes[colon + 1..].to_vec())))
        }
        _ => (text.to_owned(), None),
    }
}

/// `NAME:HOST` at its first colon.
pub(crate) fn split_first(text: &OsStr) -> (OsString, Option<OsString>) {
    let bytes = text.as_bytes();
    match bytes.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            (OsString::from_vec(bytes[..colon].to_vec()), Some(OsString::from_vec(bytes[colon + 1..].to_vec())))
        }
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_split_at_its_last_colon() {
        let (host, name) = split(OsStr::new("a:b/photo.jpg:in.jpg"), |_| false);

        assert_eq!((host, name), ("a:b/photo.jpg".into(), Some("in.jpg".into())));
    }

    #[test]
    fn a_file_whose_name_has_a_colon_is_taken_whole() {
        let (host, name) = split(OsStr::new("10:30.jpg"), |_| true);

        assert_eq!((host, name), ("10:30.jpg".into(), None));
    }

    #[test]
    fn an_output_is_split_at_its_first_colon() {
        let (name, host) = split_first(OsStr::new("thumb.png:/srv/a:b.png"));

        assert_eq!((name, host), ("thumb.png".into(), Some("/srv/a:b.png".into())));
    }
}
