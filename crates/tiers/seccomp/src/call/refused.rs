//! Answers and records the calls that the filter does not let through.

use super::filter::CallFilter;
use super::order::SELF;
use lazaret_filter::{Action, Arch, Call, groups, table};
use lazaret_policy::{Refusal, Verdict};
use lazaret_sys::seccomp::{self, Answer, Notification};
use std::io;
use std::os::fd::BorrowedFd;

/// How many different refusals are kept; more are counted.
const KEPT: usize = 64;

/// What was refused so far.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) kept: Vec<Refusal>,
    pub(crate) dropped: u64,
    /// Whether more memory was asked for at once than may be had.
    pub(crate) beyond_memory: bool,
    /// The call that the function must die for.
    pub(crate) violation: Option<Verdict>,
}

impl Refused {
    /// Takes one waiting call of the process `pid` and answers it.
    pub(crate) fn answer_next(&mut self, listener: BorrowedFd<'_>, pid: u32, rules: &CallFilter) -> io::Result<()> {
        let notification = match seccomp::receive(listener) {
            Ok(Some(notification)) => notification,
            Ok(None) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(e),
        };
        let filter = &rules.filter;
        let decision = filter.decide(&as_compiled(&notification, pid));
        let index = decision.rule;
        let rule = index.and_then(|index| filter.rules().get(index)).map(|(rule, _)| written(&rule.to_string(), pid));
        let answer = match decision.action {
            Action::Refuse(errno) | Action::Errno(errno) => Answer::Errno(errno.into()),
            // Allowed either way: the answer decides nothing, it lets the call happen after it was noted.
            Action::Allow | Action::Log => Answer::Continue,
            Action::Kill | Action::Trap => {
                self.violation = Some(violation(&notification, rule));
                return Ok(());
            }
        };
        if index.is_some_and(|index| index >= rules.beyond) {
            self.beyond_memory = true;
        } else {
            self.record(&notification, answer, rule, rules);
        }
        seccomp::answer(listener, notification.id, answer)
    }

    fn record(&mut self, notification: &Notification, answer: Answer, rule: Option<String>, rules: &CallFilter) {
        let errno = match answer {
            Answer::Errno(errno) => errno,
            Answer::Continue => 0,
        };
        let number = notification.number;
        if let Some(known) = self.kept.iter_mut().find(|kept| kept.number == number && kept.errno == errno) {
            known.count += 1;
            return;
        }
        if self.kept.len() >= KEPT {
            self.dropped += 1;
            return;
        }
        let call = call_name(notification);
        let suggestion = (errno != 0).then(|| suggestion(&call, rules)).flatten();
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
    }
}

/// The call as the rules know it, in which [`SELF`] is the process's own id.
fn as_compiled(notification: &Notification, pid: u32) -> Call {
    let mut args = notification.args;
    let low = u64::from(u32::MAX);
    if args[0] & low == u64::from(pid) {
        args[0] = args[0] & !low | u64::from(SELF);
    } else if args[0] & low == u64::from(SELF) {
        args[0] ^= 1;
    }
    Call { audit_arch: notification.arch, nr: notification.number, args }
}

/// A rule for people.
fn written(rule: &str, pid: u32) -> String {
    rule.replace(&SELF.to_string(), &pid.to_string()).replace(&format!("{SELF:#x}"), &pid.to_string())
}

fn violation(notification: &Notification, rule: Option<String>) -> Verdict {
    let arch = Arch::from_audit(notification.arch)
        .map_or_else(|| format!("architecture {:#x}", notification.arch), |arch| arch.to_string());
    let call = call_name(notification);
    Verdict::Violation { call, number: notification.number, args: notification.args, rule, arch, explanation: None }
}

fn call_name(notification: &Notification) -> String {
    let name = Arch::from_audit(notification.arch).and_then(|arch| table::name(arch, notification.number));
    name.map_or_else(|| format!("#{}", notification.number), str::to_owned)
}

/// The line of TOML that would allow it: the call itself, or the smallest group that has it. `None`: no rule can.
fn suggestion(call: &str, rules: &CallFilter) -> Option<String> {
    if call.starts_with('#') || call.starts_with("io_uring") || rules.is_never_permitted(call) {
        return None;
    }
    let held: Vec<String> = rules.filter.rules().iter().map(|(rule, _)| rule.to_string()).collect();
    let has = |group: &groups::Group| group.calls.contains(&call) && !held.iter().any(|rule| rule == group.name);
    let group = groups::all().filter(|group| has(group)).min_by_key(|group| group.calls.len());
    let risk = group.map_or_else(String::new, |group| format!("; or the group {}, {}", group.name, group.risk));
    Some(format!("[system-calls] allow = [\"{call}\"]{risk}"))
}
