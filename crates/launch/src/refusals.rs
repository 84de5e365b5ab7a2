//! Answers and records the calls that the filter does not let through.

use crate::hands::Hands;
use crate::observe::{Observed, Watching};
use crate::program::Program;
use crate::sights::Sights;
use crate::start::{self, AfterStart, Phase, Told};
use lazaret_filter::{Action, Arch, Call, Decision, Filter, Reason, groups, table};
use lazaret_init::marker;
use lazaret_policy::{Brokered, Refusal, Source, Verdict};
use lazaret_sys::seccomp::{self, Answer, Notification};
use rustix::fs::{AtFlags, FileType, StatxFlags};
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;

/// How many different refusals are kept; more are counted.
const KEPT: usize = 64;
const EPERM: u16 = 1;

/// The rules by which calls are answered, and what is to be said of them.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The rules themselves.
    pub filter: &'a Filter,
    /// Where the policy has each of its rules, which are the first.
    pub sources: &'a [Source],
    /// Where it has its default.
    pub default_source: &'a Source,
    /// The numbers of the rules that only tell of calls that go beyond a bound.
    pub beyond: Range<usize>,
    /// Which bound.
    pub bound: Bound,
    /// Calls that no policy can allow.
    pub never: &'a [String],
    /// The process's own id, where a number stands for it in the rules.
    pub own_id: Option<OwnId>,
    /// Whether the process is a copy of this one, and can change no file.
    pub is_harmless_copy: bool,
    /// What is refused from the program's start on. These rules are numbered behind all others.
    pub after_start: Option<&'a AfterStart>,
    /// What the supervisor makes for the job, of what is permitted.
    pub brokered: Brokered,
    /// What is noted of permitted calls.
    pub watching: Option<&'a Watching>,
}

/// A bound that the kernel keeps without telling anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Of a file: a call beyond it may be refused for other reasons.
    File,
    /// Of memory.
    Memory,
}

/// The one process that rules speak of, in rules that were written before there was a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnId {
    /// Its id.
    pub pid: u32,
    /// What stands for it.
    pub stands: u32,
}

impl Rules<'_> {
    /// The call as the rules know it.
    fn as_written(&self, call: &Call) -> Call {
        let mut call = *call;
        let Some(OwnId { pid, stands }) = self.own_id else { return call };
        let low = u64::from(u32::MAX);
        let first = &mut call.args[0];
        if *first & low == u64::from(pid) {
            *first = *first & !low | u64::from(stands);
        } else if *first & low == u64::from(stands) {
            *first ^= 1;
        }
        call
    }

    /// The rule `number`, for people.
    fn text(&self, number: usize) -> Option<String> {
        let own = self.filter.rules().get(number).map(|(rule, _)| rule.to_string());
        let text = own.or_else(|| self.rule_after_start(Some(number)).map(|(text, _)| text.clone()))?;
        Some(match self.own_id {
            None => text,
            Some(OwnId { pid, stands }) => {
                let pid = pid.to_string();
                text.replace(&stands.to_string(), &pid).replace(&format!("{stands:#x}"), &pid)
            }
        })
    }

    /// What is decided about `call` after the start, where a rule for that time refuses it.
    fn decide_after_start(&self, call: &Call) -> Option<Decision> {
        let rule = self.after_start?.refuses(call)?;
        let rule = Some(self.filter.rules().len() + rule);
        Some(Decision { action: Action::Refuse(EPERM), rule, reason: Reason::Rule })
    }

    /// The rule of that number that holds after the start, and where the policy has it.
    pub(crate) fn rule_after_start(&self, rule: Option<usize>) -> Option<&(String, Source)> {
        self.after_start?.rule(rule?.checked_sub(self.filter.rules().len())?)
    }

    /// Where a decision comes from, and whether it is Lazaret's own and not the policy's.
    pub(crate) fn author(&self, decision: &Decision) -> (String, bool) {
        let own = || ("Lazaret".to_owned(), true);
        if let Some((_, source)) = self.rule_after_start(decision.rule) {
            return (source.to_string(), false);
        }
        match (decision.rule, decision.reason) {
            (Some(rule), _) => self.sources.get(rule).map_or_else(own, |source| (source.to_string(), false)),
            (None, Reason::Default) => (self.default_source.to_string(), false),
            (None, _) => own(),
        }
    }
}

/// What was refused so far.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Equal ones counted together.
    pub kept: Vec<Refusal>,
    /// Those that were too many.
    pub dropped: u64,
    /// Whether a call was seen that goes beyond the bound of which the rules tell.
    pub beyond: bool,
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
    /// Those of a job that begins with `program`.
    pub(crate) fn of(program: &Program) -> Self {
        Self { phase: Phase::of(program.begins), ..Self::default() }
    }

    /// Takes one waiting call and answers it. What is permitted and brokered is made by `hands`; without any it fails.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer.
    pub fn answer_next(&mut self, listener: BorrowedFd<'_>, rules: &Rules<'_>, hands: &mut Hands) -> io::Result<()> {
        let notification = match seccomp::receive(listener) {
            Ok(Some(notification)) => notification,
            Ok(None) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(e),
        };
        let call = Call { audit_arch: notification.arch, nr: notification.number, args: notification.args };
        if rules.watching.is_some() || rules.after_start.is_some() || start::is_marker(&call) {
            hands.rest()?;
        }
        if rules.brokered.input_complete && start::says_input_complete(&call) {
            if let Some(net) = &mut hands.net {
                net.complete_input(listener)?;
            }
            return seccomp::answer(listener, notification.id, Answer::Errno(marker::UNDERSTOOD));
        }
        if start::says_work_begins(&call)
            && let Some(files) = hands.files.as_mut().filter(|files| files.has_phases())
        {
            files.enter_work(listener, &notification)?;
            return seccomp::answer(listener, notification.id, Answer::Errno(marker::UNDERSTOOD));
        }
        if rules.after_start.is_some() && self.phase.is_told(&call) {
            return seccomp::answer(listener, notification.id, Answer::Errno(marker::UNDERSTOOD));
        }
        let written = rules.as_written(&call);
        let mut decision = rules.filter.decide(&written);
        if let Some(after) = rules.decide_after_start(&written).filter(|_| decision.action.permits())
            && self.phase.has_come(&notification)
        {
            decision = after;
        }
        if decision.action != Action::Allow {
            // It is looked at, and told of.
            hands.rest()?;
        }
        let rule = decision.rule.and_then(|number| rules.text(number));
        let answer = match decision.action {
            Action::Refuse(errno) | Action::Errno(errno) => Answer::Errno(errno.into()),
            // Allowed either way: the answer decides nothing, it lets the call happen after it was noted.
            Action::Allow | Action::Log => Answer::Continue,
            Action::Kill | Action::Trap => {
                // It is never answered, so it is never made; and made again after the look, it is not either.
                if self.violation.is_none() && !self.sights.was_interrupted(&notification) {
                    self.sights.look(listener, &notification, (call, written, decision), rules, None);
                }
                self.violation = Some(violation(&notification, rule));
                return Ok(());
            }
        };
        if let Some(watching) = rules.watching.filter(|_| answer == Answer::Continue) {
            self.observed.note(listener, &notification, &call, decision, watching);
        }
        if decision.action == Action::Allow {
            // Told of for the sake of the note alone.
        } else if decision.rule.is_some_and(|rule| rules.beyond.contains(&rule)) {
            self.beyond |= rules.bound == Bound::Memory || is_of_file(&notification);
        } else if self.sights.was_interrupted(&notification) {
            // Counted when it was looked at.
        } else if let Some(new) = self.record(&notification, answer, rule, (rules, &decision)) {
            let waits = self.sights.look(listener, &notification, (call, written, decision), rules, Some(new));
            if !waits {
                return Ok(());
            }
        }
        if answer == Answer::Continue {
            return hands.make(listener, &notification, rules.brokered);
        }
        seccomp::answer(listener, notification.id, answer)
    }

    /// Counts a call. Returns the number of a refusal that is new.
    fn record(
        &mut self,
        notification: &Notification,
        answer: Answer,
        rule: Option<String>,
        (rules, decision): (&Rules<'_>, &Decision),
    ) -> Option<usize> {
        let errno = match answer {
            Answer::Errno(errno) => errno,
            Answer::Continue | Answer::Value(_) => 0,
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
        let may_help = errno != 0 && !rules.never.contains(&call);
        let suggestion = match rules.rule_after_start(decision.rule) {
            Some((text, _)) => Some(lazaret_inspect::line_after_start(text)),
            None => may_help.then(|| suggestion(&call, rules.filter)).flatten(),
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
    pub fn explain(&mut self, rules: &Rules<'_>, fatal: Option<&mut Verdict>) {
        self.start = rules.after_start.map(|after| self.phase.tell(after));
        let mut fatal = fatal;
        for (refusal, explanation) in self.sights.explain(rules) {
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
    // What is known of the file: a server that does not answer, of a file that is elsewhere, must not hold this up.
    let known = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE);
    let regular = known.is_ok_and(|found| FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile);
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
