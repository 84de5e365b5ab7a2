//! Symbolic constants that rules may use in place of numbers, and the names of numbers.

mod file;
mod ioctl;
mod naming;
mod process;
mod socket;

pub use naming::{flags, name};

use crate::arch::Arch;

/// A constant: its name and its value per architecture.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) values: [i64; 2],
}

const fn same(name: &'static str, value: i64) -> Row {
    Row { name, values: [value, value] }
}

const fn split(name: &'static str, x86_64: i64, aarch64: i64) -> Row {
    Row { name, values: [x86_64, aarch64] }
}

const THEMES: [&[Row]; 4] = [file::ROWS, ioctl::ROWS, process::ROWS, socket::ROWS];

/// The constant named `name`.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    THEMES.iter().find_map(|rows| rows.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &rows[at]))
}

/// The constants whose names begin with `prefix`, theme by theme, sorted by name within each.
fn beginning(prefix: &str) -> impl Iterator<Item = &'static Row> {
    THEMES.iter().flat_map(move |rows| {
        let start = rows.partition_point(|row| row.name < prefix);
        rows[start..].iter().take_while(move |row| row.name.starts_with(prefix))
    })
}

/// Every constant with its value on `arch`, in no order.
pub fn iter(arch: Arch) -> impl Iterator<Item = (&'static str, i64)> {
    THEMES.iter().flat_map(move |rows| rows.iter().map(move |row| (row.name, row.values[arch.column()])))
}

/// The names of all constants.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    THEMES.iter().flat_map(|rows| rows.iter().map(|row| row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_within_a_theme_and_unique_over_all() {
        let mut all: Vec<_> = names().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();

        assert_eq!(all.len(), count);
        assert!(THEMES.iter().all(|rows| rows.is_sorted_by(|a, b| a.name < b.name)));
    }

    #[test]
    fn open_flags_differ_between_architectures() {
        let row = find("O_DIRECTORY").expect("the constant is known");

        assert_eq!(row.values, [0o200_000, 0o40_000]);
    }

    #[test]
    fn known_constants_have_the_values_of_the_headers() {
        for (name, value) in [
            ("CLONE_NEWUSER", 0x1000_0000),
            ("AF_UNIX", 1),
            ("TIOCSTI", 0x5412),
            ("PR_SET_SECCOMP", 22),
            ("AT_FDCWD", -100),
        ] {
            assert_eq!(find(name).map(|row| row.values[0]), Some(value), "{name}");
        }
    }
}
