//! Random rules, filters and calls for property tests, biased to values that matter.

use proptest::prelude::*;
use proptest::sample::select;

use crate::{Action, Arch, Call, Filter, Rule, groups, table};

/// Calls with arguments of every width, and those with a fate of their own.
const CALLS: &[&str] = &[
    "ioctl",
    "clone",
    "clone3",
    "socket",
    "fcntl",
    "prctl",
    "openat",
    "open",
    "mmap",
    "io_uring_setup",
    "personality",
    "getpid",
    "splice",
    "bpf",
    "membarrier",
    "mseal",
];
const ARGUMENTS: &[&str] =
    &["arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "flags", "request", "cmd", "arg", "fd", "domain", "addr"];
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    5,
    6,
    0x80,
    0x5412,
    0x5413,
    0x1000_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ff9c,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0xffff_ffff_0000_5412,
    0xffff_ffff_ffff_ff9c,
    u64::MAX,
];
const CONSTANTS: &[&str] = &[
    "TIOCSTI",
    "CLONE_NEWUSER",
    "AT_FDCWD",
    "O_DIRECTORY | O_NOFOLLOW",
    "CLONE_NEWUSER | CLONE_THREAD",
    "-1",
    "-2147483648",
    "-4294967296",
];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => select(NUMBERS), 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from)]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![4 => number().prop_map(|number| format!("{number:#x}")), 1 => select(CONSTANTS).prop_map(str::to_owned)]
}

fn condition() -> impl Strategy<Value = String> {
    let test = prop_oneof![
        (select(COMPARISONS), value()).prop_map(|(symbol, value)| format!("{symbol} {value}")),
        (value(), select(&["==", "!="][..]), value())
            .prop_map(|(mask, symbol, value)| format!("& {mask} {symbol} {value}")),
        (value(), select(&["==", "!="][..])).prop_map(|(mask, symbol)| format!("& {mask} {symbol} 0")),
        (value(), select(&["==", "!="][..])).prop_map(|(mask, symbol)| format!("& {mask} {symbol} {mask}")),
        prop::collection::vec(value(), 1..4).prop_map(|values| format!("in [{}]", values.join(", "))),
    ];
    (select(ARGUMENTS), test).prop_map(|(argument, test)| format!("{argument} {test}"))
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let names: Vec<_> = table::names().collect();
    let group_names: Vec<_> = groups::all().map(|group| group.name).collect();
    let conditional = (select(CALLS), prop::collection::vec(condition(), 1..3))
        .prop_filter_map("not every argument goes with every call and value", |(call, conditions)| {
            Rule::parse(&format!("{call}({})", conditions.join(", "))).ok()
        });
    let plain = prop_oneof![select(CALLS), select(names), select(group_names)]
        .prop_map(|text| Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")));
    prop_oneof![2 => conditional, 1 => plain]
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(Action::Log),
        Just(Action::Trap),
        Just(Action::Kill),
        (0..3_u16).prop_map(Action::Errno),
        (1..3_u16).prop_map(Action::Refuse),
    ]
}

/// A filter that compiles: no rule permits io_uring.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    (action(), prop::collection::vec((rule(), action()), 0..24)).prop_map(|(default, rules)| {
        rules.into_iter().fold(Filter::new(default), |filter, (rule, action)| {
            let is_io_uring = rule.calls().any(|call| call.starts_with("io_uring_"));
            filter.rule(rule, if is_io_uring && action.permits() { Action::Kill } else { action })
        })
    })
}

/// A call by the numbers of `arch`, now and then by another architecture's.
pub(crate) fn call(arch: Arch) -> impl Strategy<Value = Call> {
    let known: Vec<_> = CALLS.iter().filter_map(|name| table::number(arch, name)).collect();
    let nr = prop_oneof![
        8 => select(known),
        4 => 0..480_u32,
        1 => (0..480_u32).prop_map(|nr| nr | 0x4000_0000),
        1 => any::<u32>(),
    ];
    let audit_arch =
        prop_oneof![15 => Just(arch.audit()), 1 => select(&[0x4000_0003, 0x4000_0028, 0_u32, u32::MAX][..])];
    (audit_arch, nr, prop::array::uniform6(number())).prop_map(|(audit_arch, nr, args)| Call { audit_arch, nr, args })
}
