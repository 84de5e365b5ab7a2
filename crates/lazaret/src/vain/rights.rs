//! What owner, mode and attributes of the host's files let a job do.

use lazaret_inspect::PathAccess;
use lazaret_policy::Mode;
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags};
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Sticky: names in such a directory are their owners' alone.
const STICKY: u32 = 0o1000;

/// Whether owner and mode of the host's file let the job have it. A job of root's has a user id that owns nothing.
pub(super) fn is_permitted(path: &Path, access: PathAccess, mode: Mode) -> bool {
    match access {
        // Only the directories around it count, through which its own check went.
        PathAccess::Metadata => true,
        PathAccess::Execute => has(path, mode, Access::EXEC_OK, 0o001),
        PathAccess::Read | PathAccess::List => has(path, mode, Access::READ_OK, 0o004),
        PathAccess::Write | PathAccess::Create | PathAccess::Remove | PathAccess::ChangeMetadata => {
            has(path, mode, Access::WRITE_OK, 0o002)
        }
    }
}

fn has(path: &Path, mode: Mode, wanted: Access, bit: u32) -> bool {
    match mode {
        Mode::Rootless => rustix::fs::accessat(CWD, path, wanted, AtFlags::empty()).is_ok(),
        Mode::Root => path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & bit != 0),
    }
}

/// Whether the job's user id owns it. What cannot be looked at is taken for its own.
pub(super) fn is_owner(path: &Path, follow: bool, mode: Mode) -> bool {
    let found = if follow { path.metadata() } else { path.symlink_metadata() };
    found.map_or(true, |found| owns(&found, mode))
}

fn owns(found: &Metadata, mode: Mode) -> bool {
    mode == Mode::Rootless && found.uid() == rustix::process::getuid().as_raw()
}

/// Whether the name of `path` is another's, in a directory where only owners may take names away.
pub(super) fn is_kept_by_owner(path: &Path, mode: Mode) -> bool {
    let Some(Ok(directory)) = path.parent().map(Path::metadata) else { return false };
    let Ok(found) = path.symlink_metadata() else { return false };
    directory.permissions().mode() & STICKY != 0 && !owns(&directory, mode) && !owns(&found, mode)
}

/// Whether the file is marked as immutable, or to be appended to only.
pub(super) fn is_marked(path: &Path) -> bool {
    let marks = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let found = rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE);
    found.is_ok_and(|found| found.stx_attributes.intersects(marks))
}
