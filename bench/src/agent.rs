//! Processes that launch and time jobs when told to.
//!
//! Every timing is taken inside of an agent, so that a small and a large caller differ in nothing but their size. Agents
//! live as long as the run, wait between turns, and end when their standard input does.

mod client;
mod function;
mod launch;
mod serve;

pub(crate) use client::Agent;
pub(crate) use function::Function;
pub(crate) use serve::serve;

use lazaret::Policy;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What one job is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    /// fork(2) and execve(2).
    Fork { argv: Vec<String> },
    /// posix_spawn(3), which borrows the caller's memory as vfork(2) does.
    Spawn { argv: Vec<String>, filter: Option<PathBuf> },
    /// A job of the library, in the agent itself.
    Library { policy: Choice, argv: Vec<String> },
    /// A function, in a process of its own or not.
    Function(Function),
}

/// Which policy Lazaret's jobs run under.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Choice {
    /// A built-in profile.
    pub(crate) profile: String,
    /// Layers that may be missing.
    pub(crate) degrade: Vec<String>,
}

impl Choice {
    pub(crate) fn new(profile: &str, degrade: &[String]) -> Self {
        Self { profile: profile.to_owned(), degrade: degrade.to_vec() }
    }

    /// The policy, for the library.
    pub(crate) fn policy(&self) -> Result<Policy, lazaret::PolicyError> {
        let mut change = lazaret::change(lazaret::profile(&self.profile)?);
        for layer in &self.degrade {
            change = change.degrade(layer)?;
        }
        Ok(change.build())
    }

    /// The options, for the program.
    pub(crate) fn options(&self) -> Vec<String> {
        let degrade = self.degrade.iter().flat_map(|layer| ["--degrade".to_owned(), layer.clone()]);
        ["--profile".to_owned(), self.profile.clone()].into_iter().chain(degrade).collect()
    }
}

/// Stands in an argument for a name that is different in every run.
pub(crate) const UNIQUE: &str = "{id}";
/// Stands in an argument for the number of a descriptor of the work's filter file.
pub(crate) const FILTER: &str = "{filter}";

/// A turn.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    work: Work,
    /// How many jobs in all.
    jobs: u32,
    /// How many at once.
    parallel: u32,
}

/// What a turn took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Each job, from the call that launches it to the knowledge of its end.
    pub(crate) latencies_ns: Vec<u64>,
    /// All of them.
    pub(crate) elapsed_ns: u64,
}

/// The measurement, or why a job failed.
type Reply = Result<Measured, String>;
