//! The seccomp tier: a filter, limits and Landlock around a command, or around the process itself.
//!
//! A command: [`probe`] finds what this host can enforce, [`plan`] decides, as pure data, [`enter`] turns the plan into
//! steps, and [`run`] starts them, watches, collects and clears up. A process locks itself down: [`lockdown`]. No
//! namespace and no privilege takes part.

#![forbid(unsafe_code)]

pub mod enter;
pub mod lockdown;
pub mod plan;
pub mod probe;
pub mod run;

pub use plan::Plan;
pub use run::Launcher;
