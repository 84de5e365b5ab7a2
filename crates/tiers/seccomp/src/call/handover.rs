//! Where a caller gets processes that were made ahead of its calls: locked down, with nothing of any caller's in them, each
//! waiting for the input of one call. It takes them off a connection, without a word to the spawner.

use super::process::{News, Parent, Process, Ready};
use super::room::{Layout, Room, above_streams};
use lazaret_sys::descriptor::OwnSocket;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, getpid};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// The largest input that such a process has room for.
pub(crate) const INPUT: usize = 64 * 1024;

/// The caller's end of the connection, and what was taken off it.
#[derive(Debug)]
pub(crate) struct Handover {
    socket: OwnSocket,
    /// Everything is taken off at once: as long as descriptors are on their way, the kernel looks for such as can never
    /// arrive whenever a socket is closed.
    waiting: Mutex<VecDeque<Waiting>>,
    /// Whose those are: a fork of the caller's has copies, and perhaps a lock that nobody opens.
    owner: Pid,
}

/// A process that waits for its call.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) room: Room,
    pub(crate) process: Process,
    /// What it said, if it was locked down by then.
    pub(crate) ready: Option<Ready>,
}

impl Handover {
    /// The caller's end, and the spawner's.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let socket = OwnSocket::new(above_streams(one)?)?;
        Ok((Self { socket, waiting: Mutex::default(), owner: getpid() }, other))
    }

    /// The one that waits longest, if there is one. After a fork of the caller's, each is still taken once.
    pub(crate) fn take(&self, layout: Layout) -> Option<Waiting> {
        if getpid() != self.owner {
            return self.receive(layout);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(next) = self.receive(layout) {
            waiting.push_back(next);
        }
        waiting.pop_front()
    }

    fn receive(&self, layout: Layout) -> Option<Waiting> {
        // Without a spawner there are none: why, the caller sees when it asks for one.
        let (_, descriptors) = lazaret_sys::descriptor::receive(self.socket.get().ok()?, &mut [0; 1]).ok()?;
        let [room, socket, control] = <[OwnedFd; 3]>::try_from(descriptors).ok()?;
        let room = Room::of(above_streams(room).ok()?, layout);
        let (socket, control) = (above_streams(socket).ok()?, above_streams(control).ok()?);
        let process = Process { socket, parent: Parent::Spawner(control) };
        let ready = match process.news() {
            Ok(News::Ready(ready)) => Some(ready),
            // What became of it is seen when it is its turn.
            _ => None,
        };
        Some(Waiting { room, process, ready })
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if getpid() != self.owner {
            // They are the owner's, and dropping them would end them.
            let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(waiting));
        }
    }
}
