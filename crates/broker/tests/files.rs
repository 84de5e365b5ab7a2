//! Real programs, and attacks, whose calls on files are made by the broker.

#[path = "files/job.rs"]
mod job;
#[path = "files/programs.rs"]
mod programs;
#[path = "files/situations.rs"]
mod situations;
