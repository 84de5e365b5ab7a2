//! Two policies as rights that were added and removed, each with its risk, and not as lines of text.
//!
//! System calls are compared by what is permitted (see [`lazaret_filter::compare`]), files by which path of the host is
//! seen where, limits by their size. What cannot be told is said to be unclear, and never to be the same.

mod calls;
mod files;
mod phases;
mod settings;
#[cfg(test)]
mod tests;

use crate::exchange::ExchangeError;
use lazaret_filter::Arch;
use lazaret_policy::Policy;
use serde::Serialize;
use std::fmt;

/// What happened to a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was not there before.
    Added,
    /// There is more of it.
    Widened,
    /// There is more of it in one way and less in another.
    Moved,
    /// It cannot be told whether there is more or less of it.
    Unclear,
    /// It is another, neither more nor less.
    Changed,
    /// There is less of it.
    Narrowed,
    /// It is gone.
    Removed,
}

impl Kind {
    /// Whether a job may now do something that it could not do before, or that cannot be ruled out.
    #[must_use]
    pub fn widens(self) -> bool {
        matches!(self, Self::Added | Self::Widened | Self::Moved | Self::Unclear)
    }

    /// The name in texts and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Widened => "widened",
            Self::Moved => "moved",
            Self::Unclear => "unclear",
            Self::Changed => "changed",
            Self::Narrowed => "narrowed",
            Self::Removed => "removed",
        }
    }
}

/// What a right that was won is worth to a hostile program. What is lost has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing is won.
    None,
    /// It belongs to every ordinary program.
    Low,
    /// It reaches others' data, or seldom used parts of the kernel.
    Medium,
    /// It reaches out of the sandbox, or changes what holds it.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The kind of boundary.
    Tier,
    /// A layer that may be missing.
    Layer,
    /// A system call, or what becomes of those that no rule names.
    SystemCall,
    /// The file tree.
    File,
    /// A device node.
    Device,
    /// The network.
    Network,
    /// An environment variable.
    Environment,
    /// A bound.
    Limit,
}

impl Area {
    /// The name in texts and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tier => "tier",
            Self::Layer => "layer",
            Self::SystemCall => "system-call",
            Self::File => "file",
            Self::Device => "device",
            Self::Network => "network",
            Self::Environment => "environment",
            Self::Limit => "limit",
        }
    }
}

/// One right that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is worth.
    pub risk: Risk,
    /// What happened.
    pub kind: Kind,
    /// What it is about.
    pub area: Area,
    /// The call, path, variable, limit, layer.
    pub what: String,
    /// What the first policy says.
    pub before: String,
    /// What the second policy says.
    pub after: String,
    /// Why the risk is what it is. Empty where there is none.
    pub why: String,
}

/// Every difference between two policies, the riskiest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The differences. None: the policies give the same rights.
    pub changes: Vec<Change>,
}

impl Diff {
    /// Whether a job may do more under the second policy, or that cannot be ruled out.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.kind.widens())
    }
}

/// Compares what jobs may do under `before` and under `after`, on `arch`.
///
/// Names, descriptions, reasons and the order of entries are no rights.
///
/// # Errors
///
/// A rule that is none, which a loader with a rule check does not let through.
pub fn diff(before: &Policy, after: &Policy, arch: Arch) -> Result<Diff, ExchangeError> {
    let mut changes = calls::changes(&before.system_calls, &after.system_calls, arch)?;
    changes.extend(calls::after_start(&before.system_calls, &after.system_calls));
    changes.extend(files::changes(&before.files, &after.files));
    changes.extend(phases::changes(before, after));
    changes.extend(settings::changes(before, after));
    changes.sort_by(|one, other| {
        let key = |change: &Change| (std::cmp::Reverse(change.risk), change.area, change.kind, change.what.clone());
        key(one).cmp(&key(other))
    });
    Ok(Diff { changes })
}
