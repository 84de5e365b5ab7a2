//! Where a caller gets processes that were made ahead of its calls: locked down, with nothing of any caller's in them, each
//! waiting for the input of one call. It takes them off a connection, without a word to the spawner.

use super::process::{Parent, Process};
use super::room::{Layout, Room, above_streams};
use lazaret_sys::descriptor::OwnSocket;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::OwnedFd;

/// The largest input that such a process has room for.
pub(crate) const INPUT: usize = 64 * 1024;

/// The caller's end of the connection.
#[derive(Debug)]
pub(crate) struct Handover(OwnSocket);

impl Handover {
    /// The caller's end, and the spawner's.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(OwnSocket::new(above_streams(one)?)?), other))
    }

    /// The one that waits longest, if there is one. After a fork of the caller's, each is still taken once.
    pub(crate) fn take(&self, layout: Layout) -> Option<(Room, Process)> {
        // Without a spawner there are none: why, the caller sees when it asks for one.
        let (_, descriptors) = lazaret_sys::descriptor::receive(self.0.get().ok()?, &mut [0; 1]).ok()?;
        let [room, socket, control] = <[OwnedFd; 3]>::try_from(descriptors).ok()?;
        let room = Room::of(above_streams(room).ok()?, layout);
        let (socket, control) = (above_streams(socket).ok()?, above_streams(control).ok()?);
        Some((room, Process { socket, parent: Parent::Spawner(control) }))
    }
}
