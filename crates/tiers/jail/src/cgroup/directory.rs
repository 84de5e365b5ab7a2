//! One group's directory, held by a descriptor, and marked as in use for as long as its maker lives.
//!
//! The mark is a lock (flock(2)) on the directory: it ends with the descriptor, and so with the process, and it is seen
//! from every pid namespace. What is not locked was left by a caller that was killed.

use super::locate::Groups;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to let go of a group whose tasks are all dead.
const REMOVAL: Duration = Duration::from_secs(2);

/// How often a name is tried that somebody sweeps at the same time, and how long he is given to be done.
const ATTEMPTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// A group's directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Directory {
    /// Makes the group. One of that name that nobody uses was left by a killed process that had this one's number: this
    /// process gives each name once.
    ///
    /// # Errors
    ///
    /// Those of mkdir(2), `EEXIST` when the name is in use.
    pub(super) fn make(path: PathBuf) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => remove_unused(&path)?,
                other => other?,
            }
            // Until it is marked, somebody may take it for one that was left.
            if let Some(descriptor) = mark(&path)? {
                return Ok(Self { path, descriptor });
            }
            std::thread::sleep(PAUSE);
        }
        Err(Errno::EXIST.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one of its files.
    pub(super) fn open(&self, file: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.descriptor, file, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Writes one of its files, at once and whole, as control files want it.
    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let written = rustix::io::write(self.open(file, OFlags::WRONLY)?, value.as_bytes())?;
        if written == value.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Removes the group. Its tasks must be dead; the kernel is given some time to see that.
    pub(super) fn remove(&self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match fs::remove_dir(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::ResourceBusy && start.elapsed() < REMOVAL => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => return other,
            }
        }
    }
}

/// Opens and locks a group's directory; `None` when somebody else holds the lock, or it is gone.
fn mark(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    match rustix::fs::flock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        other => other?,
    }
    // Whoever had the lock before may have removed it, and another may have its name.
    let held = rustix::fs::fstat(&descriptor)?;
    match rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if named.st_ino == held.st_ino => Ok(Some(descriptor)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a group that nobody uses.
fn remove_unused(path: &Path) -> io::Result<()> {
    // The lock is held until the group is gone.
    let Some(_mark) = mark(path)? else { return Ok(()) };
    match fs::remove_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the groups of callers that were killed before they could.
pub(crate) fn sweep(groups: &Groups) {
    for (parent, _) in groups.directories() {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        for entry in entries.flatten().filter(|entry| owner(&entry.file_name()).is_some_and(|pid| !is_alive(pid))) {
            // What cannot be removed has tasks that are still dying, or belongs to somebody else. A later sweep gets it.
            drop(remove_unused(&entry.path()));
        }
    }
}

/// Whether it is the name of a job's group.
pub(super) fn is_jobs(name: &OsStr) -> bool {
    owner(name).is_some()
}

/// Whose group it is by its name, `lazaret-PID-…`.
fn owner(name: &OsStr) -> Option<u32> {
    let (owner, _) = name.to_str()?.strip_prefix("lazaret-")?.split_once('-')?;
    owner.parse().ok()
}

/// Whether there is such a process, as far as this pid namespace shows: locks say the rest. Without this look, callers
/// that start at the same time would be in the way of each other.
fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lazaret-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a directory can be made");
        path
    }

    #[test]
    fn a_group_in_use_is_not_swept_and_one_that_was_left_is() {
        let scene = scene("sweep");
        let used = Directory::make(scene.join("lazaret-1-0")).expect("it can be made");
        let left = Directory::make(scene.join("lazaret-1-1")).expect("it can be made").path().to_owned();

        for path in [used.path(), &left] {
            remove_unused(path).expect("nothing stands in the way");
        }

        assert!(used.path().exists());
        assert!(!left.exists());
        used.remove().expect("it is empty");
        fs::remove_dir(scene).expect("the test made it");
    }

    #[test]
    fn a_name_in_use_is_not_given_twice_and_one_that_was_left_is_given_again() {
        let scene = scene("names");
        let first = Directory::make(scene.join("lazaret-1-0")).expect("it can be made");

        let second = Directory::make(scene.join("lazaret-1-0"));
        drop(first);
        let third = Directory::make(scene.join("lazaret-1-0"));

        assert_eq!(second.expect_err("it is in use").kind(), io::ErrorKind::AlreadyExists);
        third.expect("it was left").remove().expect("it is empty");
        fs::remove_dir(scene).expect("the test made it");
    }

    #[test]
    fn only_names_with_a_number_are_those_of_jobs() {
        assert!(is_jobs(OsStr::new("lazaret-12-0")));
        assert!(is_jobs(OsStr::new("lazaret-12-doctor")));
        assert!(!is_jobs(OsStr::new("lazaret-caller")));
        assert!(!is_jobs(OsStr::new("lazaret-12")));
    }
}
