//! The supervisor, made to wait: as long as it does, it keeps no limit and answers nobody.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use super::attack;
use super::signals::{handle, storm};
use super::socket::{self, Address};
use crate::call::{Result, c, ignore, sys};
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] =
    &[("net-linger", linger), ("net-blocking", blocking), ("net-lengths", lengths), ("net-descriptors", descriptors)];

/// A server of the job's own, on its loopback.
fn server() -> Result<(OwnedFd, Address)> {
    let listening = socket::tcp(false)?;
    socket::bind(&listening, &Address::of(([127, 0, 0, 1], 0).into()))?;
    sys!(listen, listening.as_raw_fd(), 1)?;
    let (mut at, mut length) = (Address::none(), 128_u32);
    sys!(getsockname, listening.as_raw_fd(), at.bytes.as_mut_ptr(), &raw mut length)?;
    at.length = 16;
    Ok((listening, at))
}

/// The job closes, while a call waits, a socket that lingers: whoever has it last waits for what was not sent.
fn linger(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let (listening, at) = server()?;
        // Soon full.
        socket::set(&listening, libc::SOL_SOCKET, libc::SO_RCVBUF, &4096_i32)?;
        let nothing = std::fs::File::open("/dev/null")?;
        let next = Arc::new((AtomicI32::new(-1), AtomicI32::new(0), AtomicBool::new(false)));
        let (theirs, stop) = (Arc::clone(&next), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let closer = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let number = theirs.0.swap(-1, Ordering::AcqRel);
                if number >= 0 {
                    for _ in 0..theirs.1.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                    ignore(socket::put(&nothing, number));
                    theirs.2.store(true, Ordering::Release);
                }
            }
        });
        let full = vec![0_u8; 1 << 16];
        for turn in 0..targets.loops / 4 {
            let socket = socket::tcp(false)?;
            socket::do_not_wait(&socket, true)?;
            ignore(socket::set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &4096_i32));
            counts.of("connect", socket::connect(&socket, &at));
            let peer = counts.of("accept", socket::accept(&listening));
            while sys!(sendto, socket.as_raw_fd(), full.as_ptr(), full.len(), libc::MSG_DONTWAIT, 0, 0).is_ok() {}
            let for_ever = [1_i32, 100_000];
            counts.of("linger", socket::set(&socket, libc::SOL_SOCKET, libc::SO_LINGER, &for_ever));
            counts.of("linger", socket::set_with_high_halves(&socket, libc::SOL_SOCKET, libc::SO_LINGER, &for_ever));
            next.1.store((turn * 37 % 3000) as i32, Ordering::Relaxed);
            next.0.store(socket.as_raw_fd(), Ordering::Release);
            counts.of("listen", socket::listen(&socket));
            while !next.2.swap(false, Ordering::AcqRel) {
                std::hint::spin_loop();
            }
            drop(peer);
        }
        stop.store(true, Ordering::Relaxed);
        drop(closer.join());
        Ok(())
    })
}

/// Connects a socket that does not wait while another thread has it wait, to one who does not answer: to its own server, and
/// to the one outside.
fn blocking(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let (_listening, at) = server()?;
        let mut filled = Vec::new();
        for _ in 0..4 {
            let socket = socket::tcp(false)?;
            socket::do_not_wait(&socket, true)?;
            counts.of("fill", socket::connect(&socket, &at));
            filled.push(socket);
        }
        let number = Arc::new(AtomicI32::new(-1));
        let (theirs, stop) = (Arc::clone(&number), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&stop);
        let flipper = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let number = theirs.load(Ordering::Relaxed);
                if number >= 0 {
                    ignore(socket::do_not_wait(&number, false));
                    ignore(socket::do_not_wait(&number, true));
                }
            }
        });
        handle(0);
        storm(3000);
        for turn in 0..targets.loops / 8 {
            let socket = socket::tcp(false)?;
            ignore(socket::set(&socket, libc::IPPROTO_TCP, libc::TCP_SYNCNT, &127_i32));
            socket::do_not_wait(&socket, true)?;
            let to = if turn % 2 == 0 { at } else { Address::of(targets.slow) };
            number.store(socket.as_raw_fd(), Ordering::Relaxed);
            counts.of("connect", socket::connect(&socket, &to));
            counts.of("connect again", socket::connect(&socket, &to));
            number.store(-1, Ordering::Relaxed);
        }
        storm(0);
        stop.store(true, Ordering::Relaxed);
        drop(flipper.join());
        Ok(())
    })
}

/// Addresses of every length, and at the end of memory.
fn lengths(args: &Arguments) -> Outcome {
    const PAGE: usize = 4096;
    attack(args, |targets, counts| {
        // SAFETY: two pages of nobody's.
        let pages = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        // SAFETY: the second of them.
        let end = unsafe { pages.byte_add(PAGE) };
        // SAFETY: it is our own, and nothing is there.
        unsafe { libc::munmap(end, PAGE) };
        let lengths = [
            0,
            1,
            2,
            3,
            8,
            15,
            16,
            17,
            24,
            28,
            127,
            128,
            129,
            4096,
            i32::MAX as usize,
            usize::MAX,
            1 << 32 | 16,
            1 << 31,
        ];
        let local = socket::make(libc::AF_UNIX, libc::SOCK_STREAM, 0).or_else(|_| socket::tcp(false))?;
        let brokered = targets.brokered(false)?;
        for turn in 0..targets.loops / 8 {
            let length = lengths[turn % lengths.len()];
            let before = turn / lengths.len() % 40;
            let forbidden = targets.forbidden_v4(turn);
            let start = end.addr() - before;
            // SAFETY: so many bytes before the end of the first page.
            unsafe { std::ptr::copy_nonoverlapping(forbidden.bytes.as_ptr(), start as *mut u8, before) };
            let fresh = socket::tcp(false)?;
            for (what, socket) in [("fresh", &fresh), ("local", &local), ("connected", &brokered)] {
                counts.of(what, sys!(connect, socket.as_raw_fd(), start, length));
                counts.of(what, sys!(connect, socket.as_raw_fd(), [0, 1, PAGE, usize::MAX - 8][turn % 4], length));
                counts.of(what, sys!(bind, socket.as_raw_fd(), start, length));
            }
        }
        Ok(())
    })
}

/// Connects, binds and listens on what is no socket.
fn descriptors(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let mut all = Vec::new();
        let mut pipe = [0; 2];
        // SAFETY: two writable ints.
        unsafe { libc::pipe(pipe.as_mut_ptr()) };
        all.extend(pipe.map(i64::from));
        // SAFETY: numbers.
        all.extend([unsafe { libc::eventfd(0, 0) }, unsafe { libc::epoll_create1(0) }].map(i64::from));
        all.extend(counts.of("memfd_create", sys!(memfd_create, c("x").as_ptr(), 0)));
        all.extend(counts.of("pidfd_open", sys!(pidfd_open, std::process::id(), 0)));
        for path in ["/", "/dev/null", "/proc/self/ns/net", "/proc/self/exe", "/proc/net/tcp"] {
            all.extend(counts.of("open", sys!(openat, libc::AT_FDCWD, c(path).as_ptr(), libc::O_RDONLY)));
            all.extend(counts.of("open the path", sys!(openat, libc::AT_FDCWD, c(path).as_ptr(), libc::O_PATH)));
        }
        let (listening, _) = server()?;
        all.extend([
            listening.as_raw_fd().into(),
            -1,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            9999,
            libc::AT_FDCWD.into(),
        ]);
        for turn in 0..targets.loops / 3 {
            let number = all[turn % all.len()];
            // A descriptor is the low half.
            let number = if turn % 3 == 0 { number | 0x7fff_0001 << 32 } else { number };
            let forbidden = targets.forbidden_v4(turn);
            counts.of("connect", sys!(connect, number, forbidden.bytes.as_ptr(), 16));
            counts.of("bind", sys!(bind, number, forbidden.bytes.as_ptr(), 16));
            counts.of("listen", sys!(listen, number, i32::MAX));
        }
        Ok(())
    })
}
