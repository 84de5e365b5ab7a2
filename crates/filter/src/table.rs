//! Names and numbers of the system calls, up to Linux 6.18.

mod rows;
#[cfg(test)]
mod tests;

use crate::arch::Arch;
use rows::ROWS;

/// One past the highest number of either architecture.
const SPAN: usize = 470;
/// Stands for "this architecture has no such call", and in an index for "no call has this number".
const ABSENT: u16 = u16::MAX;

/// A call: its name and its number per architecture.
struct Row {
    name: &'static str,
    numbers: [u16; 2],
}

const fn row(name: &'static str, x86_64: u16, aarch64: u16) -> Row {
    Row { name, numbers: [x86_64, aarch64] }
}

/// From number to position in `ROWS`, per architecture.
static BY_NUMBER: [[u16; SPAN]; 2] = [by_number(0), by_number(1)];

const fn by_number(column: usize) -> [u16; SPAN] {
    let mut index = [ABSENT; SPAN];
    let mut at = 0_u16;
    while (at as usize) < ROWS.len() {
        let number = ROWS[at as usize].numbers[column];
        if number != ABSENT {
            assert!(index[number as usize] == ABSENT, "two calls have one number");
            index[number as usize] = at;
        }
        at += 1;
    }
    index
}

/// Where `name` is in `ROWS`.
const fn position(name: &str) -> u16 {
    let mut at = 0_u16;
    while !are_equal(ROWS[at as usize].name.as_bytes(), name.as_bytes()) {
        at += 1;
    }
    at
}

const fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let mut same = 0;
    while same < left.len() && same < right.len() && left[same] == right[same] {
        same += 1;
    }
    same == left.len() && same == right.len()
}

/// A call of the table, on whatever architecture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallId(u16);

impl CallId {
    /// The call named `name` on any architecture.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let at = ROWS.binary_search_by(|row| row.name.cmp(name)).ok()?;
        u16::try_from(at).ok().map(Self)
    }

    /// The call numbered `number` on `arch`.
    pub(crate) fn numbered(arch: Arch, number: u32) -> Option<Self> {
        let at = *BY_NUMBER[arch.column()].get(usize::try_from(number).ok()?)?;
        (at != ABSENT).then_some(Self(at))
    }

    pub(crate) fn name(self) -> &'static str {
        ROWS[usize::from(self.0)].name
    }

    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        let number = ROWS[usize::from(self.0)].numbers[arch.column()];
        (number != ABSENT).then_some(u32::from(number))
    }

    /// `clone3`, which takes its flags behind a pointer.
    pub(crate) fn is_clone3(self) -> bool {
        const CLONE3: u16 = position("clone3");
        self.0 == CLONE3
    }

    /// One of the io_uring calls, through which other calls go around every filter.
    pub(crate) fn is_io_uring(self) -> bool {
        const CALLS: [u16; 3] = [position("io_uring_enter"), position("io_uring_register"), position("io_uring_setup")];
        CALLS.contains(&self.0)
    }
}

impl std::fmt::Debug for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The number of the call `name` on `arch`; `None` when that architecture has no such call.
#[must_use]
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    CallId::named(name)?.number(arch)
}

/// The name of the call numbered `number` on `arch`; `None` for holes and for numbers newer than the table.
#[must_use]
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    CallId::numbered(arch, number).map(CallId::name)
}

/// The highest number that the table knows on `arch`.
#[must_use]
pub fn newest(arch: Arch) -> u32 {
    iter(arch).map(|(number, _)| number).last().unwrap_or(0)
}

/// Every call of `arch` with its number, by ascending number.
pub fn iter(arch: Arch) -> impl Iterator<Item = (u32, &'static str)> {
    (0_u32..).zip(&BY_NUMBER[arch.column()]).filter_map(|(number, at)| Some((number, ROWS.get(usize::from(*at))?.name)))
}

/// Every name on any architecture, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}
