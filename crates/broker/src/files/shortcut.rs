//! Paths that the kernel can follow in one step.

use super::path::Guest;
use super::refusal::Stop;
use super::root::{Held, Under, kind_of};
use super::walk::{End, Found, LONGEST_NAME, Spot, Walker, What};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::borrow::Cow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// A path beneath a root, from a directory that is beneath it.
pub(super) struct Shortcut<'s> {
    root: usize,
    from: &'s Arc<OwnedFd>,
    rest: Cow<'s, [u8]>,
    names: Vec<&'s [u8]>,
}

impl Shortcut<'_> {
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&**self.from, &*self.rest, flags, Mode::empty(), resolve | ResolveFlags::NO_XDEV)
    }

    pub(super) fn find(&self, end: End) -> Result<Option<Found>, Stop> {
        match self.open(OFlags::PATH) {
            Ok(object) => {
                let kind = kind_of(object.as_fd())?;
                if kind == FileType::Symlink {
                    return Ok(None);
                }
                let what = What::Inside { root: self.root, object: Arc::new(object), kind };
                Ok(Some(Found::Object(Spot { guest: Guest::of(&self.names), what })))
            }
            // A link, another mount, a directory moved meanwhile; or a name to make.
            Err(Errno::LOOP | Errno::XDEV | Errno::AGAIN) => Ok(None),
            Err(Errno::NOENT) if matches!(end, End::ObjectOrName { .. }) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Walker<'_, '_> {
    /// Opens in one step of the kernel what `path` stands for, where that cannot be a device, and `may` says so of the
    /// root. `None`: it takes more steps.
    pub(super) fn open_quickly(
        &mut self,
        dir: i32,
        path: &[u8],
        flags: OFlags,
        may: impl FnOnce(&Held) -> bool,
    ) -> Result<Option<OwnedFd>, Stop> {
        if path.is_empty() {
            return Ok(None);
        }
        let start = self.start(dir, path)?;
        let Some(shortcut) = self.shortcut(start.as_ref(), path) else { return Ok(None) };
        let held = self.roots.get(shortcut.root);
        if !(held.has_no_devices && may(held)) {
            return Ok(None);
        }
        let object = match shortcut.open(flags) {
            Ok(object) => object,
            Err(Errno::NOENT) => return Err(Errno::NOENT.into()),
            // To be looked at step by step.
            Err(_) => return Ok(None),
        };
        let kind = kind_of(object.as_fd())?;
        Ok(matches!(kind, FileType::RegularFile | FileType::Directory).then_some(object))
    }

    /// The common case, which takes the kernel one step: no `.`, `..` or doubled slash, no link, no other mount, not
    /// /proc.
    pub(super) fn shortcut<'s>(&'s self, start: Option<&'s Spot>, path: &'s [u8]) -> Option<Shortcut<'s>> {
        let (base, base_object): (&[Vec<u8>], _) = match start {
            None => (&[], None),
            Some(Spot { guest, what: What::Inside { object, .. } }) => (guest.names(), Some(object)),
            Some(_) => return None,
        };
        let written = path.strip_prefix(b"/").unwrap_or(path);
        let names = base.iter().map(Vec::as_slice).chain(written.split(|byte| *byte == b'/'));
        let names: Vec<&[u8]> = names.collect();
        let is_plain = |name: &&[u8]| !matches!(*name, b"" | b"." | b"..") && name.len() <= LONGEST_NAME;
        if !names.iter().all(is_plain) || matches!(names[0], b"proc" | b"dev") {
            return None;
        }
        let Under::Root { root, names: depth } = self.roots.under_names(&names) else { return None };
        if depth == names.len() {
            return None;
        }
        let (from, rest) = match base_object {
            Some(object) if depth <= base.len() => (object, Cow::Borrowed(written)),
            _ => (&self.roots.get(root).place, Cow::Owned(names[depth..].join(&b'/'))),
        };
        Some(Shortcut { root, from, rest, names })
    }
}
