//! Sets of argument registers as reduced ordered binary decision diagrams: equal sets are the same node.
//!
//! Source: Bryant, "Graph-Based Algorithms for Boolean Function Manipulation", 1986.

use crate::cube::{Bits, Cube};
use rustc_hash::FxHashMap;

/// A set, by its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Set(u32);

impl Set {
    pub(super) const EMPTY: Self = Self(0);
    pub(super) const ALL: Self = Self(1);
}

/// A question about one bit, counted from the highest of the first register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    bit: u16,
    zero: Set,
    one: Set,
}

/// More nodes than this are not made.
const MOST: usize = 1 << 18;
/// Behind every bit: what the sets without questions are at.
const END: u16 = 6 * 64;

/// Sets that were made so far.
#[derive(Debug)]
pub(super) struct Sets {
    nodes: Vec<Node>,
    known: FxHashMap<Node, Set>,
    chosen: FxHashMap<(Set, Set, Set), Set>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let end = |set| Node { bit: END, zero: set, one: set };
        Self { nodes: vec![end(Set::EMPTY), end(Set::ALL)], known: FxHashMap::default(), chosen: FxHashMap::default() }
    }

    fn node(&self, set: Set) -> Node {
        self.nodes[set.0 as usize]
    }

    fn make(&mut self, node: Node) -> Option<Set> {
        if node.zero == node.one {
            return Some(node.zero);
        }
        if let Some(known) = self.known.get(&node) {
            return Some(*known);
        }
        let set = Set(u32::try_from(self.nodes.len()).ok().filter(|_| self.nodes.len() < MOST)?);
        self.nodes.push(node);
        self.known.insert(node, set);
        Some(set)
    }

    /// What is in `yes` where it is in `of`, and in `no` where it is not. `None`: there are too many nodes.
    fn choose(&mut self, of: Set, yes: Set, no: Set) -> Option<Set> {
        match of {
            Set::ALL => return Some(yes),
            Set::EMPTY => return Some(no),
            _ if yes == no => return Some(yes),
            _ => {}
        }
        if let Some(chosen) = self.chosen.get(&(of, yes, no)) {
            return Some(*chosen);
        }
        let nodes = [of, yes, no].map(|set| (set, self.node(set)));
        let bit = nodes.iter().map(|(_, node)| node.bit).min().unwrap_or(END);
        let halves = nodes.map(|(set, node)| if node.bit == bit { (node.zero, node.one) } else { (set, set) });
        let zero = self.choose(halves[0].0, halves[1].0, halves[2].0)?;
        let one = self.choose(halves[0].1, halves[1].1, halves[2].1)?;
        let set = self.make(Node { bit, zero, one })?;
        self.chosen.insert((of, yes, no), set);
        Some(set)
    }

    pub(super) fn both(&mut self, one: Set, other: Set) -> Option<Set> {
        self.choose(one, other, Set::EMPTY)
    }

    pub(super) fn either(&mut self, one: Set, other: Set) -> Option<Set> {
        self.choose(one, Set::ALL, other)
    }

    pub(super) fn without(&mut self, one: Set, other: Set) -> Option<Set> {
        self.choose(other, Set::EMPTY, one)
    }

    /// The registers of any of the cubes.
    pub(super) fn of_cubes(&mut self, cubes: &[Cube]) -> Option<Set> {
        let mut all = Set::EMPTY;
        for cube in cubes {
            let mut own = Set::ALL;
            for (register, Bits { mask, value }) in (0_u16..6).zip(cube.0).rev() {
                for bit in (0..64_u16).filter(|bit| mask >> bit & 1 == 1) {
                    let (zero, one) = if value >> bit & 1 == 1 { (Set::EMPTY, own) } else { (own, Set::EMPTY) };
                    own = self.make(Node { bit: register * 64 + 63 - bit, zero, one })?;
                }
            }
            all = self.either(all, own)?;
        }
        Some(all)
    }

    /// The set as cubes without overlap. `None`: that takes more than `most`.
    pub(super) fn cubes(&self, set: Set, most: usize) -> Option<Vec<Cube>> {
        let mut found = Vec::new();
        let mut left = vec![(set, Cube::default())];
        while let Some((set, cube)) = left.pop() {
            match set {
                Set::EMPTY => {}
                Set::ALL => found.push(cube),
                _ => {
                    let Node { bit, zero, one } = self.node(set);
                    let (register, place) = (usize::from(bit / 64), 1_u64 << (63 - bit % 64));
                    let mut with = cube;
                    with.0[register].mask |= place;
                    left.push((zero, with));
                    with.0[register].value |= place;
                    left.push((one, with));
                }
            }
            if found.len() > most {
                return None;
            }
        }
        Some(found)
    }
}
