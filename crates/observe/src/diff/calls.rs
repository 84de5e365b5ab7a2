//! System calls.

use super::{Area, Change, Kind, Risk};
use crate::exchange::ExchangeError;
use lazaret_filter::compare::{Difference, Extent};
use lazaret_filter::groups::{self, Group};
use lazaret_filter::{Action, Arch, Filter, table};
use lazaret_launch::filter::policy_rules;
use lazaret_policy::SystemCalls;
use std::fmt::Write as _;

/// What a group is worth to a hostile program, in the order in which they are asked: the first that covers what was won
/// decides. A group that is not here is high, which a test sees to.
const LOW: [&str; 9] = [
    "@credentials",
    "@time",
    "@descriptors",
    "@default",
    "@file-read",
    "@file-metadata",
    "@sync",
    "@threads",
    "@timer",
];
const MEDIUM: [&str; 13] = [
    "@signal",
    "@event",
    "@memory",
    "@terminal",
    "@aio",
    "@process",
    "@file-write",
    "@resources",
    "@ipc",
    "@chown",
    "@sandbox",
    "@socket",
    "@network-local",
];

/// What a group is worth.
pub(super) fn severity(group: &str) -> Risk {
    if LOW.contains(&group) {
        Risk::Low
    } else if MEDIUM.contains(&group) {
        Risk::Medium
    } else {
        Risk::High
    }
}

pub(super) fn changes(before: &SystemCalls, after: &SystemCalls, arch: Arch) -> Result<Vec<Change>, ExchangeError> {
    let (first, second) = (policy_rules(before)?, policy_rules(after)?);
    let mut changes = Vec::new();
    if before.default.value != after.default.value {
        let kind = match (action_permits(&first), action_permits(&second)) {
            (false, true) => Kind::Widened,
            (true, false) => Kind::Narrowed,
            _ => Kind::Changed,
        };
        changes.push(Change {
            risk: if kind == Kind::Widened { Risk::High } else { Risk::None },
            kind,
            area: Area::SystemCall,
            what: "calls that no rule names".to_owned(),
            before: before.default.to_string(),
            after: after.default.to_string(),
            why: if kind == Kind::Widened {
                "whatever nobody thought of is permitted".to_owned()
            } else {
                String::new()
            },
        });
    }
    for (_, call) in table::iter(arch) {
        let kind = match first.difference(&second, arch, call) {
            Difference::None => continue,
            Difference::Unknown { .. } => Kind::Unclear,
            Difference::Some { permitted: [Extent::Nothing, _], wider: true, .. } => Kind::Added,
            Difference::Some { permitted: [_, Extent::Nothing], narrower: true, .. } => Kind::Removed,
            Difference::Some { wider: true, narrower: true, .. } => Kind::Moved,
            Difference::Some { wider: true, .. } => Kind::Widened,
            Difference::Some { narrower: true, .. } => Kind::Narrowed,
            Difference::Some { .. } => Kind::Changed,
        };
        let (risk, why) = if kind.widens() { risk(&first, &second, arch, call) } else { (Risk::None, String::new()) };
        let (before, after) = (described(&first, arch, call), described(&second, arch, call));
        changes.push(Change { risk, kind, area: Area::SystemCall, what: call.to_owned(), before, after, why });
    }
    Ok(changes)
}

/// What only one of the two refuses from the start of the program on, rule by rule.
pub(super) fn after_start(before: &SystemCalls, after: &SystemCalls) -> Vec<Change> {
    let lacks = |calls: &SystemCalls, rule: &str| !calls.refuse_after_start.iter().any(|other| other.rule == rule);
    let change = |rule: &str, kind: Kind| {
        let (risk, why) = match kind {
            Kind::Widened => (Risk::Medium, "what takes the program over after its start may call it".to_owned()),
            _ => (Risk::None, String::new()),
        };
        let (refused, free) = ("refused", "as the other rules say");
        let (before, after) = if kind == Kind::Widened { (refused, free) } else { (free, refused) };
        let what = format!("{rule}, from the start on");
        Change { risk, kind, area: Area::SystemCall, what, before: before.to_owned(), after: after.to_owned(), why }
    };
    let gone = before.refuse_after_start.iter().filter(|rule| lacks(after, &rule.rule));
    let new = after.refuse_after_start.iter().filter(|rule| lacks(before, &rule.rule));
    let gone = gone.map(|rule| change(&rule.rule, Kind::Widened));
    gone.chain(new.map(|rule| change(&rule.rule, Kind::Narrowed))).collect()
}

fn action_permits(filter: &Filter) -> bool {
    filter.default_action().permits()
}

/// The risk of what `second` permits of a call beyond `first`: that of the mildest group which permits all of it, or else
/// of the worst that knows the call.
fn risk(first: &Filter, second: &Filter, arch: Arch, call: &str) -> (Risk, String) {
    let mut knowing: Vec<_> = groups::all().filter(|group| speaks_of(group, call)).collect();
    knowing.sort_by_key(|group| severity(group.name));
    let covers = |group: &&&Group| {
        let with = group.name.parse().map(|rule| first.clone().rule(rule, Action::Allow));
        with.is_ok_and(|with| match with.difference(second, arch, call) {
            Difference::None => true,
            Difference::Some { wider, .. } => !wider,
            Difference::Unknown { .. } => false,
        })
    };
    match knowing.iter().find(covers).or(knowing.last()) {
        Some(group) => (severity(group.name), format!("{}: {}", group.name, group.risk)),
        None if call == "clone3" => {
            (Risk::High, "no filter sees its flags, which can ask for new namespaces".to_owned())
        }
        None => (Risk::High, "no group knows it".to_owned()),
    }
}

fn speaks_of(group: &Group, call: &str) -> bool {
    group.rules().any(|member| is_about(&member, call))
}

fn is_about(member: &str, call: &str) -> bool {
    member.split('(').next() == Some(call)
}

/// What a filter says of a call, in the words of its rules.
fn described(filter: &Filter, arch: Arch, call: &str) -> String {
    let own: Vec<_> = filter.rules().iter().filter(|(rule, _)| rule.calls().any(|of| of == call)).collect();
    let last = own.last().map_or_else(|| filter.default_action(), |(_, action)| *action);
    match filter.extent(arch, call) {
        Some(Extent::Nothing) => named(last).to_owned(),
        Some(Extent::Everything) if !last.permits() || own.iter().all(|(_, action)| action == &last) => {
            if last == Action::Log { "every call, recorded".to_owned() } else { "every call".to_owned() }
        }
        Some(Extent::Everything) => "every call".to_owned(),
        Some(Extent::Some) | None => {
            let mut text = String::new();
            for (rule, action) in own {
                let members: Vec<String> = match rule.group() {
                    Some(group) => group.rules().filter(|member| is_about(member, call)).collect(),
                    None => vec![rule.to_string()],
                };
                for member in members {
                    let separator = if text.is_empty() { "" } else { ", then " };
                    let written = write!(text, "{separator}{} {member}", named(*action));
                    debug_assert!(written.is_ok(), "writing to a String does not fail");
                }
            }
            text
        }
    }
}

fn named(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Log => "log",
        Action::Trap => "trap",
        Action::Kill => "kill",
        Action::Refuse(_) => "refuse",
        Action::Errno(_) => "silent",
    }
}
