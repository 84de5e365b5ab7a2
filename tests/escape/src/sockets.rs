//! Sockets: those of the host, and kinds that a job has no use for.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use crate::call::{Result, sys};
use crate::child;
use crate::descriptors;
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("abstract-socket", abstract_socket),
    ("path-socket", path_socket),
    ("host-tcp", host_tcp),
    ("host-udp", host_udp),
    ("any-packet", any_packet),
    ("listen-for-host", listen_for_host),
    ("raw-socket", raw_socket),
    ("packet-socket", packet_socket),
    ("netlink-sockets", netlink_sockets),
    ("see-interfaces", see_interfaces),
    ("vsock", vsock),
    ("odd-sockets", odd_sockets),
    ("receive-descriptor", receive_descriptor),
];

pub(crate) fn connect_abstract(name: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&UnixAddr::from_abstract_name(name)?)
}

/// NAME TEXT: an abstract socket of the host, which only a network namespace or Landlock keeps away.
fn abstract_socket(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let sent = connect_abstract(args.text(0)).and_then(|mut peer| peer.write_all(args.text(1).as_bytes()));
    if tries.of("connect", sent).is_some() {
        return Outcome::escaped("sent to an abstract socket");
    }
    let datagram = UnixDatagram::unbound().and_then(|socket| {
        let name = format!("{}-datagram", args.text(0));
        socket.send_to_addr(args.text(1).as_bytes(), &UnixAddr::from_abstract_name(name)?)
    });
    if tries.of("send", datagram).is_some() {
        return Outcome::escaped("sent to an abstract datagram socket");
    }
    tries.blocked()
}

/// PATH TEXT: a socket file of the host.
fn path_socket(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for before in ["", "/proc/self/root", "/proc/1/root", "/job/../.."] {
        let path = format!("{before}{}", args.text(0));
        let sent = UnixStream::connect(&path).and_then(|mut peer| peer.write_all(args.text(1).as_bytes()));
        if tries.of(&path, sent).is_some() {
            return Outcome::escaped(format!("sent to {path}"));
        }
    }
    tries.blocked()
}

/// TEXT ADDRESSES…: TCP to the host.
fn host_tcp(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for address in &args.all()[1..] {
        let Ok(to) = address.parse::<SocketAddr>() else { continue };
        let sent = TcpStream::connect_timeout(&to, Duration::from_secs(1))
            .and_then(|mut peer| peer.write_all(args.text(0).as_bytes()));
        if tries.of(address, sent).is_some() {
            return Outcome::escaped(format!("sent to {address}"));
        }
    }
    tries.blocked()
}

/// TEXT ADDRESSES…: UDP to the host.
fn host_udp(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut sent = Vec::new();
    for address in &args.all()[1..] {
        let done = udp(args.text(0), address);
        sent.extend(tries.of(address, done).map(|_| address.as_str()));
    }
    // With a loopback interface of its own, a packet to its own loopback address is sent, and arrives nowhere.
    if sent.is_empty() { tries.blocked() } else { Outcome::judged_outside() }
}

fn udp(text: &str, to: &str) -> std::io::Result<usize> {
    let own = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    UdpSocket::bind(own)?.send_to(text.as_bytes(), to)
}

/// A packet to anywhere but oneself: to addresses that are for documentation only, and to all neighbours.
fn any_packet(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for to in ["192.0.2.1:9", "198.51.100.1:53", "[2001:db8::1]:9", "224.0.0.251:5353", "[ff02::1%2]:9"] {
        if tries.of(to, udp("lazaret-escape", to)).is_some() {
            return Outcome::escaped(format!("sent a packet to {to}"));
        }
    }
    let broadcast = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.set_broadcast(true)?;
        socket.send_to(b"lazaret-escape", "255.255.255.255:9")
    });
    if tries.of("broadcast", broadcast).is_some() {
        return Outcome::escaped("sent a broadcast");
    }
    tries.blocked()
}

/// NAME PORT: waits for the host to come in, on an abstract socket and on TCP.
fn listen_for_host(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let unix = UnixAddr::from_abstract_name(args.text(0)).and_then(|name| UnixListener::bind_addr(&name));
    let unix = tries.of("abstract", unix.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)));
    let tcp = TcpListener::bind(("0.0.0.0", args.number(1)));
    let tcp = tries.of("tcp", tcp.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)));
    for _ in 0..100 {
        if unix.as_ref().is_some_and(|socket| socket.accept().is_ok()) {
            return Outcome::escaped("the host came in by an abstract socket");
        }
        if tcp.as_ref().is_some_and(|socket| socket.accept().is_ok()) {
            return Outcome::escaped("the host came in by TCP");
        }
        child::nap(10);
    }
    tries.blocked()
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result {
    let made = sys!(socket, family, kind, protocol)?;
    sys!(close, made)
}

fn first_made(kinds: &[(&str, i32, i32, i32)]) -> Outcome {
    let mut tries = Tries::new();
    for (name, family, kind, protocol) in kinds {
        if tries.of(name, socket(*family, *kind, *protocol)).is_some() {
            return Outcome::escaped(format!("has a socket: {name}"));
        }
    }
    tries.blocked()
}

fn raw_socket(_: &Arguments) -> Outcome {
    first_made(&[
        ("raw ICMP", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        ("raw IP", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
        ("raw IPv6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW),
        ("ping", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        ("ping6", libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
    ])
}

fn packet_socket(_: &Arguments) -> Outcome {
    const EVERY_PROTOCOL: i32 = 0x0300;
    first_made(&[
        ("packet, raw", libc::AF_PACKET, libc::SOCK_RAW, EVERY_PROTOCOL),
        ("packet", libc::AF_PACKET, libc::SOCK_DGRAM, EVERY_PROTOCOL),
        ("packet, old", libc::AF_INET, 10, EVERY_PROTOCOL),
    ])
}

/// Every netlink protocol but routes, which programs ask for addresses.
fn netlink_sockets(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for protocol in 1..32 {
        for kind in [libc::SOCK_RAW, libc::SOCK_DGRAM] {
            if tries.of(protocol, socket(libc::AF_NETLINK, kind, protocol)).is_some() {
                return Outcome::escaped(format!("has a netlink socket of protocol {protocol}"));
            }
        }
    }
    tries.blocked()
}

/// Looks for interfaces that reach beyond this machine's own memory.
fn see_interfaces(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut names: Vec<String> = Vec::new();
    for index in 1..64_u32 {
        let mut name = [0_u8; libc::IF_NAMESIZE];
        // SAFETY: a buffer as large as the function documents.
        let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
        if !found.is_null() {
            names.push(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned());
        }
    }
    let text = tries.of("/proc/net/dev", std::fs::read_to_string("/proc/net/dev")).unwrap_or_default();
    names.extend(text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()));
    let classes = tries.of("/sys/class/net", std::fs::read_dir("/sys/class/net"));
    names.extend(classes.into_iter().flatten().flatten().map(|entry| entry.file_name().display().to_string()));
    // Tunnels are made with every namespace by kernels that have them, and lead nowhere.
    let harmless = ["lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"];
    names.retain(|name| !harmless.contains(&name.as_str()));
    match names.first() {
        Some(name) => Outcome::escaped(format!("sees interface {name}")),
        None => tries.blocked(),
    }
}

/// A socket to the hypervisor or to guests. It is bound and goes nowhere.
fn vsock(_: &Arguments) -> Outcome {
    const ANY: u32 = u32::MAX;
    let mut tries = Tries::new();
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
        let Some(made) = tries.of("socket", sys!(socket, libc::AF_VSOCK, kind, 0)) else { continue };
        // struct sockaddr_vm: family, port, cid.
        let address: [u32; 4] = [libc::AF_VSOCK.cast_unsigned(), ANY, ANY, 0];
        let bound = sys!(bind, made, address.as_ptr(), size_of_val(&address));
        return Outcome::escaped(format!("has a vsock socket; bind: {bound:?}"));
    }
    tries.blocked()
}

/// Families of which each has had holes that nobody's image converter should meet.
fn odd_sockets(_: &Arguments) -> Outcome {
    let stream = libc::SOCK_STREAM;
    let (raw, datagram, packets) = (libc::SOCK_RAW, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET);
    first_made(&[
        ("alg", libc::AF_ALG, packets, 0),
        ("key", libc::AF_KEY, raw, 2),
        ("xdp", libc::AF_XDP, raw, 0),
        ("bluetooth", libc::AF_BLUETOOTH, raw, 1),
        ("can", libc::AF_CAN, raw, 1),
        ("tipc", libc::AF_TIPC, packets, 0),
        ("rds", libc::AF_RDS, packets, 0),
        ("x25", libc::AF_X25, packets, 0),
        ("appletalk", libc::AF_APPLETALK, datagram, 0),
        ("nfc", libc::AF_NFC, stream, 0),
        ("smc", 43, stream, 0),
        ("qipcrtr", 42, datagram, 0),
        ("kcm", 41, datagram, 0),
        ("mptcp", libc::AF_INET, stream, 262),
        ("sctp", libc::AF_INET, stream, libc::IPPROTO_SCTP),
        ("dccp", libc::AF_INET, 6, libc::IPPROTO_DCCP),
        ("udplite", libc::AF_INET, datagram, libc::IPPROTO_UDPLITE),
        ("l2tp", libc::AF_INET, datagram, 115),
        ("pppox", 24, stream, 0),
        ("ieee802154", libc::AF_IEEE802154, datagram, 0),
        ("unix, raw", libc::AF_UNIX, raw, 1),
    ])
}

/// NAME PATH: a descriptor from a process of the host that gives one to everybody who asks.
fn receive_descriptor(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for (what, peer) in [("abstract", connect_abstract(args.text(0))), ("path", UnixStream::connect(args.text(1)))] {
        if let Some(peer) = tries.of(what, peer)
            && let Some(text) = tries.of("receive", descriptors::receive(std::os::fd::AsRawFd::as_raw_fd(&peer)))
        {
            return Outcome::escaped(format!("was given a file that says {text}"));
        }
    }
    tries.blocked()
}
