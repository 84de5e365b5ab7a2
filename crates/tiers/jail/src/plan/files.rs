//! What of a jail's tree the supervisor opens for the job: what the mounts show, with the mounts' rights.

use super::JOB_DIRECTORY;
use super::tree::{Entry, Tree};
use lazaret_launch::files::{self, Access, Exec, Processes, RootPlan};
use std::path::{Path, PathBuf};

const READ: Access = Access { read: true, write: false, execute: false };
const RUN: Access = Access { read: true, write: false, execute: true };
const USE: Access = Access { read: true, write: true, execute: false };
const ALL: Access = Access { read: true, write: true, execute: true };

/// The mounts hold whatever the job executes: there is nothing else in its tree. Of processes it is shown its own alone:
/// with the supervisor's rights it would see into process 1.
pub(super) fn tree(tree: &Tree) -> files::Tree {
    let mut roots = vec![RootPlan { guest: PathBuf::from("/"), access: RUN }];
    for entry in &tree.entries {
        let (guest, access) = match entry {
            Entry::Scratch { guest } | Entry::Cow { guest, .. } => (guest.as_path(), ALL),
            Entry::Device { guest, .. } | Entry::Pts { guest } => (guest.as_path(), USE),
            Entry::Bind { guest, .. } => (guest.as_path(), RUN),
            Entry::Proc { .. } => (Path::new("/proc"), READ),
            Entry::Directory { .. } | Entry::Symlink { .. } | Entry::File { .. } | Entry::Mask { .. } => continue,
        };
        roots.push(RootPlan { guest: guest.to_path_buf(), access });
    }
    let own = [("/job", PathBuf::from(JOB_DIRECTORY)), ("/tmp", PathBuf::from("/tmp"))];
    files::Tree { roots, exec: Exec::Held, processes: Processes::Own, own, files: Vec::new() }
}
