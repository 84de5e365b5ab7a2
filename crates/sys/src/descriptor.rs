//! Descriptors in messages.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};

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
    let mut space = vec![std::mem::MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > MOST_SENT || !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
