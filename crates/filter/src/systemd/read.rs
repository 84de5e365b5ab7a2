//! From `SystemCallFilter=` to a filter.

use super::{calls, is_known};
use crate::errno;
use crate::filter::{Action, Filter};
use crate::rule::{Member, Rule};
use crate::table::CallId;
use std::collections::BTreeMap;

/// A filter out of a unit's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The filter, which permits no more than the unit does.
    pub filter: Filter,
    /// Calls that the lists name and this crate's table does not have: of 32-bit architectures. A filter refuses them.
    pub unknown: Vec<String>,
    /// Calls of io_uring that the lists permit. A filter refuses them.
    pub io_uring: Vec<String>,
    /// Settings that have no place in a filter, as written.
    pub settings: Vec<String>,
}

/// A text is no list of system calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no `SystemCallFilter=` in the text.
    #[error("the text has no `SystemCallFilter=` and is no list of system calls")]
    Nothing,
    /// systemd has no such set.
    #[error("line {line}: systemd {version} has no set `{name}`", version = super::VERSION)]
    Set {
        /// The line, counted from 1.
        line: usize,
        /// The set as written.
        name: String,
    },
    /// Nobody has such a call.
    #[error("line {line}: there is no system call `{name}`")]
    Call {
        /// The line, counted from 1.
        line: usize,
        /// The call as written.
        name: String,
    },
    /// What stands behind the colon is no error.
    #[error("line {line}: `{error}` is no error number")]
    Errno {
        /// The line, counted from 1.
        line: usize,
        /// The error as written.
        error: String,
    },
}

/// What a call that is refused meets: a number, or death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Whatever the unit says for all.
    Usual,
    Errno(u16),
    Kill,
}

impl Refusal {
    fn parse(text: &str, line: usize) -> Result<Self, ReadError> {
        let wrong = || ReadError::Errno { line, error: text.to_owned() };
        match text {
            "kill" => Ok(Self::Kill),
            _ => {
                let number = errno::number(text).or_else(|| text.parse().ok()).filter(|number| *number <= 4095);
                number.map(Self::Errno).ok_or_else(wrong)
            }
        }
    }
}

/// The list so far.
#[derive(Debug, Default)]
struct List {
    /// What the first line is: a list of what is allowed, or of what is not.
    allows: Option<bool>,
    /// The listed calls; an allowed one with its own refusal is refused.
    calls: BTreeMap<String, Option<Refusal>>,
}

/// Reads the lines of a unit, or a bare list as it stands behind `SystemCallFilter=`.
///
/// # Errors
///
/// When there is no list, or it names a set, a call or an error that does not exist.
pub fn read(text: &str) -> Result<Unit, ReadError> {
    let mut list = List::default();
    let mut usual = Refusal::Kill;
    let mut settings = Vec::new();
    let is_unit = text.lines().any(|line| line.trim_start().starts_with("SystemCall"));
    for (number, line) in joined(text) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';', '[']) {
            continue;
        }
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("SystemCallFilter", value)) => list.line(value, number)?,
            Some(("SystemCallErrorNumber", value)) => {
                usual = if value.is_empty() { Refusal::Kill } else { Refusal::parse(value, number)? };
            }
            // Others are refused by every filter.
            Some(("SystemCallArchitectures", "native")) => {}
            None if !is_unit => list.line(line, number)?,
            _ => settings.push(line.to_owned()),
        }
    }
    list.unit(usual, settings)
}

/// Lines with their numbers; one that ends in a backslash goes on in the next.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (at, line) in text.lines().enumerate() {
        let (content, more) = line.strip_suffix('\\').map_or((line, false), |content| (content, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, last)) => {
                last.push(' ');
                last.push_str(content);
            }
            None => lines.push((at + 1, content.to_owned())),
        }
        goes_on = more;
    }
    lines
}

impl List {
    fn line(&mut self, value: &str, line: usize) -> Result<(), ReadError> {
        if value.is_empty() {
            *self = Self::default();
            return Ok(());
        }
        let (denies, words) = value.strip_prefix('~').map_or((false, value), |rest| (true, rest));
        if self.allows.is_none() {
            self.allows = Some(!denies);
            if !denies {
                self.put("@default", None, line)?;
            }
        }
        let adds = self.allows == Some(!denies);
        for word in words.split_ascii_whitespace() {
            let (name, refusal) = match word.split_once(':') {
                Some((name, error)) => (name, Some(Refusal::parse(error, line)?)),
                None => (word, None),
            };
            if adds {
                self.put(name, refusal, line)?;
            } else {
                for call in named(name, line)? {
                    self.calls.remove(&call);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, refusal: Option<Refusal>, line: usize) -> Result<(), ReadError> {
        self.calls.extend(named(name, line)?.into_iter().map(|call| (call, refusal)));
        Ok(())
    }

    fn unit(self, usual: Refusal, settings: Vec<String>) -> Result<Unit, ReadError> {
        let allows = self.allows.ok_or(ReadError::Nothing)?;
        let refused = |refusal: Refusal| match (refusal, usual) {
            (Refusal::Kill, _) | (Refusal::Usual, Refusal::Kill | Refusal::Usual) => Action::Kill,
            (Refusal::Errno(number), _) | (Refusal::Usual, Refusal::Errno(number)) => Action::Refuse(number),
        };
        let default = if allows { refused(Refusal::Usual) } else { Action::Allow };
        let mut unit = Unit { filter: Filter::new(default), unknown: Vec::new(), io_uring: Vec::new(), settings };
        for (name, refusal) in self.calls {
            let Some(call) = CallId::named(&name) else {
                unit.unknown.push(name);
                continue;
            };
            let action = match refusal {
                Some(refusal) => refused(refusal),
                None if allows => Action::Allow,
                None => refused(Refusal::Usual),
            };
            if call.is_io_uring() && action.permits() {
                unit.io_uring.push(name);
            } else {
                unit.filter.push(Rule::of_call(Member { call, conditions: Vec::new() }), action);
            }
        }
        Ok(unit)
    }
}

/// The calls that a word of a list names.
fn named(name: &str, line: usize) -> Result<Vec<String>, ReadError> {
    if name.starts_with('@') {
        let set = calls(name).ok_or_else(|| ReadError::Set { line, name: name.to_owned() })?;
        return Ok(set.into_iter().map(str::to_owned).collect());
    }
    if CallId::named(name).is_none() && !is_known(name) {
        return Err(ReadError::Call { line, name: name.to_owned() });
    }
    Ok(vec![name.to_owned()])
}
