//! Paths that a job asked for in vain although they exist outside.
//!
//! The kernel tells nobody why a path could not be used. So what the job named is compared, when it is dead, with what its
//! policy shows and what the host has. That is a remark: nothing is decided with it.

#[cfg(test)]
mod tests;

use crate::view::{self, Shown};
use lazaret_inspect::PathAccess;
use lazaret_launch::Finished;
use lazaret_launch::observe::{Observed, PathKey};
use lazaret_policy::{Mode, PathCause, PathRefusal, Policy, Tier};
use rustix::fs::{Access, AtFlags, CWD};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// How many paths a report has.
const KEPT: usize = 64;

/// What of `observed` the job did not get under `policy` in this `tier`, and what would give it. `mode` says whose user id
/// it had.
#[must_use]
pub fn paths(policy: &Policy, tier: Tier, mode: Mode, observed: &Observed) -> Vec<PathRefusal> {
    let asked = observed.paths.iter();
    let mut found: Vec<PathRefusal> = Vec::new();
    for (key, note) in asked {
        let Some(lack) = lack(policy, mode, key).and_then(|lack| match tier {
            Tier::Jail => Some(lack),
            Tier::Seccomp => lack.by_landlock(),
        }) else {
            continue;
        };
        let path = view::escape(&key.path);
        // The same path read and looked at is one mistake of the policy's.
        if let Some(known) = found.iter_mut().find(|known| known.path == path && known.error == lack.error) {
            known.count += note.count;
            continue;
        }
        if found.len() >= KEPT {
            break;
        }
        let (allow, why_not) = match lack.line {
            Ok(line) => (Some(line), None),
            Err(why) => (None, Some(why.to_owned())),
        };
        found.push(PathRefusal {
            path,
            call: note.call.clone(),
            access: name(key.access).to_owned(),
            error: lack.error.to_owned(),
            cause: lack.cause,
            count: note.count,
            allow,
            why_not,
        });
    }
    found
}

/// Puts into a report what its job asked for in vain, or why nothing is known of that.
pub(crate) fn explain(policy: &Policy, finished: &mut Finished) {
    let observed = &finished.observed;
    if let Some(problem) = &observed.problem {
        finished.report.notes.push(format!("paths are not explained: {problem}"));
        return;
    }
    finished.report.path_refusals = Some(paths(policy, finished.report.tier, finished.report.mode, observed));
    if observed.unread > 0 {
        let count = observed.unread;
        finished.report.notes.push(format!("the paths of {count} calls could not be read, and are not explained"));
    }
}

/// Why a path was not to be had.
struct Lack {
    error: &'static str,
    cause: PathCause,
    line: Result<String, &'static str>,
}

impl Lack {
    /// The same where there is no file tree of the job's own, and Landlock refuses what a jail would not show.
    fn by_landlock(self) -> Option<Self> {
        let is_view = self.line.as_ref().is_ok_and(|line| line.contains(" cow = "));
        let line = if is_view { Err(NO_VIEWS) } else { self.line };
        match self.cause {
            PathCause::Permissions => Some(Self { line, ..self }),
            PathCause::ReadOnly if line == Err(JAILS_OWN) => None,
            PathCause::NotShown | PathCause::ReadOnly | PathCause::Landlock => {
                Some(Self { error: "EACCES", cause: PathCause::Landlock, line })
            }
        }
    }
}

const NO_VIEWS: &str = "only the tier `jail` has directories that may be changed without changing the host";
const NO_TEXT: &str = "its name cannot be written in a policy: show the directory around it";
const JAILS_OWN: &str = "it is the jail's own, and nothing changes it; write to /job or /tmp";
const HOSTS_RIGHTS: &str = "the job's user id may not, whatever the policy shows: change owner or mode outside";

fn lack(policy: &Policy, mode: Mode, key: &PathKey) -> Option<Lack> {
    let changes = changes(key.access);
    match view::at(policy, &key.path, key.follow) {
        Shown::Own | Shown::Host { writable: true, .. } => None,
        Shown::Given => {
            let device = key.path.starts_with("/dev") || key.path.starts_with("/proc");
            (changes && !device).then_some(Lack { error: "EROFS", cause: PathCause::ReadOnly, line: Err(JAILS_OWN) })
        }
        Shown::Host { path, .. } if changes => {
            let is_there = match key.access {
                PathAccess::Create => path.parent().is_some_and(Path::is_dir),
                _ => path.symlink_metadata().is_ok(),
            };
            let line = || around(&key.path, key.access).map_or(Err(NO_TEXT), |directory| line("cow", directory));
            is_there.then(|| Lack { error: "EROFS", cause: PathCause::ReadOnly, line: line() })
        }
        Shown::Host { path, .. } => {
            let denied = path.metadata().is_ok() && !is_permitted(&path, key.access, mode);
            denied.then_some(Lack { error: "EACCES", cause: PathCause::Permissions, line: Err(HOSTS_RIGHTS) })
        }
        Shown::Nothing { at } if key.access == PathAccess::Create => {
            let directory = around(&key.path, key.access)?;
            let is_there = directory.is_dir() && (at == key.path || at.symlink_metadata().is_ok());
            is_there.then(|| Lack { error: "ENOENT", cause: PathCause::NotShown, line: line("cow", directory) })
        }
        Shown::Nothing { at } => {
            // What a link on the way leads to is what is not shown.
            let target = if at.starts_with(&key.path) || key.path.starts_with(&at) { &key.path } else { &at };
            target.symlink_metadata().is_ok().then(|| Lack {
                error: "ENOENT",
                cause: PathCause::NotShown,
                line: if changes {
                    around(target, key.access).map_or(Err(NO_TEXT), |directory| line("cow", directory))
                } else {
                    line("read", target)
                },
            })
        }
    }
}

/// The directory that a change of `path` is made in.
fn around(path: &Path, access: PathAccess) -> Option<&Path> {
    if access == PathAccess::ChangeMetadata && path.is_dir() { Some(path) } else { path.parent() }
}

fn line(list: &str, path: &Path) -> Result<String, &'static str> {
    let text = path.to_str().filter(|text| text.chars().all(lazaret_policy::is_printable)).ok_or(NO_TEXT)?;
    Ok(format!("[files] {list} = [\"{}\"]", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn changes(access: PathAccess) -> bool {
    match access {
        PathAccess::Write | PathAccess::Create | PathAccess::Remove | PathAccess::ChangeMetadata => true,
        PathAccess::Read | PathAccess::List | PathAccess::Execute | PathAccess::Metadata => false,
    }
}

fn name(access: PathAccess) -> &'static str {
    match access {
        PathAccess::Read => "read",
        PathAccess::Write => "write",
        PathAccess::Create => "create",
        PathAccess::Remove => "remove",
        PathAccess::List => "list",
        PathAccess::Execute => "execute",
        PathAccess::Metadata => "metadata",
        PathAccess::ChangeMetadata => "change-metadata",
    }
}

/// Whether owner and mode of the host's file let the job have it. A job of root's has a user id that owns nothing.
fn is_permitted(path: &Path, access: PathAccess, mode: Mode) -> bool {
    if access == PathAccess::Metadata {
        // Only the directories around it count, through which its own check went.
        return true;
    }
    match mode {
        Mode::Rootless => {
            let wanted = if access == PathAccess::Execute { Access::EXEC_OK } else { Access::READ_OK };
            rustix::fs::accessat(CWD, path, wanted, AtFlags::empty()).is_ok()
        }
        Mode::Root => {
            let bit = if access == PathAccess::Execute { 0o001 } else { 0o004 };
            path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & bit != 0)
        }
    }
}
