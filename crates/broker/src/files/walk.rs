//! Follows a path, name by name, from descriptor to descriptor.
//!
//! The kernel follows no link here, and no `..`: a link's text is read and followed as a path of the job, and the way
//! up is the path without its last name, found again from its root down. So wherever directories are moved meanwhile,
//! each step starts at a root or at what was found beneath one, and none leads up.

use super::path::Guest;
use super::proc::{Ids, Processes, Special, special};
use super::refusal::{Stop, Why, errno, refuse};
use super::root::{Located, Roots, Under, kind_of, own};
use crate::caller::{Caller, CallerError};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::cell::OnceCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// MAXSYMLINKS of the kernel.
const MOST_LINKS: u32 = 40;
/// How many names are looked up in one walk at most, with those that are looked up again for a `..`: a path through
/// many links could have millions, while this process does nothing else.
const MOST_STEPS: usize = 20_000;
/// NAME_MAX.
pub(super) const LONGEST_NAME: usize = 255;
/// PROC_SUPER_MAGIC of statfs(2).
const PROC_MAGIC: i64 = 0x9fa0;

/// Where a walk has come to.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) guest: Guest,
    pub(super) what: What,
}

/// What is there.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A directory on the way to a root.
    Above(Arc<OwnedFd>),
    /// Something beneath this root, or the root itself, opened with O_PATH.
    Inside { root: usize, object: Arc<OwnedFd>, kind: FileType },
    /// A link, opened itself, that the kernel must not follow, or none can be opened: the text is what counts.
    Link { object: Option<Arc<OwnedFd>>, text: Vec<u8> },
    /// The caller's own descriptor.
    Descriptor(i32),
    /// A directory of /proc that no root has.
    Way,
}

/// What a walk is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What the path stands for; a link at its end is followed if `follow`.
    Object { follow: bool },
    /// The same, or its name where there is nothing.
    ObjectOrName { follow: bool },
    /// The last name and the directory that it is in.
    Name,
}

/// What a walk found.
#[derive(Debug)]
pub(super) enum Found {
    /// What the path stands for.
    Object(Spot),
    /// A name, which may be that of nothing.
    Name(Name),
    /// The path ends in `.`, in `..`, or is `/`: there is no name to make or remove.
    NoName(&'static [u8]),
}

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) directory: Spot,
    pub(super) name: Vec<u8>,
    /// Whether a slash follows: it has to be a directory's.
    pub(super) slash: bool,
}

impl Name {
    pub(super) fn guest(&self) -> Guest {
        self.directory.guest.child(&self.name)
    }

    /// For the kernel, which knows what the slash means.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut written = self.name.clone();
        written.extend(self.slash.then_some(b'/'));
        written
    }
}

/// Follows paths of one waiting thread.
pub(super) struct Walker<'a, 'b> {
    pub(super) roots: &'a Roots,
    caller: &'a Caller<'b>,
    processes: Processes,
    ids: OnceCell<Ids>,
    links: u32,
    steps: usize,
    started: Option<(i32, Spot)>,
    /// Whether any link on the way is an error, as RESOLVE_NO_SYMLINKS has it.
    pub(super) no_links: bool,
}

impl<'a, 'b> Walker<'a, 'b> {
    pub(super) fn new(roots: &'a Roots, caller: &'a Caller<'b>, processes: Processes) -> Self {
        Self { roots, caller, processes, ids: OnceCell::new(), links: 0, steps: 0, started: None, no_links: false }
    }

    /// What `path` stands for, or names, from the directory that the caller's descriptor `dir` or its current
    /// directory is.
    pub(super) fn find(&mut self, dir: i32, path: &[u8], end: End) -> Result<Found, Stop> {
        if path.is_empty() {
            return errno(libc::ENOENT);
        }
        let start = self.start(dir, path)?;
        if end != End::Name
            && let Some(shortcut) = self.shortcut(start.as_ref(), path)
            && let Some(found) = shortcut.find(end)?
        {
            return Ok(found);
        }
        let start = match start {
            Some(start) => start,
            None => self.at(Guest::top())?,
        };
        self.links = 0;
        self.walk(start, path, end)
    }

    /// Where `path` begins; `None` at the top. It is looked up once in a call.
    pub(super) fn start(&mut self, dir: i32, path: &[u8]) -> Result<Option<Spot>, Stop> {
        if path.first() == Some(&b'/') {
            return Ok(None);
        }
        match &self.started {
            Some((known, spot)) if *known == dir => Ok(Some(spot.clone())),
            _ => {
                let spot = self.directory(dir)?;
                self.started = Some((dir, spot.clone()));
                Ok(Some(spot))
            }
        }
    }

    /// As [`Walker::find`], of what is to be there.
    pub(super) fn find_object(&mut self, dir: i32, path: &[u8], follow: bool) -> Result<Spot, Stop> {
        match self.find(dir, path, End::Object { follow })? {
            Found::Object(spot) => Ok(spot),
            Found::Name(_) | Found::NoName(_) => errno(libc::ENOENT),
        }
    }

    /// Where the caller's descriptor `dir` is, or its current directory.
    fn directory(&self, dir: i32) -> Result<Spot, Stop> {
        if dir == libc::AT_FDCWD {
            return self.place(self.current_directory()?, FileType::Directory);
        }
        let object = self.caller.descriptor(dir)?;
        let kind = kind_of(object.as_fd())?;
        if kind != FileType::Directory {
            return errno(libc::ENOTDIR);
        }
        self.place(object, kind)
    }

    /// The caller's current directory.
    pub(super) fn current_directory(&self) -> Result<OwnedFd, Stop> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = format!("/proc/{}/cwd", self.caller.tid());
        let opened = rustix::fs::open(path, flags, Mode::empty());
        if !self.caller.is_waiting() {
            return Err(Stop::Caller(CallerError::Gone));
        }
        opened.map_err(|errno| Stop::Caller(CallerError::Own(errno.into())))
    }

    /// Where an object that the caller holds is in its tree.
    pub(super) fn place(&self, object: OwnedFd, kind: FileType) -> Result<Spot, Stop> {
        let Some(Located { guest, on_mount }) = self.roots.locate(object.as_fd())? else {
            return Err(Stop::Refused { why: Why::Outside, at: None });
        };
        if !on_mount && !is_in_proc(&guest) && is_of_proc(object.as_fd()) {
            return refuse(Why::Outside, &guest);
        }
        let what = match self.roots.under(&guest) {
            Under::Root { root, .. } => What::Inside { root, object: Arc::new(object), kind },
            Under::Above(above) => What::Above(Arc::clone(self.roots.above(above))),
            Under::Outside => return refuse(Why::Outside, &guest),
        };
        Ok(Spot { guest, what })
    }

    fn walk(&mut self, start: Spot, path: &[u8], end: End) -> Result<Found, Stop> {
        let mut path = path;
        let slash = end == End::Name && path.ends_with(b"/");
        if slash {
            while let Some(shorter) = path.strip_suffix(b"/") {
                path = shorter;
            }
        }
        let mut spot = start;
        let mut left: Vec<Vec<u8>> = split(path);
        if end == End::Name && left.iter().all(Vec::is_empty) {
            return Ok(Found::NoName(b"/"));
        }
        while let Some(name) = left.pop() {
            let is_last = left.is_empty();
            self.steps += if name == b".." { spot.guest.len() } else { 1 };
            if self.steps > MOST_STEPS {
                return errno(libc::ELOOP);
            }
            match (name.as_slice(), end) {
                (b".", End::Name) if is_last => return Ok(Found::NoName(b".")),
                (b"..", End::Name) if is_last => return Ok(Found::NoName(b"..")),
                (b"" | b".", _) => {
                    self.enter(&spot)?;
                    continue;
                }
                (b"..", _) => {
                    self.enter(&spot)?;
                    let mut guest = spot.guest;
                    guest.pop();
                    spot = self.at(guest)?;
                    continue;
                }
                _ if name.len() > LONGEST_NAME => return errno(libc::ENAMETOOLONG),
                (_, End::Name) if is_last => {
                    self.enter(&spot)?;
                    return Ok(Found::Name(Name { directory: spot, name, slash }));
                }
                _ => {}
            }
            let next = match self.child(&spot, &name) {
                Err(Stop::Errno(libc::ENOENT)) if is_last && matches!(end, End::ObjectOrName { .. }) => {
                    return Ok(Found::Name(Name { directory: spot, name, slash: false }));
                }
                next => next?,
            };
            let follow = match end {
                End::Object { follow } | End::ObjectOrName { follow } => follow,
                End::Name => false,
            };
            match &next.what {
                What::Link { text, .. } if !is_last || follow => {
                    self.links += 1;
                    if self.links > MOST_LINKS || self.no_links {
                        return errno(libc::ELOOP);
                    }
                    if text.is_empty() {
                        return errno(libc::ENOENT);
                    }
                    if text.starts_with(b"/") {
                        spot = self.at(Guest::top())?;
                    }
                    left.extend(split(text));
                }
                _ => spot = next,
            }
        }
        Ok(Found::Object(spot))
    }

    /// That `spot` is a directory that may be searched.
    fn enter(&self, spot: &Spot) -> Result<(), Stop> {
        match &spot.what {
            What::Inside { object, .. } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat(&**object, ".", flags, Mode::empty())?;
                Ok(())
            }
            What::Above(_) | What::Way => Ok(()),
            What::Link { .. } | What::Descriptor(_) => errno(libc::ENOTDIR),
        }
    }

    /// What `name` stands for in the directory `spot`.
    fn child(&self, spot: &Spot, name: &[u8]) -> Result<Spot, Stop> {
        if let What::Descriptor(number) = spot.what {
            let object = self.caller.descriptor(number)?;
            let kind = kind_of(object.as_fd())?;
            if kind != FileType::Directory {
                return errno(libc::ENOTDIR);
            }
            return self.child(&self.place(object, kind)?, name);
        }
        let guest = spot.guest.child(name);
        let named = match self.special(&guest)? {
            Special::Ordinary => None,
            Special::Hidden => return refuse(Why::Outside, &guest),
            Special::Way => {
                let opened = self.open_child(spot, &guest, name).ok();
                return Ok(opened.unwrap_or(Spot { guest, what: What::Way }));
            }
            Special::Link(text) => Some(text),
            Special::Descriptor(number) => return Ok(Spot { guest, what: What::Descriptor(number) }),
        };
        let opened = self.open_child(spot, &guest, name);
        match (opened, named) {
            (opened, None) => opened,
            (
                Ok(Spot { what: What::Inside { object, .. } | What::Link { object: Some(object), .. }, .. }),
                Some(text),
            ) => Ok(Spot { guest, what: What::Link { object: Some(object), text } }),
            (_, Some(text)) => Ok(Spot { guest, what: What::Link { object: None, text } }),
        }
    }

    fn open_child(&self, spot: &Spot, guest: &Guest, name: &[u8]) -> Result<Spot, Stop> {
        let (root, object) = match (self.roots.under(guest), &spot.what) {
            (Under::Root { root, names }, _) if names == guest.len() => (root, Arc::clone(&self.roots.get(root).place)),
            (Under::Root { root, .. }, What::Inside { object, .. }) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                (root, Arc::new(rustix::fs::openat(&**object, name, flags, Mode::empty())?))
            }
            (Under::Above(above), _) => {
                let what = What::Above(Arc::clone(self.roots.above(above)));
                return Ok(Spot { guest: guest.clone(), what });
            }
            _ => return refuse(Why::Outside, guest),
        };
        let kind = kind_of(object.as_fd())?;
        // Another mount of /proc would show this process.
        if !is_in_proc(guest) && is_of_proc(object.as_fd()) {
            return refuse(Why::Outside, guest);
        }
        if kind == FileType::Symlink {
            let text = rustix::fs::readlinkat(&object, "", Vec::new())?.into_bytes();
            let text = self.text_of(guest, text);
            return Ok(Spot { guest: guest.clone(), what: What::Link { object: Some(object), text } });
        }
        Ok(Spot { guest: guest.clone(), what: What::Inside { root, object, kind } })
    }

    /// What a link says, as the job would say it: those of /proc speak of places, not of names.
    fn text_of(&self, guest: &Guest, text: Vec<u8>) -> Vec<u8> {
        if !is_in_proc(guest) {
            return text;
        }
        let place = Guest::parse(&text).and_then(|real| self.roots.guest_of(&real));
        place.map_or(text, |place| place.to_bytes())
    }

    /// What is at `guest`, in which no link is, found from its root down.
    fn at(&self, guest: Guest) -> Result<Spot, Stop> {
        let what = match self.roots.under(&guest) {
            Under::Root { root, names } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let held = self.roots.get(root);
                let rest = guest.relative(names);
                let object = if guest.len() == names {
                    Arc::clone(&held.place)
                } else {
                    Arc::new(rustix::fs::openat2(&*held.place, rest, flags, Mode::empty(), resolve)?)
                };
                let kind = kind_of(object.as_fd())?;
                What::Inside { root, object, kind }
            }
            Under::Above(above) => What::Above(Arc::clone(self.roots.above(above))),
            Under::Outside if self.special(&guest)? == Special::Way => What::Way,
            Under::Outside => return refuse(Why::Outside, &guest),
        };
        Ok(Spot { guest, what })
    }

    fn special(&self, guest: &Guest) -> Result<Special, Stop> {
        let under = match guest.names().first() {
            Some(name) if name == b"proc" => self.roots.under(guest),
            Some(name) if name == b"dev" => Under::Outside,
            _ => return Ok(Special::Ordinary),
        };
        // What the policy names itself is not looked at again, but whose it is.
        let explicit = matches!(under, Under::Root { names, .. } if names > 1);
        let is_number = guest.names().get(1).is_some_and(|name| name.iter().all(u8::is_ascii_digit));
        if (explicit && !is_number) || matches!(under, Under::Above(_)) {
            return Ok(Special::Ordinary);
        }
        let shown = matches!(under, Under::Root { .. });
        special(guest, self.processes, shown, || {
            if let Some(ids) = self.ids.get() {
                return Ok(ids.clone());
            }
            let ids = Ids::of(self.caller)?;
            Ok(self.ids.get_or_init(|| ids).clone())
        })
    }

    /// A descriptor's link in /proc, opened itself, and its text. It is this process's own for that object, which looks the
    /// same.
    pub(super) fn descriptor_link(&self, number: i32) -> Result<(OwnedFd, Vec<u8>), Stop> {
        let object = self.caller.descriptor(number)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = rustix::fs::open(own(object.as_fd()), flags, Mode::empty())?;
        Ok((link, rustix::fs::readlink(own(object.as_fd()), Vec::new())?.into_bytes()))
    }
}

/// Whether it is at the place of /proc, where [`special`] counts.
pub(super) fn is_in_proc(guest: &Guest) -> bool {
    guest.names().first().is_some_and(|name| name == b"proc")
}

/// Whether it is of a file system of the kind of /proc, wherever that is mounted.
pub(super) fn is_of_proc(object: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(object).is_ok_and(|system| system.f_type == PROC_MAGIC)
}

/// The names of a path, the last first.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}
