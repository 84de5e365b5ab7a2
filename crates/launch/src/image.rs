//! The program that launches and becomes process 1, in memory.

use crate::error::RunError;
use rustix::fs::MemfdFlags;
use std::os::fd::OwnedFd;

/// The program, in memory that can be executed and no longer written.
///
/// # Errors
///
/// When memory or descriptors run out.
pub fn image() -> Result<OwnedFd, RunError> {
    use rustix::fs::SealFlags;
    let failed = |errno: rustix::io::Errno| RunError::Resource { what: "prepare process 1", source: errno.into() };
    let create = |flags| rustix::fs::memfd_create("lazaret-init", flags);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before Linux 6.3 there is no MFD_EXEC, and none is needed.
    let image = match create(flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => create(flags),
        other => other,
    };
    let image = image.map_err(failed)?;
    let mut rest = lazaret_init::IMAGE;
    while !rest.is_empty() {
        let written = rustix::io::write(&image, rest).map_err(failed)?;
        rest = &rest[written..];
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&image, seals).map_err(failed)?;
    Ok(image)
}
