//! Attacks on the network that a supervisor makes for a job: each after a connection that no rule permits, or a name, or a
//! port of the host, or the supervisor itself.
//!
//! All of them are told where somebody waits outside, on one line of `attack arena`; and what they got is told by that.

mod kinds;
mod names;
mod patience;
mod races;
mod reconnect;
mod rings;
mod signals;
pub(crate) mod socket;
mod storms;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::call::{Errno, Result};
use crate::outcome::{Arguments, Named, Outcome};
use socket::Address;

const THEMES: &[&[Named]] = &[
    reconnect::PROBES,
    races::PROBES,
    rings::PROBES,
    signals::PROBES,
    storms::PROBES,
    patience::PROBES,
    kinds::PROBES,
    names::PROBES,
];

/// All of them.
pub(crate) fn probes() -> impl Iterator<Item = &'static Named> {
    THEMES.iter().copied().flatten()
}

/// Whom there is outside: LOOPS PERMITTED SLOW CLOSED FORBIDDEN,FORBIDDEN…
pub(crate) struct Targets {
    /// How often.
    pub(crate) loops: usize,
    /// Whom a rule permits.
    pub(crate) permitted: SocketAddr,
    /// The same, who never answers.
    pub(crate) slow: SocketAddr,
    /// The same, where nobody is.
    pub(crate) closed: SocketAddr,
    /// Whom none does.
    pub(crate) forbidden: Vec<SocketAddr>,
}

impl Targets {
    pub(crate) fn of(args: &Arguments) -> Result<Self> {
        let address = |text: &str| text.parse::<SocketAddr>().map_err(|_none| Errno(libc::EINVAL));
        let targets = Self {
            loops: args.number(0),
            permitted: address(args.text(1))?,
            slow: address(args.text(2))?,
            closed: address(args.text(3))?,
            forbidden: args.text(4).split(',').map(address).collect::<Result<_>>()?,
        };
        // Whoever listens from here on has to do with the attack.
        drop(targets.brokered(false));
        Ok(targets)
    }

    /// One of those who are forbidden, each in turn, as an IPv4 socket takes it.
    pub(crate) fn forbidden_v4(&self, turn: usize) -> Address {
        let v4: Vec<&SocketAddr> = self.forbidden.iter().filter(|address| address.is_ipv4()).collect();
        Address::of(*v4[turn % v4.len()])
    }

    /// The same as an IPv6 socket takes it.
    pub(crate) fn forbidden_v6(&self, turn: usize) -> Address {
        Address::of_v6(self.forbidden[turn % self.forbidden.len()])
    }

    /// The same for either.
    pub(crate) fn forbidden(&self, turn: usize, v6: bool) -> Address {
        if v6 { self.forbidden_v6(turn) } else { self.forbidden_v4(turn) }
    }

    /// A socket that is connected to whom a rule permits.
    pub(crate) fn brokered(&self, v6: bool) -> Result<OwnedFd> {
        let to = if v6 { Address::of_v6(self.permitted) } else { Address::of(self.permitted) };
        let mut tries = 0;
        loop {
            let socket = socket::tcp(v6)?;
            match socket::connect(&socket, &to) {
                Ok(_) => return Ok(socket),
                // What the connection before carried may not be known yet.
                Err(Errno(libc::EACCES)) if tries < 200 => tries += 1,
                Err(errno) => return Err(errno),
            }
            crate::child::nap(10);
        }
    }
}

/// What calls came to, counted.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<(&'static str, Option<i32>), u64>);

impl Counts {
    pub(crate) fn of<T>(&mut self, what: &'static str, result: Result<T>) -> Option<T> {
        let errno = result.as_ref().err().map(|errno| errno.0);
        *self.0.entry((what, errno)).or_default() += 1;
        result.ok()
    }

    /// How often `what` worked.
    pub(crate) fn worked(&self, what: &'static str) -> u64 {
        self.0.get(&(what, None)).copied().unwrap_or_default()
    }

    /// For effects that only the outside can see.
    pub(crate) fn outcome(self) -> Outcome {
        let told = self.0.iter().map(|((what, errno), count)| match errno {
            None => format!("{what}: done {count} times"),
            Some(errno) => format!("{what}: {} {count} times", Errno(*errno)),
        });
        Outcome::Blocked(format!("or not, judged outside: {}", told.collect::<Vec<_>>().join(", ")))
    }
}

/// Runs an attack with its targets.
pub(crate) fn attack(args: &Arguments, run: impl FnOnce(&Targets, &mut Counts) -> Result<()>) -> Outcome {
    let targets = match Targets::of(args) {
        Ok(targets) => targets,
        Err(errno) => return Outcome::Blocked(format!("bad arguments: {errno}")),
    };
    let mut counts = Counts::default();
    match run(&targets, &mut counts) {
        Ok(()) => counts.outcome(),
        Err(errno) => Outcome::Blocked(format!("it cannot be tried: {errno}; so far {counts:?}")),
    }
}
