use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::UnknownName;
use crate::quantity::{
    ConnectionLimit, Cpus, DiskLimit, FileSizeLimit, IoRate, MemoryLimit, OpenFilesLimit, OutputLimit, ProcessLimit,
    QuantityError, TimeLimit, TrafficLimit,
};
use crate::source::{Source, Sourced};
use crate::verdict::LimitHit;

/// The name of a limit: the key under `[limits]` in a policy and of `--limit KEY=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKey {
    /// Wall-clock time from the start of the command.
    Wall,
    /// Processor time, user and system, of all processes together.
    Cpu,
    /// Memory of all processes together, swap and the files in `/job` and `/tmp` included.
    Memory,
    /// Processes and threads alive at once.
    Processes,
    /// Size of a single file.
    FileSize,
    /// What `/job` and `/tmp` hold together.
    Disk,
    /// Bytes captured of standard output, and as many of standard error.
    Output,
    /// Descriptors that one process may hold open.
    OpenFiles,
    /// Processor bandwidth in cores.
    Cpus,
    /// Bytes per second to and from block devices.
    IoRate,
    /// Connections that the job may ask for beyond itself.
    NetConnections,
    /// Bytes that it may send beyond itself, over all connections.
    NetSent,
    /// Bytes that it may receive from beyond itself, over all connections.
    NetReceived,
    /// How long one connection may last.
    NetTime,
}

impl LimitKey {
    /// Every key.
    pub const ALL: &[Self] = &[
        Self::Wall,
        Self::Cpu,
        Self::Memory,
        Self::Processes,
        Self::FileSize,
        Self::Disk,
        Self::Output,
        Self::OpenFiles,
        Self::Cpus,
        Self::IoRate,
        Self::NetConnections,
        Self::NetSent,
        Self::NetReceived,
        Self::NetTime,
    ];

    /// The name in policies, on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::FileSize => "file-size",
            Self::Disk => "disk",
            Self::Output => "output",
            Self::OpenFiles => "open-files",
            Self::Cpus => "cpus",
            Self::IoRate => "io-rate",
            Self::NetConnections => "net-connections",
            Self::NetSent => "net-sent",
            Self::NetReceived => "net-received",
            Self::NetTime => "net-time",
        }
    }

    /// What it bounds, in one line.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Wall => "wall-clock time",
            Self::Cpu => "processor time of all processes together",
            Self::Memory => "memory of all processes together, with swap and the files in /job and /tmp",
            Self::Processes => "processes and threads alive at once",
            Self::FileSize => "size of a single file",
            Self::Disk => "what /job and /tmp hold together",
            Self::Output => "bytes captured of standard output, and as many of standard error",
            Self::OpenFiles => "descriptors that one process may hold open",
            Self::Cpus => "processor bandwidth in cores",
            Self::IoRate => "bytes per second to and from block devices",
            Self::NetConnections => "connections that a job may ask for beyond itself",
            Self::NetSent => "bytes that a job may send beyond itself, over all connections",
            Self::NetReceived => "bytes that a job may receive from beyond itself, over all connections",
            Self::NetTime => "how long one connection may last",
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LimitKey {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .iter()
            .find(|key| key.name() == text)
            .copied()
            .ok_or_else(|| UnknownName::new("limit", text, Self::ALL.iter().map(|key| key.name())))
    }
}

/// The bounds of one job. Each value's type proves that its own bounds were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// See [`LimitKey::Wall`].
    pub wall: Sourced<TimeLimit>,
    /// See [`LimitKey::Cpu`].
    pub cpu: Sourced<TimeLimit>,
    /// See [`LimitKey::Memory`].
    pub memory: Sourced<MemoryLimit>,
    /// See [`LimitKey::Processes`].
    pub processes: Sourced<ProcessLimit>,
    /// See [`LimitKey::FileSize`].
    pub file_size: Sourced<FileSizeLimit>,
    /// See [`LimitKey::Disk`].
    pub disk: Sourced<DiskLimit>,
    /// See [`LimitKey::Output`].
    pub output: Sourced<OutputLimit>,
    /// See [`LimitKey::OpenFiles`].
    pub open_files: Sourced<OpenFilesLimit>,
    /// See [`LimitKey::Cpus`]. `None`: bandwidth is not bounded.
    pub cpus: Option<Sourced<Cpus>>,
    /// See [`LimitKey::IoRate`]. `None`: the rate is not bounded.
    pub io_rate: Option<Sourced<IoRate>>,
    /// See [`LimitKey::NetConnections`]. `None`: unbounded.
    pub net_connections: Option<Sourced<ConnectionLimit>>,
    /// See [`LimitKey::NetSent`]. `None`: unbounded.
    pub net_sent: Option<Sourced<TrafficLimit>>,
    /// See [`LimitKey::NetReceived`]. `None`: unbounded.
    pub net_received: Option<Sourced<TrafficLimit>>,
    /// See [`LimitKey::NetTime`]. `None`: unbounded.
    pub net_time: Option<Sourced<TimeLimit>>,
}

impl Limits {
    /// Sets one limit from its written value.
    ///
    /// # Errors
    ///
    /// The text is no such quantity, or is out of the limit's bounds. Nothing is changed then.
    pub fn set(&mut self, key: LimitKey, text: &str, source: Source) -> Result<(), QuantityError> {
        match key {
            LimitKey::Wall => self.wall = Sourced::new(text.parse()?, source),
            LimitKey::Cpu => self.cpu = Sourced::new(text.parse()?, source),
            LimitKey::Memory => self.memory = Sourced::new(text.parse()?, source),
            LimitKey::Processes => self.processes = Sourced::new(text.parse()?, source),
            LimitKey::FileSize => self.file_size = Sourced::new(text.parse()?, source),
            LimitKey::Disk => self.disk = Sourced::new(text.parse()?, source),
            LimitKey::Output => self.output = Sourced::new(text.parse()?, source),
            LimitKey::OpenFiles => self.open_files = Sourced::new(text.parse()?, source),
            LimitKey::Cpus => self.cpus = Some(Sourced::new(text.parse()?, source)),
            LimitKey::IoRate => self.io_rate = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetConnections => self.net_connections = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetSent => self.net_sent = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetReceived => self.net_received = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetTime => self.net_time = Some(Sourced::new(text.parse()?, source)),
        }
        Ok(())
    }

    /// The value as written, `unbounded` for an optional limit that is not set.
    pub fn get_display(&self, key: LimitKey) -> String {
        match key {
            LimitKey::Wall => self.wall.to_string(),
            LimitKey::Cpu => self.cpu.to_string(),
            LimitKey::Memory => self.memory.to_string(),
            LimitKey::Processes => self.processes.to_string(),
            LimitKey::FileSize => self.file_size.to_string(),
            LimitKey::Disk => self.disk.to_string(),
            LimitKey::Output => self.output.to_string(),
            LimitKey::OpenFiles => self.open_files.to_string(),
            LimitKey::Cpus => self.cpus.as_ref().map_or_else(unbounded, |cpus| cpus.to_string()),
            LimitKey::IoRate => self.io_rate.as_ref().map_or_else(unbounded, |rate| rate.to_string()),
            LimitKey::NetConnections => self.net_connections.as_ref().map_or_else(unbounded, |limit| limit.to_string()),
            LimitKey::NetSent => self.net_sent.as_ref().map_or_else(unbounded, |limit| limit.to_string()),
            LimitKey::NetReceived => self.net_received.as_ref().map_or_else(unbounded, |limit| limit.to_string()),
            LimitKey::NetTime => self.net_time.as_ref().map_or_else(unbounded, |limit| limit.to_string()),
        }
    }

    /// Where the value was set, `None` for an optional limit that is not set.
    pub fn source(&self, key: LimitKey) -> Option<&Source> {
        match key {
            LimitKey::Wall => Some(&self.wall.source),
            LimitKey::Cpu => Some(&self.cpu.source),
            LimitKey::Memory => Some(&self.memory.source),
            LimitKey::Processes => Some(&self.processes.source),
            LimitKey::FileSize => Some(&self.file_size.source),
            LimitKey::Disk => Some(&self.disk.source),
            LimitKey::Output => Some(&self.output.source),
            LimitKey::OpenFiles => Some(&self.open_files.source),
            LimitKey::Cpus => self.cpus.as_ref().map(|cpus| &cpus.source),
            LimitKey::IoRate => self.io_rate.as_ref().map(|rate| &rate.source),
            LimitKey::NetConnections => self.net_connections.as_ref().map(|limit| &limit.source),
            LimitKey::NetSent => self.net_sent.as_ref().map(|limit| &limit.source),
            LimitKey::NetReceived => self.net_received.as_ref().map(|limit| &limit.source),
            LimitKey::NetTime => self.net_time.as_ref().map(|limit| &limit.source),
        }
    }

    /// The record of a job having run into this limit.
    pub fn hit(&self, key: LimitKey) -> LimitHit {
        LimitHit::new(key, self.get_display(key))
    }
}

fn unbounded() -> String {
    "unbounded".to_owned()
}
