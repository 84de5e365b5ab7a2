//! The socket addresses that a call names.

#[cfg(test)]
mod tests;

use crate::path;
use crate::thread::{InspectError, Thread};
use lazaret_filter::Call;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;

/// What a call does with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressRole {
    /// The socket gets it.
    Bind,
    /// The socket is connected to it.
    Connect,
    /// A message goes there.
    Send,
}

/// An address in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressUse {
    /// The number of the argument that it is in or behind.
    pub argument: u8,
    /// The descriptor of the socket.
    pub socket: i32,
    /// What is done with it.
    pub role: AddressRole,
    /// The address.
    pub address: Address,
}

/// A socket address. Source: ip(7), ipv6(7), unix(7), netlink(7).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// AF_INET.
    Inet(SocketAddrV4),
    /// AF_INET6.
    Inet6(SocketAddrV6),
    /// AF_UNIX with a path: as written, and from the root of the thread's mount namespace.
    Unix {
        /// The bytes that the program wrote.
        written: Vec<u8>,
        /// `None`: it is relative to a directory without a name.
        absolute: Option<PathBuf>,
    },
    /// AF_UNIX in the abstract namespace, without the zero at its front.
    Abstract(Vec<u8>),
    /// AF_UNIX without a name.
    Unnamed,
    /// AF_NETLINK.
    Netlink {
        /// The port; 0 is the kernel.
        port: u32,
        /// The multicast groups.
        groups: u32,
    },
    /// AF_UNSPEC, which undoes a connection.
    Unspecified,
    /// Any other family.
    Other {
        /// Its `AF_` number.
        family: u16,
        /// What follows the family.
        bytes: Vec<u8>,
    },
}

/// sizeof(struct sockaddr_storage): no address is longer.
const LONGEST: u64 = 128;
/// How many messages of a sendmmsg(2) are looked at.
const MESSAGES: u64 = 16;
/// struct mmsghdr: a struct msghdr and a number.
const MESSAGE_SIZE: u64 = 64;

/// The addresses that `call` names. Empty for calls that take none, and where the program gave memory that holds none.
///
/// # Errors
///
/// When this process may not look at the thread, or the call no longer waits.
pub fn addresses(thread: &Thread<'_>, call: &Call) -> Result<Vec<AddressUse>, InspectError> {
    let args = &call.args;
    let Some(name) = crate::name(call) else { return Ok(Vec::new()) };
    let (argument, role, found) = match name {
        "bind" => (1, AddressRole::Bind, vec![at(thread, args[1], args[2])?]),
        "connect" => (1, AddressRole::Connect, vec![at(thread, args[1], args[2])?]),
        "sendto" if args[4] != 0 => (4, AddressRole::Send, vec![at(thread, args[4], args[5])?]),
        "sendmsg" => (1, AddressRole::Send, vec![of_message(thread, args[1])?]),
        "sendmmsg" => {
            let messages = (0..args[2].min(MESSAGES)).map_while(|n| args[1].checked_add(n * MESSAGE_SIZE));
            let found: Result<Vec<_>, _> = messages.map(|message| of_message(thread, message)).collect();
            (1, AddressRole::Send, found?)
        }
        _ => return Ok(Vec::new()),
    };
    #[expect(clippy::cast_possible_truncation, reason = "the high half of an int's register has no meaning")]
    let socket = (args[0] as u32).cast_signed();
    let uses = found.into_iter().flatten().map(|address| AddressUse { argument, socket, role, address }).collect();
    thread.settled(uses)
}

/// The address in a struct msghdr: a pointer and a length at its beginning.
fn of_message(thread: &Thread<'_>, message: u64) -> Result<Option<Address>, InspectError> {
    let mut header = [0; 16];
    if thread.read(message, &mut header)? < header.len() {
        return Ok(None);
    }
    let [name, length] = [0, 8].map(|at| u64::from_ne_bytes(header[at..at + 8].try_into().unwrap_or_default()));
    if name == 0 { Ok(None) } else { at(thread, name, length) }
}

/// The address of `length` bytes (an int) at `address`.
pub(crate) fn at(thread: &Thread<'_>, address: u64, length: u64) -> Result<Option<Address>, InspectError> {
    let length = length & u64::from(u32::MAX);
    if length > LONGEST {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    if thread.read(address, &mut bytes)? < bytes.len() {
        return Ok(None);
    }
    let absolute = |written: &[u8]| path::absolute(thread, None, written);
    Ok(decode(&bytes, absolute))
}

/// The address that `bytes` are; `None` when they are too few.
fn decode(bytes: &[u8], absolute: impl FnOnce(&[u8]) -> Option<PathBuf>) -> Option<Address> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let family = u16::from_ne_bytes(*family);
    let number = |at: usize| rest.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes);
    let port = || rest.first_chunk::<2>().map(|port| u16::from_be_bytes(*port));
    Some(match i32::from(family) {
        libc::AF_UNSPEC => Address::Unspecified,
        libc::AF_INET => {
            let ip = <[u8; 4]>::try_from(rest.get(2..6)?).ok()?;
            Address::Inet(SocketAddrV4::new(Ipv4Addr::from(ip), port()?))
        }
        libc::AF_INET6 => {
            let ip = <[u8; 16]>::try_from(rest.get(6..22)?).ok()?;
            Address::Inet6(SocketAddrV6::new(Ipv6Addr::from(ip), port()?, 0, number(22).unwrap_or(0)))
        }
        libc::AF_UNIX => match rest.first() {
            None => Address::Unnamed,
            Some(0) => Address::Abstract(rest[1..].to_vec()),
            Some(_) => {
                let written: Vec<u8> = rest.iter().copied().take_while(|byte| *byte != 0).collect();
                let absolute = absolute(&written);
                Address::Unix { written, absolute }
            }
        },
        libc::AF_NETLINK => Address::Netlink { port: number(2)?, groups: number(6)? },
        _ => Address::Other { family, bytes: rest.to_vec() },
    })
}

impl fmt::Display for Address {
    /// As text on one line: `192.0.2.1:443`, `[::1]:53`, `unix:/run/socket`, `unix:@name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Inet6(address) => address.fmt(f),
            Self::Unix { written, .. } => write!(f, "unix:{}", written.escape_ascii()),
            Self::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            Self::Unnamed => f.write_str("unix: without a name"),
            Self::Netlink { port, groups } => write!(f, "netlink: port {port}, groups {groups:#x}"),
            Self::Unspecified => f.write_str("unspecified"),
            Self::Other { family, bytes } => write!(f, "family {family}, {} bytes", bytes.len()),
        }
    }
}
