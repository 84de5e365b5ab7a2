//! What the report and `lazaret explain` say of a refused call, and that nobody's job is the worse for it.

#[path = "explain/calls.rs"]
mod calls;
#[path = "explain/hostile.rs"]
mod hostile;
#[path = "explain/owners.rs"]
mod owners;
#[path = "explain/paths.rs"]
mod paths;
#[path = "explain/program.rs"]
mod program;
#[path = "explain/reading.rs"]
mod reading;
#[path = "explain/stalled.rs"]
mod stalled;
