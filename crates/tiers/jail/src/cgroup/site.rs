//! Where in version 2 a caller's groups belong, and what has to be done there first.
//!
//! A group with processes in it can hand no controllers to groups below it, the root alone excepted (cgroups(7), "no
//! internal processes"). So groups for jobs go where no process is: the caller's own group after its processes were moved
//! into a leaf, or a group around it.
//!
//! What belongs to whom is a convention: a manager hands a subtree to somebody by making the group theirs, and the host's
//! systemd also marks it (<https://systemd.io/CGROUP_DELEGATION>). Processes of others are moved in such a group alone.

use super::locate::{Controller, Groups, Hierarchy, NoGroups, in_a_scope, writable};
use super::systemd;
use rustix::process::Uid;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The group that the processes of a group are moved to.
pub(super) const LEAF: &str = "lazaret-caller";

/// The group that job groups are made in, where the one around it is not ours. Whoever manages that one may take
/// controllers back from it at any time; this keeps those that jobs rely on, as the kernel takes none from a group that
/// hands it on.
pub(super) const OURS: &str = "lazaret";

/// The group of this process, and the topmost one that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) own: PathBuf,
    pub(super) top: PathBuf,
}

/// Where groups can be made, once these changes were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) groups: Groups,
    pub(super) changes: Vec<Change>,
}

/// Something that is done to make a place ready. Doing it twice is the same as once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A group is made.
    Make(PathBuf),
    /// Processes are moved.
    Move { whom: Whom, from: PathBuf, to: PathBuf },
    /// Controllers are handed to the groups below one.
    HandDown { group: PathBuf, controllers: Vec<&'static str> },
}

/// Which processes of a group are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// All, as the group was delegated.
    All,
    /// This one and its children, which are alone there.
    Family,
}

/// The controllers without which no job runs.
const NEEDED: [&str; 2] = ["memory", "pids"];

impl Site {
    /// Finds the place for groups of the user `euid`, whose process is at `place`. The first that fits:
    ///
    /// 1. the root of all groups, which may have processes and hand controllers down, if this process is in it;
    /// 2. this process's group, if it was delegated to this user: all its processes are moved to a leaf of their own;
    /// 3. the nearest group around it that is within what was delegated, and has no processes;
    /// 4. this process's group, if this user may make groups in it and nobody but its children is there: they are moved;
    /// 5. this process's group, if this user's own instance of systemd says that it delegated it: as 2;
    /// 6. for root, the nearest group around it that is root's, has no processes, and has the controllers for memory and
    ///    processes.
    ///
    /// From 4 on a group `lazaret` is made for the jobs' groups, as the one around it is or may be another's.
    ///
    /// # Errors
    ///
    /// The reason and its fix, when nothing fits.
    pub(super) fn find(place: &Place, euid: Uid) -> Result<Self, NoGroups> {
        let look = Look { top: &place.top, euid };
        // A caller that was moved earlier.
        let moved = place.own.file_name().is_some_and(|name| name == LEAF);
        let home = place.own.parent().filter(|_| moved).unwrap_or(&place.own);
        if has_controllers(home) && writable(home) {
            if is_root(home) {
                return Ok(Self::within(home, Vec::new()));
            }
            if look.is_ours(home) {
                return Ok(Self::within(home, if moved { Vec::new() } else { to_leaf(home, Whom::All) }));
            }
            if let Some(free) = look.delegated_around(home) {
                return Ok(Self::within(free, Vec::new()));
            }
            if moved || is_alone(home) {
                return Ok(Self::beside(home, if moved { Vec::new() } else { to_leaf(home, Whom::Family) }, &[]));
            }
            if !euid.is_root() && systemd::has_delegated(home, euid) {
                return Ok(Self::beside(home, to_leaf(home, Whom::All), &[]));
            }
        } else if let Some(free) = look.delegated_around(home) {
            return Ok(Self::within(free, Vec::new()));
        }
        match look.root_s_around(home) {
            Some(free) => Ok(Self::beside(free, Vec::new(), &NEEDED)),
            None => Err(refusal(home)),
        }
    }

    /// Job groups directly in `group`, which hands down all that it has.
    fn within(group: &Path, mut changes: Vec<Change>) -> Self {
        let controllers = known(&words(group, "cgroup.controllers"));
        changes.extend(hand_down(group, &controllers));
        Self { groups: groups(group, &controllers), changes }
    }

    /// Job groups in a group of our own below `group`, which hands down what it already does, and these. All, if none
    /// are named: then nobody but us is in it.
    fn beside(group: &Path, mut changes: Vec<Change>, needed: &[&str]) -> Self {
        let available = words(group, "cgroup.controllers");
        let handed = words(group, "cgroup.subtree_control");
        let chosen = |name: &&str| needed.is_empty() || needed.contains(name) || handed.iter().any(|h| h == name);
        let controllers: Vec<&'static str> = known(&available).into_iter().filter(chosen).collect();
        let ours = group.join(OURS);
        changes.extend(hand_down(group, &controllers));
        changes.extend((!ours.exists()).then(|| Change::Make(ours.clone())));
        changes.extend(hand_down(&ours, &controllers));
        Self { groups: groups(&ours, &controllers), changes }
    }
}

fn to_leaf(group: &Path, whom: Whom) -> Vec<Change> {
    let leaf = group.join(LEAF);
    vec![Change::Make(leaf.clone()), Change::Move { whom, from: group.to_owned(), to: leaf }]
}

fn hand_down(group: &Path, controllers: &[&'static str]) -> Option<Change> {
    let handed = words(group, "cgroup.subtree_control");
    let missing: Vec<&'static str> =
        controllers.iter().copied().filter(|name| !handed.iter().any(|h| h == name)).collect();
    (!missing.is_empty()).then(|| Change::HandDown { group: group.to_owned(), controllers: missing })
}

fn groups(parent: &Path, controllers: &[&str]) -> Groups {
    let handed = |c: &Controller| c.v2_name().is_none_or(|name| controllers.contains(&name));
    let parents: BTreeMap<_, _> = Controller::ALL.into_iter().filter(handed).map(|c| (c, parent.to_owned())).collect();
    Groups { hierarchy: Hierarchy::V2, parents }
}

/// The names of the controllers that jails use, out of `names`.
fn known(names: &[String]) -> Vec<&'static str> {
    Controller::ALL.into_iter().filter_map(Controller::v2_name).filter(|name| names.iter().any(|n| n == name)).collect()
}

/// Who looks, and how far up there is anything to see.
struct Look<'a> {
    top: &'a Path,
    euid: Uid,
}

impl Look<'_> {
    /// Whether `group` was delegated to this user: it is theirs, and either marked by systemd, or in a group of somebody
    /// else's, or the topmost one that a container sees.
    fn is_ours(&self, group: &Path) -> bool {
        let owner = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.uid());
        let handed_over = || !self.euid.is_root() && group.parent().and_then(owner) != Some(self.euid.as_raw());
        let is_top = || group == self.top && !is_root(group);
        owner(group) == Some(self.euid.as_raw()) && (is_marked(group) || is_top() || handed_over())
    }

    /// The nearest group around `home` without processes, in what was delegated to this user.
    ///
    /// Up to the delegated group there must be none that a manager to which it was delegated made: an ordinary user's
    /// own instance of systemd.
    fn delegated_around<'p>(&self, home: &'p Path) -> Option<&'p Path> {
        let mut below = home;
        let mut nearest = None;
        for group in self.around(home) {
            if is_unit(below) {
                return None;
            }
            let fits = is_empty(group) && writable(group) && has_controllers(group);
            nearest = nearest.or(fits.then_some(group));
            if self.is_ours(group) {
                return nearest;
            }
            below = group;
        }
        None
    }

    /// For root, the nearest group around `home` that nobody else may write to, and that has or can have groups with
    /// controllers below it.
    fn root_s_around<'p>(&self, home: &'p Path) -> Option<&'p Path> {
        let fits = |group: &&Path| {
            let has = words(group, "cgroup.controllers");
            let root_s = fs::metadata(group).is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0);
            root_s
                && NEEDED.iter().all(|name| has.iter().any(|h| h == name))
                && (is_root(group) || is_empty(group))
                && writable(group)
        };
        self.around(home).filter(|_| self.euid.is_root()).find(fits)
    }

    /// The groups around `group`, the nearest first.
    fn around<'p>(&self, group: &'p Path) -> impl Iterator<Item = &'p Path> {
        group.ancestors().skip(1).take_while(|path| path.starts_with(self.top))
    }
}

/// The root of all groups has no such file; the topmost group that a container sees has.
fn is_root(group: &Path) -> bool {
    !group.join("cgroup.events").exists()
}

/// The host's systemd says so of the groups that it delegates, since 251 in the first attribute.
fn is_marked(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 2];
        rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|length| &value[..length] == b"1")
    })
}

/// Whether `group` is named as systemd names those of its units.
fn is_unit(group: &Path) -> bool {
    let kind = group.extension().and_then(|extension| extension.to_str());
    kind.is_some_and(|kind| ["service", "scope", "slice", "socket", "mount", "swap"].contains(&kind))
}

fn has_controllers(group: &Path) -> bool {
    !words(group, "cgroup.controllers").is_empty()
}

/// Whether `group` has no processes. A process from outside of this pid namespace is listed as 0.
fn is_empty(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| text.is_empty())
}

fn is_alone(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|text| text.lines().all(is_family))
}

/// Whether the process is this one, or a child of it: a launcher prepares jails in processes of its own.
pub(super) fn is_family(pid: &str) -> bool {
    let me = std::process::id().to_string();
    // The fields behind the name: state, parent.
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let parent = |stat: &str| Some(stat.rsplit_once(')')?.1.split_whitespace().nth(1)? == me);
    // One that has ended meanwhile was none of others'.
    pid == me || stat().is_none_or(|stat| parent(&stat).unwrap_or(false))
}

fn words(group: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(group.join(file)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn refusal(home: &Path) -> NoGroups {
    if !has_controllers(home) {
        return NoGroups {
            why: format!("no controller is delegated to {}", home.display()),
            fix: format!("delegate them: `{}`, or mount the controllers on cgroup v2", in_a_scope()),
        };
    }
    if !writable(home) {
        return NoGroups {
            why: format!("this user may not make groups in {}", home.display()),
            fix: format!("delegate a group: `{}`; without systemd `lazaret doctor` tells how", in_a_scope()),
        };
    }
    NoGroups {
        why: format!("other processes are in {}, which was not delegated to this user", home.display()),
        fix: format!("start Lazaret, or the shell, in a delegated group: `{}`", in_a_scope()),
    }
}

#[cfg(test)]
mod tests;
