//! The private directory of a job: made fresh, and removed whatever the job left in it.

use lazaret_launch::error::RunError;
use lazaret_launch::uid::Uids;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const PREFIX: &str = "lazaret-";
/// What the job works in, and what is its /tmp.
const INSIDE: [&str; 2] = ["job", "tmp"];

/// A directory of one job's. Its lock (flock(2)) tells that somebody lives who will remove it.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    base: OwnedFd,
    name: CString,
    top: OwnedFd,
    removed: bool,
}

/// A name that no other job's directory has.
pub(crate) fn name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut random = [0_u8; 8];
    let filled = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    debug_assert!(filled.is_ok(), "getrandom answers");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{number}-{:016x}", std::process::id(), u64::from_ne_bytes(random))
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Place {
    /// Makes the directory `name` in `base`, with the two inside, for the job's user `owner`, or this process's own.
    ///
    /// # Errors
    ///
    /// When it is there already, or cannot be made or given away.
    pub(crate) fn make(base: &Path, name: &str, owner: Option<u32>) -> Result<Self, RunError> {
        let path = base.join(name);
        let failed = |errno: Errno| RunError::Directory { what: "make", path: path.clone(), source: errno.into() };
        let base = rustix::fs::open(base, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let base = base.map_err(failed)?;
        rustix::fs::mkdirat(&base, name, Mode::RWXU).map_err(failed)?;
        let top = rustix::fs::openat(&base, name, DIRECTORY, Mode::empty()).map_err(failed)?;
        let name = CString::new(name).unwrap_or_default();
        let place = Self { path: path.clone(), base, name, top, removed: false };
        rustix::fs::flock(&place.top, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
        // Where a sweep came between the two, there is nothing to give away.
        for inside in INSIDE {
            rustix::fs::mkdirat(&place.top, inside, Mode::RWXU).map_err(failed)?;
            // Whatever this process's umask is.
            rustix::fs::chmodat(&place.top, inside, Mode::RWXU, AtFlags::empty()).map_err(failed)?;
        }
        rustix::fs::fchmod(&place.top, Mode::RWXU).map_err(failed)?;
        if let Some(owner) = owner {
            let ids = (Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)));
            for inside in INSIDE {
                rustix::fs::chownat(&place.top, inside, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            rustix::fs::fchown(&place.top, ids.0, ids.1).map_err(failed)?;
        }
        Ok(place)
    }

    /// The directory above the two.
    pub(crate) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Removes it with all that is in it. Nobody of the job may live.
    ///
    /// # Errors
    ///
    /// When something cannot be removed.
    pub(crate) fn remove(mut self) -> Result<(), RunError> {
        self.removed = true;
        remove(self.base.as_fd(), &self.name, self.top.as_fd()).map_err(|errno| RunError::Directory {
            what: "remove",
            path: self.path.clone(),
            source: errno.into(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.removed {
            let removed = remove(self.base.as_fd(), &self.name, self.top.as_fd());
            // On the way of an error, which is told; a sweep tries again.
            removed.unwrap_or_default();
        }
    }
}

/// Removes the directory `top`, which is `name` in `base`. However deep it is, two levels are open at most: what lies
/// below is moved to the top before it is emptied.
fn remove(base: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>) -> Result<(), Errno> {
    open_up(top)?;
    let mut moved = 0_u64;
    loop {
        let mut left = false;
        for (entry, is_directory) in entries(top)? {
            left = true;
            if !is_directory {
                gone(rustix::fs::unlinkat(top, &entry, AtFlags::empty()))?;
                continue;
            }
            make_accessible(top, &entry)?;
            let below = rustix::fs::openat(top, &entry, DIRECTORY, Mode::empty())?;
            for (inner, is_directory) in entries(below.as_fd())? {
                if is_directory {
                    // A directory that changes its parent is written to.
                    make_accessible(below.as_fd(), &inner)?;
                    moved += 1;
                    rename_to_top(below.as_fd(), &inner, top, &mut moved)?;
                } else {
                    gone(rustix::fs::unlinkat(&below, &inner, AtFlags::empty()))?;
                }
            }
            gone(rustix::fs::unlinkat(top, &entry, AtFlags::REMOVEDIR))?;
        }
        if !left {
            return gone(rustix::fs::unlinkat(base, name, AtFlags::REMOVEDIR));
        }
    }
}

fn rename_to_top(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> Result<(), Errno> {
    loop {
        let new = format!("moved-{moved}");
        match rustix::fs::renameat_with(from, name, top, new, rustix::fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => *moved += 1,
            other => return other,
        }
    }
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn open_up(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fchmod(directory, Mode::RWXU)
}

/// The job may have taken its own rights away.
fn make_accessible(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    // By what was opened: a name could be another's by now, where a sweep meets a job that is being ended.
    let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
    rustix::fs::chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty())
}

/// What is in `directory` now, and whether each is a directory itself.
fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(CString, bool)>, Errno> {
    let own = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if own(entry.file_name()) {
            let stat = rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            found.push((entry.file_name().to_owned(), is_directory));
        }
    }
    Ok(found)
}

/// Removes what killed callers of this user's left in `base`: directories by our names that nobody holds the lock of.
pub(crate) fn sweep(base: &Path) {
    let uid = rustix::process::geteuid().as_raw();
    let Ok(listing) = std::fs::read_dir(base) else { return };
    let Ok(parent) = rustix::fs::open(base, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let ours = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let named = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).is_some_and(is_number_number_hex);
        let jobs = Uids::FIRST..Uids::FIRST + Uids::COUNT;
        let owner = |owner: u32| owner == uid || uid == 0 && jobs.contains(&owner);
        named && entry.metadata().is_ok_and(|found| found.is_dir() && owner(found.uid()))
    };
    for entry in listing.flatten().filter(ours) {
        let Ok(name) = CString::new(entry.file_name().as_encoded_bytes()) else { continue };
        let Ok(top) = rustix::fs::openat(&parent, &name, DIRECTORY, Mode::empty()) else { continue };
        if rustix::fs::flock(&top, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let removed = remove(parent.as_fd(), &name, top.as_fd());
            // What cannot be removed now is tried again by the next launcher.
            removed.unwrap_or_default();
        }
    }
}

/// `PID-NUMBER-HEX`, as [`name`] makes it, of a process that is gone: one that lives may be about to lock it.
fn is_number_number_hex(rest: &str) -> bool {
    let mut parts = rest.split('-');
    let (pid, number, random) = (parts.next(), parts.next(), parts.next());
    let digits =
        |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let hex = random.is_some_and(|random| random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit()));
    let lives = pid.is_some_and(|pid| Path::new("/proc").join(pid).exists());
    digits(pid) && digits(number) && hex && parts.next().is_none() && !lives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_tree_without_rights_is_removed() {
        let base = std::env::temp_dir();
        let place = Place::make(&base, &name(), None).expect("a directory can be made");
        let path = place.path.clone();
        let mut at = rustix::fs::openat(place.top(), "job", DIRECTORY, Mode::empty()).expect("it was made");
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deeper", Mode::RWXU).expect("the job can");
            at = rustix::fs::openat(&at, "deeper", DIRECTORY, Mode::empty()).expect("it was made");
        }
        std::fs::write(path.join("job/file"), "x").expect("the job can");
        rustix::fs::chmodat(place.top(), "job", Mode::empty(), AtFlags::empty()).expect("the job can");
        drop(at);

        place.remove().expect("all of it can be removed");

        assert!(!path.exists());
    }

    #[test]
    fn names_of_others_are_not_swept() {
        assert!(!is_number_number_hex("doc-17"));
        assert!(!is_number_number_hex(&format!("{}-0-0123456789abcdef", std::process::id())));
        assert!(is_number_number_hex("4194999-0-0123456789abcdef"));
    }
}
