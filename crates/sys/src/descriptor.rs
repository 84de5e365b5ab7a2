//! Descriptors received in messages.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut};
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
