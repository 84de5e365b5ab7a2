//! Byte-range locks that belong to an open file description.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Locks byte `offset` of `file` for writing, without waiting; the lock ends when the last copy of the descriptor closes.
///
/// Returns whether it was free.
///
/// Source: fcntl(2), "Open file description locks"; Linux 3.15.
///
/// # Errors
///
/// `EBADF` when the descriptor is not open for writing, `ENOLCK` when the kernel is out of locks.
pub fn try_lock_byte(file: BorrowedFd<'_>, offset: u64) -> io::Result<bool> {
    // SAFETY: struct flock is plain data for which zeroes are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    #[expect(clippy::cast_possible_truncation, reason = "the constants of struct flock are small")]
    {
        lock.l_type = libc::F_WRLCK as i16;
        lock.l_whence = libc::SEEK_SET as i16;
    }
    lock.l_start = i64::try_from(offset).map_err(io::Error::other)?;
    lock.l_len = 1;
    // SAFETY: a live descriptor and a struct flock that outlives the call.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    match crate::check(answer.into()) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}
