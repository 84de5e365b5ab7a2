//! Other kinds of sockets, other ways to have one, and what a socket from outside tells of the outside.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use super::socket::{self, Address};
use super::{Counts, attack};
use crate::call::{Errno, Result, ignore, sys};
use crate::child;
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[
    ("net-kinds", kinds),
    ("net-groups", groups),
    ("net-requests", requests),
    ("net-namespace", namespace),
    ("net-taken", taken),
    ("net-traced", traced),
    ("net-filters", filters),
    ("net-pipes", pipes),
];

/// Families, kinds and protocols that a policy may let a job have, in the place of the usual ones.
const KINDS: [(&str, i32, i32, i32); 16] = [
    ("mptcp", libc::AF_INET, libc::SOCK_STREAM, 262),
    ("mptcp, v6", libc::AF_INET6, libc::SOCK_STREAM, 262),
    ("sctp", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    ("sctp, packets", libc::AF_INET, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
    ("dccp", libc::AF_INET, 6, libc::IPPROTO_DCCP),
    ("udplite", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
    ("smc by protocol", libc::AF_INET, libc::SOCK_STREAM, 256),
    ("smc", 43, libc::SOCK_STREAM, 0),
    ("raw", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP),
    ("raw ip", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
    ("ping", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("packet", libc::AF_PACKET, libc::SOCK_DGRAM, 0x0300),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("netlink", libc::AF_NETLINK, libc::SOCK_RAW, 0),
    ("rds", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
];

/// Connects, binds, listens and sends by each kind, and by one that was connected for it.
fn kinds(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in 0..targets.loops / 4 {
            let (name, family, kind, protocol) = KINDS[turn % KINDS.len()];
            let Ok(socket) = socket::make(family, kind, protocol) else { continue };
            counts.of(name, Ok(()));
            ignore(socket::do_not_wait(&socket, true));
            let v6 = family == libc::AF_INET6;
            let forbidden = targets.forbidden(turn / KINDS.len(), v6);
            if turn % 3 == 0 && protocol == 262 {
                // Made to be one of TCP from outside.
                let permitted = if v6 { Address::of_v6(targets.permitted) } else { Address::of(targets.permitted) };
                counts.of("connect to permitted", socket::connect(&socket, &permitted));
                counts.of("undo", socket::connect(&socket, &Address::none()));
            }
            counts.of("connect", socket::connect(&socket, &forbidden));
            counts.of("send", socket::send_to(&socket, &forbidden, [0, socket::FASTOPEN][turn % 2]));
            counts.of("bind", socket::bind(&socket, &forbidden));
            counts.of("listen", socket::listen(&socket));
        }
        Ok(())
    })
}

/// Joins groups of many hosts, which has a host tell its network so. Only the arena's own network may hear of it.
fn groups(args: &Arguments) -> Outcome {
    const JOIN: i32 = 42;
    const JOIN_OF_ONE: i32 = 46;
    attack(args, |targets, counts| {
        for turn in (0..targets.loops).step_by(16) {
            let v6 = turn / 16 % 2 == 1;
            let Some(socket) = counts.of("connect", targets.brokered(v6)) else { continue };
            for turn in turn..turn + 16 {
                let level = if v6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
                let interface = (turn % 5) as u64;
                let group = if v6 { "[ff02::2:77]:0" } else { "239.1.2.3:0" };
                let group = Address::of(group.parse().map_err(|_none| Errno(libc::EINVAL))?);
                // struct group_req and struct group_source_req: the interface, and addresses, aligned as pointers are.
                let mut request = [0_u8; 264];
                request[..8].copy_from_slice(&interface.to_ne_bytes());
                request[8..136].copy_from_slice(&group.bytes);
                let source = if v6 { Address::of_v6(targets.permitted) } else { Address::of(targets.permitted) };
                request[136..].copy_from_slice(&source.bytes);
                counts.of("join of one", socket::set(&socket, level, JOIN_OF_ONE, &request));
                let request: [u8; 136] = std::array::from_fn(|at| request[at]);
                counts.of("join", socket::set(&socket, level, JOIN, &request));
                counts.of("join", socket::set_with_high_halves(&socket, level, JOIN, &request));
                if v6 {
                    let old: [u8; 20] =
                        std::array::from_fn(|at| if at < 16 { group.bytes[8 + at] } else { [1, 0, 0, 0][at - 16] });
                    counts.of("join, old", socket::set(&socket, level, 20, &old));
                    counts.of("join anycast", socket::set(&socket, level, 27, &old));
                } else {
                    let old = [239, 1, 2, 3, 127, 0, 0, 1, 1, 2, 3, 4];
                    counts.of("join, old", socket::set(&socket, level, libc::IP_ADD_MEMBERSHIP, &old));
                    let of_one = [239_u8, 1, 2, 3, 127, 0, 0, 1, 1, 2, 3, 4];
                    counts.of("join of one, old", socket::set(&socket, level, libc::IP_ADD_SOURCE_MEMBERSHIP, &of_one));
                }
            }
        }
        Ok(())
    })
}

/// ioctl(2) on a socket from outside: interfaces, addresses, routes, the namespace.
fn requests(args: &Arguments) -> Outcome {
    let mut told = Vec::new();
    let outcome = attack(args, |targets, counts| {
        let socket = targets.brokered(false)?;
        for turn in 0..targets.loops {
            // All of sockets', and those of wireless interfaces; once in a while with senseless high halves.
            let request = 0x8900 + (turn % 0x300) as i64;
            if matches!(request, 0x8901 | 0x8902) {
                continue;
            }
            let whole = if turn % 4 == 0 { request | 0x7fff_0001 << 32 } else { request };
            let mut space = [0_u8; 4096];
            space[..2].copy_from_slice(b"lo");
            if request == 0x8910 {
                space[16] = 1;
            }
            let room = [0_u8; 4096];
            if request == 0x8912 {
                // struct ifconf: a length, and where.
                space[..8].copy_from_slice(&4096_u64.to_ne_bytes());
                space[8..16].copy_from_slice(&(room.as_ptr().addr() as u64).to_ne_bytes());
            }
            let asked = crate::call::call(
                libc::SYS_ioctl,
                [socket.as_raw_fd().into(), whole, space.as_mut_ptr().addr() as i64, 0, 0, 0],
            );
            let harmless = matches!(request, 0x8903..=0x8909 | 0x894b);
            if asked.is_ok() && !harmless {
                told.push(format!("{request:x}"));
                if request == 0x894c {
                    counts.of("enter", asked.and_then(|number| sys!(setns, number, libc::CLONE_NEWNET)));
                }
            }
        }
        Ok(())
    });
    told.sort();
    told.dedup();
    if told.is_empty() {
        outcome
    } else {
        Outcome::escaped(format!("a socket from outside answers to {}", told.join(", ")))
    }
}

/// Where a socket from outside is of: by its place in /proc, and by what it is asked.
fn namespace(args: &Arguments) -> Outcome {
    let mut found = None;
    let outcome = attack(args, |targets, counts| {
        let port = format!(":{:04X} ", targets.permitted.port());
        for turn in 0..targets.loops {
            if turn % 16 != 0 {
                continue;
            }
            let socket = targets.brokered(false)?;
            let number = socket.as_raw_fd();
            for place in [
                format!("/proc/self/fd/{number}"),
                format!("/proc/thread-self/fd/{number}/.."),
                format!("/dev/fd/{number}"),
            ] {
                let path = crate::call::c(place);
                let opened = sys!(openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDWR | libc::O_NONBLOCK);
                if let Some(opened) = counts.of("open", opened) {
                    counts.of("reconnect", socket::connect(&(opened as i32), &targets.forbidden_v4(turn)));
                    ignore(sys!(close, opened));
                }
            }
            counts.of("enter", sys!(setns, number, libc::CLONE_NEWNET));
            // It is long.
            if turn % 256 != 0 {
                continue;
            }
            for place in ["/proc/net/tcp", "/proc/self/net/tcp", "/proc/1/net/tcp", "/proc/thread-self/net/tcp"] {
                // Its third field is of one who listens: a line of the host's.
                let text = fs::read_to_string(place).unwrap_or_default();
                if text.lines().any(|line| line.contains(&port) && line.contains(" 0A ")) {
                    found.get_or_insert(format!("{place} tells of the host's servers"));
                }
            }
        }
        Ok(())
    });
    match found {
        Some(found) => Outcome::escaped(found),
        None => outcome,
    }
}

/// A process takes the sockets of another, which connects, and uses them.
fn taken(args: &Arguments) -> Outcome {
    const PLACE: i32 = 50;
    attack(args, |targets, counts| {
        let permitted = Address::of(targets.permitted);
        let child = child::fork(|| {
            // SAFETY: numbers: any process of the job may look at it, where something has to allow that.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::MAX, 0, 0, 0) };
            loop {
                let Ok(socket) = socket::tcp(false) else { return 1 };
                ignore(socket::put(&socket, PLACE));
                drop(socket);
                ignore(socket::connect(&PLACE, &permitted));
                std::thread::yield_now();
            }
        })?;
        let process = counts.of("open", sys!(pidfd_open, child.0, 0).and_then(socket::own));
        if let Some(process) = process {
            child::nap(100);
            for turn in 0..targets.loops {
                let got = sys!(pidfd_getfd, process.as_raw_fd(), PLACE, 0).and_then(socket::own);
                let Some(socket) = counts.of("take", got) else {
                    if turn > 100 && counts.worked("take") == 0 {
                        break;
                    }
                    continue;
                };
                counts.of("undo", socket::connect(&socket, &Address::none()));
                if turn % 2 == 0 {
                    counts.of("listen", socket::listen(&socket));
                }
                counts.of("reconnect", socket::connect(&socket, &targets.forbidden_v4(turn)));
            }
        }
        child.end();
        Ok(())
    })
}

/// A process changes another's registers when it begins a call, ends it, and waits in it.
fn traced(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let permitted = Address::of(targets.permitted);
        let forbidden = targets.forbidden_v4(0);
        let child = child::fork(|| {
            // SAFETY: numbers.
            if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } < 0 {
                return 1;
            }
            // SAFETY: a number; the tracer goes on from here.
            unsafe { libc::raise(libc::SIGSTOP) };
            for _ in 0..targets.loops {
                let Ok(socket) = socket::tcp(false) else { return 1 };
                ignore(socket::connect(&socket, &permitted));
            }
            0
        })?;
        let changed = trace(child, permitted.bytes.as_ptr().addr(), forbidden.bytes.as_ptr().addr());
        child.end();
        counts.of("trace", changed);
        Ok(())
    })
}

/// Changes the address at every stop in connect(2). Gives how often.
#[cfg(target_arch = "x86_64")]
fn trace(child: child::Child, one: usize, other: usize) -> Result<u64> {
    let mut changed = 0;
    loop {
        let mut status = 0;
        // SAFETY: a writable int.
        if unsafe { libc::waitpid(child.0, &raw mut status, libc::__WALL) } < 0 || !libc::WIFSTOPPED(status) {
            return Ok(changed);
        }
        // SAFETY: numbers, for which zeros are good values.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: a writable struct of that kind.
        if unsafe { libc::ptrace(libc::PTRACE_GETREGS, child.0, 0, &raw mut registers) } < 0 {
            return Err(Errno::last());
        }
        if registers.orig_rax == libc::SYS_connect as u64 {
            changed += 1;
            registers.rsi = if registers.rsi == one as u64 { other as u64 } else { one as u64 };
            // SAFETY: a readable struct of that kind.
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, child.0, 0, &raw const registers) };
        }
        // SAFETY: numbers.
        if unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child.0, 0, 0) } < 0 {
            return Err(Errno::last());
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn trace(_: child::Child, _: usize, _: usize) -> Result<u64> {
    Err(Errno(libc::ENOSYS))
}

/// Filters of the job's own, that would answer in the supervisor's place.
fn filters(args: &Arguments) -> Outcome {
    const TRIES: usize = 16;
    attack(args, |targets, counts| {
        for turn in (0..targets.loops).step_by(TRIES) {
            let child = child::fork(|| {
                let listener = install(turn / TRIES).ok();
                for turn in turn..turn + TRIES {
                    // By threads, as one that waits for its own process waits for ever.
                    let Ok(socket) = socket::tcp(false) else { return 1 };
                    let to = targets.forbidden_v4(turn);
                    std::thread::spawn(move || {
                        ignore(socket::connect(&socket, &to));
                        ignore(socket::listen(&socket));
                        std::mem::forget(socket);
                    });
                }
                if let Some(listener) = &listener {
                    answer_all(listener, TRIES);
                }
                child::nap(1);
                0
            })?;
            counts.of("end", child.wait_for(std::time::Duration::from_secs(5)));
            child.end();
        }
        Ok(())
    })
}

/// For connect(2) and listen(2): a listener of its own, one that nobody has, a tracer, and nothing.
fn install(turn: usize) -> Result<OwnedFd> {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NEW_LISTENER: i64 = 8;
    let action =
        [libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_TRACE, libc::SECCOMP_RET_ALLOW]
            [turn % 4];
    let jump = |jt, k| libc::sock_filter { code: EQUAL, jt, jf: 0, k };
    let filter = [
        libc::sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        jump(2, libc::SYS_connect as u32),
        jump(1, libc::SYS_listen as u32),
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: action },
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    sys!(prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    let flags = if turn.is_multiple_of(4) { NEW_LISTENER } else { 0 };
    let made = crate::call::call(libc::SYS_seccomp, [1, flags, (&raw const program).addr() as i64, 0, 0, 0])?;
    if flags == 0 { Err(Errno(libc::ENOENT)) } else { socket::own(made) }
}

/// Lets every call that comes go on.
fn answer_all(listener: &OwnedFd, most: usize) {
    const RECEIVE: i64 = 0xc050_2100;
    const SEND: i64 = 0xc018_2101;
    const GO_ON: u32 = 1;
    for _ in 0..2 * most {
        let mut watched = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one struct.
        if unsafe { libc::poll(&raw mut watched, 1, 20) } != 1 {
            return;
        }
        let mut notification = [0_u64; 10];
        if sys!(ioctl, listener.as_raw_fd(), RECEIVE, notification.as_mut_ptr()).is_ok() {
            // struct seccomp_notif_resp: id, value, error and flags.
            let answer = [notification[0], 0, u64::from(GO_ON) << 32];
            ignore(sys!(ioctl, listener.as_raw_fd(), SEND, answer.as_ptr()));
        }
    }
}

/// What moves bytes without sending, onto sockets that are and that are not connected.
fn pipes(args: &Arguments) -> Outcome {
    attack(args, |targets, counts: &mut Counts| {
        let file = std::fs::File::open("/proc/self/exe")?;
        let mut pipe = [0; 2];
        // SAFETY: two writable ints.
        unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_NONBLOCK) };
        for turn in (0..targets.loops).step_by(16) {
            let Some(brokered) = counts.of("connect", targets.brokered(false)) else { continue };
            socket::do_not_wait(&brokered, true)?;
            for turn in turn..turn + 16 {
                let fresh = socket::tcp(false)?;
                socket::do_not_wait(&fresh, true)?;
                // Told whom to, and not to connect by itself.
                ignore(socket::set(&fresh, libc::IPPROTO_TCP, 30, &1_i32));
                counts.of("connect", socket::connect(&fresh, &targets.forbidden_v4(turn)));
                for socket in [&fresh, &brokered] {
                    move_bytes(counts, file.as_raw_fd(), pipe, socket.as_raw_fd());
                }
                counts.of("undo", socket::connect(&brokered, &Address::none()));
                counts.of("reconnect", socket::connect(&brokered, &targets.forbidden_v4(turn)));
            }
        }
        Ok(())
    })
}

fn move_bytes(counts: &mut Counts, file: i32, [read, write]: [i32; 2], socket: i32) {
    let moved = |length: isize| if length < 0 { Err(Errno::last()) } else { Ok(length) };
    let none = std::ptr::null_mut;
    let mut place = 0_i64;
    // SAFETY: a writable number.
    counts.of("sendfile", moved(unsafe { libc::sendfile(socket, file, &raw mut place, 64) }));
    let vector = libc::iovec { iov_base: b"x".as_ptr().cast_mut().cast(), iov_len: 1 };
    // SAFETY: one vector of one byte.
    counts.of("vmsplice", moved(unsafe { libc::vmsplice(write, &raw const vector, 1, libc::SPLICE_F_NONBLOCK) }));
    // SAFETY: no places.
    counts.of("splice", moved(unsafe { libc::splice(read, none(), socket, none(), 64, libc::SPLICE_F_NONBLOCK) }));
    // SAFETY: numbers.
    counts.of("tee", moved(unsafe { libc::tee(read, socket, 64, libc::SPLICE_F_NONBLOCK) }));
}
