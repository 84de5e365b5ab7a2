use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// A name that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnknownName {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl UnknownName {
    /// The nearest known name, or all of them, as a sentence.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    pub(crate) fn new<'a>(kind: &str, given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        Self { message: format!("unknown {kind} `{given}`"), hint: text::name_hint(given, known) }
    }
}

/// The kind of boundary around a job. Tiers are added with the versions that bring them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// A system-call filter, limits and Landlock around a function, the process itself or a command. No namespaces.
    Seccomp,
    /// Namespaces, mounts, cgroups, limits, a system-call filter and Landlock around a process of this kernel.
    Jail,
}

impl Tier {
    /// Every tier of this version.
    pub const ALL: &[Self] = &[Self::Seccomp, Self::Jail];

    /// The name in policies and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Jail => "jail",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        if let Some(tier) = Self::ALL.iter().find(|tier| tier.name() == text) {
            return Ok(*tier);
        }
        if matches!(text, "microvm" | "isolate") {
            return Err(UnknownName {
                message: format!("tier `{text}` is not in this version"),
                hint: "this version has `seccomp` and `jail`".to_owned(),
            });
        }
        Err(UnknownName::new("tier", text, Self::ALL.iter().map(|tier| tier.name())))
    }
}

/// Who started the jail, which decides what the host's user ids inside it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Started as root: every job has a host uid of its own.
    Root,
    /// Started as an ordinary user: the job runs under the caller's own uid.
    Rootless,
}

macro_rules! layers {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $summary:literal;)*) => {
        /// A control of a jail. When the host lacks it, the run fails unless the policy degrades that layer by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Layer {
            $(#[doc = $summary] $variant,)*
        }

        impl Layer {
            /// Every layer.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in policies, on the command line and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it does for the job, in one line.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary),* }
            }
        }
    };
}

layers! {
    UserNamespace = "user-namespace", "ids and capabilities of the job mean nothing outside it";
    PidNamespace = "pid-namespace", "the job sees and signals only its own processes, and all die with the first";
    MountNamespace = "mount-namespace", "the job has a file tree of its own";
    NetworkNamespace = "network-namespace", "the job has no network interface and none of the host's sockets";
    IpcNamespace = "ipc-namespace", "System V and POSIX message queues and shared memory are the job's own";
    UtsNamespace = "uts-namespace", "the job has a host name of its own";
    CgroupNamespace = "cgroup-namespace", "the host's cgroup paths are hidden from the job";
    TimeNamespace = "time-namespace", "the job's clocks begin near zero, so that they do not tell how long the host has been up";
    Cgroup = "cgroup", "all processes of the job are accounted, limited and killed as one group";
    CgroupMemory = "cgroup-memory", "memory of all processes together is bounded and measured";
    CgroupSwap = "cgroup-swap", "swap of all processes together is bounded";
    CgroupPids = "cgroup-pids", "the number of processes and threads is bounded";
    CgroupCpu = "cgroup-cpu", "processor time of all processes together is measured, and its bandwidth bounded";
    CgroupIo = "cgroup-io", "reads and writes of block devices are measured and bounded";
    Rlimits = "rlimits", "each process is bounded by itself: file size, open files, locked memory, core dumps and more";
    WallTime = "wall-time", "the job is ended when its time is up";
    Disk = "disk", "what the job's own directories hold together is bounded";
    Output = "output", "what the job writes to standard output and error is bounded";
    JobUid = "job-uid", "the job runs under a host uid that nothing else uses";
    Capabilities = "capabilities", "the job has no capability, and gains none by executing a program";
    Landlock = "landlock", "files outside the job's tree are refused a second time, by the kernel's access rules";
    LandlockNetwork = "landlock-network", "TCP bind and connect are refused a second time";
    LandlockScope = "landlock-scope", "signals and abstract sockets outside the job are refused a second time";
    Seccomp = "seccomp", "system calls that the policy does not allow never reach the kernel";
    Notifier = "notifier", "refused system calls are reported to the supervisor and recorded";
}

impl Layer {
    /// Whether a policy may ask to go without this layer. The others are what makes the jail a jail.
    pub const fn degradable(self) -> bool {
        match self {
            Self::CgroupNamespace
            | Self::TimeNamespace
            | Self::Cgroup
            | Self::CgroupMemory
            | Self::CgroupSwap
            | Self::CgroupPids
            | Self::CgroupCpu
            | Self::CgroupIo
            | Self::JobUid
            | Self::Landlock
            | Self::LandlockNetwork
            | Self::LandlockScope
            | Self::Notifier => true,
            Self::UserNamespace
            | Self::PidNamespace
            | Self::MountNamespace
            | Self::NetworkNamespace
            | Self::IpcNamespace
            | Self::UtsNamespace
            | Self::Rlimits
            | Self::WallTime
            | Self::Disk
            | Self::Output
            | Self::Capabilities
            | Self::Seccomp => false,
        }
    }

    /// The layers that cannot hold without this one: degrading this one degrades them too. The cgroup
    /// namespace is not among them: it hides paths whether or not the job has a cgroup of its own.
    pub const fn carries(self) -> &'static [Self] {
        match self {
            Self::Cgroup => &[Self::CgroupMemory, Self::CgroupSwap, Self::CgroupPids, Self::CgroupCpu, Self::CgroupIo],
            Self::Landlock => &[Self::LandlockNetwork, Self::LandlockScope],
            _ => &[],
        }
    }

    /// Parses a layer that is to be degraded.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the jail is no jail without that layer.
    pub fn parse_degradable(text: &str) -> Result<Self, UnknownName> {
        let layer: Self = text.parse()?;
        if layer.degradable() {
            return Ok(layer);
        }
        let names: Vec<&str> = Self::ALL.iter().filter(|layer| layer.degradable()).map(|layer| layer.name()).collect();
        Err(UnknownName {
            message: format!("`{layer}` cannot be degraded: the jail is no jail without it"),
            hint: format!("`lazaret doctor` tells how to make it available; degradable are {}", names.join(", ")),
        })
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layer {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .iter()
            .find(|layer| layer.name() == text)
            .copied()
            .ok_or_else(|| UnknownName::new("layer", text, Self::ALL.iter().map(|layer| layer.name())))
    }
}

#[cfg(test)]
mod tests;
