//! Looks at refused calls while they wait, and explains them when the job is dead.
//!
//! A look at a thread interrupts its wait for the supervisor's answer, and the kernel has it make the same call again: that
//! is answered as it would have been the first time, and not counted twice. Nothing is decided on what was seen.

use crate::filter::is_undisturbed;
use crate::refusals::Rules;
use lazaret_filter::{Call, Decision};
use lazaret_inspect::{Explainer, Looker, Refused, Sight};
use lazaret_policy::Explanation;
use lazaret_sys::seccomp::{self, Notification};
use std::os::fd::BorrowedFd;

/// The looks at one job's calls.
#[derive(Debug, Default)]
pub struct Sights {
    looker: Option<Looker>,
    seen: Vec<Seen>,
    /// Calls that were interrupted by the look at them, and that their threads make again.
    interrupted: Vec<Mark>,
}

/// A call of a thread, at its place in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    tid: u32,
    number: u32,
    instruction: u64,
    args: [u64; 6],
}

impl Mark {
    fn of(notification: &Notification) -> Self {
        let Notification { pid: tid, number, instruction_pointer: instruction, args, .. } = *notification;
        Self { tid, number, instruction, args }
    }
}

#[derive(Debug)]
struct Seen {
    /// Which refusal it is; `None`: the call that the job was ended for.
    refusal: Option<usize>,
    /// As the rules know it.
    call: Call,
    decision: Decision,
    sight: Sight,
}

/// How many calls that were interrupted are remembered. One is forgotten only when its thread died.
const REMEMBERED: usize = 64;

impl Sights {
    /// Whether this call was looked at, and thereby interrupted, and is now made again.
    pub(crate) fn was_interrupted(&mut self, notification: &Notification) -> bool {
        let mark = Mark::of(notification);
        let known = self.interrupted.iter().position(|known| *known == mark);
        known.map(|at| self.interrupted.swap_remove(at)).is_some()
    }

    /// Looks at the call that waits, of which, as it is `written` in the rules, `decision` was made. Returns whether it waits still.
    pub(crate) fn look(
        &mut self,
        listener: BorrowedFd<'_>,
        notification: &Notification,
        (call, written, decision): (Call, Call, Decision),
        rules: &Rules<'_>,
        refusal: Option<usize>,
    ) -> bool {
        let looker =
            self.looker.get_or_insert_with(|| match (rules.is_harmless_copy, is_undisturbed(rules.brokered)) {
                (true, _) => Looker::of_copy(rules.filter),
                (false, true) => Looker::new(rules.filter).of_undisturbed(),
                (false, false) => Looker::new(rules.filter),
            });
        let sight = looker.look(listener, notification, &call);
        self.seen.push(Seen { refusal, call: written, decision, sight });
        let waits = seccomp::is_waiting(listener, notification.id);
        if !waits {
            if self.interrupted.len() >= REMEMBERED {
                self.interrupted.remove(0);
            }
            self.interrupted.push(Mark::of(notification));
        }
        waits
    }

    /// What there is to say of each call that was looked at, with the number of its refusal. The job is dead.
    pub(crate) fn explain(&mut self, rules: &Rules<'_>) -> Vec<(Option<usize>, Explanation)> {
        let Some(looker) = self.looker.take() else { return Vec::new() };
        let mut explainer = Explainer::new(&looker);
        let explain = |Seen { refusal, call, decision, sight }| {
            let (source, by_lazaret) = rules.author(&decision);
            let refused = Refused {
                filter: rules.filter,
                call: &call,
                decision: &decision,
                by_lazaret,
                source: &source,
                after_start: rules.rule_after_start(decision.rule).map(|(text, _)| text.as_str()),
            };
            (refusal, explainer.explain(sight, &refused))
        };
        std::mem::take(&mut self.seen).into_iter().map(explain).collect()
    }
}
