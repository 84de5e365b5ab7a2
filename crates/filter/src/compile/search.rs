//! The search for a number among ranges of numbers with equal outcome: few instructions first, short paths second.
//!
//! Ranges that differ from their surroundings in single numbers are cheaper to tell by equality than by two bounds. So
//! the ranges are first cut into spans, each with one outcome and some excepted numbers; then the spans make a balanced
//! tree of bounds, with the exceptions as short chains at its leaves.

use super::graph::{Branch, Graph, NodeId, TooLong};

/// Up to this many exceptions are tested one after the other; more are split by a bound.
const CHAIN: usize = 4;

/// Ascending ranges of numbers; each reaches up to the next, and the last up to the end.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

#[derive(Debug, Clone, Copy)]
struct Range {
    first: u32,
    outcome: NodeId,
}

impl Ranges {
    /// Adds the outcome from `number` on, which joins the last range if it is the same.
    pub(super) fn push(&mut self, number: u32, outcome: NodeId) {
        if self.0.last().is_none_or(|last| last.outcome != outcome) {
            self.0.push(Range { first: number, outcome });
        }
    }

    /// The ranges of a set of numbers, which lead to `yes`, and of all others, which lead to `no`.
    pub(super) fn of_set(mut numbers: Vec<u32>, yes: NodeId, no: NodeId) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        let mut ranges = Self::default();
        if numbers.first() != Some(&0) {
            ranges.push(0, no);
        }
        for (position, number) in numbers.iter().enumerate() {
            ranges.push(*number, yes);
            match number.checked_add(1) {
                Some(next) if numbers.get(position + 1) != Some(&next) => ranges.push(next, no),
                _ => {}
            }
        }
        ranges
    }
}

/// Numbers with one outcome, but for the exceptions.
#[derive(Debug)]
struct Span {
    first: u32,
    outcome: NodeId,
    exceptions: Vec<Range>,
}

/// Leads from the number in `word` to the outcome of its range.
pub(super) fn tree(graph: &mut Graph, word: u32, ranges: &Ranges) -> Result<NodeId, TooLong> {
    subtree(graph, word, &spans(&ranges.0))
}

/// How a range can be part of the cheapest division found so far that ends with a span of some outcome.
#[derive(Debug, Clone, Copy)]
struct Step {
    cost: u32,
    /// The outcome of the span before, when this range begins a span of its own; otherwise [`STAYS`], or [`FIRST`].
    begins_after: u32,
}

/// There is no such division.
const IMPOSSIBLE: Step = Step { cost: u32::MAX, begins_after: STAYS };
/// The range belongs to the span of the range before.
const STAYS: u32 = u32::MAX;
/// The range begins the first span.
const FIRST: u32 = u32::MAX - 1;

/// Divides ranges into spans so that bounds and exceptions together are fewest.
fn spans(ranges: &[Range]) -> Vec<Span> {
    let mut outcomes: Vec<_> = ranges.iter().map(|range| range.outcome).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    let table = divisions(ranges, &outcomes);
    let row = |at: usize| &table[at * outcomes.len()..][..outcomes.len()];
    let last = ranges.len().checked_sub(1).and_then(|last| cheapest(row(last)));
    let mut outcome = last.map_or(0, |(_, outcome)| outcome);
    let mut spans = Vec::new();
    let mut exceptions = Vec::new();
    for (at, range) in ranges.iter().enumerate().rev() {
        if range.outcome != outcomes[outcome] {
            exceptions.push(*range);
        }
        let begins_after = row(at)[outcome].begins_after;
        if begins_after != STAYS {
            exceptions.reverse();
            spans.push(Span {
                first: range.first,
                outcome: outcomes[outcome],
                exceptions: std::mem::take(&mut exceptions),
            });
        }
        if begins_after < FIRST {
            outcome = begins_after as usize;
        }
    }
    spans.reverse();
    spans
}

/// For each range, and each outcome of the span that it is in: the cheapest way to get there.
fn divisions(ranges: &[Range], outcomes: &[NodeId]) -> Vec<Step> {
    let mut table = vec![IMPOSSIBLE; ranges.len() * outcomes.len()];
    for (at, range) in ranges.iter().enumerate() {
        let (done, rest) = table.split_at_mut(at * outcomes.len());
        let before = &done[done.len().saturating_sub(outcomes.len())..];
        let is_single = ranges.get(at + 1).is_some_and(|next| next.first == range.first + 1);
        let begin = cheapest(before).map_or(Step { cost: 0, begins_after: FIRST }, |(cost, before)| Step {
            cost: cost.saturating_add(1),
            begins_after: u32::try_from(before).unwrap_or(FIRST),
        });
        for (index, step) in rest[..outcomes.len()].iter_mut().enumerate() {
            let fits = outcomes[index] == range.outcome;
            let stay = before.get(index).map_or(u32::MAX, |step| step.cost);
            if fits {
                *step = Step { cost: stay, begins_after: STAYS };
            } else if is_single {
                *step = Step { cost: stay.saturating_add(1), begins_after: STAYS };
            }
            if fits && begin.cost < stay {
                *step = begin;
            }
        }
    }
    table
}

/// The cheapest of the divisions that a range can end with, and its outcome.
fn cheapest(row: &[Step]) -> Option<(u32, usize)> {
    row.iter().enumerate().map(|(outcome, step)| (step.cost, outcome)).min()
}

fn subtree(graph: &mut Graph, word: u32, spans: &[Span]) -> Result<NodeId, TooLong> {
    let [only] = spans else {
        let middle = middle(spans);
        let (left, right) = spans.split_at(middle);
        let below = subtree(graph, word, left)?;
        let above = subtree(graph, word, right)?;
        return graph.test(word, None, Branch::GreaterOrEqual(right[0].first), above, below);
    };
    excepted(graph, word, &only.exceptions, only.outcome)
}

/// Where to split two or more spans so that the tests on both sides are about as many.
fn middle(spans: &[Span]) -> usize {
    let weight = |span: &Span| 1 + span.exceptions.len();
    let total: usize = spans.iter().map(weight).sum();
    let mut left = 0;
    let fitting = spans.iter().take_while(|span| {
        left += weight(span);
        2 * left <= total
    });
    fitting.count().clamp(1, spans.len() - 1)
}

fn excepted(graph: &mut Graph, word: u32, exceptions: &[Range], otherwise: NodeId) -> Result<NodeId, TooLong> {
    if exceptions.len() > CHAIN {
        let (left, right) = exceptions.split_at(exceptions.len() / 2);
        let below = excepted(graph, word, left, otherwise)?;
        let above = excepted(graph, word, right, otherwise)?;
        return graph.test(word, None, Branch::GreaterOrEqual(right[0].first), above, below);
    }
    exceptions.iter().rev().try_fold(otherwise, |node, exception| {
        graph.test(word, None, Branch::Equal(exception.first), exception.outcome, node)
    })
}
