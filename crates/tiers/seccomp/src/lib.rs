//! The seccomp tier: a filter, limits and Landlock around a function call, the process itself, or a command.

#![forbid(unsafe_code)]

pub mod call;
