//! Waiting for children, in programs that may have other waiters.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

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
            Ok(_) => return Ok(Some((Ended::from_status(status), Used::from(&usage)))),
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

/// What a process, and those of its children that it waited for, used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Processor time in user mode, microseconds.
    pub user_us: u64,
    /// Processor time in the kernel, microseconds.
    pub system_us: u64,
    /// The most memory that was resident at once, bytes; what the process began with included.
    pub peak_memory: u64,
}

impl From<&libc::rusage> for Used {
    fn from(usage: &libc::rusage) -> Self {
        let microseconds = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
        Self {
            user_us: microseconds(usage.ru_utime),
            system_us: microseconds(usage.ru_stime),
            // In units of 1024 bytes: getrusage(2).
            peak_memory: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        }
    }
}

/// Reaps a child that has ended: `pid`, or any with -1. `None`: none has. Does not wait.
///
/// Source: wait4(2), getrusage(2).
///
/// # Errors
///
/// `ECHILD` when there is no such child, also when somebody else in this process reaped it.
pub fn ended(pid: i32) -> io::Result<Option<(i32, Ended, Used)>> {
    let mut status = 0;
    // SAFETY: struct rusage is plain data for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: numbers, a live status and a live struct rusage.
    let answer = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG | libc::__WALL, &raw mut usage) };
    let pid = crate::check(answer.into())?;
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some((i32::try_from(pid).map_err(io::Error::other)?, Ended::from_status(status), Used::from(&usage))))
}

/// How long the reaping of a process may take.
const REAPING: Duration = Duration::from_millis(100);

/// How the process of `pidfd` ended, also when somebody else has reaped it, or is about to. `None`: the kernel does not tell.
///
/// Source: pidfd_open(2), `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`; Linux 6.15.
pub fn ended_of(pidfd: BorrowedFd<'_>) -> Option<Ended> {
    /// _IOWR(0xff, 11, struct pidfd_info) of its first version.
    const GET_INFO: u64 = 0xc040_ff0b;
    const INFO_EXIT: u64 = 1 << 3;
    /// struct pidfd_info: a mask, a cgroup's id, eleven ids, and the status.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        status: i32,
    }
    // For a moment one that is being reaped is nobody's child any more, and not gone yet.
    let until = Instant::now() + REAPING;
    loop {
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // SAFETY: the kernel fills the structure, which has the size that the request encodes.
        let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut info) };
        if answer == 0 && info.mask & INFO_EXIT != 0 {
            return Some(Ended::from_status(info.status));
        }
        if answer != 0 || Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}
