//! The paths that a call names, and what it would do there.

mod rows;
#[cfg(test)]
mod tests;

use crate::thread::{InspectError, Thread};
use lazaret_filter::Call;
use rows::{Follow, How, Owner, Use};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

/// What a call does at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathAccess {
    /// Its content is read; a directory's, where it was not asked for as one, is listed.
    Read,
    /// Its content is changed. It must exist.
    Write,
    /// It is made, or changed where it exists and the call permits that.
    Create,
    /// The name is taken away.
    Remove,
    /// A directory is opened as such.
    List,
    /// It is executed.
    Execute,
    /// It is looked at or gone through: type, size, times, attributes, target of a link.
    Metadata,
    /// Mode, owner, times or attributes are changed.
    ChangeMetadata,
}

/// A path in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// The number of the argument.
    pub argument: u8,
    /// The bytes that the program wrote. Empty: what a descriptor stands for.
    pub written: Vec<u8>,
    /// From the root of the thread's mount namespace, without `.` and doubled slashes; `..` and links are as they were
    /// written. `None`: it is relative to something that has no place in the file tree.
    pub absolute: Option<PathBuf>,
    /// What the call does there.
    pub access: PathAccess,
    /// Whether a link at the path's end is followed.
    pub follow: bool,
    /// Whether this is permitted to the owner of what is there alone, whatever its mode says.
    pub by_owner: bool,
}

/// PATH_MAX of limits.h, with the zero at its end: what is longer fails with ENAMETOOLONG.
pub(crate) const PATH_MAX: usize = 4096;

/// The paths that `call` names, in the order of its arguments. Empty for calls that take none, and where the program
/// gave an address that holds no path.
///
/// # Errors
///
/// When this process may not look at the thread, or the call no longer waits.
pub fn paths(thread: &Thread<'_>, call: &Call) -> Result<Vec<PathUse>, InspectError> {
    let uses = crate::name(call).map_or(&[][..], rows::uses);
    let mut found = Vec::with_capacity(uses.len());
    for row in uses {
        found.extend(path(thread, row, &call.args)?);
    }
    if uses.is_empty() { Ok(found) } else { thread.settled(found) }
}

/// The calls that take paths, by name, sorted, on whatever architecture.
pub fn path_calls() -> impl Iterator<Item = &'static str> {
    rows::ROWS.iter().map(|(call, _)| *call)
}

fn path(thread: &Thread<'_>, row: &Use, args: &[u64; 6]) -> Result<Option<PathUse>, InspectError> {
    let arg = |index: u8| args[usize::from(index)];
    let ((access, follow), by_owner) = match row.how {
        How::Fixed(access) => ((access, follows(row.follow, args)), is_by_owner(row.owner, args)),
        How::Open { flags } => (opened(arg(flags)), keeps_access_time(arg(flags))),
        How::Behind { how } => {
            let mut flags = [0; 8];
            if thread.read(arg(how), &mut flags)? < flags.len() {
                return Ok(None);
            }
            let flags = u64::from_ne_bytes(flags);
            (opened(flags), keeps_access_time(flags))
        }
    };
    let address = arg(row.path);
    let written = if address == 0 { Some(Vec::new()) } else { thread.read_string(address, PATH_MAX)? };
    let Some(written) = written else { return Ok(None) };
    // Without a name, a call is about its descriptor; only execution makes that a use of a path that is news.
    if written.is_empty() && (row.dir.is_none() || access != PathAccess::Execute) {
        return Ok(None);
    }
    let absolute = absolute(thread, row.dir.map(arg), &written);
    Ok(Some(PathUse { argument: row.path, written, absolute, access, follow, by_owner }))
}

/// What open(2) does with these flags, and whether it follows a link at the end.
fn opened(flags: u64) -> (PathAccess, bool) {
    let has = |flag: i32| flags & u64::from(flag.cast_unsigned()) == u64::from(flag.cast_unsigned());
    let access = if has(libc::O_PATH) {
        PathAccess::Metadata
    } else if has(libc::O_CREAT) || has(libc::O_TMPFILE) {
        PathAccess::Create
    } else if flags & 3 != 0 || has(libc::O_TRUNC) {
        PathAccess::Write
    } else if has(libc::O_DIRECTORY) {
        PathAccess::List
    } else {
        PathAccess::Read
    };
    let exclusive = has(libc::O_CREAT) && has(libc::O_EXCL);
    (access, !has(libc::O_NOFOLLOW) && !exclusive)
}

/// O_NOATIME: inode(7) says who may.
fn keeps_access_time(flags: u64) -> bool {
    flags & u64::from(libc::O_NOATIME.cast_unsigned()) != 0
}

fn is_by_owner(owner: Owner, args: &[u64; 6]) -> bool {
    match owner {
        Owner::NoMatter => false,
        Owner::Alone => true,
        Owner::WithTimes { times } => args[usize::from(times)] != 0,
    }
}

fn follows(follow: Follow, args: &[u64; 6]) -> bool {
    match follow {
        Follow::Always => true,
        Follow::Never => false,
        Follow::Unless { flags, bit } => args[usize::from(flags)] & bit == 0,
        Follow::If { flags, bit } => args[usize::from(flags)] & bit != 0,
    }
}

/// `written`, from the directory that `dir` (a register) or else the thread stands for.
pub(crate) fn absolute(thread: &Thread<'_>, dir: Option<u64>, written: &[u8]) -> Option<PathBuf> {
    let written = PathBuf::from(OsString::from_vec(written.to_vec()));
    if written.is_absolute() {
        return Some(plain(&written));
    }
    // The kernel reads an int.
    #[expect(clippy::cast_possible_truncation, reason = "the high half of an int's register has no meaning")]
    let descriptor = dir.map_or(libc::AT_FDCWD, |register| (register as u32).cast_signed());
    let base =
        if descriptor == libc::AT_FDCWD { thread.place("cwd")? } else { thread.place(&format!("fd/{descriptor}"))? };
    Some(plain(&base.join(written)))
}

/// Without `.` and doubled slashes.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
