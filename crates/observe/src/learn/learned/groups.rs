//! Groups in the place of rules.

use super::lets_through;
use crate::learn::calls::{LearnedRule, Sighting};
use crate::learn::evidence::Evidence;
use lazaret_filter::Rule;
use lazaret_filter::groups::{self, Group};
use std::collections::BTreeSet;

/// A group must take the place of so many rules.
const LEAST: usize = 4;
/// The first group that is dangerous: those from there on are never chosen.
const FIRST_DANGEROUS: &str = "@chown";

/// Replaces rules by groups: again and again the group that covers most of them, if those are four or more and at least
/// half of the group's calls.
pub(super) fn fold(mut rules: Vec<LearnedRule>, sightings: &[Sighting<'_>]) -> Vec<LearnedRule> {
    let mut folded = Vec::new();
    while let Some((group, covered)) = best(&rules, sightings) {
        let (inside, outside): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| covered.contains(&rule.rule));
        let evidence = Evidence::of(inside.iter().map(|rule| &rule.evidence));
        folded.push(LearnedRule { rule: group.name.to_owned(), evidence });
        rules = outside;
    }
    folded.extend(rules);
    folded
}

fn best(rules: &[LearnedRule], sightings: &[Sighting<'_>]) -> Option<(&'static Group, BTreeSet<String>)> {
    let harmless = groups::all().take_while(|group| group.name != FIRST_DANGEROUS);
    let candidates = harmless.filter_map(|group| {
        let covered: BTreeSet<String> =
            rules.iter().filter(|rule| covers(group, rule, sightings)).map(|rule| rule.rule.clone()).collect();
        let calls = Rule::parse(group.name).ok()?.calls().count();
        (covered.len() >= LEAST && covered.len() * 2 >= calls).then_some((group, covered))
    });
    candidates.max_by_key(|(_, covered)| covered.len())
}

/// Whether the group lets through everything that the rule is there for.
fn covers(group: &Group, rule: &LearnedRule, sightings: &[Sighting<'_>]) -> bool {
    let mut behind = sightings.iter().filter(|sighting| lets_through(&rule.rule, sighting)).peekable();
    behind.peek().is_some() && behind.all(|sighting| lets_through(group.name, sighting))
}
