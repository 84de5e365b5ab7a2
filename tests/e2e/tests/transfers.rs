//! How long a job's network lasts, and how much goes through it.

#[path = "transfers/bounds.rs"]
mod bounds;
#[path = "transfers/ends.rs"]
mod ends;

#[path = "verdicts/job.rs"]
mod job;
#[allow(dead_code, reason = "each test program uses its own part")]
#[path = "network/stage.rs"]
mod stage;
#[path = "requests/web.rs"]
mod web;
