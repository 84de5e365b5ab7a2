//! Sockets from outside in the job's hands.

use super::transcript::Entry;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;

/// A socket that took the place of one of the job's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Whom it was connected to.
    pub(super) address: SocketAddr,
    /// Its entry in the transcript.
    pub(super) entry: Option<Entry>,
}

/// Whether the number `descriptor` of the thread `tid` is closed on exec. Source: proc_pid_fdinfo(5).
pub(super) fn is_closed_on_exec(tid: u32, descriptor: i32) -> bool {
    // The kernel gives as much of it at once as there is room for; the flags are its second line.
    let mut text = [0; 128];
    let read = File::open(format!("/proc/{tid}/fdinfo/{descriptor}")).and_then(|mut file| file.read(&mut text));
    let text = std::str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or_default();
    let flags = text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
}
