//! `container [--user UID GID] PROFILE COMMAND…`: executes a command as inside of a container of Docker's defaults: with
//! its capabilities and under its system-call filter, out of the profile PROFILE.

#![expect(unsafe_code, reason = "giving up capabilities and installing a filter needs calls of libc")]

use lazaret_filter::{Arch, Backend, oci};
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What Docker leaves to root: number and name.
const CAPABILITIES: [(u32, &str); 14] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (4, "CAP_FSETID"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (10, "CAP_NET_BIND_SERVICE"),
    (13, "CAP_NET_RAW"),
    (18, "CAP_SYS_CHROOT"),
    (27, "CAP_MKNOD"),
    (29, "CAP_AUDIT_WRITE"),
    (31, "CAP_SETFCAP"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1).peekable();
    let mut user = None;
    if words.next_if(|word| word == "--user").is_some() {
        let mut number = || words.next().and_then(|word| word.to_str()?.parse::<u32>().ok());
        user = Some((number().ok_or("no UID")?, number().ok_or("no GID")?));
    }
    let profile = std::fs::read_to_string(words.next().ok_or("no PROFILE")?)?;
    let command = words.next().ok_or("no COMMAND")?;
    let environment = oci::Environment {
        arch: Arch::native().ok_or("no table for this architecture")?,
        capabilities: CAPABILITIES.iter().map(|(_, name)| (*name).to_owned()).collect::<BTreeSet<_>>(),
        kernel: (6, 12),
    };
    let program = oci::read(&profile, &environment)?.filter.compile(environment.arch, Backend::Alone)?;
    // As runc does without no_new_privs: the filter first, while that takes no more than CAP_SYS_ADMIN.
    install(&program.as_bytes(), program.len())?;
    give_up_capabilities(user)?;
    Err(Command::new(command).args(words).exec().into())
}

fn check(answer: i64) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn install(filter: &[u8], length: usize) -> io::Result<()> {
    let program =
        libc::sock_fprog { len: u16::try_from(length).map_err(io::Error::other)?, filter: filter.as_ptr() as *mut _ };
    // SAFETY: seccomp(SECCOMP_SET_MODE_FILTER, 0) reads the program, which outlives the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const program) })
}

fn give_up_capabilities(user: Option<(u32, u32)>) -> io::Result<()> {
    for number in 0..=63_u32 {
        if !CAPABILITIES.iter().any(|(kept, _)| *kept == number) {
            // SAFETY: two numbers. Capabilities that this kernel does not know cannot be dropped.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        }
    }
    if let Some((uid, gid)) = user {
        // SAFETY: no groups; the pointer is not read.
        check(unsafe { libc::setgroups(0, std::ptr::null()) }.into())?;
        // SAFETY: numbers.
        check(unsafe { libc::setresgid(gid, gid, gid) }.into())?;
        // SAFETY: numbers.
        return check(unsafe { libc::setresuid(uid, uid, uid) }.into());
    }
    let kept: u32 = CAPABILITIES.iter().map(|(number, _)| 1 << number).sum();
    // struct __user_cap_header_struct, and two of struct __user_cap_data_struct: effective, permitted, inheritable.
    let (header, data) = ([0x2008_0522_u32, 0], [kept, kept, 0, 0, 0, 0]);
    // SAFETY: both outlive the call, which reads them.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const data) })
}
