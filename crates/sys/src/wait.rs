//! Waiting for children, in programs that may have other waiters.

use std::io;
use std::time::Duration;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

impl Ended {
    /// Decodes the status of wait4(2).
    pub fn from_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signalled(libc::WTERMSIG(status))
        } else {
            Self::Exited(libc::WEXITSTATUS(status))
        }
    }
}

/// What a child and those of its children that it waited for used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// The most resident memory of any one of them, in bytes.
    pub resident: u64,
}

/// [`reap`], and what the child used.
///
/// Source: wait4(2), getrusage(2).
///
/// # Errors
///
/// None that can happen with a valid process id.
pub fn reap_used(pid: i32) -> io::Result<Option<(Ended, Used)>> {
    // SAFETY: rusage is plain data for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        let mut status = 0;
        // SAFETY: a number, a live status, a flag, a live structure.
        let answer = unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, &raw mut usage) };
        match crate::check(answer.into()) {
            Ok(_) => {
                let time = |time: libc::timeval| {
                    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
                };
                let cpu = time(usage.ru_utime) + time(usage.ru_stime);
                let resident = usage.ru_maxrss.unsigned_abs() * 1024;
                return Ok(Some((Ended::from_status(status), Used { cpu, resident })));
            }
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Waits for the child `pid` to be dead and reaps it, whatever signal its end sends.
///
/// `None` when somebody else in this process reaped it: a program that waits for any child, or ignores SIGCHLD, in which
/// case this still waits for the end.
///
/// Source: waitpid(2), `__WALL`; "NOTES" on ignored SIGCHLD.
///
/// # Errors
///
/// None that can happen with a valid process id.
pub fn reap(pid: i32) -> io::Result<Option<Ended>> {
    loop {
        let mut status = 0;
        // SAFETY: a number, a live status, a flag.
        let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        match crate::check(answer.into()) {
            Ok(_) => return Ok(Some(Ended::from_status(status))),
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
