//! Verdicts, exit statuses and streams of `lazaret run`, judged by what jobs really do.

#[path = "verdicts/bounds.rs"]
mod bounds;
#[path = "verdicts/callers_bounds.rs"]
mod callers_bounds;
#[path = "verdicts/ends.rs"]
mod ends;
#[path = "verdicts/files.rs"]
mod files;
#[path = "verdicts/job.rs"]
mod job;
#[path = "verdicts/outputs.rs"]
mod outputs;
#[path = "verdicts/streams.rs"]
mod streams;
#[path = "verdicts/terminal.rs"]
mod terminal;
#[path = "verdicts/views.rs"]
mod views;
