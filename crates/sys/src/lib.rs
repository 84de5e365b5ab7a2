//! Typed wrappers of the Linux system calls that rustix lacks.
//!
//! Nearly all `unsafe` of Lazaret lives here and in `lazaret-init`. Each wrapper does one call, owns its descriptors and
//! says where it is documented.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Lazaret runs on Linux, on x86-64 and aarch64");

pub mod confine;
pub mod crash;
pub mod descriptor;
pub mod diag;
pub mod entry;
pub mod file;
pub mod fork;
pub mod identity;
pub mod interface;
pub mod landlock;
pub mod limit;
pub mod lock;
pub mod map;
pub mod memory;
mod netlink;
pub mod observed;
pub mod option;
pub mod phase;
pub mod poller;
pub mod process;
pub mod processor;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod table;
pub mod timer;
pub mod trace;
pub mod wait;

use std::io;

/// Turns a C return value into a result.
fn check(answer: i64) -> io::Result<i64> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
