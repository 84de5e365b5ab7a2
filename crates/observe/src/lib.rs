//! The tools that make an allowlist bearable: learn, check, diff.

#![forbid(unsafe_code)]

pub mod check;
pub mod corpus;
pub mod diff;
pub mod elf;
pub mod exchange;
pub mod learn;
pub mod record;
pub mod tally;
