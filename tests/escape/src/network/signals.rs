//! Signals that come while calls wait.

use std::os::fd::AsRawFd;

use super::socket::{self, Address};
use super::{Counts, Targets, attack};
use crate::call::{Result, ignore};
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[("net-signals", signals)];

/// Connects under a storm of signals: once with calls that go on after them, once with calls that end.
fn signals(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for flags in [libc::SA_RESTART, 0] {
            handle(flags);
            // A call that goes on after each signal comes to no end if they come faster than it can be answered.
            storm(if flags == 0 { 100 } else { 5000 });
            let done = connect_all(targets, counts, targets.loops / if flags == 0 { 8 } else { 64 });
            storm(0);
            done?;
        }
        Ok(())
    })
}

fn connect_all(targets: &Targets, counts: &mut Counts, loops: usize) -> Result<()> {
    for turn in 0..loops {
        let socket = socket::tcp(false)?;
        let forbidden = targets.forbidden_v4(turn);
        counts.of("connect", socket::connect(&socket, &Address::of(targets.permitted)));
        // Interrupted, it is on its way to one, and asked for another.
        if turn % 4 == 0 {
            let slow = socket::tcp(false)?;
            // A call that is made again and again has an end so.
            ignore(socket::set(&slow, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &[0_i64, 300]));
            counts.of("connect to one who does not answer", socket::connect(&slow, &Address::of(targets.slow)));
            ignore(socket::put(&slow, socket.as_raw_fd()));
            counts.of("connect elsewhere, on the way", socket::connect(&slow, &forbidden));
        }
        counts.of("undo", socket::connect(&socket, &Address::none()));
        counts.of("reconnect", socket::connect(&socket, &forbidden));
        counts.of("listen", socket::listen(&socket));
    }
    Ok(())
}

extern "C" fn nothing(_: i32) {}

/// Has SIGALRM do nothing.
pub(crate) fn handle(flags: i32) {
    // SAFETY: numbers and pointers, for which zeros are good values.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
    action.sa_flags = flags;
    // SAFETY: a readable struct; the handler does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
}

/// SIGALRM every so many microseconds; 0: never.
pub(crate) fn storm(micros: i64) {
    let every = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a readable struct.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}
