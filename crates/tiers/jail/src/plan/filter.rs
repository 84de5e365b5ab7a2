//! The system-call filter of a plan.

use crate::error::PlanError;
use lazaret_filter::{Action, Arch, Backend, Filter, Rule};
use lazaret_policy::{CallAction, SystemCalls};
use std::sync::{Arc, Mutex, PoisonError};

/// The filter, as rules and compiled.
#[derive(Debug, Clone)]
pub struct FilterPlan {
    /// The rules; the supervisor decides on refused calls with them again.
    pub filter: Filter,
    /// Whether refused calls are reported to the supervisor.
    pub supervised: bool,
    /// The program, as an array of struct sock_filter.
    pub program: Vec<u8>,
    /// Its number of instructions.
    pub instructions: u16,
}

const EPERM: u16 = 1;
const EAFNOSUPPORT: u16 = 97;

/// Rules behind those of every policy, so that none prevails over them.
///
/// Core dumps: a `core_pattern` that begins with `|` starts a program outside of every namespace, with the dump of the
/// job on its input, whatever RLIMIT_CORE says, unless it says 1 (core(5); fs/coredump.c). So it is 1, and a job that
/// sets it otherwise is told that it succeeded: it has no core dumps either way. AF_VSOCK leads past the network
/// namespace to the hypervisor. Limits of process 1, which has the job's id, are not the job's to set.
const OWN_RULES: [(&str, Action); 4] = [
    ("prlimit64(resource == 4, new != 0)", Action::Errno(0)),
    ("setrlimit(resource == 4)", Action::Errno(0)),
    ("prlimit64(pid == 1)", Action::Refuse(EPERM)),
    ("socket(domain == AF_VSOCK)", Action::Refuse(EAFNOSUPPORT)),
];

impl FilterPlan {
    /// Compiles the rules of `policy`; `supervised` says whether this host can report refused calls.
    ///
    /// # Errors
    ///
    /// When a rule cannot be parsed, or all together cannot be enforced.
    pub fn new(calls: &SystemCalls, supervised: bool) -> Result<Self, PlanError> {
        let mut filter = Filter::new(action(calls.default.value));
        for rule in &calls.rules {
            let parsed = Rule::parse(&rule.rule)
                .map_err(|e| PlanError::Filter { problem: format!("`{}` ({}): {e}", rule.rule, rule.source) })?;
            filter.push(parsed, action(rule.action));
        }
        for (rule, action) in OWN_RULES {
            let parsed = Rule::parse(rule).map_err(|e| PlanError::Filter { problem: format!("`{rule}`: {e}") })?;
            filter.push(parsed, action);
        }
        let backend = if supervised { Backend::Supervised } else { Backend::Alone };
        let arch = Arch::native()
            .ok_or_else(|| PlanError::Filter { problem: "there is no table for this architecture".to_owned() })?;
        let program = filter.compile(arch, backend).map_err(|e| PlanError::Filter { problem: e.to_string() })?;
        let instructions =
            u16::try_from(program.len()).map_err(|_too_long| PlanError::Filter { problem: "too long".to_owned() })?;
        Ok(Self { program: program.as_bytes(), instructions, filter, supervised })
    }
}

impl FilterPlan {
    /// Whether there are calls for which the kernel itself kills, so that nobody learns of the call.
    pub(crate) fn kills_untold(&self) -> bool {
        let mut actions = self.filter.rules().iter().map(|(_, action)| *action).chain([self.filter.default_action()]);
        !self.supervised && actions.any(|action| action == Action::Kill)
    }
}

/// The filters of the policies that were used last, compiled.
#[derive(Debug, Default)]
pub(crate) struct FilterCache(Mutex<Vec<(SystemCalls, Arc<FilterPlan>)>>);

/// How many policies a cache remembers.
const REMEMBERED: usize = 16;

impl FilterCache {
    /// The filter for `calls`, compiled now or before.
    pub(crate) fn get(&self, calls: &SystemCalls, supervised: bool) -> Result<Arc<FilterPlan>, PlanError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = known.iter().find(|(of, filter)| of == calls && filter.supervised == supervised) {
            return Ok(Arc::clone(filter));
        }
        let filter = Arc::new(FilterPlan::new(calls, supervised)?);
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((calls.clone(), Arc::clone(&filter)));
        Ok(filter)
    }
}

fn action(action: CallAction) -> Action {
    match action {
        CallAction::Allow => Action::Allow,
        CallAction::Log => Action::Log,
        CallAction::Trap => Action::Trap,
        CallAction::Kill => Action::Kill,
        CallAction::Refuse => Action::Refuse(EPERM),
        CallAction::Silent => Action::Errno(EPERM),
    }
}
