use super::*;

fn numbers(code: &[u8], wrapper: &Wrapper) -> (Vec<u32>, u64) {
    let found = x86::numbers(&[(0x1000, code)], wrapper);
    (found.known.into_iter().collect(), found.unknown)
}

#[test]
fn a_constant_in_eax_is_the_number() {
    // mov eax, 39; syscall; ret
    assert_eq!(numbers(&[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3], &Wrapper::default()), (vec![39], 0));
    // xor eax, eax; syscall
    assert_eq!(numbers(&[0x31, 0xc0, 0x0f, 0x05], &Wrapper::default()), (vec![0], 0));
    // mov ecx, 60; mov eax, ecx; syscall
    assert_eq!(numbers(&[0xb9, 60, 0, 0, 0, 0x89, 0xc8, 0x0f, 0x05], &Wrapper::default()), (vec![60], 0));
}

#[test]
fn where_paths_meet_both_numbers_are_possible() {
    // mov eax, 1; jz +5; mov eax, 2; syscall
    let code = [0xb8, 1, 0, 0, 0, 0x74, 5, 0xb8, 2, 0, 0, 0, 0x0f, 0x05];

    assert_eq!(numbers(&code, &Wrapper::default()), (vec![1, 2], 0));
}

#[test]
fn a_number_that_is_no_constant_is_counted_as_unknown() {
    // mov rax, rdi; syscall
    assert_eq!(numbers(&[0x48, 0x89, 0xf8, 0x0f, 0x05], &Wrapper::default()), (vec![], 1));
    // mov eax, 39; ret; syscall: nothing comes there
    assert_eq!(numbers(&[0xb8, 39, 0, 0, 0, 0xc3, 0x0f, 0x05], &Wrapper::default()), (vec![], 1));
    // mov eax, 39; call; syscall: whatever the function returns
    assert_eq!(numbers(&[0xb8, 39, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x0f, 0x05], &Wrapper::default()), (vec![], 1));
}

#[test]
fn a_call_of_the_c_librarys_syscall_names_its_number_first() {
    // At 0x1000 the stub: endbr64; jmp [rip + 0xff6], that is [0x2000]. At 0x100a: mov edi, 317; call 0x1000.
    let code = [
        0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0xf6, 0x0f, 0, 0, //
        0xbf, 0x3d, 1, 0, 0, 0xe8, 0xec, 0xff, 0xff, 0xff,
    ];
    let wrapper = Wrapper { slots: [0x2000].into(), own: Vec::new() };

    assert_eq!(numbers(&code, &wrapper), (vec![317], 0));
}

#[test]
fn the_wrapper_itself_is_no_unknown_place() {
    let wrapper = Wrapper { slots: BTreeSet::new(), own: std::iter::once(0x1000..0x1010).collect() };

    assert_eq!(numbers(&[0x48, 0x89, 0xf8, 0x0f, 0x05], &wrapper), (vec![], 0));
}

#[test]
fn this_very_program_could_read_and_end() {
    let own = std::env::current_exe().expect("a test is a program");

    // It calls through the C library alone, or is linked with it: either way it is an ELF file of this architecture.
    let scan = scan_file(&own).expect("it is an ELF file");

    assert!(scan.calls.len() < 400);
}

#[test]
fn what_is_no_elf_file_is_an_error() {
    assert!(matches!(scan(b"#!/bin/sh\n"), Err(ScanError::Elf(_))));
    assert!(matches!(scan(b"\x7fELF\x02\x01\x01"), Err(ScanError::Elf(_))));
}
