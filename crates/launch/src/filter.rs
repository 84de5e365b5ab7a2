//! The system-call filter of a plan.

pub(crate) mod exec;
#[cfg(test)]
mod tests;

pub use exec::forbidden_call;

use crate::error::PlanError;
use crate::observe::{Observe, Watching};
use crate::refusals::{Bound, Rules};
use crate::start::{self, AfterStart};
use lazaret_broker::{files, net, together};
use lazaret_filter::{Action, Arch, Backend, Call, CompileError, Filter, Rule, RuleCost, Watch, table};
use lazaret_policy::{Brokered, CallAction, Source, SystemCalls};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    /// Rules from this one on only tell the supervisor of calls that go beyond the bound of a file,
    beyond: usize,
    /// and from this one on of something else.
    told: usize,
    /// Where the policy has each of its rules, which are the first.
    sources: Vec<Source>,
    /// Where it has its default.
    default_source: Source,
    /// What is noted beside, if it can be.
    watching: Result<Option<Watching>, String>,
    /// What is refused from the program's start on.
    after_start: Option<AfterStart>,
    /// Whatever this does not simply allow is put to the supervisor although the policy permits it.
    beside: Option<Filter>,
    /// What the supervisor makes for the job.
    brokered: Brokered,
    /// What process 1 puts into the sixth register of the calls that it makes itself between filter and exec. Then
    /// nobody listens yet, so these must not wait.
    pub(crate) token: u64,
}

const EPERM: u16 = 1;

/// Rules behind those of every policy, so that none prevails over them: a tier's own.
pub type OwnRules = &'static [(&'static str, Action)];

impl FilterPlan {
    /// Compiles `calls` with a tier's `own` rules behind them; `supervised` says whether this host can report refused calls.
    ///
    /// # Errors
    ///
    /// When a rule cannot be parsed, or all together cannot be enforced.
    pub fn new(calls: &SystemCalls, own: OwnRules, supervised: bool) -> Result<Self, PlanError> {
        Self::make(calls, own, supervised, None)
    }

    /// The same, with a supervisor that is told, where it is told of calls, when a call goes beyond `file_size` bytes in
    /// a file: the kernel refuses it and leaves no trace.
    ///
    /// # Errors
    ///
    /// See [`FilterPlan::new`].
    pub fn bounded(calls: &SystemCalls, own: OwnRules, supervised: bool, file_size: u64) -> Result<Self, PlanError> {
        Self::make(calls, own, supervised, Some(file_size))
    }

    fn make(calls: &SystemCalls, own: OwnRules, supervised: bool, file_size: Option<u64>) -> Result<Self, PlanError> {
        let (mut filter, beyond) = rules(calls, own, file_size.filter(|_| supervised))?;
        let (token, told) = (exec::token()?, filter.rules().len());
        if supervised {
            exec::spare_what_is_logged(&mut filter, token)?;
        }
        let after_start = AfterStart::new(&calls.refuse_after_start, token)?;
        if after_start.is_some() || calls.brokered.input_complete || calls.brokered.files {
            let (rule, action) = start::marker_rule()?;
            filter.push(rule, action);
        }
        let backend = if supervised { Backend::Supervised } else { Backend::Alone };
        let arch = Arch::native()
            .ok_or_else(|| PlanError::Filter { problem: "there is no table for this architecture".to_owned() })?;
        // Where nobody listens no plan is made with these: see `start::descriptor`.
        let beside = beside(after_start.as_ref(), calls.brokered, token)?;
        let compiled = match beside.as_ref().filter(|_| supervised) {
            Some(beside) => Watch::Unless(beside).compile(&filter, arch),
            None => filter.compile(arch, backend),
        };
        let program = compiled.map_err(|error| PlanError::Filter { problem: problem(&error, calls, &filter) })?;
        let instructions = length(&program)?;
        let sources = calls.rules.iter().map(|rule| rule.source.clone()).collect();
        let (program, default_source, watching) = (program.as_bytes(), calls.default.source.clone(), Ok(None));
        Ok(Self {
            program,
            instructions,
            filter,
            supervised,
            beyond,
            told,
            sources,
            default_source,
            watching,
            after_start,
            beside,
            brokered: calls.brokered,
            token,
        })
    }

    /// The same filter, of which permitted calls are told too, as far as `observe` asks for them. What it refuses it
    /// refuses as before. Where that cannot be had the filter stays, and [`FilterPlan::unwatched`] says why.
    ///
    /// # Errors
    ///
    /// When the rules of another policy that `observe` names cannot be parsed.
    pub fn observed(mut self, observe: &Observe, own: OwnRules) -> Result<Self, PlanError> {
        let Some(watching) = Watching::new(observe, own, self.token)? else { return Ok(self) };
        if !self.supervised {
            self.watching = Err("this host cannot report system calls (the layer `notifier`)".to_owned());
            return Ok(self);
        }
        let compiled = Arch::native().map(|arch| watching.compile(&self.filter, self.beside.as_ref(), arch));
        match compiled {
            Some(Ok(program)) => {
                self.instructions = length(&program)?;
                self.program = program.as_bytes();
                self.watching = Ok(Some(watching));
            }
            Some(Err(e)) => self.watching = Err(format!("both filters cannot be one program: {e}")),
            None => self.watching = Err("there is no table for this architecture".to_owned()),
        }
        Ok(self)
    }

    /// What is noted beside what is refused.
    pub fn watching(&self) -> Option<&Watching> {
        self.watching.as_ref().ok()?.as_ref()
    }

    /// Why nothing is noted although it was asked for.
    pub fn unwatched(&self) -> Option<&str> {
        self.watching.as_ref().err().map(String::as_str)
    }
}

/// Whether no signal but one that kills disturbs the calls that are `brokered`. Calls on files need that; a connection that is
/// begun anew with each of many signals would never be there, where the kernel can leave it alone (Linux 5.19).
pub(crate) fn is_undisturbed(brokered: Brokered) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    brokered.files || brokered.network && *CAN.get_or_init(lazaret_sys::seccomp::can_wait_killable)
}

fn length(program: &lazaret_filter::Program) -> Result<u16, PlanError> {
    u16::try_from(program.len()).map_err(|_too_long| PlanError::Filter { problem: "too long".to_owned() })
}

/// The rules of a policy, without those that a tier has.
///
/// # Errors
///
/// A rule that cannot be parsed, which a loader with a rule check does not let through.
pub fn policy_rules(calls: &SystemCalls) -> Result<Filter, PlanError> {
    let mut filter = Filter::new(action(calls.default.value));
    for rule in &calls.rules {
        let parsed = Rule::parse(&rule.rule)
            .map_err(|e| PlanError::Filter { problem: format!("`{}` ({}): {e}", rule.rule, rule.source) })?;
        filter.push(parsed, action(rule.action));
    }
    Ok(filter)
}

/// The rules of a policy with a tier's `own` behind them, and with those that tell of calls beyond `file_size` bytes in a
/// file: the number of the first of these.
pub(crate) fn rules(calls: &SystemCalls, own: OwnRules, file_size: Option<u64>) -> Result<(Filter, usize), PlanError> {
    let mut filter = policy_rules(calls)?;
    for (rule, action) in own {
        let parsed = Rule::parse(rule).map_err(|e| PlanError::Filter { problem: format!("`{rule}`: {e}") })?;
        filter.push(parsed, *action);
    }
    let of_network = net::RULES.iter().filter(|_| calls.brokered.network);
    let of_files = files::RULES.iter().filter(|_| calls.brokered.files);
    let of_both = lazaret_broker::RULES.iter().filter(|_| calls.brokered.network || calls.brokered.files);
    for (rule, action) in of_network.chain(of_files).chain(of_both) {
        let parsed = Rule::parse(rule).map_err(|e| PlanError::Filter { problem: format!("`{rule}`: {e}") })?;
        filter.push(parsed, *action);
    }
    let beyond = filter.rules().len();
    for rule in file_size.map(rules_of_bound).into_iter().flatten() {
        // Permitting and telling must not permit more than the policy does.
        if permits_always(calls, &filter, rule.0) {
            let parsed = Rule::parse(&rule.1).map_err(|e| PlanError::Filter { problem: e.to_string() })?;
            filter.push(parsed, Action::Log);
        }
    }
    Ok((filter, beyond))
}

/// What is put to the supervisor although the policy permits it: what is refused `after` the start, and what it makes itself.
/// The calls of the launch that hold `token` are not.
fn beside(after: Option<&AfterStart>, brokered: Brokered, token: u64) -> Result<Option<Filter>, PlanError> {
    if after.is_none() && brokered.is_nothing() {
        return Ok(None);
    }
    // A filter refuses clone3 unless a rule names it; what the policy makes of it stays.
    let clone3 = || Rule::parse("clone3").map(|rule| Filter::new(Action::Allow).rule(rule, Action::Allow));
    let problem = |e: lazaret_filter::ParseError| PlanError::Filter { problem: e.to_string() };
    let mut filter = match after {
        Some(after) => after.filter.clone(),
        None => clone3().map_err(problem)?,
    };
    let of_files = files::calls().chain(together::calls()).filter(|_| brokered.files);
    for call in net::told().filter(|_| brokered.network).chain(of_files) {
        filter.push(Rule::parse(call).map_err(problem)?, Action::Log);
    }
    exec::free(&mut filter, token)?;
    Ok(Some(filter))
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
    /// What is refused from the program's start on.
    pub fn after_start(&self) -> Option<&AfterStart> {
        self.after_start.as_ref()
    }

    /// The rules, for answering calls by them.
    pub fn rules(&self) -> Rules<'_> {
        Rules {
            filter: &self.filter,
            sources: &self.sources,
            default_source: &self.default_source,
            beyond: self.beyond..self.told,
            after_start: self.after_start.as_ref(),
            brokered: self.brokered,
            bound: Bound::File,
            never: &[],
            own_id: None,
            is_harmless_copy: false,
            watching: self.watching(),
        }
    }

    /// What the supervisor makes for the job.
    pub fn brokered(&self) -> Brokered {
        self.brokered
    }

    /// Whether no signal but one that kills disturbs a call that the supervisor has taken: one that it made for the job would
    /// be made twice.
    pub fn is_undisturbed(&self) -> bool {
        self.supervised && is_undisturbed(self.brokered)
    }

    /// Whether there are calls for which the kernel itself kills, so that nobody learns of the call.
    pub fn kills_untold(&self) -> bool {
        let mut actions = self.filter.rules().iter().map(|(_, action)| *action).chain([self.filter.default_action()]);
        !self.supervised && actions.any(|action| action == Action::Kill)
    }
}

/// The filters of the policies that were used last, compiled.
#[derive(Debug)]
pub struct FilterCache {
    own: OwnRules,
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    calls: SystemCalls,
    file_size: u64,
    observe: Observe,
    filter: Arc<FilterPlan>,
}

/// How many policies a cache remembers.
const REMEMBERED: usize = 16;

impl FilterCache {
    /// Remembers nothing yet; the filters have the tier's `own` rules.
    pub fn new(own: OwnRules) -> Self {
        Self { own, known: Mutex::new(Vec::new()) }
    }

    /// The filter for `calls` and files of `file_size` bytes with what `observe` asks for, compiled now or before.
    ///
    /// # Errors
    ///
    /// See [`FilterPlan::new`].
    pub fn get(
        &self,
        calls: &SystemCalls,
        supervised: bool,
        file_size: u64,
        observe: &Observe,
    ) -> Result<Arc<FilterPlan>, PlanError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&Known| {
            known.file_size == file_size
                && known.filter.supervised == supervised
                && known.observe == *observe
                && known.calls == *calls
        };
        if let Some(known) = known.iter().find(same) {
            return Ok(Arc::clone(&known.filter));
        }
        let filter = FilterPlan::bounded(calls, self.own, supervised, file_size)?.observed(observe, self.own)?;
        let filter = Arc::new(filter);
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        let observe = observe.clone();
        known.push(Known { calls: calls.clone(), file_size, observe, filter: Arc::clone(&filter) });
        Ok(filter)
    }
}

/// What an action of a policy is to a filter.
pub fn action(action: CallAction) -> Action {
    match action {
        CallAction::Allow => Action::Allow,
        CallAction::Log => Action::Log,
        CallAction::Trap => Action::Trap,
        CallAction::Kill => Action::Kill,
        CallAction::Refuse => Action::Refuse(EPERM),
        CallAction::Silent => Action::Errno(EPERM),
    }
}
