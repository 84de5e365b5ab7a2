//! Sockets and addresses as the kernel takes them.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::call::{self, Errno, Result, sys};

/// `MSG_FASTOPEN`: tcp(7).
pub(crate) const FASTOPEN: i32 = 0x2000_0000;

/// A struct sockaddr of any family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) bytes: [u8; 128],
    pub(crate) length: usize,
}

impl Address {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => Self::from_parts(libc::AF_INET, &[&port, &ip.octets(), &[0; 8]]),
            IpAddr::V6(ip) => Self::from_parts(libc::AF_INET6, &[&port, &[0; 4], &ip.octets(), &[0; 4]]),
        }
    }

    /// The same host for a socket of IPv6.
    pub(crate) fn of_v6(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self::of(SocketAddr::new(ip.into(), address.port()))
    }

    /// That undoes a connection.
    pub(crate) fn none() -> Self {
        Self::from_parts(libc::AF_UNSPEC, &[&[0; 14]])
    }

    /// An abstract one of a Unix socket.
    pub(crate) fn local(name: &str) -> Self {
        Self::from_parts(libc::AF_UNIX, &[&[0], name.as_bytes()])
    }

    pub(crate) fn from_parts(family: i32, parts: &[&[u8]]) -> Self {
        let mut bytes = [0; 128];
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        let rest = parts.concat();
        bytes[2..2 + rest.len()].copy_from_slice(&rest);
        Self { bytes, length: 2 + rest.len() }
    }
}

pub(crate) fn make(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    own(sys!(socket, family, kind | libc::SOCK_CLOEXEC, protocol)?)
}

/// A descriptor that a call gave.
pub(crate) fn own(number: i64) -> Result<OwnedFd> {
    let number = i32::try_from(number).map_err(|_too_large| Errno(libc::EBADF))?;
    // SAFETY: the kernel has just given it, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A TCP socket that is reset when it is closed, so that no port waits for the rest of its connection.
pub(crate) fn tcp(v6: bool) -> Result<OwnedFd> {
    let socket = make(if v6 { libc::AF_INET6 } else { libc::AF_INET }, libc::SOCK_STREAM, 0)?;
    loop {
        match set(&socket, libc::SOL_SOCKET, libc::SO_LINGER, &[1_i32, 0]) {
            // The supervisor makes this call too, and signals end it.
            Err(Errno(libc::EINTR)) => {}
            set => return set.map(|_| socket),
        }
    }
}

pub(crate) fn connect(socket: &impl AsRawFd, to: &Address) -> Result {
    sys!(connect, socket.as_raw_fd(), to.bytes.as_ptr(), to.length)
}

pub(crate) fn bind(socket: &impl AsRawFd, at: &Address) -> Result {
    sys!(bind, socket.as_raw_fd(), at.bytes.as_ptr(), at.length)
}

pub(crate) fn listen(socket: &impl AsRawFd) -> Result {
    sys!(listen, socket.as_raw_fd(), 8)
}

/// Accepts, without waiting.
pub(crate) fn accept(socket: &impl AsRawFd) -> Result<OwnedFd> {
    own(sys!(accept4, socket.as_raw_fd(), 0, 0, libc::SOCK_NONBLOCK)?)
}

pub(crate) fn shut(socket: &impl AsRawFd) -> Result {
    sys!(shutdown, socket.as_raw_fd(), libc::SHUT_RDWR)
}

pub(crate) fn set<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) -> Result {
    sys!(setsockopt, socket.as_raw_fd(), level, name, std::ptr::from_ref(value), size_of::<T>())
}

/// setsockopt with whole registers: an int is their low halves.
pub(crate) fn set_with_high_halves<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) -> Result {
    const HIGH: i64 = 0x7fff_0001 << 32;
    let value_at = std::ptr::from_ref(value).addr() as i64;
    let (level, name) = (HIGH | i64::from(level), HIGH | i64::from(name));
    call::call(libc::SYS_setsockopt, [socket.as_raw_fd().into(), level, name, value_at, size_of::<T>() as i64, 0])
}

pub(crate) fn send_to(socket: &impl AsRawFd, to: &Address, flags: i32) -> Result {
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    sys!(sendto, socket.as_raw_fd(), b"x".as_ptr(), 1, flags, to.bytes.as_ptr(), to.length)
}

/// sendmsg, or sendmmsg with the one message, to an address.
pub(crate) fn send_message(socket: &impl AsRawFd, to: &Address, flags: i32, many: bool) -> Result {
    let (mut to, mut byte) = (*to, [b'x']);
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: numbers and pointers, for which zeros are good values.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_name = to.bytes.as_mut_ptr().cast();
    message.msg_hdr.msg_namelen = to.length as u32;
    message.msg_hdr.msg_iov = &raw mut vector;
    message.msg_hdr.msg_iovlen = 1;
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if many {
        sys!(sendmmsg, socket.as_raw_fd(), &raw mut message, 1, flags)
    } else {
        sys!(sendmsg, socket.as_raw_fd(), &raw const message.msg_hdr, flags)
    }
}

pub(crate) fn do_not_wait(socket: &impl AsRawFd, yes: bool) -> Result {
    let number = i32::from(yes);
    sys!(ioctl, socket.as_raw_fd(), libc::FIONBIO, &raw const number)
}

/// Has `number` stand for what `socket` stands for.
pub(crate) fn put(socket: &impl AsRawFd, number: i32) -> Result {
    sys!(dup3, socket.as_raw_fd(), number, libc::O_CLOEXEC)
}
