//! The tools that make an allowlist bearable: learn, check, diff.

#![forbid(unsafe_code)]

pub mod check;
pub mod diff;
pub mod exchange;
pub mod tally;
