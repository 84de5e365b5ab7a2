//! The seccomp tier: the host's file tree, of which Landlock lets a job open what the policy shows.

use super::jail::for_use;
use super::rights::{is_marked, is_owner};
use super::{Lack, MARKED, NOT_THE_OWNER, can_be_meant, changes, hidden};
use crate::view::{self, Shown};
use lazaret_inspect::PathAccess;
use lazaret_launch::observe::{PathKey, PathNote};
use lazaret_policy::{Mode, PathCause, Policy};
use std::path::Path;

const NO_VIEWS: &str = "only the tier `jail` has directories that may be changed without changing the host";

pub(super) fn lack(policy: &Policy, mode: Mode, (key, note): (&PathKey, &PathNote)) -> Option<Lack> {
    let by_landlock = |line| Lack::new("EACCES", PathCause::Landlock, line);
    match view::at(policy, &key.path, key.follow) {
        Shown::Own | Shown::Given => None,
        // Owner and marks are the file system's own matter, and come before Landlock.
        Shown::Host { path, .. } | Shown::Nothing { at: path } if is_by_others(&path, mode, key, note) => {
            Some(Lack::new("EPERM", PathCause::Owner, Err(NOT_THE_OWNER)))
        }
        Shown::Host { path, .. } | Shown::Nothing { at: path }
            if key.access == PathAccess::Write && path.exists() && is_marked(&path) =>
        {
            Some(Lack::new("EPERM", PathCause::Attributes, Err(MARKED)))
        }
        Shown::Host { path, .. } if changes(key.access) => {
            can_be_meant(&path, key.access).then(|| by_landlock(Err(NO_VIEWS)))
        }
        Shown::Host { path, .. } => for_use(&path, mode, (key, note)),
        // Everything may be looked at.
        Shown::Nothing { .. } if key.access == PathAccess::Metadata => None,
        Shown::Nothing { at } => hidden(key, &at).map(|line| match line {
            Ok(line) if line.contains(" cow = ") => by_landlock(Err(NO_VIEWS)),
            line => by_landlock(line),
        }),
    }
}

/// Whether the call is the owner's of what is there, who is another.
fn is_by_others(path: &Path, mode: Mode, key: &PathKey, note: &PathNote) -> bool {
    note.by_owner.is_some() && path.symlink_metadata().is_ok() && !is_owner(path, key.follow, mode)
}
