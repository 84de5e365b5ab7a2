//! A process locks itself down: it opens what it needs, calls [`lockdown`], and only then reads what it cannot trust.
//!
//! From then on it has the system calls that its policy allows, less those that reach beyond the process, in every
//! thread; no capability; limits and two timers that it cannot lift; and Landlock. Nothing of it can be taken back.
//!
//! All is checked before anything is changed. See docs/lockdown.md.

mod apply;
mod controls;
mod descriptors;
mod error;
mod facts;
mod filter;
mod findings;
mod landlock;
mod plan;

pub use error::{LockdownError, Unmet};
pub use findings::{Finding, Severity};

use facts::{Before, Facts};
use lazaret_filter::Filter;
use lazaret_policy::{Control, Policy};
use lazaret_sys::timer::{Clock, KillTimer};
use plan::Plan;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What holds for a process that locked itself down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockdownReport {
    /// The policy's name.
    pub policy: String,
    /// How many threads it holds for; unknown behind an earlier lockdown.
    pub threads: Option<usize>,
    /// Each control: what the policy asked for and what holds.
    pub controls: Vec<Control>,
    /// What the pre-flight found, the worst first.
    pub findings: Vec<Finding>,
}

/// How the findings of the pre-flight are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Findings {
    /// What would keep the lockdown from holding is an error; the rest is in the report.
    Report,
    /// What lets the process do more than the policy suggests is an error too.
    Strict,
}

/// A lockdown of this process that succeeded.
struct Locked {
    policy: Policy,
    filter: Filter,
    before: Before,
}

/// The lockdowns of this process so far. Behind the first nothing else may be able to tell that it happened.
static LOCKED: Mutex<Vec<Locked>> = Mutex::new(Vec::new());

fn locked() -> MutexGuard<'static, Vec<Locked>> {
    LOCKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks this process down: every thread of it, for the rest of its life.
///
/// Threads that call it at once take turns.
///
/// # Errors
///
/// Why not. Nothing was changed, unless the error is [`LockdownError::Partial`], which says what was.
pub fn lockdown(policy: &Policy, findings: Findings) -> Result<LockdownReport, LockdownError> {
    lockdown_told(policy, findings, |_| {})
}

/// As [`lockdown`], and shows the report to `before` when all is checked and nothing is changed yet: what it takes to
/// write the report down may be refused afterwards.
///
/// # Errors
///
/// As [`lockdown`].
pub fn lockdown_told(
    policy: &Policy,
    findings: Findings,
    before: impl FnOnce(&LockdownReport),
) -> Result<LockdownReport, LockdownError> {
    let mut locked = locked();
    let facts = look(policy, &locked)?;
    // Before the filter is compiled, whose rules name them. They do not run yet, and go again if this fails.
    let timer = |clock| {
        KillTimer::new(clock).map_err(|source| LockdownError::Prepare { what: "a timer that ends the process", source })
    };
    let (wall, processor) = (timer(Clock::Wall)?, timer(Clock::Processor)?);
    let plan = Plan::new(policy, &facts, Some((wall.id(), processor.id())))?;
    let found = findings::all(policy, &facts, &plan);
    let fatal =
        |severity| severity == Severity::Refused || findings == Findings::Strict && severity == Severity::Widens;
    let bad: Vec<Finding> = found.iter().filter(|finding| fatal(finding.severity)).cloned().collect();
    if !bad.is_empty() {
        return Err(LockdownError::Findings(bad));
    }
    let memory = locked.iter().map(|earlier| earlier.before.memory).chain([policy.limits.memory.bytes()]).min();
    let before_next = Before { pid: facts.pid, is_root: facts.is_root, memory: memory.unwrap_or(0) };
    let record = Locked { policy: policy.clone(), filter: plan.filter.filter.clone(), before: before_next };
    locked.reserve(1);
    let report = report(policy, &facts, &plan, found);
    let names: Vec<_> = facts.others().iter().map(|thread| (thread.id, thread.name.clone())).collect();
    drop(facts);
    before(&report);
    apply::apply(plan, wall, processor, &names, !locked.is_empty())?;
    locked.push(record);
    Ok(report)
}

/// Tells what [`lockdown`] would do and find, and changes nothing.
///
/// # Errors
///
/// Why the call would fail, apart from findings, which are in the answer.
pub fn preflight(policy: &Policy) -> Result<LockdownReport, LockdownError> {
    let locked = locked();
    let facts = look(policy, &locked)?;
    let plan = Plan::new(policy, &facts, None)?;
    // That it can be made is part of the answer.
    plan.landlock.ruleset().map_err(|source| LockdownError::Prepare { what: "a Landlock ruleset", source })?;
    let found = findings::all(policy, &facts, &plan);
    Ok(report(policy, &facts, &plan, found))
}

fn report(policy: &Policy, facts: &Facts, plan: &Plan, findings: Vec<Finding>) -> LockdownReport {
    let threads = match &facts.seen {
        facts::Seen::All(own) => Some(own.threads.len()),
        facts::Seen::Nothing { .. } => None,
    };
    LockdownReport { policy: policy.name.clone(), threads, controls: plan.controls.clone(), findings }
}

/// What a second lockdown calls, with the arguments that count: what earlier ones must not refuse.
const NEEDED: [(&str, [u64; 6]); 11] = [
    ("prctl", [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0]),
    ("seccomp", [libc::SECCOMP_SET_MODE_FILTER as u64, libc::SECCOMP_FILTER_FLAG_TSYNC, 1, 0, 0, 0]),
    ("timer_create", [libc::CLOCK_BOOTTIME as u64, 1, 1, 0, 0, 0]),
    ("timer_settime", [u32::MAX as u64, 0, 1, 0, 0, 0]),
    ("timer_delete", [u32::MAX as u64, 0, 0, 0, 0, 0]),
    ("prlimit64", [0, libc::RLIMIT_NOFILE as u64, 1, 0, 0, 0]),
    ("openat", [1, 1, libc::O_PATH.unsigned_abs() as u64 | libc::O_CLOEXEC.unsigned_abs() as u64, 0, 0, 0]),
    ("fstat", [3, 1, 0, 0, 0, 0]),
    ("landlock_create_ruleset", [0, 0, 1, 0, 0, 0]),
    ("landlock_add_rule", [3, 1, 1, 0, 0, 0]),
    ("landlock_restrict_self", [3, 0, 0, 0, 0, 0]),
];

fn look(policy: &Policy, locked: &[Locked]) -> Result<Facts, LockdownError> {
    // Not asked of the kernel: a call that an earlier policy refuses may be the death of the process.
    for earlier in locked {
        let is_same = earlier.policy == *policy;
        let refused = NEEDED.iter().find(|(call, args)| !filter::permits(&earlier.filter, call, *args));
        if is_same || refused.is_some() {
            let refused = refused.map(|(call, _)| *call);
            return Err(LockdownError::Already { policy: earlier.policy.name.clone(), is_same, refused });
        }
    }
    Facts::look(locked.last().map(|earlier| earlier.before))
}
