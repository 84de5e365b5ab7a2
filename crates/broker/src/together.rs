//! A job's thread and this one on one processor, for as long as they do nothing but wake each other.
//!
//! A call that is made for a job takes the kernel two changes of threads, and where these are on two processors, of
//! which one is idle, waking that one costs several times as much as the call. The kernel knows how to have both share
//! one ([`wake_in_place`](lazaret_sys::seccomp::wake_in_place)), except where a descriptor is handed over: it looks for
//! an idle processor then (Linux 6.18). So a thread that makes one such call after the other is kept to this thread's
//! processor until it makes none for a millisecond. This thread waits for its turn meanwhile: to stop the job in order to
//! begin waiting for it takes two changes more.
//!
//! The job must not notice: a process that is made by a thread that is kept would be kept for good, and who asks how
//! many processors there are would be told of one. So [`calls`] are put to the supervisor as well, which lets go of
//! the thread before they go on. And while a thread that is kept computes, nobody else is answered until its slice of
//! time is over: only the one thread of a process is, beside which nobody else there can call. One of several is kept
//! for as long as it is in its call, and handed its descriptor in two steps.

use crate::caller::{Caller, Reply};
use lazaret_sys::processor::{self, Kept, Patient};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// How long after its last call a thread is let go.
const APART: Duration = Duration::from_millis(1);
/// After how many calls, one after the other, a thread is kept.
const BEFORE: u32 = 3;

/// The calls that would show, or pass on, where a thread may run. clone3(2), whose flags are in memory, is refused where
/// files are brokered.
const CALLS: [&str; 5] = ["clone", "fork", "sched_getaffinity", "sched_setaffinity", "vfork"];

/// Rules that name the calls before which everybody is to [part](Together::part).
pub fn calls() -> impl Iterator<Item = &'static str> {
    CALLS.into_iter()
}

/// Whom this thread is kept together with.
#[derive(Debug, Default)]
pub struct Together {
    last: Option<Last>,
    kept: Option<Pair>,
}

/// Who was answered last.
#[derive(Debug)]
struct Last {
    tid: u32,
    /// How many of its calls came before, one after the other.
    count: u32,
    at: Instant,
}

#[derive(Debug)]
struct Pair {
    thread: OwnedFd,
    theirs: Kept,
    own: Kept,
    patient: Option<Patient>,
}

impl Together {
    /// Ends the wait of `caller`.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer: nothing is supervised then.
    pub fn answer(&mut self, caller: &Caller<'_>, reply: Reply) -> io::Result<()> {
        let before = self.meet(caller);
        match reply {
            Reply::Descriptor { object, cloexec } if self.kept.is_none() && before >= BEFORE => {
                caller.answer_here(object.as_fd(), cloexec)
            }
            reply => caller.answer(reply),
        }
    }

    /// Returns how many calls of this thread came before this one, one after the other.
    fn meet(&mut self, caller: &Caller<'_>) -> u32 {
        let (tid, at) = (caller.tid(), Instant::now());
        let before = self.last.as_ref().filter(|last| last.tid == tid && at.duration_since(last.at) < APART);
        let count = before.map_or(0, |last| last.count.saturating_add(1));
        if count == 0 {
            // Another one; or this thread came late to it, as too many share their processor.
            self.part();
        }
        self.last = Some(Last { tid, count, at });
        if count == BEFORE {
            self.kept = Pair::of(caller);
        }
        count
    }

    /// Lets go of whoever is kept. Before one of [`calls`] goes on, and before this thread does anything else.
    pub fn part(&mut self) {
        if let Some(pair) = self.kept.take() {
            pair.part();
            self.last = None;
        }
    }

    /// When to part, unless they meet again before.
    pub fn due(&self) -> Option<Instant> {
        self.kept.as_ref()?;
        Some(self.last.as_ref()?.at + APART)
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.part();
    }
}

impl Pair {
    /// `None` where they share a processor anyway or never can, and of a thread that is not its process's only one.
    fn of(caller: &Caller<'_>) -> Option<Self> {
        let thread = caller.only_thread()?;
        let own = processor::keep_own()?;
        let theirs = processor::keep_here(caller.tid())?;
        Some(Self { thread, theirs, own, patient: processor::be_patient() })
    }

    fn part(self) {
        let Self { thread, theirs, own, patient } = self;
        drop((patient, own));
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&thread, PollFlags::IN)], Some(&now)) {
            Ok(0) => drop(theirs),
            // It is dead: its number may be another's.
            _ => theirs.forget(),
        }
    }
}
