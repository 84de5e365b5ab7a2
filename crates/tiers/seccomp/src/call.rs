//! A function call: a closure in a fresh, locked-down process of its own, whose fate is data.

mod answer;
mod called;
mod child;
mod core;
mod error;
mod filter;
mod function;
mod handover;
mod judge;
mod order;
mod output;
mod process;
mod recipe;
mod room;
mod spawner;
mod watch;

pub use called::{Called, Ending};
pub use error::{CallError, SandboxError};
pub use function::{Function, TypedFunction, sandboxed, sandboxed_typed, sandboxed_writing};
pub use output::Output;
pub use room::{Bytes, Input};
pub use spawner::Spawner;
