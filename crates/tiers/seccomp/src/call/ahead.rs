//! Processes that were made ahead: locked down, with nothing of any caller's in them, each waiting for the input of one call.

use super::process::Process;
use super::room::Room;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest input that a process which was made ahead has room for.
pub(crate) const INPUT: usize = 64 * 1024;
/// How long one waits for its input; then it ends.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// How many there are for one function, and for all.
const EACH: usize = 2;
const ALL: usize = 8;

/// The processes that wait.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<Vec<Waiting>>);

#[derive(Debug)]
struct Waiting {
    function: u64,
    room: Room,
    process: Process,
    since: Instant,
    /// Who made it: after a fork of the caller's, two hold it, and one process is for one call.
    owner: i32,
}

fn own_id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

impl Ahead {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<Waiting>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one that waits longest for a call of `function`.
    pub(crate) fn take(&self, function: u64) -> Option<(Room, Process)> {
        let own = own_id();
        self.with(|waiting| {
            // Those that have ended by now.
            waiting.retain(|one| one.since.elapsed() < IDLE && one.owner == own);
            let at = waiting.iter().position(|one| one.function == function)?;
            let Waiting { room, process, .. } = waiting.remove(at);
            Some((room, process))
        })
    }

    /// How many more there should be for `function`.
    pub(crate) fn lacks(&self, function: u64) -> usize {
        let there = self.with(|waiting| waiting.iter().filter(|one| one.function == function).count());
        EACH.saturating_sub(there)
    }

    /// Adds one. Where there are too many, the one that waits longest has to go.
    pub(crate) fn put(&self, function: u64, room: Room, process: Process) {
        let one = Waiting { function, room, process, since: Instant::now(), owner: own_id() };
        self.with(|waiting| {
            waiting.push(one);
            if waiting.len() > ALL {
                waiting.remove(0);
            }
        });
    }

    /// Lets go of those for `function`.
    pub(crate) fn forget(&self, function: u64) {
        self.with(|waiting| waiting.retain(|one| one.function != function));
    }
}
