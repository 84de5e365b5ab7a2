//! Control groups, both hierarchies: one group per job, inside the group that the caller is in.
//!
//! A subtree is consumed, never provisioned: whoever starts Lazaret decides where it may make groups.
//!
//! Source: cgroups(7); Documentation/admin-guide/cgroup-v1, cgroup-v2.rst.

mod job;
mod locate;
mod measure;

pub(crate) use job::sweep;
pub use job::{CPU_PERIOD_US, GroupLimits, JobGroup};
pub use locate::{Controller, Groups, Hierarchy, NoGroups, locate};
pub use measure::Measured;
