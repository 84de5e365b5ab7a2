//! Makes a place for groups ready, and takes that back.

use super::directory::is_jobs;
use super::locate::{Groups, NoGroups, in_a_scope};
use super::site::{Change, Site, Whom, is_family};
use std::fs;
use std::io;
use std::path::Path;

/// What was changed to make a place ready, in order.
#[derive(Debug, Default)]
pub(crate) struct Undo(Vec<Change>);

/// How often the processes of a group are listed before it is given up: while they are moved they may fork.
const ROUNDS: usize = 100;

impl Site {
    /// Makes the place ready. Others may do the same at the same time.
    ///
    /// # Errors
    ///
    /// The change that failed. Those before it are taken back.
    pub(crate) fn prepare(self) -> Result<(Groups, Undo), NoGroups> {
        let mut undo = Undo::default();
        for change in self.changes {
            match change.make() {
                Ok(false) => {}
                Ok(true) => undo.0.push(change),
                Err(error) => {
                    let refused = change.refused(&error);
                    // Some may have been moved.
                    undo.0.extend(Some(change).filter(|change| matches!(change, Change::Move { .. })));
                    undo.take_back();
                    return Err(refused);
                }
            }
        }
        Ok((self.groups, undo))
    }
}

impl Undo {
    /// Undoes it, as far as nobody else relies on it by now.
    pub(crate) fn take_back(self) {
        self.0.iter().rev().for_each(Change::take_back);
    }
}

impl Change {
    /// Makes the change. Returns whether there was anything to change.
    fn make(&self) -> io::Result<bool> {
        match self {
            Self::Make(group) => match fs::create_dir(group) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                made => made.map(|()| true),
            },
            Self::Move { whom, from, to } => whom.leave(from, to).map(|()| true),
            Self::HandDown { group, controllers } => control(group, '+', controllers).map(|()| true),
        }
    }

    fn refused(&self, error: &io::Error) -> NoGroups {
        let why = match self {
            Self::Make(group) => format!("the group {} cannot be made: {error}", group.display()),
            Self::Move { from, to, .. } => {
                format!("the processes in {} cannot be moved to {}: {error}", from.display(), to.display())
            }
            Self::HandDown { group, .. } => {
                format!("controllers cannot be handed to groups below {}: {error}", group.display())
            }
        };
        NoGroups { why, fix: format!("start Lazaret in a delegated group: `{}`", in_a_scope()) }
    }

    fn take_back(&self) {
        // What cannot be taken back is used by others.
        match self {
            Self::Make(group) => drop(fs::remove_dir(group)),
            Self::Move { whom, from, to } => {
                let moved = fs::read_to_string(to.join("cgroup.procs")).unwrap_or_default();
                moved.lines().filter(|pid| whom.is(pid)).for_each(|pid| drop(enter(from, pid)));
            }
            // The kernel would take limits from the jobs of another caller that came meanwhile.
            Self::HandDown { group, .. } if has_jobs(group) => {}
            Self::HandDown { group, controllers } => drop(control(group, '-', controllers)),
        }
    }
}

fn control(group: &Path, sign: char, controllers: &[&str]) -> io::Result<()> {
    let request: Vec<String> = controllers.iter().map(|name| format!("{sign}{name}")).collect();
    fs::write(group.join("cgroup.subtree_control"), request.join(" "))
}

fn enter(group: &Path, pid: &str) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), pid)
}

impl Whom {
    fn is(self, pid: &str) -> bool {
        match self {
            Self::All => true,
            Self::Family => is_family(pid),
        }
    }

    /// Moves them, until there are none.
    fn leave(self, from: &Path, to: &Path) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let members = fs::read_to_string(from.join("cgroup.procs"))?;
            if members.is_empty() {
                return Ok(());
            }
            for pid in members.lines() {
                if pid == "0" {
                    return Err(io::Error::other("some are outside of this pid namespace"));
                }
                if !self.is(pid) {
                    return Err(io::Error::other("others are there"));
                }
                match enter(to, pid) {
                    // It has ended.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved?,
                }
            }
        }
        Err(io::Error::other("new ones come too fast"))
    }
}

fn has_jobs(group: &Path) -> bool {
    let mut entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.any(|entry| is_jobs(&entry.file_name()))
}
