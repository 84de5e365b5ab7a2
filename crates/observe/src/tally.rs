//! Many reports of jobs of a rollout, summed up: what the new policy would have refused, and how often.

#[cfg(test)]
mod tests;

use lazaret_policy::{PathAccess, Report, RolloutReport, Shadow};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The sums. Serialised, this is what `lazaret rollout --json` prints.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// `lazaret.rollout/1`. A version adds fields at most.
    schema: Schema,
    /// For each new policy, by its name.
    pub policies: BTreeMap<String, Sum>,
    /// Reports of jobs of policies that are not being rolled out.
    pub others: u64,
}

#[derive(Debug, Default, Serialize)]
enum Schema {
    #[default]
    #[serde(rename = "lazaret.rollout/1")]
    V1,
}

/// What the jobs of one policy came to.
#[derive(Debug, Default, Serialize)]
pub struct Sum {
    /// Jobs under the new policy.
    pub enforced: u64,
    /// Those of them that did not end well.
    pub enforced_not_ok: u64,
    /// Jobs in shadow.
    pub shadow: u64,
    /// Those of them that the new policy would have changed nothing for.
    pub shadow_clean: u64,
    /// Those of them that were not seen whole.
    pub shadow_incomplete: u64,
    /// Calls that would have been refused, the ones that concern most jobs first.
    pub calls: Vec<Counted>,
    /// Paths that would not have been there.
    pub paths: Vec<Counted>,
    /// Limits that would have been hit.
    pub limits: Vec<Counted>,
    /// Other differences.
    pub differences: Vec<Counted>,
}

/// One thing, and how often it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The call, path, limit or difference.
    pub what: String,
    /// Of a call: the rule that would have refused it. Null: the default.
    pub rule: Option<String>,
    /// Jobs that it concerns.
    pub jobs: u64,
    /// How often in all of them.
    pub count: u64,
    /// What to write to give it. Null: nothing can, or it is not to be given.
    pub suggestion: Option<String>,
}

/// A report that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TallyError {
    /// A file or directory that cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no report, or one of a newer version.
    #[error("`{}` is no report that this version can read", .path.display())]
    Report {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is no report.
    #[error("there is no report in `{}`", .path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
}

impl TallyError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "check the path and its permissions",
            Self::Report { .. } => "name files that `lazaret run --report` wrote whole",
            Self::Empty { .. } => "a directory's reports are its files whose names end in .json",
        }
    }
}

impl Tally {
    /// Sums up the reports `paths`; of a directory its files whose names end in `.json`.
    ///
    /// # Errors
    ///
    /// The first that cannot be read: what is not counted must not look like nothing.
    pub fn read(paths: &[PathBuf]) -> Result<Self, TallyError> {
        let mut tally = Self::default();
        for path in paths {
            for file in files(path)? {
                let text = std::fs::read(&file).map_err(|source| TallyError::Read { path: file.clone(), source })?;
                let report = serde_json::from_slice(&text);
                tally.add(&report.map_err(|source| TallyError::Report { path: file, source })?);
            }
        }
        let sort = |counted: &mut Vec<Counted>| counted.sort_by_key(|one| std::cmp::Reverse((one.jobs, one.count)));
        for sum in tally.policies.values_mut() {
            [&mut sum.calls, &mut sum.paths, &mut sum.limits, &mut sum.differences].into_iter().for_each(sort);
        }
        Ok(tally)
    }

    /// Counts one report.
    fn add(&mut self, report: &Report) {
        match &report.rollout {
            RolloutReport::None => self.others += 1,
            RolloutReport::Enforced(trial) => {
                let sum = self.policies.entry(trial.policy.clone()).or_default();
                sum.enforced += 1;
                sum.enforced_not_ok += u64::from(!report.verdict.is_ok());
            }
            RolloutReport::Shadow(shadow) => self.policies.entry(shadow.trial.policy.clone()).or_default().add(shadow),
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, TallyError> {
    let failed = |source| TallyError::Read { path: path.to_owned(), source };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "json") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(TallyError::Empty { path: path.to_owned() }) } else { Ok(files) }
}

impl Sum {
    fn add(&mut self, shadow: &Shadow) {
        let Shadow {
            trial: _,
            complete,
            unseen: _,
            would_refuse,
            would_refuse_dropped,
            would_refuse_paths,
            would_refuse_paths_dropped,
            would_hit,
            would_differ,
        } = shadow;
        self.shadow += 1;
        self.shadow_incomplete += u64::from(!complete);
        let is_clean = would_refuse.is_empty()
            && *would_refuse_dropped == 0
            && would_refuse_paths.is_empty()
            && *would_refuse_paths_dropped == 0
            && would_hit.is_empty()
            && would_differ.is_empty();
        self.shadow_clean += u64::from(is_clean);
        for refusal in would_refuse {
            count(&mut self.calls, &refusal.call, refusal.rule.as_ref(), refusal.count, refusal.suggestion.as_ref());
        }
        for need in would_refuse_paths {
            let access = match need.access {
                PathAccess::Read => "read",
                PathAccess::Write => "write",
                PathAccess::Execute => "execute",
            };
            let what = format!("{access} {}", need.path);
            count(&mut self.paths, &what, None, need.count, need.suggestion.as_ref());
        }
        for hit in would_hit {
            count(&mut self.limits, &format!("{} of {}", hit.key, hit.value), None, 1, None);
        }
        for difference in would_differ {
            count(&mut self.differences, difference, None, 1, None);
        }
    }
}

fn count(all: &mut Vec<Counted>, what: &str, rule: Option<&String>, times: u64, suggestion: Option<&String>) {
    match all.iter_mut().find(|one| one.what == what && one.rule.as_ref() == rule) {
        Some(one) => {
            one.jobs += 1;
            one.count += times;
        }
        None => all.push(Counted {
            what: what.to_owned(),
            rule: rule.cloned(),
            jobs: 1,
            count: times,
            suggestion: suggestion.cloned(),
        }),
    }
}

/// The sums for people.
#[must_use]
pub fn summary(tally: &Tally) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        let written = writeln!(text, "{args}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    };
    for (policy, sum) in &tally.policies {
        line(format_args!("{policy}"));
        line(format_args!("  enforced: {} jobs, {} of them not ok", sum.enforced, sum.enforced_not_ok));
        line(format_args!(
            "  in shadow: {} jobs, for {} of them the policy would have changed nothing; {} were not seen whole",
            sum.shadow, sum.shadow_clean, sum.shadow_incomplete
        ));
        let kinds = [
            ("would have been refused", &sum.calls),
            ("would not have been given", &sum.paths),
            ("would have been hit", &sum.limits),
            ("would have differed", &sum.differences),
        ];
        for (title, counted) in kinds.into_iter().filter(|(_, counted)| !counted.is_empty()) {
            line(format_args!("  {title}:"));
            for one in counted {
                let rule = one.rule.as_ref().map(|rule| format!(" by `{rule}`")).unwrap_or_default();
                line(format_args!("    {}{rule}: in {} jobs, {} times", one.what, one.jobs, one.count));
                if let Some(suggestion) = &one.suggestion {
                    line(format_args!("      to give it: {suggestion}"));
                }
            }
        }
    }
    if tally.others > 0 {
        line(format_args!("{} reports are of policies that are not being rolled out", tally.others));
    }
    text
}
