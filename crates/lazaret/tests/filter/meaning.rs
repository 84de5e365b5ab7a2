//! What a policy means, written as simply as the documentation says it, and not as the crates under test do it.

use lazaret_filter::groups;

/// The actions of the language by name, in the order in which the lists of one policy apply.
pub(crate) const ACTIONS: [&str; 6] = ["allow", "log", "trap", "kill", "refuse", "silent"];

/// A policy as its author thinks of it: layers, of which each extends the one before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) layers: Vec<Layer>,
}

/// One text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) default: Option<&'static str>,
    /// Pairs of action and rule, as they stand in the text.
    pub(crate) rules: Vec<(&'static str, String)>,
    /// What `[remove]` takes out of the base: an action's list, and a rule of it, or `*`.
    pub(crate) removals: Vec<(&'static str, String)>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The action of that name in the language.
    Action(&'static str),
    /// The errno of something that no policy can change, and whether it is recorded.
    Fixed { errno: i32, recorded: bool },
}

/// One call as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) foreign: bool,
    pub(crate) nr: u32,
    /// Its name, if the number has one on this architecture.
    pub(crate) name: Option<&'static str>,
    pub(crate) args: [u64; 6],
}

impl Policy {
    /// All rules in their order: those of the base first, without what is removed, and without those that a later layer
    /// says again; within a layer by action.
    pub(crate) fn rules(&self) -> Vec<(&'static str, String)> {
        let mut all: Vec<(&'static str, String)> = Vec::new();
        for layer in &self.layers {
            for (action, what) in &layer.removals {
                all.retain(|(of, rule)| of != action || (what != "*" && what != rule));
            }
            all.retain(|rule| !layer.rules.contains(rule));
            for action in ACTIONS {
                all.extend(layer.rules.iter().filter(|(of, _)| *of == action).cloned());
            }
        }
        all
    }

    pub(crate) fn default_action(&self) -> &'static str {
        self.layers.iter().rev().find_map(|layer| layer.default).expect("the first layer has one")
    }

    /// What becomes of a call.
    pub(crate) fn fate(&self, made: &Made) -> Fate {
        const X32: u32 = 0x4000_0000;
        let Some(name) = made.name.filter(|_| !made.foreign && made.nr & X32 == 0) else {
            return Fate::Fixed { errno: libc::ENOSYS, recorded: true };
        };
        if let Some(fixed) = fixed(name, &made.args) {
            return fixed;
        }
        let mut fate = if name == "clone3" {
            Fate::Fixed { errno: libc::ENOSYS, recorded: false }
        } else {
            Fate::Action(self.default_action())
        };
        for (action, rule) in self.rules() {
            if matches(&rule, name, &made.args, permits(action)) {
                fate = Fate::Action(action);
            }
        }
        match fate {
            Fate::Action(action) if name.starts_with("io_uring_") && permits(action) => {
                Fate::Fixed { errno: libc::EPERM, recorded: true }
            }
            fate => fate,
        }
    }
}

/// What holds whatever a policy says: docs/policy.md.
fn fixed(name: &str, args: &[u64; 6]) -> Option<Fate> {
    let low = |at: usize| args[at] & 0xffff_ffff;
    let refused = |errno| Some(Fate::Fixed { errno, recorded: true });
    match name {
        "socket" if low(0) == 40 => refused(libc::EAFNOSUPPORT),
        "setpriority" if low(0) == 2 || low(0) == 0 && low(1) == 1 => refused(libc::EPERM),
        "ioprio_set" if low(0) == 3 || low(0) == 1 && low(1) == 1 => refused(libc::EPERM),
        "prlimit64" | "sched_setscheduler" | "sched_setparam" | "sched_setattr" | "sched_setaffinity"
            if low(0) == 1 =>
        {
            refused(libc::EPERM)
        }
        "prlimit64" if low(1) == 4 && args[2] != 0 => Some(Fate::Fixed { errno: 0, recorded: false }),
        "setrlimit" if low(0) == 4 => Some(Fate::Fixed { errno: 0, recorded: false }),
        _ => None,
    }
}

pub(crate) fn permits(action: &str) -> bool {
    action == "allow" || action == "log"
}

/// Whether a rule is about this call.
fn matches(rule: &str, name: &str, args: &[u64; 6], permits: bool) -> bool {
    if let Some(group) = groups::find(rule) {
        // No group speaks of clone3.
        return name != "clone3" && group.rules().any(|member| matches(&member, name, args, permits));
    }
    let (call, conditions) = rule.split_once('(').unwrap_or((rule, ")"));
    call == name
        && split(conditions.trim_end_matches(')')).iter().all(|condition| holds(condition, name, args, permits))
}

/// Conditions, between which there are commas, as there are within brackets.
fn split(conditions: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in conditions.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(letter);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// How much of an argument the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Half,
    All,
    Unknown,
}

fn holds(condition: &str, name: &str, args: &[u64; 6], permits: bool) -> bool {
    let end =
        condition.find(|letter: char| !letter.is_alphanumeric() && letter != '_').expect("an argument and a test");
    let (argument, test) = condition.split_at(end);
    let (index, reads) = argument_of(name, argument);
    let with = |mask: u64| truth(test.trim(), args[index], mask);
    match reads {
        Reads::Half => with(0xffff_ffff),
        Reads::All => with(u64::MAX),
        // A value that needs 64 bits says that the argument has them.
        Reads::Unknown if needs_all(test) => with(u64::MAX),
        Reads::Unknown if permits => with(0xffff_ffff) && with(u64::MAX),
        Reads::Unknown => with(0xffff_ffff) || with(u64::MAX),
    }
}

/// Whether the test holds for the bits of `register` in `seen`.
fn truth(test: &str, register: u64, seen: u64) -> bool {
    let register = register & seen;
    if let Some(list) = test.strip_prefix("in") {
        let list = list.trim().trim_start_matches('[').trim_end_matches(']');
        return list.split(',').any(|value| register == number(value) & seen);
    }
    if let Some(masked) = test.strip_prefix('&') {
        let (mask, equal, value) = match masked.split_once("==") {
            Some((mask, value)) => (mask, true, value),
            None => masked.split_once("!=").map(|(mask, value)| (mask, false, value)).expect("a mask is compared"),
        };
        return (register & number(mask) & seen == number(value) & seen) == equal;
    }
    for (symbol, compare) in COMPARISONS {
        if let Some(value) = test.strip_prefix(symbol) {
            return compare(&register, &(number(value) & seen));
        }
    }
    panic!("what does `{test}` mean?")
}

type Compare = fn(&u64, &u64) -> bool;

/// The longer first.
const COMPARISONS: [(&str, Compare); 6] =
    [("==", u64::eq), ("!=", u64::ne), ("<=", u64::le), (">=", u64::ge), ("<", u64::lt), (">", u64::gt)];

fn needs_all(test: &str) -> bool {
    let is_order = test.trim_start().starts_with(['<', '>']);
    let values = test.split(['[', ']', ',', '&', '=', '!', '<', '>']).map(str::trim);
    let values = values.filter(|value| !value.is_empty() && *value != "in");
    values.map(number).any(|value| value > 0xffff_ffff && (is_order || value < 0xffff_ffff_8000_0000))
}

/// A number, a negative number, or names and numbers joined by `|`.
fn number(text: &str) -> u64 {
    text.split('|').map(str::trim).fold(0, |bits, term| {
        bits | match (term.strip_prefix("0x"), term.parse::<i128>()) {
            (Some(digits), _) => u64::from_str_radix(digits, 16).expect("hexadecimal digits"),
            (None, Ok(number)) => u64::try_from(number & i128::from(u64::MAX)).expect("64 bits"),
            (None, Err(_)) => constant(term),
        }
    })
}

/// The constants that occur, by the C library.
fn constant(name: &str) -> u64 {
    let value: i64 = match name {
        "ARCH_SET_FS" => 0x1002,
        "ARCH_GET_FS" => 0x1003,
        "ARCH_GET_XCOMP_SUPP" => 0x1021,
        "ARCH_GET_XCOMP_PERM" => 0x1022,
        "ARCH_SHSTK_ENABLE" => 0x5001,
        "ARCH_SHSTK_STATUS" => 0x5005,
        "AT_FDCWD" => libc::AT_FDCWD.into(),
        "AF_UNIX" => libc::AF_UNIX.into(),
        "AF_INET" => libc::AF_INET.into(),
        "AF_INET6" => libc::AF_INET6.into(),
        "AF_NETLINK" => libc::AF_NETLINK.into(),
        "NETLINK_ROUTE" => libc::NETLINK_ROUTE.into(),
        "SOCK_STREAM" => libc::SOCK_STREAM.into(),
        "SOCK_DGRAM" => libc::SOCK_DGRAM.into(),
        "CLONE_NEWNS" => libc::CLONE_NEWNS.into(),
        "CLONE_NEWCGROUP" => libc::CLONE_NEWCGROUP.into(),
        "CLONE_NEWUTS" => libc::CLONE_NEWUTS.into(),
        "CLONE_NEWIPC" => libc::CLONE_NEWIPC.into(),
        "CLONE_NEWUSER" => libc::CLONE_NEWUSER.into(),
        "CLONE_NEWPID" => libc::CLONE_NEWPID.into(),
        "CLONE_NEWNET" => libc::CLONE_NEWNET.into(),
        "CLONE_THREAD" => libc::CLONE_THREAD.into(),
        "CLOSE_RANGE_UNSHARE" => 2,
        "O_WRONLY" => libc::O_WRONLY.into(),
        "O_RDWR" => libc::O_RDWR.into(),
        "O_CREAT" => libc::O_CREAT.into(),
        "O_TRUNC" => libc::O_TRUNC.into(),
        "O_DIRECTORY" => libc::O_DIRECTORY.into(),
        "O_NOFOLLOW" => libc::O_NOFOLLOW.into(),
        "S_IFMT" => libc::S_IFMT.into(),
        "S_IFIFO" => libc::S_IFIFO.into(),
        "S_IFREG" => libc::S_IFREG.into(),
        "S_IFSOCK" => libc::S_IFSOCK.into(),
        "SCHED_OTHER" => libc::SCHED_OTHER.into(),
        "SCHED_BATCH" => libc::SCHED_BATCH.into(),
        "SCHED_IDLE" => libc::SCHED_IDLE.into(),
        "PER_LINUX" => 0,
        "PR_SET_CHILD_SUBREAPER" => libc::PR_SET_CHILD_SUBREAPER.into(),
        "PR_GET_CHILD_SUBREAPER" => libc::PR_GET_CHILD_SUBREAPER.into(),
        "PR_GET_PDEATHSIG" => libc::PR_GET_PDEATHSIG.into(),
        "PR_SET_PDEATHSIG" => libc::PR_SET_PDEATHSIG.into(),
        "PR_SET_NO_NEW_PRIVS" => libc::PR_SET_NO_NEW_PRIVS.into(),
        "PR_GET_NO_NEW_PRIVS" => libc::PR_GET_NO_NEW_PRIVS.into(),
        "PR_SET_NAME" => libc::PR_SET_NAME.into(),
        "PR_GET_NAME" => libc::PR_GET_NAME.into(),
        "PR_SET_VMA" => 0x5356_4d41,
        "PR_GET_DUMPABLE" => libc::PR_GET_DUMPABLE.into(),
        "PR_SET_DUMPABLE" => libc::PR_SET_DUMPABLE.into(),
        "PR_CAPBSET_READ" => libc::PR_CAPBSET_READ.into(),
        "PR_CAPBSET_DROP" => libc::PR_CAPBSET_DROP.into(),
        "PR_SET_SECCOMP" => libc::PR_SET_SECCOMP.into(),
        "PR_GET_SECCOMP" => libc::PR_GET_SECCOMP.into(),
        "TCGETS" => 0x5401,
        "TCSETS" => 0x5402,
        "TCSETSW" => 0x5403,
        "TCSETSF" => 0x5404,
        "TCSBRK" => 0x5409,
        "TCXONC" => 0x540a,
        "TCFLSH" => 0x540b,
        "TIOCGPGRP" => 0x540f,
        "TIOCSPGRP" => 0x5410,
        "TIOCOUTQ" => 0x5411,
        "TIOCSTI" => 0x5412,
        "TIOCGWINSZ" => 0x5413,
        "TIOCSWINSZ" => 0x5414,
        "FIONREAD" => 0x541b,
        "FIONBIO" => 0x5421,
        "TIOCGSID" => 0x5429,
        "TCGETS2" => 0x802c_542a,
        "TCSETS2" => 0x402c_542b,
        "TCSETSW2" => 0x402c_542c,
        "TCSETSF2" => 0x402c_542d,
        "TIOCGPTN" => 0x8004_5430,
        "TIOCSPTLCK" => 0x4004_5431,
        "TIOCGPTPEER" => 0x5441,
        "FIONCLEX" => 0x5450,
        "FIOCLEX" => 0x5451,
        "FIOASYNC" => 0x5452,
        "SIOCATMARK" => 0x8905,
        "SIOCGIFNAME" => 0x8910,
        "SIOCGIFCONF" => 0x8912,
        "SIOCGIFFLAGS" => 0x8913,
        "SIOCGIFADDR" => 0x8915,
        "SIOCGIFMTU" => 0x8921,
        "SIOCGIFINDEX" => 0x8933,
        _ => panic!("what is `{name}`?"),
    };
    value.cast_unsigned()
}

/// The position of an argument, and what the kernel reads of it, by the manual pages and the kernel's declarations.
fn argument_of(call: &str, name: &str) -> (usize, Reads) {
    use Reads::{All, Half, Unknown};
    let known: &[(&str, Reads)] = match call {
        "arch_prctl" => &[("code", Half), ("address", All)],
        "clone" => &[("flags", Half), ("stack", All), ("parent_tid", All)],
        "close_range" => &[("first", Half), ("last", Half), ("flags", Half)],
        "fcntl" => &[("fd", Half), ("cmd", Half), ("arg", Unknown)],
        "flock" => &[("fd", Half), ("operation", Half)],
        "getpriority" => &[("which", Half), ("who", Half)],
        "ioctl" => &[("fd", Half), ("request", Half), ("arg", Unknown)],
        "lseek" => &[("fd", Half), ("offset", All), ("whence", Half)],
        "madvise" => &[("address", All), ("length", All), ("advice", Half)],
        "mknod" => &[("path", All), ("mode", Half), ("dev", Half)],
        "mknodat" => &[("dirfd", Half), ("path", All), ("mode", Half), ("dev", Half)],
        "open" => &[("path", All), ("flags", Half), ("mode", Half)],
        "openat" => &[("dirfd", Half), ("path", All), ("flags", Half), ("mode", Half)],
        "personality" => &[("persona", Half)],
        "prctl" => {
            &[("option", Half), ("second", Unknown), ("third", Unknown), ("fourth", Unknown), ("fifth", Unknown)]
        }
        "prlimit64" => &[("pid", Half), ("resource", Half), ("new", All), ("old", All)],
        "pwrite64" => &[("fd", Half), ("buffer", All), ("count", All), ("offset", All)],
        "sched_get_priority_max" => &[("policy", Half)],
        "sched_setscheduler" => &[("pid", Half), ("policy", Half), ("param", All)],
        "setpriority" => &[("which", Half), ("who", Half), ("priority", Half)],
        "socket" => &[("domain", Half), ("type", Half), ("protocol", Half)],
        "socketpair" => &[("domain", Half), ("type", Half), ("protocol", Half), ("fds", All)],
        _ => &[],
    };
    if let Some(index) = name.strip_prefix("arg").and_then(|digit| digit.parse::<usize>().ok()) {
        return (index, known.get(index).map_or(Unknown, |(_, reads)| *reads));
    }
    let index =
        known.iter().position(|(known, _)| *known == name).unwrap_or_else(|| panic!("what is {call}'s {name}?"));
    (index, known[index].1)
}
