//! What a socket is, by its number alone.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// What a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// `AF_*`.
    pub family: i32,
    /// Whether it waits for connections.
    pub listens: bool,
    /// Whether it has a peer.
    pub is_connected: bool,
}

/// Asks what the socket with the descriptor number `number` is. The number need not be open: it is only looked up.
///
/// Source: socket(7), `SO_DOMAIN`, `SO_ACCEPTCONN`; getpeername(2).
///
/// # Errors
///
/// `EBADF`, `ENOTSOCK`.
pub fn look(number: i32) -> io::Result<Socket> {
    Ok(Socket {
        family: option(number, libc::SO_DOMAIN)?,
        listens: option(number, libc::SO_ACCEPTCONN)? != 0,
        is_connected: is_connected(number),
    })
}

fn option(number: i32, name: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut size: libc::socklen_t = 4;
    let pointer = (&raw mut value).cast();
    // SAFETY: the kernel writes at most `size` bytes to `value`, and the size; both outlive the call.
    let answer = unsafe { libc::getsockopt(number, libc::SOL_SOCKET, name, pointer, &raw mut size) };
    crate::check(answer.into())?;
    Ok(value)
}

fn is_connected(number: i32) -> bool {
    let mut address = [0_u64; 16];
    let mut size: libc::socklen_t = 128;
    // SAFETY: the kernel writes at most `size` bytes to `address`, and the size; both outlive the call.
    let answer = unsafe { libc::getpeername(number, address.as_mut_ptr().cast(), &raw mut size) };
    answer == 0
}

/// A number of the network namespace that `socket` belongs to, which no other has until the machine starts anew.
///
/// A socket's own number of that kind, `SO_COOKIE`, is rustix's `socket_cookie`.
///
/// Source: `SO_NETNS_COOKIE` of the kernel's net/core/sock.c; Linux 5.14.
///
/// # Errors
///
/// `ENOTSOCK`; `ENOPROTOOPT` before Linux 5.14.
pub fn namespace(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut value = 0_u64;
    let mut size: libc::socklen_t = 8;
    let (number, pointer) = (socket.as_raw_fd(), (&raw mut value).cast());
    // SAFETY: the kernel writes at most `size` bytes to `value`, and the size; both outlive the call.
    let answer = unsafe { libc::getsockopt(number, libc::SOL_SOCKET, SO_NETNS_COOKIE, pointer, &raw mut size) };
    crate::check(answer.into())?;
    Ok(value)
}

/// Of include/uapi/asm-generic/socket.h.
const SO_NETNS_COOKIE: i32 = 71;

/// Binds `socket` to an interface: anyone may, once, since Linux 5.7.
///
/// Source: socket(7), `SO_BINDTODEVICE`.
///
/// # Errors
///
/// `ENODEV`; `EPERM` for another than it is bound to, without CAP_NET_RAW.
pub fn bind_to_interface(socket: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let size = libc::socklen_t::try_from(name.len()).map_err(io::Error::other)?;
    let (number, pointer) = (socket.as_raw_fd(), name.as_ptr().cast());
    // SAFETY: the kernel reads `size` bytes of the name, which outlives the call.
    let answer = unsafe { libc::setsockopt(number, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, pointer, size) };
    crate::check(answer.into()).map(drop)
}
