//! What a job changed in its copy-on-write views: listed, and exported where the caller wants. The host's directories
//! themselves are never written.

use crate::error::RunError;
use crate::plan::{Entry, Plan};
use lazaret_launch::running::Running;
use lazaret_policy::{Change, ChangeKind};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many entries are looked at in all, and how deep.
const MOST: usize = 50_000;
const DEEPEST: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) list: Vec<Change>,
    /// Whether there were more than were looked at.
    pub(crate) cut: bool,
    /// How many files could not be read, and so not be exported.
    pub(crate) unread: u64,
}

impl Changes {
    /// What there is to remark on them.
    pub(crate) fn remark(&self, notes: &mut Vec<String>) {
        if self.cut {
            notes.push("there are more changes than were looked at".to_owned());
        }
        if self.unread > 0 {
            let count = self.unread;
            notes.push(format!(
                "{count} changed files or directories could not be read, and so not be looked into or exported"
            ));
        }
    }
}

/// Lists the changes of all views, and copies those that are files and directories below `export`, a directory that
/// this makes: each view at its path in the jail. Links, deletions and special files are listed only.
pub(crate) fn collect(plan: &Plan, running: &Running, export: Option<&Path>) -> Result<Changes, RunError> {
    let mut walk = Walk { found: Changes::default(), seen: 0 };
    let cows = plan.room.tree.entries.iter().filter_map(|entry| match entry {
        Entry::Cow { host, guest } => Some((host, guest)),
        _ => None,
    });
    let target = export.map(Target::make).transpose()?;
    let Some(scratch) = &running.handed[1] else { return Ok(walk.found) };
    for (index, (host, guest)) in cows.enumerate() {
        let Ok(upper) = open_directory(scratch.as_fd(), format!("cow{index}/upper").as_bytes()) else { continue };
        let place = target.as_ref().map(|target| target.directory(guest)).transpose()?;
        walk.directory(&View { host, guest }, Path::new(""), &upper, place.as_ref(), 0)?;
    }
    Ok(walk.found)
}

/// A view: the host's directory, and where the job saw it.
struct View<'a> {
    host: &'a Path,
    guest: &'a Path,
}

struct Walk {
    found: Changes,
    seen: usize,
}

impl Walk {
    fn directory(
        &mut self,
        view: &View<'_>,
        below: &Path,
        upper: &OwnedFd,
        target: Option<&Target>,
        depth: usize,
    ) -> Result<(), RunError> {
        let Ok(entries) = Dir::read_from(upper) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.seen += 1;
            if self.seen > MOST || depth > DEEPEST {
                self.found.cut = true;
                return Ok(());
            }
            let Ok(stat) = rustix::fs::statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let path = below.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(view, &path, upper, name, &stat, target, depth)?;
        }
        Ok(())
    }

    /// Lists what the host's directory has and `upper`, which replaced it, has not.
    fn gone(&mut self, view: &View<'_>, below: &Path, upper: &OwnedFd) {
        for entry in std::fs::read_dir(view.host.join(below)).into_iter().flatten().flatten() {
            self.seen += 1;
            if self.seen > MOST {
                self.found.cut = true;
                return;
            }
            if rustix::fs::statat(upper, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).is_err() {
                let path = view.guest.join(below).join(entry.file_name()).to_string_lossy().into_owned();
                self.found.list.push(Change { path, kind: ChangeKind::Deleted });
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one recursion step, used in one place")]
    fn entry(
        &mut self,
        view: &View<'_>,
        path: &Path,
        upper: &OwnedFd,
        name: &CStr,
        stat: &Stat,
        target: Option<&Target>,
        depth: usize,
    ) -> Result<(), RunError> {
        let existed = std::fs::symlink_metadata(view.host.join(path)).is_ok();
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_directory = kind == FileType::Directory;
        // overlayfs marks what was deleted with a character device 0:0.
        let change = match kind {
            FileType::CharacterDevice if stat.st_rdev == 0 => Some(ChangeKind::Deleted),
            _ if !existed => Some(ChangeKind::Added),
            // A directory is copied up when anything in it changes.
            FileType::Directory => None,
            _ => Some(ChangeKind::Modified),
        };
        if let Some(kind) = change {
            let path = view.guest.join(path).to_string_lossy().into_owned();
            self.found.list.push(Change { path, kind });
        }
        match (kind, target) {
            (FileType::RegularFile, Some(target)) => {
                let exported = target.copy(upper.as_fd(), name, stat)?;
                self.found.unread += u64::from(!exported);
                Ok(())
            }
            _ if is_directory => {
                let Ok(below) = open_directory(upper.as_fd(), name.to_bytes()) else {
                    self.found.unread += 1;
                    return Ok(());
                };
                if existed && is_opaque(&below) {
                    self.gone(view, path, &below);
                }
                let target = target.map(|target| target.directory(Path::new(OsStr::from_bytes(name.to_bytes()))));
                self.directory(view, path, &below, target.transpose()?.as_ref(), depth + 1)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a directory hides the one below it: the job removed that and made a new one.
fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0_u8; 2];
    rustix::fs::fgetxattr(directory, c"user.overlay.opaque", &mut value).is_ok_and(|length| value[..length] == *b"y")
}

fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), BENEATH)
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// A directory of an export.
struct Target {
    path: PathBuf,
    directory: OwnedFd,
}

impl Target {
    /// Makes the directory `path`, which must not exist: nothing of the job's may meet links that are there already.
    fn make(path: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::Deliver { path: path.to_owned(), source };
        std::fs::create_dir(path).map_err(failed)?;
        let directory = std::fs::File::open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), directory: directory.into() })
    }

    /// The directory `below` in it, with those above.
    fn directory(&self, below: &Path) -> Result<Self, RunError> {
        let mut directory = self.directory.try_clone().map_err(|source| self.failed(source))?;
        let mut path = self.path.clone();
        for name in below.strip_prefix("/").unwrap_or(below) {
            match rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed(errno.into())),
            }
            directory =
                open_directory(directory.as_fd(), name.as_bytes()).map_err(|errno| self.failed(errno.into()))?;
            path.push(name);
        }
        Ok(Self { path, directory })
    }

    /// Copies the file `name` of `from`, without set-id bits. Returns whether it can be read: a job may have seen to it
    /// that an ordinary user cannot.
    fn copy(&self, from: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool, RunError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(source) = rustix::fs::openat2(from, name, flags, Mode::empty(), BENEATH) else { return Ok(false) };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o755);
        let new = rustix::fs::openat(&self.directory, name, flags, mode).map_err(|errno| self.failed(errno.into()))?;
        let (mut source, mut new) = (std::fs::File::from(source), std::fs::File::from(new));
        io::copy(&mut source, &mut new).map(|_| true).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> RunError {
        RunError::Deliver { path: self.path.clone(), source }
    }
}
