use proptest::prelude::*;

use super::*;
use crate::{Call, Rule, arbitrary, table};

fn filter(rules: &[(&str, Action)]) -> Filter {
    rules.iter().fold(Filter::new(Action::Refuse(1)), |filter, (text, action)| {
        filter.rule(Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), *action)
    })
}

fn allowing(texts: &[&str]) -> Filter {
    filter(&texts.iter().map(|text| (*text, Action::Allow)).collect::<Vec<_>>())
}

fn between(first: &[&str], second: &[&str], call: &str) -> Difference {
    allowing(first).difference(&allowing(second), Arch::X86_64, call)
}

#[test]
fn the_same_said_otherwise_is_no_difference() {
    for (first, second, call) in [
        (&["ioctl(request in [1, 2, 3])"][..], &["ioctl(request >= 1, request <= 3)"][..], "ioctl"),
        (&["read"], &["@descriptors"], "read"),
        (&["socket(domain == 1)", "socket(domain != 1)"], &["socket"], "socket"),
        (&["clone(flags & 0x10000000 == 0)"], &["clone(flags & CLONE_NEWUSER != CLONE_NEWUSER)"], "clone"),
        (&["mmap(length < 0x1000)"], &["mmap(length <= 0xfff)"], "mmap"),
    ] {
        assert_eq!(between(first, second, call), Difference::None, "{first:?} {second:?}");
    }
}

#[test]
fn a_single_value_is_a_difference() {
    let difference = between(&["ioctl(request <= 0x5412)"], &["ioctl(request < 0x5412)"], "ioctl");

    assert_eq!(difference, Difference::Some { permitted: [Extent::Some; 2], wider: false, narrower: true });
    let both = between(&["ioctl(request in [1, 2])"], &["ioctl(request in [2, 3])"], "ioctl");
    assert_eq!(both, Difference::Some { permitted: [Extent::Some; 2], wider: true, narrower: true });
}

#[test]
fn a_condition_that_falls_away_widens() {
    let difference = between(&["socket(domain == AF_UNIX)"], &["socket"], "socket");

    assert_eq!(
        difference,
        Difference::Some { permitted: [Extent::Some, Extent::Everything], wider: true, narrower: false }
    );
    let gone = between(&["socket"], &[], "socket");
    assert_eq!(
        gone,
        Difference::Some { permitted: [Extent::Everything, Extent::Nothing], wider: false, narrower: true }
    );
}

#[test]
fn another_manner_of_refusing_is_a_difference_that_permits_nothing_more() {
    let difference = filter(&[("socket", Action::Kill)]).difference(
        &filter(&[("socket", Action::Errno(1))]),
        Arch::X86_64,
        "socket",
    );

    assert_eq!(difference, Difference::Some { permitted: [Extent::Nothing; 2], wider: false, narrower: false });
}

#[test]
fn what_is_too_much_to_tell_is_not_called_the_same() {
    // Each pair of values fits one another only: the first 64 bits have to be remembered.
    let many: Vec<_> = (0..12_000_u64)
        .map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .map(|hash| {
            format!(
                "mmap(addr == {hash:#x}, length == {:#x}, offset == {:#x})",
                hash.rotate_left(17),
                hash.rotate_left(31)
            )
        })
        .collect();
    let texts: Vec<_> = many.iter().map(String::as_str).collect();

    let difference = allowing(&texts).difference(&allowing(&["mmap(length != 5)"]), Arch::X86_64, "mmap");

    assert!(matches!(difference, Difference::Unknown { .. }), "{difference:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_call_is_decided_otherwise_where_there_is_no_difference(
        first in arbitrary::filter(),
        second in arbitrary::filter(),
        calls in prop::collection::vec(arbitrary::call(Arch::X86_64), 40),
    ) {
        for call in calls.into_iter().filter(|call| call.audit_arch == Arch::X86_64.audit()) {
            let Some(name) = table::name(Arch::X86_64, call.nr) else { continue };
            let [one, two] = [&first, &second].map(|filter: &Filter| filter.decide(&Call { ..call }).action);
            match first.difference(&second, Arch::X86_64, name) {
                Difference::None => prop_assert_eq!(one, two, "{} {:x?}", name, call.args),
                Difference::Some { permitted, wider, narrower } => {
                    prop_assert!(!two.permits() || one.permits() || wider, "{} {:x?}", name, call.args);
                    prop_assert!(!one.permits() || two.permits() || narrower, "{} {:x?}", name, call.args);
                    for (extent, action) in permitted.into_iter().zip([one, two]) {
                        prop_assert!(extent != Extent::Nothing || !action.permits());
                        prop_assert!(extent != Extent::Everything || action.permits());
                    }
                }
                Difference::Unknown { .. } => {}
            }
        }
    }
}

#[test]
fn a_refusal_of_two_values_is_the_same_before_and_behind_what_is_permitted_beside_it() {
    let refusal = ("socket(domain == 16, protocol == 9)", Action::Kill);
    let permitted = [("socket(protocol != 9)", Action::Allow), ("socket(domain != 16)", Action::Allow)];
    let before = filter(&[refusal, permitted[0], permitted[1], permitted[0]]);
    let behind = filter(&[permitted[0], permitted[1], permitted[0], refusal]);

    assert_eq!(before.difference(&behind, Arch::X86_64, "socket"), Difference::None);
    assert_eq!(before.extent(Arch::X86_64, "socket"), Some(Extent::Some));
}
