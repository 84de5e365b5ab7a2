//! Makes decoded calls: finds what they are about, asks the roots, and acts on what was found.

use super::path::Guest;
use super::refusal::{Stop, Why, errno, refuse};
use super::request::{At, Request};
use super::root::{Access, Roots, Under};
use super::walk::{End, Found, Name, Spot, Walker, What, is_in_proc};
use super::{Exec, Processes};
use crate::caller::Caller;
use rustix::fs::{FileType, OFlags};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What came of a call.
#[derive(Debug)]
pub(super) enum Done {
    Value(i64),
    Descriptor {
        object: OwnedFd,
        cloexec: bool,
    },
    /// The call returns `value` when these bytes are in the caller's memory.
    Write {
        into: u64,
        bytes: Vec<u8>,
        value: i64,
    },
    /// The kernel makes it, and something else holds it.
    GoOn,
}

/// What a call is about.
#[derive(Debug)]
pub(super) enum Target {
    /// A directory on the way to a root.
    Above { guest: Guest, object: Arc<OwnedFd> },
    /// Something beneath a root.
    Inside { guest: Guest, root: usize, object: Arc<OwnedFd>, kind: FileType },
    /// A link that is not followed.
    Link { guest: Guest, object: Option<Arc<OwnedFd>>, text: Vec<u8> },
    /// What the caller has a descriptor of, wherever it is.
    Held { object: OwnedFd },
}

impl Target {
    /// The object, opened with O_PATH or as the caller has it.
    pub(super) fn object(&self) -> Result<BorrowedFd<'_>, Stop> {
        match self {
            Self::Above { object, .. } | Self::Inside { object, .. } | Self::Link { object: Some(object), .. } => {
                Ok(object.as_fd())
            }
            Self::Held { object } => Ok(object.as_fd()),
            Self::Link { object: None, guest, .. } => refuse(Why::Outside, guest),
        }
    }
}

/// One call of one waiting thread.
pub(super) struct Act<'a, 'b> {
    pub(super) roots: &'a Roots,
    pub(super) caller: &'a Caller<'b>,
    pub(super) walker: Walker<'a, 'b>,
    pub(super) exec: Exec,
    pub(super) processes: Processes,
    /// Whether this process sees no more of a process than the job's own user does.
    pub(super) sees_like_the_job: bool,
}

impl Act<'_, '_> {
    pub(super) fn make(&mut self, request: &Request) -> Result<Done, Stop> {
        match request {
            Request::Open { at, flags, mode, resolve } => self.open(at, *flags, *mode, *resolve),
            Request::Status { at, into } => self.status(at, *into),
            Request::ExtendedStatus { at, flags, mask, into } => self.extended_status(at, *flags, *mask, *into),
            Request::SystemStatus { at, into } => self.system_status(at, *into),
            Request::Access { at, mode } => self.access(at, *mode),
            Request::ReadLink { at, into, size } => self.read_link(at, *into, *size),
            Request::MakeDirectory { at, mode } => self.make_directory(at, *mode),
            Request::MakeNode { at, mode } => self.make_node(at, *mode),
            Request::Remove { at, directory } => self.remove(at, *directory),
            Request::Rename { from, to, flags } => self.rename(from, to, *flags),
            Request::Link { from, to } => self.link(from, to),
            Request::Symlink { text, at } => self.symlink(text, at),
            Request::Mode { at, mode } => self.set_mode(at, *mode),
            Request::Owner { at, uid, gid } => self.set_owner(at, *uid, *gid),
            Request::Size { at, length } => self.set_size(at, *length),
            Request::Times { at, times } => self.set_times(at, times.as_ref()),
            Request::GetAttribute { at, name, into, size } => self.get_attribute(at, name, *into, *size),
            Request::ListAttributes { at, into, size } => self.list_attributes(at, *into, *size),
            Request::SetAttribute { at, name, value, flags } => self.set_attribute(at, name, value, *flags),
            Request::RemoveAttribute { at, name } => self.remove_attribute(at, name),
            Request::Watch { instance, at, mask } => self.watch(*instance, at, *mask),
            Request::Enter { at } => self.enter(at),
            Request::Execute { at } => self.execute(at),
            Request::Never { .. } => Err(Stop::Refused { why: Why::Call, at: None }),
        }
    }

    /// What `at` stands for.
    pub(super) fn target(&mut self, at: &At) -> Result<Target, Stop> {
        if at.path.is_empty() {
            return match at.dir {
                _ if !at.empty => errno(libc::ENOENT),
                libc::AT_FDCWD => {
                    let object = self.walker.current_directory()?;
                    let spot = self.walker.place(object, FileType::Directory)?;
                    self.target_of(spot, true)
                }
                descriptor => Ok(Target::Held { object: self.caller.descriptor(descriptor)? }),
            };
        }
        let spot = self.walker.find_object(at.dir, &at.path, at.follow)?;
        self.target_of(spot, at.follow)
    }

    pub(super) fn target_of(&self, spot: Spot, follow: bool) -> Result<Target, Stop> {
        let guest = spot.guest;
        Ok(match spot.what {
            What::Above(object) => Target::Above { guest, object },
            What::Inside { root, object, kind } => Target::Inside { guest, root, object, kind },
            What::Link { object, text } => Target::Link { guest, object, text },
            What::Descriptor(number) if follow => Target::Held { object: self.caller.descriptor(number)? },
            What::Descriptor(number) => {
                let (link, text) = self.walker.descriptor_link(number)?;
                Target::Link { guest, object: Some(Arc::new(link)), text }
            }
            What::Way => return refuse(Why::Outside, &guest),
        })
    }

    /// The name that `at` is. `fixed` is what the call fails with for `.`, `..` and `/`.
    pub(super) fn name(&mut self, at: &At, fixed: impl FnOnce(&[u8]) -> i32) -> Result<Name, Stop> {
        match self.walker.find(at.dir, &at.path, End::Name)? {
            Found::Name(name) => Ok(name),
            Found::NoName(written) => errno(fixed(written)),
            Found::Object(_) => errno(libc::EINVAL),
        }
    }

    /// What may be done at `guest`.
    pub(super) fn rights(&self, guest: &Guest) -> Access {
        match self.roots.under(guest) {
            Under::Root { root, names } => {
                let access = self.roots.get(root).access;
                // As a whole, /proc is there to be read.
                let whole = is_in_proc(guest) && names <= 1;
                if whole { Access { write: false, execute: false, ..access } } else { access }
            }
            Under::Above(_) | Under::Outside => Access::default(),
        }
    }

    /// The directory of `name`, for a change of what it has by that name.
    pub(super) fn changeable_directory<'n>(&self, name: &'n Name) -> Result<&'n OwnedFd, Stop> {
        let guest = name.guest();
        match &name.directory.what {
            What::Inside { object, .. } if self.rights(&name.directory.guest).write => {
                if self.roots.names(&guest) {
                    refuse(Why::Name, &guest)
                } else {
                    Ok(object)
                }
            }
            What::Inside { .. } => refuse(Why::Write, &guest),
            What::Above(_) | What::Way => refuse(Why::Above, &guest),
            What::Link { .. } | What::Descriptor(_) => errno(libc::ENOTDIR),
        }
    }

    /// What may be done with an object that the caller has a descriptor of: what the descriptor is open for, or what
    /// its place gives.
    pub(super) fn held_rights(&self, object: &OwnedFd) -> Result<Access, Stop> {
        let flags = rustix::fs::fcntl_getfl(object)?;
        let place = self.roots.locate(object.as_fd())?;
        let mut access = place.map_or_else(Access::default, |place| self.rights(&place.guest));
        if !flags.contains(OFlags::PATH) {
            let mode = flags & OFlags::RWMODE;
            access.read |= mode != OFlags::WRONLY;
            access.write |= mode != OFlags::RDONLY;
        }
        Ok(access)
    }

    /// What `target` is, for a change of what is known of it: mode, owner, times, attributes.
    pub(super) fn changeable<'t>(&self, target: &'t Target) -> Result<BorrowedFd<'t>, Stop> {
        match target {
            Target::Above { guest, .. } => refuse(Why::Above, guest),
            Target::Inside { guest, .. } | Target::Link { guest, .. } if !self.rights(guest).write => {
                refuse(Why::Write, guest)
            }
            Target::Held { object } if !self.held_rights(object)?.write => {
                let at = self.roots.locate(object.as_fd())?.map(|place| place.guest);
                Err(Stop::Refused { why: Why::Write, at })
            }
            target => target.object(),
        }
    }
}
