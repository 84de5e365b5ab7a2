//! What a socket is, by its number alone.

use std::io;

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
