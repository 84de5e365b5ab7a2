//! `SystemCallFilter=` of systemd: its sets of calls, its lists, and what they mean as a filter.
//!
//! Source: systemd.exec(5) of systemd 252, and what systemd's `seccomp-util.c` makes of it: an allow list has `@default` in
//! it, a later line of the other kind takes away, an error behind a colon refuses the call in both kinds of list.

mod read;
mod sets;
#[cfg(test)]
mod tests;
mod write;

pub use read::{ReadError, Unit, read};
pub use write::{Loss, Written, write};

use sets::SETS;
use std::collections::BTreeSet;

/// The version of systemd whose sets these are.
pub const VERSION: u32 = 252;

/// The names of the sets, sorted.
pub fn sets() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|(name, _)| *name)
}

/// The members of a set as systemd lists them: calls, and other sets. `None`: there is no such set.
#[must_use]
pub fn members(set: &str) -> Option<impl Iterator<Item = &'static str>> {
    let at = SETS.binary_search_by(|(name, _)| (*name).cmp(set)).ok()?;
    Some(SETS[at].1.split_ascii_whitespace())
}

/// The calls of a set, with the sets in it resolved; some of them are calls of other architectures. `None`: there is no
/// such set. `@known` is every call of this crate's table.
#[must_use]
pub fn calls(set: &str) -> Option<BTreeSet<&'static str>> {
    if set == "@known" {
        return Some(crate::table::names().collect());
    }
    let mut all = BTreeSet::new();
    for member in members(set)? {
        match member.strip_prefix('@') {
            Some(_) => all.extend(calls(member)?),
            None => all.extend([member]),
        }
    }
    Some(all)
}

/// Whether systemd knows a call by that name, on any architecture.
fn is_known(call: &str) -> bool {
    SETS.iter().any(|(_, members)| members.split_ascii_whitespace().any(|member| member == call))
}
