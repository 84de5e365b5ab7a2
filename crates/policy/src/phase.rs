//! Phases of a job: what it may use while it begins, and what is left when its work begins.

use std::path::PathBuf;

use serde::Serialize;

use crate::policy::Bind;
use crate::source::Sourced;

/// The two phases of a job. Only the files differ, and only where its calls on files are brokered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FilePhases {
    /// Paths that are shown beside those of `[files]`, for the first phase. They are among `files.read` too.
    pub init: Vec<Sourced<Bind>>,
    /// The second phase.
    pub work: Work,
}

/// What is left of the files when the work begins. Whatever was opened before stays open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Work {
    /// When it begins.
    pub begins: Sourced<Begins>,
    /// Paths in the job beneath which files may be opened for reading, and no other.
    pub read: Vec<Sourced<PathBuf>>,
    /// Paths in the job beneath which files may be made, changed and removed, and read.
    pub write: Vec<Sourced<PathBuf>>,
}

/// When a job's work begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begins {
    /// When the job opens one of its inputs, or says so before.
    InputOpened,
    /// When the job says so.
    Told,
}

impl Begins {
    /// Every value.
    pub const ALL: &[Self] = &[Self::InputOpened, Self::Told];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputOpened => "input-opened",
            Self::Told => "told",
        }
    }
}
