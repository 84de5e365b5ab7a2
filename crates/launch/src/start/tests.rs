use super::*;
use lazaret_policy::{CallAction, Sourced};

fn rules(texts: &[&str]) -> Vec<Sourced<CallRule>> {
    let rule = |text: &&str| CallRule { rule: (*text).to_owned(), action: CallAction::Refuse, why: String::new() };
    texts.iter().map(|text| Sourced::new(rule(text), Source::Builder)).collect()
}

fn after(texts: &[&str], token: u64) -> AfterStart {
    AfterStart::new(&rules(texts), token).expect("the rules are good").expect("there are rules")
}

fn call(name: &str, args: [u64; 6]) -> Call {
    let arch = Arch::native().expect("this architecture has a table");
    Call { audit_arch: arch.audit(), nr: table::number(arch, name).expect("the call is known"), args }
}

#[test]
fn the_rule_that_refuses_is_known_by_its_place_in_the_policy() {
    let after = after(&["openat", "mmap(prot & PROT_EXEC != 0)"], 77);

    assert_eq!(after.refuses(&call("openat", [0; 6])), Some(0));
    assert_eq!(after.refuses(&call("mmap", [0, 4096, 5, 0, 0, 0])), Some(1));
    assert_eq!(after.refuses(&call("mmap", [0, 4096, 3, 0, 0, 0])), None);
    assert_eq!(after.rule(1).map(|(text, _)| text.as_str()), Some("mmap(prot & PROT_EXEC != 0)"));
}

#[test]
fn what_no_rule_names_stays_as_it_is_and_clone3_too() {
    let after = after(&["execve"], 77);

    for name in ["read", "clone3", "io_uring_setup"] {
        assert_eq!(after.refuses(&call(name, [0; 6])), None, "{name}");
    }
}

#[test]
fn only_calls_with_all_bits_of_the_token_are_free() {
    let token = exec::token().expect("there are random numbers");
    let after = after(&["execve", "faccessat", "exit_group"], token);

    for name in ["execve", "faccessat", "exit_group"] {
        let with = |token| after.refuses(&call(name, [0, 0, 0, 0, 0, token])).is_some();
        assert!(!with(token), "{name}");
        assert!(with(0) && with(token ^ 2) && with(token ^ (1 << 40)) && with(token & 0xffff_ffff), "{name}");
    }
}

#[test]
fn the_start_is_told_by_the_marker_alone_and_the_first_counts() {
    let mut phase = Phase::default();
    let marker = |how| call(marker::CALL, [marker::FIRST, marker::SECOND, how, 0, 0, 0]);

    assert!(!phase.is_told(&call(marker::CALL, [0; 6])));
    assert!(!phase.is_told(&call(marker::CALL, [marker::FIRST, 0, 0, 0, 0, 0])));
    assert!(!phase.is_told(&call("getpid", [marker::FIRST, marker::SECOND, 1, 0, 0, 0])));
    assert_eq!(phase.how, None);
    assert!(phase.is_told(&marker(marker::MAIN)));
    assert!(phase.is_told(&marker(marker::CONSTRUCTOR)));
    assert_eq!(phase.how, Some(How::Main));
}

#[test]
fn a_job_that_was_permitted_calls_and_never_started_is_told_as_not_held() {
    let after = after(&["openat"], 77);
    let (none, some) = (Phase::default(), Phase { how: None, permitted: 3, program: None });

    assert!(none.tell(&after).held && none.tell(&after).text.contains("`openat`"));
    assert!(!some.tell(&after).held && some.tell(&after).text.contains("3 such call(s)"));
    assert!(Phase { how: Some(How::Main), permitted: 3, program: None }.tell(&after).held);
}

/// A program's headers, with an entry of this type.
fn program(kind: u32) -> Vec<u8> {
    let mut bytes = vec![0; 120];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64..68].copy_from_slice(&kind.to_le_bytes());
    bytes
}

fn image(bytes: &[u8]) -> Option<Image> {
    image::read(|into, at| {
        let at = usize::try_from(at).ok()?;
        into.copy_from_slice(bytes.get(at..at.checked_add(into.len())?)?);
        Some(())
    })
}

#[test]
fn a_program_with_a_loader_is_dynamic_and_what_cannot_be_read_is_neither() {
    let cut = &program(3)[..100];
    let mut many = program(3);
    many[57] = 0xff;

    assert_eq!(image(&program(3)), Some(Image::Dynamic));
    assert_eq!(image(&program(1)), Some(Image::Static));
    assert_eq!((image(cut), image(&many), image(b"#!/bin/sh")), (None, None, None));
}

#[test]
fn the_process_of_this_test_has_a_loader_unless_it_was_built_without() {
    let own = image::of(std::process::id());

    assert!(own.is_some());
    assert_eq!(image::of(u32::MAX), None);
}

#[test]
fn how_a_program_begins_is_told_by_its_file_through_the_scripts_that_name_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("our own");
        path
    };
    let own = std::env::current_exe().expect("a program");
    let script = put("script", format!("#! {} -x\n", own.display()).as_bytes());
    let deep = put("deep", format!("#!{}\n", script.display()).as_bytes());
    let circle = directory.path().join("circle");
    put("circle", format!("#!{}\n", circle.display()).as_bytes());
    let data = put("data", b"no program");
    // A header with one entry that is no interpreter's.
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    let entry = put("static", &bytes);
    let begins = |paths: &[&Path]| {
        let candidates = paths.iter().map(|path| CString::new(path.as_os_str().as_bytes()).expect("no NUL"));
        begins(&candidates.collect::<Vec<_>>())
    };

    for path in [&own, &script, &deep] {
        assert_eq!(begins(&[Path::new("/no/such"), path]), Some(Image::Dynamic), "{}", path.display());
    }
    assert_eq!(begins(&[&entry]), Some(Image::Static));
    for path in [&circle, &data, Path::new("relative"), directory.path(), Path::new("/no/such")] {
        assert_eq!(begins(&[path]), None, "{}", path.display());
    }
}
