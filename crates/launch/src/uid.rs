//! Unused host user ids for jobs that are started by root.
//!
//! Two jobs at once never share one: each holds a lock on the byte of a file whose offset is the id. The file stays
//! empty; the locks live in the kernel and end with the descriptor, so nothing can become stale.

use crate::error::RunError;
use lazaret_sys::lock;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The ids that jobs get, and where the locks are.
#[derive(Debug)]
pub struct Uids {
    first: u32,
    count: u32,
    lock_file: PathBuf,
    next: AtomicU32,
}

/// An id that no other job has, until this is dropped. Drop it only when the job's processes are dead.
#[derive(Debug)]
pub struct JobUid {
    uid: u32,
    _lock: OwnedFd,
}

impl JobUid {
    /// The user id, and group id, on the host.
    pub fn get(&self) -> u32 {
        self.uid
    }
}

impl Clone for Uids {
    /// The same ids, by the same locks.
    fn clone(&self) -> Self {
        Self::new(self.first, self.count, self.lock_file.clone())
    }
}

impl Default for Uids {
    fn default() -> Self {
        Self::new(Self::FIRST, Self::COUNT, Self::LOCK_FILE)
    }
}

impl Uids {
    /// The default first id: above every range that distributions, subordinate ids and container managers hand out
    /// (systemd-nspawn's end at 1,879,048,191), and below 2^31.
    pub const FIRST: u32 = 2_000_000_000;
    /// The default number of ids.
    pub const COUNT: u32 = 65_536;
    /// The default file for the locks. Its directory is made, for root alone, when it is missing.
    pub const LOCK_FILE: &str = "/run/lazaret/uids";

    /// Ids from `first`, `count` of them, with locks in `lock_file`.
    pub fn new(first: u32, count: u32, lock_file: impl Into<PathBuf>) -> Self {
        // Callers start at different places, so that they seldom try each other's ids.
        let start = std::process::id().wrapping_mul(7919) % count.max(1);
        Self { first, count, lock_file: lock_file.into(), next: AtomicU32::new(start) }
    }

    /// An id that no job has.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be opened, or every id is taken.
    pub fn take(&self) -> Result<JobUid, RunError> {
        let file = self.open()?;
        for _ in 0..self.count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % self.count;
            let free = lock::try_lock_byte(file.as_fd(), offset.into())
                .map_err(|source| RunError::Uid { what: "locking an id", source })?;
            if free {
                return Ok(JobUid { uid: self.first + offset, _lock: file });
            }
        }
        let source = std::io::Error::from_raw_os_error(libc::EBUSY);
        Err(RunError::Uid { what: "every id of the range is in use", source })
    }

    /// A description of its own for each job: locks through the same description do not exclude each other.
    fn open(&self) -> Result<OwnedFd, RunError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = || rustix::fs::open(&self.lock_file, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(rustix::io::Errno::NOENT) => {
                if let Some(directory) = self.lock_file.parent() {
                    let made = rustix::fs::mkdir(directory, Mode::RWXU);
                    if let Err(errno) = made
                        && errno != rustix::io::Errno::EXIST
                    {
                        return Err(RunError::Uid { what: "making the lock directory", source: errno.into() });
                    }
                }
                open()
            }
            other => other,
        };
        file.map_err(|errno| RunError::Uid { what: "opening the lock file", source: errno.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_never_share_an_id_and_a_dropped_id_is_free_again() {
        let directory = std::env::temp_dir().join(format!("lazaret-uids-{}", std::process::id()));
        let uids = Uids::new(70_000, 2, directory.join("locks"));

        let first = uids.take().expect("an id is free");
        let second = uids.take().expect("an id is free");
        let none_left = uids.take();
        let ids = [first.get(), second.get()];
        drop(first);
        let again = uids.take().expect("the dropped id is free");

        assert_ne!(ids[0], ids[1]);
        assert!(none_left.is_err());
        assert_eq!(again.get(), ids[0]);
        std::fs::remove_dir_all(directory).expect("the test made it");
    }
}
