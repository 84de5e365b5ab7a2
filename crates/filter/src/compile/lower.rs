//! From conditions to tests of 32-bit words.

use super::graph::{Branch, Graph, NodeId, TooLong, high, low};
use super::search::{self, Ranges};
use crate::rule::{Comparison, Plain, Resolved};

type Result = std::result::Result<NodeId, TooLong>;

/// Leads to `yes` when all conditions hold and to `no` otherwise.
pub(super) fn all(graph: &mut Graph, conditions: &[Resolved<'_>], yes: NodeId, no: NodeId) -> Result {
    conditions.iter().rev().try_fold(yes, |yes, condition| one(graph, condition, yes, no))
}

/// Values of one 32-bit argument that all lead to one outcome, collected from alternatives that follow each other.
#[derive(Debug, Default)]
pub(super) struct Set(Option<(u8, NodeId, Vec<u32>)>);

impl Set {
    /// Takes in alternatives that only list values of the same argument, with the same outcome; tells whether it did.
    pub(super) fn absorb(&mut self, conditions: &[Resolved<'_>], outcome: NodeId) -> bool {
        let [condition @ Resolved { index, is_long: false, .. }] = conditions else {
            return false;
        };
        if self.0.as_ref().is_some_and(|(of, leading_to, _)| (of, leading_to) != (index, &outcome)) {
            return false;
        }
        let more = match condition.plain() {
            Plain::Compare(Comparison::Equal, value) => vec![value],
            Plain::In(values) => values,
            _ => return false,
        };
        let (_, _, values) = self.0.get_or_insert_with(|| (*index, outcome, Vec::new()));
        values.extend(more.into_iter().map(|value| halves(value).0));
        true
    }

    /// Leads to the outcome for the values, and to `no` for all others.
    pub(super) fn lower(self, graph: &mut Graph, no: NodeId) -> Result {
        match self.0 {
            Some((index, outcome, values)) => search::tree(graph, low(index), &Ranges::of_set(values, outcome, no)),
            None => Ok(no),
        }
    }
}

fn one(graph: &mut Graph, condition: &Resolved<'_>, yes: NodeId, no: NodeId) -> Result {
    let argument = Argument { index: condition.index, is_long: condition.is_long };
    match condition.plain() {
        Plain::Compare(Comparison::Equal, value) => argument.equal(graph, value, yes, no),
        Plain::Compare(Comparison::NotEqual, value) => argument.equal(graph, value, no, yes),
        Plain::Compare(Comparison::Greater, value) => argument.order(graph, value, Branch::Greater, yes, no),
        Plain::Compare(Comparison::LessOrEqual, value) => argument.order(graph, value, Branch::Greater, no, yes),
        Plain::Compare(Comparison::GreaterOrEqual, value) => {
            argument.order(graph, value, Branch::GreaterOrEqual, yes, no)
        }
        Plain::Compare(Comparison::Less, value) => argument.order(graph, value, Branch::GreaterOrEqual, no, yes),
        Plain::Masked { mask, equal: true, value } => argument.masked(graph, mask, value, yes, no),
        Plain::Masked { mask, equal: false, value } => argument.masked(graph, mask, value, no, yes),
        Plain::In(values) if !condition.is_long => {
            let values = values.into_iter().map(|value| halves(value).0).collect();
            search::tree(graph, low(condition.index), &Ranges::of_set(values, yes, no))
        }
        Plain::In(values) => values.into_iter().rev().try_fold(no, |no, value| argument.equal(graph, value, yes, no)),
    }
}

/// How many tests a condition comes to when nothing is shared.
pub(super) fn tests(condition: &Resolved<'_>) -> usize {
    let halves = if condition.is_long { 2 } else { 1 };
    match condition.plain() {
        Plain::Compare(Comparison::Equal | Comparison::NotEqual, _) | Plain::Masked { .. } => halves,
        // The high halves may be greater, or equal.
        Plain::Compare(..) => 2 * halves - 1,
        Plain::In(values) => halves * values.len(),
    }
}

/// The low and the high half of a register.
fn halves(bits: u64) -> (u32, u32) {
    let bytes = bits.to_le_bytes();
    let half = |from: usize| u32::from_le_bytes([bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]]);
    (half(0), half(4))
}

struct Argument {
    index: u8,
    is_long: bool,
}

impl Argument {
    fn equal(&self, graph: &mut Graph, value: u64, yes: NodeId, no: NodeId) -> Result {
        let (value_low, value_high) = halves(value);
        let yes = graph.test(low(self.index), None, Branch::Equal(value_low), yes, no)?;
        if !self.is_long {
            return Ok(yes);
        }
        graph.test(high(self.index), None, Branch::Equal(value_high), yes, no)
    }

    /// `branch` compares the low halves when the high halves are equal.
    fn order(&self, graph: &mut Graph, value: u64, branch: impl Fn(u32) -> Branch, yes: NodeId, no: NodeId) -> Result {
        let (value_low, value_high) = halves(value);
        let tied = graph.test(low(self.index), None, branch(value_low), yes, no)?;
        if !self.is_long {
            return Ok(tied);
        }
        let not_greater = if value_high == 0 {
            tied
        } else {
            graph.test(high(self.index), None, Branch::Equal(value_high), tied, no)?
        };
        graph.test(high(self.index), None, Branch::Greater(value_high), yes, not_greater)
    }

    fn masked(&self, graph: &mut Graph, mask: u64, value: u64, yes: NodeId, no: NodeId) -> Result {
        let (mask_low, mask_high) = halves(mask);
        let (value_low, value_high) = halves(value);
        let yes = masked_word(graph, low(self.index), mask_low, value_low, yes, no)?;
        if !self.is_long {
            return Ok(yes);
        }
        masked_word(graph, high(self.index), mask_high, value_high, yes, no)
    }
}

fn masked_word(graph: &mut Graph, word: u32, mask: u32, value: u32, yes: NodeId, no: NodeId) -> Result {
    if value & !mask != 0 {
        Ok(no)
    } else if value == 0 {
        graph.test(word, None, Branch::AnySet(mask), no, yes)
    } else if value == mask && mask.is_power_of_two() {
        graph.test(word, None, Branch::AnySet(mask), yes, no)
    } else if mask == u32::MAX {
        graph.test(word, None, Branch::Equal(value), yes, no)
    } else {
        graph.test(word, Some(mask), Branch::Equal(value), yes, no)
    }
}
