//! What the filter of a job with a network does beside what its policy says.

use lazaret_filter::Action;

/// The calls that are made for the job, and those that are only heard of.
pub const CALLS: [&str; 5] = ["bind", "connect", "epoll_create", "epoll_create1", "listen"];

const EPERM: u16 = 1;
const ENOPROTOOPT: u16 = 92;
const EOPNOTSUPP: u16 = 95;

/// Rules behind those of every policy with a network, so that none prevails over them. They look at registers alone.
///
/// Sending that connects (tcp(7), `MSG_FASTOPEN`, and the options that make connect(2) or write(2) send at once) would reach
/// an address that nobody looked at. Source routes (ip(7), `IP_OPTIONS`; ipv6(7), routing and other extension headers) send
/// packets elsewhere than to where the socket is connected; binding to an interface chooses another way there. A replaced
/// protocol (`TCP_ULP`) is another object. The interfaces and addresses of a socket from outside (netdevice(7)) are this
/// host's. Rings (io_uring(7)) make calls past every filter. Who is asked for a page of a job's memory and does not answer
/// (userfaultfd(2)) holds the supervisor up.
pub const RULES: &[(&str, Action)] = &[
    ("sendto(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("sendmsg(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("sendmmsg(flags & 0x20000000 == 0x20000000)", Action::Refuse(EOPNOTSUPP)),
    ("setsockopt(level == 6, name in [19, 23, 30, 31, 33, 34])", Action::Refuse(ENOPROTOOPT)),
    ("setsockopt(level == 0, name == 4)", Action::Refuse(ENOPROTOOPT)),
    ("setsockopt(level == 41, name in [5, 6, 54, 55, 57, 59])", Action::Refuse(ENOPROTOOPT)),
    ("setsockopt(level == 1, name in [25, 62])", Action::Refuse(EPERM)),
    ("ioctl(request >= 0x890b, request <= 0x894a)", Action::Refuse(EPERM)),
    ("ioctl(request >= 0x894c, request <= 0x89ff)", Action::Refuse(EPERM)),
    ("io_uring_setup", Action::Refuse(EPERM)),
    ("io_uring_enter", Action::Refuse(EPERM)),
    ("io_uring_register", Action::Refuse(EPERM)),
    ("userfaultfd", Action::Refuse(EPERM)),
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
