//! What a filter can decide about a call of which not every argument is known.

use crate::arch::Arch;
use crate::filter::{Decision, Filter, Reason};
use crate::table::CallId;

impl Filter {
    /// What permits the call `name` under some arguments at least; `None` when it is refused whatever they are, or
    /// when no architecture has such a call.
    ///
    /// Errs to the side of permitted: conditions of one rule are not compared with those of the next.
    #[must_use]
    pub fn may_permit(&self, name: &str) -> Option<Decision> {
        let call = CallId::named(name)?;
        for alternative in self.alternatives(call).rev() {
            if alternative.action.permits() && !call.is_io_uring() {
                return Some(Decision {
                    action: alternative.action,
                    rule: Some(alternative.rule),
                    reason: Reason::Rule,
                });
            }
            if alternative.member.conditions.is_empty() {
                return None;
            }
        }
        let fallback = self.fallback(call);
        fallback.action.permits().then_some(fallback)
    }

    /// Every decision that there can be about the call `name` with these registers, where `None` is one that nobody
    /// knows yet. Empty when no architecture has such a call.
    ///
    /// Errs to the side of more: conditions on unknown registers are not compared with each other.
    #[must_use]
    pub fn possible(&self, arch: Arch, name: &str, args: [Option<u64>; 6]) -> Vec<Decision> {
        let Some(call) = CallId::named(name) else { return Vec::new() };
        let registers = args.map(Option::unwrap_or_default);
        let mut found = Vec::new();
        for alternative in self.alternatives(call).rev() {
            let leaning = alternative.action.leaning();
            let conditions = || alternative.member.conditions.iter().map(|condition| condition.resolve(arch, leaning));
            let known = |index: u8| args[usize::from(index)].is_some();
            if conditions().any(|condition| known(condition.index) && !condition.holds(&registers)) {
                continue;
            }
            let (action, rule) = (alternative.action, Some(alternative.rule));
            found.push(Decision { action, rule, reason: Reason::Rule });
            if conditions().all(|condition| known(condition.index)) {
                return found;
            }
        }
        found.push(self.fallback(call));
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::{Action, Arch, Filter, Rule};

    fn filter(rules: &[(&str, Action)]) -> Filter {
        let mut filter = Filter::new(Action::Refuse(1));
        for (rule, action) in rules {
            filter.push(Rule::parse(rule).expect("a good rule"), *action);
        }
        filter
    }

    #[test]
    fn a_call_that_is_permitted_under_a_condition_may_be_permitted() {
        let filter = filter(&[("mmap(prot & PROT_EXEC == 0)", Action::Allow)]);

        assert_eq!(filter.may_permit("mmap").and_then(|decision| decision.rule), Some(0));
        assert_eq!(filter.may_permit("munmap"), None);
    }

    #[test]
    fn a_later_refusal_of_every_form_ends_a_permission_also_through_a_group() {
        let filter = filter(&[("chown", Action::Allow), ("fchown", Action::Allow), ("@chown", Action::Refuse(1))]);

        assert_eq!(filter.may_permit("chown"), None);
        assert_eq!(filter.may_permit("fchown"), None);
    }

    #[test]
    fn a_later_refusal_of_one_form_leaves_the_others() {
        let filter = filter(&[("kill", Action::Allow), ("kill(pid != 7)", Action::Refuse(1))]);

        assert!(filter.may_permit("kill").is_some());
    }

    #[test]
    fn every_decision_is_possible_that_hangs_on_registers_nobody_knows_and_none_that_does_not() {
        let filter = filter(&[
            ("kill", Action::Allow),
            ("kill(sig == 9)", Action::Kill),
            ("kill(pid == 7, sig == 1)", Action::Log),
        ]);
        let possible = |pid, sig| -> Vec<_> {
            let decisions = filter.possible(Arch::X86_64, "kill", [pid, sig, None, None, None, None]);
            decisions.into_iter().map(|decision| decision.action).collect()
        };

        assert_eq!(possible(None, Some(9)), [Action::Kill]);
        assert_eq!(possible(None, Some(1)), [Action::Log, Action::Allow]);
        assert_eq!(possible(Some(7), Some(1)), [Action::Log]);
        assert_eq!(possible(Some(8), None), [Action::Kill, Action::Allow]);
        let fallback = filter.possible(Arch::X86_64, "getpid", [None; 6]);
        assert_eq!(fallback.iter().map(|decision| decision.action).collect::<Vec<_>>(), [Action::Refuse(1)]);
    }

    #[test]
    fn a_default_that_permits_permits_everything_but_io_uring_and_clone3() {
        let filter = Filter::new(Action::Allow);

        assert!(filter.may_permit("ptrace").is_some());
        assert_eq!(filter.may_permit("io_uring_setup"), None);
        assert_eq!(filter.may_permit("clone3"), None);
    }
}
