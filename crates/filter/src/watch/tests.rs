use proptest::prelude::*;

use super::*;
use crate::{Action, Rule, arbitrary, interpret};

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;

/// What the kernel has to answer for a call.
fn expected(watch: Watch<'_>, enforced: &Filter, call: &Call) -> u32 {
    let action = enforced.decide(call).action;
    let told = match watch {
        Watch::Nothing => false,
        Watch::Unless(filter) => filter.decide(call).action != Action::Allow,
        Watch::UnlessBoth(first, second) => [first, second].iter().any(|f| f.decide(call).action != Action::Allow),
    };
    if action == Action::Allow && told { NOTIFY } else { Backend::Supervised.returns(action) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_permitted_that_is_refused_and_all_that_would_be_refused_is_told(
        enforced in arbitrary::filter(),
        other in arbitrary::filter(),
        third in arbitrary::filter(),
        arch in prop::sample::select(&Arch::ALL[..]),
        calls in prop::collection::vec(arbitrary::call(Arch::X86_64), 100),
        more in prop::collection::vec(arbitrary::call(Arch::Aarch64), 100),
    ) {
        let plain = enforced.compile(arch, Backend::Supervised).expect("the filter compiles");
        for watch in [Watch::Nothing, Watch::Unless(&other), Watch::UnlessBoth(&other, &third)] {
            let program = watch.compile(&enforced, arch).expect("both filters compile");
            for call in calls.iter().chain(&more).filter(|call| {
                // A program takes other architectures for foreign, of which the reference knows one by its own table.
                call.audit_arch == arch.audit() || Arch::from_audit(call.audit_arch).is_none()
            }) {
                let answer = interpret::run(&program, call);
                let without = interpret::run(&plain, call);
                prop_assert_eq!(answer, expected(watch, &enforced, call), "{:?} {:x?}\n{}", watch, call, program);
                prop_assert!(answer == without || (without == ALLOW && answer == NOTIFY), "{:x?}", call);
                let sight = watch.decide(&enforced, call);
                prop_assert_eq!(sight.enforced, enforced.decide(call));
                let would = watch != Watch::Nothing && sight.enforced.action.permits();
                let both = matches!(watch, Watch::UnlessBoth(..));
                let first = other.decide(call);
                let decides = if both && first.action == Action::Allow { third.decide(call) } else { first };
                prop_assert_eq!(sight.watched, would.then_some(decides));
            }
        }
    }

    #[test]
    fn a_filter_that_watches_with_itself_is_told_of_nothing_more(enforced in arbitrary::filter()) {
        let watched = Watch::Unless(&enforced).compile(&enforced, Arch::X86_64).expect("the filter compiles");
        let plain = enforced.compile(Arch::X86_64, Backend::Supervised).expect("the filter compiles");

        for nr in 0..480 {
            for args in [[0; 6], [5; 6], [u64::MAX; 6]] {
                let call = Call { audit_arch: Arch::X86_64.audit(), nr, args };
                prop_assert_eq!(interpret::run(&watched, &call), interpret::run(&plain, &call));
            }
        }
    }
}

#[test]
fn without_watching_the_program_is_the_same_to_the_byte() {
    let enforced =
        Filter::new(Action::Refuse(1)).rule(rule("@default"), Action::Allow).rule(rule("ioctl"), Action::Log);

    let watched = Watch::Nothing.compile(&enforced, Arch::X86_64);

    assert_eq!(watched, enforced.compile(Arch::X86_64, Backend::Supervised));
}

#[test]
fn a_watched_filter_that_cannot_be_compiled_is_an_error() {
    let enforced = Filter::new(Action::Allow);
    let bad = Filter::new(Action::Refuse(1)).rule(rule("io_uring_setup"), Action::Allow);

    let compiled = Watch::Unless(&bad).compile(&enforced, Arch::X86_64);

    assert!(matches!(compiled, Err(CompileError::IoUring { .. })), "{compiled:?}");
}

#[test]
fn a_later_rule_of_the_watched_filter_does_not_undo_a_refusal() {
    let enforced = Filter::new(Action::Allow).rule(rule("ptrace"), Action::Refuse(1));
    let other = Filter::new(Action::Allow).rule(rule("ptrace"), Action::Allow);
    let program = Watch::Unless(&other).compile(&enforced, Arch::X86_64).expect("both filters compile");
    let call = Call { audit_arch: Arch::X86_64.audit(), nr: 101, args: [0; 6] };

    assert_eq!(interpret::run(&program, &call), NOTIFY);
    assert_eq!(Watch::Unless(&other).decide(&enforced, &call).enforced.action, Action::Refuse(1));
    assert_eq!(Watch::Unless(&other).decide(&enforced, &call).watched, None);
}

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_filter_that_logs_everything_is_told_of_every_permitted_call_but_those_it_allows() {
    let enforced = Filter::new(Action::Allow).rule(rule("ptrace"), Action::Errno(1));
    let other = Filter::new(Action::Log).rule(rule("execve(arg5 == 0x89abcdef)"), Action::Allow);
    let program = Watch::Unless(&other).compile(&enforced, Arch::X86_64).expect("both filters compile");
    let run = |nr, sixth| {
        interpret::run(&program, &Call { audit_arch: Arch::X86_64.audit(), nr, args: [7, 7, 7, 7, 7, sixth] })
    };

    assert_eq!([run(0, 0), run(59, 0), run(59, 0x89ab_cdef), run(101, 0)], [NOTIFY, NOTIFY, ALLOW, 0x0005_0001]);
}
