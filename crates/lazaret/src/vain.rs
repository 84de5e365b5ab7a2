//! Paths that a job asked for in vain although they exist outside.
//!
//! The kernel tells nobody why a path could not be used. So what the job named is compared, when it is dead, with what its
//! policy shows and what the host has. That is a remark: nothing is decided with it.

mod jail;
mod rights;
mod seccomp;
#[cfg(test)]
mod tests;

use crate::view;
use lazaret_inspect::PathAccess;
use lazaret_launch::Finished;
use lazaret_launch::observe::{Observed, PathKey};
use lazaret_policy::{Mode, PathCause, PathRefusal, Policy, Tier};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How many paths a report has.
const KEPT: usize = 64;

/// What of `observed` the job did not get under `policy` in this `tier`, and what would give it. `mode` says whose user id
/// it had.
#[must_use]
pub fn paths(policy: &Policy, tier: Tier, mode: Mode, observed: &Observed) -> Vec<PathRefusal> {
    let asked = observed.paths.iter();
    let mut found: Vec<PathRefusal> = Vec::new();
    for (key, note) in asked {
        let lack = match tier {
            Tier::Jail => jail::lack(policy, mode, observed, (key, note)),
            Tier::Seccomp => seccomp::lack(policy, mode, (key, note)),
        };
        let Some(lack) = lack else { continue };
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
    let found = paths_in_time(policy, finished.report.tier, finished.report.mode, observed);
    if found.is_none() {
        finished.report.notes.push("paths are not explained: the host did not tell in time what is there".to_owned());
    }
    finished.report.path_refusals = found;
    if observed.unread > 0 {
        let count = observed.unread;
        finished.report.notes.push(format!("the paths of {count} calls could not be read, and are not explained"));
    }
}

/// How long the host's file systems may take to tell what is at the paths that a job named.
const COMPARISON: Duration = Duration::from_secs(5);

/// As [`paths`]. `None`: a file system of the host's, such as one whose server does not answer, took too long.
fn paths_in_time(policy: &Policy, tier: Tier, mode: Mode, observed: &Observed) -> Option<Vec<PathRefusal>> {
    let (policy, mut asked) = (policy.clone(), Observed::default());
    asked.paths.clone_from(&observed.paths);
    let (send, receive) = mpsc::sync_channel(1);
    // Who no longer waits for it does not need it.
    let compare = move || drop(send.send(paths(&policy, tier, mode, &asked)));
    std::thread::Builder::new().name("lazaret-paths".to_owned()).spawn(compare).ok()?;
    receive.recv_timeout(COMPARISON).ok()
}

/// Why a path was not to be had.
struct Lack {
    error: &'static str,
    cause: PathCause,
    line: Result<String, &'static str>,
}

impl Lack {
    fn new(error: &'static str, cause: PathCause, line: Result<String, &'static str>) -> Self {
        Self { error, cause, line }
    }
}

const NO_TEXT: &str = "its name cannot be written in a policy: show the directory around it";
const HOSTS_RIGHTS: &str = "the job's user id may not, whatever the policy shows: change owner or mode outside";
const NOT_THE_OWNER: &str = "the job's user id does not own it, whatever the policy shows: give the job a copy of its own \
    (`--in`), or have it make one in /job or /tmp";
const MARKED: &str = "nobody may, whatever the policy shows, until `chattr -i -a` outside takes the mark away";

/// Where a policy does not show what a job named: what it would have to show, and how. `None`: nothing is there.
fn hidden(key: &PathKey, at: &Path) -> Option<Result<String, &'static str>> {
    if key.access == PathAccess::Create {
        let directory = around(&key.path, key.access)?;
        let is_there = directory.is_dir() && (at == key.path || at.symlink_metadata().is_ok());
        return is_there.then(|| line("cow", directory));
    }
    // What a link on the way leads to is what is not shown.
    let target = if at.starts_with(&key.path) || key.path.starts_with(at) { &key.path } else { at };
    target.symlink_metadata().is_ok().then(|| match changes(key.access) {
        true => around(target, key.access).map_or(Err(NO_TEXT), |directory| line("cow", directory)),
        false => line("read", target),
    })
}

/// Whether what is to be changed is there, or where it was to be made.
fn can_be_meant(path: &Path, access: PathAccess) -> bool {
    match access {
        PathAccess::Create => path.parent().is_some_and(Path::is_dir),
        _ => path.symlink_metadata().is_ok(),
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
