//! epoll instances that watch a socket which is about to be replaced.
//!
//! An instance watches an object, not a number: with the job's own socket it would forget what the job registered before it
//! connected. So what was registered is registered again with the socket that takes its place.

use super::hands::Hands;
use crate::caller::{Caller, CallerError};
use lazaret_sys::poller::{self, Watched};
use std::collections::HashMap;
use std::os::fd::BorrowedFd;

/// How many threads' instances are remembered, and how many descriptors of a process are looked through.
const KEPT: usize = 256;
const LOOKED_THROUGH: usize = 4096;

/// The epoll instances of a job.
#[derive(Debug, Default)]
pub(super) struct Pollers {
    /// How many were made so far.
    made: u64,
    /// The numbers of those that threads have, and how many had been made when that was looked at.
    known: HashMap<u32, (u64, Vec<i32>)>,
}

impl Pollers {
    /// One is about to be made.
    pub(super) fn note(&mut self) {
        self.made += 1;
    }

    /// Which instances watch the number `descriptor` of the caller, and for what.
    pub(super) fn of(&mut self, caller: &Caller<'_>, descriptor: i32) -> Vec<(i32, Watched)> {
        if self.made == 0 {
            return Vec::new();
        }
        let tid = caller.tid();
        if self.known.get(&tid).is_none_or(|(made, _)| *made != self.made) {
            if self.known.len() >= KEPT {
                self.known.clear();
            }
            self.known.insert(tid, (self.made, numbers(tid)));
        }
        let numbers = self.known.get(&tid).map(|(_, numbers)| numbers.as_slice()).unwrap_or_default();
        numbers.iter().filter_map(|number| Some((*number, registered(tid, *number, descriptor)?))).collect()
    }
}

/// Registers what was registered, with `object` under the number `descriptor`. What cannot be is lost, as it would be without.
pub(super) fn register(
    caller: &Caller<'_>,
    found: Vec<(i32, Watched)>,
    object: BorrowedFd<'_>,
    descriptor: i32,
    hands: &mut Hands,
) -> Result<(), CallerError> {
    use std::os::fd::AsFd as _;
    for (number, watched) in found {
        match caller.descriptor(number) {
            // It may stand for something else by now, which takes no such request.
            Ok(poller) => {
                drop(poller::watch(poller.as_fd(), object, descriptor, watched));
                hands.let_go(poller);
            }
            Err(CallerError::Errno(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Source: proc_pid_fd(5).
fn numbers(tid: u32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return Vec::new() };
    let is_poller = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == "anon_inode:[eventpoll]")
    };
    let found = entries.flatten().take(LOOKED_THROUGH).filter(is_poller);
    found.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Source: proc_pid_fdinfo(5): a line `tfd: NUMBER events: HEX data: HEX …` for each that is watched.
fn registered(tid: u32, poller: i32, descriptor: i32) -> Option<Watched> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/fdinfo/{poller}")).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let mut value = |key: &str| (words.next()? == key).then(|| words.next())?;
        let number: i32 = value("tfd:")?.parse().ok()?;
        let events = u32::from_str_radix(value("events:")?, 16).ok()?;
        let data = u64::from_str_radix(value("data:")?, 16).ok()?;
        (number == descriptor).then_some(Watched { events, data })
    })
}
