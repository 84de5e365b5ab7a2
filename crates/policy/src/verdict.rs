use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::FileName;
use crate::limits::LimitKey;
use crate::report::Explanation;

/// How a job ended. Never an error of Lazaret's own: those are `Err`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// The command exited with 0 and every output was collected.
    Ok,
    /// The command exited with another code, or could not be started.
    Exit {
        /// The exit code. 126 or 127 when the command could not be started.
        code: u8,
        /// Why the command could not be started. Null: it was started, and the code is its own.
        start_failure: Option<StartFailure>,
    },
    /// The command's first process was ended by a signal that no limit of ours sent.
    Signal {
        /// The signal's number on this architecture.
        number: i32,
        /// Its name, such as `SIGSEGV`.
        name: String,
    },
    /// The wall-clock time was used up.
    Timeout {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// The processor time was used up.
    CpuLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// The kernel killed a process of the job because the job's memory was used up.
    MemoryLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// The job failed after a process or thread could not be made.
    ProcessLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// A file would have grown over the bound.
    FileSizeLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// Standard output or standard error went over its bound. What came before is kept.
    OutputLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// The job failed after `/job` or `/tmp` was full.
    DiskLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// What the job sent or received beyond itself, or the time of a connection, went over its bound.
    NetworkLimit {
        /// The limit that was hit.
        limit: LimitHit,
    },
    /// The job made a system call that the policy answers with death.
    Violation {
        /// The call's name, or its number when it has none in the table.
        call: String,
        /// The call's number.
        number: u32,
        /// Its six argument registers.
        args: [u64; 6],
        /// The rule that decided. Null: the policy's default did.
        rule: Option<String>,
        /// The architecture whose call it was, such as `x86_64`.
        arch: String,
        /// What the call was and where it came from. Null: it was not looked at.
        #[serde(default)]
        explanation: Option<Box<Explanation>>,
    },
    /// The caller cancelled the job, or Lazaret was told to stop.
    Cancelled,
    /// The command exited with 0, but a wanted output could not be taken.
    OutputMissing {
        /// The output's name in `/job`.
        name: FileName,
        /// What is there instead.
        reason: OutputProblem,
    },
}

impl Verdict {
    /// The command exited by itself with `code`.
    pub const fn exited(code: u8) -> Self {
        match code {
            0 => Self::Ok,
            code => Self::Exit { code, start_failure: None },
        }
    }

    /// The command could not be started. The code is 127 when it was not found, otherwise 126, as in a shell.
    pub const fn not_started(failure: StartFailure) -> Self {
        let code = failure.kind.exit_code();
        Self::Exit { code, start_failure: Some(failure) }
    }

    /// The command's first process was ended by signal `number`.
    pub fn signalled(number: i32) -> Self {
        Self::Signal { number, name: signal_name(number) }
    }

    /// The verdict for a limit that ended the job. `None` for the limits that only slow a job down or refuse a call
    /// (`open-files`, `cpus`, `io-rate`, `net-connections`).
    pub fn of_limit(limit: LimitHit) -> Option<Self> {
        match limit.key {
            LimitKey::Wall => Some(Self::Timeout { limit }),
            LimitKey::Cpu => Some(Self::CpuLimit { limit }),
            LimitKey::Memory => Some(Self::MemoryLimit { limit }),
            LimitKey::Processes => Some(Self::ProcessLimit { limit }),
            LimitKey::FileSize => Some(Self::FileSizeLimit { limit }),
            LimitKey::Output => Some(Self::OutputLimit { limit }),
            LimitKey::Disk => Some(Self::DiskLimit { limit }),
            LimitKey::NetSent | LimitKey::NetReceived | LimitKey::NetTime => Some(Self::NetworkLimit { limit }),
            LimitKey::OpenFiles | LimitKey::Cpus | LimitKey::IoRate | LimitKey::NetConnections => None,
        }
    }

    /// Whether the job succeeded.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    /// The value of `kind` in a report.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exit { .. } => "exit",
            Self::Signal { .. } => "signal",
            Self::Timeout { .. } => "timeout",
            Self::CpuLimit { .. } => "cpu-limit",
            Self::MemoryLimit { .. } => "memory-limit",
            Self::ProcessLimit { .. } => "process-limit",
            Self::FileSizeLimit { .. } => "file-size-limit",
            Self::OutputLimit { .. } => "output-limit",
            Self::DiskLimit { .. } => "disk-limit",
            Self::NetworkLimit { .. } => "network-limit",
            Self::Violation { .. } => "violation",
            Self::Cancelled => "cancelled",
            Self::OutputMissing { .. } => "output-missing",
        }
    }

    /// The limit that ended the job, when one did.
    pub const fn limit(&self) -> Option<&LimitHit> {
        match self {
            Self::Timeout { limit }
            | Self::CpuLimit { limit }
            | Self::MemoryLimit { limit }
            | Self::ProcessLimit { limit }
            | Self::FileSizeLimit { limit }
            | Self::OutputLimit { limit }
            | Self::DiskLimit { limit }
            | Self::NetworkLimit { limit } => Some(limit),
            Self::Ok
            | Self::Exit { .. }
            | Self::Signal { .. }
            | Self::Violation { .. }
            | Self::Cancelled
            | Self::OutputMissing { .. } => None,
        }
    }

    /// The exit status of `lazaret run`: the job's own; 128+N for signal N; 124 for wall-clock or processor
    /// time; 126 or 127 when the command could not be started; 123 for every other verdict.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Exit { code, .. } => *code,
            Self::Signal { number, .. } => u8::try_from(number.saturating_add(128)).unwrap_or(u8::MAX),
            Self::Timeout { .. } | Self::CpuLimit { .. } => 124,
            Self::MemoryLimit { .. }
            | Self::ProcessLimit { .. }
            | Self::FileSizeLimit { .. }
            | Self::OutputLimit { .. }
            | Self::DiskLimit { .. }
            | Self::NetworkLimit { .. }
            | Self::Violation { .. }
            | Self::Cancelled
            | Self::OutputMissing { .. } => 123,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("the job succeeded"),
            Self::Exit { code: _, start_failure: Some(failure) } => failure.fmt(f),
            Self::Exit { code, start_failure: None } => write!(f, "the command exited with {code}"),
            Self::Signal { number, name } => {
                write!(f, "the command was ended by {name} (signal {number})")
            }
            Self::Timeout { limit } => write!(f, "the job was stopped: it ran into its {limit}"),
            Self::CpuLimit { limit } => write!(f, "the job was stopped: it used up its {limit}"),
            Self::MemoryLimit { limit } => write!(f, "the job was stopped: it used up its {limit}"),
            Self::ProcessLimit { limit } => write!(f, "the job failed at its {limit}"),
            Self::FileSizeLimit { limit } => write!(f, "a file of the job reached its {limit}"),
            Self::OutputLimit { limit } => {
                write!(f, "the job was stopped: what it wrote reached its {limit}")
            }
            Self::DiskLimit { limit } => write!(f, "the job filled its {limit}"),
            Self::NetworkLimit { limit } => write!(f, "the job was stopped: its network went over its {limit}"),
            Self::Violation { call, rule: Some(rule), .. } => {
                write!(f, "the job was killed for the system call `{call}`, by the rule `{rule}`")
            }
            Self::Violation { call, rule: None, .. } => {
                write!(f, "the job was killed for the system call `{call}`, by the policy's default")
            }
            Self::Cancelled => f.write_str("the job was cancelled"),
            Self::OutputMissing { name, reason } => write!(f, "the output `{name}` {reason}"),
        }
    }
}

/// A limit that a job ran into, with what is needed to raise it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitHit {
    /// The limit.
    pub key: LimitKey,
    /// Its value, as written in a policy.
    pub value: String,
    /// How to raise it.
    pub raise: String,
}

impl LimitHit {
    /// The limit `key` was hit at `value`.
    pub fn new(key: LimitKey, value: impl Into<String>) -> Self {
        Self { key, value: value.into(), raise: format!("--limit {key}=\u{2026} or [limits] {key}") }
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, raise } = self;
        write!(f, "{key} limit of {value} (raise it with {raise})")
    }
}

/// Why the command could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartFailure {
    /// What kind of failure it was.
    pub kind: StartFailureKind,
    /// The command as given.
    pub command: String,
    /// The error number of the failing `execve`.
    pub errno: i32,
    /// One sentence more: where it was searched, which interpreter is missing.
    pub detail: String,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, command, errno, detail } = self;
        let what = match kind {
            StartFailureKind::NotFound => "was not found",
            StartFailureKind::NotExecutable => "is not executable",
            StartFailureKind::BadInterpreter => "has an interpreter that cannot be run",
            StartFailureKind::Other => "could not be started",
        };
        write!(f, "the command `{command}` {what} (errno {errno})")?;
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

/// The ways in which a command cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartFailureKind {
    /// No such file in the jail.
    NotFound,
    /// A directory, or no execute permission, or no executable format.
    NotExecutable,
    /// A script's `#!` line, or a program's dynamic loader, names something that cannot be run.
    BadInterpreter,
    /// Anything else.
    Other,
}

impl StartFailureKind {
    /// 127 when the command was not found, otherwise 126.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::NotFound => 127,
            Self::NotExecutable | Self::BadInterpreter | Self::Other => 126,
        }
    }
}

/// Why an output was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OutputProblem {
    /// Nothing has that name.
    Missing,
    /// It is a symbolic link. Links are never followed.
    Symlink,
    /// It is a directory.
    Directory,
    /// It is a FIFO.
    Fifo,
    /// It is a device node.
    Device,
    /// It is a socket.
    Socket,
    /// It has more than one name, so it may be a file from elsewhere.
    HardLinked,
    /// It is larger than may be taken out.
    TooLarge {
        /// The bound in bytes.
        bound: u64,
    },
    /// It could not be read.
    Unreadable {
        /// The error number.
        errno: i32,
    },
    /// It lies outside `/job`, on another mount.
    Escapes,
}

impl fmt::Display for OutputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("was not written"),
            Self::Symlink => f.write_str("is a symbolic link, and links are not followed"),
            Self::Directory => f.write_str("is a directory, not a regular file"),
            Self::Fifo => f.write_str("is a FIFO, not a regular file"),
            Self::Device => f.write_str("is a device, not a regular file"),
            Self::Socket => f.write_str("is a socket, not a regular file"),
            Self::HardLinked => f.write_str("has more than one hard link"),
            Self::TooLarge { bound } => {
                write!(f, "is larger than the {bound} bytes that may be taken (file-size and disk under [limits])")
            }
            Self::Unreadable { errno } => write!(f, "could not be read (errno {errno})"),
            Self::Escapes => f.write_str("lies outside /job"),
        }
    }
}

/// Signals 1 to 31 of the generic numbering, which x86-64, arm64 and riscv64 share.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of signal `number`, in the numbering that x86-64, arm64 and riscv64 share: `SIGSEGV`, `SIGRTMIN+3`,
/// and `signal 99` for what has no name. The kernel's first real-time signal, 32, is called `SIGRTMIN`.
///
/// Source: signal(7), `include/uapi/asm-generic/signal.h`.
pub fn signal_name(number: i32) -> String {
    let named = usize::try_from(number).ok().and_then(|number| SIGNALS.get(number.checked_sub(1)?));
    match (named, number) {
        (Some(name), _) => (*name).to_owned(),
        (None, 32) => "SIGRTMIN".to_owned(),
        (None, 33..=64) => format!("SIGRTMIN+{}", number - 32),
        (None, _) => format!("signal {number}"),
    }
}

/// The number of a signal that [`signal_name`] names.
pub fn signal_number(name: &str) -> Option<i32> {
    (1..=64).find(|number| signal_name(*number) == name)
}

#[cfg(test)]
mod tests;
