//! Policies from profiles, files and texts, with their system-call rules checked.

use lazaret_filter::Rule;
use lazaret_policy::{Loader, Policy, PolicyBuilder, PolicyError, RuleProblem, Source, profiles as builtin};
use std::path::Path;

/// The built-in profile `name`.
///
/// # Errors
///
/// An unknown name; the nearest known one is in the message.
pub fn profile(name: &str) -> Result<Policy, PolicyError> {
    loader().profile(name)
}

/// The names of the built-in profiles.
pub fn profiles() -> impl Iterator<Item = &'static str> {
    builtin::names()
}

/// The policy in the file `path`, and those that it extends.
///
/// # Errors
///
/// A file that cannot be read, or what is wrong in it, each with its line.
pub fn policy_file(path: impl AsRef<Path>) -> Result<Policy, PolicyError> {
    loader().file(path.as_ref())
}

/// The policy in `text`; `name` stands for its path in messages.
///
/// # Errors
///
/// What is wrong in it, each with its line.
pub fn policy_text(name: &str, text: &str) -> Result<Policy, PolicyError> {
    loader().text(Path::new(name), text)
}

fn loader() -> Loader<'static> {
    Loader::new()
        .with_reader(|path| std::fs::read_to_string(path))
        .with_rule_check(check_rule)
        .with_host_check(check_host)
        .with_fetch_checks(check_url, check_media)
}

fn check_rule(text: &str) -> Result<(), RuleProblem> {
    Rule::parse(text).map(drop).map_err(|error| RuleProblem {
        span: error.span(),
        message: error.kind().to_string(),
        hint: error.suggestion().map(|nearest| format!("did you mean `{nearest}`?")),
    })
}

/// Whether `text` is a rule on hosts, as in `[net] allow`: what a loader and [`PolicyBuilder::host`] check with.
///
/// # Errors
///
/// What is wrong with it, and where.
pub fn check_host(text: &str) -> Result<(), RuleProblem> {
    let problem = |message: String, span, hint| RuleProblem { message, span, hint };
    // A URL without methods is told to be one, as a rule on connections.
    if text.contains("://") && text.trim().contains(' ') {
        let parsed = text.parse::<lazaret_egress::RequestRule>();
        return parsed.map(drop).map_err(|error| problem(error.to_string(), error.span, error.hint));
    }
    let parsed = text.parse::<lazaret_egress::Rule>();
    parsed.map(drop).map_err(|error| problem(error.to_string(), error.span, error.hint))
}

/// Whether `text` is a URL that can be fetched: what a loader and [`PolicyBuilder::fetch`] check with.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_url(text: &str) -> Result<(), RuleProblem> {
    let whole = |message: String| RuleProblem { span: 0..text.len(), message, hint: None };
    lazaret_connector::fetch::origin(text).map(drop).map_err(|error| whole(error.to_string()))
}

fn check_media(text: &str) -> Result<(), RuleProblem> {
    let whole = |message: String| RuleProblem { span: 0..text.len(), message, hint: None };
    text.parse::<lazaret_connector::fetch::MediaType>().map(drop).map_err(|error| whole(error.to_string()))
}

/// Changes on top of a policy.
#[derive(Debug, Clone)]
pub struct Change(PolicyBuilder);

/// Begins changes on top of `policy`. Their source in plans and reports is "program".
pub fn change(policy: Policy) -> Change {
    Change(policy.builder())
}

impl Change {
    /// Sets a limit, written `KEY=VALUE` as for `--limit`.
    ///
    /// # Errors
    ///
    /// An unknown key, or a value that is out of range.
    pub fn limit(mut self, written: &str) -> Result<Self, PolicyError> {
        self.0.limit(written, Source::Builder)?;
        Ok(self)
    }

    /// Accepts that a layer is missing, as `--degrade` does.
    ///
    /// # Errors
    ///
    /// An unknown layer, or one that no jail can do without.
    pub fn degrade(mut self, layer: &str) -> Result<Self, PolicyError> {
        self.0.degrade(layer, Source::Builder)?;
        Ok(self)
    }

    /// Has a layer hold whatever the tier, as `--require` does.
    ///
    /// # Errors
    ///
    /// An unknown layer, or one that the policy gives up.
    pub fn require(mut self, layer: &str) -> Result<Self, PolicyError> {
        self.0.require(layer, Source::Builder)?;
        Ok(self)
    }

    /// Permits a host and a port, written `host:port`, as `--net` does.
    ///
    /// # Errors
    ///
    /// What is no such rule.
    pub fn host(mut self, rule: &str) -> Result<Self, PolicyError> {
        self.0.host(rule, check_host, Source::Builder)?;
        Ok(self)
    }

    /// Has a file fetched for the job before it starts, written `NAME=URL`, as `--fetch` does.
    ///
    /// # Errors
    ///
    /// A name or a URL that is none.
    pub fn fetch(mut self, written: &str) -> Result<Self, PolicyError> {
        self.0.fetch(written, check_url, Source::Builder)?;
        Ok(self)
    }

    /// The changed policy.
    pub fn build(self) -> Policy {
        self.0.build()
    }
}
