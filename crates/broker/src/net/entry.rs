//! What the filter of a job with a network does beside what its policy says.

use super::answer::int;
use super::options::{self, Options};
use lazaret_filter::Action;

/// The calls which are put to the supervisor whatever their arguments are: those that it makes for the job, and those that it
/// only hears of.
const ALWAYS: [&str; 5] = ["bind", "connect", "epoll_create", "epoll_create1", "listen"];
/// That of `SO_LINGER`, which it makes too.
const LINGER: &str = "setsockopt(level == 1, name == 13)";

/// Rules that name the calls which are put to the supervisor.
pub fn told() -> impl Iterator<Item = &'static str> {
    ALWAYS.into_iter().chain([LINGER]).chain(options::TOLD)
}

/// Whether the call of that name with these arguments is one of those that are [`told`] of.
pub fn takes(call: &str, args: &[u64; 6]) -> bool {
    match call {
        "setsockopt" => {
            let (level, name) = (int(args, 1), int(args, 2));
            (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER) || Options::is_told(level, name)
        }
        _ => ALWAYS.contains(&call),
    }
}

const EPERM: u16 = 1;
const ENOPROTOOPT: u16 = 92;
const EPROTONOSUPPORT: u16 = 93;
const EOPNOTSUPP: u16 = 95;
const EAFNOSUPPORT: u16 = 97;

/// Rules behind those of every policy with a network, so that none prevails over them. They look at registers alone.
///
/// Sending that connects (tcp(7), `MSG_FASTOPEN`, and the options that make connect(2) or write(2) send at once) would reach
/// an address that nobody looked at. Source routes (ip(7), `IP_OPTIONS`; ipv6(7), routing and other extension headers) send
/// packets elsewhere than to where the socket is connected; a multicast group that is joined has this host tell its network so;
/// binding to an interface chooses another way there. A replaced
/// protocol (`TCP_ULP`) is another object. The interfaces and addresses of a socket from outside (netdevice(7)) are this
/// host's. Of sockets there are Unix ones, TCP, UDP, ICMP and netlink: others may be of no network namespace, or wait without
/// being told to.
pub const RULES: &[(&str, Action)] = &[
    ("sendto(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("sendmsg(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("sendmmsg(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("setsockopt(level == 6, name in [19, 23, 30, 31, 33, 34])", Action::Refuse(ENOPROTOOPT)),
    ("setsockopt(level == 0, name in [4, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48])", Action::Refuse(ENOPROTOOPT)),
    (
        "setsockopt(level == 41, name in [5, 6, 20, 21, 27, 28, 42, 43, 44, 45, 46, 47, 48, 54, 55, 57, 59])",
        Action::Refuse(ENOPROTOOPT),
    ),
    ("setsockopt(level == 1, name in [25, 62])", Action::Refuse(EPERM)),
    ("ioctl(request >= 0x890b, request <= 0x894a)", Action::Refuse(EPERM)),
    ("ioctl(request >= 0x894c, request <= 0x89ff)", Action::Refuse(EPERM)),
    ("ioctl(request >= 0x8b00, request <= 0x8bff)", Action::Refuse(EPERM)),
    ("socket(domain in [2, 10], protocol >= 2, protocol <= 5)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain in [2, 10], protocol >= 7, protocol <= 16)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain in [2, 10], protocol >= 18, protocol <= 57)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain in [2, 10], protocol >= 59, protocol <= 135)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain in [2, 10], protocol >= 137, protocol <= 261)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain in [2, 10], protocol >= 263)", Action::Refuse(EPROTONOSUPPORT)),
    ("socket(domain >= 3, domain <= 9)", Action::Refuse(EAFNOSUPPORT)),
    ("socket(domain >= 11, domain <= 15)", Action::Refuse(EAFNOSUPPORT)),
    ("socket(domain >= 17)", Action::Refuse(EAFNOSUPPORT)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_filter::Rule;

    #[test]
    fn every_rule_can_be_parsed() {
        let bad: Vec<_> = RULES.iter().filter_map(|(rule, _)| Rule::parse(rule).err()).collect();

        assert!(bad.is_empty(), "{bad:?}");
    }
}
