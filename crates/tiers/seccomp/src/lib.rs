//! The seccomp tier: a filter, limits and Landlock around what runs, without namespaces and without privileges.

#![forbid(unsafe_code)]

pub mod lockdown;
