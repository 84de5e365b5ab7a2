//! Changing: names in directories, and what is known of files.

use super::act::{Act, Done, Target};
use super::proc::{largest_file, umask};
use super::refusal::{Stop, Why, errno, refuse};
use super::request::At;
use super::root::own;
use super::walk::{Name, is_in_proc};
use lazaret_sys::file;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Uid, XattrFlags};
use std::os::fd::{AsFd as _, OwnedFd};

/// The attributes that a job may change: those of ordinary users, and access lists.
const CHANGEABLE: &[&[u8]] = &[b"user.", b"system.posix_acl_"];

impl Act<'_, '_> {
    pub(super) fn make_directory(&mut self, at: &At, mode: u32) -> Result<Done, Stop> {
        let name = self.name(at, |_| libc::EEXIST)?;
        let directory = self.new_name(&name)?;
        let mode = mode & !umask(self.caller)? & 0o1777;
        rustix::fs::mkdirat(directory, &name.name, Mode::from_raw_mode(mode))?;
        complete(directory, &name, mode, FileType::Directory)?;
        Ok(Done::Value(0))
    }

    pub(super) fn make_node(&mut self, at: &At, mode: u32) -> Result<Done, Stop> {
        let kind = match mode & libc::S_IFMT {
            0 | libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFDIR => return errno(libc::EPERM),
            libc::S_IFCHR | libc::S_IFBLK => return Err(Stop::Refused { why: Why::Call, at: None }),
            _ => return errno(libc::EINVAL),
        };
        let name = self.name(at, |_| libc::EEXIST)?;
        if name.slash {
            return errno(libc::ENOENT);
        }
        let directory = self.new_name(&name)?;
        let mode = mode & !umask(self.caller)? & 0o7777;
        rustix::fs::mknodat(directory, &name.name, kind, Mode::from_raw_mode(mode), 0)?;
        complete(directory, &name, mode, kind)?;
        Ok(Done::Value(0))
    }

    pub(super) fn remove(&mut self, at: &At, directory: bool) -> Result<Done, Stop> {
        let name = self.name(at, |written| match (directory, written) {
            (true, b".") => libc::EINVAL,
            (true, b"..") => libc::ENOTEMPTY,
            (true, _) => libc::EBUSY,
            (false, _) => libc::EISDIR,
        })?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(self.changeable_directory(&name)?, name.written(), flags)?;
        Ok(Done::Value(0))
    }

    pub(super) fn rename(&mut self, from: &At, to: &At, flags: u32) -> Result<Done, Stop> {
        let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
        let Some(flags) = RenameFlags::from_bits(flags).filter(|flags| known.contains(*flags)) else {
            return errno(libc::EINVAL);
        };
        if flags == known {
            return errno(libc::EINVAL);
        }
        let from = self.name(from, |_| libc::EBUSY)?;
        let to = self.name(to, |_| if flags == RenameFlags::NOREPLACE { libc::EEXIST } else { libc::EBUSY })?;
        let (source, target) = (self.changeable_directory(&from)?, self.changeable_directory(&to)?);
        self.may_move(&from, &to)?;
        if flags.contains(RenameFlags::EXCHANGE) {
            self.may_move(&to, &from)?;
        }
        if flags.is_empty() {
            rustix::fs::renameat(source, from.written(), target, to.written())?;
        } else {
            rustix::fs::renameat_with(source, from.written(), target, to.written(), flags)?;
        }
        Ok(Done::Value(0))
    }

    /// What comes to another place must not be open to more there: a file that may be read alone would be written to,
    /// one that may be written to would be executed.
    fn may_move(&self, from: &Name, to: &Name) -> Result<(), Stop> {
        let gains = !self.rights(&from.guest()).covers(self.rights(&to.guest()));
        if gains { refuse(Why::Across, &to.guest()) } else { Ok(()) }
    }

    pub(super) fn link(&mut self, from: &At, to: &At) -> Result<Done, Stop> {
        if from.path.is_empty() || from.follow {
            return self.link_object(from, to);
        }
        let from = self.name(from, |_| libc::EPERM)?;
        let to = self.name(to, |_| libc::EEXIST)?;
        let target = self.new_name(&to)?;
        let source = match &from.directory.what {
            super::walk::What::Inside { object, .. } if !is_in_proc(&from.directory.guest) => object,
            _ => return refuse(Why::Above, &from.guest()),
        };
        self.may_move(&from, &to)?;
        rustix::fs::linkat(source, from.written(), target, to.written(), AtFlags::empty())?;
        Ok(Done::Value(0))
    }

    /// Gives another name to what was found, or to what the caller has open.
    fn link_object(&mut self, from: &At, to: &At) -> Result<Done, Stop> {
        let source = self.target(from)?;
        let to = self.name(to, |_| libc::EEXIST)?;
        let target = self.new_name(&to)?;
        let rights = match &source {
            Target::Inside { guest, .. } | Target::Link { guest, .. } => self.rights(guest),
            Target::Above { guest, .. } => return refuse(Why::Above, guest),
            Target::Held { object } => {
                let held = self.held_rights(object)?;
                // Whoever may read it could write the same into a file to be executed.
                super::Access { execute: held.execute || held.read && held.write, ..held }
            }
        };
        if !rights.covers(self.rights(&to.guest())) {
            return refuse(Why::Across, &to.guest());
        }
        let object = source.object()?;
        rustix::fs::linkat(rustix::fs::CWD, own(object), target, to.written(), AtFlags::SYMLINK_FOLLOW)?;
        Ok(Done::Value(0))
    }

    pub(super) fn symlink(&mut self, text: &[u8], at: &At) -> Result<Done, Stop> {
        if text.is_empty() {
            return errno(libc::ENOENT);
        }
        let name = self.name(at, |_| libc::EEXIST)?;
        rustix::fs::symlinkat(text, self.new_name(&name)?, name.written())?;
        Ok(Done::Value(0))
    }

    pub(super) fn set_mode(&mut self, at: &At, mode: u32) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let object = self.changeable(&target)?;
        if let Target::Link { .. } = target {
            return errno(libc::EOPNOTSUPP);
        }
        rustix::fs::chmod(own(object), Mode::from_raw_mode(mode & 0o7777))?;
        Ok(Done::Value(0))
    }

    pub(super) fn set_owner(&mut self, at: &At, uid: u32, gid: u32) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let object = self.changeable(&target)?;
        let (uid, gid) = ((uid != u32::MAX).then(|| Uid::from_raw(uid)), (gid != u32::MAX).then(|| Gid::from_raw(gid)));
        rustix::fs::chownat(object, "", uid, gid, AtFlags::EMPTY_PATH)?;
        Ok(Done::Value(0))
    }

    pub(super) fn set_size(&mut self, at: &At, length: u64) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let object = match &target {
            Target::Inside { kind: FileType::Directory, .. } | Target::Above { .. } => return errno(libc::EISDIR),
            Target::Inside { kind: FileType::RegularFile, .. } => self.changeable(&target)?,
            Target::Held { object } => {
                rustix::fs::ftruncate(object, length)?;
                return Ok(Done::Value(0));
            }
            Target::Inside { .. } | Target::Link { .. } => return errno(libc::EINVAL),
        };
        if length > largest_file(self.caller)? {
            return errno(libc::EFBIG);
        }
        // Not by the path: a lease would be waited for.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(own(object), flags, Mode::empty())?;
        rustix::fs::ftruncate(&file, length)?;
        Ok(Done::Value(0))
    }

    pub(super) fn set_times(&mut self, at: &At, times: Option<&[u8; 32]>) -> Result<Done, Stop> {
        let target = self.target(at)?;
        file::set_times(self.changeable(&target)?, times)?;
        Ok(Done::Value(0))
    }

    pub(super) fn set_attribute(&mut self, at: &At, name: &[u8], value: &[u8], flags: u32) -> Result<Done, Stop> {
        let Some(flags) = XattrFlags::from_bits(flags) else { return errno(libc::EINVAL) };
        let target = self.target(at)?;
        let object = self.changeable(&target)?;
        if !CHANGEABLE.iter().any(|known| name.starts_with(known)) {
            return Err(Stop::Refused { why: Why::Call, at: None });
        }
        rustix::fs::setxattr(own(object), name, value, flags)?;
        Ok(Done::Value(0))
    }

    pub(super) fn remove_attribute(&mut self, at: &At, name: &[u8]) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let object = self.changeable(&target)?;
        if !CHANGEABLE.iter().any(|known| name.starts_with(known)) {
            return Err(Stop::Refused { why: Why::Call, at: None });
        }
        rustix::fs::removexattr(own(object), name)?;
        Ok(Done::Value(0))
    }

    /// The directory that gets the name. Of names that the policy has, the job learns that they are there.
    fn new_name<'n>(&self, name: &'n Name) -> Result<&'n OwnedFd, Stop> {
        if self.roots.names(&name.guest()) { errno(libc::EEXIST) } else { self.changeable_directory(name) }
    }
}

/// Gives what was just made the bits of `mode` that this process's own mask took off.
fn complete(directory: &OwnedFd, name: &Name, mode: u32, kind: FileType) -> Result<(), Stop> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(made) = rustix::fs::openat(directory, &name.name, flags, Mode::empty()) else { return Ok(()) };
    let status = rustix::fs::fstat(&made)?;
    // Another may have its name by now. Whatever has it is beneath the root, and the kernel says whose it is.
    if FileType::from_raw_mode(status.st_mode) == kind && status.st_mode & mode & 0o777 != mode & 0o777 {
        rustix::fs::chmod(own(made.as_fd()), Mode::from_raw_mode((status.st_mode | mode) & 0o7777))?;
    }
    Ok(())
}
