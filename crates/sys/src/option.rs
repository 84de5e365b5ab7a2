//! Sockets that are somebody else's: their options, and calls that are made on them with addresses as bytes.
//!
//! Source: socket(7), tcp(7), ip(7), ipv6(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A number among a socket's options.
///
/// # Errors
///
/// `ENOPROTOOPT` when the socket has no such option.
pub fn number(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    Ok(i32::from_ne_bytes(bytes(socket, level, name)?))
}

/// An option of `N` bytes: a `struct linger`, a `struct timeval`, a cookie.
///
/// # Errors
///
/// `ENOPROTOOPT` when the socket has no such option, `EINVAL` when it has another size.
pub fn bytes<const N: usize>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<[u8; N]> {
    let mut value = [0_u8; N];
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let mut size = libc::socklen_t::try_from(N).map_err(|_large| invalid())?;
    let pointer = value.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `size` bytes to `value`, and the size; both outlive the call.
    let answer = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, pointer, &raw mut size) };
    crate::check(answer.into())?;
    if size as usize == N { Ok(value) } else { Err(invalid()) }
}

/// The first `N` bytes of an option that has more.
///
/// # Errors
///
/// `ENOPROTOOPT` when the socket has no such option, `EINVAL` when it has fewer bytes.
pub fn beginning<const N: usize>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<[u8; N]> {
    // The kernel copies no more than it is given room for, and says so.
    bytes(socket, level, name)
}

/// Sets an option to bytes.
///
/// # Errors
///
/// What setsockopt(2) has.
pub fn set(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let size = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of `value`, which outlives the call.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), size) };
    crate::check(answer.into()).map(drop)
}

/// Sets an option to a number.
///
/// # Errors
///
/// What setsockopt(2) has.
pub fn set_number(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(socket, level, name, &value.to_ne_bytes())
}

/// Has the socket take only what the classic BPF program `code` lets through, until another is attached, or it is taken off:
/// `SO_LOCK_FILTER` makes it stay for good.
///
/// Source: socket(7), `SO_ATTACH_FILTER`.
///
/// # Errors
///
/// `EINVAL` for a program that is none.
pub fn attach_filter(socket: BorrowedFd<'_>, code: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = libc::c_ushort::try_from(code.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: code.as_mut_ptr() };
    let size = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    let pointer = (&raw const program).cast();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: the kernel reads the structure and the instructions that it points at, all of which outlive the call.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, size) };
    crate::check(answer.into()).map(drop)
}

/// connect(2) to an address as bytes.
///
/// # Errors
///
/// What connect(2) has, among it `EINPROGRESS` for a socket that does not wait.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let size = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of `address`, which outlives the call, whatever their alignment.
    let answer = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), size) };
    crate::check(answer.into()).map(drop)
}

/// bind(2) to an address as bytes.
///
/// # Errors
///
/// What bind(2) has.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let size = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes of `address`, which outlives the call, whatever their alignment.
    let answer = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), size) };
    crate::check(answer.into()).map(drop)
}

/// listen(2).
///
/// # Errors
///
/// What listen(2) has.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let answer = unsafe { libc::listen(socket.as_raw_fd(), backlog) };
    crate::check(answer.into()).map(drop)
}
