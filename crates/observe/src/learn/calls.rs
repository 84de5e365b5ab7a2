//! From calls that were seen to the rules that let them through.

use super::evidence::Evidence;
use super::look::{Look, MOST_VALUES, looks};
use crate::record::{Answered, CallFact};
use lazaret_filter::{Action, Arch, Call, Filter, Rule, table};
use std::collections::BTreeMap;

/// A rule, with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedRule {
    /// Its text.
    pub rule: String,
    /// Where it was needed.
    pub evidence: Evidence,
}

/// A call as it was seen, of whatever session.
#[derive(Debug, Clone)]
pub(crate) struct Sighting<'a> {
    pub(crate) arch: Arch,
    pub(crate) fact: &'a CallFact,
    pub(crate) evidence: Evidence,
}

impl Sighting<'_> {
    /// The first such call, as a filter sees it. `None` for what the table does not have.
    pub(crate) fn example(&self) -> Option<Call> {
        let nr = table::number(self.arch, &self.fact.call)?;
        Some(Call { audit_arch: self.arch.audit(), nr, args: self.fact.example })
    }

    /// What was looked at, as rules write it.
    fn values(&self) -> Vec<String> {
        let values = &self.fact.values;
        let looks = looks(&self.fact.call).iter();
        looks.zip(values).enumerate().map(|(at, (look, value))| look.text(self.arch, *value, &values[..at])).collect()
    }
}

/// The rules that let `sightings` through, but for those that `covered` lets through already.
///
/// Calls that were answered with a failure need no rule: they fail under the policy as they did here.
pub(crate) fn rules(sightings: &[Sighting<'_>], covered: &Filter) -> Vec<LearnedRule> {
    let mut by_call: BTreeMap<&str, Vec<&Sighting<'_>>> = BTreeMap::new();
    for sighting in sightings {
        let needed = sighting.fact.answer == Answered::Made
            && sighting.example().is_some_and(|call| !covered.decide(&call).action.permits());
        if needed {
            by_call.entry(&sighting.fact.call).or_default().push(sighting);
        }
    }
    by_call.into_iter().flat_map(|(call, sightings)| of_call(call, &sightings)).collect()
}

fn of_call(call: &str, sightings: &[&Sighting<'_>]) -> Vec<LearnedRule> {
    let rules = conditional(call, sightings);
    let mut filter = Filter::new(Action::Kill);
    for rule in &rules {
        match Rule::parse(&rule.rule) {
            Ok(rule) => filter.push(rule, Action::Allow),
            Err(_no_rule) => return vec![bare(call, sightings)],
        }
    }
    // What was seen decides: a condition that would refuse any of it is not the right one.
    let all = sightings.iter().filter_map(|s| s.example()).all(|call| filter.decide(&call).action.permits());
    if all { rules } else { vec![bare(call, sightings)] }
}

fn bare(call: &str, sightings: &[&Sighting<'_>]) -> LearnedRule {
    let mut evidence = Evidence::of(sightings.iter().map(|sighting| &sighting.evidence));
    // More values than make a condition change nothing any more.
    let mut first: Vec<usize> = sightings.iter().filter_map(|sighting| sighting.evidence.files.first()).collect();
    first.sort_unstable();
    evidence.settled = first.get(MOST_VALUES).copied().or_else(|| first.last().copied()).unwrap_or(0);
    LearnedRule { rule: call.to_owned(), evidence }
}

/// A way in which a call was made: a value for each look that says something.
type Way = Vec<String>;

fn conditional(call: &str, sightings: &[&Sighting<'_>]) -> Vec<LearnedRule> {
    let ways: Vec<(Way, &Evidence)> = sightings.iter().map(|s| (s.values(), &s.evidence)).collect();
    let speaking: Vec<(usize, Look)> = looks(call)
        .iter()
        .enumerate()
        .filter(|(at, look)| !look.says_nothing(&distinct(ways.iter().map(|(way, _)| way[*at].as_str()))))
        .map(|(at, look)| (at, *look))
        .collect();
    if speaking.is_empty() {
        let mut rule = bare(call, sightings);
        rule.evidence.settled = settled_by_variety(call, &ways);
        return vec![rule];
    }
    let mut merged: BTreeMap<Way, Evidence> = BTreeMap::new();
    for (way, evidence) in &ways {
        let way: Way = speaking.iter().map(|(at, _)| way[*at].clone()).collect();
        merged.entry(way).or_default().join_same(evidence);
    }
    let looks: Vec<Look> = speaking.into_iter().map(|(_, look)| look).collect();
    if merged.len() <= MOST_VALUES {
        by_way(call, &looks, merged)
    } else {
        vec![by_argument(call, &looks, &merged, sightings)]
    }
}

/// When the last look fell silent, where none speaks: the run in which a second value of its bits came.
fn settled_by_variety(call: &str, ways: &[(Way, &Evidence)]) -> usize {
    let looks = looks(call);
    let firsts = |at: usize| {
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        for (way, evidence) in ways {
            let first = evidence.files.first().unwrap_or(0);
            firsts.entry(way[at].as_str()).and_modify(|known| *known = first.min(*known)).or_insert(first);
        }
        firsts
    };
    let fell = (0..looks.len()).map(|at| match looks[at] {
        Look::Clear(..) | Look::Zero(_) => firsts(at).get("1").copied().unwrap_or(0),
        Look::Bits(..) | Look::Value(..) => firsts(at).values().copied().max().unwrap_or(0),
    });
    let earliest = ways.iter().filter_map(|(_, evidence)| evidence.files.first()).min().unwrap_or(0);
    fell.max().unwrap_or(earliest)
}

/// A rule for each way; ways that differ in one listable argument alone share one.
fn by_way(call: &str, looks: &[Look], ways: BTreeMap<Way, Evidence>) -> Vec<LearnedRule> {
    let pivot = looks.iter().rposition(|look| look.is_listable());
    let mut groups: BTreeMap<Way, (Vec<String>, Evidence)> = BTreeMap::new();
    for (way, evidence) in ways {
        let mut rest = way.clone();
        let value = pivot.map_or_else(String::new, |pivot| rest.remove(pivot));
        let (values, joined) = groups.entry(rest).or_default();
        values.push(value);
        joined.join(&evidence);
    }
    let text = |rest: &Way, values: &[String]| {
        let mut rest = rest.iter();
        let conditions: Vec<String> = looks
            .iter()
            .enumerate()
            .map(|(at, look)| {
                if Some(at) == pivot {
                    look.condition(call, &values.iter().map(String::as_str).collect::<Vec<_>>())
                } else {
                    look.condition(call, &[rest.next().map_or("0", String::as_str)])
                }
            })
            .collect();
        format!("{call}({})", conditions.join(", "))
    };
    groups.into_iter().map(|(rest, (values, evidence))| LearnedRule { rule: text(&rest, &values), evidence }).collect()
}

/// One rule, in which each argument by itself has its values, if they are few.
fn by_argument(call: &str, looks: &[Look], ways: &BTreeMap<Way, Evidence>, sightings: &[&Sighting<'_>]) -> LearnedRule {
    let mut conditions = Vec::new();
    let mut settled = 0;
    for (at, look) in looks.iter().enumerate() {
        let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
        for (way, evidence) in ways {
            let first = firsts.entry(way[at].as_str()).or_insert(evidence.settled);
            *first = evidence.settled.min(*first);
        }
        let most = if look.is_listable() { MOST_VALUES } else { 1 };
        let mut order: Vec<usize> = firsts.values().copied().collect();
        order.sort_unstable();
        // Values beyond those that fit change nothing any more.
        settled = settled.max(order.get(most).or(order.last()).copied().unwrap_or(0));
        if firsts.len() <= most {
            conditions.push(look.condition(call, &firsts.into_keys().collect::<Vec<_>>()));
        }
    }
    if conditions.is_empty() {
        return bare(call, sightings);
    }
    let mut evidence = Evidence::of(sightings.iter().map(|sighting| &sighting.evidence));
    evidence.settled = settled;
    LearnedRule { rule: format!("{call}({})", conditions.join(", ")), evidence }
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The run in which the last rule came to be what it is.
pub(crate) fn settled<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> Option<usize> {
    evidence.map(|evidence| evidence.settled).max()
}
