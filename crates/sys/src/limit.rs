//! What this process is, asked where a filter may refuse it: rustix takes for granted that it can be done.

use std::io;

/// The hard limit `resource`, one of `RLIMIT_*`; `None` when there is none.
///
/// Source: prlimit(2).
///
/// # Errors
///
/// `EPERM` or another errno under a filter that refuses the call, `EINVAL` for a resource that the kernel does not have.
pub fn hard(resource: u32) -> io::Result<Option<u64>> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the structure, which outlives the call; no new limit is given.
    let answer = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, 0_usize, &raw mut limit) };
    crate::check(answer)?;
    Ok((limit.rlim_max != libc::RLIM64_INFINITY).then_some(limit.rlim_max))
}

/// This process's id, or why a filter does not tell it.
///
/// Source: getpid(2).
///
/// # Errors
///
/// Any errno that a filter answers with.
pub fn process_id() -> io::Result<u32> {
    // SAFETY: no argument.
    let answer = unsafe { libc::syscall(libc::SYS_getpid) };
    u32::try_from(crate::check(answer)?).map_err(io::Error::other)
}

/// Whether the process `other` has the very memory of this one, as a child of vfork(2) has until it executes a program.
///
/// Source: kcmp(2), `KCMP_VM`.
///
/// # Errors
///
/// `EPERM` when this process may not look at the other or a filter refuses it, `ENOSYS` on kernels built without it.
pub fn shares_memory_with(other: u32) -> io::Result<bool> {
    const KCMP_VM: u64 = 1;
    let own = process_id()?;
    // SAFETY: numbers alone.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, u64::from(own), u64::from(other), KCMP_VM, 0, 0) };
    Ok(crate::check(answer)? == 0)
}
