//! The library that tells of the start, in memory.

use crate::error::RunError;
use rustix::fs::{MemfdFlags, SealFlags};
use std::os::fd::OwnedFd;

/// The library, in memory that can be mapped for execution and no longer written.
///
/// # Errors
///
/// When memory or descriptors run out.
pub fn library() -> Result<OwnedFd, RunError> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    crate::image::sealed("lazaret-start", lazaret_init::START, MemfdFlags::CLOEXEC, seals).map_err(|errno| {
        RunError::Resource { what: "prepare the library that tells of the start", source: errno.into() }
    })
}
