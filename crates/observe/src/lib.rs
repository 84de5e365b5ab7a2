//! The tools that make an allowlist bearable: learn, check, diff.

#![forbid(unsafe_code)]

pub mod elf;
pub mod learn;
pub mod record;
