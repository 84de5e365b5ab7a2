//! One rule of a filter: a group, a call, or a call under conditions on its arguments.
//!
//! ```text
//! rule      = "@" group | call [ "(" condition { "," condition } ")" ]
//! condition = argument ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!           | argument "&" value ( "==" | "!=" ) value
//!           | argument "in" "[" value { "," value } "]"
//! value     = term { "|" term }
//! term      = decimal | "-" decimal | "0x" hexadecimal | CONSTANT
//! ```
//!
//! An argument is called by its documented name, or `arg0` to `arg5`. Comparisons are unsigned.

mod condition;
mod error;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::groups::{self, Group};
use crate::table::CallId;

pub(crate) use condition::{Comparison, Condition, Leaning, Plain, Resolved, Test, Value};
pub use error::{ParseError, ParseErrorKind};

/// A call under conditions, all of which must hold; without any, the call as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) call: CallId,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// The group and its position in the catalogue.
    Group(&'static Group, usize),
    Call(Member),
}

/// One parsed rule. Its `Display` is text that parses to the same rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Target);

impl Rule {
    /// Parses the text of one rule, such as `@file-read`, `openat` or `clone(flags & CLONE_NEWUSER == 0)`.
    ///
    /// # Errors
    ///
    /// When the text is not a rule, or names a group, call, argument or constant that does not exist, or compares an
    /// argument with a value that it cannot have. The error points into `text` and suggests the nearest known name.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::rule(text)
    }

    pub(crate) fn of_call(member: Member) -> Self {
        Self(Target::Call(member))
    }

    /// The group that this rule names, or else its member.
    pub(crate) fn into_target(self) -> Result<&'static Group, Member> {
        match self.0 {
            Target::Group(group, _) => Ok(group),
            Target::Call(member) => Err(member),
        }
    }

    /// The group that this rule names, if it names one.
    #[must_use]
    pub fn group(&self) -> Option<&'static Group> {
        match &self.0 {
            Target::Group(group, _) => Some(group),
            Target::Call(_) => None,
        }
    }

    /// The call that this rule names, if it names one and not a group.
    #[must_use]
    pub fn call(&self) -> Option<&'static str> {
        match &self.0 {
            Target::Group(..) => None,
            Target::Call(member) => Some(member.call.name()),
        }
    }

    /// Whether the rule looks at arguments: its own conditions, not those inside a group.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        matches!(&self.0, Target::Call(member) if !member.conditions.is_empty())
    }

    /// The calls that this rule can match, by name; one that has several conditional members appears once.
    pub fn calls(&self) -> impl Iterator<Item = &'static str> {
        let mut previous = None;
        self.members()
            .iter()
            .map(|member| member.call.name())
            .filter(move |name| previous.replace(*name) != Some(*name))
    }

    /// What this rule matches, sorted by call. Members of one call are alternatives.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.0 {
            Target::Group(_, position) => groups::members_at(*position),
            Target::Call(member) => std::slice::from_ref(member),
        }
    }

    /// The members that speak of `call`.
    pub(crate) fn members_of(&self, call: CallId) -> &[Member] {
        let members = self.members();
        let start = members.partition_point(|member| member.call < call);
        let rest = &members[start..];
        &rest[..rest.partition_point(|member| member.call == call)]
    }

    /// Whether the rule names its call itself and not through a group.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.0, Target::Call(_))
    }
}

impl std::str::FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Group(group, _) => f.write_str(group.name),
            Target::Call(member) => member.fmt(f),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call.name())?;
        for (position, condition) in self.conditions.iter().enumerate() {
            f.write_str(if position == 0 { "(" } else { ", " })?;
            condition.write(self.call, f)?;
        }
        f.write_str(if self.conditions.is_empty() { "" } else { ")" })
    }
}
