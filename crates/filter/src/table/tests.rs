use super::*;
use std::collections::HashSet;

#[test]
fn known_calls_have_the_numbers_of_the_kernel() {
    for (name_, x86_64, aarch64) in [
        ("read", Some(0), Some(63)),
        ("open", Some(2), None),
        ("openat", Some(257), Some(56)),
        ("execve", Some(59), Some(221)),
        ("clone", Some(56), Some(220)),
        ("clone3", Some(435), Some(435)),
        ("socket", Some(41), Some(198)),
        ("seccomp", Some(317), Some(277)),
        ("rseq", Some(334), Some(293)),
        ("arch_prctl", Some(158), None),
        ("memfd_secret", Some(447), Some(447)),
        ("newfstatat", Some(262), Some(79)),
        ("cachestat", Some(451), Some(451)),
        ("file_setattr", Some(469), Some(469)),
    ] {
        assert_eq!(number(Arch::X86_64, name_), x86_64, "{name_}");
        assert_eq!(number(Arch::Aarch64, name_), aarch64, "{name_}");
    }
}

#[test]
fn names_are_sorted_and_unique() {
    let names: Vec<_> = names().collect();

    assert!(names.is_sorted_by(|a, b| a < b));
}

#[test]
fn numbers_and_names_are_inverse() {
    for arch in Arch::ALL {
        let mut seen = HashSet::new();
        for (nr, name_) in iter(arch) {
            assert_eq!(number(arch, name_), Some(nr));
            assert_eq!(name(arch, nr), Some(name_));
            assert!(seen.insert(name_));
        }
        assert!(seen.len() > 300);
    }
}

#[test]
fn holes_and_newer_numbers_have_no_name() {
    assert_eq!(name(Arch::X86_64, 400), None);
    assert_eq!(name(Arch::Aarch64, 295), None);
    assert_eq!(name(Arch::X86_64, newest(Arch::X86_64) + 1), None);
    assert_eq!(name(Arch::X86_64, u32::MAX), None);
}

#[test]
fn the_newest_call_is_of_linux_6_18() {
    assert_eq!(newest(Arch::X86_64), 469);
    assert_eq!(newest(Arch::Aarch64), 469);
}

#[test]
fn the_calls_that_filters_treat_apart_are_found_by_what_their_names_say() {
    for name in names() {
        let call = CallId::named(name).expect("the table's own name");

        assert_eq!(call.is_clone3(), name == "clone3", "{name}");
        assert_eq!(call.is_io_uring(), name.starts_with("io_uring_"), "{name}");
    }
}
