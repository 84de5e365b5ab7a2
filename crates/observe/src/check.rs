//! Check: whether a policy gives everything that a program needs on every file of a corpus.
//!
//! Every file is run in the sandbox that the policy makes. What a run needed and did not get is a need; what it tried and
//! did without is told apart, and so is what the policy refuses in silence, on purpose.

mod junit;
mod need;
mod stale;
#[cfg(test)]
mod tests;
mod text;

use crate::corpus::Corpus;
pub use junit::junit;
pub use stale::{Stale, StaleKind};
pub use text::summary;

use lazaret::observe::Observe;
use lazaret::{Job, Launcher, Policy, Report, Sink};
use lazaret_filter::{Arch, Call, Filter};
use lazaret_policy::{CallAction, LimitHit, NetworkRefusal, PathNeed, Refusal, Verdict};
use need::Classified;
use serde::Serialize;
use stale::Use;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How a check goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many runs there are at once.
    pub parallel: NonZeroUsize,
    /// Whether to find what of the policy no run used. Every permitted call is noted for that, which takes time.
    pub stale: bool,
    /// Whether a run may fail, as long as it fails without the policy as well.
    pub allow_failures: bool,
    /// Whether paths that a successful run tried and did without count as needs.
    pub strict: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The policy's filter cannot be made, or no command can be started under it.
    #[error(transparent)]
    Lazaret(#[from] lazaret::Error),
}

/// What came of it. Serialised, this is what `lazaret check --json` prints.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// `lazaret.check/1`. A version adds fields at most.
    pub schema: &'static str,
    /// The policy's name.
    pub policy: String,
    /// Whether every run got what it needed.
    pub passed: bool,
    /// One for each file, in the order of the corpus.
    pub runs: Vec<Run>,
    /// What of the policy no run used, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Vec<Stale>>,
}

/// One file of the corpus.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Its path in the corpus; bytes that do not print are written `\xNN`.
    pub file: String,
    /// How it came out.
    pub result: RunResult,
    /// How the job ended. Null: it was not run.
    pub verdict: Option<Verdict>,
    /// The lines of standard error, the last of them, when the job failed.
    pub stderr: Option<String>,
    /// Calls that were refused.
    pub calls: Vec<Refusal>,
    /// Refused calls that were too many to be recorded.
    pub calls_dropped: u64,
    /// Calls that were refused in silence: the policy intends it.
    pub silent: Vec<Refusal>,
    /// Names, connections and requests that were refused.
    pub hosts: Vec<NetworkRefusal>,
    /// Limits that were hit.
    pub limits: Vec<LimitHit>,
    /// Paths that the host has and the policy does not give, or not in that way.
    pub paths: Vec<PathNeed>,
    /// What could not be observed, for people.
    pub unseen: Vec<String>,
    /// Lazaret's own error. Null: there was none.
    pub error: Option<String>,
    /// Wall-clock time of all of it, microseconds.
    pub wall_us: u64,
    #[serde(skip)]
    used: Use,
}

/// How a run came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// It got what it needed, and succeeded.
    Passed,
    /// It needs something that the policy does not give.
    Needs,
    /// It failed, and nothing of what was seen is a reason; without the policy it succeeds.
    FailedUnderPolicy,
    /// It failed, and fails without the policy too.
    FailedAnyway,
    /// It was not run, or not to its end: Lazaret's own error, or the file cannot be read.
    Error,
}

impl RunResult {
    /// The name in JSON and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Needs => "needs",
            Self::FailedUnderPolicy => "failed-under-policy",
            Self::FailedAnyway => "failed-anyway",
            Self::Error => "error",
        }
    }
}

/// Runs every file of `corpus` under `policy`; `make` makes the job of a file, with the file as an input.
///
/// # Errors
///
/// When the policy's filter cannot be made, or lets no command start. That a run fails, or cannot be run, is part of the outcome.
pub fn check(
    launcher: &Launcher,
    policy: &Policy,
    corpus: &Corpus,
    settings: Settings,
    make: &(dyn Fn(&Path) -> Job + Sync),
) -> Result<Outcome, CheckError> {
    let checker = Checker {
        launcher,
        policy,
        telling: telling(policy),
        filter: need::filter(launcher, policy)?,
        settings,
        observe: if settings.stale { Observe::Everything } else { Observe::Paths },
        make,
    };
    let mut runs = checker.run_all(corpus);
    runs.extend(
        corpus.unreadable.iter().map(|left| Run::error(&left.name, format!("it cannot be read: {}", left.why))),
    );
    let passed = runs.iter().all(|run| checker.is_good(run.result));
    let stale = settings.stale.then(|| {
        let mut all = Use::default();
        runs.iter().for_each(|run| all.join(&run.used));
        stale::stale(policy, &all)
    });
    Ok(Outcome { schema: "lazaret.check/1", policy: policy.name.clone(), passed, runs, stale })
}

struct Checker<'a> {
    launcher: &'a Launcher,
    policy: &'a Policy,
    /// The same policy, with what it refuses in silence told: the job gets the same errors.
    telling: Policy,
    filter: Filter,
    settings: Settings,
    observe: Observe,
    make: &'a (dyn Fn(&Path) -> Job + Sync),
}

/// The policy with `silent` as `refuse`, in the same order.
fn telling(policy: &Policy) -> Policy {
    let tell = |action: &mut CallAction| {
        if *action == CallAction::Silent {
            *action = CallAction::Refuse;
        }
    };
    let mut telling = policy.clone();
    tell(&mut telling.system_calls.default.value);
    telling.system_calls.rules.iter_mut().for_each(|rule| tell(&mut rule.value.action));
    telling
}

impl Checker<'_> {
    fn is_good(&self, result: RunResult) -> bool {
        match result {
            RunResult::Passed => true,
            RunResult::FailedAnyway => self.settings.allow_failures,
            RunResult::Needs | RunResult::FailedUnderPolicy | RunResult::Error => false,
        }
    }

    /// All files, some at once, in their order.
    fn run_all(&self, corpus: &Corpus) -> Vec<Run> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Run)>> = Mutex::new(Vec::with_capacity(corpus.files.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.settings.parallel.get().min(corpus.files.len()) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = corpus.files.get(number) else { break };
                        let run = self.run(&file.name, &file.path);
                        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, run));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, run)| run).collect()
    }

    fn run(&self, name: &str, file: &Path) -> Run {
        let begun = Instant::now();
        let job = (self.make)(file);
        let mut run = match job.run_observed(self.launcher, &self.telling, &self.observe, &Sink::Capture) {
            Ok((report, observed)) => {
                let classified = Classified::of(self.policy, &self.filter, &job, &report, &observed);
                let result = self.result(&job, &report, &classified);
                let mut used = Use::of(self.policy, &self.filter, &job, &observed);
                used.refused(&self.filter, &report.refusals);
                Run::of(name, result, &report, classified, used)
            }
            Err(error) => Run::error(name, told(&error)),
        };
        run.wall_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        run
    }

    fn result(&self, job: &Job, report: &Report, found: &Classified) -> RunResult {
        let ok = report.verdict.is_ok();
        let refused =
            !found.calls.is_empty() || found.calls_dropped > 0 || !found.hosts.is_empty() || !found.limits.is_empty();
        let missed = !found.paths.is_empty() && (!ok || self.settings.strict);
        match (refused || missed, ok) {
            (true, false) if !refused && self.fails_without(job) => RunResult::FailedAnyway,
            (true, _) => RunResult::Needs,
            (false, true) => RunResult::Passed,
            (false, false) if self.fails_without(job) => RunResult::FailedAnyway,
            (false, false) => RunResult::FailedUnderPolicy,
        }
    }

    /// Whether the job fails under nothing but the boundary itself.
    fn fails_without(&self, job: &Job) -> bool {
        let loose = self.policy.loosened(&lazaret::Source::Builder);
        let ran = job.run_observed(self.launcher, &loose, &Observe::Nothing, &Sink::Capture);
        ran.is_ok_and(|(report, _)| !report.verdict.is_ok())
    }
}

/// An error with its causes.
fn told(error: &lazaret::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// How much of standard error is kept for people.
const STDERR_KEPT: usize = 400;

impl Run {
    fn of(file: &str, result: RunResult, report: &Report, found: Classified, used: Use) -> Self {
        let Classified { calls, calls_dropped, silent, hosts, limits, paths, unseen } = found;
        let stderr = (!report.verdict.is_ok()).then(|| {
            let from = report.stderr.len().saturating_sub(STDERR_KEPT);
            String::from_utf8_lossy(&report.stderr[from..]).trim().to_owned()
        });
        Self {
            file: file.to_owned(),
            result,
            verdict: Some(report.verdict.clone()),
            stderr,
            calls,
            calls_dropped,
            silent,
            hosts,
            limits,
            paths,
            unseen,
            error: None,
            wall_us: 0,
            used,
        }
    }

    fn error(file: &str, error: String) -> Self {
        Self {
            file: file.to_owned(),
            result: RunResult::Error,
            verdict: None,
            stderr: None,
            calls: Vec::new(),
            calls_dropped: 0,
            silent: Vec::new(),
            hosts: Vec::new(),
            limits: Vec::new(),
            paths: Vec::new(),
            unseen: Vec::new(),
            error: Some(error),
            wall_us: 0,
            used: Use::default(),
        }
    }
}

/// The call that a record is of, for a filter to decide about again. `None` on an architecture without a table.
fn call(number: u32, args: [u64; 6]) -> Option<Call> {
    Arch::native().map(|arch| Call { audit_arch: arch.audit(), nr: number, args })
}
