//! Named groups of calls, in the manner of systemd's, so that a policy can be read.
//!
//! A member is the text of a rule: a call, a call under conditions, or another group. The dangerous groups are there to
//! be named and refused, and to be recognised when a policy allows them.

mod ordinary;
mod special;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crate::rule::{Member, Rule};

/// A named set of calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// The name with its `@`.
    pub name: &'static str,
    /// What the group lets a program do, in one line.
    pub summary: &'static str,
    /// What a hostile program gains by it.
    pub risk: &'static str,
    /// Texts of rules, which may be other groups.
    pub calls: &'static [&'static str],
}

impl Group {
    /// Every member with nested groups resolved: texts of rules that name a call, sorted by call.
    pub fn rules(&self) -> impl Iterator<Item = String> {
        members(self).iter().map(Member::to_string)
    }
}

/// Every group, those of ordinary programs first.
pub fn all() -> impl Iterator<Item = &'static Group> {
    ordinary::GROUPS.iter().chain(special::GROUPS)
}

/// The group called `name`, which starts with `@`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Group> {
    position(name).map(|(_, group)| group)
}

/// The group called `name`, with its position in [`all`].
pub(crate) fn position(name: &str) -> Option<(usize, &'static Group)> {
    all().enumerate().find(|(_, group)| group.name == name)
}

/// How many groups there are.
const COUNT: usize = ordinary::GROUPS.len() + special::GROUPS.len();

/// The resolved members of each group that was asked for, in the order of [`all`].
static MEMBERS: [OnceLock<Vec<Member>>; COUNT] = [const { OnceLock::new() }; COUNT];

/// The members of the group at `position` in [`all`], with nested groups resolved, sorted by call.
pub(crate) fn members_at(position: usize) -> &'static [Member] {
    MEMBERS[position].get_or_init(|| {
        let (ordinary, special) = (ordinary::GROUPS, special::GROUPS);
        expand(ordinary.get(position).unwrap_or_else(|| &special[position - ordinary.len()]))
    })
}

fn members(group: &Group) -> &'static [Member] {
    position(group.name).map_or(&[], |(position, _)| members_at(position))
}

fn expand(group: &Group) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for text in group.calls {
        let rule = Rule::parse(text).unwrap_or_else(|error| panic!("`{text}` of {} is no rule: {error}", group.name));
        match rule.into_target() {
            Ok(nested) => members.extend_from_slice(self::members(nested)),
            Err(member) => members.push(member),
        }
    }
    members.sort_by_key(|member| (member.call, member.conditions.len()));
    let mut kept: Vec<Member> = Vec::with_capacity(members.len());
    for member in members {
        // An unconditional member, sorted first, makes the others of its call redundant.
        let redundant = |other: &Member| other.call == member.call && (other.conditions.is_empty() || *other == member);
        if !kept.iter().rev().take_while(|other| other.call == member.call).any(redundant) {
            kept.push(member);
        }
    }
    kept
}
