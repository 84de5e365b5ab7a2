//! Process 1 of a jail: reaps, forwards the signals that come from outside, and tells how the job ended.

use crate::bury;
use crate::format::Outcome;
use crate::raw::{self, nr};
use crate::walk::Block;
use core::mem::offset_of;
use core::sync::atomic::{AtomicI64, Ordering};

static JOB: AtomicI64 = AtomicI64::new(0);

const SIGCHLD: i64 = 17;
/// How often a process 1 outside of a pid namespace looks whether its caller lives, beside being told by the kernel.
const LOOK_S: u64 = 1;
const WNOHANG: u64 = 1;
const WALL: u64 = 0x4000_0000;

/// The job's first process.
pub(crate) fn job() -> i64 {
    JOB.load(Ordering::Relaxed)
}

/// Remembers which child is the job.
pub(crate) fn set_job(pid: i64) {
    JOB.store(pid, Ordering::Relaxed);
}

/// Waits for the job's first process; the kernel kills whatever is left of the pid namespace when this one exits. Where
/// there is none, this process does that: see [`bury`].
///
/// Every signal is blocked here. A signal whose sender has no pid in this namespace comes from outside and is forwarded;
/// what the job sends us is thrown away.
pub(crate) fn until_the_job_ends(block: &Block) -> ! {
    let job = JOB.load(Ordering::Relaxed);
    loop {
        // Reap first: the job may have ended before the first wait.
        while let Some(pid) = reap(block, job) {
            if pid == job {
                bury::all(block);
                raw::exit(0);
            }
        }
        let every_signal = u64::MAX;
        let mut info = [0_i32; 32];
        let patience = [LOOK_S, 0_u64];
        let timeout = if bury::keeps() { (&raw const patience) as u64 } else { 0 };
        // SAFETY: a set of 8 bytes, a siginfo of 128 bytes, a timespec or none.
        let signal = unsafe {
            raw::call(nr::SIGTIMEDWAIT, [(&raw const every_signal) as u64, (&raw mut info) as u64, timeout, 8, 0, 0])
        };
        if bury::keeps() {
            // The kernel's signal of the caller's death, the caller's own, or one of the user's.
            if (signal > 0 && signal != SIGCHLD) || bury::is_orphaned() {
                bury::all(block);
                raw::exit(0);
            }
            continue;
        }
        // siginfo: signo, errno, code, padding, pid, uid. SI_USER is 0.
        let from_outside = info[2] == 0 && info[4] == 0;
        if signal > 0 && signal != SIGCHLD && from_outside {
            // SAFETY: two numbers.
            unsafe { raw::call(nr::KILL, [job as u64, signal as u64, 0, 0, 0, 0]) };
        }
    }
}

/// Takes one dead child. `None` when there is none.
pub(crate) fn reap(block: &Block, job: i64) -> Option<i64> {
    let mut status = 0_i32;
    let mut usage = [0_u64; 18];
    // SAFETY: any child, a writable status and a writable struct rusage of 18 longs.
    let pid = unsafe {
        raw::call(nr::WAIT4, [u64::MAX, (&raw mut status) as u64, WNOHANG | WALL, (&raw mut usage) as u64, 0, 0])
    };
    if pid == job {
        block.tell(offset_of!(Outcome, usage), usage);
        if !bury::has_begun() {
            block.tell(offset_of!(Outcome, wait_status), status);
            block.tell(offset_of!(Outcome, ended), 1_u32);
        }
    }
    (pid > 0).then_some(pid)
}
