//! Launch blocks: shared mappings that hold everything a launch needs.
//!
//! ```text
//! Header | Step × n | bytes: strings, structures, filter programs, argument vectors
//! ```
//!
//! The parent writes a block; the launched processes read the steps, keep descriptors in the header's slots and write how
//! it went into its outcome. Offsets count from the start of the block, so that it may lie at different addresses.
//!
//! The first block, named on the command line, makes process 1 in its namespaces. Process 1 then waits on its channel for
//! messages, each of which brings one more block: first the descriptor of the block, then those that fill its slots. A
//! message has one byte for each descriptor: the first is [`NO_SLOT`], the others are slots. The first [`CARRIED`] slots
//! go over from each block to the next. A block that names a program is the last.

/// Marks a launch block, with its version in the last byte.
pub const MAGIC: u64 = u64::from_le_bytes(*b"lazaret\x04");

/// How many descriptors a launch can name.
pub const SLOTS: usize = 240;

/// How many slots keep their descriptors from one block to the next.
pub const CARRIED: usize = 9;

/// The slot of process 1's end of the channel to the caller.
pub const CHANNEL: usize = 0;

/// How many points in time a block can note.
pub const MARKS: usize = 24;

/// The start of a launch block.
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// Offset of the first [`Step`], bytes.
    pub steps_at: u32,
    /// Offset and number of the [`List::COUNT`] step lists, in steps from the first.
    pub lists: [Span; List::COUNT],
    /// Offset (bytes) and number of the places (each a `u32` offset) that hold a block offset to be turned into an address.
    pub relocations: Span,
    /// What to execute.
    pub program: Program,
    /// Descriptors by slot; filled by the parent and by steps that save their answer.
    pub slots: [i32; SLOTS],
    /// How the launch went and how the job ended; written by the launched processes alone.
    pub outcome: Outcome,
}

/// A place and a count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Where it starts.
    pub at: u32,
    /// How many there are.
    pub count: u32,
}

/// Paths to try in turn, as execvp(3) does, and the vectors to hand over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Program {
    /// Offset of an array of addresses of NUL-terminated paths, and their number.
    pub candidates: Span,
    /// Offset of the argument vector.
    pub argv_at: u32,
    /// Offset of the environment vector.
    pub envp_at: u32,
    /// What the calls between filter and exec hold in their sixth register, which none of them uses: a filter that has a
    /// supervisor told of such calls leaves these alone, as nobody listens yet.
    pub token: u64,
    /// 1 when faccessat(2) may be called under the filter: it is permitted, or refused without anyone being told.
    pub may_look: u32,
}

/// The lists of steps, in the order in which processes walk them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum List {
    /// Outside of every namespace, with the caller's rights.
    Start = 0,
    /// Process 1 inside the new namespaces: what no policy changes.
    Isolate = 1,
    /// Process 1: the policy's root and rights.
    Build = 2,
    /// Process 1: one job's group, streams and inputs, up to its fork.
    Admit = 3,
    /// The job's process, up to its exec.
    Enter = 4,
}

impl List {
    /// How many lists there are.
    pub const COUNT: usize = 5;
}

/// One step: a system call, or an operation of the walker's own (`op`), with its arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// System call number, or one of [`op`].
    pub call: u32,
    /// An errno that counts as success, 0 for none, or `u16::MAX` for any.
    pub tolerate: u16,
    /// The slot that keeps the answer, or [`NO_SLOT`].
    pub save: u8,
    /// How to read each of `args`: one of [`kind`].
    pub kinds: [u8; 6],
    /// The arguments.
    pub args: [u64; 6],
}

/// A step's answer is not kept.
pub const NO_SLOT: u8 = u8::MAX;

/// How a step's argument is to be read.
pub mod kind {
    /// The number itself.
    pub const NUMBER: u8 = 0;
    /// A block offset; the call gets its address.
    pub const ADDRESS: u8 = 1;
    /// A slot; the call gets the descriptor in it.
    pub const SLOT: u8 = 2;
}

/// Operations of the walker's own.
pub mod op {
    /// Note the time in mark `args[0]`.
    pub const MARK: u32 = 0x8000_0000;
    /// Clone with flags `args[0]`; the child, process 1 of its namespace, walks `List::Isolate`, then waits for blocks;
    /// this process exits. With an `args[1]`, the text of an id map for both user and group ids (`args[2]` bytes), this
    /// process writes the child's maps first, for which the child can wait with [`AWAIT_IDS`].
    pub const CLONE_INIT: u32 = 0x8000_0001;
    /// Wait until this process's ids are mapped.
    pub const AWAIT_IDS: u32 = 0x8000_0008;
    /// Fork the job, which walks `List::Enter` and executes the program; go on when it has, or has failed.
    pub const FORK_JOB: u32 = 0x8000_0002;
    /// Copy the whole file in descriptor `args[1]` to descriptor `args[0]`.
    pub const COPY: u32 = 0x8000_0003;
    /// Give up if the other end of the socket in descriptor `args[0]` is closed: the caller is dead.
    pub const LIFELINE: u32 = 0x8000_0004;
    /// Give every signal its default action.
    pub const DEFAULT_SIGNALS: u32 = 0x8000_0005;
    /// Send the descriptors of the slots listed at `args[1]` (`args[2]` bytes; empty slots are left out) over the
    /// socket `args[0]`, with one byte for each telling its place in the list.
    pub const SEND_SLOTS: u32 = 0x8000_0006;
    /// Outside of a pid namespace: note that descriptor `args[0]` lists this process's children (proc(5),
    /// `/proc/PID/task/TID/children`), and `args[1]` is the channel to the caller. From then on this process kills every
    /// process that descends from it before it ends, and ends when a signal comes or the caller is gone.
    pub const KEEP_CHILDREN: u32 = 0x8000_0009;
    /// landlock_add_rule(2) on ruleset `args[0]` with a struct landlock_path_beneath_attr of the rights `args[3]` and the
    /// descriptor `args[1]`, rule type `args[2]`.
    pub const LANDLOCK_RULE: u32 = 0x8000_0007;
}

/// What the launched processes tell their parent. The job never sees this memory: its exec unmaps it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Process id of process 1, as its creator sees it; 0 until there is one.
    pub init_pid: i32,
    /// Whether process 1's ids are mapped: 0 not yet, 1 yes, 2 they will never be. A futex(2) word.
    pub mapped: u32,
    /// 1 when a step failed; the next three fields tell which.
    pub failed: u32,
    /// The list, as [`List`].
    pub failed_list: u32,
    /// Index of the step within its list.
    pub failed_step: u32,
    /// Errno of the failed step, or of the last attempt to execute.
    pub errno: i32,
    /// 1 when the job's process reached its exec (which may have failed: `exec_errno`).
    pub reached_exec: u32,
    /// Errno with which every candidate failed, 0 if one was executed.
    pub exec_errno: i32,
    /// Index of the candidate that `exec_errno` speaks of.
    pub exec_candidate: u32,
    /// 1 when that candidate exists.
    pub exec_exists: u32,
    /// 1 when the job's first process has ended, `wait_status` then holds how.
    pub ended: u32,
    /// 1 when the job's process was forked.
    pub forked: u32,
    /// 1 when no process that descends from process 1 is left: told after [`op::KEEP_CHILDREN`] alone.
    pub buried: u32,
    /// As wait4(2) gives it.
    pub wait_status: i32,
    /// struct rusage of the job's first process and those it waited for, as wait4(2) gives it: 18 longs.
    pub usage: [u64; 18],
    /// CLOCK_MONOTONIC of the caller's time namespace in ns, by mark; 0 when not reached.
    pub marks: [u64; MARKS],
}
