//! The system-call filter of random policies: TOML, through the loader, the plan and the compiler, decides as the policy
//! means, in an interpreter and in the real kernel.
//!
//! What a policy means is written down a second time here (`meaning`), as simply as the documentation says it, sharing
//! nothing with the crates under test but the members of groups.

#![expect(unsafe_code, reason = "installing filters and making raw calls needs fork, prctl and syscall of libc")]

#[path = "filter/calls.rs"]
mod calls;
#[path = "filter/interpreted.rs"]
mod interpreted;
#[path = "filter/kernel.rs"]
mod kernel;
#[path = "filter/meaning.rs"]
mod meaning;
#[path = "filter/policies.rs"]
mod policies;
#[path = "filter/size.rs"]
mod size;
