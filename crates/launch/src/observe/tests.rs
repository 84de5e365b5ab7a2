use super::*;
use crate::filter::FilterPlan;
use lazaret_filter::{Arch, table};
use lazaret_policy::{Brokered, CallAction, CallRule, Loader, Source, Sourced};

fn calls(default: CallAction, rules: &[(&str, CallAction)]) -> SystemCalls {
    let sourced = |rule: &str, action| CallRule { rule: rule.to_owned(), action, why: String::new() };
    SystemCalls {
        default: Sourced::new(default, Source::Builder),
        rules: rules.iter().map(|(rule, action)| Sourced::new(sourced(rule, *action), Source::Builder)).collect(),
        refuse_after_start: Vec::new(),
        brokered: Brokered::default(),
    }
}

fn call(name: &str, args: [u64; 6]) -> Call {
    let arch = Arch::native().expect("this architecture has a table");
    Call { audit_arch: arch.audit(), nr: table::number(arch, name).expect("the call is known"), args }
}

fn plan(calls: &SystemCalls, observe: &Observe) -> FilterPlan {
    let plan = FilterPlan::bounded(calls, &[], true, 1 << 20).expect("the rules are good");
    plan.observed(observe, &[]).expect("the rules are good")
}

#[test]
fn without_observing_the_program_is_what_it_was() {
    let rules = Loader::new().profile("default").expect("it is there").system_calls;
    let plain = FilterPlan::bounded(&rules, &[], true, 1 << 20).expect("the rules are good");

    let observed = plan(&rules, &Observe::Nothing);

    assert_eq!(observed.program, plain.program);
    assert!(observed.watching().is_none());
}

#[test]
fn every_profile_can_be_observed_beside_every_other() {
    let policies: Vec<_> = lazaret_policy::profiles::names()
        .map(|name| Loader::new().profile(name).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    for enforced in &policies {
        for other in &policies {
            let against = Observe::Against(Box::new(Other::new(&other.system_calls, &other.limits)));
            let plan = plan(&enforced.system_calls, &against);
            assert_eq!(plan.unwatched(), None, "{} beside {}", other.name, enforced.name);
        }
        assert_eq!(plan(&enforced.system_calls, &Observe::Everything).unwatched(), None, "{}", enforced.name);
    }
}

#[test]
fn where_nobody_can_be_told_the_filter_stays_and_says_so() {
    let rules = calls(CallAction::Allow, &[]);
    let alone = FilterPlan::bounded(&rules, &[], false, 1 << 20).expect("the rules are good");
    let program = alone.program.clone();

    let observed = alone.observed(&Observe::Everything, &[]).expect("the rules are good");

    assert_eq!(observed.program, program);
    assert!(observed.unwatched().is_some_and(|why| why.contains("notifier")));
}

#[test]
fn what_the_launch_itself_calls_does_not_wait() {
    let plan = plan(&calls(CallAction::Allow, &[]), &Observe::Everything);
    let token = plan.token;
    assert_ne!(token, 0);
    let filter = &plan.watching().expect("it is watched").filter;

    for name in LAUNCH {
        assert_eq!(filter.decide(&call(name, [1, 2, 3, 4, 5, token])).action, Action::Allow, "{name}");
        assert_eq!(filter.decide(&call(name, [0; 6])).action, Action::Log, "{name}");
    }
}

const LAUNCH: [&str; 3] = ["execve", "faccessat", "exit_group"];

#[test]
fn the_other_policy_is_asked_with_its_own_rules_and_its_bound_of_a_file() {
    let other = calls(CallAction::Allow, &[("ptrace", CallAction::Kill), ("getpid", CallAction::Silent)]);
    let against = Observe::Against(Box::new(Other { calls: other, file_size: 100 }));
    let plan = plan(&calls(CallAction::Allow, &[]), &against);
    let watching = plan.watching().expect("it is watched");
    let decide = |name, args| watching.other_decides(&call(name, args)).expect("there is another policy");

    assert_eq!(decide("ptrace", [0; 6]).action, Action::Kill);
    assert_eq!(decide("getpid", [0; 6]).action, Action::Errno(1));
    assert_eq!(decide("openat", [0; 6]).action, Action::Allow);
    assert!(watching.is_beyond(decide("ftruncate", [3, 101, 0, 0, 0, 0]).rule));
    assert!(!watching.is_beyond(decide("ftruncate", [3, 100, 0, 0, 0, 0]).rule));
    assert_eq!(watching.rule(decide("ptrace", [0; 6]).rule).as_deref(), Some("ptrace"));
    assert_eq!(watching.filter.decide(&call("openat", [0; 6])).action, Action::Log);
    assert_eq!(watching.filter.default_action(), Action::Allow);
}
