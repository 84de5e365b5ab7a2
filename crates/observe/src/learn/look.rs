//! Which arguments of a call are looked at, and how values are written in rules.

use lazaret_filter::{Arch, argument_name, constant};

/// The most values that make a condition. A call that is seen with more is allowed whatever the argument.
pub const MOST_VALUES: usize = 8;

/// What is looked at of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its low 32 bits, each value by itself.
    Value(u8, Names),
    /// Some of its bits, each combination by itself.
    Bits(u8, u64, Names),
    /// Whether any of these bits was ever set.
    Clear(u8, &'static str, u64),
    /// Whether it was ever other than 0.
    Zero(u8),
}

/// Which constants stand for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// None: a number.
    Number,
    /// The one of this prefix that is equal.
    Exact(&'static [&'static str]),
    /// Those of this prefix whose bits it has.
    Flags(&'static str),
    /// An option of a socket: of `SO_` where the level, the look before, is `SOL_SOCKET`.
    SocketOption,
}

use Look::{Bits, Clear, Value, Zero};
use Names::{Exact, Flags, Number, SocketOption};

const WRITING: &str = "O_WRONLY | O_RDWR | O_CREAT | O_TRUNC";
/// O_WRONLY, O_RDWR, O_CREAT and O_TRUNC, which both architectures share.
const WRITING_BITS: u64 = 0o1 | 0o2 | 0o100 | 0o1000;
/// CLONE_THREAD, and the bits that ask for new namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const CLONE_BITS: u64 =
    0x1_0000 | 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
const SOCKET: &[Look] = &[Value(0, Exact(&["AF_UNIX", "AF_"])), Bits(1, 0xf, Exact(&["SOCK_"])), Value(2, Number)];
const SOCKET_OPTION: &[Look] = &[Value(1, Exact(&["SOL_", "IPPROTO_"])), Value(2, SocketOption)];
const CLOCK: &[Look] = &[Value(0, Exact(&["CLOCK_"]))];
const FILE_TYPE: Names = Exact(&["S_IF"]);

/// The looks at each call, sorted by call. What is not here is allowed whatever its arguments: numbers of descriptors,
/// sizes and addresses say nothing of what a program may do, and `futex` operations are many and alike.
const LOOKS: &[(&str, &[Look])] = &[
    ("arch_prctl", &[Value(0, Exact(&["ARCH_"]))]),
    ("bpf", &[Value(0, Exact(&["BPF_"]))]),
    ("clock_adjtime", CLOCK),
    ("clock_getres", CLOCK),
    ("clock_gettime", CLOCK),
    ("clock_nanosleep", CLOCK),
    ("clone", &[Bits(0, CLONE_BITS, Flags("CLONE_"))]),
    ("close_range", &[Value(2, Flags("CLOSE_RANGE_"))]),
    ("fadvise64", &[Value(3, Number)]),
    ("fallocate", &[Value(1, Number)]),
    ("fcntl", &[Value(1, Exact(&["F_"]))]),
    ("getitimer", &[Value(0, Number)]),
    ("getpriority", &[Value(0, Exact(&["PRIO_"]))]),
    ("getrandom", &[Value(2, Flags("GRND_"))]),
    ("getrlimit", &[Value(0, Exact(&["RLIMIT_"]))]),
    ("getrusage", &[Value(0, Exact(&["RUSAGE_"]))]),
    ("getsockopt", SOCKET_OPTION),
    ("ioctl", &[Value(1, Exact(&["TC", "TIO", "FIO", "FI", "FS_", "SIOC"]))]),
    ("keyctl", &[Value(0, Exact(&["KEYCTL_"]))]),
    ("kill", &[Value(1, Exact(&["SIG"]))]),
    ("madvise", &[Value(2, Exact(&["MADV_"]))]),
    ("membarrier", &[Value(0, Exact(&["MEMBARRIER_"]))]),
    ("memfd_create", &[Value(1, Flags("MFD_"))]),
    ("mknod", &[Bits(1, 0o170_000, FILE_TYPE)]),
    ("mknodat", &[Bits(2, 0o170_000, FILE_TYPE)]),
    ("mlockall", &[Value(0, Flags("MCL_"))]),
    ("mmap", &[Value(2, Flags("PROT_")), Value(3, Flags("MAP_"))]),
    ("mprotect", &[Value(2, Flags("PROT_"))]),
    ("msgctl", &[Value(1, Number)]),
    ("newfstatat", &[Bits(3, 0x1000, Flags("AT_EMPTY_PATH"))]),
    ("open", &[Clear(1, WRITING, WRITING_BITS)]),
    ("openat", &[Clear(2, WRITING, WRITING_BITS)]),
    ("personality", &[Value(0, Number)]),
    ("pkey_mprotect", &[Value(2, Flags("PROT_"))]),
    ("prctl", &[Value(0, Exact(&["PR_"]))]),
    ("prlimit64", &[Zero(0), Value(1, Exact(&["RLIMIT_"])), Zero(2)]),
    ("ptrace", &[Value(0, Exact(&["PTRACE_"]))]),
    ("renameat2", &[Value(4, Flags("RENAME_"))]),
    ("sched_setscheduler", &[Value(1, Exact(&["SCHED_"]))]),
    ("seccomp", &[Value(0, Number)]),
    ("semctl", &[Value(2, Number)]),
    ("setitimer", &[Value(0, Number)]),
    ("setns", &[Value(1, Flags("CLONE_"))]),
    ("setpriority", &[Value(0, Exact(&["PRIO_"]))]),
    ("setrlimit", &[Value(0, Exact(&["RLIMIT_"]))]),
    ("setsockopt", SOCKET_OPTION),
    ("shmctl", &[Value(1, Number)]),
    ("socket", SOCKET),
    ("socketpair", SOCKET),
    ("tgkill", &[Value(2, Exact(&["SIG"]))]),
    ("timer_create", CLOCK),
    ("timerfd_create", CLOCK),
    ("tkill", &[Value(1, Exact(&["SIG"]))]),
    ("unshare", &[Value(0, Flags("CLONE_"))]),
];

/// The looks at the call named `call`.
pub(crate) fn looks(call: &str) -> &'static [Look] {
    LOOKS.binary_search_by(|(name, _)| (*name).cmp(call)).map_or(&[], |at| LOOKS[at].1)
}

/// Every call whose arguments are looked at, with the names of those arguments.
pub fn table() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    LOOKS.iter().map(|(call, looks)| (*call, looks.iter().map(|look| look.argument(call)).collect()))
}

impl Look {
    fn index(self) -> u8 {
        match self {
            Value(index, _) | Bits(index, ..) | Clear(index, ..) | Zero(index) => index,
        }
    }

    /// What is seen in the registers of a call.
    pub(crate) fn at(self, args: &[u64; 6]) -> u64 {
        let register = args[usize::from(self.index())];
        match self {
            Value(..) => register & u64::from(u32::MAX),
            Bits(_, mask, _) => register & mask,
            Clear(_, _, mask) => u64::from(register & mask != 0),
            Zero(_) => u64::from(register != 0),
        }
    }

    /// The argument's name in rules of `call`.
    pub(crate) fn argument(self, call: &str) -> &'static str {
        const POSITIONS: [&str; 6] = ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"];
        argument_name(call, self.index()).unwrap_or(POSITIONS[usize::from(self.index())])
    }

    /// Whether several values can stand in one condition.
    pub(crate) fn is_listable(self) -> bool {
        matches!(self, Value(..))
    }

    /// Whether values so various that they say nothing: the bits were set once, or are both ways.
    pub(crate) fn says_nothing(self, values: &[&str]) -> bool {
        match self {
            Value(..) => false,
            Bits(_, mask, _) => mask.is_power_of_two() && values.len() > 1,
            Clear(..) | Zero(_) => values.contains(&"1"),
        }
    }

    /// The condition that lets `values` through, of which there is more than one only where [`Look::is_listable`].
    pub(crate) fn condition(self, call: &str, values: &[&str]) -> String {
        let argument = self.argument(call);
        match (self, values) {
            (Value(..), [one]) => format!("{argument} == {one}"),
            (Value(..), many) => format!("{argument} in [{}]", many.join(", ")),
            (Bits(_, mask, names), values) => {
                let value = values.first().copied().unwrap_or("0");
                format!("{argument} & {} == {value}", mask_text(mask, names))
            }
            (Clear(_, text, _), _) => format!("{argument} & {text} == 0"),
            (Zero(_), _) => format!("{argument} == 0"),
        }
    }

    /// `value` as rules write it. `before` is what the looks before this one saw.
    pub(crate) fn text(self, arch: Arch, value: u64, before: &[u64]) -> String {
        match self {
            Value(_, names) | Bits(_, _, names) => names.text(arch, value, before),
            Clear(..) | Zero(_) => value.to_string(),
        }
    }
}

fn mask_text(mask: u64, names: Names) -> String {
    match names {
        // Both architectures agree on the flags that are looked at by their bits.
        Flags(prefix) => flags(Arch::X86_64, mask, prefix),
        _ => format!("{mask:#x}"),
    }
}

impl Names {
    fn text(self, arch: Arch, value: u64, before: &[u64]) -> String {
        const SOL_SOCKET: u64 = 1;
        match self {
            Number => number(value),
            Exact(prefixes) => exact(arch, value, prefixes),
            SocketOption if before.last() == Some(&SOL_SOCKET) => exact(arch, value, &["SO_"]),
            SocketOption => number(value),
            Flags(prefix) => flags(arch, value, prefix),
        }
    }
}

fn number(value: u64) -> String {
    if value < 0x100 { value.to_string() } else { format!("{value:#x}") }
}

/// Of several names for one value those of the first prefix count.
fn exact(arch: Arch, value: u64, prefixes: &[&str]) -> String {
    let found = prefixes.iter().find_map(|prefix| constant::name(arch, &[prefix], value));
    found.map_or_else(|| number(value), str::to_owned)
}

fn flags(arch: Arch, value: u64, prefix: &str) -> String {
    let (names, rest) = constant::flags(arch, &[prefix], value);
    let rest = (rest != 0 || names.is_empty()).then(|| number(rest));
    let parts: Vec<String> = names.into_iter().rev().map(str::to_owned).chain(rest).collect();
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_filter::{Rule, table as calls};

    #[test]
    fn every_look_is_at_a_known_call_and_argument_and_the_table_is_sorted() {
        assert!(LOOKS.is_sorted_by(|a, b| a.0 < b.0));
        for (call, looks) in LOOKS {
            assert!(Arch::ALL.iter().any(|arch| calls::number(*arch, call).is_some()), "{call}");
            for look in *looks {
                let text = look.text(Arch::X86_64, look.at(&[1; 6]), &[]);
                let rule = format!("{call}({})", look.condition(call, &[&text]));
                assert!(Rule::parse(&rule).is_ok(), "{rule}");
            }
        }
    }

    #[test]
    fn values_are_written_as_the_constants_that_rules_know() {
        let text = |call: &str, look: usize, value| looks(call)[look].text(Arch::X86_64, value, &[]);

        assert_eq!(text("ioctl", 0, 0x5401), "TCGETS");
        assert_eq!(text("ioctl", 0, 0x1234_5678), "0x12345678");
        assert_eq!(text("mmap", 0, 3), "PROT_READ | PROT_WRITE");
        assert_eq!(text("mmap", 0, 0), "PROT_NONE");
        assert_eq!(text("mmap", 1, 0x22), "MAP_PRIVATE | MAP_ANONYMOUS");
        assert_eq!(text("socket", 0, 1), "AF_UNIX");
        assert_eq!(text("clone", 0, 0x1_0000), "CLONE_THREAD");
    }

    #[test]
    fn an_option_of_a_socket_has_a_name_where_its_level_is_known() {
        let [level, option] = looks("setsockopt") else { panic!("two arguments are looked at") };

        assert_eq!(level.text(Arch::X86_64, 1, &[]), "SOL_SOCKET");
        assert_eq!(option.text(Arch::X86_64, 2, &[1]), "SO_REUSEADDR");
        assert_eq!(option.text(Arch::X86_64, 2, &[6]), "2");
    }

    #[test]
    fn opening_for_writing_is_one_thing_whatever_the_flags() {
        let [look] = looks("openat") else { panic!("one argument is looked at") };

        assert_eq!(look.at(&[0, 0, 0o2_000_000, 0, 0, 0]), 0);
        assert_eq!(look.at(&[0, 0, 0o101, 0, 0, 0]), 1);
    }
}
