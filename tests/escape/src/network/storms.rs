//! Many at once, who die in the middle.

use std::thread;

use super::socket::{self, Address};
use super::{Targets, attack};
use crate::call::{Result, ignore, sys};
use crate::child::{self, Child};
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] =
    &[("net-deaths", deaths), ("net-threads", threads), ("net-pending", pending), ("net-own-limit", own_limit)];

/// Threads in each process that dies.
const THREADS: usize = 4;

/// Processes that connect on many threads and die, or are killed, while they wait; their numbers go to others at once.
fn deaths(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let mut running: Vec<Child> = Vec::new();
        for turn in 0..targets.loops / THREADS {
            let child = child::fork(|| {
                for thread in 0..THREADS {
                    let to = match (turn + thread) % 4 {
                        0 => Address::of(targets.slow),
                        1 => targets.forbidden_v4(turn),
                        _ => Address::of(targets.permitted),
                    };
                    thread::spawn(move || {
                        if let Ok(socket) = socket::tcp(false) {
                            ignore(socket::connect(&socket, &to));
                            ignore(socket::listen(&socket));
                            ignore(socket::connect(&socket, &Address::none()));
                        }
                    });
                }
                if turn % 4 == 0 {
                    child::nap(2);
                }
                for _ in 0..turn % 300 {
                    std::hint::spin_loop();
                }
                0
            });
            running.extend(counts.of("fork", child));
            while running.len() >= 8 {
                let oldest = running.remove(0);
                if turn % 2 == 0 {
                    oldest.end();
                } else {
                    counts.of("end", oldest.wait());
                }
            }
        }
        running.into_iter().for_each(Child::end);
        // It is all there still.
        for turn in 0..16 {
            counts.of("connect at last", targets.brokered(turn % 2 == 0));
        }
        Ok(())
    })
}

/// Many threads that connect, undo, reconnect and close the same few numbers.
fn threads(args: &Arguments) -> Outcome {
    const AT_ONCE: usize = 8;
    attack(args, |targets, counts| {
        let shared: Vec<_> = (0..4).map(|_| socket::tcp(false)).collect::<Result<_>>()?;
        thread::scope(|scope| {
            for first in 0..AT_ONCE {
                let shared = &shared;
                scope.spawn(move || {
                    for turn in 0..targets.loops / AT_ONCE {
                        churn(targets, &shared[(first + turn) % shared.len()], first + turn);
                    }
                });
            }
        });
        counts.of("connect at last", targets.brokered(false));
        Ok(())
    })
}

fn churn(targets: &Targets, socket: &impl std::os::fd::AsRawFd, turn: usize) {
    match turn % 7 {
        0 => {
            if let Ok(new) = socket::tcp(false) {
                ignore(socket::do_not_wait(&new, turn.is_multiple_of(2)));
                ignore(socket::put(&new, socket.as_raw_fd()));
            }
        }
        1 | 2 => ignore(socket::connect(socket, &Address::of(targets.permitted))),
        3 => ignore(socket::connect(socket, &targets.forbidden_v4(turn))),
        4 => ignore(socket::connect(socket, &Address::none())),
        5 => ignore(socket::shut(socket)),
        _ => ignore(socket::listen(socket)),
    }
}

/// As many calls as there can be wait for one who never answers; what is permitted is to be had all the same afterwards.
fn pending(args: &Arguments) -> Outcome {
    const PROCESSES: usize = 12;
    attack(args, |targets, counts| {
        let rounds = targets.loops / PROCESSES / 100;
        let mut running = Vec::new();
        for _ in 0..PROCESSES {
            running.extend(counts.of("fork", child::fork(|| wait_for_ever(targets, rounds))));
        }
        for child in running {
            counts.of("end", child.wait());
        }
        // Calls that went away are remembered for a while, in case they are made again.
        child::nap(5500);
        for _ in 0..16 {
            counts.of("connect at last", targets.brokered(false));
        }
        Ok(())
    })
}

fn wait_for_ever(targets: &Targets, rounds: usize) -> i32 {
    for round in 0..rounds {
        let killed = child::fork(|| {
            for _ in 0..100 {
                let Ok(socket) = socket::tcp(false) else { break };
                let to = Address::of(targets.slow);
                let spawned = thread::Builder::new().stack_size(65536).spawn(move || socket::connect(&socket, &to));
                if spawned.is_err() {
                    break;
                }
            }
            child::nap(60_000);
            0
        });
        child::nap(200 + round as u64 * 10);
        killed.into_iter().for_each(Child::end);
    }
    0
}

/// The job has no room for a descriptor, or for the number that it named.
fn own_limit(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        let permitted = Address::of(targets.permitted);
        let mut own = [0_u64; 2];
        sys!(getrlimit, libc::RLIMIT_NOFILE, own.as_mut_ptr())?;
        let [soft, hard] = own;
        for turn in 0..targets.loops / 4 {
            let socket = socket::tcp(false)?;
            let copy = 40 + turn as i32 % 20;
            counts.of("number", socket::put(&socket, copy));
            let most = [turn as u64 % 50, hard];
            // The numbers above are held, and cannot be given anew.
            counts.of("limit", sys!(prlimit64, 0, libc::RLIMIT_NOFILE, most.as_ptr(), 0));
            counts.of("connect", socket::connect(&copy, &permitted));
            counts.of("undo", socket::connect(&copy, &Address::none()));
            counts.of("reconnect", socket::connect(&copy, &targets.forbidden_v4(turn)));
            counts.of("limit", sys!(prlimit64, 0, libc::RLIMIT_NOFILE, [soft, hard].as_ptr(), 0));
            ignore(sys!(close, copy));
        }
        Ok(())
    })
}
