//! What a socket is, and connecting it without waiting.

use lazaret_sys::option;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

/// `SO_NETNS_COOKIE`: Linux 5.14.
const NAMESPACE: i32 = 71;
/// `SO_COOKIE`: Linux 4.6.
const COOKIE: i32 = 57;

/// What a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// `AF_*`.
    pub(super) family: i32,
    /// `SOCK_*`.
    pub(super) kind: i32,
    /// `IPPROTO_*`.
    pub(super) protocol: i32,
    /// The network namespace that it is of; 0 for one that is of none.
    pub(super) namespace: u64,
}

impl Facts {
    /// `Err` with `ENOTSOCK` for what is no socket.
    pub(super) fn of(object: BorrowedFd<'_>) -> io::Result<Self> {
        let number = |name| option::number(object, libc::SOL_SOCKET, name);
        Ok(Self {
            family: number(libc::SO_DOMAIN)?,
            kind: number(libc::SO_TYPE)?,
            protocol: number(libc::SO_PROTOCOL)?,
            namespace: namespace(object)?,
        })
    }

    pub(super) fn is_inet(&self) -> bool {
        matches!(self.family, libc::AF_INET | libc::AF_INET6)
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.is_inet()
            && self.kind == libc::SOCK_STREAM
            && matches!(self.protocol, libc::IPPROTO_TCP | libc::IPPROTO_MPTCP)
    }

    pub(super) fn is_v6(&self) -> bool {
        self.family == libc::AF_INET6
    }
}

fn namespace(object: BorrowedFd<'_>) -> io::Result<u64> {
    option::bytes(object, libc::SOL_SOCKET, NAMESPACE).map(u64::from_ne_bytes)
}

/// The number of a socket that no other ever has.
pub(super) fn cookie(object: BorrowedFd<'_>) -> io::Result<u64> {
    option::bytes(object, libc::SOL_SOCKET, COOKIE).map(u64::from_ne_bytes)
}

/// The cookie of this thread's network namespace.
pub(super) fn own_namespace() -> io::Result<u64> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    namespace(socket.as_fd())
}

/// How connecting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is connected.
    Done,
    /// It is on its way.
    Waiting,
    /// It failed.
    Failed(i32),
}

/// Connects `object` to `address`, without waiting: also a socket that waits, which is made one that does not for as long
/// as the call takes. Who uses it at the same time is told that it is not connected, either way.
pub(super) fn begin(object: BorrowedFd<'_>, address: &[u8]) -> io::Result<Begun> {
    let flags = rustix::fs::fcntl_getfl(object)?;
    let waits = !flags.contains(OFlags::NONBLOCK);
    if waits {
        rustix::fs::fcntl_setfl(object, flags | OFlags::NONBLOCK)?;
    }
    let connected = option::connect(object, address);
    if waits {
        rustix::fs::fcntl_setfl(object, flags)?;
    }
    begun(connected)
}

/// The same, for a socket that is known not to wait.
pub(super) fn begin_at_once(object: BorrowedFd<'_>, address: &[u8]) -> io::Result<Begun> {
    begun(option::connect(object, address))
}

fn begun(connected: io::Result<()>) -> io::Result<Begun> {
    Ok(match connected {
        Ok(()) => Begun::Done,
        Err(e) => match e.raw_os_error() {
            Some(libc::EINPROGRESS) => Begun::Waiting,
            Some(errno) => Begun::Failed(errno),
            None => return Err(e),
        },
    })
}

/// Whether something can be said of a connection that was on its way.
pub(super) fn is_settled(object: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&object, PollFlags::OUT)], Some(&now)) == Ok(1)
}

/// Whether the socket has a peer.
pub(super) fn is_connected(object: BorrowedFd<'_>) -> bool {
    rustix::net::getpeername(object).is_ok()
}

/// Where a TCP socket is with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has none, and none on its way.
    Closed,
    /// It is on its way.
    Opening,
    /// It is there, or was and has not ended.
    Open,
}

/// Source: tcp(7), `TCP_INFO`; `TCP_SYN_SENT`, `TCP_SYN_RECV` and `TCP_CLOSE` of the kernel's include/net/tcp_states.h.
pub(super) fn state(object: BorrowedFd<'_>) -> io::Result<State> {
    let [state] = option::beginning(object, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(match state {
        7 => State::Closed,
        2 | 3 => State::Opening,
        _ => State::Open,
    })
}

/// What became of connecting: 0, or an errno.
pub(super) fn error(object: BorrowedFd<'_>) -> io::Result<i32> {
    option::number(object, libc::SOL_SOCKET, libc::SO_ERROR)
}
