//! The built-in profiles are part of the program: their rules are checked here, not at every start.

use lazaret_filter::{Arch, Backend, Filter, Rule};

#[test]
fn every_rule_of_every_profile_can_be_parsed_and_enforced_on_every_architecture() {
    for name in lazaret::profiles() {
        let policy = lazaret::profile(name).expect("a built-in profile loads");
        let filter =
            policy.system_calls.rules.iter().fold(Filter::new(lazaret_filter::Action::Refuse(1)), |filter, rule| {
                let parsed = Rule::parse(&rule.rule).unwrap_or_else(|e| panic!("{name}, `{}`: {e}", rule.rule));
                filter.rule(parsed, lazaret_filter::Action::Allow)
            });
        for arch in Arch::ALL {
            filter.compile(arch, Backend::Supervised).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}
