//! Observing: noting permitted calls, beside what the policy refuses.
//!
//! What is enforced stays as it is. The kernel decides with the same filter on the same registers; where that allows a call
//! that is of interest, the call waits until the supervisor has noted it, and is made then. What is read of a job's memory
//! is noted and decides nothing. A failure to observe is noted too, and ends no job.

mod filter;
#[cfg(test)]
mod tests;

pub use filter::Watching;

use crate::refusals;
use lazaret_filter::{Action, Call, Decision};
use lazaret_inspect::{Address, PathAccess, PathUse, Reader};
use lazaret_policy::{Limits, Refusal, SystemCalls};
use lazaret_sys::seccomp::Notification;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// What is to be noted of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Observe {
    /// Nothing but what its policy refuses.
    #[default]
    Nothing,
    /// The paths that permitted calls name.
    Paths,
    /// The same, and the permitted calls that another policy would refuse.
    Against(Box<Other>),
    /// Every permitted call, with the rule that permits it, and the paths.
    Everything,
}

/// What counts of another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its rules.
    pub calls: SystemCalls,
    /// Its bound of a single file, bytes.
    pub file_size: u64,
}

impl Other {
    /// What counts of a policy with these parts.
    pub fn new(calls: &SystemCalls, limits: &Limits) -> Self {
        Self { calls: calls.clone(), file_size: limits.file_size.bytes() }
    }
}

/// How many different calls, and paths, are kept; more are counted.
const KEPT_CALLS: usize = 256;
const KEPT_PATHS: usize = 4096;

/// What was noted.
#[derive(Debug, Default)]
pub struct Observed {
    /// Calls that the other policy would have refused, equal ones counted together. `errno` is what they would have got.
    pub calls: Vec<Refusal>,
    /// Those that were too many.
    pub calls_dropped: u64,
    /// Calls for which the other policy would have ended the job, or sent SIGSYS.
    pub deadly: Vec<String>,
    /// Whether a call was made that goes beyond the other policy's bound of a file.
    pub beyond_file: bool,
    /// Paths that permitted calls named, as the job sees them.
    pub paths: BTreeMap<PathKey, PathNote>,
    /// Those that were too many.
    pub paths_dropped: u64,
    /// Calls of which the paths could not be read.
    pub unread: u64,
    /// Whether an address of the loopback interface was used.
    pub loopback: bool,
    /// Permitted calls and how often they were made, by the number of the rule (`None`: the default), where everything
    /// was to be noted.
    pub used: BTreeMap<(Option<usize>, String), u64>,
    /// Why nothing could be noted, if so.
    pub problem: Option<String>,
    /// What the job's own directories, and its files, came to.
    pub peaks: Peaks,
    /// Reads what calls name, as long as the job lives.
    pub(crate) reader: Reader,
}

/// A path, and what was done there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathKey {
    /// Absolute; `..` and links are as they were written.
    pub path: PathBuf,
    /// What was done.
    pub access: PathAccess,
    /// Whether a link at its end was followed.
    pub follow: bool,
}

/// Who named a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathNote {
    /// The first call that did.
    pub call: String,
    /// How many did.
    pub count: u64,
    /// The first call that is permitted to the owner of what is there alone.
    pub by_owner: Option<String>,
    /// Where the first call that was to link or move it would have had it.
    pub to: Option<PathBuf>,
}

impl PathNote {
    /// Of one call that asks for no more than the path's use.
    pub fn new(call: impl Into<String>) -> Self {
        Self { call: call.into(), count: 1, by_owner: None, to: None }
    }
}

/// The most that a job held. `None` where it was not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Bytes in the job's own directories.
    pub disk: Option<u64>,
    /// Bytes of the largest file that was there in the end.
    pub file: Option<u64>,
}

impl Observed {
    /// Notes a call that waits, and that the policy permits by `enforced`.
    pub(crate) fn note(
        &mut self,
        listener: BorrowedFd<'_>,
        notification: &Notification,
        call: &Call,
        enforced: Decision,
        watching: &Watching,
    ) {
        let name = refusals::call_name(notification);
        if watching.everything {
            *self.used.entry((enforced.rule, name.clone())).or_default() += 1;
        }
        if let Some(would) = watching.other_decides(call) {
            if watching.is_beyond(would.rule) {
                self.beyond_file |= refusals::is_of_file(notification);
            } else if !would.action.permits() {
                self.refused(notification, &name, would, watching);
            }
        }
        if watching.names_paths(&name) {
            self.name_paths(listener, notification, *call, &name);
        }
        if watching.names_addresses(&name) {
            self.name_addresses(listener, notification, *call);
        }
    }

    fn refused(&mut self, notification: &Notification, name: &str, would: Decision, watching: &Watching) {
        let errno = match would.action {
            Action::Refuse(errno) | Action::Errno(errno) => errno.into(),
            Action::Kill | Action::Trap | Action::Allow | Action::Log => libc::EPERM,
        };
        if matches!(would.action, Action::Kill | Action::Trap) && !self.deadly.iter().any(|known| known == name) {
            self.deadly.push(name.to_owned());
        }
        let rule = watching.rule(would.rule);
        let (number, args) = (notification.number, notification.args);
        let known = |kept: &&mut Refusal| (kept.number, kept.errno, &kept.rule) == (number, errno, &rule);
        if let Some(known) = self.calls.iter_mut().find(known) {
            known.count += 1;
        } else if self.calls.len() >= KEPT_CALLS {
            self.calls_dropped += 1;
        } else {
            // What is refused in silence is refused on purpose.
            let suggestion = match would.action {
                Action::Errno(_) => None,
                _ => watching.suggestion(name),
            };
            self.calls.push(Refusal {
                call: name.to_owned(),
                number,
                args,
                errno,
                count: 1,
                rule,
                suggestion,
                explanation: None,
            });
        }
    }

    fn name_paths(&mut self, listener: BorrowedFd<'_>, notification: &Notification, call: Call, name: &str) {
        let read = self.reader.read(listener, notification, move |thread| lazaret_inspect::paths(thread, &call));
        let Ok(uses) = read else {
            self.unread += 1;
            return;
        };
        let moves = ["link", "rename"].iter().any(|moves| name.starts_with(moves));
        let to = match &uses[..] {
            [_, to] if moves => to.absolute.clone(),
            _ => None,
        };
        for (used, to) in uses.into_iter().zip([to, None]) {
            self.name_path(used, to, name);
        }
    }

    fn name_path(&mut self, used: PathUse, to: Option<PathBuf>, name: &str) {
        // Relative to something without a place in the tree, such as a directory that was removed.
        let Some(path) = used.absolute else { return };
        let key = PathKey { path, access: used.access, follow: used.follow };
        let full = self.paths.len() >= KEPT_PATHS;
        let note = match self.paths.entry(key) {
            Entry::Occupied(known) => {
                let note = known.into_mut();
                note.count += 1;
                note
            }
            Entry::Vacant(_) if full => {
                self.paths_dropped += 1;
                return;
            }
            Entry::Vacant(new) => new.insert(PathNote::new(name)),
        };
        if used.by_owner {
            note.by_owner.get_or_insert_with(|| name.to_owned());
        }
        note.to = note.to.take().or(to);
    }

    fn name_addresses(&mut self, listener: BorrowedFd<'_>, notification: &Notification, call: Call) {
        let read = self.reader.read(listener, notification, move |thread| lazaret_inspect::addresses(thread, &call));
        let Ok(uses) = read else {
            self.unread += 1;
            return;
        };
        self.loopback |= uses.iter().any(|used| match &used.address {
            Address::Inet(address) => address.ip().is_loopback(),
            Address::Inet6(address) => address.ip().is_loopback(),
            _ => false,
        });
    }
}
