//! A socket from outside that takes the place of one of the job's.

use super::socket::Facts;
use super::spares::Spares;
use lazaret_sys::option;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

const SOCKET: i32 = libc::SOL_SOCKET;
const TCP: i32 = libc::IPPROTO_TCP;
const IP: i32 = libc::IPPROTO_IP;
const IPV6: i32 = libc::IPPROTO_IPV6;

/// Options that are numbers, with what they are unless somebody sets them: the kernel's own default, for which the one of
/// this host, that its administrator may have set, stays. Source: socket(7), tcp(7), ip(7), ipv6(7).
const NUMBERS: [(i32, i32, i32); 20] = [
    (SOCKET, libc::SO_KEEPALIVE, 0),
    (SOCKET, libc::SO_OOBINLINE, 0),
    (SOCKET, libc::SO_RCVLOWAT, 1),
    (SOCKET, libc::SO_PRIORITY, 0),
    (SOCKET, libc::SO_TIMESTAMP, 0),
    (SOCKET, libc::SO_REUSEADDR, 0),
    (TCP, libc::TCP_NODELAY, 0),
    (TCP, libc::TCP_CORK, 0),
    (TCP, libc::TCP_KEEPIDLE, 7200),
    (TCP, libc::TCP_KEEPINTVL, 75),
    (TCP, libc::TCP_KEEPCNT, 9),
    (TCP, libc::TCP_SYNCNT, 6),
    (TCP, libc::TCP_LINGER2, 60),
    (TCP, libc::TCP_USER_TIMEOUT, 0),
    (TCP, libc::TCP_NOTSENT_LOWAT, 0),
    (TCP, libc::TCP_MAXSEG, 536),
    (IP, libc::IP_TOS, 0),
    (IP, libc::IP_RECVERR, 0),
    (IP, libc::IP_TTL, 64),
    (IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
];
/// The same for sockets of IPv6.
const NUMBERS_OF_V6: [(i32, i32, i32); 5] = [
    (IPV6, libc::IPV6_V6ONLY, 0),
    (IPV6, libc::IPV6_TCLASS, 0),
    (IPV6, libc::IPV6_UNICAST_HOPS, 64),
    (IPV6, libc::IPV6_RECVERR, 0),
    (IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
];
/// `SO_BUF_LOCK`: which buffers somebody has set the size of. Linux 5.14.
const BUFFERS_SET: i32 = 72;
const SEND_BUFFER_SET: i32 = 1;
const RECEIVE_BUFFER_SET: i32 = 2;

/// A socket of this process's network namespace that is as `old` is, does not wait, and hears nobody but `peer`. Where the
/// job is `walled`, it may lack the last: Linux permits a filter on a TCP socket only with CAP_NET_ADMIN since 2026 (commit
/// 5d39580f68e6, in older series too).
pub(super) fn make(
    old: BorrowedFd<'_>,
    facts: &Facts,
    peer: SocketAddr,
    walled: bool,
    spares: &mut Spares,
) -> io::Result<OwnedFd> {
    let (new, hears) = match spares.take(facts.is_v6(), peer) {
        Some(spare) => spare,
        None => (fresh(facts.is_v6())?, None),
    };
    copy(old, new.as_fd(), facts);
    let heard = if hears == Some(peer) { Ok(()) } else { hear_only(new.as_fd(), peer) };
    match heard.and_then(|()| option::set_number(new.as_fd(), SOCKET, libc::SO_LOCK_FILTER, 1)) {
        Err(e) if walled && e.raw_os_error() == Some(libc::EPERM) => {}
        locked => locked?,
    }
    Ok(new)
}

/// A socket of this process's network namespace that does not wait, and hears everybody.
pub(super) fn fresh(is_v6: bool) -> io::Result<OwnedFd> {
    let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?)
}

/// Sets what somebody has set on `old`. What cannot be set is as on a host that does not know it.
fn copy(old: BorrowedFd<'_>, new: BorrowedFd<'_>, facts: &Facts) {
    let of_v6 = if facts.is_v6() { &NUMBERS_OF_V6[..] } else { &[] };
    for (level, name, default) in NUMBERS.iter().chain(of_v6) {
        if let Ok(value) = option::number(old, *level, *name)
            && value != *default
        {
            drop(option::set_number(new, *level, *name, value));
        }
    }
    if let Ok(set) = option::number(old, SOCKET, BUFFERS_SET) {
        for (bit, name) in [(SEND_BUFFER_SET, libc::SO_SNDBUF), (RECEIVE_BUFFER_SET, libc::SO_RCVBUF)] {
            if set & bit != 0
                && let Ok(size) = option::number(old, SOCKET, name)
            {
                // It reads as twice what was set: socket(7).
                drop(option::set_number(new, SOCKET, name, size / 2));
            }
        }
    }
    copy_bytes::<8>(old, new, libc::SO_LINGER);
    copy_bytes::<16>(old, new, libc::SO_RCVTIMEO);
    copy_bytes::<16>(old, new, libc::SO_SNDTIMEO);
}

fn copy_bytes<const N: usize>(old: BorrowedFd<'_>, new: BorrowedFd<'_>, name: i32) {
    if let Ok(value) = option::bytes::<N>(old, SOCKET, name)
        && value != [0; N]
    {
        drop(option::set(new, SOCKET, name, &value));
    }
}

/// Instructions of classic BPF: load a word or a half, jump if equal, return.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// `SKF_NET_OFF`: behind it lies the packet from its network header on. Where nothing is added, it begins with that of TCP.
const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();

/// Whatever the job has the kernel do with it, this socket hears nothing from anybody but `peer`: no answer to another
/// connection that it begins, and no connection that another begins. For good only when the filter is locked.
pub(super) fn hear_only(socket: BorrowedFd<'_>, peer: SocketAddr) -> io::Result<()> {
    // (instruction, operand): where a comparison fails, what follows last drops the packet.
    let mut tests: Vec<(u32, u16, u32)> = vec![(0, LOAD_HALF, peer.port().into())];
    match peer.ip().to_canonical() {
        IpAddr::V4(ip) => tests.push((NETWORK.wrapping_add(12), LOAD_WORD, ip.into())),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let (words, _) = octets.as_chunks::<4>();
            let test = |(at, word): (u32, &[u8; 4])| (NETWORK.wrapping_add(at), LOAD_WORD, u32::from_be_bytes(*word));
            tests.extend((8..).step_by(4).zip(words).map(test));
        }
    }
    let mut code = Vec::with_capacity(2 * tests.len() + 2);
    for (index, (at, load, value)) in tests.iter().enumerate() {
        // From behind this jump over the other tests and the instruction that takes the packet.
        let to_drop = u8::try_from(2 * (tests.len() - index - 1) + 1).map_err(io::Error::other)?;
        code.push(libc::sock_filter { code: *load, jt: 0, jf: 0, k: *at });
        code.push(libc::sock_filter { code: JUMP_EQUAL, jt: 0, jf: to_drop, k: *value });
    }
    code.push(libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: u32::MAX });
    code.push(libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: 0 });
    option::attach_filter(socket, &mut code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{bind, connect, listen};
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn old(v6: bool) -> (OwnedFd, Facts) {
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let old = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        let facts = Facts::of(old.as_fd()).expect("a socket's facts");
        (old, facts)
    }

    #[test]
    fn it_hears_whom_it_was_made_for() {
        for (at, v6) in [("127.0.0.1:0", false), ("[::1]:0", true), ("127.0.0.1:0", true)] {
            let listener = TcpListener::bind(at).expect("a listener");
            let peer = listener.local_addr().expect("its address");
            let (old, facts) = old(v6);
            let new = make(old.as_fd(), &facts, peer, false, &mut Spares::default()).expect("a replica");
            rustix::io::ioctl_fionbio(&new, false).expect("it waits");

            option::connect(new.as_fd(), &super::super::address::bytes(peer, v6)).expect("it connects");
            let (mut far, _) = listener.accept().expect("a connection");
            far.write_all(b"here").expect("it takes bytes");
            let mut heard = [0; 4];
            TcpStream::from(new).read_exact(&mut heard).expect("it hears them");

            assert_eq!(&heard, b"here");
        }
    }

    #[test]
    fn connected_elsewhere_it_never_comes_to_a_connection() {
        for (at, v6) in [("127.0.0.1:0", false), ("[::1]:0", true)] {
            let meant = TcpListener::bind(at).expect("a listener").local_addr().expect("its address");
            let other = TcpListener::bind(at).expect("another");
            other.set_nonblocking(true).expect("it does not wait");
            let (old, facts) = old(v6);
            let new = make(old.as_fd(), &facts, meant, false, &mut Spares::default()).expect("a replica");

            let begun = connect(&new, &other.local_addr().expect("its address"));
            std::thread::sleep(Duration::from_millis(100));

            assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
            assert!(other.accept().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
        }
    }

    #[test]
    fn listening_it_is_deaf_and_its_filter_stays() {
        let meant: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        let (old, facts) = old(false);
        let new = make(old.as_fd(), &facts, meant, false, &mut Spares::default()).expect("a replica");
        bind(&new, &"127.0.0.1:0".parse::<SocketAddr>().expect("an address")).expect("it is bound");
        listen(&new, 1).expect("it listens");
        let listening = TcpListener::from(new);
        let at = listening.local_addr().expect("its address");

        let connected = TcpStream::connect_timeout(&at, Duration::from_millis(100));
        let unlocked = option::set_number(listening.as_fd(), SOCKET, libc::SO_LOCK_FILTER, 0);
        let detached = option::set_number(listening.as_fd(), SOCKET, libc::SO_DETACH_FILTER, 0);

        assert!(connected.is_err());
        assert!(unlocked.is_err() && detached.is_err(), "{unlocked:?} {detached:?}");
    }

    #[test]
    fn what_was_set_is_set_and_what_was_not_is_this_hosts() {
        let (old, facts) = old(false);
        for (level, name, value) in [
            (SOCKET, libc::SO_KEEPALIVE, 1),
            (SOCKET, libc::SO_SNDBUF, 20_000),
            (TCP, libc::TCP_NODELAY, 1),
            (TCP, libc::TCP_KEEPIDLE, 42),
            (TCP, libc::TCP_USER_TIMEOUT, 1234),
            (IP, libc::IP_TOS, 0x10),
        ] {
            option::set_number(old.as_fd(), level, name, value).expect("it is set");
        }
        option::set(old.as_fd(), SOCKET, libc::SO_LINGER, &[1, 0, 0, 0, 9, 0, 0, 0]).expect("it is set");
        let peer = "192.0.2.1:443".parse().expect("an address");

        let new = make(old.as_fd(), &facts, peer, false, &mut Spares::default()).expect("a replica");

        let (fresh, _) = self::old(false);
        for (level, name) in [
            (SOCKET, libc::SO_KEEPALIVE),
            (SOCKET, libc::SO_SNDBUF),
            (TCP, libc::TCP_NODELAY),
            (TCP, libc::TCP_KEEPIDLE),
            (TCP, libc::TCP_USER_TIMEOUT),
            (IP, libc::IP_TOS),
        ] {
            let (is, was) = (option::number(new.as_fd(), level, name), option::number(old.as_fd(), level, name));
            assert_eq!(is.ok(), was.ok(), "{level} {name}");
        }
        let linger = option::bytes::<8>(new.as_fd(), SOCKET, libc::SO_LINGER);
        assert_eq!(linger.ok(), Some([1, 0, 0, 0, 9, 0, 0, 0]));
        for name in [libc::SO_RCVBUF, libc::SO_OOBINLINE] {
            let (is, would) = (option::number(new.as_fd(), SOCKET, name), option::number(fresh.as_fd(), SOCKET, name));
            assert_eq!(is.ok(), would.ok(), "{name}");
        }
    }
}
