//! Nothing is left after a job, however it ends: no process, group, mount, file or descriptor.

#[path = "lifecycle/apart.rs"]
mod apart;
#[path = "lifecycle/groups.rs"]
mod groups;
#[path = "verdicts/job.rs"]
mod job;
#[path = "lifecycle/remains.rs"]
mod remains;
