//! The program that launches and becomes process 1, in memory.

use crate::error::RunError;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// The program, in memory that can be executed and no longer written.
///
/// # Errors
///
/// When memory or descriptors run out.
pub fn image() -> Result<OwnedFd, RunError> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    sealed("lazaret-init", lazaret_init::IMAGE, MemfdFlags::CLOEXEC, seals)
        .map_err(|errno| RunError::Resource { what: "prepare process 1", source: errno.into() })
}

/// Memory that holds `bytes` and can be executed.
pub(crate) fn sealed(name: &str, bytes: &[u8], flags: MemfdFlags, seals: SealFlags) -> Result<OwnedFd, Errno> {
    let create = |flags| rustix::fs::memfd_create(name, flags);
    let flags = flags | MemfdFlags::ALLOW_SEALING;
    // Before Linux 6.3 there is no MFD_EXEC, and none is needed.
    let image = match create(flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => create(flags),
        other => other,
    }?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&image, rest)?;
        rest = &rest[written..];
    }
    rustix::fs::fcntl_add_seals(&image, seals)?;
    Ok(image)
}
