use super::*;
use lazaret_filter::{Arch, table};
use std::ffi::CStr;

fn call(name: &str, args: [u64; 6]) -> Call {
    let arch = Arch::native().expect("tests run where there is a table");
    Call { audit_arch: arch.audit(), nr: table::number(arch, name).expect("a call of this architecture"), args }
}

fn address(text: &CStr) -> u64 {
    text.as_ptr() as u64
}

const CWD: u64 = libc::AT_FDCWD as u32 as u64;

#[test]
fn every_row_names_a_call_and_rows_are_sorted() {
    assert!(rows::ROWS.is_sorted_by(|a, b| a.0 < b.0));
    let known: Vec<_> = table::names().collect();
    for (call, uses) in rows::ROWS {
        assert!(known.contains(call), "{call}");
        assert!(!uses.is_empty(), "{call}");
    }
}

#[test]
fn a_relative_path_is_taken_from_the_current_directory() {
    let path = c"./some//file";

    let found = paths(&Thread::own(), &call("openat", [CWD, address(path), 0, 0, 0, 0])).expect("this process");

    let expected = std::env::current_dir().expect("there is one").join("some/file");
    let [only] = &found[..] else { panic!("one path: {found:?}") };
    assert_eq!((only.written.as_slice(), &only.absolute), (&b"./some//file"[..], &Some(expected)));
    assert_eq!((only.access, only.follow, only.argument), (PathAccess::Read, true, 1));
}

#[test]
fn a_relative_path_is_taken_from_its_descriptor() {
    use std::os::fd::AsRawFd as _;
    let directory = std::fs::File::open("/usr").expect("it is there");
    let path = c"share/doc";
    let dir = u64::from(directory.as_raw_fd().cast_unsigned()) | 0xffff_ffff_0000_0000;

    let found = paths(&Thread::own(), &call("unlinkat", [dir, address(path), 0, 0, 0, 0])).expect("this process");

    assert_eq!(found[0].absolute.as_deref(), Some(Path::new("/usr/share/doc")));
    assert_eq!((found[0].access, found[0].follow), (PathAccess::Remove, false));
}

#[test]
fn the_flags_of_open_say_what_it_does() {
    let flags = |flags: i32| opened(u64::from(flags.cast_unsigned()));

    assert_eq!(flags(libc::O_RDONLY), (PathAccess::Read, true));
    assert_eq!(flags(libc::O_RDWR | libc::O_NOFOLLOW), (PathAccess::Write, false));
    assert_eq!(flags(libc::O_RDONLY | libc::O_TRUNC), (PathAccess::Write, true));
    assert_eq!(flags(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL), (PathAccess::Create, false));
    assert_eq!(flags(libc::O_RDONLY | libc::O_DIRECTORY), (PathAccess::List, true));
    assert_eq!(flags(libc::O_RDWR | libc::O_TMPFILE), (PathAccess::Create, true));
    assert_eq!(flags(libc::O_PATH | libc::O_DIRECTORY), (PathAccess::Metadata, true));
}

#[test]
fn openat2_has_its_flags_behind_a_pointer() {
    let how = [u64::from((libc::O_WRONLY | libc::O_CREAT).cast_unsigned()), 0o644, 0];
    let path = c"/tmp/new";

    let args = [CWD, address(path), how.as_ptr() as u64, 24, 0, 0];
    let found = paths(&Thread::own(), &call("openat2", args)).expect("this process");

    assert_eq!(found[0].access, PathAccess::Create);
}

#[test]
fn renaming_removes_one_path_and_makes_another() {
    let (old, new) = (c"/a", c"/b");

    let args = [CWD, address(old), CWD, address(new), 0, 0];
    let found = paths(&Thread::own(), &call("renameat2", args)).expect("this process");

    let accesses: Vec<_> = found.iter().map(|path| (path.written.as_slice(), path.access)).collect();
    assert_eq!(accesses, [(&b"/a"[..], PathAccess::Remove), (&b"/b"[..], PathAccess::Create)]);
}

#[test]
fn memory_without_a_path_names_none() {
    let endless = vec![b'a'; 2 * PATH_MAX];

    for address in [1, u64::MAX, u64::MAX - 7, endless.as_ptr() as u64] {
        let found = paths(&Thread::own(), &call("openat", [CWD, address, 0, 0, 0, 0])).expect("this process");
        assert_eq!(found, [], "{address:#x}");
    }
}

#[test]
fn a_descriptor_without_a_path_is_a_use_only_when_it_is_executed() {
    use std::os::fd::AsRawFd as _;
    let program = std::fs::File::open("/bin/sh").expect("it is there");
    let descriptor = u64::from(program.as_raw_fd().cast_unsigned());
    let nothing = address(c"");

    let executed = paths(&Thread::own(), &call("execveat", [descriptor, nothing, 0, 0, 0x1000, 0]));
    let looked_at = paths(&Thread::own(), &call("newfstatat", [descriptor, nothing, 0, 0x1000, 0, 0]));

    let target = std::fs::canonicalize("/bin/sh").expect("it is there");
    assert_eq!(executed.expect("this process")[0].absolute, Some(target));
    assert_eq!(looked_at.expect("this process"), []);
}

#[test]
fn a_foreign_call_names_no_path() {
    let call = Call { audit_arch: 0x4000_0003, nr: 5, args: [address(c"/etc/passwd"), 0, 0, 0, 0, 0] };

    assert_eq!(paths(&Thread::own(), &call).expect("nothing is read"), []);
}

#[test]
fn what_only_an_owner_may_is_known_by_the_call_and_its_arguments() {
    let path = c"/usr/share";
    let of = |name: &str, args: [u64; 6]| {
        let found = paths(&Thread::own(), &call(name, args)).expect("this process");
        found.first().is_some_and(|used| used.by_owner)
    };
    let (text, noatime) = (address(path), u64::from(libc::O_NOATIME.cast_unsigned()));

    assert!(of("fchmodat", [CWD, text, 0o600, 0, 0, 0]));
    assert!(of("fchownat", [CWD, text, 1, 1, 0, 0]));
    assert!(of("linkat", [CWD, text, CWD, text, 0, 0]));
    assert!(of("openat", [CWD, text, noatime, 0, 0, 0]));
    assert!(of("utimensat", [CWD, text, text, 0, 0, 0]));
    assert!(!of("utimensat", [CWD, text, 0, 0, 0, 0]), "the present time");
    assert!(!of("openat", [CWD, text, 0, 0, 0, 0]));
    assert!(!of("setxattr", [text, text, 0, 0, 0, 0]));
}
