//! Timers that kill the process.

use std::io;
use std::time::Duration;

/// What a [`KillTimer`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Time, also that in which the machine sleeps.
    Wall,
    /// Processor time of all threads of the process.
    Processor,
}

/// A timer that kills this process, with SIGKILL, when it runs out. A new program (execve) and a new process (fork) do not
/// have it. Dropping it takes it back, also when it runs, unless it was [left](KillTimer::leave) to run.
#[derive(Debug)]
pub struct KillTimer {
    id: libc::c_int,
}

impl KillTimer {
    /// Makes a timer that does not run yet.
    ///
    /// Source: timer_create(2).
    ///
    /// # Errors
    ///
    /// `EAGAIN` when RLIMIT_SIGPENDING is used up, `EPERM` under a filter that refuses the call.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let clock = match clock {
            Clock::Wall => libc::CLOCK_BOOTTIME,
            Clock::Processor => libc::CLOCK_PROCESS_CPUTIME_ID,
        };
        // SAFETY: sigevent is plain data for which zeroes are valid.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGKILL;
        let mut id = -1;
        // The system call, not the C library's function, whose names of timers are not the kernel's.
        // SAFETY: the kernel reads the structure and writes the number, both of which outlive the call.
        let answer = unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw const event, &raw mut id) };
        crate::check(answer)?;
        Ok(Self { id })
    }

    /// The kernel's number of it, by which timer_settime(2) and timer_delete(2) name it.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Starts it: it runs out when its clock has gone on by `after`.
    ///
    /// Source: timer_settime(2).
    ///
    /// # Errors
    ///
    /// None that a valid time can have, but `EPERM` under a filter that refuses the call.
    pub fn start(&self, after: Duration) -> io::Result<()> {
        let after = after.max(Duration::from_nanos(1));
        let value = libc::timespec {
            tv_sec: after.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: none, it_value: value };
        // SAFETY: the kernel reads the structure, which outlives the call; the old setting is not asked for.
        let answer = unsafe { libc::syscall(libc::SYS_timer_settime, self.id, 0, &raw const setting, 0_usize) };
        crate::check(answer).map(drop)
    }

    /// Leaves it running for the life of the process.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for KillTimer {
    fn drop(&mut self) {
        // SAFETY: a number, which is this timer's own.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.id) };
    }
}
