//! A job's network: real programs reach the hosts that a rule names, as they would without Lazaret, and nothing else.

#[path = "network/bad_input.rs"]
mod bad_input;
#[path = "network/ends.rs"]
mod ends;
#[path = "verdicts/job.rs"]
mod job;
#[path = "network/languages.rs"]
mod languages;
#[path = "network/local.rs"]
mod local;
#[path = "network/names.rs"]
mod names;
#[path = "network/native.rs"]
mod native;
#[path = "network/programs.rs"]
mod programs;
#[path = "network/shared.rs"]
mod shared;
#[path = "network/stage.rs"]
mod stage;
#[path = "network/transcript.rs"]
mod transcript;
