//! Looking: status, permissions, links, attributes, events.

use super::act::{Act, Done, Target};
use super::refusal::{Stop, Why, errno, refuse};
use super::request::{ATTRIBUTE, At};
use super::root::{kind_of, own};
use lazaret_sys::file;
use rustix::fs::FileType;
use std::ffi::CString;
use std::os::fd::AsFd as _;

/// The attributes that are not for ordinary users: this process may see them where the job may not.
const TRUSTED: &[u8] = b"trusted.";

impl Act<'_, '_> {
    pub(super) fn status(&mut self, at: &At, into: u64) -> Result<Done, Stop> {
        let filled = file::status(self.target(at)?.object()?)?;
        Ok(Done::Write { into, bytes: filled.bytes().to_vec(), value: 0 })
    }

    pub(super) fn extended_status(&mut self, at: &At, flags: i32, mask: u32, into: u64) -> Result<Done, Stop> {
        let filled = file::extended_status(self.target(at)?.object()?, flags, mask)?;
        Ok(Done::Write { into, bytes: filled.bytes().to_vec(), value: 0 })
    }

    pub(super) fn system_status(&mut self, at: &At, into: u64) -> Result<Done, Stop> {
        let filled = file::system_status(self.target(at)?.object()?)?;
        Ok(Done::Write { into, bytes: filled.bytes().to_vec(), value: 0 })
    }

    pub(super) fn access(&mut self, at: &At, mode: i32) -> Result<Done, Stop> {
        if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 {
            return errno(libc::EINVAL);
        }
        let target = self.target(at)?;
        file::access(target.object()?, mode)?;
        let has = |flag: i32| mode & flag != 0;
        match &target {
            Target::Above { guest, .. } if has(libc::R_OK | libc::W_OK) => refuse(Why::Above, guest),
            Target::Inside { guest, kind, .. } => {
                let rights = self.rights(guest);
                match () {
                    () if has(libc::R_OK) && !rights.read => refuse(Why::Read, guest),
                    () if has(libc::W_OK) && !rights.write => refuse(Why::Write, guest),
                    () if has(libc::X_OK) && !rights.execute && *kind == FileType::RegularFile => {
                        refuse(Why::Execute, guest)
                    }
                    () => Ok(Done::Value(0)),
                }
            }
            Target::Held { object } => {
                let rights = self.held_rights(object)?;
                let why = match () {
                    () if has(libc::R_OK) && !rights.read => Why::Read,
                    () if has(libc::W_OK) && !rights.write => Why::Write,
                    () => return Ok(Done::Value(0)),
                };
                Err(Stop::Refused { why, at: None })
            }
            Target::Above { .. } | Target::Link { .. } => Ok(Done::Value(0)),
        }
    }

    pub(super) fn read_link(&mut self, at: &At, into: u64, size: usize) -> Result<Done, Stop> {
        let mut text = match self.target(at)? {
            Target::Link { text, .. } => text,
            Target::Held { object } if at.path.is_empty() => {
                let kind = kind_of(object.as_fd())?;
                if kind != FileType::Symlink {
                    return errno(libc::ENOENT);
                }
                rustix::fs::readlinkat(&object, "", Vec::new())?.into_bytes()
            }
            _ => return errno(libc::EINVAL),
        };
        text.truncate(size);
        let value = i64::try_from(text.len()).unwrap_or(0);
        Ok(Done::Write { into, bytes: text, value })
    }

    pub(super) fn get_attribute(&mut self, at: &At, name: &[u8], into: u64, size: usize) -> Result<Done, Stop> {
        let target = self.target(at)?;
        if name.starts_with(TRUSTED) {
            return errno(libc::ENODATA);
        }
        let mut value = vec![0_u8; ATTRIBUTE];
        let length = rustix::fs::getxattr(own(target.object()?), name, &mut value)?;
        value.truncate(length);
        sized(value, into, size)
    }

    pub(super) fn list_attributes(&mut self, at: &At, into: u64, size: usize) -> Result<Done, Stop> {
        let target = self.target(at)?;
        let mut names = vec![0_u8; ATTRIBUTE];
        let length = rustix::fs::listxattr(own(target.object()?), &mut names)?;
        names.truncate(length);
        let names = names.split_inclusive(|byte| *byte == 0).filter(|name| !name.starts_with(TRUSTED));
        sized(names.flatten().copied().collect(), into, size)
    }

    pub(super) fn watch(&mut self, instance: i32, at: &At, mask: u32) -> Result<Done, Stop> {
        let instance = self.caller.descriptor(instance)?;
        let target = self.target(at)?;
        let object = match &target {
            Target::Inside { guest, kind, .. } => {
                if mask & libc::IN_ONLYDIR != 0 && *kind != FileType::Directory {
                    return errno(libc::ENOTDIR);
                }
                if !self.rights(guest).read {
                    return refuse(Why::Read, guest);
                }
                target.object()?
            }
            Target::Above { guest, .. } => return refuse(Why::Above, guest),
            Target::Link { .. } | Target::Held { .. } => return errno(libc::EACCES),
        };
        // By the descriptor's own link, which has to be followed.
        let path = CString::new(own(object)).map_err(|_zero| Stop::Errno(libc::EINVAL))?;
        Ok(Done::Value(file::watch(instance.as_fd(), &path, mask & !libc::IN_DONT_FOLLOW)?))
    }
}

/// As the attribute calls answer: a size of 0 asks for the length.
fn sized(bytes: Vec<u8>, into: u64, size: usize) -> Result<Done, Stop> {
    let value = i64::try_from(bytes.len()).unwrap_or(0);
    match size {
        0 => Ok(Done::Value(value)),
        size if size < bytes.len() => errno(libc::ERANGE),
        _ => Ok(Done::Write { into, bytes, value }),
    }
}
