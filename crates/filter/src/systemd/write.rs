//! From a filter to the lines of a unit.

use super::calls;
use crate::arch::Arch;
use crate::compare::Extent;
use crate::errno;
use crate::filter::{Action, Filter};
use crate::rule::{Member, Rule};
use crate::table::{self, CallId};

/// The lines, and what they do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Lines of the section `[Service]`.
    pub text: String,
    /// What was lost. Every loss permits less, never more.
    pub losses: Vec<Loss>,
}

/// Something that the lists of systemd cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The call is permitted for some arguments; the lists know none, and refuse it altogether.
    Conditional(&'static str),
    /// The call is permitted and recorded; the lists only refuse it or permit it unrecorded, and refuse it.
    Log(&'static str),
    /// The call gives the thread a signal to handle; the lists kill the process.
    Trap(&'static str),
}

/// Writes what `filter` decides on `arch` as `SystemCallFilter=` and its kin.
#[must_use]
pub fn write(filter: &Filter, arch: Arch) -> Written {
    let mut losses = Vec::new();
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    let usual = match filter.default_action() {
        Action::Errno(number) | Action::Refuse(number) => Some(number),
        Action::Allow | Action::Log => Some(1),
        Action::Trap | Action::Kill => None,
    };
    for (_, name) in table::iter(arch) {
        match fate(filter, name, arch, &mut losses) {
            Action::Allow => allowed.push(name.to_owned()),
            Action::Errno(number) | Action::Refuse(number) if Some(number) == usual => refused.push(name.to_owned()),
            Action::Errno(number) | Action::Refuse(number) => {
                let error = errno::name(number).map_or_else(|| number.to_string(), str::to_owned);
                refused.push(format!("{name}:{error}"));
            }
            Action::Log | Action::Trap | Action::Kill if usual.is_none() => refused.push(name.to_owned()),
            Action::Log | Action::Trap | Action::Kill => refused.push(format!("{name}:kill")),
        }
    }
    let mut text = "[Service]\nSystemCallArchitectures=native\n".to_owned();
    if let Some(number) = usual {
        let error = errno::name(number).map_or_else(|| number.to_string(), str::to_owned);
        text.push_str(&format!("SystemCallErrorNumber={error}\n"));
    }
    if filter.default_action() == Action::Allow {
        lines(&mut text, "~", &refused);
    } else {
        // The first line makes the list one of what is allowed, which this set is part of anyway.
        text.push_str("SystemCallFilter=@default\n");
        lines(&mut text, "", &allowed);
        // Those that an allow list has in it whether it says so or not, of all architectures.
        let taken: Vec<_> = calls("@default")
            .into_iter()
            .flatten()
            .filter(|call| !allowed.iter().any(|of| of == call))
            .map(str::to_owned)
            .collect();
        lines(&mut text, "~", &taken);
        let others: Vec<_> = refused.into_iter().filter(|entry| entry.contains(':')).collect();
        lines(&mut text, "", &others);
    }
    Written { text, losses }
}

/// What becomes of a call whatever its arguments are, or the strictest that comes near to it.
fn fate(filter: &Filter, name: &'static str, arch: Arch, losses: &mut Vec<Loss>) -> Action {
    let whole = |action| {
        let call = CallId::named(name)?;
        let one =
            Filter::new(filter.default_action()).rule(Rule::of_call(Member { call, conditions: Vec::new() }), action);
        (filter.difference(&one, arch, name) == crate::compare::Difference::None).then_some(action)
    };
    let refusal = match filter.default_action() {
        Action::Allow | Action::Log => Action::Refuse(1),
        other => other,
    };
    let used =
        filter.rules().iter().filter(|(rule, _)| rule.calls().any(|call| call == name)).map(|(_, action)| *action);
    let mut actions: Vec<_> = used.chain([filter.default_action(), Action::Errno(38), Action::Refuse(1)]).collect();
    actions.dedup();
    match actions.into_iter().find_map(whole) {
        Some(Action::Log) => {
            losses.push(Loss::Log(name));
            refusal
        }
        Some(Action::Trap) => {
            losses.push(Loss::Trap(name));
            Action::Kill
        }
        Some(action) => action,
        None => {
            if filter.extent(arch, name) != Some(Extent::Nothing) {
                losses.push(Loss::Conditional(name));
            }
            refusal
        }
    }
}

/// Lists in lines that can be read, each the continuation of the one before.
fn lines(text: &mut String, mark: &str, entries: &[String]) {
    for entries in entries.chunks(12) {
        text.push_str(&format!("SystemCallFilter={mark}{}\n", entries.join(" ")));
    }
}
