//! Names and widths of system-call arguments.
//!
//! A register is 64 bits wide, but of an `int` argument the kernel reads only the low half. A comparison that looked at
//! all 64 bits could be dodged: `ioctl(request != TIOCSTI)` would let `0xffffffff_00005412` through, which the kernel
//! takes for `TIOCSTI`. So each argument has a width, and one whose width depends on other arguments is [`Width::Either`].

mod rows;

use crate::table::CallId;

/// How much of an argument's register the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits: `int`, `unsigned int`, and what the kernel truncates to those.
    Int,
    /// All 64 bits: pointers, `size_t`, `off_t`.
    Long,
    /// Not known, or it depends on another argument. A rule that permits must hold in both readings, a rule that
    /// refuses in one of them, so that neither can be dodged by the high half.
    Either,
}

/// The documented arguments of one call, in order.
struct Row {
    call: &'static str,
    arguments: &'static str,
}

const fn row(call: &'static str, arguments: &'static str) -> Row {
    Row { call, arguments }
}

/// The documented arguments of `call`, with their widths.
fn documented(call: CallId) -> impl Iterator<Item = (&'static str, Width)> {
    let at = rows::ROWS.binary_search_by(|row| row.call.cmp(call.name()));
    let arguments = at.map_or("", |at| rows::ROWS[at].arguments);
    arguments.split_ascii_whitespace().map(|argument| match argument.strip_suffix(['*', '?']) {
        None => (argument, Width::Int),
        Some(name) if argument.ends_with('*') => (name, Width::Long),
        Some(name) => (name, Width::Either),
    })
}

/// The documented arguments of the call named `call`, in order, with their widths. Empty for calls whose arguments have
/// no names here, and for calls that do not exist.
pub fn of(call: &str) -> impl Iterator<Item = (&'static str, Width)> {
    CallId::named(call).into_iter().flat_map(documented)
}

/// An argument of a call, found by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) index: u8,
    pub(crate) width: Width,
}

/// Whether `name` is one of `arg2` to `arg5` of a call whose manual page counts its arguments from one, while this
/// language counts from zero. Taking either meaning would silently compare the wrong argument for half the readers.
pub(crate) fn is_ambiguous(call: CallId, name: &str) -> bool {
    matches!(call.name(), "keyctl" | "prctl" | "sysfs") && matches!(name, "arg2" | "arg3" | "arg4" | "arg5")
}

/// The argument of `call` called `name`: its documented name, or `arg0` to `arg5`.
pub(crate) fn find(call: CallId, name: &str) -> Option<Argument> {
    let by_position = || {
        let index =
            name.strip_prefix("arg").filter(|digits| digits.len() == 1)?.parse().ok().filter(|index| *index < 6)?;
        Some(at(call, index))
    };
    let by_name = || {
        let position = documented(call).position(|(known, _)| known == name)?;
        u8::try_from(position).ok().map(|index| at(call, index))
    };
    by_position().or_else(by_name)
}

/// The argument of `call` at `index`.
pub(crate) fn at(call: CallId, index: u8) -> Argument {
    let width = documented(call).nth(usize::from(index)).map_or(Width::Either, |(_, width)| width);
    Argument { index, width }
}

/// The documented name of the argument of `call` at `index`, if it has one.
pub(crate) fn name(call: CallId, index: u8) -> Option<&'static str> {
    documented(call).nth(usize::from(index)).map(|(name, _)| name)
}

/// The documented name of the argument of the call named `call` at `index`, if it has one.
#[must_use]
pub fn argument_name(call: &str, index: u8) -> Option<&'static str> {
    name(CallId::named(call)?, index)
}

/// The names by which rules may speak of the arguments of `call`.
pub(crate) fn names(call: CallId) -> impl Iterator<Item = &'static str> {
    let documented = documented(call).map(|(name, _)| name);
    documented.chain(["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"]).filter(move |name| !is_ambiguous(call, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_call_and_rows_are_sorted() {
        assert!(rows::ROWS.is_sorted_by(|a, b| a.call < b.call));
        for row in rows::ROWS {
            assert!(CallId::named(row.call).is_some(), "{}", row.call);
            assert!(row.arguments.split(' ').count() <= 6, "{}", row.call);
        }
    }

    #[test]
    fn a_positional_name_has_the_width_of_the_documented_one() {
        let ioctl = CallId::named("ioctl").expect("ioctl is known");

        assert_eq!(find(ioctl, "arg1"), find(ioctl, "request"));
        assert_eq!(find(ioctl, "arg5"), Some(Argument { index: 5, width: Width::Either }));
        assert_eq!(find(ioctl, "arg6"), None);
    }
}
