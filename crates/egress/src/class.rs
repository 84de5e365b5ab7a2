//! What kind of address an address is, by the registries of special-purpose addresses.
//!
//! Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates), IPv6 address space registry; the
//! manuals of the clouds for their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address an address is. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// One of the Internet's.
    Global,
    /// For examples in texts.
    Documentation,
    /// For benchmarks of networks.
    Benchmark,
    /// Of no use now, or of special use.
    Reserved,
    /// Many hosts at once, also by broadcast.
    Multicast,
    /// Behind a carrier's address translation.
    Shared,
    /// Of a private network; also an IPv6 unique local or site-local one.
    Private,
    /// Of this link alone.
    LinkLocal,
    /// This host, by a name for "none": connecting to it reaches this host.
    Unspecified,
    /// This host.
    Loopback,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
}

impl Class {
    /// In words, as refusals say it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Global => "a public address",
            Self::Documentation => "an address for documentation",
            Self::Benchmark => "an address for benchmarks",
            Self::Reserved => "a reserved address",
            Self::Multicast => "a multicast or broadcast address",
            Self::Shared => "a carrier's shared address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::Metadata => "a metadata service's address",
        }
    }
}

/// What kind of address `address` is: the worst of its own kind and those that it wraps.
pub fn class(address: IpAddr) -> Class {
    let own = match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    };
    wrapped(address).into_iter().map(of_v4).fold(own, Class::max)
}

/// Ranges of IPv4 addresses: first address, prefix length, kind. The narrower first.
const V4: &[([u8; 4], u32, Class)] = &[
    // Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack; then Amazon's for containers.
    ([169, 254, 169, 254], 32, Class::Metadata),
    ([169, 254, 170, 2], 32, Class::Metadata),
    ([169, 254, 170, 23], 32, Class::Metadata),
    // Amazon's time and name services stand beside it.
    ([169, 254, 169, 0], 24, Class::Metadata),
    // Tencent.
    ([169, 254, 0, 23], 32, Class::Metadata),
    // Alibaba.
    ([100, 100, 100, 200], 32, Class::Metadata),
    // Oracle, formerly.
    ([192, 0, 0, 192], 32, Class::Metadata),
    // Azure's channel to a virtual machine's agent.
    ([168, 63, 129, 16], 32, Class::Metadata),
    ([0, 0, 0, 0], 8, Class::Unspecified),
    ([10, 0, 0, 0], 8, Class::Private),
    ([100, 64, 0, 0], 10, Class::Shared),
    ([127, 0, 0, 0], 8, Class::Loopback),
    ([169, 254, 0, 0], 16, Class::LinkLocal),
    ([172, 16, 0, 0], 12, Class::Private),
    ([192, 0, 0, 0], 24, Class::Reserved),
    ([192, 0, 2, 0], 24, Class::Documentation),
    // Relays of 6to4, deprecated by RFC 7526.
    ([192, 88, 99, 0], 24, Class::Reserved),
    ([192, 168, 0, 0], 16, Class::Private),
    ([198, 18, 0, 0], 15, Class::Benchmark),
    ([198, 51, 100, 0], 24, Class::Documentation),
    ([203, 0, 113, 0], 24, Class::Documentation),
    ([224, 0, 0, 0], 4, Class::Multicast),
    ([255, 255, 255, 255], 32, Class::Multicast),
    ([240, 0, 0, 0], 4, Class::Reserved),
    ([0, 0, 0, 0], 0, Class::Global),
];

fn of_v4(address: Ipv4Addr) -> Class {
    let bits = address.to_bits();
    let within = |first: [u8; 4], len: u32| {
        let mask = u32::MAX.checked_shl(32 - len).unwrap_or(0);
        bits & mask == Ipv4Addr::from(first).to_bits()
    };
    V4.iter().find(|(first, len, _)| within(*first, *len)).map_or(Class::Reserved, |(.., class)| *class)
}

/// Ranges of IPv6 addresses: first address, prefix length, kind. The narrower first.
const V6: &[([u16; 8], u32, Class)] = &[
    // Amazon and Google.
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Class::Metadata),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 64, Class::Metadata),
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Class::Metadata),
    ([0; 8], 128, Class::Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Class::Loopback),
    // Of these the wrapped address decides.
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, Class::Global),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Class::Global),
    // IPv4-translated (RFC 2765), and IPv4-compatible, which is deprecated.
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Class::Reserved),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Class::Reserved),
    // Translation within a network (RFC 8215).
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Class::Private),
    // Discard only.
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Class::Reserved),
    ([0x100, 0, 0, 1, 0, 0, 0, 0], 64, Class::Reserved),
    // Teredo.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Class::Reserved),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Class::Benchmark),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Class::Documentation),
    // AMT and AS112.
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, Class::Global),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, Class::Global),
    // ORCHID, Drone Remote ID and the rest of the protocol assignments.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Class::Reserved),
    // 6to4.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Class::Reserved),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Class::Documentation),
    // Segment routing.
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Class::Reserved),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Class::LinkLocal),
    // Site-local, deprecated by RFC 3879.
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Class::Private),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Class::Private),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Class::Multicast),
    // All that has been given out is in here.
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Class::Global),
    ([0; 8], 0, Class::Reserved),
];

fn of_v6(address: Ipv6Addr) -> Class {
    let bits = address.to_bits();
    let within = |first: [u16; 8], len: u32| {
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        bits & mask == Ipv6Addr::from(first).to_bits()
    };
    V6.iter().find(|(first, len, _)| within(*first, *len)).map_or(Class::Reserved, |(.., class)| *class)
}

/// The IPv4 addresses that a packet to `address` can end at, as some translator or tunnel on the way takes it: IPv4-mapped,
/// -compatible and -translated (RFC 4291, RFC 2765), NAT64 by the well-known prefix and by the one for local use (RFC 6052,
/// RFC 8215), 6to4 (RFC 3056), Teredo's server and client (RFC 4380), ISATAP (RFC 5214).
pub fn wrapped(address: IpAddr) -> Vec<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return Vec::new() };
    let bytes = address.octets();
    let at = |place: [usize; 4]| Ipv4Addr::from(place.map(|place| bytes[place]));
    let last = at([12, 13, 14, 15]);
    let mut found = Vec::new();
    match address.segments() {
        // "None" and this host wrap nothing.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            found.push(last)
        }
        // How long the prefix is that a network chose in here cannot be known; byte 8 is left out.
        [0x64, 0xff9b, 1, ..] => {
            found.extend([at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12]), last]);
        }
        [0x2001, 0, ..] => {
            let [a, b, c, d] = last.octets();
            found.extend([at([4, 5, 6, 7]), Ipv4Addr::new(!a, !b, !c, !d)]);
        }
        [0x2002, ..] => found.push(at([2, 3, 4, 5])),
        _ => {}
    }
    if let [.., 0 | 0x200, 0x5efe, _, _] = address.segments() {
        found.push(last);
    }
    found
}

#[cfg(test)]
mod tests;
