//! What a job was refused, and what there is to say about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A system call that was refused or logged, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The call's name, or its number when it has none in the table.
    pub call: String,
    /// The call's number.
    pub number: u32,
    /// The six argument registers of the first such call.
    pub args: [u64; 6],
    /// The error number that the job got; 0 when the call was let through and only logged.
    pub errno: i32,
    /// How many such calls there were.
    pub count: u64,
    /// The rule that decided. Null: the policy's default did.
    pub rule: Option<String>,
    /// A rule that would allow it. Null: nothing can.
    pub suggestion: Option<String>,
    /// What the first such call was and where it came from. Null: it was only logged.
    #[serde(default)]
    pub explanation: Option<Box<Explanation>>,
}

/// A refused call in words: what it was, where it came from, and what would allow it.
///
/// What a job's memory held is quoted, with bytes that do not print as `\xNN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The arguments in order, as far as the call is known to have them.
    pub arguments: Vec<ArgumentText>,
    /// The thread that made the call. Null: it was gone before it could be looked at.
    pub thread: Option<ThreadText>,
    /// The call's stack, innermost frame first. Empty: `stack_note` says why.
    pub stack: Vec<FrameText>,
    /// Why the stack is empty or may be cut. Null: it is whole.
    pub stack_note: Option<String>,
    /// The library, or the program itself, that asked for the call: the first of the stack that is neither the loader
    /// nor the C library. Null: it is not known.
    pub library: Option<String>,
    /// What the thread was at.
    pub phase: CallPhase,
    /// Where the policy has the rule, or the default, that decided: `profile default:73`, `thumbs.toml:17`.
    pub source: String,
    /// The groups that would allow the call, smallest first.
    pub groups: Vec<GroupText>,
    /// The first Linux that has the call on this architecture, such as `5.9`, `before 2.6`, or `never` for a number
    /// without a call behind it. Null: the call is not in the table.
    pub since_kernel: Option<String>,
    /// The first glibc with a function for it, such as `2.34`, or `always`, or `no wrapper`. Null: the call is not in
    /// the table.
    pub since_libc: Option<String>,
    /// The line of a policy that would allow it. Null: `why_not` says why there is none.
    pub allow: Option<String>,
    /// Why nothing in a policy can allow it. Null: `allow` can.
    pub why_not: Option<String>,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArgumentText {
    /// Its name, as rules may use it.
    pub name: String,
    /// Its value: a quoted path, names of flags, an address, or a number.
    pub value: String,
}

/// A thread of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadText {
    /// Its number, as the job sees it.
    pub tid: u32,
    /// The number of its process, as the job sees it.
    pub pid: u32,
    /// The name that it gave itself, or its program's.
    pub name: String,
}

/// A function on a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FrameText {
    /// The address in the job's memory: of the call's return, or behind the system call.
    pub address: u64,
    /// The file that is mapped there, as the job sees it. Null: none is.
    pub module: Option<String>,
    /// The address in the file's own numbering, as `nm` and `addr2line` take it; the place in the file where it was not
    /// looked into. Null: no file is mapped there.
    pub offset: Option<u64>,
    /// The function. Null: the file has no symbol there, or was not looked into.
    pub function: Option<String>,
    /// How far behind the function's beginning. Null with `function`.
    pub function_offset: Option<u64>,
    /// The source file. Null: the file has no such information.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

/// A group of system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupText {
    /// Its name with the `@`.
    pub name: String,
    /// What a hostile program gains by it.
    pub risk: String,
}

/// What a thread was at when it made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallPhase {
    /// The dynamic loader, before any code of the program's own.
    Loader,
    /// Initialisers of the program or of a library, or the C library's own start, before `main`.
    Initialisers,
    /// `main` and what it calls.
    Main,
    /// A thread beside the first.
    Thread,
    /// After `main` or in `exit`: exit handlers and finalisers.
    Exit,
    /// The stack does not tell.
    Unknown,
}

impl CallPhase {
    /// The name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Initialisers => "initialisers",
            Self::Main => "main",
            Self::Thread => "thread",
            Self::Exit => "exit",
            Self::Unknown => "unknown",
        }
    }
}

/// A path that a job asked for in vain although it exists outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathRefusal {
    /// The path from the root, as the job sees it; bytes that do not print are written `\xNN`.
    pub path: String,
    /// The call of the first time.
    pub call: String,
    /// What was to be done there: `read`, `write`, `create`, `remove`, `list`, `execute`, `metadata`, `change-metadata`.
    pub access: String,
    /// The error that the job gets: `ENOENT`, `EACCES`, `EPERM`, `EROFS`, `EOVERFLOW`, `EXDEV`.
    pub error: String,
    /// What refuses it: `not-shown`, `read-only`, `landlock`, `permissions`, `owner`, `attributes`, `other-mount`.
    pub cause: PathCause,
    /// How often.
    pub count: u64,
    /// The line of a policy that would allow it. Null: `why_not` says why there is none.
    pub allow: Option<String>,
    /// Why nothing in a policy allows it, and what to do instead. Null: `allow` does.
    pub why_not: Option<String>,
}

/// What refuses a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathCause {
    /// The policy does not show it.
    NotShown,
    /// It is on a mount that is read-only in the jail.
    ReadOnly,
    /// Landlock.
    Landlock,
    /// Owner and mode.
    Permissions,
    /// It is permitted to the owner alone, whatever the mode.
    Owner,
    /// The file is marked as one that nobody changes: chattr(1).
    Attributes,
    /// It was to be moved or linked to another mount.
    OtherMount,
}
