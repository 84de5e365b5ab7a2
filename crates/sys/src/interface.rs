//! The addresses that this host answers to.

use crate::netlink::{Channel, attribute, number};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of include/uapi/linux/rtnetlink.h and if_addr.h.
const RTM_NEWROUTE: u16 = libc::RTM_NEWROUTE;
const IFA_ADDRESS: u16 = libc::IFA_ADDRESS;
const IFA_LOCAL: u16 = libc::IFA_LOCAL;
const RTA_DST: u16 = libc::RTA_DST;
/// How often addresses may change while they are read.
const MOST_TRIES: usize = 10;
/// The sizes of struct ifaddrmsg and struct rtmsg.
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;

/// Asks about addresses, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Interfaces {
    channel: Channel,
}

/// Where the kernel would send what goes to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a host, as an address of one.
    Out,
    /// To this host.
    Own,
    /// To all of a network, or to a group. TCP connects to neither.
    Many,
    /// Nowhere.
    None,
}

impl Interfaces {
    /// Source: rtnetlink(7).
    ///
    /// # Errors
    ///
    /// When no socket is to be had.
    pub fn open() -> io::Result<Self> {
        Ok(Self { channel: Channel::open(None)? })
    }

    /// All addresses of all interfaces, whatever their scope: secondary ones, those that are not in use yet (tentative), and
    /// those of interfaces that are down, which may be up a moment later. The other end of a point-to-point link is not this
    /// host. Broadcast addresses are not in it, as TCP does not connect to them (`EACCES` or `ENETUNREACH`, tcp_v4_connect).
    ///
    /// It is not all that this host answers to: all of 127.0.0.0/8, and what a route of type `local` names, are not on any
    /// interface. [`way`](Self::way) knows these.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked, or `EAGAIN` when they change all the time.
    pub fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        // IPv6 has the first only where there is a peer; IPv4 always has it, and the second is the peer's then.
        self.dump(|body| {
            let parts = body.get(IFADDRMSG..)?;
            address_of(attribute(parts, IFA_LOCAL).or_else(|| attribute(parts, IFA_ADDRESS))?)
        })
    }

    /// The numbers of all interfaces that have an address.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub fn numbers(&mut self) -> io::Result<Vec<u32>> {
        let mut numbers = self.dump(|body| number(body, 4))?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn dump<T>(&mut self, pick: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        for _ in 0..MOST_TRIES {
            if let Some(picked) = self.try_dump(&pick)? {
                return Ok(picked);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    /// Nothing when addresses changed meanwhile, so that some may be missing.
    fn try_dump<T>(&mut self, pick: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<Vec<T>>> {
        let mut is_whole = true;
        self.channel.send(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDRMSG])?;
        let mut picked = Vec::new();
        loop {
            for message in self.channel.receive()? {
                message.error()?;
                is_whole &= !message.is_interrupted;
                if i32::from(message.kind) == libc::NLMSG_DONE {
                    return Ok(Some(picked).filter(|_| is_whole));
                }
                if message.kind == libc::RTM_NEWADDR {
                    picked.extend(pick(message.body));
                }
            }
        }
    }

    /// Asks where the kernel would send what goes to `address`, by its routes of this moment. That it is `Own` covers what
    /// [`addresses`](Self::addresses) cannot: whole ranges, and addresses that came a moment ago. What a packet filter
    /// redirects to this host is not seen, nor an address of IPv6 that is not in use yet (tentative), which
    /// [`addresses`](Self::addresses) has: whoever must know asks both.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub fn way(&mut self, address: IpAddr) -> io::Result<Way> {
        // connect(2) takes these for this host's loopback address.
        if address.is_unspecified() {
            return Ok(Way::Own);
        }
        let (family, bytes) = match address.to_canonical() {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        let mut question = vec![0; RTMSG];
        question[0] = family.to_le_bytes()[0];
        question[1] = u8::try_from(bytes.len() * 8).map_err(io::Error::other)?;
        let length = u16::try_from(4 + bytes.len()).map_err(io::Error::other)?;
        question.extend(length.to_ne_bytes());
        question.extend(RTA_DST.to_ne_bytes());
        question.extend(bytes);
        self.channel.send(libc::RTM_GETROUTE, 0, &question)?;
        let answer = self.channel.receive()?.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let kind = answer.body.get(7).copied().filter(|_| answer.kind == RTM_NEWROUTE);
        match (answer.error(), kind) {
            (Ok(()), Some(libc::RTN_LOCAL)) => Ok(Way::Own),
            (Ok(()), Some(libc::RTN_UNICAST)) => Ok(Way::Out),
            (Ok(()), Some(libc::RTN_BROADCAST | libc::RTN_ANYCAST | libc::RTN_MULTICAST)) => Ok(Way::Many),
            (Ok(()), Some(_)) => Ok(Way::None),
            (Ok(()), None) => Err(io::ErrorKind::InvalidData.into()),
            // No route, or one that says so.
            (Err(e), _)
                if matches!(
                    e.raw_os_error(),
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)
                ) =>
            {
                Ok(Way::None)
            }
            (Err(e), _) => Err(e),
        }
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from).map(IpAddr::V4);
    four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from).map(IpAddr::V6))
}

#[cfg(test)]
mod tests;
