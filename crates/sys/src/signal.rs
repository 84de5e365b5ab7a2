//! Signals as descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks `signals` in this thread (and those it starts) and returns a descriptor that becomes readable when one arrives.
///
/// Source: signalfd(2), sigprocmask(2).
///
/// # Errors
///
/// `EINVAL` for a number that is no signal, `EMFILE`.
pub fn descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: sigset_t is plain data for which zeroes are valid.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in signals {
        // SAFETY: a live set and a number, which the call checks.
        crate::check(unsafe { libc::sigaddset(&raw mut set, *signal) }.into())?;
    }
    // SAFETY: a live set; the old mask is not asked for.
    let error = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: -1 asks for a new descriptor for the live set.
    let raw = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    crate::check(raw.into())?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
