//! Namespaces of single threads.

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Makes a new, empty network namespace and returns its descriptor; the calling thread stays in its own.
///
/// Source: unshare(2) `CLONE_NEWNET`, setns(2), network_namespaces(7).
///
/// # Errors
///
/// `EPERM` without CAP_SYS_ADMIN over the present namespace and the user namespace; `ENOSPC` at `user.max_net_namespaces`. The thread is in its own namespace then too,
/// unless that very way back failed, which ends in a panic: a thread in a wrong namespace must not go on.
///
/// # Panics
///
/// When the thread cannot return to its own namespace.
pub fn new_network() -> io::Result<OwnedFd> {
    const SELF: &str = "/proc/thread-self/ns/net";
    let own = File::open(SELF)?;
    // The way back, tried before it is needed: root of a user namespace may not own the network namespace it is in.
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
    // SAFETY: CLONE_NEWNET alone changes nothing that other threads share: no memory, no descriptors, no files.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    let new = File::open(SELF);
    let back = move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network));
    assert!(back.is_ok(), "a thread with CAP_SYS_ADMIN can return to the namespace it came from");
    Ok(new?.into())
}
