//! What `lazaret run` says to bad input: status 125, a message, a hint, nothing lost and nothing left.

#[path = "bad_input/commands.rs"]
mod commands;
#[path = "bad_input/destinations.rs"]
mod destinations;
#[path = "bad_input/exec.rs"]
mod exec;
#[path = "bad_input/inputs.rs"]
mod inputs;
#[path = "bad_input/interrupted.rs"]
mod interrupted;
#[path = "verdicts/job.rs"]
mod job;
#[path = "bad_input/policies.rs"]
mod policies;
