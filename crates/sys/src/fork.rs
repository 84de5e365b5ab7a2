//! Children that go on in this program's own code: fork(2) without an exec.

use crate::spawn::BlockedSignals;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Forks, and has the child run `body` and then exit with 0. Returns the child's process id.
///
/// The child is a copy of the calling thread alone, with this process's memory as it was. Its signals stay blocked until
/// [`crate::confine::unblock_signals`], so that no handler of this program's runs in it. The C library's own locks are
/// free in it; any other lock that another thread held stays held for ever.
///
/// Source: fork(2), pthread_atfork(3); signal-safety(7).
///
/// # Errors
///
/// `EAGAIN` at a process limit, `ENOMEM`.
pub fn fork(body: impl FnOnce()) -> io::Result<i32> {
    let blocked = BlockedSignals::all()?;
    // SAFETY: the child's half below runs `body` on its own copy of this memory and never returns to the caller.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = if catch_unwind(AssertUnwindSafe(body)).is_ok() { 0 } else { 1 };
        exit(code);
    }
    let outcome = crate::check(pid.into());
    drop(blocked);
    outcome?;
    Ok(pid)
}

/// Ends this process at once: no exit handlers, no destructors, no buffers flushed.
///
/// Source: _exit(2).
pub fn exit(code: i32) -> ! {
    // SAFETY: runs nothing of this program's.
    unsafe { libc::_exit(code) }
}

/// The processor time that the process `pid` has used. `None`: there is no such process any more.
///
/// Source: clock_getcpuclockid(3).
pub fn processor_time(pid: i32) -> Option<std::time::Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: a number and a live clock id.
    if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock id from above and a live timespec.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (answer == 0).then(|| std::time::Duration::new(seconds, nanoseconds))
}
