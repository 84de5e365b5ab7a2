//! A compiled filter: classic-BPF instructions for seccomp(2).

use std::fmt;

use crate::interpret::Operation;

/// One classic-BPF instruction.
///
/// Source: `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation: class, size or operator, and mode.
    pub code: u16,
    /// How many instructions to skip when a jump's test holds.
    pub jt: u8,
    /// How many instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A valid program for `SECCOMP_SET_MODE_FILTER`. Only the compiler makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    instructions: Box<[Instruction]>,
}

impl Program {
    /// The most instructions that the kernel takes (`BPF_MAXINSNS`).
    pub const MAX_LEN: usize = 4096;

    pub(crate) fn new(instructions: Vec<Instruction>) -> Self {
        Self { instructions: instructions.into() }
    }

    /// The instructions in order.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// How many instructions there are, at least one and at most [`Self::MAX_LEN`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a program is never empty")]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The instructions in the layout of an array of `struct sock_filter`, eight bytes each, in native byte order.
    #[must_use]
    pub fn as_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() * 8);
        for instruction in &self.instructions {
            bytes.extend_from_slice(&instruction.code.to_ne_bytes());
            bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
            bytes.extend_from_slice(&instruction.k.to_ne_bytes());
        }
        bytes
    }
}

/// The disassembly, one numbered instruction per line. Jumps show the numbers of their targets.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instruction) in self.instructions.iter().enumerate() {
            let Instruction { code, jt, jf, k } = *instruction;
            write!(f, "{at:4}: ")?;
            let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
            match Operation::decode(code) {
                Some(Operation::Load) => writeln!(f, "ld   {}", word(k))?,
                Some(Operation::And) => writeln!(f, "and  {k:#x}")?,
                Some(Operation::Jump) => writeln!(f, "ja   {}", at as u64 + 1 + u64::from(k))?,
                Some(Operation::JumpEqual) => writeln!(f, "jeq  {k:#x}, {yes}, {no}")?,
                Some(Operation::JumpGreater) => writeln!(f, "jgt  {k:#x}, {yes}, {no}")?,
                Some(Operation::JumpGreaterOrEqual) => writeln!(f, "jge  {k:#x}, {yes}, {no}")?,
                Some(Operation::JumpSet) => writeln!(f, "jset {k:#x}, {yes}, {no}")?,
                Some(Operation::Return) => writeln!(f, "ret  {}", verdict(k))?,
                None => writeln!(f, "?    {code:#x} {jt} {jf} {k:#x}")?,
            }
        }
        Ok(())
    }
}

/// A word of `struct seccomp_data` by its offset.
fn word(offset: u32) -> String {
    match offset {
        0 => "nr".to_owned(),
        4 => "arch".to_owned(),
        16.. if offset.is_multiple_of(8) => format!("arg{}.low", (offset - 16) / 8),
        16.. if offset % 8 == 4 => format!("arg{}.high", (offset - 16) / 8),
        _ => format!("[{offset}]"),
    }
}

/// A return value of a seccomp filter.
fn verdict(value: u32) -> String {
    let data = value & 0xffff;
    match value & 0xffff_0000 {
        ret::ALLOW => "allow".to_owned(),
        ret::ERRNO => format!("errno {data}"),
        ret::USER_NOTIF => "notify".to_owned(),
        ret::LOG => "log".to_owned(),
        ret::TRAP => "trap".to_owned(),
        ret::KILL_PROCESS => "kill".to_owned(),
        _ => format!("{value:#x}"),
    }
}

/// Return values of a seccomp filter.
///
/// Source: `linux/seccomp.h`.
pub(crate) mod ret {
    pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(crate) const TRAP: u32 = 0x0003_0000;
    pub(crate) const ERRNO: u32 = 0x0005_0000;
    pub(crate) const USER_NOTIF: u32 = 0x7fc0_0000;
    pub(crate) const LOG: u32 = 0x7ffc_0000;
    pub(crate) const ALLOW: u32 = 0x7fff_0000;
}
