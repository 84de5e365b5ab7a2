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
    compare(other, KCMP_VM)
}

/// Whether the process `other` has the very table of descriptors of this one: what one opens, both have.
///
/// Source: kcmp(2), `KCMP_FILES`.
///
/// # Errors
///
/// As [`shares_memory_with`].
pub fn shares_descriptors_with(other: u32) -> io::Result<bool> {
    const KCMP_FILES: u64 = 2;
    compare(other, KCMP_FILES)
}

fn compare(other: u32, what: u64) -> io::Result<bool> {
    let own = process_id()?;
    // SAFETY: numbers alone.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, u64::from(own), u64::from(other), what, 0, 0) };
    Ok(crate::check(answer)? == 0)
}

/// Whether the calling thread has an io_uring instance that needs no descriptor: one that it registered with itself.
///
/// Source: io_uring_enter(2), `IORING_ENTER_REGISTERED_RING`; `IO_RINGFD_REG_MAX` and `io_uring_enter` of the kernel's
/// io_uring/io_uring.c: without such an instance the answer is `EINVAL` or `EBADF`.
pub fn has_registered_ring() -> bool {
    const REGISTERED: u64 = 1 << 4;
    const MOST: u64 = 16;
    (0..MOST).any(|at| {
        // SAFETY: it is told to submit nothing and to wait for nothing.
        let answer = unsafe { libc::syscall(libc::SYS_io_uring_enter, at, 0_u64, 0_u64, REGISTERED, 0_u64, 0_u64) };
        let errno = crate::check(answer).err().and_then(|error| error.raw_os_error());
        !matches!(errno, Some(libc::EINVAL | libc::EBADF | libc::ENOSYS | libc::EPERM | libc::EACCES))
    })
}
