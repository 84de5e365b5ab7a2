//! Recordings: what was seen of a program, kept so that it can be joined with what is seen elsewhere.
//!
//! A recording is a JSON file of one session or more, each from one machine. Everything is kept as it was seen, for each
//! session by itself; a policy is made of all of them when it is asked for.

mod file;
mod join;
mod seen;
#[cfg(test)]
mod tests;

pub use file::{RecordError, read, replace, write};
pub use join::{Conflict, join};
pub use seen::Seen;

use lazaret_inspect::PathAccess;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What every recording says it is.
pub const FORMAT: &str = "lazaret recording";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// One session or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recording {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The sessions, in the order in which they were joined.
    pub sessions: Vec<Session>,
}

impl Recording {
    /// A recording of one session.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, sessions: vec![session] }
    }
}

/// What one machine saw of one program over one corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Session {
    /// The version of Lazaret.
    pub lazaret: String,
    /// Where it was.
    pub machine: Machine,
    /// The command, `{}` standing for a file of the corpus.
    pub command: Vec<String>,
    /// The policy that it was learned on top of, by name or path. `None`: none.
    pub base: Option<String>,
    /// The environment, as a policy would set it.
    pub environment: BTreeMap<String, String>,
    /// The files of the corpus that were learned from, in the order of their runs.
    pub files: Vec<String>,
    /// The files of the corpus that were not learned from, and why.
    pub left_out: Vec<LeftOut>,
    /// Files that were learned from although the program failed on them, and how it ended.
    pub failed: Vec<LeftOut>,
    /// The programs that ran, by path.
    pub programs: Vec<Program>,
    /// System calls.
    pub calls: Vec<CallFact>,
    /// Paths.
    pub paths: Vec<PathFact>,
    /// Addresses.
    pub hosts: Vec<HostFact>,
    /// Names that were asked for.
    pub names: Vec<NameFact>,
    /// The most that any run used.
    pub peaks: Peaks,
    /// What a look into the program's files found. `None`: nobody looked.
    pub possible: Option<Possible>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Machine {
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// The kernel's release.
    pub kernel: String,
    /// The distribution's name for itself; empty where it has none.
    pub system: String,
    /// Whether writes outside of the runs' own directories were refused (Landlock).
    pub confined: bool,
}

/// A file of the corpus that something is to be said about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeftOut {
    /// Its path below the corpus.
    pub file: String,
    /// What happened.
    pub why: String,
}

/// A program that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// Its path, without links.
    pub path: String,
    /// SHA-256 of its file, in hexadecimal; empty when it could not be read.
    pub sha256: String,
}

/// Whose call it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The program's or one of its libraries'.
    Program,
    /// The dynamic loader's: the instruction lies in its mapping.
    Loader,
}

/// A call with the values of the arguments that are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CallFact {
    /// Its name; `#NUMBER` when the table has none.
    pub call: String,
    /// What was looked at, in the order of the table of looks.
    pub values: Vec<u64>,
    /// The arguments of the first such call.
    pub example: [u64; 6],
    /// Whose it was.
    pub by: Origin,
    /// Which program, as an index into [`Session::programs`].
    pub program: usize,
    /// What was answered.
    pub answer: Answered,
    /// In which runs.
    pub files: Seen,
}

/// What a call was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// The kernel performed it.
    Made,
    /// It failed as the base has it fail silently.
    Silenced,
    /// It failed as it does under every policy: `clone3`, io_uring, unknown and foreign calls.
    Never,
}

/// What was done at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathFact {
    /// The path as the program named it, made absolute.
    pub path: String,
    /// The links that it leads through, and the path behind the last of them, each without links before its last part.
    /// Empty: nothing is there.
    pub leads: Vec<String>,
    /// What is there.
    pub kind: PathKind,
    /// What the calls would do.
    pub access: Access,
    /// Whose calls.
    pub by: Origin,
    /// Which program, as an index into [`Session::programs`].
    pub program: usize,
    /// In which runs.
    pub files: Seen,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// Nothing.
    Absent,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A device.
    Device,
    /// A socket or a FIFO.
    Other,
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It is looked at.
    Look,
    /// It is read; a directory is listed.
    Read,
    /// It is executed.
    Execute,
    /// It is made, changed or removed.
    Write,
}

impl From<PathAccess> for Access {
    fn from(access: PathAccess) -> Self {
        match access {
            PathAccess::Metadata => Self::Look,
            PathAccess::Read | PathAccess::List => Self::Read,
            PathAccess::Execute => Self::Execute,
            PathAccess::Write | PathAccess::Create | PathAccess::Remove | PathAccess::ChangeMetadata => Self::Write,
        }
    }
}

/// An address that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostFact {
    /// The address as text: `192.0.2.1:443`, `[::1]:53`, `unix:/run/socket`.
    pub address: String,
    /// `bind` and `connect` of streams; `receive`, what datagrams are received at, and `send`, where they are sent to.
    pub role: String,
    /// Names that /etc/hosts has for it, where the program read that file.
    pub names: Vec<String>,
    /// In which runs.
    pub files: Seen,
}

/// A name that the program asked the DNS for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NameFact {
    /// The name.
    pub name: String,
    /// In which runs.
    pub files: Seen,
}

/// The most that any one run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peaks {
    /// Wall-clock milliseconds.
    pub wall_ms: u64,
    /// Milliseconds of processor time.
    pub cpu_ms: u64,
    /// Resident bytes of all processes together.
    pub memory: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Bytes of the largest file.
    pub file_size: u64,
    /// Bytes in the working directory and the one for temporary files.
    pub disk: u64,
    /// Bytes on standard output or error, whichever had more.
    pub output: u64,
    /// Descriptors of one process at once.
    pub open_files: u64,
}

impl Peaks {
    /// The greater of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let Self { wall_ms, cpu_ms, memory, processes, file_size, disk, output, open_files } = other;
        Self {
            wall_ms: self.wall_ms.max(wall_ms),
            cpu_ms: self.cpu_ms.max(cpu_ms),
            memory: self.memory.max(memory),
            processes: self.processes.max(processes),
            file_size: self.file_size.max(file_size),
            disk: self.disk.max(disk),
            output: self.output.max(output),
            open_files: self.open_files.max(open_files),
        }
    }
}

/// What the code of a program and its libraries could call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Possible {
    /// The calls, by name, sorted.
    pub calls: Vec<String>,
    /// The files that were looked into.
    pub files: Vec<String>,
    /// Files that could not be looked into, and why.
    pub unread: Vec<LeftOut>,
    /// Places that make a call whose number could not be found.
    pub unknown: u64,
}
