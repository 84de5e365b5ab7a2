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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address;
    use crate::net::options::Options;
    use crate::net::socket::Facts;
    use lazaret_sys::option;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    use std::io;
    use std::net::TcpListener;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("it does not wait");
        let at = listener.local_addr().expect("its address");
        (listener, at)
    }

    fn filled(peer: SocketAddr) -> Spares {
        let mut spares = Spares::default();
        for _ in 0..FROM {
            assert!(spares.take(false, peer).is_none());
        }
        assert!(spares.due().is_some());
        assert_eq!(spares.fill().len(), MOST);
        spares
    }

    fn make(peer: SocketAddr, spares: &mut Spares) -> OwnedFd {
        let old = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        let facts = Facts::of(old.as_fd()).expect("its facts");
        replica::make(old.as_fd(), &facts, peer, false, (spares, &Options::default())).expect("a replica")
    }

    #[test]
    fn a_job_that_connects_once_has_no_spares() {
        let mut spares = Spares::default();

        let none = spares.take(false, "192.0.2.1:443".parse().expect("an address"));

        assert!(none.is_none() && spares.due().is_none());
    }

    #[test]
    fn a_spare_hears_whom_it_is_taken_for_and_nobody_else() {
        let ((meant, meant_at), (other, other_at)) = (listener(), listener());

        // The first was made for the one, the second for the other.
        for made_for in [meant_at, other_at] {
            let mut spares = filled(made_for);
            let to_meant = make(meant_at, &mut spares);
            let to_other = make(meant_at, &mut spares);
            drop(option::connect(to_meant.as_fd(), &address::bytes(meant_at, false)));
            drop(option::connect(to_other.as_fd(), &address::bytes(other_at, false)));
            std::thread::sleep(Duration::from_millis(100));

            assert!(meant.accept().is_ok());
            assert!(other.accept().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
            assert_eq!(spares.made.len(), MOST - 2);
        }
    }

    #[test]
    fn the_filter_of_a_spare_that_was_taken_stays() {
        let peer = "192.0.2.1:443".parse().expect("an address");

        let taken = make(peer, &mut filled(peer));
        let detached = option::set_number(taken.as_fd(), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0);
        let unlocked = option::set_number(taken.as_fd(), libc::SOL_SOCKET, libc::SO_LOCK_FILTER, 0);

        assert!(detached.is_err() && unlocked.is_err(), "{detached:?} {unlocked:?}");
    }
}
