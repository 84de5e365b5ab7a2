//! From a filter to a program.
//!
//! Installing costs about as many nanoseconds as there are instructions to translate plus steps to emulate: the kernel
//! runs the filter once for every call number, to learn which are always allowed. So the number decides by a balanced
//! search over ranges with equal outcome, and everything equal is shared. The stages: each call's alternatives become a
//! decision graph ([`lower`]); the graphs of all numbers are joined by a search ([`search`]); the whole is laid out
//! backwards, so that every jump goes to what is already placed ([`emit`]).

mod emit;
mod graph;
mod lower;
mod search;
#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::filter::{Action, Alternative, ENOSYS, Filter};
use crate::program::{Program, ret};
use crate::rule::Rule;
use crate::table::{self, CallId};
use crate::watch::Watch;
use graph::{Branch, Graph, NodeId, TooLong, WORD_ARCH, WORD_NUMBER};

/// The highest errno that the kernel returns from a filter (`MAX_ERRNO`).
const MAX_ERRNO: u16 = 4095;

/// Who carries out what the program says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A supervisor listens: `Refuse`, `Log` and `Kill` become notifications, on which it decides again with
    /// [`Filter::decide`], records, and answers.
    Supervised,
    /// Nobody listens: the kernel does it all.
    Alone,
}

impl Backend {
    /// The value that a program returns for `action`.
    #[must_use]
    pub fn returns(self, action: Action) -> u32 {
        match (self, action) {
            (_, Action::Allow) => ret::ALLOW,
            (_, Action::Errno(errno)) | (Self::Alone, Action::Refuse(errno)) => ret::ERRNO | u32::from(errno),
            (_, Action::Trap) => ret::TRAP,
            (Self::Supervised, Action::Refuse(_) | Action::Log | Action::Kill) => ret::USER_NOTIF,
            (Self::Alone, Action::Log) => ret::LOG,
            (Self::Alone, Action::Kill) => ret::KILL_PROCESS,
        }
    }
}

/// A filter cannot be made into a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A rule permits io_uring, whose operations go around every filter.
    #[error("rule {rule} permits `{call}`, which would go around the filter")]
    IoUring {
        /// The index of the rule.
        rule: usize,
        /// The call that it permits.
        call: &'static str,
    },
    /// An action's errno is not one that the kernel can return.
    #[error("errno {errno} is above {MAX_ERRNO}")]
    Errno {
        /// The errno.
        errno: u16,
        /// The index of the rule; `None` for the default action.
        rule: Option<usize>,
    },
    /// The program would be longer than the kernel takes.
    #[error("the filter needs more than {} instructions, the most that the kernel takes", Program::MAX_LEN)]
    TooLong {
        /// The rules that take most, three at most, the costliest first.
        costliest: Vec<RuleCost>,
    },
}

/// What a rule takes of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleCost {
    /// The index of the rule.
    pub rule: usize,
    /// The tests of 32-bit words that its conditions come to when nothing is shared with other rules.
    pub tests: usize,
}

impl Filter {
    /// Compiles the filter for `arch`. Calls that exist only on other architectures are left out.
    ///
    /// # Errors
    ///
    /// When a rule permits io_uring, an errno is out of range, or the program would exceed [`Program::MAX_LEN`].
    pub fn compile(&self, arch: Arch, backend: Backend) -> Result<Program, CompileError> {
        self.compile_watched(arch, backend, Watch::Nothing)
    }

    /// As [`Filter::compile`], with a supervisor that is also told of the permitted calls that `watch` names. What is
    /// not simply allowed comes out exactly as without it: see [`Watch`].
    pub(crate) fn compile_watched(
        &self,
        arch: Arch,
        backend: Backend,
        watch: Watch<'_>,
    ) -> Result<Program, CompileError> {
        self.check()?;
        for filter in watch.filters() {
            filter.check()?;
        }
        self.program(arch, backend, watch)
            .map_err(|_too_long| CompileError::TooLong { costliest: self.costliest(arch) })
    }

    fn program(&self, arch: Arch, backend: Backend, watch: Watch<'_>) -> Result<Program, TooLong> {
        let mut graph = Graph::default();
        let unknown = graph.ret(backend.returns(Action::Refuse(ENOSYS)))?;
        let mut enforced = Alternatives::of(self, arch);
        let mut watching: Vec<_> = watch.filters().map(|filter| (filter, Alternatives::of(filter, arch))).collect();
        let plain = graph.ret(ret::ALLOW)?;
        let mut ranges = search::Ranges::default();
        for number in 0..=table::newest(arch) {
            let alternatives = enforced.next(number);
            let outcome = match CallId::numbered(arch, number) {
                Some(call) => {
                    // One graph goes on where the one before allows, and only there.
                    let mut allowed = plain;
                    for (filter, alternatives) in watching.iter_mut().rev() {
                        let leaves = Leaves { allowed, other: |_| ret::USER_NOTIF };
                        allowed = filter.outcome(&mut graph, call, alternatives.next(number), arch, &leaves)?;
                    }
                    let leaves = Leaves { allowed, other: |action| backend.returns(action) };
                    self.outcome(&mut graph, call, alternatives, arch, &leaves)?
                }
                None => unknown,
            };
            ranges.push(number, outcome);
        }
        ranges.push(table::newest(arch) + 1, unknown);
        let native = search::tree(&mut graph, WORD_NUMBER, &ranges)?;
        let root = graph.test(WORD_ARCH, None, Branch::Equal(arch.audit()), native, unknown)?;
        emit::program(&graph, root)
    }

    /// Whether it can be compiled, but for its length.
    fn check(&self) -> Result<(), CompileError> {
        let actions = self.rules().iter().enumerate().map(|(index, (_, action))| (Some(index), *action));
        for (rule, action) in actions.chain([(None, self.default_action())]) {
            match action {
                Action::Errno(errno) | Action::Refuse(errno) if errno > MAX_ERRNO => {
                    return Err(CompileError::Errno { errno, rule });
                }
                _ => {}
            }
        }
        for (index, (rule, action)) in self.rules().iter().enumerate() {
            let io_uring = rule.members().iter().find(|member| member.call.is_io_uring());
            if let (Some(member), true) = (io_uring, action.permits()) {
                return Err(CompileError::IoUring { rule: index, call: member.call.name() });
            }
        }
        Ok(())
    }

    /// The rules that take most instructions.
    fn costliest(&self, arch: Arch) -> Vec<RuleCost> {
        let cost = |(rule, (of, action)): (usize, &(Rule, Action))| {
            let conditions = of.members().iter().filter(|member| member.call.number(arch).is_some());
            let conditions = conditions.flat_map(|member| &member.conditions);
            RuleCost {
                rule,
                tests: conditions.map(|condition| lower::tests(&condition.resolve(arch, action.leaning()))).sum(),
            }
        };
        let mut costs: Vec<_> = self.rules().iter().enumerate().map(cost).filter(|cost| cost.tests > 0).collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.tests));
        costs.truncate(3);
        costs
    }

    /// What could match each call of `arch`, by ascending number; for one call in order, as [`Filter::alternatives`].
    fn alternatives_by_number(&self, arch: Arch) -> Vec<(u32, Alternative<'_>)> {
        let mut alternatives = Vec::new();
        for (index, (rule, action)) in self.rules().iter().enumerate() {
            for member in rule.members() {
                match member.call.number(arch) {
                    Some(number) if rule.is_direct() || !member.call.is_clone3() => {
                        alternatives.push((number, Alternative { member, action: *action, rule: index }));
                    }
                    _ => {}
                }
            }
        }
        alternatives.sort_by_key(|(number, _)| *number);
        alternatives
    }

    /// The decision about one call, as a graph.
    fn outcome(
        &self,
        graph: &mut Graph,
        call: CallId,
        alternatives: &[(u32, Alternative<'_>)],
        arch: Arch,
        leaves: &Leaves<impl Fn(Action) -> u32>,
    ) -> Result<NodeId, TooLong> {
        // What stands before an unconditional alternative never decides.
        let unconditional = alternatives.iter().rposition(|(_, alternative)| alternative.member.conditions.is_empty());
        let (fallback, rest) = match unconditional {
            Some(position) => (alternatives[position].1.action, &alternatives[position + 1..]),
            None => (self.fallback(call).action, alternatives),
        };
        let mut node = leaves.node(graph, fallback)?;
        let mut set = lower::Set::default();
        for (_, alternative) in rest {
            let leaning = alternative.action.leaning();
            let decided = leaves.node(graph, alternative.action)?;
            let conditions: Vec<_> =
                alternative.member.conditions.iter().map(|condition| condition.resolve(arch, leaning)).collect();
            if set.absorb(&conditions, decided) {
                continue;
            }
            node = std::mem::take(&mut set).lower(graph, node)?;
            if !set.absorb(&conditions, decided) {
                node = lower::all(graph, &conditions, decided, node)?;
            }
        }
        set.lower(graph, node)
    }
}

/// Where the decision about a call leads to.
struct Leaves<F> {
    /// When the call is allowed.
    allowed: NodeId,
    /// What is returned for every other action.
    other: F,
}

impl<F: Fn(Action) -> u32> Leaves<F> {
    fn node(&self, graph: &mut Graph, action: Action) -> Result<NodeId, TooLong> {
        if action == Action::Allow { Ok(self.allowed) } else { graph.ret((self.other)(action)) }
    }
}

/// What could match each call, taken number after number.
struct Alternatives<'a> {
    by_number: Vec<(u32, Alternative<'a>)>,
    taken: usize,
}

impl<'a> Alternatives<'a> {
    fn of(filter: &'a Filter, arch: Arch) -> Self {
        Self { by_number: filter.alternatives_by_number(arch), taken: 0 }
    }

    /// Those of `number`, which is above all that were asked for before.
    fn next(&mut self, number: u32) -> &[(u32, Alternative<'a>)] {
        let rest = &self.by_number[self.taken..];
        let these = rest.partition_point(|(of, _)| *of <= number);
        self.taken += these;
        &rest[..these]
    }
}
