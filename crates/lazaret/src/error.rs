//! Why there is no report.

use lazaret_jail::{PlanError, RunError};
use lazaret_policy::{JobError, PolicyError};

/// Why a job could not be run. The job's own failures are verdicts, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy cannot be used; the text shows where.
    #[error("{0}")]
    Policy(PolicyError),
    /// The job was put together wrongly.
    #[error("the job is not valid: {0}")]
    Job(JobError),
    /// Nothing was started: an input, a path of the policy, or a layer that this host cannot enforce.
    #[error(transparent)]
    Plan(PlanError),
    /// The job could not be run, or not to its end. It is dead, and what it left is gone.
    #[error(transparent)]
    Run(RunError),
    /// The policy is being rolled out by a key, and none was given.
    #[error("the policy is being rolled out by the job's key ({source_of}), and the job has none")]
    NoKey {
        /// Where the policy asks for it.
        source_of: String,
    },
    /// The job's key is empty.
    #[error("the job's key is empty")]
    EmptyKey,
    /// The file with the shares of a rollout cannot be used, and was not good before.
    #[error("{problem}")]
    Shares {
        /// What is wrong with it.
        problem: String,
    },
    /// The runtime that an asynchronous job was on is shutting down.
    #[error("the asynchronous runtime is shutting down")]
    Runtime,
}

impl Error {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            // Part of its text already.
            Self::Policy(_) | Self::Runtime => None,
            Self::Job(error) => Some(error.hint()),
            Self::NoKey { .. } => Some(
                "give one with --job-key or Job::key, such as the customer's number; or set key = \"command\" under \
                 [rollout]"
                    .to_owned(),
            ),
            Self::EmptyKey => Some("jobs without a key of their own would all go the same way".to_owned()),
            Self::Shares { .. } => Some("it holds two lines, such as enforce = \"5%\" and shadow = \"95%\"".to_owned()),
            Self::Plan(error) => Some(error.hint()),
            Self::Run(error) => error.hint(),
        }
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<lazaret_jail::run::Error> for Error {
    fn from(error: lazaret_jail::run::Error) -> Self {
        match error {
            lazaret_jail::run::Error::Plan(error) => Self::Plan(error),
            lazaret_jail::run::Error::Run(error) => Self::Run(error),
        }
    }
}
