//! What is refused from the start of the program on: when its `main` begins.
//!
//! One filter holds from the exec to the end. Calls that a rule of `refuse-after-start` speaks of, and that the policy
//! permits otherwise, are put to the supervisor: before the start it lets them happen, afterwards it refuses them. Both
//! are decided by the registers of the call and by whether the start has come; and that it has come never ends.

mod image;
mod library;
#[cfg(test)]
mod tests;

pub use library::library;

use crate::error::PlanError;
use crate::filter::{FilterPlan, exec};
pub use image::Image;
use lazaret_filter::{Action, Arch, Call, Filter, Reason, Rule, table};
use lazaret_init::marker;
use lazaret_policy::{CallRule, Control, Holding, Job, Layer, Policy, ProcView, Source, Sourced, Tier};
use lazaret_sys::seccomp::Notification;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The rules that hold from the start on.
#[derive(Debug, Clone)]
pub struct AfterStart {
    /// Whatever this does not simply allow is put to the supervisor.
    pub(crate) filter: Filter,
    /// The policy's rules. In the filter they have the same order, behind [`AHEAD`].
    rules: Vec<(String, Source)>,
}

/// How many rules the filter has ahead of the policy's.
const AHEAD: usize = 1;

impl AfterStart {
    /// The rules of a policy, of which the calls of the launch that hold `token` are free. `None`: there are none.
    ///
    /// # Errors
    ///
    /// When a rule cannot be parsed.
    pub(crate) fn new(rules: &[Sourced<CallRule>], token: u64) -> Result<Option<Self>, PlanError> {
        if rules.is_empty() {
            return Ok(None);
        }
        // A filter refuses it unless a rule names it; what the policy makes of it stays.
        let mut filter = Filter::new(Action::Allow).rule(parsed("clone3")?, Action::Allow);
        for rule in rules {
            let parsed = Rule::parse(&rule.rule)
                .map_err(|e| PlanError::Filter { problem: format!("`{}` ({}): {e}", rule.rule, rule.source) })?;
            filter.push(parsed, Action::Refuse(1));
        }
        exec::free(&mut filter, token)?;
        let rules = rules.iter().map(|rule| (rule.rule.clone(), rule.source.clone())).collect();
        Ok(Some(Self { filter, rules }))
    }

    /// The number of the rule that refuses `call` from the start on.
    pub(crate) fn refuses(&self, call: &Call) -> Option<usize> {
        let decision = self.filter.decide(call);
        let refused = decision.reason == Reason::Rule && !decision.action.permits();
        decision.rule.filter(|_| refused).map(|rule| rule - AHEAD)
    }

    /// A rule's text, and where the policy has it.
    pub(crate) fn rule(&self, number: usize) -> Option<&(String, Source)> {
        self.rules.get(number)
    }

    /// The rules, as a list.
    fn texts(&self) -> String {
        let texts: Vec<String> = self.rules.iter().map(|(text, _)| format!("`{text}`")).collect();
        texts.join(", ")
    }
}

/// The rule that has the supervisor told of the start, behind all of a policy's: nothing may keep it from being told.
pub(crate) fn marker_rule() -> Result<(Rule, Action), PlanError> {
    let text = format!("{}(arg0 == {:#x}, arg1 == {:#x})", marker::CALL, marker::FIRST, marker::SECOND);
    Ok((parsed(&text)?, Action::Log))
}

fn parsed(text: &str) -> Result<Rule, PlanError> {
    Rule::parse(text).map_err(|e| PlanError::Filter { problem: format!("`{text}`: {e}") })
}

/// Descriptors below the one of the library: process 1 holds the job's streams, groups and inputs there.
const ROOM: u32 = 64;
/// The highest number that is used for it: the kernel makes a table of all numbers below.
const HIGHEST: u32 = 1023;

/// The descriptor through which the job's program loads the library, if the policy refuses anything after the start.
///
/// # Errors
///
/// When that cannot be enforced.
pub(crate) fn descriptor(policy: &Policy, job: &Job, filter: &FilterPlan) -> Result<Option<u32>, PlanError> {
    let Some(first) = policy.system_calls.refuse_after_start.first() else { return Ok(None) };
    let cannot =
        |problem: String, fix: String| Err(PlanError::AfterStart { asked_by: first.source.clone(), problem, fix });
    if !filter.supervised {
        return cannot(
            format!("it needs the layer `{}`, which does not hold here", Layer::Notifier),
            format!(
                "use a host that has `{}`, or take the rules out: [remove] refuse-after-start = [\"*\"]",
                Layer::Notifier
            ),
        );
    }
    if policy.tier.value == Tier::Jail && policy.files.proc.value == ProcView::None {
        let source = &policy.files.proc.source;
        return cannot(
            format!(
                "the program's loader finds the library that tells of the start in /proc, and `proc` is \"none\" ({source})"
            ),
            "set proc = \"minimal\" under [files]".to_owned(),
        );
    }
    let needed = ROOM + u32::try_from(job.inputs.len()).unwrap_or(u32::MAX - ROOM);
    let open_files = policy.limits.open_files.get();
    if open_files < needed {
        let source = &policy.limits.open_files.source;
        return cannot(
            format!("it needs {needed} descriptors, and `open-files` is {open_files} ({source})"),
            format!("raise it: --limit open-files={needed}"),
        );
    }
    Ok(Some(HIGHEST.max(needed).min(open_files - 1)))
}

/// How the program begins that the first of `candidates` is which is there: absolute paths, in the tree of this process.
/// `None`: that cannot be told.
pub fn begins(candidates: &[CString]) -> Option<Image> {
    let paths = candidates.iter().map(|candidate| Path::new(OsStr::from_bytes(candidate.as_bytes())));
    let found = paths.into_iter().find(|path| path.is_relative() || path.exists())?;
    found.is_absolute().then(|| image::of_file(found))?
}

/// How the start was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// By the library: `main` was next.
    Main,
    /// By the library's initialiser: the program does not call `main` as the C library has it.
    Constructor,
    /// The program is static: it started when it was executed.
    Static,
    /// What is executed could not be told.
    Unknown,
}

/// Whether `call` is there to tell the supervisor something.
pub(crate) fn is_marker(call: &Call) -> bool {
    let number = Arch::from_audit(call.audit_arch).and_then(|arch| table::number(arch, marker::CALL));
    number == Some(call.nr) && call.args[..2] == [marker::FIRST, marker::SECOND]
}

/// Whether by `call` the job says that its input is complete.
pub(crate) fn says_input_complete(call: &Call) -> bool {
    is_marker(call) && call.args[2] == marker::INPUT_COMPLETE
}

/// Whether by `call` the job says that its work begins.
pub(crate) fn says_work_begins(call: &Call) -> bool {
    is_marker(call) && call.args[2] == marker::WORK
}

/// Says, within a job, that its work begins: see [`lazaret_sys::phase::tell`].
pub fn work_begins() -> bool {
    lazaret_sys::phase::tell([marker::FIRST, marker::SECOND, marker::WORK], marker::UNDERSTOOD)
}

/// Says, within a job, that it has all of its input: see [`lazaret_sys::phase::tell`].
pub fn input_complete() -> bool {
    lazaret_sys::phase::tell([marker::FIRST, marker::SECOND, marker::INPUT_COMPLETE], marker::UNDERSTOOD)
}

/// Whether the start has come.
#[derive(Debug, Default)]
pub struct Phase {
    how: Option<How>,
    /// How the job's own program begins, where that is known. Whether a process still executes it is not seen.
    program: Option<Image>,
    /// Calls that were permitted because it had not.
    permitted: u64,
}

impl Phase {
    pub(crate) fn of(program: Option<Image>) -> Self {
        Self { program, ..Self::default() }
    }

    /// Whether `call` is there to tell of the start; then it has come.
    pub(crate) fn is_told(&mut self, call: &Call) -> bool {
        if !is_marker(call) {
            return false;
        }
        let how = if call.args[2] == marker::MAIN { How::Main } else { How::Constructor };
        self.how.get_or_insert(how);
        true
    }

    /// Whether the start has come, or comes with this call, which waits and is to be refused from then on.
    pub(crate) fn has_come(&mut self, notification: &Notification) -> bool {
        if self.how.is_none() {
            // A root without CAP_SYS_PTRACE, as in containers, may not see what another user's process executes.
            self.how = match image::of(notification.pid).or(self.program) {
                Some(Image::Dynamic) => None,
                Some(Image::Static) => Some(How::Static),
                None => Some(How::Unknown),
            };
        }
        self.permitted += u64::from(self.how.is_none());
        self.how.is_some()
    }

    /// What is to be said of it when the job is dead.
    pub(crate) fn tell(&self, after: &AfterStart) -> Told {
        Told { text: self.text(after), held: self.how.is_some() || self.permitted == 0 }
    }

    fn text(&self, after: &AfterStart) -> String {
        let before = match self.permitted {
            0 => String::new(),
            count => format!("; {count} such call(s) were permitted before"),
        };
        match self.how {
            Some(How::Main) => format!("refuse-after-start held from `main` on{before}"),
            Some(How::Constructor) => format!(
                "refuse-after-start held from the initialisers on: the program has no `main` that the C library calls{before}"
            ),
            Some(How::Static) => {
                format!("refuse-after-start held from the exec on: a program of the job's is static{before}")
            }
            Some(How::Unknown) => {
                format!("refuse-after-start held from the first such call on: what made it could not be told{before}")
            }
            None if self.permitted == 0 => {
                format!("the job's program told of no start, and made no call that {} names", after.texts())
            }
            None => {
                format!("the job's program never came to its start: refuse-after-start was not put in force{before}")
            }
        }
    }
}

/// What a report says of the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// As a sentence.
    pub text: String,
    /// Whether the rules were in force before anything could be done that they are there to refuse.
    pub held: bool,
}

impl Told {
    /// Says so where the report tells of the filter.
    pub(crate) fn enter(&self, controls: &mut [Control]) {
        let Some(filter) = controls.iter_mut().find(|control| control.layer == Layer::Seccomp) else { return };
        filter.detail = format!("{}; {}", filter.detail, self.text);
        if !self.held && filter.holding == Holding::Yes {
            filter.holding = Holding::Partly;
            filter.why_not = Some("the program never came to its start".to_owned());
        }
    }
}
