//! The system-call filter of a plan.

use crate::error::PlanError;
use lazaret_filter::{Action, Arch, Backend, Call, CompileError, Filter, Rule, RuleCost, table};
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
    /// Rules from this one on only tell the supervisor of calls that go beyond the bound of a file.
    beyond: usize,
}

const EPERM: u16 = 1;
const EAFNOSUPPORT: u16 = 97;

/// Rules behind those of every policy, so that none prevails over them.
///
/// Core dumps: a `core_pattern` that begins with `|` starts a program outside of every namespace, with the dump of the
/// job on its input, whatever RLIMIT_CORE says, unless it says 1 (core(5); fs/coredump.c). So it is 1, and a job that
/// sets it otherwise is told that it succeeded: it has no core dumps either way. AF_VSOCK leads past the network
/// namespace to the hypervisor. Limits and priorities of process 1, which has the job's id, are not the job's to set: a
/// process 1 that gets no processor cannot end the jail. A user's priority is process 1's too.
const OWN_RULES: [(&str, Action); 12] = [
    ("prlimit64(resource == 4, new != 0)", Action::Errno(0)),
    ("setrlimit(resource == 4)", Action::Errno(0)),
    ("prlimit64(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setparam(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setattr(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setaffinity(pid == 1)", Action::Refuse(EPERM)),
    ("setpriority(which == 0, who == 1)", Action::Refuse(EPERM)),
    ("setpriority(which == 2)", Action::Refuse(EPERM)),
    ("ioprio_set(which == 1, who == 1)", Action::Refuse(EPERM)),
    ("ioprio_set(which == 3)", Action::Refuse(EPERM)),
    ("socket(domain == AF_VSOCK)", Action::Refuse(EAFNOSUPPORT)),
];

impl FilterPlan {
    /// Compiles the rules of `policy`; `supervised` says whether this host can report refused calls.
    ///
    /// # Errors
    ///
    /// When a rule cannot be parsed, or all together cannot be enforced.
    pub fn new(calls: &SystemCalls, supervised: bool) -> Result<Self, PlanError> {
        Self::make(calls, supervised, None)
    }

    /// The same, with a supervisor that is told, where it is told of calls, when a call goes beyond `file_size` bytes in
    /// a file: the kernel refuses it and leaves no trace.
    ///
    /// # Errors
    ///
    /// See [`FilterPlan::new`].
    pub fn bounded(calls: &SystemCalls, supervised: bool, file_size: u64) -> Result<Self, PlanError> {
        Self::make(calls, supervised, Some(file_size))
    }

    fn make(calls: &SystemCalls, supervised: bool, file_size: Option<u64>) -> Result<Self, PlanError> {
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
        let beyond = filter.rules().len();
        for rule in file_size.filter(|_| supervised).map(rules_of_bound).into_iter().flatten() {
            // Permitting and telling must not permit more than the policy does.
            if permits_always(calls, &filter, rule.0) {
                let parsed = Rule::parse(&rule.1).map_err(|e| PlanError::Filter { problem: e.to_string() })?;
                filter.push(parsed, Action::Log);
            }
        }
        let backend = if supervised { Backend::Supervised } else { Backend::Alone };
        let arch = Arch::native()
            .ok_or_else(|| PlanError::Filter { problem: "there is no table for this architecture".to_owned() })?;
        let program = filter
            .compile(arch, backend)
            .map_err(|error| PlanError::Filter { problem: problem(&error, calls, &filter) })?;
        let instructions =
            u16::try_from(program.len()).map_err(|_too_long| PlanError::Filter { problem: "too long".to_owned() })?;
        Ok(Self { program: program.as_bytes(), instructions, filter, supervised, beyond })
    }
}

/// What the compiler says, with the rules that it speaks of and where they stand.
fn problem(error: &CompileError, calls: &SystemCalls, filter: &Filter) -> String {
    // A rule of the policy has the same position in both.
    let shown = |at: usize| match (calls.rules.get(at), filter.rules().get(at)) {
        (Some(rule), _) => format!("`{}` ({})", shortened(&rule.rule), rule.source),
        (None, Some((rule, _))) => format!("`{rule}` (Lazaret's own)"),
        (None, None) => "the default action".to_owned(),
    };
    let costs = |costs: &[RuleCost]| {
        let lines = costs.iter().map(|cost| format!("{}: {} tests", shown(cost.rule), cost.tests));
        lines.collect::<Vec<_>>().join("; ")
    };
    match error {
        CompileError::TooLong { costliest } => format!("{error}; most are for {}", costs(costliest)),
        CompileError::IoUring { rule, .. } | CompileError::Errno { rule: Some(rule), .. } => {
            format!("{error}: {}", shown(*rule))
        }
        _ => error.to_string(),
    }
}

/// A rule's text, cut where it is too long for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Calls that change a file at a place that they name, each with the rule for places that are beyond the bound: setrlimit(2),
/// `RLIMIT_FSIZE`. A file may end at its bound, and nothing may be written behind it.
fn rules_of_bound(file_size: u64) -> [(&'static str, String); 4] {
    [
        ("pwrite64", format!("pwrite64(offset >= {file_size})")),
        ("ftruncate", format!("ftruncate(length > {file_size})")),
        ("fallocate", format!("fallocate(offset >= {file_size})")),
        ("fallocate", format!("fallocate(length > {file_size})")),
    ]
}

/// Whether the rules `calls`, which are those of `filter`, permit `call` whatever its arguments are.
fn permits_always(calls: &SystemCalls, filter: &Filter, call: &str) -> bool {
    let conditional = |rule: &str| rule.trim().strip_prefix(call).is_some_and(|rest| !rest.is_empty());
    let decided = Arch::native().and_then(|arch| {
        let nr = table::number(arch, call)?;
        Some(filter.decide(&Call { audit_arch: arch.audit(), nr, args: [0; 6] }).action)
    });
    decided == Some(Action::Allow) && !calls.rules.iter().any(|rule| conditional(&rule.rule))
}

impl FilterPlan {
    /// Whether the rule that decided, by its number, is there to tell of a call beyond the bound of a file.
    pub(crate) fn is_beyond(&self, rule: Option<usize>) -> bool {
        rule.is_some_and(|rule| rule >= self.beyond)
    }

    /// Whether there are calls for which the kernel itself kills, so that nobody learns of the call.
    pub(crate) fn kills_untold(&self) -> bool {
        let mut actions = self.filter.rules().iter().map(|(_, action)| *action).chain([self.filter.default_action()]);
        !self.supervised && actions.any(|action| action == Action::Kill)
    }
}

/// The filters of the policies that were used last, compiled.
#[derive(Debug, Default)]
pub(crate) struct FilterCache(Mutex<Vec<(SystemCalls, u64, Arc<FilterPlan>)>>);

/// How many policies a cache remembers.
const REMEMBERED: usize = 16;

impl FilterCache {
    /// The filter for `calls` and files of `file_size` bytes, compiled now or before.
    pub(crate) fn get(
        &self,
        calls: &SystemCalls,
        supervised: bool,
        file_size: u64,
    ) -> Result<Arc<FilterPlan>, PlanError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(of, size, filter): &&(SystemCalls, u64, Arc<FilterPlan>)| {
            *size == file_size && filter.supervised == supervised && of == calls
        };
        if let Some((.., filter)) = known.iter().find(same) {
            return Ok(Arc::clone(filter));
        }
        let filter = Arc::new(FilterPlan::bounded(calls, supervised, file_size)?);
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((calls.clone(), file_size, Arc::clone(&filter)));
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
