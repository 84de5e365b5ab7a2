//! Kills every process that descends from this one, where no pid namespace does it.
//!
//! This process is a subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`): whoever loses its parent becomes its child. So it
//! kills its children, and then those that became its children by that, until there are none. The dead are not reaped
//! meanwhile: each keeps its place in the number of processes that RLIMIT_NPROC bounds, so that a job which forks as fast
//! as it is killed runs out of places. A process that reaps others lies deeper, is one itself, and comes nearer with each
//! round. Children that were not waited for keep their ids, so that no id means anybody else.

use crate::format::Outcome;
use crate::raw::{self, nr};
use crate::reap;
use crate::walk::{self, Block};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};

static CHILDREN: AtomicI64 = AtomicI64::new(-1);
static CHANNEL: AtomicI64 = AtomicI64::new(-1);
static BEGUN: AtomicBool = AtomicBool::new(false);

const SIGKILL: u64 = 9;
const SIGCHLD: u64 = 17;
const ECHILD: i64 = -10;
/// How long all of it may take, s.
const PATIENCE_S: u64 = 10;
/// How long to wait for a death before the next round, ns.
const PAUSE_NS: u64 = 500_000;

/// Begins to keep children: see `op::KEEP_CHILDREN`.
pub(crate) fn keep(children: u64, channel: u64) -> i64 {
    CHILDREN.store(children as i32 as i64, Ordering::Relaxed);
    CHANNEL.store(channel as i32 as i64, Ordering::Relaxed);
    0
}

/// Whether this process is to kill its descendants.
pub(crate) fn keeps() -> bool {
    CHILDREN.load(Ordering::Relaxed) >= 0
}

/// Whether the killing has begun, so that an end is none of the job's own.
pub(crate) fn has_begun() -> bool {
    BEGUN.load(Ordering::Relaxed)
}

/// Whether the caller is gone.
pub(crate) fn is_orphaned() -> bool {
    walk::lifeline(CHANNEL.load(Ordering::Relaxed) as u64) != 0
}

/// Kills and reaps every descendant, and says so in the outcome. Gives up after a while, and says nothing then.
pub(crate) fn all(block: &Block) {
    if !keeps() {
        return;
    }
    // Whose end came before is told as its own.
    while reap::reap(block, reap::job()).is_some() {}
    BEGUN.store(true, Ordering::Relaxed);
    let deadline = now_s() + PATIENCE_S;
    while now_s() < deadline {
        if kill_children() == 0 && reap_all(block) {
            block.tell(offset_of!(Outcome, buried), 1_u32);
            return;
        }
        await_a_death();
    }
}

/// Kills every child that lives. Returns how many there were.
fn kill_children() -> u32 {
    let list = CHILDREN.load(Ordering::Relaxed) as u64;
    let mut buffer = [0_u8; 4096];
    let (mut alive, mut pid) = (0, 0_u64);
    // SAFETY: a descriptor, offset 0, SEEK_SET.
    unsafe { raw::call(nr::LSEEK, [list, 0, 0, 0, 0, 0]) };
    loop {
        // SAFETY: a descriptor, a writable buffer and its size.
        let length = unsafe { raw::call(nr::READ, [list, (&raw mut buffer) as u64, buffer.len() as u64, 0, 0, 0]) };
        if length <= 0 {
            // Without the list nobody can be said to be dead; what reaping says counts.
            return alive;
        }
        for byte in &buffer[..length as usize] {
            if byte.is_ascii_digit() {
                pid = pid * 10 + u64::from(byte - b'0');
            } else if pid > 0 {
                alive += kill(pid);
                pid = 0;
            }
        }
    }
}

/// Kills the child `pid`, unless it is dead. Returns how many were alive.
fn kill(pid: u64) -> u32 {
    const P_PID: u64 = 1;
    /// WNOHANG, WEXITED, WNOWAIT, __WALL.
    const LOOK: u64 = 1 | 4 | 0x0100_0000 | 0x4000_0000;
    let mut info = [0_i32; 32];
    // SAFETY: a child's id, a writable siginfo of 128 bytes, no usage. It is not reaped.
    let answer = unsafe { raw::call(nr::WAITID, [P_PID, pid, (&raw mut info) as u64, LOOK, 0, 0]) };
    // siginfo: signo is SIGCHLD when it is dead, 0 when it lives.
    if answer == ECHILD || info[0] as u64 == SIGCHLD {
        return 0;
    }
    // SAFETY: two numbers: a child of this process, which has not been reaped.
    unsafe { raw::call(nr::KILL, [pid, SIGKILL, 0, 0, 0, 0]) };
    1
}

/// Reaps all that is dead. Returns whether there is no child left.
fn reap_all(block: &Block) -> bool {
    while reap::reap(block, reap::job()).is_some() {}
    /// WNOHANG, WEXITED, WNOWAIT, __WALL.
    const LOOK: u64 = 1 | 4 | 0x0100_0000 | 0x4000_0000;
    // SAFETY: any child (P_ALL), no siginfo wanted, no usage.
    unsafe { raw::call(nr::WAITID, [0, 0, 0, LOOK, 0, 0]) == ECHILD }
}

fn await_a_death() {
    let death = 1_u64 << (SIGCHLD - 1);
    let pause = [0_u64, PAUSE_NS];
    // SAFETY: a set of 8 bytes, no siginfo, a timespec.
    unsafe { raw::call(nr::SIGTIMEDWAIT, [(&raw const death) as u64, 0, (&raw const pause) as u64, 8, 0, 0]) };
}

fn now_s() -> u64 {
    let mut now = [0_u64; 2];
    // SAFETY: CLOCK_MONOTONIC (1) and a writable timespec.
    unsafe { raw::call(nr::CLOCK_GETTIME, [1, (&raw mut now) as u64, 0, 0, 0, 0]) };
    now[0]
}
