//! What a job has set on its sockets, for those that take their place.
//!
//! Nobody can ask the kernel which options of a socket were set. What many programs set is asked for one by one; of the
//! rest the supervisor is told when it is set, and asks for what any of the job's sockets was ever given.

use super::socket::Facts;
use lazaret_sys::option;
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

const SOCKET: i32 = libc::SOL_SOCKET;
const TCP: i32 = libc::IPPROTO_TCP;
const IP: i32 = libc::IPPROTO_IP;
const IPV6: i32 = libc::IPPROTO_IPV6;

/// Options that are numbers, with what they are unless somebody sets them: the kernel's own default, for which the one of
/// this host, that its administrator may have set, stays. Source: socket(7), tcp(7), ip(7), ipv6(7).
type Number = (i32, i32, i32);

/// Those that many programs set.
const COMMON: [Number; 8] = [
    (SOCKET, libc::SO_KEEPALIVE, 0),
    (SOCKET, libc::SO_REUSEADDR, 0),
    (TCP, libc::TCP_NODELAY, 0),
    (TCP, libc::TCP_KEEPIDLE, 7200),
    (TCP, libc::TCP_KEEPINTVL, 75),
    (TCP, libc::TCP_KEEPCNT, 9),
    (TCP, libc::TCP_USER_TIMEOUT, 0),
    (IP, libc::IP_TOS, 0),
];
/// The same for sockets of IPv6.
const COMMON_OF_V6: [Number; 2] = [(IPV6, libc::IPV6_V6ONLY, 0), (IPV6, libc::IPV6_TCLASS, 0)];

/// Those that few do.
const RARE: [Number; 15] = [
    (SOCKET, libc::SO_OOBINLINE, 0),
    (SOCKET, libc::SO_RCVLOWAT, 1),
    (SOCKET, libc::SO_PRIORITY, 0),
    (SOCKET, libc::SO_TIMESTAMP, 0),
    (TCP, libc::TCP_CORK, 0),
    (TCP, libc::TCP_SYNCNT, 6),
    (TCP, libc::TCP_LINGER2, 60),
    (TCP, libc::TCP_NOTSENT_LOWAT, 0),
    (TCP, libc::TCP_MAXSEG, 536),
    (IP, libc::IP_RECVERR, 0),
    (IP, libc::IP_TTL, 64),
    (IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
    (IPV6, libc::IPV6_UNICAST_HOPS, 64),
    (IPV6, libc::IPV6_RECVERR, 0),
    (IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
];
/// Buffers, of which an option says what was set, and times, under the two names that each has: socket(7).
const BUFFERS: [i32; 2] = [libc::SO_SNDBUF, libc::SO_RCVBUF];
const TIMES: [(i32, i32); 2] = [(libc::SO_RCVTIMEO, 66), (libc::SO_SNDTIMEO, 67)];

/// `SO_BUF_LOCK`: which buffers somebody has set the size of. Linux 5.14.
const BUFFERS_SET: i32 = 72;
const SEND_BUFFER_SET: i32 = 1;
const RECEIVE_BUFFER_SET: i32 = 2;

/// Rules that name the calls by which what is rare is set.
pub(super) const TOLD: [&str; 4] = [
    "setsockopt(level == 0, name in [2, 10, 11])",
    "setsockopt(level == 1, name in [7, 8, 10, 12, 18, 20, 21, 29, 66, 67])",
    "setsockopt(level == 6, name in [2, 3, 7, 8, 25])",
    "setsockopt(level == 41, name in [16, 23, 25])",
];

/// What is rare, and was set by a job on any of its sockets: level and name.
#[derive(Debug, Default)]
pub(super) struct Options {
    set: BTreeSet<(i32, i32)>,
}

impl Options {
    /// Whether setting that option is what [`TOLD`] tells of.
    pub(super) fn is_told(level: i32, name: i32) -> bool {
        let of_socket = || BUFFERS.contains(&name) || TIMES.iter().any(|(old, new)| name == *old || name == *new);
        RARE.iter().any(|(of, known, _)| (*of, *known) == (level, name)) || level == SOCKET && of_socket()
    }

    /// The job is about to set it.
    pub(super) fn note(&mut self, level: i32, name: i32) {
        self.set.insert((level, name));
    }

    fn has(&self, level: i32, name: i32) -> bool {
        self.set.contains(&(level, name))
    }

    /// Sets on `new` what somebody has set on `old`. What cannot be set is as on a host that does not know it.
    pub(super) fn copy(&self, old: BorrowedFd<'_>, new: BorrowedFd<'_>, facts: &Facts) {
        let of_v6 = if facts.is_v6() { &COMMON_OF_V6[..] } else { &[] };
        let rare = RARE.iter().filter(|(level, name, _)| self.has(*level, *name));
        for (level, name, default) in COMMON.iter().chain(of_v6).chain(rare) {
            if let Ok(value) = option::number(old, *level, *name)
                && value != *default
            {
                drop(option::set_number(new, *level, *name, value));
            }
        }
        if BUFFERS.iter().any(|name| self.has(SOCKET, *name)) {
            copy_buffers(old, new);
        }
        if self.has(SOCKET, libc::SO_LINGER) {
            copy_bytes::<8>(old, new, libc::SO_LINGER);
        }
        for (name, newer) in TIMES {
            if self.has(SOCKET, name) || self.has(SOCKET, newer) {
                copy_bytes::<16>(old, new, name);
            }
        }
    }
}

fn copy_buffers(old: BorrowedFd<'_>, new: BorrowedFd<'_>) {
    let Ok(set) = option::number(old, SOCKET, BUFFERS_SET) else { return };
    for (bit, name) in [(SEND_BUFFER_SET, libc::SO_SNDBUF), (RECEIVE_BUFFER_SET, libc::SO_RCVBUF)] {
        if set & bit != 0
            && let Ok(size) = option::number(old, SOCKET, name)
        {
            // It reads as twice what was set: socket(7).
            drop(option::set_number(new, SOCKET, name, size / 2));
        }
    }
}

fn copy_bytes<const N: usize>(old: BorrowedFd<'_>, new: BorrowedFd<'_>, name: i32) {
    if let Ok(value) = option::bytes::<N>(old, SOCKET, name)
        && value != [0; N]
    {
        drop(option::set(new, SOCKET, name, &value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_filter::{Action, Arch, Call, Filter, Rule, table};

    #[test]
    fn a_filter_tells_of_what_is_rare_and_of_nothing_else() {
        let mut filter = Filter::new(Action::Allow);
        for rule in TOLD {
            filter.push(Rule::parse(rule).expect("a rule"), Action::Log);
        }
        let arch = Arch::native().expect("it is known");
        let nr = table::number(arch, "setsockopt").expect("it has a number");
        for level in 0..64_u8 {
            for name in 0..255_u8 {
                let args = [3, level.into(), name.into(), 0, 0, 0];
                let told = filter.decide(&Call { audit_arch: arch.audit(), nr, args }).action == Action::Log;

                assert_eq!(told, Options::is_told(level.into(), name.into()), "{level} {name}");
            }
        }
    }

    #[test]
    fn what_is_copied_is_common_or_told_of() {
        for (level, name, _) in RARE {
            assert!(Options::is_told(level, name));
        }
        for (level, name, _) in COMMON.iter().chain(&COMMON_OF_V6) {
            assert!(!Options::is_told(*level, *name));
        }
    }
}
