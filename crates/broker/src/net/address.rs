//! Socket addresses as the job wrote them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address, by its bytes. Source: ip(7), ipv6(7), netlink(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Of IPv4 or IPv6.
    Inet(SocketAddr),
    /// None: it undoes a connection.
    Unspecified,
    /// The kernel's end of netlink.
    Kernel,
    /// Shorter than its family needs.
    Short,
    /// Of another family, or of a form that is not made for anybody.
    Other,
}

/// sizeof(struct sockaddr_storage): no address is longer.
pub(super) const LONGEST: usize = 128;

impl Written {
    /// What `bytes`, a whole struct sockaddr, say.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Some((family, rest)) = bytes.split_first_chunk::<2>() else { return Self::Short };
        let port = || rest.first_chunk::<2>().map(|port| u16::from_be_bytes(*port));
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_UNSPEC => Self::Unspecified,
            libc::AF_INET => {
                // The kernel wants all sixteen bytes, of which the last eight are nothing.
                let Some(ip) = rest.get(2..6).filter(|_| bytes.len() >= 16) else { return Self::Short };
                let ip = Ipv4Addr::from(<[u8; 4]>::try_from(ip).unwrap_or_default());
                Self::Inet(SocketAddr::V4(SocketAddrV4::new(ip, port().unwrap_or(0))))
            }
            libc::AF_INET6 => {
                let Some(ip) = rest.get(6..22) else { return Self::Short };
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(ip).unwrap_or_default());
                // Of old structures it is not there.
                let scope = rest.get(22..26).and_then(|scope| Some(u32::from_ne_bytes(scope.try_into().ok()?)));
                let flow = rest.get(2..6).and_then(|flow| Some(u32::from_ne_bytes(flow.try_into().ok()?)));
                let (flow, scope) = (flow.unwrap_or(0), scope.unwrap_or(0));
                Self::Inet(SocketAddr::V6(SocketAddrV6::new(ip, port().unwrap_or(0), flow, scope)))
            }
            libc::AF_NETLINK if rest.len() >= 10 && rest[2..10].iter().all(|byte| *byte == 0) => Self::Kernel,
            _ => Self::Other,
        }
    }
}

/// The struct sockaddr of `address` for a socket of IPv6 (`v6`) or of IPv4.
pub(super) fn bytes(address: SocketAddr, v6: bool) -> Vec<u8> {
    let family = |family: i32| u16::try_from(family).unwrap_or(0).to_ne_bytes();
    let port = address.port().to_be_bytes();
    match (address.ip(), v6) {
        (IpAddr::V4(ip), false) => [&family(libc::AF_INET)[..], &port, &ip.octets(), &[0; 8]].concat(),
        (ip, _) => {
            let (ip, scope) = match (ip, address) {
                (IpAddr::V4(ip), _) => (ip.to_ipv6_mapped(), 0),
                (IpAddr::V6(ip), SocketAddr::V6(address)) => (ip, address.scope_id()),
                (IpAddr::V6(ip), SocketAddr::V4(_)) => (ip, 0),
            };
            [&family(libc::AF_INET6)[..], &port, &[0; 4], &ip.octets(), &scope.to_ne_bytes()].concat()
        }
    }
}

/// Whether it is of the job's own loopback interface, by whatever form: that of none is too.
pub(super) fn is_own(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (address, v6) in [("192.0.2.1:80", false), ("[2001:db8::1]:443", true)] {
            let address: SocketAddr = address.parse().expect("an address");

            assert_eq!(Written::of(&bytes(address, v6)), Written::Inet(address));
        }
    }

    #[test]
    fn an_ipv4_address_for_an_ipv6_socket_is_mapped() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:80".parse().expect("an address");

        assert_eq!(Written::of(&bytes("192.0.2.1:80".parse().expect("an address"), true)), Written::Inet(mapped));
    }

    #[test]
    fn what_is_cut_off_is_short_and_reads_nothing_beyond() {
        for (address, v6, least) in [("192.0.2.1:80", false, 16), ("[2001:db8::1]:443", true, 24)] {
            let whole = bytes(address.parse().expect("an address"), v6);

            for length in 0..least {
                assert_eq!(Written::of(&whole[..length]), Written::Short, "{address} of {length}");
            }
        }
    }

    #[test]
    fn loopback_and_none_are_the_jobs_own_in_every_form() {
        for own in ["127.0.0.1", "127.255.0.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"] {
            assert!(is_own(own.parse().expect("an address")), "{own}");
        }
        for other in ["128.0.0.1", "10.0.0.1", "::2", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1"] {
            assert!(!is_own(other.parse().expect("an address")), "{other}");
        }
    }
}
