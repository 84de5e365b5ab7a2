//! Descriptors in messages.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A socket that knows whether its number still stands for it: a program may have closed what it did not open, as daemons
/// close everything from 3 on, and been given the number again for something else.
#[derive(Debug)]
pub struct OwnSocket {
    socket: OwnedFd,
    /// Every socket has a number of its own in the kernel's file system of sockets.
    inode: u64,
    device: u64,
}

impl OwnSocket {
    /// Source: fstat(2), sockfs of the kernel's net/socket.c.
    ///
    /// # Errors
    ///
    /// When `socket` is closed.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&socket)?;
        Ok(Self { socket, inode: stat.st_ino, device: stat.st_dev })
    }

    /// The socket.
    ///
    /// # Errors
    ///
    /// `EBADF` when its number is free or something else's.
    pub fn get(&self) -> io::Result<BorrowedFd<'_>> {
        let stat = rustix::fs::fstat(&self.socket)?;
        let same = (stat.st_ino, stat.st_dev) == (self.inode, self.device);
        if same { Ok(self.socket.as_fd()) } else { Err(io::Error::from_raw_os_error(libc::EBADF)) }
    }
}

impl AsFd for OwnSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The most descriptors that one message carries here; the kernel's own bound, SCM_MAX_FD, is 253.
const MOST: usize = 8;

/// Takes one message off `socket`, without waiting: its bytes into `bytes`, and the descriptors it brought.
///
/// The descriptors have close-on-exec set. An end of file gives no bytes and no descriptors.
///
/// Source: recvmsg(2), unix(7) `SCM_RIGHTS`.
///
/// # Errors
///
/// `EAGAIN` when no message is there.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    Ok((message.bytes, descriptors))
}

/// The most descriptors that one message can carry: SCM_MAX_FD of unix(7).
const MOST_SENT: usize = 253;

/// Sends `bytes` (at least one) and `descriptors` (at most 253) as one message over the sequenced-packet `socket`.
///
/// Source: sendmsg(2), unix(7) `SCM_RIGHTS`.
///
/// # Errors
///
/// `EPIPE` when the other end is closed, `E2BIG` for too many descriptors, `ETOOMANYREFS` when too many are on their way.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_by(socket, bytes, descriptors, SendFlags::NOSIGNAL)
}

/// As [`send`], without waiting for room.
///
/// # Errors
///
/// As [`send`], and `EAGAIN` when there is no room.
pub fn try_send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_by(socket, bytes, descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn send_by(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<()> {
    let mut space = vec![std::mem::MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > MOST_SENT || !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}
