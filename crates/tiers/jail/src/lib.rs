//! The jail: namespaces, mounts, cgroups, limits, a system-call filter and Landlock around one job.
//!
//! One way through: [`probe`] finds what this host can enforce and what the policy's paths are, [`plan`] decides, as pure
//! data, what will be done, [`steps`] turns the plan into the flat list of system calls that the launched processes walk,
//! [`run`] starts it, watches, collects and tears down. Nothing after `plan` looks at the policy again.

#![forbid(unsafe_code)]

pub mod cgroup;
pub mod plan;
pub mod probe;
pub mod run;
pub mod steps;

pub use lazaret_launch::{error, uid};

pub use error::{PlanError, RunError};
pub use plan::Plan;
pub use run::{Cancel, Launcher, Sink};
