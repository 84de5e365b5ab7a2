//! What is decided about and what is done, made to differ: memory, numbers and processes change while a call goes on.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::socket::{self, Address};
use super::{Counts, Targets, attack};
use crate::call::{Errno, Result, ignore, sys};
use crate::child::{self, Child};
use crate::descriptors;
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[
    ("net-memory", memory),
    ("net-number", number),
    ("net-local", local),
    ("net-passed", passed),
    ("net-exec", exec),
    ("net-after-exec", after_exec),
    ("net-vfork", vfork),
];

/// How often a socket is used before there is another.
const USES: usize = 16;

/// A thread that does the same again and again until it is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn new(mut act: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                act();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A struct sockaddr in memory that changes: sixteen bytes, in two words.
#[derive(Clone)]
struct Shifting(Arc<[AtomicU64; 16]>);

impl Shifting {
    fn of(address: &Address) -> Self {
        let new = Self(Arc::new(std::array::from_fn(|_| AtomicU64::new(0))));
        new.store(address);
        new
    }

    fn store(&self, address: &Address) {
        let (words, _) = address.bytes.as_chunks::<8>();
        for (place, word) in self.0.iter().zip(words) {
            place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
    }

    fn connect(&self, number: i32, length: usize) -> Result {
        sys!(connect, number, self.0.as_ptr(), length)
    }

    fn bind(&self, number: i32, length: usize) -> Result {
        sys!(bind, number, self.0.as_ptr(), length)
    }
}

/// The address changes while the call is looked at.
fn memory(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for v6 in [false, true] {
            let permitted = if v6 { Address::of_v6(targets.permitted) } else { Address::of(targets.permitted) };
            let shifting = Shifting::of(&permitted);
            let theirs = shifting.clone();
            let others: Vec<Address> = (0..targets.forbidden.len()).map(|turn| targets.forbidden(turn, v6)).collect();
            let mut turn = 0;
            let busy = Busy::new(move || {
                theirs.store(&others[turn % others.len()]);
                pause(turn);
                theirs.store(&permitted);
                pause(turn / 7);
                turn += 1;
            });
            for _ in 0..targets.loops / 2 {
                let socket = socket::tcp(v6)?;
                counts.of("connect", shifting.connect(socket.as_raw_fd(), permitted.length));
            }
            drop(busy);
        }
        Ok(())
    })
}

/// A while, another each time.
fn pause(turn: usize) {
    for _ in 0..turn % 61 * 20 {
        std::hint::spin_loop();
    }
    thread::yield_now();
}

/// The number stands for one socket and then for another, while a call goes on that is harmless for one of them.
fn number(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let own = listener()?;
        let own_at = own.1;
        let place = socket::tcp(false)?;
        let number = place.as_raw_fd();
        let brokered: Vec<OwnedFd> = (0..4).filter_map(|_| counts.of("connect", targets.brokered(false))).collect();
        let fresh = socket::tcp(false)?;
        // Where there are no Unix sockets to be had, another of TCP is in the place of one.
        let local = socket::make(libc::AF_UNIX, libc::SOCK_STREAM, 0).or_else(|_| socket::tcp(false))?;
        for socket in [&place, &fresh, &local] {
            socket::do_not_wait(socket, true)?;
        }
        let mut turn = 0;
        let busy = Busy::new(move || {
            let one = &brokered[turn % brokered.len()];
            for socket in [one, &fresh, one, &local] {
                ignore(socket::put(socket, number));
                thread::yield_now();
            }
            turn += 1;
        });
        for turn in (0..targets.loops).step_by(2) {
            let forbidden = targets.forbidden_v4(turn / 2);
            match turn / 2 % 6 {
                0 => drop(counts.of("listen", socket::listen(&place))),
                1 => drop(counts.of("bind", socket::bind(&place, &Address::of(([0, 0, 0, 0], 0).into())))),
                2 => drop(counts.of("undo", socket::connect(&place, &Address::none()))),
                3 => drop(counts.of("connect to own", socket::connect(&place, &own_at))),
                4 => drop(counts.of("connect to permitted", socket::connect(&place, &Address::of(targets.permitted)))),
                _ => drop(counts.of("accept", socket::accept(&place))),
            }
            counts.of("connect", socket::connect(&place, &forbidden));
            // Its queue is never full.
            while own_peer(&own.0).is_ok() {}
        }
        drop(busy);
        Ok(())
    })
}

/// A server of the job's own.
fn listener() -> Result<(OwnedFd, Address)> {
    let listening = socket::tcp(false)?;
    socket::bind(&listening, &Address::of(([127, 0, 0, 1], 0).into()))?;
    socket::listen(&listening)?;
    let (mut address, mut length) = (Address::none(), 128_u32);
    sys!(getsockname, listening.as_raw_fd(), address.bytes.as_mut_ptr(), &raw mut length)?;
    address.length = 16;
    Ok((listening, address))
}

/// Unix sockets, whose calls the kernel goes on with: by then the number stands for a socket from outside, and the memory
/// holds an address of TCP.
fn local(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let name = format!("lazaret-escape-net-{}", std::process::id());
        let listening = socket::make(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
        let at = Address::local(&name);
        counts.of("bind own", socket::bind(&listening, &at));
        counts.of("listen own", socket::listen(&listening));
        let place = socket::make(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
        let number = place.as_raw_fd();
        let shifting = Shifting::of(&at);
        let theirs = shifting.clone();
        let spin = Arc::new(AtomicI32::new(0));
        let wait = Arc::clone(&spin);
        let mut brokered = Vec::new();
        for _ in 0..USES {
            brokered.extend(counts.of("connect", targets.brokered(false)));
        }
        let others: Vec<Address> = (0..targets.forbidden.len()).map(|turn| targets.forbidden_v4(turn)).collect();
        let mut turn = 0;
        let busy = Busy::new(move || {
            let Ok(local) = socket::make(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0) else { return };
            theirs.store(&at);
            ignore(socket::put(&local, number));
            for _ in 0..wait.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            ignore(socket::put(&brokered[turn / 8 % brokered.len()], number));
            // First undone, then it may be connected.
            theirs.store(&if turn % 8 < 4 { Address::none() } else { others[turn % others.len()] });
            for _ in 0..wait.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            turn += 1;
        });
        for turn in 0..targets.loops {
            spin.store((turn % 97 * 23) as i32, Ordering::Relaxed);
            let length = [16, 28, at.length][turn % 3];
            match turn % 4 {
                0 => drop(counts.of("bind, whatever it is", shifting.bind(number, length))),
                _ => drop(counts.of("connect, whatever it is", shifting.connect(number, length))),
            }
            if turn % 16 == 0 {
                counts.of("listen, whatever it is", sys!(listen, number, 8));
            }
            if let Ok(peer) = own_peer(&listening) {
                drop(peer);
            }
        }
        drop(busy);
        Ok(())
    })
}

fn own_peer(listening: &OwnedFd) -> Result<OwnedFd> {
    socket::do_not_wait(listening, true)?;
    socket::accept(listening)
}

/// Another process is sent the socket, and both use it.
fn passed(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let loops = targets.loops;
        let other = child::fork(|| use_what_comes(theirs.as_raw_fd(), targets))?;
        for turn in (0..loops).step_by(USES) {
            let Some(socket) = counts.of("connect", targets.brokered(false)) else { continue };
            if counts.of("send", descriptors::send(ours.as_raw_fd(), socket.as_raw_fd())).is_none() {
                break;
            }
            for turn in (turn..turn + USES).step_by(4) {
                counts.of("undo", socket::connect(&socket, &Address::none()));
                counts.of("reconnect", socket::connect(&socket, &targets.forbidden_v4(turn)));
            }
        }
        drop(ours);
        counts.of("the other", other.wait());
        Ok(())
    })
}

fn use_what_comes(from: i32, targets: &Targets) -> i32 {
    let mut turn = 0;
    // The other end was copied by fork: it ends when nothing came for a while.
    while let Ok(socket) = descriptors::receive_one(from) {
        for _ in 0..USES / 4 {
            turn += 1;
            ignore(socket::connect(&socket, &Address::none()));
            ignore(socket::connect(&socket, &targets.forbidden_v4(turn)));
            ignore(socket::listen(&socket));
        }
    }
    0
}

/// Threads are in calls when their process becomes another program, which has their sockets.
fn exec(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let rounds = targets.loops / 128;
        let mut running: Vec<Child> = Vec::new();
        let words: Vec<String> = ["/proc/self/exe", "net-after-exec"]
            .map(str::to_owned)
            .into_iter()
            .chain(args.all().iter().cloned())
            .collect();
        for turn in 0..rounds {
            let child = child::fork(|| {
                for turn in 0..8 {
                    let Ok(socket) = socket::tcp(false) else { return 1 };
                    // Not closed by exec: the next program finds them.
                    ignore(sys!(fcntl, socket.as_raw_fd(), libc::F_SETFD, 0));
                    let to = if turn % 2 == 0 { targets.permitted } else { targets.slow };
                    let to = if turn % 4 == 3 { targets.forbidden_v4(turn) } else { Address::of(to) };
                    thread::spawn(move || {
                        ignore(socket::connect(&socket, &to));
                        std::mem::forget(socket);
                    });
                }
                child::nap(turn as u64 % 3);
                crate::within::exec(&words)
            });
            running.extend(counts.of("fork", child));
            if running.len() >= 4 {
                counts.of("end", running.remove(0).wait());
            }
        }
        for child in running {
            counts.of("end", child.wait());
        }
        Ok(())
    })
}

/// What the next program does with the sockets that it finds.
fn after_exec(args: &Arguments) -> Outcome {
    attack(args, |targets, counts: &mut Counts| {
        for number in 3..12 {
            counts.of("undo", socket::connect(&number, &Address::none()));
            counts.of("listen", socket::listen(&number));
            counts.of("reconnect", socket::connect(&number, &targets.forbidden_v4(number as usize)));
        }
        Ok(())
    })
}

/// Children that have their parent's memory and descriptors, or the descriptors alone, and die while they wait.
fn vfork(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let place = socket::tcp(false)?;
        let number = place.as_raw_fd();
        let brokered = targets.brokered(false)?;
        let permitted = Address::of(targets.permitted);
        let mut stack = vec![0_u128; 4096];
        for turn in (0..targets.loops).step_by(4) {
            let forbidden = targets.forbidden_v4(turn / 4);
            let turn = turn / 4;
            let to = if turn % 2 == 0 { &permitted } else { &forbidden };
            ignore(socket::put(&brokered, number));
            let mut work = Work { number, to: *to };
            // With descriptors of its own, and with its parent's.
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | [0, libc::CLONE_FILES][turn / 2 % 2];
            // SAFETY: the child runs on a stack of its own, makes system calls, and ends before anybody goes on.
            let pid =
                unsafe { libc::clone(in_vfork, stack.as_mut_ptr_range().end.cast(), flags, (&raw mut work).cast()) };
            let child = if pid < 0 { Err(Errno::last()) } else { Ok(Child(pid)) };
            if let Some(child) = counts.of("vfork", child) {
                counts.of("reconnect", socket::connect(&place, &forbidden));
                counts.of("wait", child.wait());
            }
        }
        Ok(())
    })
}

/// What a child does that has its parent's memory.
struct Work {
    number: i32,
    to: Address,
}

extern "C" fn in_vfork(work: *mut std::ffi::c_void) -> i32 {
    // SAFETY: its parent's, which waits.
    let Work { number, to } = unsafe { &*work.cast::<Work>() };
    ignore(socket::connect(number, &Address::none()));
    ignore(socket::listen(number));
    if let Ok(new) = sys!(socket, libc::AF_INET, libc::SOCK_STREAM, 0) {
        ignore(sys!(dup3, new, *number, 0));
        ignore(sys!(close, new));
    }
    ignore(socket::connect(number, to));
    0
}
