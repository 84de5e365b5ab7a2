//! Finds where this process may make groups, by looking at its own membership.

use super::directory::Directory;
use super::site::{Place, Site};
use crate::probe::read_proc;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A controller that a jail uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Memory, swap, out-of-memory kills.
    Memory,
    /// Number of processes.
    Pids,
    /// Processor bandwidth; in version 2 its accounting too.
    Cpu,
    /// Processor accounting of version 1.
    CpuAccounting,
    /// Block input and output.
    Io,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Pids, Self::Cpu, Self::CpuAccounting, Self::Io];

    fn v1_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Io => "blkio",
        }
    }

    /// Its name in `cgroup.controllers`; accounting needs no controller in version 2.
    pub(crate) fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Pids => Some("pids"),
            Self::Cpu => Some("cpu"),
            Self::CpuAccounting => None,
            Self::Io => Some("io"),
        }
    }
}

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// One tree per controller or set of controllers.
    V1,
    /// One tree for all.
    V2,
}

/// Where groups for jobs can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Which version the controllers are on.
    pub hierarchy: Hierarchy,
    /// The directory in which a job's group is made, by controller. One directory may serve several.
    pub parents: BTreeMap<Controller, PathBuf>,
}

impl Groups {
    /// The distinct parent directories with the controllers that each serves.
    pub fn directories(&self) -> Vec<(&Path, Vec<Controller>)> {
        let mut found: Vec<(&Path, Vec<Controller>)> = Vec::new();
        for (controller, parent) in &self.parents {
            match found.iter_mut().find(|(path, _)| path == parent) {
                Some((_, controllers)) => controllers.push(*controller),
                None => found.push((parent, vec![*controller])),
            }
        }
        found
    }

    /// What makes a controller available here that is not.
    pub(crate) fn delegation(&self) -> &'static str {
        match self.hierarchy {
            Hierarchy::V1 => "mount the controller, and give this user a group in it",
            Hierarchy::V2 if rustix::process::geteuid().is_root() => {
                "start Lazaret in a group that has it: `systemd-run --scope -p Delegate=yes …`"
            }
            Hierarchy::V2 => "delegate it to this user's group: `lazaret doctor` tells how",
        }
    }

    /// Whether the kernel counts swap in groups that are made here, as far as that can be seen without making one: the
    /// root of version 2 has no limits of its own. The groups around these tell, or those beside them.
    pub fn count_swap(&self) -> Option<bool> {
        let parent = self.parents.get(&Controller::Memory)?;
        match self.hierarchy {
            Hierarchy::V1 => Some(parent.join("memory.memsw.limit_in_bytes").exists()),
            Hierarchy::V2 => {
                let beside = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
                let mut groups = parent.ancestors().map(Path::to_owned).chain(beside);
                groups.find(|group| group.join("memory.max").exists()).map(|group| counts_swap(&group))
            }
        }
    }

    /// As [`Self::count_swap`]; if nothing can be seen, a group is made, looked at and removed.
    pub(crate) fn try_swap(&self) -> bool {
        self.count_swap().unwrap_or_else(|| {
            let Some(parent) = self.parents.get(&Controller::Memory) else { return false };
            let trial = Directory::make(parent.join(format!("lazaret-{}-swap", std::process::id())));
            trial.is_ok_and(|trial| {
                let counted = counts_swap(trial.path());
                // Nobody was ever in it.
                drop(trial.remove());
                counted
            })
        })
    }
}

fn counts_swap(group: &Path) -> bool {
    group.join("memory.swap.max").exists()
}

/// Why there is no place for groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoGroups {
    /// The reason.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// Finds where this process may make groups for jobs: in version 1 beside its own tasks, in version 2 where
/// [`Site::find`] says. Changes nothing.
///
/// # Errors
///
/// The reason and its fix, when no group can be made.
pub(crate) fn locate() -> Result<Site, NoGroups> {
    let read = |path: &str| read_proc(path).map_err(|e| unreadable(path, &e));
    let membership = read("/proc/self/cgroup")?;
    let mounts = read("/proc/self/mountinfo")?;
    if let Some(groups) = version_one(&membership, &mounts) {
        if let Some(parent) = groups.parents.values().find(|parent| !is_group(parent)) {
            return Err(hidden(parent));
        }
        return match groups.parents.values().find(|parent| !writable(parent)) {
            None => Ok(Site { groups, changes: Vec::new() }),
            Some(parent) => Err(not_writable(parent)),
        };
    }
    let places = version_two(&membership, &mounts);
    match places.iter().find(|place| is_group(&place.own)) {
        Some(place) => Site::find(place, rustix::process::geteuid()),
        None => Err(places.first().map_or_else(not_mounted, |place| hidden(&place.own))),
    }
}

fn unreadable(path: &str, error: &io::Error) -> NoGroups {
    NoGroups { why: format!("{path} cannot be read: {error}"), fix: "mount /proc".to_owned() }
}

fn not_mounted() -> NoGroups {
    NoGroups {
        why: "no cgroup hierarchy is mounted that shows this process's group".to_owned(),
        fix: "mount one (`mount -t cgroup2 none /sys/fs/cgroup`), or start the container with one".to_owned(),
    }
}

/// A mount is listed, and the group is not there: something else was mounted over it, or over a part of its path.
fn hidden(own: &Path) -> NoGroups {
    let cover = own.ancestors().find(|path| path.exists()).unwrap_or(own);
    NoGroups {
        why: format!("{} is not there: another file system hides the cgroup file system", own.display()),
        fix: format!(
            "unmount what covers it (`umount {}`), mount it once more (`mount -t cgroup2 none /sys/fs/cgroup`), or start \
             the container with it",
            cover.display()
        ),
    }
}

fn not_writable(path: &Path) -> NoGroups {
    NoGroups {
        why: format!("this user may not make groups in {}", path.display()),
        fix: format!(
            "delegate a group: `{}`, or as root `chown` a group of its own below {}",
            in_a_scope(),
            path.display()
        ),
    }
}

/// The command that delegates a group on a host with systemd: of this user's own instance, which root seldom has.
pub(super) fn in_a_scope() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "systemd-run --scope -p Delegate=yes …"
    } else {
        "systemd-run --user --scope -p Delegate=yes …"
    }
}

/// Every group has this file, in both versions.
fn is_group(path: &Path) -> bool {
    path.join("cgroup.procs").exists()
}

pub(super) fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// One line of mountinfo: root within the file system, mount point, type, super options.
fn mounts_of<'a>(mountinfo: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        let mut after = after.split(' ');
        (after.next()? == kind).then_some((root, point, after.nth(1)?))
    })
}

/// The directory of group `own` in a mount of the hierarchy that shows the group `root` at `point`.
fn directory(own: &str, root: &str, point: &str) -> Option<PathBuf> {
    let below = if root == "/" { own } else { own.strip_prefix(root)? };
    let below = below.trim_start_matches('/');
    let point = Path::new(point);
    Some(if below.is_empty() { point.to_owned() } else { point.join(below) })
}

fn version_one(membership: &str, mountinfo: &str) -> Option<Groups> {
    let mut parents = BTreeMap::new();
    for controller in Controller::ALL {
        let name = controller.v1_name();
        let own = membership.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            controllers.split(',').any(|c| c == name).then(|| fields.next()).flatten()
        });
        let mount = mounts_of(mountinfo, "cgroup").find(|(_, _, options)| options.split(',').any(|o| o == name));
        if let (Some(own), Some((root, point, _))) = (own, mount)
            && let Some(directory) = directory(own, root, point)
        {
            parents.insert(controller, directory);
        }
    }
    parents.contains_key(&Controller::Memory).then_some(Groups { hierarchy: Hierarchy::V1, parents })
}

/// Where every mount of version 2 would show this process's group.
fn version_two(membership: &str, mountinfo: &str) -> Vec<Place> {
    let Some(own) = membership.lines().find_map(|line| line.strip_prefix("0::")) else { return Vec::new() };
    let place = |(root, point, _): (&str, &str, &str)| {
        Some(Place { own: directory(own, root, point)?, top: PathBuf::from(point) })
    };
    mounts_of(mountinfo, "cgroup2").filter_map(place).collect()
}

#[cfg(test)]
mod tests;
