//! Processors that threads may run on. Source: sched_setaffinity(2), sched_getcpu(3).

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A thread that may run on one processor only, until this is dropped.
#[derive(Debug)]
pub struct Kept {
    thread: Pid,
    before: CpuSet,
}

/// Keeps the thread `tid` to the processor on which the calling thread runs: when it is woken, it runs there, as soon
/// as the calling thread waits. `None` where it may not run there, or is not this process's to keep.
///
/// For a thread that sleeps, and is about to be woken by a call for which the kernel looks for an idle processor: to
/// wake that one costs more than all the rest.
pub fn keep_here(tid: u32) -> Option<Kept> {
    let thread = Pid::from_raw(i32::try_from(tid).ok()?)?;
    let before = sched_getaffinity(Some(thread)).ok()?;
    let here = sched_getcpu();
    if !before.is_set(here) || before.count() < 2 {
        return None;
    }
    let mut only = CpuSet::new();
    only.set(here);
    sched_setaffinity(Some(thread), &only).ok()?;
    Some(Kept { thread, before })
}

/// Keeps the calling thread to the processor on which it runs. To keep it once and for long is cheaper than often.
pub fn keep_own() -> Option<Kept> {
    keep_here(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A thread that ended meanwhile runs nowhere.
        if sched_setaffinity(Some(self.thread), &self.before).is_err() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_here_and_let_go_again() {
        let own = rustix::thread::gettid();
        let tid = own.as_raw_nonzero().get().cast_unsigned();
        let before = sched_getaffinity(None).expect("it is this thread");

        let kept = keep_here(tid);
        let meanwhile = sched_getaffinity(None).expect("it is this thread");
        let was_kept = kept.is_some();
        drop(kept);

        assert_eq!(was_kept, before.count() > 1);
        assert_eq!(meanwhile.count(), 1_u32.min(before.count()));
        assert_eq!(sched_getaffinity(None).expect("it is this thread").count(), before.count());
    }
}
