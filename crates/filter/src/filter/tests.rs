use super::*;

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn call(name: &str, args: [u64; 6]) -> Call {
    Call {
        audit_arch: Arch::X86_64.audit(),
        nr: crate::table::number(Arch::X86_64, name).expect("the call is known"),
        args,
    }
}

fn refusing() -> Filter {
    Filter::new(Action::Refuse(1))
}

/// A call whose second argument is `second`.
fn second(name: &str, second: u64) -> Call {
    call(name, [0, second, 0, 0, 0, 0])
}

#[test]
fn the_last_matching_rule_decides() {
    let filter = refusing()
        .rule(rule("@file-read"), Action::Allow)
        .rule(rule("stat"), Action::Kill)
        .rule(rule("stat(arg1 == 7)"), Action::Errno(2));

    assert_eq!(
        filter.decide(&second("stat", 0)),
        Decision { action: Action::Kill, rule: Some(1), reason: Reason::Rule }
    );
    assert_eq!(
        filter.decide(&second("stat", 7)),
        Decision { action: Action::Errno(2), rule: Some(2), reason: Reason::Rule }
    );
    assert_eq!(
        filter.decide(&second("lstat", 7)),
        Decision { action: Action::Allow, rule: Some(0), reason: Reason::Rule }
    );
    assert_eq!(
        filter.decide(&second("mkdir", 7)),
        Decision { action: Action::Refuse(1), rule: None, reason: Reason::Default }
    );
}

#[test]
fn all_conditions_must_hold() {
    let filter = refusing().rule(rule("socket(domain == AF_UNIX, type & 0xf == SOCK_STREAM)"), Action::Allow);

    assert!(filter.decide(&call("socket", [1, 1 | 0x80000, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("socket", [1, 2, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("socket", [2, 1, 0, 0, 0, 0])).action.permits());
}

#[test]
fn the_high_half_of_a_32_bit_argument_neither_dodges_a_refusal_nor_an_exception() {
    let all_but = refusing().rule(rule("ioctl(request != TIOCSTI)"), Action::Allow);
    let denied = Filter::new(Action::Allow).rule(rule("ioctl(request == TIOCSTI)"), Action::Kill);

    for high in [0, 1 << 32, 0xffff_ffff_0000_0000] {
        assert!(!all_but.decide(&second("ioctl", high | 0x5412)).action.permits());
        assert!(!denied.decide(&second("ioctl", high | 0x5412)).action.permits());
        assert!(all_but.decide(&second("ioctl", high | 0x5413)).action.permits());
    }
}

#[test]
fn an_argument_of_unknown_width_permits_only_what_holds_in_both_readings() {
    let equal = refusing().rule(rule("prctl(second == 5)"), Action::Allow);
    let unequal = refusing().rule(rule("prctl(second != 5)"), Action::Allow);

    assert!(equal.decide(&second("prctl", 5)).action.permits());
    assert!(!equal.decide(&second("prctl", 1 << 32 | 5)).action.permits());
    assert!(!unequal.decide(&second("prctl", 1 << 32 | 5)).action.permits());
    assert!(unequal.decide(&second("prctl", 1 << 32 | 6)).action.permits());
}

#[test]
fn an_argument_of_unknown_width_is_refused_if_it_holds_in_either_reading() {
    let equal = Filter::new(Action::Allow).rule(rule("prctl(second == 5)"), Action::Kill);
    let above = Filter::new(Action::Allow).rule(rule("prctl(second > 5)"), Action::Kill);

    assert!(!equal.decide(&second("prctl", 1 << 32 | 5)).action.permits());
    assert!(!above.decide(&second("prctl", 1 << 32)).action.permits());
    assert!(above.decide(&second("prctl", 5)).action.permits());
}

#[test]
fn a_64_bit_argument_is_compared_whole() {
    let filter = refusing().rule(rule("mmap(length <= 0x1000)"), Action::Allow);

    assert!(filter.decide(&second("mmap", 0x1000)).action.permits());
    assert!(!filter.decide(&second("mmap", 0x1_0000_0000)).action.permits());
}

#[test]
fn a_value_of_more_than_32_bits_says_that_the_argument_has_64() {
    let filter = Filter::new(Action::Allow).rule(rule("prctl(second == 0x1_0000_0005)"), Action::Kill);

    assert!(!filter.decide(&second("prctl", 0x1_0000_0005)).action.permits());
    assert!(filter.decide(&second("prctl", 5)).action.permits());
}

#[test]
fn foreign_and_x32_and_unknown_calls_are_refused_with_enosys_whatever_the_rules() {
    let filter = Filter::new(Action::Allow);
    let native = call("read", [0; 6]);

    for (call, reason) in [
        (Call { audit_arch: 0x4000_0003, ..native }, Reason::ForeignArch),
        (Call { nr: native.nr | 0x4000_0000, ..native }, Reason::X32),
        (Call { nr: u32::MAX, ..native }, Reason::X32),
        (Call { nr: 400, ..native }, Reason::Unknown),
        (Call { nr: 470, ..native }, Reason::Unknown),
    ] {
        assert_eq!(filter.decide(&call), Decision { action: Action::Refuse(38), rule: None, reason });
    }
}

#[test]
fn clone3_fails_silently_unless_a_rule_names_it() {
    let clone3 = call("clone3", [0; 6]);
    let silent = Decision { action: Action::Errno(38), rule: None, reason: Reason::Clone3 };

    assert_eq!(Filter::new(Action::Allow).decide(&clone3), silent);
    assert_eq!(Filter::new(Action::Kill).rule(rule("clone3(arg1 == 7)"), Action::Allow).decide(&clone3), silent);
    assert_eq!(refusing().rule(rule("clone3"), Action::Allow).decide(&clone3).action, Action::Allow);
}

#[test]
fn io_uring_is_refused_whatever_the_rules() {
    let setup = call("io_uring_setup", [0; 6]);
    let refused = Decision { action: Action::Refuse(1), rule: None, reason: Reason::IoUring };

    assert_eq!(Filter::new(Action::Allow).decide(&setup), refused);
    assert_eq!(refusing().rule(rule("io_uring_setup"), Action::Allow).decide(&setup), refused);
    assert_eq!(refusing().rule(rule("@io-uring"), Action::Kill).decide(&setup).action, Action::Kill);
}

#[test]
fn flags_whose_value_differs_between_architectures_are_compared_by_the_calls_own() {
    let filter = Filter::new(Action::Allow).rule(rule("openat(flags & O_DIRECTORY != 0)"), Action::Kill);
    let on = |arch: Arch, flags| {
        let nr = crate::table::number(arch, "openat").expect("the call is known");
        filter.decide(&Call { audit_arch: arch.audit(), nr, args: [0, 0, flags, 0, 0, 0] }).action
    };

    assert_eq!(on(Arch::X86_64, 0o200_000), Action::Kill);
    assert_eq!(on(Arch::X86_64, 0o40_000), Action::Allow);
    assert_eq!(on(Arch::Aarch64, 0o40_000), Action::Kill);
    assert_eq!(on(Arch::Aarch64, 0o200_000), Action::Allow);
}

#[test]
fn processes_may_start_but_not_in_new_namespaces() {
    let filter = refusing().rule(rule("@process"), Action::Allow);

    assert!(filter.decide(&call("clone", [17, 0, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("clone", [17 | 0x1000_0000, 0, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("unshare", [0x1000_0000, 0, 0, 0, 0, 0])).action.permits());
}

#[test]
fn threads_may_start_but_not_processes() {
    let filter = refusing().rule(rule("@threads"), Action::Allow);

    assert!(filter.decide(&call("clone", [0x3d_0f00, 0, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("clone", [17, 0, 0, 0, 0, 0])).action.permits());
    assert!(!filter.decide(&call("clone", [0x3d_0f00 | 0x1000_0000, 0, 0, 0, 0, 0])).action.permits());
}
