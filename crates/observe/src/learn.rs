//! Learning a policy from what a program does.
//!
//! The program runs over every file of a corpus with a filter that has each of its system calls wait for this process,
//! which notes the call and lets it go on. Nothing is traced, and no privilege is needed. This is not a boundary: a hostile
//! file is as dangerous as without Lazaret, but for Landlock, which keeps writes to the run's own directories.

mod calls;
mod evidence;
mod host;
mod image;
mod json;
mod learned;
mod limits;
mod look;
mod memory;
mod network;
mod paths;
mod question;
mod recorder;
mod render;
mod resolve;
mod run;
mod saturation;
mod scene;
mod session;
mod siblings;
#[cfg(test)]
mod tests;
mod usage;
mod watch;

pub use calls::LearnedRule;
pub use evidence::Evidence;
pub use json::json;
pub use learned::{Learned, Possibility, Shape, Strictness, learned};
pub use limits::{LearnedLimit, RULE as LIMIT_RULE};
pub(crate) use look::looks;
pub use look::{MOST_VALUES, table as looked_at};
pub use paths::{FOLD_AT, LearnedPath, LearnedPaths, RULE as PATH_RULE, Refused};
pub use render::{render, saturation_lines};
pub use saturation::{LEAST_QUIET, RULE as SATURATION_RULE, Saturation};
pub use session::{LearnError, Progress, Setup, learn};
pub use siblings::Offer;
