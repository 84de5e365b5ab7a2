//! Files that a descriptor stands for, as the kernel's own structures.
//!
//! Whoever makes a call for another process hands on what the kernel wrote, byte by byte.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A structure that the kernel filled.
#[derive(Debug, Clone, Copy)]
pub struct Filled {
    bytes: [u8; MOST],
    length: usize,
}

/// The largest of them is struct statx.
const MOST: usize = 256;

impl Filled {
    /// The bytes of the structure.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// struct stat of what `file` stands for, be it opened with O_PATH or not.
///
/// Source: newfstatat(2), `AT_EMPTY_PATH`; Linux 2.6.39.
///
/// # Errors
///
/// `EBADF`, and what a file system fails with.
pub fn status(file: BorrowedFd<'_>) -> io::Result<Filled> {
    let mut filled = Filled { bytes: [0; MOST], length: size_of::<libc::stat>() };
    let (into, empty) = (filled.bytes.as_mut_ptr(), c"".as_ptr());
    // SAFETY: the kernel writes a struct stat, which is shorter than the live array.
    let answer = unsafe { libc::syscall(libc::SYS_newfstatat, file.as_raw_fd(), empty, into, libc::AT_EMPTY_PATH) };
    crate::check(answer)?;
    Ok(filled)
}

/// struct statx of what `file` stands for, with what `mask` asks for; of `flags`, how fresh it must be counts.
///
/// Source: statx(2); Linux 4.11.
///
/// # Errors
///
/// `EINVAL` for a mask or flags that the kernel does not know, and what a file system fails with.
pub fn extended_status(file: BorrowedFd<'_>, flags: i32, mask: u32) -> io::Result<Filled> {
    let mut filled = Filled { bytes: [0; MOST], length: MOST };
    let (into, empty) = (filled.bytes.as_mut_ptr(), c"".as_ptr());
    let flags = flags | libc::AT_EMPTY_PATH;
    // SAFETY: the kernel writes a struct statx, which is as long as the live array.
    let answer = unsafe { libc::syscall(libc::SYS_statx, file.as_raw_fd(), empty, flags, mask, into) };
    crate::check(answer)?;
    Ok(filled)
}

/// struct statfs of the file system that has `file`.
///
/// Source: fstatfs(2).
///
/// # Errors
///
/// What a file system fails with.
pub fn system_status(file: BorrowedFd<'_>) -> io::Result<Filled> {
    let mut filled = Filled { bytes: [0; MOST], length: size_of::<libc::statfs>() };
    let into = filled.bytes.as_mut_ptr();
    // SAFETY: the kernel writes a struct statfs, which is shorter than the live array.
    let answer = unsafe { libc::syscall(libc::SYS_fstatfs, file.as_raw_fd(), into) };
    crate::check(answer)?;
    Ok(filled)
}

/// Asks whether this thread, with its effective ids and those for files, may do `mode` (`R_OK`, `W_OK`, `X_OK`) with
/// what `file` stands for.
///
/// Source: faccessat2(2), `AT_EACCESS`, `AT_EMPTY_PATH`; Linux 5.8.
///
/// # Errors
///
/// `EACCES`, `EROFS`, `EINVAL` for a mode that is none.
pub fn access(file: BorrowedFd<'_>, mode: i32) -> io::Result<()> {
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    // SAFETY: an empty string that is static, and numbers.
    crate::check(unsafe { libc::syscall(libc::SYS_faccessat2, file.as_raw_fd(), c"".as_ptr(), mode, flags) }).map(drop)
}

/// Has `instance`, of inotify(7), watch `path` for `mask`. Returns the number of the watch.
///
/// Source: inotify_add_watch(2).
///
/// # Errors
///
/// `EINVAL` when `instance` is none of inotify, `ENOSPC` at the limit on watches.
pub fn watch(instance: BorrowedFd<'_>, path: &CStr, mask: u32) -> io::Result<i64> {
    // SAFETY: a live string, and numbers.
    crate::check(unsafe { libc::syscall(libc::SYS_inotify_add_watch, instance.as_raw_fd(), path.as_ptr(), mask) })
}

/// Gives what `file` stands for the times in `times`, two struct timespec as bytes, or the present without.
///
/// Source: utimensat(2), `AT_EMPTY_PATH`; Linux 5.8 for descriptors opened with O_PATH.
///
/// # Errors
///
/// `EINVAL` for times that are none, `EPERM` or `EACCES` when this thread may not.
pub fn set_times(file: BorrowedFd<'_>, times: Option<&[u8; 32]>) -> io::Result<()> {
    let times = times.map_or(std::ptr::null(), |times| times.as_ptr());
    let (file, empty, flags) = (file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: an empty string that is static, and 32 live bytes or null; the kernel copies them wherever they are
    // aligned to.
    crate::check(unsafe { libc::syscall(libc::SYS_utimensat, file, empty, times, flags) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_status_of_a_descriptor_is_that_of_its_file() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        let known = file.metadata().expect("it can be asked");

        let filled = status(file.as_fd()).expect("it can be asked");

        assert_eq!(filled.bytes().len(), size_of::<libc::stat>());
        assert_eq!(filled.bytes()[8..16], known.ino().to_ne_bytes());
    }

    #[test]
    fn what_may_not_be_executed_is_not_accessible_for_that() {
        let file = std::fs::File::open("/dev/null").expect("it is there");

        let answers = [libc::R_OK, libc::X_OK].map(|mode| access(file.as_fd(), mode).is_ok());

        assert_eq!(answers, [true, false]);
    }
}
