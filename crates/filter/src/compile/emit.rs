//! From the decision graph to instructions.
//!
//! Instructions are laid out from the last to the first, so that every jump leads to something that already has its
//! place. A place is counted from the end. Conditional jumps skip at most 255 instructions; what lies farther away is
//! reached over a long jump, and a return, being one instruction itself, is simply repeated.

use super::graph::{Branch, Graph, Node, NodeId, TooLong};
use crate::interpret::Operation;
use crate::program::{Instruction, Program};

/// How far a conditional jump can lead, less the two instructions that reaching its other target may put in between.
const REACH: usize = 255 - 2;

/// The program that starts at `root`.
pub(super) fn program(graph: &Graph, root: NodeId) -> Result<Program, TooLong> {
    let uses = uses(graph, root);
    let mut layout = Layout { backwards: Vec::new(), places: vec![Place::default(); graph.nodes().len()] };
    for (id, node) in graph.nodes().iter().enumerate() {
        if uses[id].is_reachable {
            layout.place(graph, NodeId(id), *node, uses[id]);
            if layout.backwards.len() > Program::MAX_LEN {
                return Err(TooLong);
            }
        }
    }
    if let Node::Return(value) = graph.nodes()[root.0] {
        layout.push(Operation::Return, value);
    }
    layout.backwards.reverse();
    Ok(Program::new(layout.backwards))
}

/// The part of a test from where it has to be entered: what comes before is already in the accumulator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    /// The masked word is in the accumulator.
    #[default]
    Branch,
    /// The whole word is.
    Mask,
    /// Something else is.
    Load,
}

/// What is in the accumulator: a word, perhaps masked.
type Accumulator = (u32, Option<u32>);

/// What a node leaves in the accumulator.
fn left_behind(node: Node) -> Option<Accumulator> {
    match node {
        Node::Test { word, mask, .. } => Some((word, mask)),
        Node::Return(_) => None,
    }
}

fn entry(node: Node, accumulator: Option<Accumulator>) -> Entry {
    match (node, accumulator) {
        (Node::Return(_), _) => Entry::Branch,
        (Node::Test { word, mask, .. }, Some(held)) if held == (word, mask) => Entry::Branch,
        (Node::Test { word, .. }, Some(held)) if held == (word, None) => Entry::Mask,
        _ => Entry::Load,
    }
}

/// How a node is entered.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    is_reachable: bool,
    /// The earliest entry that is used.
    from: Entry,
}

fn uses(graph: &Graph, root: NodeId) -> Vec<Uses> {
    let nodes = graph.nodes();
    let mut uses = vec![Uses::default(); nodes.len()];
    uses[root.0] = Uses { is_reachable: true, from: entry(nodes[root.0], None) };
    for (id, node) in nodes.iter().enumerate().rev() {
        if let (Node::Test { yes, no, .. }, true) = (*node, uses[id].is_reachable) {
            for next in [yes, no] {
                let from = entry(nodes[next.0], left_behind(*node)).max(uses[next.0].from);
                uses[next.0] = Uses { is_reachable: true, from };
            }
        }
    }
    uses
}

/// Where a node lies, as the length of the program from there to the end; zero where it has no place yet.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    load: usize,
    mask: usize,
    branch: usize,
}

impl Place {
    fn at(self, entry: Entry) -> usize {
        match entry {
            Entry::Branch => self.branch,
            Entry::Mask => self.mask,
            Entry::Load => self.load,
        }
    }
}

struct Layout {
    backwards: Vec<Instruction>,
    places: Vec<Place>,
}

impl Layout {
    fn push(&mut self, operation: Operation, k: u32) -> usize {
        self.backwards.push(Instruction { code: operation.code(), jt: 0, jf: 0, k });
        self.backwards.len()
    }

    fn place(&mut self, graph: &Graph, id: NodeId, node: Node, uses: Uses) {
        let Node::Test { word, mask, branch, yes, no } = node else {
            return;
        };
        let accumulator = left_behind(node);
        let yes = self.reach(graph, yes, accumulator);
        let no = self.reach(graph, no, accumulator);
        let (operation, k) = match branch {
            Branch::Equal(k) => (Operation::JumpEqual, k),
            Branch::Greater(k) => (Operation::JumpGreater, k),
            Branch::GreaterOrEqual(k) => (Operation::JumpGreaterOrEqual, k),
            Branch::AnySet(k) => (Operation::JumpSet, k),
        };
        let from = self.backwards.len();
        let skip = |place: usize| {
            u8::try_from(from - place).unwrap_or_else(|_| unreachable!("every target was brought within reach"))
        };
        self.backwards.push(Instruction { code: operation.code(), jt: skip(yes), jf: skip(no), k });
        let mut place = Place { branch: self.backwards.len(), ..Place::default() };
        if uses.from >= Entry::Mask {
            place.mask = mask.map_or(place.branch, |mask| self.push(Operation::And, mask));
        }
        if uses.from >= Entry::Load {
            place.load = self.push(Operation::Load, word);
        }
        self.places[id.0] = place;
    }

    /// The place of `id`, brought within reach of a conditional jump.
    fn reach(&mut self, graph: &Graph, id: NodeId, accumulator: Option<Accumulator>) -> usize {
        let node = graph.nodes()[id.0];
        let place = self.places[id.0].at(entry(node, accumulator));
        let distance = self.backwards.len() - place;
        match node {
            _ if place != 0 && distance <= REACH => place,
            Node::Return(value) => {
                let branch = self.push(Operation::Return, value);
                self.places[id.0] = Place { branch, ..Place::default() };
                branch
            }
            Node::Test { .. } => {
                let distance = u32::try_from(distance).unwrap_or_else(|_| unreachable!("programs are short"));
                self.push(Operation::Jump, distance)
            }
        }
    }
}
