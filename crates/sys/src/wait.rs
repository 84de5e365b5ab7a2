//! Waiting for children that send no SIGCHLD.

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

/// Waits for the child `pid` and reaps it, whatever signal its end sends.
///
/// Source: waitpid(2), `__WALL`.
///
/// # Errors
///
/// `ECHILD` if it is no child of this process, or somebody else reaped it.
pub fn reap(pid: i32) -> io::Result<Ended> {
    loop {
        let mut status = 0;
        // SAFETY: a number, a live status, a flag.
        let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        match crate::check(answer.into()) {
            Ok(_) => return Ok(Ended::from_status(status)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
