//! Real programs, and attacks, whose calls on files are made by the broker.

#[path = "files/attacks.rs"]
mod attacks;
#[path = "files/job.rs"]
mod job;
#[path = "files/programs.rs"]
mod programs;
#[path = "files/roots.rs"]
mod roots;
#[path = "files/situations.rs"]
mod situations;
