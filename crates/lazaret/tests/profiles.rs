//! The built-in profiles are part of the program: their rules are checked here, not at every start.

use lazaret::plan::FilterPlan;
use lazaret_filter::{Arch, Backend};

#[test]
fn every_rule_of_every_profile_can_be_parsed_and_enforced_on_every_architecture() {
    for name in lazaret::profiles() {
        let policy = lazaret::profile(name).expect("a built-in profile loads");
        let plan = FilterPlan::new(&policy.system_calls, lazaret::plan::OWN_RULES, true)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        for arch in Arch::ALL {
            plan.filter.compile(arch, Backend::Supervised).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}
