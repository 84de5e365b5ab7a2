//! Since which kernel and which C library a call exists.

mod rows;

use lazaret_filter::{Arch, table};

/// Before Linux 2.6, which is before every kernel that Lazaret runs on.
const BEFORE: &str = "before 2.6";
/// The number is taken, and no released kernel has a call behind it.
const NEVER: &str = "never";
/// As long as there has been a glibc for the architecture.
const ALWAYS: &str = "always";
/// Programs use syscall(2), or another library.
const NONE: &str = "no wrapper";

/// The first Linux and the first glibc for 64-bit ARM. Source: NEWS of glibc 2.17, `arch/arm64` of Linux 3.7.
const AARCH64: (&str, &str) = ("3.7", "2.17");

/// What an architecture got later than others.
const LATER: [(Arch, &str, &str); 2] =
    [(Arch::Aarch64, "kexec_file_load", "5.0"), (Arch::Aarch64, "map_shadow_stack", "6.13")];

/// Since when a call exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    /// A version of Linux, or [`BEFORE`] or [`NEVER`].
    pub(crate) kernel: &'static str,
    /// A version of glibc, or [`ALWAYS`] or [`NONE`].
    pub(crate) libc: &'static str,
}

/// Since when the call `name` exists on `arch`; `None` where that architecture has no such call.
pub(crate) fn since(arch: Arch, name: &str) -> Option<Since> {
    table::number(arch, name)?;
    let at = rows::ROWS.binary_search_by(|(call, ..)| (*call).cmp(name)).ok()?;
    let (_, kernel, libc) = rows::ROWS[at];
    let later = LATER.iter().find(|(on, call, _)| *on == arch && *call == name);
    let kernel = later.map_or(kernel, |(.., kernel)| *kernel);
    Some(match arch {
        Arch::X86_64 => Since { kernel, libc },
        Arch::Aarch64 => Since {
            kernel: if kernel == BEFORE || is_older(kernel, AARCH64.0) { AARCH64.0 } else { kernel },
            libc: if is_older(libc, AARCH64.1) { ALWAYS } else { libc },
        },
    })
}

/// Whether the version `left` is one, and older than `right`.
fn is_older(left: &str, right: &str) -> bool {
    let numbers = |version: &str| -> Option<Vec<u32>> { version.split('.').map(|part| part.parse().ok()).collect() };
    numbers(left).zip(numbers(right)).is_some_and(|(left, right)| left < right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_table_has_a_row_and_every_row_is_a_version() {
        let known: Vec<_> = table::names().collect();
        let here: Vec<_> = rows::ROWS.iter().map(|(call, ..)| *call).collect();
        assert_eq!(here, known);
        for (call, kernel, libc) in rows::ROWS {
            let is_version =
                |text: &str| text.split('.').count() >= 2 && text.split('.').all(|n| n.parse::<u8>().is_ok());
            assert!(is_version(kernel) || [BEFORE, NEVER].contains(kernel), "{call}: {kernel}");
            assert!(is_version(libc) || [ALWAYS, NONE].contains(libc), "{call}: {libc}");
        }
    }

    #[test]
    fn no_call_is_older_than_its_architecture() {
        for (_, name) in table::iter(Arch::Aarch64) {
            let since = since(Arch::Aarch64, name).expect("the table has it");
            assert!(since.kernel != BEFORE && !is_older(since.kernel, "3.7"), "{name}");
            assert!(!is_older(since.libc, "2.18"), "{name}");
        }
    }

    #[test]
    fn known_calls_have_the_versions_of_their_manual_pages() {
        for (name, kernel, libc) in [
            ("close_range", "5.9", "2.34"),
            ("statx", "4.11", "2.28"),
            ("openat2", "5.6", NONE),
            ("getrandom", "3.17", "2.25"),
            ("read", BEFORE, ALWAYS),
            ("mseal", "6.10", NONE),
            ("tuxcall", NEVER, NONE),
        ] {
            assert_eq!(since(Arch::X86_64, name), Some(Since { kernel, libc }), "{name}");
        }
        assert_eq!(since(Arch::Aarch64, "accept4"), Some(Since { kernel: "3.7", libc: ALWAYS }));
        assert_eq!(since(Arch::Aarch64, "open"), None);
    }
}
