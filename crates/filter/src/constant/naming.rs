//! The names of numbers: which constant a value of an argument is, and which flags a set of bits has.

use super::beginning;
use crate::arch::Arch;

/// Other names of constants that have a better known one.
const ALIASES: [&str; 34] = [
    "AF_FILE",
    "AF_LOCAL",
    "AF_ROUTE",
    "F_GETLK64",
    "F_SETLK64",
    "F_SETLKW64",
    "FUTEX_32",
    "FUTEX_FD",
    "MAP_ANON",
    "MAP_FILE",
    "MAP_HUGE_MASK",
    "MAP_SHARED_VALIDATE",
    "MAP_TYPE",
    "MS_ASYNC",
    "MS_INVALIDATE",
    "MS_SYNC",
    "O_ACCMODE",
    "O_FSYNC",
    "O_NDELAY",
    "O_RSYNC",
    "PER_MASK",
    "RLIMIT_OFILE",
    "SCHED_NORMAL",
    "SIGIOT",
    "SIGPOLL",
    "SIOCGSTAMPNS_OLD",
    "SIOCGSTAMP_OLD",
    "SIOCINQ",
    "SIOCOUTQ",
    "S_IFMT",
    "TIOCINQ",
    "WSTOPPED",
    "CSIGNAL",
    "FUTEX_CMD_MASK",
];

/// The constants whose names begin with one of `prefixes`, with their values on `arch`. A whole name is a prefix too, and
/// one behind a `-` takes its names away.
fn among(arch: Arch, prefixes: &[&str]) -> impl Iterator<Item = (&'static str, u64)> {
    let is_taken_away = |name: &str| prefixes.iter().filter_map(|p| p.strip_prefix('-')).any(|p| name.starts_with(p));
    let rows = prefixes.iter().flat_map(|prefix| beginning(prefix));
    rows.filter(move |row| !ALIASES.contains(&row.name) && !is_taken_away(row.name))
        .map(move |row| (row.name, row.values[arch.column()].cast_unsigned()))
}

/// The constant that `value` is, of those whose names begin with one of `prefixes`.
///
/// ```
/// use lazaret_filter::{Arch, constant};
///
/// assert_eq!(constant::name(Arch::X86_64, &["TC", "TIOC", "FIO"], 0x5401), Some("TCGETS"));
/// ```
#[must_use]
pub fn name(arch: Arch, prefixes: &[&str], value: u64) -> Option<&'static str> {
    among(arch, prefixes).find(|(_, known)| *known == value).map(|(name, _)| name)
}

/// The flags that `value` has, of the constants whose names begin with one of `prefixes`, largest first, and the bits
/// that have no name. Without a bit, the constant that is 0, if there is one.
///
/// ```
/// use lazaret_filter::{Arch, constant};
///
/// assert_eq!(constant::flags(Arch::X86_64, &["PROT_"], 5), (vec!["PROT_EXEC", "PROT_READ"], 0));
/// assert_eq!(constant::flags(Arch::X86_64, &["PROT_"], 0), (vec!["PROT_NONE"], 0));
/// ```
#[must_use]
pub fn flags(arch: Arch, prefixes: &[&str], value: u64) -> (Vec<&'static str>, u64) {
    let mut known: Vec<_> = among(arch, prefixes).collect();
    if value == 0 {
        return (known.iter().find(|(_, bits)| *bits == 0).map(|(name, _)| *name).into_iter().collect(), 0);
    }
    // Those of several bits first, so that they are not taken apart.
    known.sort_by_key(|(name, bits)| (std::cmp::Reverse(bits.count_ones()), std::cmp::Reverse(*bits), *name));
    let mut left = value;
    let mut found = Vec::new();
    for (name, bits) in known {
        if bits != 0 && left & bits == bits {
            left &= !bits;
            found.push((name, bits));
        }
    }
    found.sort_by_key(|(_, bits)| std::cmp::Reverse(*bits));
    (found.into_iter().map(|(name, _)| name).collect(), left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_a_constant_that_is_not_said() {
        for alias in ALIASES {
            assert!(super::super::find(alias).is_some(), "{alias}");
        }
        assert_eq!(name(Arch::X86_64, &["AF_"], 1), Some("AF_UNIX"));
        assert_eq!(name(Arch::X86_64, &["AF_"], 16), Some("AF_NETLINK"));
    }

    #[test]
    fn flags_of_several_bits_are_not_taken_apart() {
        assert_eq!(flags(Arch::X86_64, &["O_"], 0x41_0002), (vec!["O_TMPFILE", "O_RDWR"], 0));
        assert_eq!(flags(Arch::X86_64, &["O_"], 0x10_1001), (vec!["O_SYNC", "O_WRONLY"], 0));
        assert_eq!(flags(Arch::Aarch64, &["O_"], 0x4000), (vec!["O_DIRECTORY"], 0));
    }

    #[test]
    fn bits_without_a_name_are_left() {
        assert_eq!(flags(Arch::X86_64, &["PROT_"], 0x11), (vec!["PROT_READ"], 0x10));
    }

    #[test]
    fn names_can_be_taken_away() {
        assert_eq!(name(Arch::X86_64, &["PR_", "-PR_CAP_", "-PR_SET_MM_", "-PR_MCE_"], 1), Some("PR_SET_PDEATHSIG"));
    }

    #[test]
    fn a_negative_constant_is_found_in_all_64_bits() {
        assert_eq!(name(Arch::X86_64, &["AT_FDCWD"], (-100_i64).cast_unsigned()), Some("AT_FDCWD"));
    }
}
