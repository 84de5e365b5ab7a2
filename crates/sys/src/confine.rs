//! What a process takes from itself for good: signals' handlers, descriptors, files, system calls.

use crate::landlock::{RULE_PATH_BENEATH, RulesetAttr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Gives every signal its default action.
///
/// Source: rt_sigaction(2), by number: the C library keeps two signals from its callers.
pub fn default_signals() {
    /// struct sigaction of the kernel: a handler, flags, a restorer on x86-64, a mask.
    #[repr(C)]
    struct Action([u64; 4]);
    let action = Action([0; 4]);
    for signal in (1..=64).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP)) {
        // SAFETY: SIG_DFL without flags, in a live structure; the old action is not asked for.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, 0_usize, 8_usize) };
    }
}

/// Lets every signal through.
///
/// Source: sigprocmask(2).
///
/// # Errors
///
/// None that can happen.
pub fn unblock_signals() -> io::Result<()> {
    let none = 0_u64;
    // SAFETY: a live mask of the kernel's eight bytes; the old one is not asked for.
    let answer = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0_usize, size_of::<u64>())
    };
    crate::check(answer).map(drop)
}

/// Makes `from` the descriptor `to` as well, without close-on-exec. What was open as `to` is closed: for a process of
/// which nobody counts on that any more.
///
/// Source: dup2(2).
///
/// # Errors
///
/// `EBADF` when `to` is not below the limit on open files.
pub fn place(from: BorrowedFd<'_>, to: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    crate::check(unsafe { libc::dup2(from.as_raw_fd(), to) }.into())?;
    // SAFETY: open since now, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(to) })
}

/// Closes every descriptor from 3 on but `keep`. For a process that is about to lose everything: whoever owns one of
/// those must neither use nor close it afterwards.
///
/// Source: close_range(2); Linux 5.9.
///
/// # Errors
///
/// `ENOSYS` before Linux 5.9, or under a filter that does not know the call.
pub fn close_others(keep: &mut [BorrowedFd<'_>]) -> io::Result<()> {
    keep.sort_unstable_by_key(|descriptor| descriptor.as_raw_fd());
    let mut first = 3;
    for kept in keep.iter() {
        let kept = u32::try_from(kept.as_raw_fd()).map_err(io::Error::other)?;
        if first < kept {
            close_range(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: numbers only, in this process's own table.
    crate::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Puts the seccomp program `program`, an array of struct sock_filter, on this thread. With `listen`, the listener for
/// what it reports.
///
/// Source: seccomp(2), `SECCOMP_SET_MODE_FILTER`, `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0).
///
/// # Errors
///
/// `EACCES` without no_new_privs, `EINVAL` for a program that is none, `EBUSY` when there is a listener already.
pub fn filter(program: &[u8], listen: bool) -> io::Result<Option<OwnedFd>> {
    let len = u16::try_from(program.len() / 8).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the kernel copies `len` instructions of eight bytes, wherever they are aligned to.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let answer = RawFd::try_from(crate::check(answer)?).map_err(io::Error::other)?;
    // SAFETY: with the flag the answer is a new descriptor that nobody else owns.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(answer) }))
}

/// Makes a Landlock ruleset of `attributes`, as far as `abi` knows them.
///
/// Source: landlock_create_ruleset(2); Linux 5.13.
///
/// # Errors
///
/// `EMFILE`, `ENOMEM`, `EINVAL` for rights that the kernel does not know.
pub fn ruleset(attributes: &RulesetAttr, abi: u32) -> io::Result<OwnedFd> {
    let size = RulesetAttr::size(abi);
    // SAFETY: the kernel reads `size` bytes of a live structure that is at least as large.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const *attributes, size, 0 as libc::c_ulong) };
    let answer = RawFd::try_from(crate::check(answer)?).map_err(io::Error::other)?;
    // SAFETY: a new descriptor, close-on-exec, that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

/// Grants `rights` beneath `path` in `ruleset`.
///
/// Source: landlock_add_rule(2).
///
/// # Errors
///
/// `EINVAL` for rights that the ruleset does not handle, or that suit no file where `path` is one.
pub fn allow_beneath(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
    /// struct landlock_path_beneath_attr.
    #[repr(C, packed)]
    struct Beneath {
        rights: u64,
        path: RawFd,
    }
    let rule = Beneath { rights, path: path.as_raw_fd() };
    // SAFETY: the kernel reads a live structure of its own layout.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const rule,
            0 as libc::c_ulong,
        )
    };
    crate::check(answer).map(drop)
}

/// Puts this thread into a domain of `ruleset`.
///
/// Source: landlock_restrict_self(2).
///
/// # Errors
///
/// `EPERM` without no_new_privs, `E2BIG` with too many domains around this one.
pub fn restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: numbers only.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0 as libc::c_ulong) };
    crate::check(answer).map(drop)
}
