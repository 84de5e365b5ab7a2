//! A thread's own table of descriptors.

use std::io;

/// Gives the calling thread a table of descriptors of its own, a copy of the one that it shared. What it has there, it holds
/// until its end, whatever others close. At its end nothing lingers, as it does at close(2): socket(7), `SO_LINGER`.
///
/// Source: unshare(2), `CLONE_FILES`.
///
/// # Errors
///
/// `ENOMEM`.
pub fn unshare() -> io::Result<()> {
    // SAFETY: no memory is passed. Descriptors that other threads own stay theirs, in the table that those share.
    crate::check(unsafe { libc::unshare(libc::CLONE_FILES) }.into()).map(drop)
}
