//! What every tier that runs a command shares: launches as data, process 1, streams, inputs and outputs, the loop that
//! watches, verdicts and reports.
//!
//! A tier decides in its plan what will hold, says by its steps how, and has a [`Boundary`](running::Boundary) around the
//! running job. All else is here, once.

#![forbid(unsafe_code)]

pub mod bounds;
pub mod cancel;
pub mod collect;
pub mod error;
pub mod fetch;
pub mod files;
pub mod filter;
pub mod hands;
pub mod image;
pub mod inputs;
pub mod judge;
pub mod landlock;
pub mod network;
pub mod observe;
pub mod outcome;
pub mod program;
pub mod refusals;
pub mod report;
pub mod require;
pub mod running;
pub mod shell;
pub mod sights;
pub mod start;
pub mod steps;
pub mod streams;
pub mod uid;
pub mod watch;

pub use cancel::Cancel;
pub use error::{InputProblem, Missing, PlanError, RunError};
pub use outcome::{Error, Finished};
pub use streams::Sink;
