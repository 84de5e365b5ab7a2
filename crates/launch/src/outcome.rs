//! What comes of running a job: a report, or why there is none.

use crate::error::{PlanError, RunError};
use crate::observe::Observed;
use lazaret_policy::{FileName, Report};
use std::time::Duration;

/// What came of a job.
#[derive(Debug)]
pub struct Finished {
    /// Verdict, usage and all else that can be told.
    pub report: Report,
    /// The outputs that were asked for without a destination.
    pub outputs: Vec<(FileName, Vec<u8>)>,
    /// What was noted, where that was asked for.
    pub observed: Observed,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was started.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The job could not be run, or not to its end.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Plan(error) => Some(error.hint()),
            Self::Run(error) => error.hint(),
        }
    }
}

/// Microseconds, as reports give them.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
