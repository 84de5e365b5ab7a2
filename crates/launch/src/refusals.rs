//! Answers and records the calls that the filter does not let through.

use crate::error::RunError;
use crate::filter::FilterPlan;
use crate::observe::Observed;
use crate::sights::Sights;
use crate::start::{Phase, Told};
use lazaret_filter::{Action, Arch, Call, Decision, Filter, groups, table};
use lazaret_init::marker;
use lazaret_policy::{Refusal, Verdict};
use lazaret_sys::seccomp::{self, Answer, Notification};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;

/// How many different refusals are kept; more are counted.
const KEPT: usize = 64;

/// What was refused so far.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Equal ones counted together.
    pub kept: Vec<Refusal>,
    /// Those that were too many.
    pub dropped: u64,
    /// Whether a call was seen that goes beyond the bound of a file, which the kernel refuses.
    pub beyond_file: bool,
    /// What was noted of permitted calls, where that was asked for.
    pub observed: Observed,
    /// The call that the job must die for.
    pub violation: Option<Verdict>,
    /// The looks at refused calls.
    pub sights: Sights,
    /// Whether the program has started, where that counts.
    pub phase: Phase,
    /// What is to be said of that.
    pub start: Option<Told>,
}

impl Refusals {
    /// Takes one waiting call and answers it.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer.
    pub fn answer_next(&mut self, listener: BorrowedFd<'_>, plan: &FilterPlan) -> Result<(), RunError> {
        let failed = |source: io::Error| RunError::Resource { what: "answer a system call of the job", source };
        let notification = match seccomp::receive(listener) {
            Ok(Some(notification)) => notification,
            Ok(None) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        let call = Call { audit_arch: notification.arch, nr: notification.number, args: notification.args };
        if plan.after_start().is_some() && self.phase.is_told(&call) {
            return seccomp::answer(listener, notification.id, Answer::Errno(marker::UNDERSTOOD)).map_err(failed);
        }
        let mut decision = plan.filter.decide(&call);
        if let Some(after) = plan.decide_after_start(&call).filter(|_| decision.action.permits())
            && self.phase.has_come(&notification)
        {
            decision = after;
        }
        let rule = plan.rule_text(&decision);
        let answer = match decision.action {
            Action::Refuse(errno) | Action::Errno(errno) => Answer::Errno(errno.into()),
            // Allowed either way: the answer decides nothing, it lets the call happen after it was noted.
            Action::Allow | Action::Log => Answer::Continue,
            Action::Kill | Action::Trap => {
                // It is never answered, so it is never made; and made again after the look, it is not either.
                if self.violation.is_none() && !self.sights.was_interrupted(&notification) {
                    self.sights.look(listener, &notification, (call, decision), plan, None);
                }
                self.violation = Some(violation(&notification, rule));
                return Ok(());
            }
        };
        if let Some(watching) = plan.watching().filter(|_| answer == Answer::Continue) {
            self.observed.note(listener, &notification, &call, decision, watching);
        }
        if decision.action == Action::Allow {
            // Told of for the sake of the note alone.
        } else if plan.is_beyond(decision.rule) {
            self.beyond_file |= is_of_file(&notification);
        } else if self.sights.was_interrupted(&notification) {
            // Counted when it was looked at.
        } else if let Some(new) = self.record(&notification, answer, rule, (plan, &decision)) {
            let waits = self.sights.look(listener, &notification, (call, decision), plan, Some(new));
            if !waits {
                return Ok(());
            }
        }
        seccomp::answer(listener, notification.id, answer).map_err(failed)
    }

    /// Counts a call. Returns the number of a refusal that is new.
    fn record(
        &mut self,
        notification: &Notification,
        answer: Answer,
        rule: Option<String>,
        (plan, decision): (&FilterPlan, &Decision),
    ) -> Option<usize> {
        let errno = match answer {
            Answer::Errno(errno) => errno,
            Answer::Continue => 0,
        };
        let number = notification.number;
        let same = |kept: &&mut Refusal| (kept.number, kept.errno, &kept.rule) == (number, errno, &rule);
        if let Some(known) = self.kept.iter_mut().find(same) {
            known.count += 1;
            return None;
        }
        if self.kept.len() >= KEPT {
            self.dropped += 1;
            return None;
        }
        let call = call_name(notification);
        let suggestion = match plan.rule_after_start(decision.rule) {
            Some((text, _)) => Some(lazaret_inspect::line_after_start(text)),
            None => (errno != 0).then(|| suggestion(&call, &plan.filter)).flatten(),
        };
        self.kept.push(Refusal {
            call,
            number,
            args: notification.args,
            errno,
            count: 1,
            rule,
            suggestion,
            explanation: None,
        });
        (errno != 0).then(|| self.kept.len() - 1)
    }

    /// Explains what was refused, and `fatal`, the call that the job was ended for. The job is dead.
    pub(crate) fn explain(&mut self, plan: &FilterPlan, fatal: Option<&mut Verdict>) {
        self.start = plan.after_start().map(|after| self.phase.tell(after));
        let mut fatal = fatal;
        for (refusal, explanation) in self.sights.explain(plan) {
            let explanation = Some(Box::new(explanation));
            match (refusal.and_then(|at| self.kept.get_mut(at)), fatal.as_deref_mut()) {
                (Some(refusal), _) => refusal.explanation = explanation,
                (None, Some(Verdict::Violation { explanation: place, .. })) => *place = explanation,
                (None, _) => {}
            }
        }
    }
}

/// Whether the first argument of a call that is waiting is the descriptor of a regular file that is open for writing, and
/// the numbers behind it are not negative: other calls are refused for other reasons.
pub(crate) fn is_of_file(notification: &Notification) -> bool {
    let [descriptor, first, second, third, ..] = notification.args;
    let path = format!("/proc/{}/fd/{descriptor}", notification.pid);
    // ftruncate has one more argument, fallocate and pwrite64 have three. No address in a process reads as negative.
    let numbers = if call_name(notification) == "ftruncate" { [first, 0, 0] } else { [first, second, third] };
    // proc_pid_fd(5): the link's own mode tells how it is open.
    let writable = std::fs::symlink_metadata(&path).is_ok_and(|link| link.mode() & 0o200 != 0);
    let regular = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    regular && writable && numbers.iter().all(|arg| arg.cast_signed() >= 0)
}

fn violation(notification: &Notification, rule: Option<String>) -> Verdict {
    Verdict::Violation {
        call: call_name(notification),
        number: notification.number,
        args: notification.args,
        rule,
        arch: Arch::from_audit(notification.arch).map_or_else(|| "foreign".to_owned(), |arch| arch.to_string()),
        explanation: None,
    }
}

pub(crate) fn call_name(notification: &Notification) -> String {
    let arch = Arch::from_audit(notification.arch);
    let name = arch.and_then(|arch| table::name(arch, notification.number));
    name.map_or_else(|| format!("#{}", notification.number), str::to_owned)
}

/// The line of TOML that would allow it: the smallest group that has it, or the call itself.
pub(crate) fn suggestion(call: &str, filter: &Filter) -> Option<String> {
    if call.starts_with('#') || call.starts_with("io_uring") {
        return None;
    }
    let held: Vec<String> = filter.rules().iter().map(|(rule, _)| rule.to_string()).collect();
    let has = |group: &groups::Group| group.calls.contains(&call) && !held.iter().any(|rule| rule == group.name);
    let group = groups::all().filter(|group| has(group)).min_by_key(|group| group.calls.len());
    let risk = group.map_or_else(String::new, |group| format!("; or the group {}, {}", group.name, group.risk));
    Some(format!("[system-calls] allow = [\"{call}\"]{risk}"))
}
