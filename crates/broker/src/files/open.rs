//! Opening.
//!
//! What a path stands for is found first, without opening it, and opened then through the descriptor of what was
//! found. It is opened with O_NONBLOCK, which keeps FIFOs, devices and leases from holding up this process, and
//! without becoming a controlling terminal.

use super::act::{Act, Done, Target};
use super::path::Guest;
use super::proc::umask;
use super::refusal::{Stop, Why, errno, refuse};
use super::request::At;
use super::root::{Access, Held, kind_of, own};
use super::walk::{End, Found, Name, is_in_proc};
use super::{Exec, Processes};
use lazaret_sys::file;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What of the flags is handed on when something is opened.
const HANDED_ON: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_ASYNC
    | libc::O_DIRECT
    | libc::O_DIRECTORY
    | libc::O_LARGEFILE
    | libc::O_NOATIME
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_TRUNC;
/// Those of them that can be set later too.
const LATER: i32 = libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME;
/// How often a file is looked for that is made and removed at the same time.
const TRIES: usize = 16;
/// /dev/tty: the terminal of whoever opens it, which would be this process's.
const OWN_TERMINAL: u64 = libc::makedev(5, 0);

/// What open(2) was asked for.
#[derive(Clone, Copy)]
struct Wish {
    flags: i32,
}

impl Wish {
    fn has(self, flag: i32) -> bool {
        self.flags & flag == flag
    }

    /// O_ACCMODE alone asks for both, as far as the kernel's checks go.
    fn access(self) -> Access {
        let mode = self.flags & libc::O_ACCMODE;
        let write = mode != libc::O_RDONLY || self.has(libc::O_TRUNC);
        Access { read: mode != libc::O_WRONLY, write, execute: false }
    }

    fn without_path(self) -> Self {
        Self { flags: self.flags & !libc::O_PATH }
    }

    fn handed_on(self) -> OFlags {
        let always = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        OFlags::from_bits_retain((self.flags & HANDED_ON | always).cast_unsigned())
    }

    /// Hands over what was opened, waiting for its data as it was asked to.
    fn done(self, object: OwnedFd) -> Result<Done, Stop> {
        if !self.has(libc::O_NONBLOCK) {
            let flags = OFlags::from_bits_retain((self.flags & LATER).cast_unsigned());
            rustix::fs::fcntl_setfl(&object, flags)?;
        }
        Ok(Done::Descriptor { object, cloexec: self.has(libc::O_CLOEXEC) })
    }
}

impl Act<'_, '_> {
    pub(super) fn open(&mut self, at: &At, flags: i32, mode: u32, resolve: ResolveFlags) -> Result<Done, Stop> {
        let wish = Wish { flags };
        if resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV) {
            return self.open_within(at, wish, mode, resolve);
        }
        if resolve.contains(ResolveFlags::CACHED) {
            // The kernel's answer where it cannot be done at once.
            return errno(libc::EAGAIN);
        }
        self.walker.no_links = resolve.contains(ResolveFlags::NO_SYMLINKS);
        if wish.has(libc::O_TMPFILE) {
            return self.open_unnamed(at, wish, mode);
        }
        if resolve.is_empty()
            && flags & (libc::O_CREAT | libc::O_PATH) == 0
            && let Some(done) = self.open_quickly(at, wish)?
        {
            return Ok(done);
        }
        if !wish.has(libc::O_CREAT) || wish.has(libc::O_PATH) {
            let target = self.target(at)?;
            return self.open_target(&target, wish);
        }
        if wish.has(libc::O_DIRECTORY) {
            return errno(libc::EINVAL);
        }
        if at.path.ends_with(b"/") {
            return errno(libc::EISDIR);
        }
        for _ in 0..TRIES {
            match self.walker.find(at.dir, &at.path, End::ObjectOrName { follow: at.follow })? {
                Found::Object(_) if wish.has(libc::O_EXCL) => return errno(libc::EEXIST),
                Found::Object(spot) => match self.target_of(spot, at.follow)? {
                    Target::Above { .. } => return errno(libc::EISDIR),
                    Target::Inside { kind: FileType::Directory, .. } => return errno(libc::EISDIR),
                    target => return self.open_target(&target, wish),
                },
                Found::Name(name) => match self.open_new(&name, wish, mode) {
                    // Somebody was quicker.
                    Err(Stop::Errno(libc::EEXIST)) if !wish.has(libc::O_EXCL) => {}
                    done => return done,
                },
                Found::NoName(_) => return errno(libc::EISDIR),
            }
        }
        errno(libc::EAGAIN)
    }

    /// In as few steps as the kernel has for it.
    fn open_quickly(&mut self, at: &At, wish: Wish) -> Result<Option<Done>, Stop> {
        let asked = wish.access();
        let may = |root: &Held| root.access.covers(asked);
        match self.walker.open_quickly(at.dir, &at.path, wish.handed_on(), may)? {
            Some(object) => wish.done(object).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a file.
    fn open_new(&mut self, name: &Name, wish: Wish, mode: u32) -> Result<Done, Stop> {
        let directory = self.changeable_directory(name)?;
        let mode = mode & !umask(self.caller)?;
        let flags = wish.handed_on() | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let rights = self.rights(&name.guest());
        if wish.access().read && !rights.read {
            return refuse(Why::Read, &name.guest());
        }
        let object = rustix::fs::openat(directory, &name.name, flags, Mode::from_raw_mode(mode))?;
        // This process's own mask was taken off as well.
        let made = rustix::fs::fstat(&object)?.st_mode;
        if made & mode & 0o777 != mode & 0o777 {
            rustix::fs::fchmod(&object, Mode::from_raw_mode(made | mode))?;
        }
        wish.done(object)
    }

    /// Makes a file without a name in a directory.
    fn open_unnamed(&mut self, at: &At, wish: Wish, mode: u32) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let (guest, object) = match &target {
            Target::Inside { guest, object, kind: FileType::Directory, .. } => (guest, object),
            Target::Above { guest, .. } => return refuse(Why::Above, guest),
            _ => return errno(libc::ENOTDIR),
        };
        let rights = self.rights(guest);
        if !rights.write {
            return refuse(Why::Write, guest);
        }
        if wish.access().read && !rights.read {
            return refuse(Why::Read, guest);
        }
        let exclusive = OFlags::from_bits_retain((wish.flags & libc::O_EXCL).cast_unsigned());
        let mode = mode & !umask(self.caller)?;
        let flags = wish.handed_on() | OFlags::TMPFILE | exclusive;
        let object = rustix::fs::open(own(object.as_fd()), flags, Mode::from_raw_mode(mode))?;
        let made = rustix::fs::fstat(&object)?.st_mode;
        if made & mode & 0o777 != mode & 0o777 {
            rustix::fs::fchmod(&object, Mode::from_raw_mode(made | mode))?;
        }
        wish.done(object)
    }

    fn open_target(&mut self, target: &Target, wish: Wish) -> Result<Done, Stop> {
        match target {
            Target::Held { object } => self.open_held(object, wish),
            Target::Link { .. } if wish.has(libc::O_DIRECTORY) => errno(libc::ENOTDIR),
            Target::Link { guest, .. } if wish.has(libc::O_PATH) => refuse(Why::Unopened, guest),
            Target::Link { .. } => errno(libc::ELOOP),
            Target::Above { .. } if wish.access().write => errno(libc::EISDIR),
            Target::Above { guest, .. } => refuse(Why::Above, guest),
            Target::Inside { guest, root, object, kind } => self.open_inside(guest, *root, (object, *kind), wish),
        }
    }

    fn open_inside(
        &self,
        guest: &Guest,
        root: usize,
        (object, kind): (&Arc<OwnedFd>, FileType),
        wish: Wish,
    ) -> Result<Done, Stop> {
        if kind != FileType::Directory && wish.has(libc::O_DIRECTORY) {
            return errno(libc::ENOTDIR);
        }
        // No descriptor that is opened with O_PATH can be given to another process that way (Linux 6.18: EBADF): it
        // gets one for reading, if it may read that.
        if wish.has(libc::O_PATH) && !matches!(kind, FileType::Directory | FileType::RegularFile) {
            return refuse(Why::Unopened, guest);
        }
        let wish = wish.without_path();
        let (asked, rights) = (wish.access(), self.rights(guest));
        match kind {
            FileType::Directory if asked.write => return errno(libc::EISDIR),
            FileType::Directory if is_in_proc(guest) && guest.len() == 1 && self.processes == Processes::Own => {
                return refuse(Why::Above, guest);
            }
            FileType::Socket => return errno(libc::ENXIO),
            FileType::CharacterDevice | FileType::BlockDevice => {
                let held = self.roots.get(root);
                if held.is_directory || held.guest != *guest {
                    return refuse(Why::Device, guest);
                }
                if rustix::fs::fstat(object)?.st_rdev == OWN_TERMINAL {
                    return errno(libc::ENXIO);
                }
            }
            FileType::Fifo if !(wish.has(libc::O_NONBLOCK) || asked.read && asked.write) => {
                return refuse(Why::Fifo, guest);
            }
            _ => {}
        }
        if asked.read && !rights.read {
            return refuse(Why::Read, guest);
        }
        if asked.write && !rights.write {
            return refuse(Why::Write, guest);
        }
        reopen(object.as_fd(), wish)
    }

    /// Opens once more what the caller has a descriptor of, for no more than that one is open for.
    fn open_held(&mut self, object: &OwnedFd, wish: Wish) -> Result<Done, Stop> {
        let flags = rustix::fs::fcntl_getfl(object)?;
        let kind = kind_of(object.as_fd())?;
        if kind != FileType::Directory && wish.has(libc::O_DIRECTORY) {
            return errno(libc::ENOTDIR);
        }
        // Of a directory, what its place gives: a descriptor is a place to begin at, and no more.
        if flags.contains(OFlags::PATH) || kind == FileType::Directory {
            let spot = self.walker.place(object.try_clone()?, kind)?;
            let target = self.target_of(spot, true)?;
            return self.open_target(&target, wish);
        }
        let wish = wish.without_path();
        let (asked, mode) = (wish.access(), flags & OFlags::RWMODE);
        if kind == FileType::Socket {
            return errno(libc::ENXIO);
        }
        if asked.read && mode == OFlags::WRONLY {
            return Err(Stop::Refused { why: Why::Read, at: None });
        }
        if asked.write && mode == OFlags::RDONLY {
            return Err(Stop::Refused { why: Why::Write, at: None });
        }
        reopen(object.as_fd(), wish)
    }

    /// openat2(2) with a bound on the walk: the kernel makes the whole of it, beneath a directory that is beneath a
    /// root.
    fn open_within(&mut self, at: &At, wish: Wish, mode: u32, resolve: ResolveFlags) -> Result<Done, Stop> {
        if at.path.starts_with(b"/") && !resolve.contains(ResolveFlags::IN_ROOT) {
            return errno(if resolve.contains(ResolveFlags::BENEATH) { libc::EXDEV } else { libc::EOPNOTSUPP });
        }
        if !resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) || wish.has(libc::O_CREAT) {
            // Not made out by the kernel's walk alone.
            return errno(libc::EOPNOTSUPP);
        }
        let start = At { path: b".".to_vec(), follow: true, empty: false, dir: at.dir };
        let Target::Inside { guest, object, .. } = self.target(&start)? else { return errno(libc::EOPNOTSUPP) };
        if is_in_proc(&guest) {
            return errno(libc::EOPNOTSUPP);
        }
        let no_follow = OFlags::from_bits_retain((wish.flags & libc::O_NOFOLLOW).cast_unsigned());
        let flags = OFlags::PATH | OFlags::CLOEXEC | no_follow;
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
        let found = rustix::fs::openat2(&*object, &at.path, flags, Mode::empty(), resolve)?;
        let kind = kind_of(found.as_fd())?;
        if kind == FileType::Symlink && !wish.has(libc::O_PATH) {
            return errno(libc::ELOOP);
        }
        // Where it came out decides once more.
        let spot = self.walker.place(found, kind)?;
        let target = self.target_of(spot, true)?;
        if wish.has(libc::O_TMPFILE) {
            let empty = At { path: b".".to_vec(), ..start };
            return if at.path == b"." { self.open_unnamed(&empty, wish, mode) } else { errno(libc::EOPNOTSUPP) };
        }
        self.open_target(&target, wish)
    }

    /// Entering a directory is left to the kernel: whatever directory it is by then, nothing is found from there that the
    /// roots do not have.
    pub(super) fn enter(&mut self, at: &At) -> Result<Done, Stop> {
        match self.target(at)? {
            Target::Above { .. } | Target::Inside { kind: FileType::Directory, .. } => Ok(Done::GoOn),
            Target::Held { object } if kind_of(object.as_fd())? == FileType::Directory => {
                match self.roots.locate(object.as_fd())? {
                    Some(_) => Ok(Done::GoOn),
                    None => Err(Stop::Refused { why: Why::Outside, at: None }),
                }
            }
            Target::Inside { .. } | Target::Held { .. } => errno(libc::ENOTDIR),
            Target::Link { .. } => errno(libc::ELOOP),
        }
    }

    /// Executing is left to the kernel, where something else holds it.
    pub(super) fn execute(&mut self, at: &At) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let (guest, kind) = match &target {
            Target::Inside { guest, kind, .. } => (guest.clone(), *kind),
            Target::Above { guest, .. } => return refuse(Why::Execute, guest),
            Target::Link { .. } => return errno(libc::ELOOP),
            Target::Held { object } => {
                let kind = kind_of(object.as_fd())?;
                match self.roots.locate(object.as_fd())? {
                    Some(place) => (place.guest, kind),
                    None => return Err(Stop::Refused { why: Why::Execute, at: None }),
                }
            }
        };
        if kind != FileType::RegularFile {
            return errno(libc::EACCES);
        }
        if self.exec != Exec::Refused && self.sees_like_the_job && file::access(target.object()?, libc::R_OK).is_err() {
            return refuse(Why::Unseen, &guest);
        }
        let rights = self.rights(&guest);
        let may = match self.exec {
            Exec::Held => rights.execute,
            Exec::Shown => rights.execute && !rights.write,
            Exec::Refused => false,
        };
        if may { Ok(Done::GoOn) } else { refuse(Why::Execute, &guest) }
    }
}

/// Opens what `object` stands for, wherever it is by now.
fn reopen(object: BorrowedFd<'_>, wish: Wish) -> Result<Done, Stop> {
    let opened = rustix::fs::open(own(object), wish.handed_on(), Mode::empty())?;
    wish.done(opened)
}
