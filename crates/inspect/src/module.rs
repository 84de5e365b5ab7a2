//! The files that a job's code comes from, as far as they may be looked into.
//!
//! A file that a job can write is as hostile as the job, and a parser of ELF and DWARF is large. So only a file that the
//! job has no way to change is opened: one on a mount that is read-only where the job sees it, or one of root's that
//! nobody else may write, when the job is not root. Of a job that is a copy of this process and can change no file at all,
//! the files of this process's own code are looked into as well.

use crate::maps::{self, Mapping};
use crate::thread::Thread;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How many files are kept open for one job.
const KEPT: usize = 48;

/// What a mapping's file is known by: its inode number and its name.
pub(crate) type Key = (u64, Vec<u8>);

/// Files that were opened. `None`: one that is not looked into.
#[derive(Debug, Default, Clone)]
pub(crate) struct Files {
    known: Arc<Mutex<Known>>,
    /// What may be looked into wherever it is.
    own: Arc<HashSet<Key>>,
}

type Known = HashMap<Key, Option<Arc<File>>>;

impl Files {
    /// For a job that is a copy of this process, and can change no file.
    pub(crate) fn of_copy() -> Self {
        let code = maps::read(Path::new("/proc/self/maps")).unwrap_or_default().into_iter();
        let own = code.filter(|mapping| mapping.executable).map(|mapping| (mapping.inode, mapping.name)).collect();
        Self { own: Arc::new(own), ..Self::default() }
    }

    /// The file of `mapping` in the process of `thread`, open for reading, if it may be looked into.
    pub(crate) fn open(&self, thread: &Thread<'_>, mapping: &Mapping) -> Option<Arc<File>> {
        if mapping.inode == 0 || !mapping.name.starts_with(b"/") {
            return None;
        }
        let key = (mapping.inode, mapping.name.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(&key) {
            return file.clone();
        }
        if known.len() >= KEPT {
            return None;
        }
        let file = open_unreachable(thread, mapping, self.own.contains(&key)).map(Arc::new);
        known.insert(key, file.clone());
        file
    }

    /// The file that was opened for `mapping`.
    pub(crate) fn get(&self, mapping: &Mapping) -> Option<Arc<File>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(mapping.inode, mapping.name.clone())).cloned().flatten()
    }
}

/// OVERLAYFS_SUPER_MAGIC of linux/magic.h: there, an inode has several numbers.
const OVERLAY: i64 = 0x794c_7630;

fn open_unreachable(thread: &Thread<'_>, mapping: &Mapping, is_own: bool) -> Option<File> {
    let place = OFlags::PATH | OFlags::CLOEXEC;
    let root: OwnedFd = rustix::fs::open(thread.proc("root"), place | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let name = PathBuf::from(OsStr::from_bytes(&mapping.name));
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = rustix::fs::openat2(&root, &name, place, Mode::empty(), resolve).ok()?;
    let stat = rustix::fs::fstat(&found).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let is_overlay = rustix::fs::fstatfs(&found).is_ok_and(|fs| fs.f_type == OVERLAY);
    if stat.st_ino != mapping.inode && !is_overlay {
        return None;
    }
    let is_read_only = rustix::fs::fstatvfs(&found).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    let is_roots = stat.st_uid == 0 && stat.st_mode & 0o022 == 0 && thread.uid().is_some_and(|uid| uid != 0);
    if !is_own && !is_read_only && !is_roots {
        return None;
    }
    // The very file that was looked at.
    reopen(&found)
}

/// The file at `place`, for reading. Waits for nobody.
fn reopen(place: &OwnedFd) -> Option<File> {
    use std::os::fd::AsRawFd as _;
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(again, flags, Mode::empty()).ok().map(File::from)
}
