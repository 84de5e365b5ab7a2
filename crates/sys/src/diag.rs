//! What the kernel knows of a TCP connection whose socket this process does not have.
//!
//! Anyone may ask about a connection and be told of ends: no privilege is needed, on Linux 6.18 by trying and since Linux 4.7
//! by the source (`NL_CFG_F_NONROOT_RECV` in net/core/sock_diag.c). Only [`Diag::destroy`] needs CAP_NET_ADMIN.

use crate::netlink::{Channel, Message, attribute, long, number};
use rustix::net::{netlink, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Names one TCP socket of a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's.
    pub remote: SocketAddr,
    /// The interface that it is bound to (`SO_BINDTODEVICE`), or 0. Another's is not found.
    pub interface: u32,
    /// `SO_COOKIE`, which no other socket has until the machine starts anew.
    pub cookie: u64,
}

/// How far a connection is. States are those of include/net/tcp_states.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// `TCP_*`: 1 established, 7 closed, and so on. News always says closed.
    pub state: u8,
    /// Bytes that left at least once, each counted once: `tcpi_bytes_sent` less `tcpi_bytes_retrans`. Neither counts the
    /// beginning or the end of the stream.
    pub sent: u64,
    /// Numbers that the peer has acknowledged: bytes, one for this side's SYN where it was the one that connected, and one for
    /// its FIN.
    pub acknowledged: u64,
    /// Numbers that came in order: bytes, and one for the peer's FIN.
    pub received: u64,
    /// Segments that left, and that came.
    pub segments: (u32, u32),
    /// Numbers that the program wrote and that have not left, which can be one too many for a FIN.
    pub unsent: u32,
}

/// What there is of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is connected, or is being connected or closed.
    Open(Figures),
    /// Only a remainder without numbers waits for late segments, in this state (6 `TIME_WAIT`, 5 `FIN_WAIT2`, 12 a request).
    Remainder(u8),
    /// Nothing: it was never connected, has ended, or is bound to another interface. A program may hold it all the same.
    Nothing,
}

/// One piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A socket is no more, and these are its last figures.
    Destroyed(Figures),
    /// Some news was lost for lack of room.
    Lost,
}

/// Asks about sockets.
#[derive(Debug)]
pub struct Diag {
    channel: Channel,
}

/// Tells of the ends of sockets.
#[derive(Debug)]
pub struct Ends {
    channel: Channel,
}

/// Of include/uapi/linux/sock_diag.h and inet_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const INET_DIAG_INFO: u16 = 2;
/// Groups 1 (`SKNLGRP_INET_TCP_DESTROY`) and 3 (`SKNLGRP_INET6_TCP_DESTROY`).
const TCP_ENDS: u32 = 0b101;
/// The size of struct inet_diag_msg, and where struct inet_diag_sockid keeps the cookie in it.
const INET_DIAG_MSG: usize = 72;
const COOKIE: usize = 44;

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K` and `BPF_RET | BPF_K` of linux/bpf_common.h.
const LOAD: u16 = 0x20;
const COMPARE: u16 = 0x15;
const ANSWER: u16 = 0x06;
/// [`COOKIE`], behind the header of the message.
const COOKIE_IN_MESSAGE: u32 = 16 + 44;

impl Diag {
    /// For sockets of the calling thread's network namespace.
    ///
    /// Source: sock_diag(7).
    ///
    /// # Errors
    ///
    /// `EPROTONOSUPPORT` without `CONFIG_INET_DIAG`, and what a filter makes of it.
    pub fn open() -> io::Result<Self> {
        Ok(Self { channel: Channel::open(Some(netlink::SOCK_DIAG))? })
    }

    /// The descriptor, to compare its namespace.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    /// Asks how far the socket `name` is.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked, or says something else.
    pub fn ask(&mut self, name: &Name) -> io::Result<Found> {
        self.channel.send(SOCK_DIAG_BY_FAMILY, 0, &request(name))?;
        let answer = self.channel.receive()?.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        match answer.error() {
            Ok(()) => found(answer).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            // Another socket has the addresses, before and since Linux 4.4.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => Ok(Found::Nothing),
            Err(e) => Err(e),
        }
    }

    /// Ends the connection of the socket `name` at once: the peer is sent a reset, what waits to be sent is dropped, and
    /// calls on it fail with ECONNABORTED.
    ///
    /// Source: `SOCK_DESTROY` of include/uapi/linux/sock_diag.h; Linux 4.5.
    ///
    /// # Errors
    ///
    /// `EPERM` without CAP_NET_ADMIN in the user namespace of the network's, `EOPNOTSUPP` without
    /// `CONFIG_INET_DIAG_DESTROY`, `ENOENT` when it is not there.
    pub fn destroy(&mut self, name: &Name) -> io::Result<()> {
        self.channel.send(SOCK_DESTROY, libc::NLM_F_ACK, &request(name))?;
        let answer = self.channel.receive()?.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        answer.error()
    }
}

/// The figures of a socket that this process has, also when it is connected to nothing any more.
///
/// Source: tcp(7), `TCP_INFO`; Linux 4.19 for all of it.
///
/// # Errors
///
/// `ENOTSOCK`, `EOPNOTSUPP` when it is not TCP's.
pub fn figures(socket: BorrowedFd<'_>) -> io::Result<Figures> {
    let mut info = [0_u64; 64];
    let mut size = libc::socklen_t::try_from(size_of_val(&info)).map_err(io::Error::other)?;
    let (number, pointer) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `size` bytes to `info`, and the size; both outlive the call.
    let answer = unsafe { libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, pointer, &raw mut size) };
    crate::check(answer.into())?;
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let cookie = sockopt::socket_cookie(socket)?;
    let info = bytes.get(..usize::try_from(size).unwrap_or(0)).unwrap_or_default();
    parse(info, cookie, info.first().copied().unwrap_or_default()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Ends {
    /// Of TCP sockets that programs made in the calling thread's network namespace: of none before [`only`](Self::only) or
    /// [`all`](Self::all). `room`: how many bytes of news may
    /// wait, as far as net.core.rmem_max permits; one end takes about a thousand. The kernel drops an end without a word
    /// only when it has no memory itself.
    ///
    /// Source: `SKNLGRP_INET_TCP_DESTROY` of include/uapi/linux/sock_diag.h; Linux 4.3.
    ///
    /// # Errors
    ///
    /// As [`Diag::open`].
    pub fn open(room: usize) -> io::Result<Self> {
        let ends = Self { channel: Channel::open(Some(netlink::SOCK_DIAG))? };
        sockopt::set_socket_recv_buffer_size(ends.socket(), room)?;
        ends.only([])?;
        ends.channel.join(TCP_ENDS)?;
        Ok(ends)
    }

    /// The descriptor, to wait for news.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    /// From here on has it told only of the sockets whose cookies end in one of `cookies`. What is not told takes no room.
    ///
    /// The kernel runs the program for each end on this host. It has two instructions for each of `cookies`.
    ///
    /// Source: socket(7), `SO_ATTACH_FILTER`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for more than 2,000, `ENOMEM` above net.core.optmem_max.
    pub fn only(&self, cookies: impl IntoIterator<Item = u32>) -> io::Result<()> {
        let mut program = vec![statement(LOAD, 0, COOKIE_IN_MESSAGE)];
        for cookie in cookies {
            // The program loads numbers as the network orders bytes.
            program.push(statement(COMPARE, 1, u32::from_be_bytes(cookie.to_ne_bytes())));
            program.push(statement(ANSWER, 0, u32::MAX));
        }
        program.push(statement(ANSWER, 0, 0));
        self.attach(&mut program)
    }

    /// From here on has it told of all sockets.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn all(&self) -> io::Result<()> {
        self.attach(&mut [statement(ANSWER, 0, u32::MAX)])
    }

    fn attach(&self, program: &mut [libc::sock_filter]) -> io::Result<()> {
        let len =
            libc::c_ushort::try_from(program.len()).map_err(|_long| io::Error::from_raw_os_error(libc::EINVAL))?;
        let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        let size = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
        let (number, option, pointer) =
            (self.socket().as_raw_fd(), libc::SO_ATTACH_FILTER, (&raw const program).cast());
        // SAFETY: the kernel reads the structure and the instructions that it points at, all of which outlive the call.
        let answer = unsafe { libc::setsockopt(number, libc::SOL_SOCKET, option, pointer, size) };
        crate::check(answer.into()).map(drop)
    }

    /// The next piece of news that is there, without waiting.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&mut self) -> io::Result<Option<News>> {
        loop {
            let found = match self.channel.receive() {
                Ok(mut messages) => messages.next().and_then(found),
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => return Ok(None),
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Some(News::Lost)),
                Err(e) => return Err(e),
            };
            if let Some(Found::Open(figures)) = found {
                return Ok(Some(News::Destroyed(figures)));
            }
        }
    }
}

/// One instruction: `jf` are those that it skips when it does not hold.
fn statement(code: u16, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf, k }
}

/// struct inet_diag_req_v2. The kernel takes a mapped address of IPv6 for one of IPv4.
fn request(name: &Name) -> Vec<u8> {
    let family = if name.remote.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let asked = 1 << (INET_DIAG_INFO - 1);
    let mut bytes = Vec::with_capacity(56);
    bytes.extend([family, libc::IPPROTO_TCP, asked, 0].map(|number| number.to_le_bytes()[0]));
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(name.local.port().to_be_bytes());
    bytes.extend(name.remote.port().to_be_bytes());
    for address in [name.local.ip(), name.remote.ip()] {
        match address {
            IpAddr::V4(address) => {
                bytes.extend(address.octets());
                bytes.extend([0; 12]);
            }
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend(name.interface.to_ne_bytes());
    let [a, b, c, d, e, f, g, h] = name.cookie.to_le_bytes();
    for half in [[a, b, c, d], [e, f, g, h]] {
        bytes.extend(u32::from_le_bytes(half).to_ne_bytes());
    }
    bytes
}

/// struct inet_diag_msg and the attributes behind it.
fn found(message: Message<'_>) -> Option<Found> {
    if message.kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let state = *message.body.get(1)?;
    let cookie = u64::from(number(message.body, COOKIE)?) | u64::from(number(message.body, COOKIE + 4)?) << 32;
    match attribute(message.body.get(INET_DIAG_MSG..)?, INET_DIAG_INFO) {
        Some(info) => parse(info, cookie, state).map(Found::Open),
        None => Some(Found::Remainder(state)),
    }
}

/// struct tcp_info of include/uapi/linux/tcp.h.
fn parse(info: &[u8], cookie: u64, state: u8) -> Option<Figures> {
    let (left, again) = (long(info, 200)?, long(info, 208)?);
    Some(Figures {
        cookie,
        state,
        sent: left.saturating_sub(again),
        acknowledged: long(info, 120)?,
        received: long(info, 128)?,
        segments: (number(info, 136)?, number(info, 140)?),
        unsent: number(info, 144)?,
    })
}

#[cfg(test)]
mod tests;
