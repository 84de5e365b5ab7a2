//! The kernel's own interpreter agrees with the reference semantics about installed programs.

#![expect(unsafe_code, reason = "installing a filter and making raw calls needs fork, prctl and syscall of libc")]

use lazaret_filter::{Action, Arch, Backend, Call, Filter, Rule, table};

/// Calls without effect whatever their arguments: with these, no descriptor is open and no pointer is mapped.
const HARMLESS: &[&str] =
    &["getppid", "lseek", "flock", "dup", "socket", "ioctl", "getuid", "sched_get_priority_max", "readahead"];
const RULES: &[(&str, Action)] = &[
    ("@default", Action::Allow),
    ("lseek(offset > 0x1_0000_0000)", Action::Errno(71)),
    ("lseek(whence in [3, 4, 7])", Action::Errno(72)),
    ("socket", Action::Errno(73)),
    ("socket(domain & 0xf0 == 0x10, type != 3)", Action::Errno(74)),
    ("ioctl(request == TIOCSTI)", Action::Errno(75)),
    ("ioctl(arg <= 5)", Action::Errno(76)),
    ("flock(operation >= 0x80)", Action::Errno(77)),
    ("getuid", Action::Refuse(78)),
    ("readahead(arg2 != 5)", Action::Errno(79)),
];
const ARGUMENTS: &[u64] = &[
    0x7fff_fff0,
    3,
    5,
    7,
    0x13,
    0x18,
    0x80,
    0x5412,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_0000_0005,
    0xffff_ffff_0000_5412,
    0x8000_0000_7fff_fff0,
];

/// Runs `body` in a child and returns its exit status.
fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs only `body` and then leaves by `_exit`; `body` makes system calls and touches memory that
    // is its own copy, and takes no lock that another thread of the parent could hold.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the descriptors belong to the child alone, which uses none of them.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
        let status = body();
        // SAFETY: always sound.
        unsafe { libc::_exit(status) }
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child died of signal {}", libc::WTERMSIG(status));
    libc::WEXITSTATUS(status)
}

/// Installs a program of `struct sock_filter` in the calling thread; tells whether that worked.
fn install(bytes: &[u8]) -> bool {
    let Ok(len) = u16::try_from(bytes.len() / 8) else {
        return false;
    };
    let program = libc::sock_fprog { len, filter: bytes.as_ptr().cast_mut().cast() };
    // SAFETY: no pointers are passed.
    let confined = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `program` describes `bytes`, which hold `len` instructions and outlive the call; the kernel copies them
    // whatever their alignment.
    let installed = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    confined == 0 && installed == 0
}

/// Makes the call and returns its errno, zero for success.
fn errno_of(call: &Call) -> i32 {
    let [a, b, c, d, e, f] = call.args;
    // SAFETY: the calls are among `HARMLESS`: with these arguments they fail, or succeed without touching memory.
    let result = unsafe { libc::syscall(libc::c_long::from(call.nr), a, b, c, d, e, f) };
    if result != -1 {
        return 0;
    }
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Every pair of the chosen arguments for every harmless call, a third one going along.
fn calls(arch: Arch) -> Vec<Call> {
    let triples = ARGUMENTS.iter().flat_map(|first| {
        let seconds = ARGUMENTS.iter().zip(ARGUMENTS.iter().rev());
        seconds.map(|(second, third)| [*first, *second, *third, 0, 0, 0])
    });
    let numbers = HARMLESS.iter().filter_map(|name| table::number(arch, name));
    numbers.flat_map(|nr| triples.clone().map(move |args| Call { audit_arch: arch.audit(), nr, args })).collect()
}

#[test]
fn the_kernel_decides_as_the_filter_does() {
    let arch = Arch::native().expect("the tests run on an architecture with a table");
    let filter = RULES.iter().fold(Filter::new(Action::Errno(70)), |filter, (text, action)| {
        filter.rule(Rule::parse(text).expect("the text is a rule"), *action)
    });
    let bytes = filter.compile(arch, Backend::Alone).expect("the filter compiles").as_bytes();
    let calls = calls(arch);

    let disagreement = in_child(|| {
        if !install(&bytes) {
            return 255;
        }
        let agrees = |call: &Call| match (filter.decide(call).action, errno_of(call)) {
            (Action::Allow, errno) => !(70..80).contains(&errno),
            (Action::Errno(expected) | Action::Refuse(expected), errno) => errno == i32::from(expected),
            _ => false,
        };
        calls.iter().position(|call| !agrees(call)).map_or(0, |at| i32::try_from(at % 253 + 1).unwrap_or(254))
    });

    assert_ne!(disagreement, 255, "the program was not installed");
    let suspects: Vec<_> = calls.iter().skip(usize::try_from(disagreement).unwrap_or(0)).step_by(253).collect();
    assert_eq!(disagreement, 0, "one of the calls before {suspects:x?}");
}

#[test]
fn the_kernel_refuses_x32_and_unknown_numbers_with_enosys() {
    let arch = Arch::native().expect("the tests run on an architecture with a table");
    let bytes = Filter::new(Action::Allow).compile(arch, Backend::Alone).expect("the filter compiles").as_bytes();

    let status = in_child(|| {
        if !install(&bytes) {
            return 255;
        }
        let is_refused = |nr| errno_of(&Call { audit_arch: arch.audit(), nr, args: [0; 6] }) == libc::ENOSYS;
        i32::from(![0x4000_0000 | 39, 400, 470, 435].into_iter().all(is_refused))
    });

    assert_eq!(status, 0);
}
