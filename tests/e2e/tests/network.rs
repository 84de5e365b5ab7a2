//! A job's network: real programs reach the hosts that a rule names, as they would without Lazaret, and nothing else.

#[path = "verdicts/job.rs"]
mod job;
#[path = "network/names.rs"]
mod names;
#[path = "network/native.rs"]
mod native;
#[path = "network/programs.rs"]
mod programs;
#[path = "network/stage.rs"]
mod stage;
