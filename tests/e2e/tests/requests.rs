//! Rules on requests: real programs make the requests that a rule permits, over TLS too, and no others.

#[path = "requests/bounds.rs"]
mod bounds;
#[path = "requests/programs.rs"]
mod programs;
#[path = "requests/rules.rs"]
mod rules;
#[path = "requests/told.rs"]
mod told;
#[path = "requests/web.rs"]
mod web;

#[path = "verdicts/job.rs"]
mod job;
#[allow(dead_code, reason = "each test program uses its own part")]
#[path = "network/stage.rs"]
mod stage;
