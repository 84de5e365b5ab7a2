//! Finds where this process may make groups, by looking at its own membership.

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

/// The group that a caller is moved to: see [`locate`].
const LEAF: &str = "lazaret-caller";

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

    /// Whether the kernel counts swap in groups that are made here.
    ///
    /// Changes nothing, except that below the root of version 2, which has no limits of its own, a group is made and
    /// removed.
    pub fn count_swap(&self) -> bool {
        let Some(parent) = self.parents.get(&Controller::Memory) else { return false };
        match self.hierarchy {
            Hierarchy::V1 => parent.join("memory.memsw.limit_in_bytes").exists(),
            Hierarchy::V2 if parent.join("memory.max").exists() => parent.join("memory.swap.max").exists(),
            Hierarchy::V2 => {
                // A name that the next launcher would sweep, were this process killed here.
                let trial = parent.join(format!("lazaret-{}-swap", std::process::id()));
                let made = fs::create_dir(&trial).is_ok();
                let counted = made && trial.join("memory.swap.max").exists();
                if made {
                    // Nobody was ever in it.
                    drop(fs::remove_dir(&trial));
                }
                counted
            }
        }
    }
}

/// Why there is no place for groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoGroups {
    /// The reason.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// Finds the groups that this process may make for jobs: in version 1 beside its own tasks, in version 2 in a
/// delegated group.
///
/// Changes nothing, except that in a delegated version 2 group that holds this process alone, the process is moved to
/// a leaf of its own so that controllers can be handed to its siblings (cgroups(7), "no internal processes").
///
/// # Errors
///
/// The reason and its fix, when no group can be made.
pub fn locate() -> Result<Groups, NoGroups> {
    let read = |path: &str| fs::read_to_string(path).map_err(|e| unreadable(path, &e));
    let membership = read("/proc/self/cgroup")?;
    let mounts = read("/proc/self/mountinfo")?;
    let v1 = version_one(&membership, &mounts);
    if let Some(groups) = v1 {
        let blocked = groups.parents.values().find(|parent| !writable(parent));
        return match blocked {
            None => Ok(groups),
            Some(parent) => Err(not_writable(parent)),
        };
    }
    let Some(own) = version_two(&membership, &mounts) else {
        return Err(NoGroups {
            why: "no cgroup hierarchy is mounted".to_owned(),
            fix: "mount one (`mount -t cgroup2 none /sys/fs/cgroup`), or start the container with one".to_owned(),
        });
    };
    // A caller that was moved to its leaf earlier makes groups beside it.
    let moved = own.file_name().is_some_and(|name| name == LEAF);
    delegated(own.parent().filter(|_| moved).unwrap_or(&own))
}

fn unreadable(path: &str, error: &io::Error) -> NoGroups {
    NoGroups { why: format!("{path} cannot be read: {error}"), fix: "mount /proc".to_owned() }
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
fn in_a_scope() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "systemd-run --scope -p Delegate=yes …"
    } else {
        "systemd-run --user --scope -p Delegate=yes …"
    }
}

fn writable(path: &Path) -> bool {
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
fn place(own: &str, root: &str, point: &str) -> Option<PathBuf> {
    let below = if root == "/" { own } else { own.strip_prefix(root)? };
    Some(Path::new(point).join(below.trim_start_matches('/')))
}

pub(crate) fn version_one(membership: &str, mountinfo: &str) -> Option<Groups> {
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
            && let Some(directory) = place(own, root, point)
        {
            parents.insert(controller, directory);
        }
    }
    parents.contains_key(&Controller::Memory).then_some(Groups { hierarchy: Hierarchy::V1, parents })
}

pub(crate) fn version_two(membership: &str, mountinfo: &str) -> Option<PathBuf> {
    let own = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts_of(mountinfo, "cgroup2").find_map(|(root, point, _)| place(own, root, point))
}

/// What of a delegated version 2 group can be used.
fn delegated(own: &Path) -> Result<Groups, NoGroups> {
    let list = |name: &str| {
        fs::read_to_string(own.join(name)).map_err(|e| NoGroups {
            why: format!("{} cannot be read: {e}", own.join(name).display()),
            fix: "show the cgroup file system to the container".to_owned(),
        })
    };
    let available = list("cgroup.controllers")?;
    if available.trim().is_empty() {
        return Err(NoGroups {
            why: format!("no controller is delegated to {}", own.display()),
            fix: format!("delegate them: `{}`, or mount the controllers on cgroup v2", in_a_scope()),
        });
    }
    if !writable(own) {
        return Err(not_writable(own));
    }
    let wanted: Vec<(Controller, &str)> = Controller::ALL
        .into_iter()
        .filter_map(|c| Some((c, c.v2_name()?)))
        .filter(|(_, name)| available.split_whitespace().any(|a| a == *name))
        .collect();
    enable(own, &list("cgroup.subtree_control")?, &wanted)?;
    let mut parents: BTreeMap<_, _> = wanted.iter().map(|(c, _)| (*c, own.to_owned())).collect();
    parents.insert(Controller::CpuAccounting, own.to_owned());
    Ok(Groups { hierarchy: Hierarchy::V2, parents })
}

/// Hands the wanted controllers to the groups below `own`.
fn enable(own: &Path, enabled: &str, wanted: &[(Controller, &str)]) -> Result<(), NoGroups> {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(_, name)| !enabled.split_whitespace().any(|e| e == *name))
        .map(|(_, name)| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let control = own.join("cgroup.subtree_control");
    let request = missing.join(" ");
    if fs::write(&control, &request).is_ok() {
        return Ok(());
    }
    move_to_leaf(own).and_then(|()| fs::write(&control, &request)).map_err(|e| NoGroups {
        why: format!("controllers cannot be handed to groups below {}: {e}", own.display()),
        fix: format!("start Lazaret alone in a delegated group: `{}`", in_a_scope()),
    })
}

fn move_to_leaf(own: &Path) -> io::Result<()> {
    let members = fs::read_to_string(own.join("cgroup.procs"))?;
    let me = std::process::id().to_string();
    if members.lines().any(|pid| pid != me) {
        return Err(io::Error::other("other processes are in it"));
    }
    let leaf = own.join(LEAF);
    if let Err(error) = fs::create_dir(&leaf)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    fs::write(leaf.join("cgroup.procs"), &me)
}

#[cfg(test)]
mod tests;
