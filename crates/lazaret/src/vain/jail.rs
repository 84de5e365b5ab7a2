//! The jail: a tree of the job's own.

use super::rights::{is_kept_by_owner, is_marked, is_owner, is_permitted};
use super::{HOSTS_RIGHTS, Lack, MARKED, NO_TEXT, NOT_THE_OWNER, around, can_be_meant, changes, hidden, line};
use crate::view::{self, Shown};
use lazaret_inspect::PathAccess;
use lazaret_launch::observe::{Observed, PathKey, PathNote};
use lazaret_policy::{Mode, PathCause, Policy};
use std::path::{Path, PathBuf};

const JAILS_OWN: &str = "it is the jail's own, and nothing changes it; write to /job or /tmp";
const COPY: &str = "what the policy shows is a mount of its own, and so are /job and /tmp: copy it, as mv(1) does";

pub(super) fn lack(
    policy: &Policy,
    mode: Mode,
    observed: &Observed,
    (key, note): (&PathKey, &PathNote),
) -> Option<Lack> {
    match view::at(policy, &key.path, key.follow) {
        Shown::Own => None,
        Shown::Given => {
            let device = key.path.starts_with("/dev") || key.path.starts_with("/proc");
            (changes(key.access) && !device).then(|| Lack::new("EROFS", PathCause::ReadOnly, Err(JAILS_OWN)))
        }
        // What the kernel looks at first.
        Shown::Host { path, .. } if path.symlink_metadata().is_ok() && leaves_its_mount(policy, key, note) => {
            Some(Lack::new("EXDEV", PathCause::OtherMount, Err(COPY)))
        }
        Shown::Host { path, writable: true, by } => {
            // Its topmost directory is the job's own.
            let is_own = |directory: &Path| {
                let mut roots = policy.files.cow.iter().filter(|cow| cow.guest == by);
                roots.any(|cow| cow.host == directory || cow.host.canonicalize().is_ok_and(|host| host == directory))
            };
            let judge = |asked| in_view(&path, mode, &is_own, asked);
            let lack = judge((key, note))?;
            // What the job took away, or put something else in the place of, is its own since.
            let is_replaced = path.symlink_metadata().is_ok()
                && observed
                    .paths
                    .iter()
                    .any(|asked| asked.0.path == key.path && replaces(asked) && judge(asked).is_none());
            (replaces((key, note)) || !is_replaced).then_some(lack)
        }
        Shown::Host { path, .. } if changes(key.access) => {
            let line = || around(&key.path, key.access).map_or(Err(NO_TEXT), |directory| line("cow", directory));
            can_be_meant(&path, key.access).then(|| Lack::new("EROFS", PathCause::ReadOnly, line()))
        }
        Shown::Host { path, .. } => for_use(&path, mode, (key, note)),
        Shown::Nothing { at } => hidden(key, &at).map(|line| Lack::new("ENOENT", PathCause::NotShown, line)),
    }
}

/// What is shown, and is to be read, executed or looked at.
pub(super) fn for_use(path: &Path, mode: Mode, (key, note): (&PathKey, &PathNote)) -> Option<Lack> {
    if path.metadata().is_ok() && !is_permitted(path, key.access, mode) {
        return Some(Lack::new("EACCES", PathCause::Permissions, Err(HOSTS_RIGHTS)));
    }
    // O_NOATIME. What is looked at for a link comes to nothing on a read-only mount for other reasons.
    let is_refused = note.by_owner.is_some() && key.access != PathAccess::Metadata;
    (is_refused && !is_owner(path, key.follow, mode)).then(|| Lack::new("EPERM", PathCause::Owner, Err(NOT_THE_OWNER)))
}

/// What is in a copy-on-write view, where the host's owners, modes and attributes hold. `is_own` says of a directory
/// whether it is the job's.
fn in_view(
    path: &Path,
    mode: Mode,
    is_own: &dyn Fn(&Path) -> bool,
    (key, note): (&PathKey, &PathNote),
) -> Option<Lack> {
    let is_there = path.symlink_metadata().is_ok();
    let is_foreign = |path: &Path| !is_owner(path, key.follow, mode);
    let owner = |error| Some(Lack::new(error, PathCause::Owner, Err(NOT_THE_OWNER)));
    // Of what may be changed, a copy is made first, which has the owner of what it is a copy of.
    let changed = |path: &Path| match is_permitted(path, PathAccess::Write, mode) {
        false => Some(Lack::new("EACCES", PathCause::Permissions, Err(HOSTS_RIGHTS))),
        true if is_foreign(path) => owner("EOVERFLOW"),
        true => None,
    };
    match key.access {
        _ if !is_there && key.access != PathAccess::Create => None,
        access if changes(access) && is_there && is_marked(path) => {
            Some(Lack::new("EPERM", PathCause::Attributes, Err(MARKED)))
        }
        PathAccess::Write => changed(path),
        PathAccess::Create if is_there && opens(note) => changed(path),
        PathAccess::Create | PathAccess::Remove => {
            let directory = path.parent().filter(|directory| directory.is_dir() && !is_own(directory))?;
            if is_there && is_permitted(directory, PathAccess::Write, mode) && is_kept_by_owner(path, mode) {
                return owner("EPERM");
            }
            changed(directory)
        }
        PathAccess::ChangeMetadata if note.by_owner.is_some() => is_foreign(path).then(|| owner("EPERM")).flatten(),
        PathAccess::ChangeMetadata => changed(path),
        PathAccess::Metadata if note.by_owner.is_some() && is_foreign(path) => {
            // fs.protected_hardlinks: what it may read and change it may link, as far as that goes.
            let may = |access| is_permitted(path, access, mode);
            owner(if may(PathAccess::Read) && may(PathAccess::Write) { "EOVERFLOW" } else { "EPERM" })
        }
        PathAccess::Read | PathAccess::List | PathAccess::Execute | PathAccess::Metadata => {
            for_use(path, mode, (key, note))
        }
    }
}

/// Whether the name is taken away, or something else put there.
fn replaces((key, note): (&PathKey, &PathNote)) -> bool {
    match key.access {
        PathAccess::Remove => true,
        PathAccess::Create => !opens(note),
        _ => false,
    }
}

fn opens(note: &PathNote) -> bool {
    note.call.starts_with("open") || note.call == "creat"
}

/// Whether it was to be linked or moved to where another mount is.
fn leaves_its_mount(policy: &Policy, key: &PathKey, note: &PathNote) -> bool {
    let Some(to) = note.to.as_deref().and_then(Path::parent) else { return false };
    let mount = |path: &Path| match view::at(policy, path, true) {
        Shown::Host { by, .. } => Some(by),
        Shown::Own => Some(path.components().take(2).collect::<PathBuf>()),
        Shown::Given | Shown::Nothing { .. } => None,
    };
    matches!((key.path.parent().and_then(mount), mount(to)), (Some(from), Some(to)) if from != to)
}
