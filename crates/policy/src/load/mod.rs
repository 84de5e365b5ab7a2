//! Reading policies: TOML to a draft, drafts merged along `extends`, the whole finished to a [`Policy`].

mod document;
mod draft;
mod finish;
mod rollout;
mod walk;

pub(crate) use finish::{contradiction, expand_network};

use std::io;
use std::ops::Range;
use std::path::Path;

use self::document::{Document, Origin};
use self::draft::{Draft, DraftRollout};
use crate::error::{Place, PolicyError, Problem};
use crate::policy::Policy;
use crate::profiles;
use crate::text;

/// How many policies may extend one another in a chain.
const MAX_DEPTH: usize = 8;

/// What is wrong with a rule, of system calls or of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// Where in the rule's text, in bytes.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Checks the text of one rule.
pub type RuleCheck = fn(&str) -> Result<(), RuleProblem>;

/// The checks of a text's rules.
#[derive(Debug, Clone, Copy, Default)]
struct Checks {
    call: Option<RuleCheck>,
    host: Option<RuleCheck>,
    url: Option<RuleCheck>,
    media: Option<RuleCheck>,
}

type Reader<'a> = Box<dyn FnMut(&Path) -> io::Result<String> + 'a>;

/// Reads policies: built-in profiles by name, files through a function of the caller's.
pub struct Loader<'a> {
    checks: Checks,
    read: Option<Reader<'a>>,
}

impl<'a> Loader<'a> {
    /// A loader that knows the built-in profiles, reads no files, and takes every rule's text as it is.
    pub fn new() -> Self {
        Self { checks: Checks::default(), read: None }
    }

    /// Reads files with `read`. Paths that a policy extends are handed to it joined to that policy's own directory.
    #[must_use]
    pub fn with_reader(mut self, read: impl FnMut(&Path) -> io::Result<String> + 'a) -> Self {
        self.read = Some(Box::new(read));
        self
    }

    /// Checks every system-call rule with `check`, so that an error points into the policy.
    #[must_use]
    pub fn with_rule_check(mut self, check: RuleCheck) -> Self {
        self.checks.call = Some(check);
        self
    }

    /// Checks every rule on hosts with `check`, so that an error points into the policy.
    #[must_use]
    pub fn with_host_check(mut self, check: RuleCheck) -> Self {
        self.checks.host = Some(check);
        self
    }

    /// Checks what is to be fetched: URLs with `url`, types of files with `media`.
    #[must_use]
    pub fn with_fetch_checks(mut self, url: RuleCheck, media: RuleCheck) -> Self {
        (self.checks.url, self.checks.media) = (Some(url), Some(media));
        self
    }

    /// The built-in profile `name`.
    ///
    /// # Errors
    ///
    /// There is no such profile.
    pub fn profile(&mut self, name: &str) -> Result<Policy, PolicyError> {
        let origin = Origin::Profile(name.to_owned());
        let text = self.fetch(&origin)?;
        self.load(Document::new(origin, text))
    }

    /// The policy in the file at `path`, read with the loader's reader.
    ///
    /// # Errors
    ///
    /// The file, or one that it extends, cannot be read or is no policy.
    pub fn file(&mut self, path: &Path) -> Result<Policy, PolicyError> {
        let origin = Origin::File(path.to_owned());
        let text = self.fetch(&origin)?;
        self.load(Document::new(origin, text))
    }

    /// The policy written in `text`. `path` names it in messages and is what the paths that it extends are
    /// relative to.
    ///
    /// # Errors
    ///
    /// The text, or a file that it extends, is no policy.
    pub fn text(&mut self, path: &Path, text: &str) -> Result<Policy, PolicyError> {
        self.load(Document::new(Origin::File(path.to_owned()), text))
    }

    fn load(&mut self, document: Document) -> Result<Policy, PolicyError> {
        let origin = document.origin.clone();
        let (policy, rollout) = self.load_alone(document)?;
        match rollout {
            None => Ok(policy),
            Some(rollout) => self.roll_out(policy, rollout, &origin),
        }
    }

    /// The policy, and the rollout that its own text asks for.
    fn load_alone(&mut self, document: Document) -> Result<(Policy, Option<DraftRollout>), PolicyError> {
        let name = document.origin.name();
        let mut problems = Vec::new();
        let mut drafts: Vec<(Origin, Draft)> = Vec::new();
        let mut next = Some(document);
        while let Some(document) = next.take() {
            let (mut draft, found) = walk::read(&document, self.checks);
            problems.extend(found);
            let Document { origin, .. } = &document;
            match draft.extends.take() {
                None => {
                    for removal in draft.removals.drain(..) {
                        let problem = Problem::new(
                            "a policy that extends nothing has nothing to remove",
                            "drop [remove], or add `extends`",
                        );
                        problems.push(problem.at(removal.place));
                    }
                }
                Some((written, span)) => {
                    let base = origin.base(&written);
                    let known = drafts.iter().map(|(origin, _)| origin).chain([origin]).any(|seen| *seen == base);
                    match self.base(&base, known, drafts.len() + 1, document.place(&span)) {
                        Ok(document) => next = Some(document),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            drafts.push((document.origin, draft));
        }
        // A base that could not be read would make every check that follows speak of what is not the cause.
        PolicyError::unless_empty(problems, ())?;

        let chain = drafts.iter().skip(1).rev().map(|(origin, _)| origin.name()).collect();
        let mut problems = Vec::new();
        let merged =
            drafts.into_iter().map(|(_, draft)| draft).rev().reduce(|base, draft| draft.over(base, &mut problems));
        PolicyError::unless_empty(problems, ())?;
        let mut merged = merged.unwrap_or_default();
        let rollout = merged.rollout.take();
        Ok((merged.finish(name, chain)?, rollout))
    }

    /// The text that a policy extends; `place` is where it says so.
    fn base(&mut self, base: &Origin, known: bool, depth: usize, place: Place) -> Result<Document, Problem> {
        let name = base.name();
        if known {
            let problem = Problem::new(
                format!("`{name}` extends itself"),
                "a chain of policies must end at one that extends nothing",
            );
            return Err(problem.at(place));
        }
        if depth > MAX_DEPTH {
            let problem = Problem::new(
                format!("more than {MAX_DEPTH} policies extend one another"),
                "extend a policy nearer to the base",
            );
            return Err(problem.at(place));
        }
        let text = self.fetch(base).map_err(|problem| problem.at(place))?;
        Ok(Document::new(base.clone(), text))
    }

    fn fetch(&mut self, origin: &Origin) -> Result<String, Problem> {
        match origin {
            Origin::Profile(name) => profiles::builtin(name).map(str::to_owned).ok_or_else(|| unknown_profile(name)),
            Origin::File(path) => {
                let shown = path.display();
                let Some(read) = &mut self.read else {
                    return Err(Problem::new(
                        format!("`{shown}` is a file, and none can be read here"),
                        "name a built-in profile",
                    ));
                };
                read(path).map_err(|error| {
                    Problem::new(format!("cannot read the policy `{shown}`: {error}"), "check the path")
                })
            }
        }
    }
}

impl Default for Loader<'_> {
    fn default() -> Self {
        Self::new()
    }
}

fn unknown_profile(name: &str) -> Problem {
    let shown = text::escape(name.as_bytes());
    let hint = if name.contains('/') || name.ends_with(".toml") {
        format!("a profile has a plain name; for a file use `--policy {shown}`, or `extends = \"./{shown}\"`")
    } else {
        text::name_hint(name, profiles::names())
    };
    Problem::new(format!("unknown profile `{shown}`"), hint)
}

#[cfg(test)]
mod tests;
