//! Another connection, or a port, by a socket that was connected for the job.

use std::os::fd::AsRawFd;

use super::socket::{self, Address, FASTOPEN};
use super::{Counts, Targets, attack};
use crate::call::{ignore, sys};
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[
    ("net-unspec", unspec),
    ("net-shut", shut),
    ("net-failed", failed),
    ("net-listen", listen),
    ("net-send-to", send_to),
    ("net-options", options),
    ("net-datagrams", datagrams),
];

/// How often a socket is used before there is another.
const USES: usize = 16;

/// Undoes the connection and makes another.
fn unspec(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in (0..targets.loops).step_by(USES) {
            let v6 = turn / USES % 2 == 1;
            let Some(socket) = counts.of("connect", targets.brokered(v6)) else { continue };
            let copy = socket.try_clone()?;
            for turn in turn..turn + USES {
                let mut none = Address::none();
                none.length = [16, 2, 8, 28][turn % 4];
                counts.of("undo", socket::connect(&copy, &none));
                counts.of("reconnect", socket::connect(&socket, &targets.forbidden(turn, v6)));
                if v6 {
                    counts.of("reconnect by IPv4", socket::connect(&socket, &targets.forbidden_v4(turn)));
                }
            }
        }
        Ok(())
    })
}

/// Ends a connection that is on its way, which undoes it, and makes another or listens.
fn shut(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in 0..targets.loops / 4 {
            let socket = socket::tcp(false)?;
            socket::do_not_wait(&socket, true)?;
            counts.of("begin", socket::connect(&socket, &Address::of(targets.slow)));
            counts.of("shut", socket::shut(&socket));
            another(targets, counts, &socket, turn);
        }
        Ok(())
    })
}

/// Goes on after a connection that failed.
fn failed(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in 0..targets.loops / 4 {
            let socket = socket::tcp(false)?;
            socket::do_not_wait(&socket, turn % 2 == 0)?;
            counts.of("begin", socket::connect(&socket, &Address::of(targets.closed)));
            another(targets, counts, &socket, turn);
        }
        Ok(())
    })
}

/// All that a socket without a connection can do.
fn another(targets: &Targets, counts: &mut Counts, socket: &impl AsRawFd, turn: usize) {
    let forbidden = targets.forbidden_v4(turn);
    match turn % 4 {
        0 => drop(counts.of("reconnect", socket::connect(socket, &forbidden))),
        1 => drop(counts.of("listen", socket::listen(socket))),
        2 => drop(counts.of("send to", socket::send_to(socket, &forbidden, FASTOPEN))),
        _ => {
            counts.of("bind", socket::bind(socket, &any(0)));
            counts.of("listen", socket::listen(socket));
        }
    }
    counts.of("reconnect", socket::connect(socket, &forbidden));
}

fn any(port: u16) -> Address {
    Address::of(std::net::SocketAddr::from(([0, 0, 0, 0], port)))
}

/// Waits for others to connect, by a socket that was connected, was undone, or was ended.
fn listen(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in (0..targets.loops).step_by(USES) {
            let Some(socket) = counts.of("connect", targets.brokered(false)) else { continue };
            for turn in turn..turn + USES {
                match turn % 4 {
                    0 => {}
                    1 => drop(counts.of("undo", socket::connect(&socket, &Address::none()))),
                    2 => drop(counts.of("bind", socket::bind(&socket, &any(0)))),
                    _ => drop(counts.of("shut", socket::shut(&socket))),
                }
                counts.of("listen", socket::listen(&socket));
                counts.of("accept", socket::accept(&socket));
            }
        }
        Ok(())
    })
}

/// Sends to an address, which connects where the kernel is asked to.
fn send_to(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let high = |flags: i64, socket: &std::os::fd::OwnedFd, to: &Address| {
            let flags = flags | i64::from(FASTOPEN | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
            let (at, length) = (to.bytes.as_ptr().addr() as i64, to.length as i64);
            crate::call::call(
                libc::SYS_sendto,
                [socket.as_raw_fd().into(), b"x".as_ptr().addr() as i64, 1, flags, at, length],
            )
        };
        for turn in (0..targets.loops).step_by(USES) {
            let v6 = turn / USES % 2 == 1;
            let Some(brokered) = counts.of("connect", targets.brokered(v6)) else { continue };
            for turn in (turn..turn + USES).step_by(4) {
                let forbidden = targets.forbidden(turn, v6);
                let turn = turn / 4;
                let fresh = socket::tcp(v6)?;
                for flags in [0, FASTOPEN] {
                    counts.of("send to, connected", socket::send_to(&brokered, &forbidden, flags));
                    counts.of(
                        "send message, connected",
                        socket::send_message(&brokered, &forbidden, flags, turn % 2 == 0),
                    );
                    counts.of("send message", socket::send_message(&fresh, &forbidden, flags, turn % 2 == 1));
                    counts.of("send to", socket::send_to(&fresh, &forbidden, flags));
                }
                let fresh = socket::tcp(v6)?;
                counts.of("send to, with high halves", high(0x7fff_0001 << 32, &fresh, &forbidden));
            }
        }
        Ok(())
    })
}

/// Options that make other objects or other ways of sockets.
fn options(args: &Arguments) -> Outcome {
    const TCP: i32 = libc::IPPROTO_TCP;
    const IP: i32 = libc::IPPROTO_IP;
    const IPV6: i32 = libc::IPPROTO_IPV6;
    // A strict source route by 127.0.0.2.
    let route: [u8; 8] = [137, 7, 4, 127, 0, 0, 2, 0];
    let numbers = [
        ("TCP_REPAIR", TCP, 19),
        ("TCP_FASTOPEN", TCP, 23),
        ("TCP_FASTOPEN_CONNECT", TCP, 30),
        ("TCP_FASTOPEN_NO_COOKIE", TCP, 34),
        ("IPV6_ADDRFORM", IPV6, 1),
        ("SO_BINDTOIFINDEX", libc::SOL_SOCKET, 62),
        ("IP_FREEBIND", IP, 15),
        ("IP_TRANSPARENT", IP, 19),
        ("SO_DETACH_FILTER", libc::SOL_SOCKET, libc::SO_DETACH_FILTER),
        ("SO_LOCK_FILTER", libc::SOL_SOCKET, libc::SO_LOCK_FILTER),
    ];
    attack(args, |targets, counts| {
        let filter = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: u32::MAX }];
        let all = libc::sock_fprog { len: 1, filter: filter.as_ptr().cast_mut() };
        for turn in (0..targets.loops).step_by(USES) {
            let v6 = turn / USES % 2 == 1;
            let Some(brokered) = counts.of("connect", targets.brokered(v6)) else { continue };
            socket::do_not_wait(&brokered, true)?;
            for turn in (turn..turn + USES).step_by(4) {
                let forbidden = targets.forbidden(turn, v6);
                let turn = turn / 4;
                let fresh = socket::tcp(v6)?;
                // By a route that leads nowhere it would wait.
                socket::do_not_wait(&fresh, true)?;
                let (name, level, option) = numbers[turn % numbers.len()];
                let value = if option == 1 { libc::AF_INET } else { 1 };
                for socket in [&fresh, &brokered] {
                    counts.of(name, socket::set(socket, level, option, &value));
                    counts.of(name, socket::set_with_high_halves(socket, level, option, &value));
                    counts.of("IP_OPTIONS", socket::set(socket, IP, libc::IP_OPTIONS, &route));
                    counts.of("TCP_ULP", socket::set(socket, TCP, 31, b"tls"));
                    counts.of("SO_BINDTODEVICE", socket::set(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo\0"));
                    counts.of("SO_ATTACH_FILTER", socket::set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &all));
                }
                counts.of("connect anew", socket::connect(&fresh, &forbidden));
                // With TCP_FASTOPEN_CONNECT this is what connects.
                counts.of(
                    "send",
                    sys!(sendto, fresh.as_raw_fd(), b"x".as_ptr(), 1, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT, 0, 0),
                );
                counts.of("undo", socket::connect(&brokered, &Address::none()));
                counts.of("reconnect", socket::connect(&brokered, &forbidden));
            }
        }
        Ok(())
    })
}

/// Datagrams, by each family, with and without a connection.
fn datagrams(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in 0..targets.loops {
            let v6 = turn % 2 == 1;
            let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
            let socket = socket::make(family, libc::SOCK_DGRAM, 0)?;
            let forbidden = targets.forbidden(turn / 2, v6);
            match turn / 2 % 3 {
                0 => drop(counts.of("send to", socket::send_to(&socket, &forbidden, 0))),
                1 => drop(counts.of("send message", socket::send_message(&socket, &forbidden, 0, turn % 4 > 1))),
                _ => {
                    counts.of("connect", socket::connect(&socket, &forbidden));
                    counts.of("send", sys!(sendto, socket.as_raw_fd(), b"x".as_ptr(), 1, libc::MSG_DONTWAIT, 0, 0));
                }
            }
        }
        // What is on its way arrives before anybody counts.
        ignore(sys!(fcntl, 0, libc::F_GETFD));
        Ok(())
    })
}
