//! Waiting for children, in programs that may have other waiters.

use std::io;

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
