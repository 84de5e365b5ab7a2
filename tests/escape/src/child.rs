//! Children of a probe. Probes have one thread, so that a child may do what its parent may.

use std::time::{Duration, Instant};

use crate::call::{Errno, Result, ignore};

/// A process of our own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child(pub(crate) i32);

/// How a child ended, or that it has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Signalled { number: i32, dumped_core: bool },
    Stopped,
}

/// Forks; the child runs `work` and exits with what it gives.
pub(crate) fn fork(work: impl FnOnce() -> i32) -> Result<Child> {
    // SAFETY: a probe has one thread, so that the child may allocate and lock.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => leave(work()),
        pid => Ok(Child(pid)),
    }
}

/// Ends this process at once, leaving its parent's buffers alone.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: always sound; nothing of this process runs after it.
    unsafe { libc::_exit(code) }
}

impl Child {
    pub(crate) fn signal(self, number: i32) -> Result<()> {
        // SAFETY: two numbers.
        if unsafe { libc::kill(self.0, number) } == 0 { Ok(()) } else { Err(Errno::last()) }
    }

    /// Waits until the child ends or stops.
    pub(crate) fn wait(self) -> Result<End> {
        loop {
            match self.poll(0) {
                Ok(Some(end)) => return Ok(end),
                Ok(None) | Err(Errno(libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits as [`Child::wait`], for `most` at most.
    pub(crate) fn wait_for(self, most: Duration) -> Result<Option<End>> {
        let start = Instant::now();
        loop {
            if let Some(end) = self.poll(libc::WNOHANG)? {
                return Ok(Some(end));
            }
            if start.elapsed() > most {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn poll(self, options: i32) -> Result<Option<End>> {
        let mut status = 0;
        // SAFETY: a writable int.
        let pid = unsafe { libc::waitpid(self.0, &raw mut status, options | libc::WUNTRACED) };
        match pid {
            -1 => Err(Errno::last()),
            0 => Ok(None),
            _ if libc::WIFSTOPPED(status) => Ok(Some(End::Stopped)),
            _ if libc::WIFSIGNALED(status) => {
                Ok(Some(End::Signalled { number: libc::WTERMSIG(status), dumped_core: libc::WCOREDUMP(status) }))
            }
            _ => Ok(Some(End::Exited(libc::WEXITSTATUS(status)))),
        }
    }

    /// Kills and reaps.
    pub(crate) fn end(self) {
        // A child that is gone already is what is wanted.
        if self.signal(libc::SIGKILL).is_ok() {
            ignore(self.wait());
        }
    }
}

/// Runs `work` in a child of its own, so that what it does to its process ends with it, and gives whether it exited
/// with 0.
pub(crate) fn in_a_child(work: impl FnOnce() -> i32) -> Result<bool> {
    Ok(fork(work)?.wait()? == End::Exited(0))
}

pub(crate) fn nap(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
