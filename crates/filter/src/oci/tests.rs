use proptest::prelude::*;

use super::*;
use crate::{Action, Arch, Backend, Call, Filter, Rule, arbitrary, table};

/// The shape of Docker's and Podman's default profiles, small.
const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "defaultErrno": "ENOSYS",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
    "syscalls": [
        {"names": ["bdflush", "io_pgetevents"], "action": "SCMP_ACT_ERRNO", "args": [], "errnoRet": 1, "errno": "EPERM"},
        {"names": ["read", "chown32", "clone3", "io_uring_setup"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 4294967295, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [], "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
         "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"minKernel": "4.8"}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"minKernel": "99.0"}},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "errno": "EINVAL",
         "args": [{"index": 0, "value": 16, "valueTwo": 0, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 9, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 9, "valueTwo": 0, "op": "SCMP_CMP_NE"}]}
    ]
}"#;

fn environment(capabilities: &[&str]) -> Environment {
    Environment {
        arch: Arch::X86_64,
        capabilities: capabilities.iter().map(|&name| name.to_owned()).collect(),
        kernel: (6, 18),
    }
}

fn call(name: &str, args: [u64; 6]) -> Call {
    Call { audit_arch: Arch::X86_64.audit(), nr: table::number(Arch::X86_64, name).expect("the call is known"), args }
}

#[test]
fn a_profile_of_dockers_shape_means_what_it_says() {
    let imported = read(PROFILE, &environment(&[])).expect("the profile is sound");

    for (name, args, action) in [
        ("read", [0; 6], Action::Allow),
        ("write", [0; 6], Action::Errno(38)),
        ("clone3", [0; 6], Action::Allow),
        ("io_pgetevents", [0; 6], Action::Refuse(1)),
        ("personality", [0; 6], Action::Allow),
        ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], Action::Allow),
        ("personality", [8, 0, 0, 0, 0, 0], Action::Errno(38)),
        ("mount", [0; 6], Action::Refuse(1)),
        ("clone", [17, 0, 0, 0, 0, 0], Action::Allow),
        ("clone", [0x1000_0000, 0, 0, 0, 0, 0], Action::Errno(38)),
        ("arch_prctl", [0; 6], Action::Allow),
        ("ptrace", [0; 6], Action::Allow),
        ("bpf", [0; 6], Action::Errno(38)),
        ("socket", [2, 1, 0, 0, 0, 0], Action::Allow),
        ("socket", [16, 3, 9, 0, 0, 0], Action::Refuse(22)),
        ("socket", [2, 3, 9, 0, 0, 0], Action::Errno(38)),
    ] {
        assert_eq!(imported.filter.decide(&call(name, args)).action, action, "{name} {args:x?}");
    }
}

#[test]
fn what_has_no_place_in_a_filter_is_reported() {
    let imported = read(PROFILE, &environment(&[])).expect("the profile is sound");

    let unknown = |name: &str| Ignored::UnknownCall(name.to_owned());
    assert_eq!(
        imported.ignored,
        [unknown("bdflush"), unknown("chown32"), Ignored::IoUring("io_uring_setup".to_owned())]
    );
}

#[test]
fn capabilities_include_and_exclude_entries() {
    let imported = read(PROFILE, &environment(&["CAP_SYS_ADMIN"])).expect("the profile is sound");

    assert_eq!(imported.filter.decide(&call("mount", [0; 6])).action, Action::Allow);
    assert_eq!(imported.filter.decide(&call("clone", [17, 0, 0, 0, 0, 0])).action, Action::Errno(38));
}

#[test]
fn a_rule_without_conditions_prevails_over_those_with() {
    let json = r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [
        {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW"},
        {"name": "ioctl", "action": "SCMP_ACT_TRAP", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#;

    let imported = read(json, &environment(&[])).expect("the profile is sound");

    assert_eq!(imported.filter.decide(&call("ioctl", [0, 1, 0, 0, 0, 0])).action, Action::Allow);
}

#[test]
fn several_conditions_on_one_argument_are_alternatives() {
    let json = r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]}"#;

    let imported = read(json, &environment(&[])).expect("the profile is sound");

    assert_eq!(imported.filter.decide(&call("ioctl", [0, 2, 0, 0, 0, 0])).action, Action::Allow);
    assert_eq!(imported.filter.decide(&call("ioctl", [0, 3, 0, 0, 0, 0])).action, Action::Kill);
}

#[test]
fn what_a_filter_cannot_say_is_an_error() {
    let with = |entry: &str| {
        read(&format!(r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{entry}]}}"#), &environment(&[]))
    };

    assert!(matches!(with(r#"{"names": [], "action": "SCMP_ACT_TRACE"}"#), Err(ReadError::Action { .. })));
    assert!(matches!(
        with(r#"{"names": [], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}"#),
        Err(ReadError::Errno { errno: 4096 })
    ));
    let args = |args: &str| with(&format!(r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{args}]}}"#));
    assert!(matches!(
        args(r#"{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}"#),
        Err(ReadError::Argument { index: 6, .. })
    ));
    assert!(matches!(
        args(r#"{"index": 1, "value": 4294967296, "op": "SCMP_CMP_EQ"}"#),
        Err(ReadError::Argument { .. })
    ));
    assert!(matches!(args(r#"{"index": 1, "value": 1, "op": "SCMP_CMP"}"#), Err(ReadError::Operator { .. })));
    assert!(matches!(
        with(r#"{"names": [], "action": "SCMP_ACT_ALLOW", "includes": {"moon": "full"}}"#),
        Err(ReadError::Json(_))
    ));
}

#[test]
fn an_ordered_filter_is_written_without_order() {
    let filter = [
        ("@default", Action::Allow),
        ("@process", Action::Allow),
        ("clone(flags & CLONE_PARENT != 0)", Action::Kill),
        ("ioctl(request != TIOCSTI)", Action::Allow),
        ("mmap(length > 0x1000_0000)", Action::Errno(12)),
        ("prctl(option == PR_SET_NAME)", Action::Refuse(7)),
    ]
    .into_iter()
    .fold(Filter::new(Action::Refuse(1)), |filter, (text, action)| {
        filter.rule(Rule::parse(text).expect("the text is a rule"), action)
    });
    let json = write(&filter, Arch::X86_64).expect("the filter can be written");

    let read_back = read(&json, &environment(&[])).expect("the profile is sound").filter;

    for (_, name) in table::iter(Arch::X86_64) {
        for arg in [
            0,
            1,
            15,
            17,
            0x5401,
            0x5412,
            0x8000,
            0x8011,
            0x1000_0000,
            0x1000_0001,
            1 << 32,
            1 << 32 | 0x5412,
            u64::MAX,
        ] {
            let call = call(name, [arg; 6]);
            let returns = |filter: &Filter| Backend::Alone.returns(filter.decide(&call).action);
            assert_eq!(returns(&read_back), returns(&filter), "{name} {arg:#x}\n{json}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_filter_written_and_read_permits_no_more(
        filter in arbitrary::filter(),
        calls in prop::collection::vec(arbitrary::call(Arch::X86_64), 100),
    ) {
        if let Ok(json) = write(&filter, Arch::X86_64) {
            let read_back = read(&json, &environment(&[])).expect("the profile is sound").filter;
            for call in calls {
                prop_assert!(!read_back.decide(&call).action.permits() || filter.decide(&call).action.permits(), "{:x?}\n{}", call, json);
            }
        }
    }
}
