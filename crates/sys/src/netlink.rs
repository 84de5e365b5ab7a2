//! Questions to the kernel, and its news, as messages of netlink(7).

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The size of a message's header, and what everything in a message is aligned to.
pub(crate) const HEADER: usize = 16;
const ALIGNMENT: usize = 4;

/// Enough for one message of those that are asked for here; the kernel fills no more than this of a dump at once.
const ROOM: usize = 32 * 1024;

/// A socket that the kernel is at the other end of.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    sequence: u32,
    room: Vec<u8>,
}

/// One message: its type, whether what it is a part of changed meanwhile (`NLM_F_DUMP_INTR`), and what follows its header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) is_interrupted: bool,
    pub(crate) body: &'a [u8],
}

impl Channel {
    /// `protocol`: none is NETLINK_ROUTE. It belongs to the calling thread's network namespace.
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, protocol)?;
        Ok(Self { socket, sequence: 0, room: vec![0; ROOM] })
    }

    /// Has it get the news of `groups`, one bit for each, group 1 the lowest. It has asked nothing yet.
    pub(crate) fn join(&self, groups: u32) -> io::Result<()> {
        Ok(rustix::net::bind(&self.socket, &SocketAddrNetlink::new(0, groups))?)
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends a question. Its answer is there when this returns: the kernel answers as it takes the message.
    pub(crate) fn send(&mut self, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let flags = u16::try_from(libc::NLM_F_REQUEST | flags).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        rustix::net::sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// The next messages that are there, without waiting.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when none is; `ENOBUFS`, once, when some were lost for lack of room.
    pub(crate) fn receive(&mut self) -> io::Result<Messages<'_>> {
        loop {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let (_, length, from) = rustix::net::recvfrom(&self.socket, self.room.as_mut_slice(), flags)?;
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            // Only the kernel is believed; a process with the right to may send here too.
            if from.is_some_and(|from| from.pid() == 0) && length <= ROOM {
                return Ok(Messages { rest: self.room.get(..length).unwrap_or_default(), sequence: self.sequence });
            }
        }
    }
}

/// The messages of one datagram.
#[derive(Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
    sequence: u32,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    /// News has no number, an answer that of its question. What answers an earlier question, that was given up, is skipped.
    fn next(&mut self) -> Option<Message<'a>> {
        loop {
            let length = usize::try_from(number(self.rest, 0)?).ok()?;
            let message = self.rest.get(..length)?;
            self.rest = self.rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
            let sequence = number(message, 8)?;
            if sequence == 0 || sequence == self.sequence {
                let (kind, flags) = (short(message, 4)?, short(message, 6)?);
                let is_interrupted = i32::from(flags) & libc::NLM_F_DUMP_INTR != 0;
                return Some(Message { kind, is_interrupted, body: message.get(HEADER..)? });
            }
        }
    }
}

impl Message<'_> {
    /// What an error message tells: nothing when it only acknowledges.
    pub(crate) fn error(&self) -> io::Result<()> {
        match number(self.body, 0).map_or(-libc::EPROTO, u32::cast_signed) {
            _ if i32::from(self.kind) != libc::NLMSG_ERROR => Ok(()),
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
        }
    }
}

/// The attribute `kind` among those that fill `bytes`.
pub(crate) fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(short(bytes, 0)?);
        let found = short(bytes, 2)?;
        if found == kind {
            return bytes.get(4..length);
        }
        bytes = bytes.get(length.max(ALIGNMENT).next_multiple_of(ALIGNMENT)..)?;
    }
}

pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

pub(crate) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}
