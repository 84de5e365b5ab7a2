//! The roots: what of the file tree a job may use, and how.

use super::path::Guest;
use super::walk::{is_in_proc, is_of_proc};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxFlags};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What may be done beneath a root. Looking at status, links and permissions is part of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// Opening files for reading, listing directories.
    pub read: bool,
    /// Changing, making and removing.
    pub write: bool,
    /// Executing files.
    pub execute: bool,
}

impl Access {
    fn with(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write, execute: self.execute || other.execute }
    }

    /// Whether `other` gives nothing that this does not.
    pub(super) fn covers(self, other: Self) -> bool {
        self.with(other) == self
    }
}

/// A part of the file tree that a job may use.
///
/// Roots only add to each other: beneath a root that lies in another, both accesses hold. A root is a directory with
/// everything beneath it, or one file, which then may be a device.
#[derive(Debug)]
pub struct Root {
    /// Its absolute path, as the job names it.
    pub guest: PathBuf,
    /// The directory or file, opened with O_PATH.
    pub place: OwnedFd,
    /// What may be done beneath.
    pub access: Access,
}

/// Why roots cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// Its path is relative, or has `..` in it.
    #[error("`{guest}` is not an absolute path without `..`")]
    Path {
        /// As given.
        guest: PathBuf,
    },
    /// It cannot be looked at, or the directories above it cannot be found.
    #[error("cannot look at the root `{guest}`")]
    Look {
        /// As given.
        guest: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It is of a /proc that is mounted elsewhere, or is one process's part of /proc, as `/proc/self` is this one's:
    /// it would show the job another process than itself.
    #[error("`{guest}` is one process's part of /proc, or another /proc")]
    Proc {
        /// As given.
        guest: PathBuf,
    },
    /// Two of the same path.
    #[error("`{guest}` is named twice")]
    Twice {
        /// As given.
        guest: PathBuf,
    },
    /// It would give what was not given before.
    #[error("`{guest}` is more than there was before")]
    Wider {
        /// As given.
        guest: PathBuf,
    },
}

/// A root, looked at.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) guest: Guest,
    pub(super) place: Arc<OwnedFd>,
    pub(super) access: Access,
    /// Where the place is, as the kernel says it.
    real: Guest,
    /// What it is, by device and inode.
    identity: Identity,
    /// The mount that it is on.
    mount: Option<u64>,
    pub(super) is_directory: bool,
    /// Whether what is on its own mount can be opened before it is known what it is: there are no devices, which act
    /// when they are opened.
    pub(super) has_no_devices: bool,
}

/// A directory on the way to a root.
#[derive(Debug)]
struct Above {
    guest: Guest,
    place: Arc<OwnedFd>,
    real: Guest,
}

/// What something is, wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: Option<u64>,
}

impl Identity {
    pub(super) fn of(object: BorrowedFd<'_>) -> io::Result<Self> {
        let mask = StatxFlags::INO | StatxFlags::TYPE | StatxFlags::MNT_ID;
        let found = rustix::fs::statx(object, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, mask)?;
        // Before Linux 5.8 nothing is said of mounts.
        let mount = (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id);
        Ok(Self { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino, mount })
    }
}

/// Where something is that a job has a descriptor of.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) guest: Guest,
    /// Whether it is on the mount of its root.
    pub(super) on_mount: bool,
}

/// Where a path leads before any directory is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Under {
    /// Into this root, at so many of the path's names.
    Root { root: usize, names: usize },
    /// To a directory on the way to a root.
    Above(usize),
    /// Elsewhere.
    Outside,
}

/// All roots of a job.
#[derive(Debug)]
pub(super) struct Roots {
    held: Vec<Held>,
    above: Vec<Above>,
    /// Whether the tree as a whole is one of them.
    pub(super) tree: Arc<OwnedFd>,
}

impl Roots {
    pub(super) fn new(tree: Arc<OwnedFd>, roots: Vec<Root>) -> Result<Self, RootError> {
        let mut held: Vec<Held> = Vec::with_capacity(roots.len());
        for Root { guest: named, place, access } in roots {
            let guest = Guest::parse(named.as_os_str().as_bytes());
            let Some(guest) = guest else { return Err(RootError::Path { guest: named }) };
            if held.iter().any(|other| other.guest == guest) {
                return Err(RootError::Twice { guest: named });
            }
            let look = |source: io::Error| RootError::Look { guest: named.clone(), source };
            let identity = Identity::of(place.as_fd()).map_err(look)?;
            let is_directory = kind_of(place.as_fd()).map_err(look)? == FileType::Directory;
            let real = real(place.as_fd()).map_err(look)?;
            if is_of_proc(place.as_fd()) && !is_anybodys(&guest, &real) {
                return Err(RootError::Proc { guest: named });
            }
            // Where that cannot be told, by a server of files, there may be some.
            let has_no_devices = has_no_devices(place.as_fd()).unwrap_or(false);
            let (place, mount) = (Arc::new(place), identity.mount);
            held.push(Held { guest, place, access, real, identity, mount, is_directory, has_no_devices });
        }
        let own: Vec<(Guest, Access)> = held.iter().map(|root| (root.guest.clone(), root.access)).collect();
        for root in &mut held {
            let around = own.iter().filter(|(guest, _)| root.guest.is_beneath(guest));
            root.access = around.fold(root.access, |access, (_, outer)| access.with(*outer));
        }
        let mut roots = Self { held, above: Vec::new(), tree };
        roots.find_above()?;
        Ok(roots)
    }

    /// The directories on the way to roots.
    fn find_above(&mut self) -> Result<(), RootError> {
        let mut paths: Vec<Guest> = vec![Guest::top()];
        paths.extend(self.held.iter().flat_map(|root| root.guest.parents()));
        paths.sort();
        paths.dedup();
        for guest in paths {
            if matches!(self.under(&guest), Under::Root { .. }) {
                continue;
            }
            let look = |source: io::Error| RootError::Look { guest: guest.to_path(), source };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let opened = rustix::fs::openat2(&self.tree, guest.relative(0), flags, Mode::empty(), resolve);
            let place = match opened {
                Ok(place) => place,
                // The root is named where the tree has no such directory: it can be walked to, and looked at not.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => self.tree.try_clone().map_err(look)?,
                Err(errno) => return Err(look(errno.into())),
            };
            let real = real(place.as_fd()).map_err(look)?;
            self.above.push(Above { guest, place: Arc::new(place), real });
        }
        Ok(())
    }

    /// Fewer roots in place of these.
    pub(super) fn restrict(&self, roots: Vec<Root>) -> Result<Self, RootError> {
        let fewer = Self::new(Arc::clone(&self.tree), roots)?;
        for root in &fewer.held {
            let within = match self.under(&root.guest) {
                Under::Root { root: outer, names } => self.has(outer, names, root),
                Under::Above(_) | Under::Outside => false,
            };
            if !within {
                return Err(RootError::Wider { guest: root.guest.to_path() });
            }
        }
        Ok(fewer)
    }

    /// Whether `inner` is what is found at its path beneath the root `outer`, with no more access.
    fn has(&self, outer: usize, names: usize, inner: &Held) -> bool {
        let outer = &self.held[outer];
        let same = if inner.guest.len() == names {
            Ok(outer.identity)
        } else {
            open_beneath(&outer.place, &inner.guest.relative(names)).and_then(|found| Identity::of(found.as_fd()))
        };
        outer.access.covers(inner.access) && same.is_ok_and(|found| found == inner.identity)
    }

    pub(super) fn get(&self, root: usize) -> &Held {
        &self.held[root]
    }

    pub(super) fn above(&self, above: usize) -> &Arc<OwnedFd> {
        &self.above[above].place
    }

    /// Where `guest`, in which no link is, leads: the innermost root counts.
    pub(super) fn under(&self, guest: &Guest) -> Under {
        self.under_names(guest.names())
    }

    /// As [`Roots::under`], of names that are not put together yet.
    pub(super) fn under_names<N: AsRef<[u8]>>(&self, names: &[N]) -> Under {
        let is_beneath = |root: &&Held| root.guest.is_prefix_of(names);
        let found = self.held.iter().enumerate().filter(|(_, root)| is_beneath(root));
        if let Some((root, held)) = found.max_by_key(|(_, root)| root.guest.len()) {
            return Under::Root { root, names: held.guest.len() };
        }
        let at = |above: &Above| above.guest.len() == names.len() && above.guest.is_prefix_of(names);
        self.above.iter().position(at).map_or(Under::Outside, Under::Above)
    }

    /// Whether a root is at `guest` or beneath it: such a name is the policy's.
    pub(super) fn names(&self, guest: &Guest) -> bool {
        self.held.iter().any(|root| root.guest == *guest || root.guest.is_beneath(guest))
    }

    /// Where in the job's tree the directory `object` is that it holds, if beneath a root or above one. What the
    /// kernel says of places counts on the mount of the root alone; elsewhere the directory has to be found there.
    pub(super) fn locate(&self, object: BorrowedFd<'_>) -> io::Result<Option<Located>> {
        let real = match real(object) {
            Ok(real) => real,
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(None),
            Err(e) => return Err(e),
        };
        if let Some(root) = self.nearest(&real) {
            let guest = root.guest.join(real.names().get(root.real.len()..).unwrap_or_default());
            let identity = Identity::of(object)?;
            if identity.mount.is_some() && identity.mount == root.mount {
                return Ok(Some(Located { guest, on_mount: true }));
            }
            let found = open_beneath(&root.place, &real.relative(root.real.len()));
            let same = found.and_then(|found| Identity::of(found.as_fd())).is_ok_and(|found| found == identity);
            return Ok(same.then_some(Located { guest, on_mount: false }));
        }
        for above in self.above.iter().filter(|above| above.real == real) {
            if Identity::of(above.place.as_fd())? == Identity::of(object)? {
                return Ok(Some(Located { guest: above.guest.clone(), on_mount: false }));
            }
        }
        Ok(None)
    }

    /// The root that has the place that the kernel calls `real`: of several the one that gives most, and of equal ones
    /// that which has the kernel's name for it.
    fn nearest(&self, real: &Guest) -> Option<&Held> {
        let beneath = self.held.iter().filter(|root| real.is_at_or_beneath(&root.real));
        let given = |Access { read, write, execute }: Access| u8::from(read) + u8::from(write) + u8::from(execute);
        beneath.max_by_key(|root| (given(root.access), root.guest == root.real, root.real.len()))
    }

    /// The place that the kernel calls `real`, as the job would name it.
    pub(super) fn guest_of(&self, real: &Guest) -> Option<Guest> {
        let inside =
            self.nearest(real).map(|root| root.guest.join(real.names().get(root.real.len()..).unwrap_or_default()));
        inside.or_else(|| self.above.iter().find(|above| above.real == *real).map(|above| above.guest.clone()))
    }
}

/// Whether what is at `real` in some /proc is named as it is there, and is no process's.
fn is_anybodys(guest: &Guest, real: &Guest) -> bool {
    let of_process =
        |name: &Vec<u8>| name.iter().all(u8::is_ascii_digit) || matches!(name.as_slice(), b"self" | b"thread-self");
    is_in_proc(guest) && real.names().ends_with(guest.names()) && !guest.names().get(1).is_some_and(of_process)
}

fn open_beneath(place: &OwnedFd, rest: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(place, rest, flags, Mode::empty(), resolve)?)
}

/// Where the kernel says that `object` is, from the root of its mount namespace.
pub(super) fn real(object: BorrowedFd<'_>) -> io::Result<Guest> {
    let link = rustix::fs::readlink(own(object), Vec::new())?;
    Guest::parse(link.as_bytes()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The path by which this process names an object that it holds.
pub(super) fn own(object: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

/// Whether devices cannot be opened on this mount, or only those that an administrator put there: the kernel's own are
/// on a tmpfs.
fn has_no_devices(place: BorrowedFd<'_>) -> io::Result<bool> {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let no_devices = rustix::fs::fstatvfs(place)?.f_flag.contains(StatVfsMountFlags::NODEV);
    let kind = rustix::fs::fstatfs(place)?.f_type;
    Ok(no_devices || !matches!(kind, TMPFS | RAMFS))
}

/// What kind of thing `object` is. Where a server of files knows more, it is not asked.
pub(super) fn kind_of(object: BorrowedFd<'_>) -> io::Result<FileType> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(object, "", flags, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(found.stx_mode.into()))
}
