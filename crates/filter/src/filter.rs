//! A filter: ordered rules with actions, and the reference semantics of their decision.

#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::rule::{Leaning, Member, Rule};
use crate::table::CallId;

/// `EPERM`, the answer to io_uring under a filter that would otherwise permit it.
pub(crate) const EPERM: u16 = 1;
/// `ENOSYS`, the answer to calls that do not exist as far as the job is concerned.
pub(crate) const ENOSYS: u16 = 38;
/// `__X32_SYSCALL_BIT`: set in the number of a call of the x32 ABI.
const X32: u32 = 0x4000_0000;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The kernel performs it.
    Allow,
    /// It fails with this errno, silently: no supervisor hears of it. Zero feigns success.
    Errno(u16),
    /// It fails with this errno, and the supervisor, if there is one, records it.
    Refuse(u16),
    /// The kernel performs it, and it is recorded.
    Log,
    /// The thread gets SIGSYS.
    Trap,
    /// The process dies.
    Kill,
}

impl Action {
    /// Whether the call happens.
    #[must_use]
    pub fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }

    pub(crate) fn leaning(self) -> Leaning {
        if self.permits() { Leaning::Permit } else { Leaning::Refuse }
    }
}

/// A system call as the kernel shows it to a filter (`struct seccomp_data`, without the instruction pointer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// The `AUDIT_ARCH_*` value of the way the call was made.
    pub audit_arch: u32,
    /// The number, in the numbering of that architecture.
    pub nr: u32,
    /// The argument registers, all 64 bits.
    pub args: [u64; 6],
}

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule matched.
    Rule,
    /// No rule matched.
    Default,
    /// The call was made in the manner of another architecture, such as 32-bit x86.
    ForeignArch,
    /// The call was made in the x32 manner.
    X32,
    /// The table has no call of this number.
    Unknown,
    /// `clone3`, whose flags no filter can see, and no rule names it itself.
    Clone3,
    /// io_uring, which no rule and no default can permit.
    IoUring,
}

/// What a filter decides about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What becomes of the call.
    pub action: Action,
    /// The index of the rule that decided, if one did.
    pub rule: Option<usize>,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    fn fixed(action: Action, reason: Reason) -> Self {
        Self { action, rule: None, reason }
    }
}

/// Ordered rules with an action each, and a default. The last rule that matches a call decides.
///
/// Whatever the rules say, calls of a foreign architecture, of x32, and with a number that the table does not have are
/// refused with `ENOSYS`; `clone3` silently fails with `ENOSYS` unless a rule that names it itself matches; and
/// io_uring is never permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    default: Action,
    rules: Vec<(Rule, Action)>,
}

impl Filter {
    /// A filter without rules.
    #[must_use]
    pub fn new(default: Action) -> Self {
        Self { default, rules: Vec::new() }
    }

    /// The filter with one more rule, which prevails over the earlier ones.
    #[must_use]
    pub fn rule(mut self, rule: Rule, action: Action) -> Self {
        self.push(rule, action);
        self
    }

    /// Appends a rule, which prevails over the earlier ones.
    pub fn push(&mut self, rule: Rule, action: Action) {
        self.rules.push((rule, action));
    }

    /// The action when no rule matches.
    #[must_use]
    pub fn default_action(&self) -> Action {
        self.default
    }

    /// The rules in order; later ones prevail.
    #[must_use]
    pub fn rules(&self) -> &[(Rule, Action)] {
        &self.rules
    }

    /// What this filter decides about `call`, in the numbering of the architecture that `call` itself names.
    ///
    /// This is the reference for the compiler: a program compiled for the architecture of `call` decides the same. (A
    /// program takes all architectures but its own for foreign; this takes only those without a table for foreign,
    /// since a kernel never reports another 64-bit one.)
    #[must_use]
    pub fn decide(&self, call: &Call) -> Decision {
        let Some(arch) = Arch::from_audit(call.audit_arch) else {
            return Decision::fixed(Action::Refuse(ENOSYS), Reason::ForeignArch);
        };
        if arch == Arch::X86_64 && call.nr & X32 != 0 {
            return Decision::fixed(Action::Refuse(ENOSYS), Reason::X32);
        }
        let Some(id) = CallId::numbered(arch, call.nr) else {
            return Decision::fixed(Action::Refuse(ENOSYS), Reason::Unknown);
        };
        let decision = self
            .alternatives(id)
            .rev()
            .find(|alternative| {
                let leaning = alternative.action.leaning();
                alternative.member.conditions.iter().all(|condition| condition.resolve(arch, leaning).holds(&call.args))
            })
            .map_or_else(
                || self.fallback(id),
                |found| Decision { action: found.action, rule: Some(found.rule), reason: Reason::Rule },
            );
        if id.is_io_uring() && decision.action.permits() {
            return Decision::fixed(Action::Refuse(EPERM), Reason::IoUring);
        }
        decision
    }

    /// What could match the call, in order: the last that does decides.
    pub(crate) fn alternatives(&self, call: CallId) -> impl DoubleEndedIterator<Item = Alternative<'_>> {
        self.rules.iter().enumerate().filter(move |(_, (rule, _))| rule.is_direct() || !call.is_clone3()).flat_map(
            move |(index, (rule, action))| {
                rule.members_of(call).iter().map(move |member| Alternative { member, action: *action, rule: index })
            },
        )
    }

    /// What becomes of the call when no rule matches.
    pub(crate) fn fallback(&self, call: CallId) -> Decision {
        if call.is_clone3() {
            Decision::fixed(Action::Errno(ENOSYS), Reason::Clone3)
        } else if call.is_io_uring() && self.default.permits() {
            Decision::fixed(Action::Refuse(EPERM), Reason::IoUring)
        } else {
            Decision::fixed(self.default, Reason::Default)
        }
    }
}

/// A member of a rule that speaks of some call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alternative<'a> {
    pub(crate) member: &'a Member,
    pub(crate) action: Action,
    pub(crate) rule: usize,
}
