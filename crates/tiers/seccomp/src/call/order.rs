//! What a call's process does to itself, decided when the function is sandboxed. Plain data, which a spawner is sent.

use serde::{Deserialize, Serialize};

/// What stands for the process's own id in a filter that is compiled before there is a process.
pub(crate) const SELF: u32 = 0x7e57_1d00;

/// Everything that a call's process needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The filter, as an array of struct sock_filter.
    pub(crate) program: Vec<u8>,
    /// The instructions whose operand is the process's own id.
    pub(crate) own_id: Vec<u16>,
    /// Whether refused calls are told to the caller.
    pub(crate) listen: bool,
    /// Whether a Landlock ruleset comes along.
    pub(crate) restrict: bool,
    /// The number under which the process holds its socket: not below `open_files`.
    pub(crate) socket: i32,
    /// Whether it may have pages of its output made ahead (madvise(2)).
    pub(crate) advise: bool,
    /// Bytes.
    pub(crate) file_size: u64,
    /// Bytes, beyond what the process begins with.
    pub(crate) memory: u64,
    /// Seconds, rounded up: the caller keeps the exact time.
    pub(crate) cpu_seconds: u64,
}

impl Order {
    /// The filter of the process `pid`.
    pub(crate) fn program_of(&self, pid: u32) -> Vec<u8> {
        let mut program = self.program.clone();
        for at in &self.own_id {
            let operand = usize::from(*at) * 8 + 4;
            program[operand..operand + 4].copy_from_slice(&pid.to_ne_bytes());
        }
        program
    }
}
