//! An interpreter of compiled filters, for tests and tools.

use crate::filter::Call;
use crate::program::{Instruction, Program, ret};

/// The operations that seccomp programs of this compiler use.
///
/// Source: `linux/filter.h` and `linux/bpf_common.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Load a 32-bit word of `struct seccomp_data`.
    Load,
    And,
    Jump,
    JumpEqual,
    JumpGreater,
    JumpGreaterOrEqual,
    JumpSet,
    Return,
}

impl Operation {
    const ALL: [Self; 8] = [
        Self::Load,
        Self::And,
        Self::Jump,
        Self::JumpEqual,
        Self::JumpGreater,
        Self::JumpGreaterOrEqual,
        Self::JumpSet,
        Self::Return,
    ];

    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Load => 0x20,
            Self::And => 0x54,
            Self::Jump => 0x05,
            Self::JumpEqual => 0x15,
            Self::JumpGreater => 0x25,
            Self::JumpGreaterOrEqual => 0x35,
            Self::JumpSet => 0x45,
            Self::Return => 0x06,
        }
    }

    pub(crate) fn decode(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.code() == code)
    }
}

/// What `program` returns to the kernel for `call`: a `SECCOMP_RET_*` value with its data.
///
/// A program that is not valid, which the compiler never makes, returns `SECCOMP_RET_KILL_PROCESS`.
#[must_use]
pub fn run(program: &Program, call: &Call) -> u32 {
    trace(program, call).0
}

/// As [`run`], with the number of instructions that were executed.
#[must_use]
pub fn trace(program: &Program, call: &Call) -> (u32, usize) {
    let mut accumulator = 0_u32;
    let mut at = 0_usize;
    let mut steps = 0;
    while let Some(Instruction { code, jt, jf, k }) = program.instructions().get(at).copied() {
        at += 1;
        steps += 1;
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        match Operation::decode(code) {
            Some(Operation::Load) => match load(call, k) {
                Some(word) => accumulator = word,
                None => break,
            },
            Some(Operation::And) => accumulator &= k,
            Some(Operation::Jump) => match usize::try_from(k).ok().and_then(|k| at.checked_add(k)) {
                Some(target) => at = target,
                None => break,
            },
            Some(Operation::JumpEqual) => at += branch(accumulator == k),
            Some(Operation::JumpGreater) => at += branch(accumulator > k),
            Some(Operation::JumpGreaterOrEqual) => at += branch(accumulator >= k),
            Some(Operation::JumpSet) => at += branch(accumulator & k != 0),
            Some(Operation::Return) => return (k, steps),
            None => break,
        }
    }
    (ret::KILL_PROCESS, steps)
}

/// The word of `struct seccomp_data` at `offset`. The instruction pointer reads as zero.
fn load(call: &Call, offset: u32) -> Option<u32> {
    match offset {
        0 => Some(call.nr),
        4 => Some(call.audit_arch),
        8 | 12 => Some(0),
        16..64 if offset.is_multiple_of(4) => {
            let argument = call.args[usize::try_from((offset - 16) / 8).ok()?];
            let half = if offset.is_multiple_of(8) { argument } else { argument >> 32 };
            u32::try_from(half & u64::from(u32::MAX)).ok()
        }
        _ => None,
    }
}
