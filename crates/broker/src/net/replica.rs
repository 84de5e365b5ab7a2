//! A socket from outside that takes the place of one of the job's.

use super::options::Options;
use super::socket::Facts;
use super::spares::Spares;
use lazaret_sys::option;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

const SOCKET: i32 = libc::SOL_SOCKET;

/// A socket of this process's network namespace that is as `old` is, does not wait, and hears nobody but `peer`. Where the
/// job is `walled`, it may lack the last: Linux permits a filter on a TCP socket only with CAP_NET_ADMIN since 2026 (commit
/// 5d39580f68e6, in older series too).
pub(super) fn make(
    old: BorrowedFd<'_>,
    facts: &Facts,
    peer: SocketAddr,
    walled: bool,
    (spares, options): (&mut Spares, &Options),
) -> io::Result<OwnedFd> {
    let (new, hears) = match spares.take(facts.is_v6(), peer) {
        Some(spare) => spare,
        None => (fresh(facts.is_v6())?, None),
    };
    options.copy(old, new.as_fd(), facts);
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
            let new = make(old.as_fd(), &facts, peer, false, (&mut Spares::default(), &Options::default()))
                .expect("a replica");
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
            let new = make(old.as_fd(), &facts, meant, false, (&mut Spares::default(), &Options::default()))
                .expect("a replica");

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
        let new =
            make(old.as_fd(), &facts, meant, false, (&mut Spares::default(), &Options::default())).expect("a replica");
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
        let mut options = Options::default();
        for (level, name, value) in [
            (SOCKET, libc::SO_KEEPALIVE, 1),
            (SOCKET, libc::SO_SNDBUF, 20_000),
            (libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 42),
            (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 1234),
            (libc::IPPROTO_IP, libc::IP_TOS, 0x10),
        ] {
            option::set_number(old.as_fd(), level, name, value).expect("it is set");
            options.note(level, name);
        }
        option::set(old.as_fd(), SOCKET, libc::SO_LINGER, &[1, 0, 0, 0, 9, 0, 0, 0]).expect("it is set");
        options.note(SOCKET, libc::SO_LINGER);
        let peer = "192.0.2.1:443".parse().expect("an address");

        let new = make(old.as_fd(), &facts, peer, false, (&mut Spares::default(), &options)).expect("a replica");

        let (fresh, _) = self::old(false);
        for (level, name) in [
            (SOCKET, libc::SO_KEEPALIVE),
            (SOCKET, libc::SO_SNDBUF),
            (libc::IPPROTO_TCP, libc::TCP_NODELAY),
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
            (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
            (libc::IPPROTO_IP, libc::IP_TOS),
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
