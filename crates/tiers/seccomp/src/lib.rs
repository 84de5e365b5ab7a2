//! The seccomp tier: a filter, limits and Landlock around a function call, the process itself, or a command.
//!
//! A command: [`probe`] finds what this host can enforce, [`plan`] decides, as pure data, [`enter`] turns the plan into
//! steps, and [`run`] starts them, watches, collects and clears up. A function: [`call`] runs it in a process of its own.
//! A process locks itself down: [`lockdown`]. No namespace and no privilege takes part.

#![forbid(unsafe_code)]

mod attributes;
pub mod call;
pub mod enter;
pub mod lockdown;
pub mod plan;
pub mod probe;
pub mod run;

pub use plan::Plan;
pub use run::Launcher;

pub use lazaret_launch::start::{input_complete, work_begins};
