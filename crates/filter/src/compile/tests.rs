use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::{Call, Instruction, Rule, interpret};

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn allowing(texts: &[&str]) -> Filter {
    texts.iter().fold(Filter::new(Action::Refuse(1)), |filter, text| filter.rule(rule(text), Action::Allow))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn programs_decide_as_the_filter_does_on_x86_64(
        filter in arbitrary::filter(),
        calls in prop::collection::vec(arbitrary::call(Arch::X86_64), 200),
    ) {
        for backend in [Backend::Supervised, Backend::Alone] {
            let program = filter.compile(Arch::X86_64, backend).expect("the filter compiles");
            for call in &calls {
                prop_assert_eq!(interpret::run(&program, call), backend.returns(filter.decide(call).action), "{:x?}\n{}", call, program);
            }
        }
    }

    #[test]
    fn programs_decide_as_the_filter_does_on_aarch64(
        filter in arbitrary::filter(),
        calls in prop::collection::vec(arbitrary::call(Arch::Aarch64), 200),
    ) {
        for backend in [Backend::Supervised, Backend::Alone] {
            let program = filter.compile(Arch::Aarch64, backend).expect("the filter compiles");
            for call in &calls {
                prop_assert_eq!(interpret::run(&program, call), backend.returns(filter.decide(call).action), "{:x?}\n{}", call, program);
            }
        }
    }
}

#[test]
fn jumps_reach_across_programs_of_thousands_of_instructions() {
    let mut filter = Filter::new(Action::Refuse(1));
    for (number, name) in table::iter(Arch::X86_64)
        .filter(|(_, name)| !name.starts_with("io_uring_") && *name != "sysfs" && *name != "prctl")
        .take(230)
    {
        filter.push(rule(&format!("{name}(arg1 == {number}, arg5 == 0x7000)")), Action::Allow);
        filter.push(rule(&format!("{name}(arg1 & 0xff00 == {})", number << 8 & 0xff00)), Action::Errno(7));
    }
    let program = filter.compile(Arch::X86_64, Backend::Alone).expect("the filter compiles");

    assert!(program.len() > 1000);
    for number in 0..480 {
        for args in [[0, u64::from(number), 0, 0, 0, 0x7000], [0, u64::from(number) << 8, 0, 0, 0, 0], [9; 6]] {
            let call = Call { audit_arch: Arch::X86_64.audit(), nr: number, args };
            assert_eq!(interpret::run(&program, &call), Backend::Alone.returns(filter.decide(&call).action));
        }
    }
}

#[test]
fn a_filter_of_more_than_4096_instructions_is_an_error() {
    let values: Vec<_> = (0..5000).map(|value| (2 * value).to_string()).collect();
    let long = format!("ioctl(request in [{}])", values.join(", "));
    let filter = allowing(&["@default", "fcntl(cmd == 1)", &long, "mmap(length > 5, prot == 0)"]);

    let error = filter.compile(Arch::X86_64, Backend::Alone).expect_err("the kernel takes 4096 instructions");

    let CompileError::TooLong { costliest } = &error else { panic!("{error:?}") };
    assert_eq!(costliest[0], RuleCost { rule: 2, tests: 5000 });
    assert_eq!(costliest.len(), 3);
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn a_rule_that_permits_io_uring_is_an_error() {
    for (text, action) in
        [("io_uring_setup", Action::Allow), ("io_uring_enter(arg0 == 1)", Action::Log), ("@io-uring", Action::Allow)]
    {
        let filter = allowing(&["@default"]).rule(rule(text), action);
        let error = filter.compile(Arch::X86_64, Backend::Alone).expect_err("io_uring is never permitted");
        assert!(matches!(error, CompileError::IoUring { rule: 1, .. }), "{text}");
    }
}

#[test]
fn an_errno_that_the_kernel_would_change_is_an_error() {
    let filter = Filter::new(Action::Refuse(1)).rule(rule("read"), Action::Errno(4096));

    assert_eq!(filter.compile(Arch::X86_64, Backend::Alone), Err(CompileError::Errno { errno: 4096, rule: Some(0) }));
}

#[test]
fn a_program_refuses_the_calls_of_the_other_architecture() {
    let filter = Filter::new(Action::Allow);
    let program = filter.compile(Arch::X86_64, Backend::Alone).expect("the filter compiles");

    let call = Call { audit_arch: Arch::Aarch64.audit(), nr: 0, args: [0; 6] };

    assert_eq!(interpret::run(&program, &call), Backend::Alone.returns(Action::Refuse(ENOSYS)));
}

#[test]
fn a_call_of_another_architecture_is_left_out() {
    let with_open = allowing(&["read", "open"]).compile(Arch::Aarch64, Backend::Alone);

    assert_eq!(with_open, allowing(&["read"]).compile(Arch::Aarch64, Backend::Alone));
}

#[test]
fn a_supervisor_hears_of_what_is_refused_logged_or_killed_and_of_nothing_else() {
    let notify = 0x7fc0_0000;
    for (action, supervised, alone) in [
        (Action::Allow, 0x7fff_0000, 0x7fff_0000),
        (Action::Errno(5), 0x0005_0005, 0x0005_0005),
        (Action::Refuse(5), notify, 0x0005_0005),
        (Action::Log, notify, 0x7ffc_0000),
        (Action::Trap, 0x0003_0000, 0x0003_0000),
        (Action::Kill, notify, 0x8000_0000),
    ] {
        assert_eq!(Backend::Supervised.returns(action), supervised);
        assert_eq!(Backend::Alone.returns(action), alone);
    }
}

#[test]
fn a_typical_allowlist_is_short() {
    let groups = [
        "@default",
        "@file-read",
        "@file-write",
        "@file-metadata",
        "@process",
        "@threads",
        "@event",
        "@ipc",
        "@terminal",
    ];
    for arch in Arch::ALL {
        let program = allowing(&groups).compile(arch, Backend::Supervised).expect("the filter compiles");
        assert!(program.len() < 255, "{}\n{program}", program.len());
    }
}

#[test]
fn the_disassembly_numbers_its_lines_and_names_words_and_verdicts() {
    let filter = Filter::new(Action::Allow);
    let text = filter.compile(Arch::X86_64, Backend::Alone).expect("the filter compiles").to_string();

    assert!(text.starts_with("   0: ld   arch\n   1: jeq  0xc000003e, "), "{text}");
    assert!(text.contains("ret  errno 38\n") && text.contains("ret  allow\n"), "{text}");
}

#[test]
fn bytes_have_the_layout_of_sock_filter() {
    let program = Filter::new(Action::Allow).compile(Arch::X86_64, Backend::Alone).expect("the filter compiles");

    let bytes = program.as_bytes();

    assert_eq!(bytes.len(), 8 * program.len());
    assert_eq!(bytes[..8], [0x20_u16.to_ne_bytes().as_slice(), &[0, 0], &4_u32.to_ne_bytes()].concat());
}

/// What the kernel makes of a call number when a filter is installed, by its documentation (commit 8e01b51a31a1 of Linux
/// 5.11, "seccomp/cache: Add emulator and lookup"): the program is followed with only number and architecture known; if it
/// returns "allow" without having looked at anything else, calls of that number no longer run it.
fn is_always_allowed(program: &Program, arch: Arch, number: u32) -> bool {
    const LOAD: u16 = 0x20;
    let mut known = 0_u32;
    let mut next = 0_usize;
    loop {
        let Instruction { code, jt, jf, k } = program.instructions()[next];
        let holds = match (code, k) {
            (LOAD, 0) => {
                known = number;
                true
            }
            (LOAD, 4) => {
                known = arch.audit();
                true
            }
            (LOAD, _) => return false,
            (0x06, verdict) => return verdict == 0x7fff_0000,
            (0x54, mask) => {
                known &= mask;
                true
            }
            (0x05, far) => {
                next += usize::try_from(far).expect("programs are short");
                true
            }
            (0x15, value) => known == value,
            (0x25, value) => known > value,
            (0x35, value) => known >= value,
            (0x45, bits) => known & bits != 0,
            _ => return false,
        };
        let is_jump = matches!(code, 0x15 | 0x25 | 0x35 | 0x45);
        next += 1 + if is_jump { usize::from(if holds { jt } else { jf }) } else { 0 };
    }
}

/// Whether the rules allow a call and no condition has a say: the last alternative without conditions, or else the
/// fallback, allows, and so do all with conditions behind it.
fn allows_unconditionally(filter: &Filter, call: CallId) -> bool {
    let alternatives: Vec<_> = filter.alternatives(call).collect();
    let last = alternatives.iter().rposition(|alternative| alternative.member.conditions.is_empty());
    let base = last.map_or_else(|| filter.fallback(call).action, |at| alternatives[at].action);
    let behind = alternatives.iter().skip(last.map_or(0, |at| at + 1));
    base == Action::Allow && behind.into_iter().all(|alternative| alternative.action == Action::Allow)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_kernel_caches_every_call_that_is_allowed_whatever_its_arguments(filter in arbitrary::filter()) {
        for arch in Arch::ALL {
            for backend in [Backend::Supervised, Backend::Alone] {
                let program = filter.compile(arch, backend).expect("the filter compiles");
                for (number, name) in table::iter(arch) {
                    let call = CallId::named(name).expect("it is in the table");
                    let cached = is_always_allowed(&program, arch, number);
                    prop_assert!(cached || !allows_unconditionally(&filter, call), "{name}\n{program}");
                    // And nothing else may be: what is cached is never looked at again.
                    let probes = [[0; 6], [u64::MAX; 6], [0x5412; 6], [1 << 32; 6]];
                    let allowed = |args| filter.decide(&Call { audit_arch: arch.audit(), nr: number, args }).action == Action::Allow;
                    prop_assert!(!cached || probes.into_iter().all(allowed), "{name}\n{program}");
                }
            }
        }
    }

    #[test]
    fn a_filter_of_any_size_compiles_or_says_which_rules_are_too_much(
        calls in prop::collection::vec((0..350_usize, 1..400_usize, 1..40_u64), 1..120),
    ) {
        let names: Vec<_> = table::iter(Arch::X86_64).map(|(_, name)| name).filter(|name| !name.starts_with("io_uring_")).collect();
        let mut filter = Filter::new(Action::Refuse(1));
        for (at, count, step) in calls {
            let values: Vec<_> = (0..count).map(|value| (2 * step * u64::try_from(value).unwrap()).to_string()).collect();
            let Ok(rule) = Rule::parse(&format!("{}(arg0 in [{}])", names[at % names.len()], values.join(", "))) else { continue };
            filter.push(rule, Action::Allow);
        }
        match filter.compile(Arch::X86_64, Backend::Supervised) {
            Ok(program) => prop_assert!(program.len() <= Program::MAX_LEN),
            Err(CompileError::TooLong { costliest }) => {
                prop_assert!(!costliest.is_empty());
                prop_assert!(costliest.iter().all(|cost| cost.rule < filter.rules().len()));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
