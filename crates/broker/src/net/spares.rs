//! Sockets that are made before they are needed.
//!
//! A job that has connected may connect again, most likely to the same host. What takes the kernel longest of a connection is
//! to make two filters for it: that of its socket, and that of the ledger. Both are made while the job does not wait.

use super::replica;
use super::socket;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// How many there are at most. They count among this process's descriptors.
const MOST: usize = 8;
/// With fewer than these, more are made.
const FEW: usize = 4;
/// From how many connections on. A job that connects once needs none.
const FROM: u32 = 2;
/// How long after a call they are made: the job goes on first.
const LATER: Duration = Duration::from_micros(100);

/// The spare sockets of one job.
#[derive(Debug, Default)]
pub(super) struct Spares {
    made: Vec<Spare>,
    /// How many connections asked for one.
    asked: u32,
    /// Whether for IPv6, and with whom, the last one did.
    last: Option<(bool, SocketAddr)>,
    due: Option<Instant>,
}

/// A socket of this process's network namespace that is connected to nobody, and that the job has never had.
#[derive(Debug)]
struct Spare {
    socket: OwnedFd,
    cookie: u64,
    is_v6: bool,
    /// Whom it hears. That can still be changed.
    hears: Option<SocketAddr>,
}

impl Spares {
    /// One, and whom it hears, if it is known to hear anybody.
    pub(super) fn take(&mut self, is_v6: bool, peer: SocketAddr) -> Option<(OwnedFd, Option<SocketAddr>)> {
        self.asked = self.asked.saturating_add(1);
        self.last = Some((is_v6, peer));
        let at = self.made.iter().position(|spare| spare.is_v6 == is_v6);
        let taken = at.map(|at| self.made.swap_remove(at));
        if self.asked >= FROM && self.made.len() < FEW {
            self.due.get_or_insert_with(|| Instant::now() + LATER);
        }
        taken.map(|spare| (spare.socket, spare.hears))
    }

    /// When to [fill](Self::fill) up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Makes more, like the last that was asked for. Returns the cookies of all. Where none is to be had, each connection
    /// makes its own.
    pub(super) fn fill(&mut self) -> Vec<u64> {
        self.due = None;
        let Some((is_v6, peer)) = self.last else { return Vec::new() };
        self.made.retain(|spare| spare.is_v6 == is_v6);
        while self.made.len() < MOST {
            let Ok(socket) = replica::fresh(is_v6) else { break };
            let Ok(cookie) = socket::cookie(socket.as_fd()) else { break };
            let hears = replica::hear_only(socket.as_fd(), peer).is_ok().then_some(peer);
            self.made.push(Spare { socket, cookie, is_v6, hears });
        }
        self.made.iter().map(|spare| spare.cookie).collect()
    }
}
