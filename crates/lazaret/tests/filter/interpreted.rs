//! The compiled program, run in the interpreter.

use crate::calls::{Interest, seeds};
use crate::meaning::{Fate, permits};
use crate::policies::policy;
use lazaret::plan::{FilterPlan, OWN_RULES};
use lazaret_filter::{Action, Arch, Backend, interpret};
use proptest::prelude::*;

/// Whether an action of the filter is the fate that the policy means.
pub(crate) fn is(action: Action, fate: Fate) -> bool {
    match fate {
        Fate::Fixed { errno, recorded: true } => matches!(action, Action::Refuse(own) if i32::from(own) == errno),
        Fate::Fixed { errno, recorded: false } => matches!(action, Action::Errno(own) if i32::from(own) == errno),
        Fate::Action("allow") => action == Action::Allow,
        Fate::Action("log") => action == Action::Log,
        Fate::Action("trap") => action == Action::Trap,
        Fate::Action("kill") => action == Action::Kill,
        Fate::Action("refuse") => action == Action::Refuse(1),
        Fate::Action("silent") => action == Action::Errno(1),
        Fate::Action(other) => panic!("there is no action {other}"),
    }
}

/// What the kernel does when the program returns `value`: the high half says it, by `linux/seccomp.h`.
fn does(value: u32) -> &'static str {
    match value & 0xffff_0000 {
        0x7fff_0000 => "allow",
        0x7ffc_0000 => "log",
        0x7fc0_0000 => "notify",
        0x0005_0000 => "errno",
        0x0003_0000 => "trap",
        0x8000_0000 => "kill",
        other => panic!("{other:#x}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::WithSource("regressions"))), ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_policy_decides_as_it_means_in_the_interpreter(policy in policy(), seeds in seeds(400)) {
        let loaded = policy.load().unwrap_or_else(|error| panic!("{error}\n{:#?}", policy.texts()));
        let arch = Arch::native().expect("the tests run on an architecture with a table");
        let interest = Interest::of(&policy, arch);
        for supervised in [true, false] {
            let plan = FilterPlan::new(&loaded.system_calls, OWN_RULES, supervised).expect("the policy can be enforced");
            let backend = if supervised { Backend::Supervised } else { Backend::Alone };
            let program = plan.filter.compile(arch, backend).expect("it did so before");
            prop_assert_eq!(program.as_bytes(), plan.program.clone());
            for seed in &seeds {
                let (call, made) = interest.call(seed, arch);
                let fate = policy.fate(&made);
                let decided = plan.filter.decide(&call);
                prop_assert!(is(decided.action, fate), "{:?} for {:x?} means {:?}\n{:#?}", decided, made, fate, policy.texts());
                let value = interpret::run(&program, &call);
                let expected = match (fate, supervised) {
                    (Fate::Action("allow"), _) => "allow",
                    (Fate::Action("trap"), _) => "trap",
                    (Fate::Action("silent") | Fate::Fixed { recorded: false, .. }, _) => "errno",
                    (_, true) => "notify",
                    (Fate::Action("log"), false) => "log",
                    (Fate::Action("kill"), false) => "kill",
                    (Fate::Action(_) | Fate::Fixed { .. }, false) => "errno",
                };
                prop_assert_eq!(does(value), expected, "{:x?}\n{:#?}\n{}", made, policy.texts(), program);
                if let (Fate::Fixed { errno, .. }, "errno") = (fate, expected) {
                    prop_assert_eq!(i32::try_from(value & 0xffff).expect("16 bits"), errno);
                }
                prop_assert!(decided.action.permits() == matches!(fate, Fate::Action(action) if permits(action)));
            }
        }
    }
}
