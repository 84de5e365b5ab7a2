//! What this host can enforce, and what the paths of a policy are. Found by looking and trying, never by versions.

pub mod doctor;
mod paths;

pub use crate::cgroup::{Controller, Groups, Hierarchy, NoGroups};
pub use crate::error::Missing;
pub use lazaret_launch::bounds::{Bounds, CoreLimit};
pub use paths::{PathFacts, PathKind};

use crate::cgroup;
use crate::uid::Uids;
use lazaret_policy::{Layer, Mode, Policy};
use rustix::thread::CapabilitySet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What a launch needs to know of the host. Namespaces are found by making them: the launch itself tries.
#[derive(Debug, Clone)]
pub struct Support {
    /// Whether this process can give jobs user ids of their own.
    pub mode: Mode,
    /// Effective user and group id of this process.
    pub ids: (u32, u32),
    /// Why a process of root's can give no ids, if so.
    pub no_job_uid: Option<String>,
    /// Landlock's ABI, or why it is missing.
    pub landlock: Result<u32, String>,
    /// Where job groups can be made.
    pub groups: Result<Groups, NoGroups>,
    /// Whether swap can be bounded, or needs no bound as there is none.
    pub swap: bool,
    /// Whether the kernel has cgroup namespaces.
    pub cgroup_namespace: bool,
    /// Whether the kernel has time namespaces.
    pub time_namespace: bool,
    /// Whether refused calls can be reported.
    pub notifier: bool,
    /// What this process itself is bounded by.
    pub bounds: Bounds,
}

/// Who this process is, and with that whose ids its jobs get.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) mode: Mode,
    pub(crate) ids: (u32, u32),
    no_job_uid: Option<String>,
    pub(crate) time_namespace: bool,
}

impl Identity {
    pub(crate) fn probe() -> Self {
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let no_job_uid = if ids.0 == 0 { missing_for_job_uid() } else { None };
        let mode = if ids.0 == 0 && no_job_uid.is_none() { Mode::Root } else { Mode::Rootless };
        Self { mode, ids, no_job_uid, time_namespace: Path::new("/proc/self/ns/time").exists() }
    }
}

const RET_USER_NOTIF: u32 = 0x7fc0_0000;

impl Support {
    /// Looks at the host and changes nothing, for plans. Takes a few dozen microseconds.
    ///
    /// On cgroup v2 a launcher can be refused what this expects to be possible.
    pub fn probe() -> Self {
        Self::new(Identity::probe(), cgroup::locate().map(|site| site.groups), |groups| {
            groups.count_swap().unwrap_or(true)
        })
    }

    /// Looks at the host for a launcher, and makes the place for jobs' groups ready, which on cgroup v2 can hand
    /// controllers down, make groups, and move the processes of a group that was delegated: see docs/containers.md.
    pub(crate) fn prepare(identity: Identity) -> Self {
        Self::prepare_for_now(identity).0
    }

    /// As [`Self::prepare`], with what takes it back.
    pub(crate) fn prepare_for_now(identity: Identity) -> (Self, cgroup::Undo) {
        match cgroup::locate().and_then(cgroup::Site::prepare) {
            Ok((groups, undo)) => (Self::new(identity, Ok(groups), Groups::try_swap), undo),
            Err(none) => (Self::new(identity, Err(none), Groups::try_swap), cgroup::Undo::default()),
        }
    }

    fn new(identity: Identity, groups: Result<Groups, NoGroups>, counts_swap: impl Fn(&Groups) -> bool) -> Self {
        let Identity { mode, ids, no_job_uid, time_namespace } = identity;
        Self {
            mode,
            ids,
            no_job_uid,
            landlock: landlock(),
            swap: groups.as_ref().is_ok_and(|groups| no_swap() || counts_swap(groups)),
            groups,
            cgroup_namespace: Path::new("/proc/self/ns/cgroup").exists(),
            time_namespace,
            notifier: lazaret_sys::seccomp::has_action(RET_USER_NOTIF).unwrap_or(false),
            bounds: Bounds::probe(mode),
        }
    }

    /// The layers that `policy` requires and this host lacks, degraded ones left out.
    pub fn missing(&self, policy: &Policy) -> Vec<Missing> {
        let mut missing: Vec<Missing> = self.lacks(policy);
        missing.retain(|m| policy.degrades(m.layer).is_none());
        missing
    }

    /// The layers that `policy` asks for and this host lacks.
    pub fn lacks(&self, policy: &Policy) -> Vec<Missing> {
        let mut lacks = Vec::new();
        let mut lack = |layer, why: &str, fix: &str| {
            lacks.push(Missing { layer, why: why.to_owned(), fix: fix.to_owned() });
        };
        if let Some(why) = &self.no_job_uid {
            lack(Layer::JobUid, why, "run as root with CAP_SETUID, CAP_SETGID and all ids, or as an ordinary user");
        }
        match &self.landlock {
            Ok(0) => lack(
                Layer::Landlock,
                "this kernel has no Landlock, does not enable it, or a container's system-call filter hides it",
                "`lazaret doctor` tells which, and what to do",
            ),
            Ok(_) => {}
            Err(why) => lack(Layer::Landlock, why, "`lazaret doctor` tells why, and what to do"),
        }
        if self.bounds.core == CoreLimit::Insufficient {
            lack(
                Layer::Rlimits,
                "this process's hard limit of core dumps is 0, which does not keep the kernel from starting the program \
                 for dumps in kernel.core_pattern outside of the jail",
                "raise it to 1 or more before: `sudo prlimit --pid $$ --core=unlimited`, `LimitCORE=infinity` for a service",
            );
        }
        if !self.cgroup_namespace {
            lack(Layer::CgroupNamespace, "this kernel has none", "use Linux 4.6 or later with CONFIG_CGROUPS");
        }
        if !self.time_namespace {
            lack(Layer::TimeNamespace, "this kernel has none", "use Linux 5.6 or later with CONFIG_TIME_NS");
        }
        if !self.notifier {
            lack(Layer::Notifier, "this kernel cannot notify a supervisor", "use Linux 5.5 or later");
        }
        match &self.groups {
            Err(none) => lack(Layer::Cgroup, &none.why, &none.fix),
            Ok(groups) => {
                for (layer, controller) in needed_controllers(policy, groups.hierarchy) {
                    if !groups.parents.contains_key(&controller) {
                        let why = format!("the controller for it ({controller:?}) is not available");
                        lack(layer, &why, groups.delegation());
                    }
                }
                if !self.swap {
                    lack(Layer::CgroupSwap, "swap is on and not accounted", "boot with swapaccount=1, or `swapoff -a`");
                }
            }
        }
        lacks
    }
}

fn needed_controllers(policy: &Policy, hierarchy: Hierarchy) -> Vec<(Layer, Controller)> {
    let mut needed = vec![
        (Layer::CgroupMemory, Controller::Memory),
        (Layer::CgroupPids, Controller::Pids),
        (Layer::CgroupCpu, Controller::CpuAccounting),
    ];
    if policy.limits.cpus.is_some() {
        needed.push((Layer::CgroupCpu, Controller::Cpu));
    }
    if policy.limits.io_rate.is_some() {
        needed.push((Layer::CgroupIo, Controller::Io));
    }
    debug_assert!(matches!(hierarchy, Hierarchy::V1 | Hierarchy::V2), "both hierarchies account processor time");
    needed
}

fn missing_for_job_uid() -> Option<String> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    match rustix::thread::capabilities(None) {
        Ok(sets) if sets.effective.contains(needed) => ids_not_mapped(),
        Ok(_) => Some("this process of root's has no CAP_SETUID or CAP_SETGID".to_owned()),
        Err(errno) => Some(format!("its capabilities cannot be read: {errno}")),
    }
}

/// In a user namespace, root's rights reach as far as its id maps do: user_namespaces(7).
fn ids_not_mapped() -> Option<String> {
    let (first, last) = (u64::from(Uids::FIRST), u64::from(Uids::FIRST) + u64::from(Uids::COUNT) - 1);
    let maps = |path: &str| read_proc(path).is_ok_and(|map| maps_range(&map, first, last));
    let mapped = maps("/proc/self/uid_map") && maps("/proc/self/gid_map");
    (!mapped).then(|| format!("the ids {first} to {last} are not mapped into this user namespace"))
}

/// Whether one line of an id map (first id inside, first outside, count) holds all ids from `first` to `last`.
fn maps_range(map: &str, first: u64, last: u64) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.nth(1)) {
            (Some(Ok(inside)), Some(Ok(count))) => inside <= first && last < inside.saturating_add(count),
            _ => false,
        }
    })
}

/// A file of procfs, which are made anew for each read(2) and tell no size: in as few reads as can be.
pub(crate) fn read_proc(path: &str) -> io::Result<String> {
    let mut text = String::with_capacity(8 << 10);
    File::open(path)?.take(PROC_BOUND).read_to_string(&mut text)?;
    Ok(text)
}

/// More than any file of procfs that is read here has.
const PROC_BOUND: u64 = 64 << 20;

fn landlock() -> Result<u32, String> {
    lazaret_sys::landlock::abi().map_err(|e| format!("landlock_create_ruleset is refused: {e}"))
}

/// Without a line after the heading there is no swap, and nothing to bound.
fn no_swap() -> bool {
    read_proc("/proc/swaps").is_ok_and(|text| text.lines().count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_mapped_when_one_line_of_the_map_holds_all_of_it() {
        let whole = maps_range("         0          0 4294967295\n", 2_000_000_000, 2_000_065_535);
        let container = maps_range("0 100000 65536\n65536 300000 10\n", 2_000_000_000, 2_000_065_535);

        assert!(whole);
        assert!(!container);
    }
}
