//! The decision graph: tests of words of `struct seccomp_data`, with equal parts shared.

use rustc_hash::FxHashMap;

use crate::program::Program;

/// The graph, or the program, would be longer than the kernel takes.
#[derive(Debug)]
pub(super) struct TooLong;

/// Offset of the call number in `struct seccomp_data`.
pub(super) const WORD_NUMBER: u32 = 0;
/// Offset of the architecture.
pub(super) const WORD_ARCH: u32 = 4;

/// Offset of the low half of an argument. Both architectures are little endian.
pub(super) fn low(index: u8) -> u32 {
    16 + 8 * u32::from(index)
}

/// Offset of the high half of an argument.
pub(super) fn high(index: u8) -> u32 {
    low(index) + 4
}

/// A node's position. Every node comes after those that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) usize);

/// A comparison of the accumulator with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Branch {
    Equal(u32),
    Greater(u32),
    GreaterOrEqual(u32),
    AnySet(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Return(u32),
    Test { word: u32, mask: Option<u32>, branch: Branch, yes: NodeId, no: NodeId },
}

/// Nodes, each different from all others.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    known: FxHashMap<Node, NodeId>,
}

impl Graph {
    /// More nodes than this cannot fit even if some of them turn out to be unreachable.
    const MAX_NODES: usize = 4 * Program::MAX_LEN;

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn ret(&mut self, value: u32) -> Result<NodeId, TooLong> {
        self.add(Node::Return(value))
    }

    /// A test of a word, perhaps masked; what always or never holds is decided here.
    pub(super) fn test(
        &mut self,
        word: u32,
        mask: Option<u32>,
        branch: Branch,
        yes: NodeId,
        no: NodeId,
    ) -> Result<NodeId, TooLong> {
        match branch {
            _ if yes == no => Ok(yes),
            Branch::GreaterOrEqual(0) => Ok(yes),
            Branch::Greater(u32::MAX) | Branch::AnySet(0) => Ok(no),
            _ => self.add(Node::Test { word, mask, branch, yes, no }),
        }
    }

    fn add(&mut self, node: Node) -> Result<NodeId, TooLong> {
        if let Some(id) = self.known.get(&node) {
            return Ok(*id);
        }
        if self.nodes.len() >= Self::MAX_NODES {
            return Err(TooLong);
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.known.insert(node, id);
        Ok(id)
    }
}
