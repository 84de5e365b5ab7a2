//! What a filter can permit at all, whatever the arguments are.

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
}

#[cfg(test)]
mod tests {
    use crate::{Action, Filter, Rule};

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
    fn a_default_that_permits_permits_everything_but_io_uring_and_clone3() {
        let filter = Filter::new(Action::Allow);

        assert!(filter.may_permit("ptrace").is_some());
        assert_eq!(filter.may_permit("io_uring_setup"), None);
        assert_eq!(filter.may_permit("clone3"), None);
    }
}
