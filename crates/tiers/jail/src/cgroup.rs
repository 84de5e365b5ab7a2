//! Control groups, both hierarchies: one group for each job.
//!
//! Where groups are made follows from the group of the caller and who it belongs to: see `site`.
//!
//! Source: cgroups(7); Documentation/admin-guide/cgroup-v1, cgroup-v2.rst.

mod directory;
mod job;
mod locate;
mod measure;
mod prepare;
mod site;
mod systemd;

pub(crate) use directory::sweep;
pub use job::{CPU_PERIOD_US, GroupLimits, JobGroup};
pub use lazaret_launch::judge::Measured;
pub(crate) use locate::locate;
pub use locate::{Controller, Groups, Hierarchy, NoGroups};
pub(crate) use prepare::Undo;
pub(crate) use site::Site;
