//! Processors that threads may run on, and when. Source: sched_setaffinity(2), sched_getcpu(3), sched(7).

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::marker::PhantomData;

/// A thread that may run on one processor only, until this is dropped.
#[derive(Debug)]
pub struct Kept {
    thread: Pid,
    only: CpuSet,
    before: CpuSet,
}

/// Keeps the thread `tid` to the processor on which the calling thread runs: when it is woken, it runs there, as soon
/// as the calling thread waits. `None` where it may not run there, runs nowhere else anyway, or is not this process's to
/// keep.
///
/// For a thread that sleeps, and is about to be woken by a call for which the kernel looks for an idle processor: to
/// wake that one costs more than all the rest. The thread can see it, and what it makes meanwhile inherits it:
/// whoever keeps another's thread sees to that.
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
    Some(Kept { thread, only, before })
}

/// Keeps the calling thread to the processor on which it runs. To keep it once and for long is cheaper than often.
pub fn keep_own() -> Option<Kept> {
    keep_here(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
}

impl Kept {
    /// Does nothing more about the thread, which is dead: its number may be another's.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Where somebody else has chosen other processors for it meanwhile, these stay.
        if sched_getaffinity(Some(self.thread)) == Ok(self.only) {
            // A thread that ended meanwhile runs nowhere.
            if sched_setaffinity(Some(self.thread), &self.before).is_err() {}
        }
    }
}

/// The calling thread, which takes a processor from nobody when it is woken, until this is dropped.
#[derive(Debug)]
pub struct Patient {
    /// A thread has its own policy: this is its to give back.
    _not_send: PhantomData<*const ()>,
}

/// Has the calling thread wait for its turn when it is woken, instead of interrupting who runs. `None` where it is not
/// scheduled as threads usually are. Source: sched(7), `SCHED_BATCH`; Linux 2.6.16.
pub fn be_patient() -> Option<Patient> {
    // SAFETY: the call has no pointers.
    let policy = unsafe { libc::sched_getscheduler(0) };
    let changed = policy == libc::SCHED_OTHER && schedule_own(libc::SCHED_BATCH);
    changed.then_some(Patient { _not_send: PhantomData })
}

impl Drop for Patient {
    fn drop(&mut self) {
        // From this policy every thread may go back to the usual one.
        schedule_own(libc::SCHED_OTHER);
    }
}

/// Returns whether the calling thread has that policy now.
fn schedule_own(policy: i32) -> bool {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads the parameters, which outlive the call.
    unsafe { libc::sched_setscheduler(0, policy, &raw const priority) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> u32 {
        rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()
    }

    fn may_run_on() -> CpuSet {
        sched_getaffinity(None).expect("it is this thread")
    }

    #[test]
    fn a_thread_is_kept_here_and_let_go_again() {
        let before = may_run_on();

        let kept = keep_here(own());
        let meanwhile = may_run_on();
        let was_kept = kept.is_some();
        drop(kept);

        assert_eq!(was_kept, before.count() > 1);
        assert_eq!(meanwhile.count(), 1_u32.min(before.count()));
        assert_eq!(may_run_on(), before);
    }

    #[test]
    fn a_thread_is_patient_for_a_while() {
        // SAFETY: the call has no pointers.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        assert_eq!(policy(), libc::SCHED_OTHER, "tests run as usual threads");

        let patient = be_patient().expect("it may wait");
        let (meanwhile, again) = (policy(), be_patient().is_some());
        drop(patient);

        assert_eq!((meanwhile, again), (libc::SCHED_BATCH, false));
        assert_eq!(policy(), libc::SCHED_OTHER);
    }

    #[test]
    fn what_somebody_else_chose_meanwhile_stays() {
        let before = may_run_on();
        let Some(other) = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu)).nth(1) else {
            assert!(keep_own().is_none());
            return;
        };
        let mut chosen = CpuSet::new();
        chosen.set(other);
        let kept = keep_own().expect("there are two");
        sched_setaffinity(None, &chosen).expect("it may run there");
        let expected = if kept.only == chosen { before } else { chosen };
        drop(kept);

        assert_eq!(may_run_on(), expected);
    }
}
