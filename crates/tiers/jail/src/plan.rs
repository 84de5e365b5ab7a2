//! Decides what will be done: policy, job and support become a plan. Pure: nothing is read, started or changed.

mod controls;
mod copies;
mod files;
mod landlock;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

pub use lazaret_launch::bounds::Rlimit;
pub use lazaret_launch::fetch::FetchPlan;
pub use lazaret_launch::files::FilesPlan;
pub(crate) use lazaret_launch::filter::FilterCache;
pub use lazaret_launch::filter::FilterPlan;
pub use lazaret_launch::landlock::{LandlockPlan, LandlockRule};
pub use lazaret_launch::network::NetworkPlan;
pub use lazaret_launch::program::Program;
pub(crate) use tree::EMPTY_DIRECTORY;
pub use tree::{Entry, Tree};

use crate::cgroup::{Controller, GroupLimits, Groups};
use crate::error::{Missing, PlanError};
use crate::probe::{Bounds, Identity, PathFacts, Support};
use lazaret_filter::Action;
pub use lazaret_launch::filter::OwnRules;
use lazaret_launch::require;
use lazaret_policy::{Control, Job, Layer, Limits, Mode, Policy, Tier};
use std::path::Path;
use std::sync::Arc;

/// The user and group id that a job sees itself as.
pub const INNER_ID: u32 = 1000;

/// The directory that a job works in.
pub const JOB_DIRECTORY: &str = "/job";

/// Exactly what will be done for one job.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the policy.
    pub policy: String,
    /// What process 1 is born with.
    pub shell: ShellKind,
    /// The optional namespaces that this host has.
    pub namespaces: Namespaces,
    /// What process 1 prepares for every job of the policy.
    pub room: Arc<Room>,
    /// Every limit.
    pub limits: Limits,
    /// Per-process limits of setrlimit(2): resource, its name, value.
    pub rlimits: Vec<Rlimit>,
    /// What the job's cgroup enforces, and where it is made.
    pub group: Group,
    /// The system-call filter.
    pub filter: Arc<FilterPlan>,
    /// What is fetched before the job starts.
    pub fetch: FetchPlan,
    /// What may be connected to, if anything.
    pub network: Option<NetworkPlan>,
    /// What the supervisor opens for the job, if it makes its calls on files.
    pub files: Option<FilesPlan>,
    /// What is executed, with which arguments and environment.
    pub program: Program,
    /// Every control: what was asked for, and what will hold.
    pub controls: Vec<Control>,
    /// What the user should know beside.
    pub notes: Vec<String>,
}

/// What the first process of a jail is started with: nothing of policies or jobs, but for what cannot be changed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellKind {
    /// Whose user id the job gets.
    pub mode: Mode,
    /// The caller's own ids, to which a rootless job's are mapped.
    pub caller_ids: (u32, u32),
    /// Whether the job's clocks start near zero.
    pub time: bool,
    /// Whether the loopback interface is up.
    pub loopback: bool,
    /// Whether there are sockets on which the job can ask for addresses of names. The interface is up then.
    pub names: bool,
    /// Whether there is a socket for connections whose requests are looked at.
    pub requests: bool,
}

impl ShellKind {
    /// What most policies want on this host.
    pub(crate) fn usual(who: &Identity) -> Self {
        Self {
            mode: who.mode,
            caller_ids: who.ids,
            time: who.time_namespace,
            loopback: false,
            names: false,
            requests: false,
        }
    }
}

/// What is the same for every job of a policy, and can be prepared before there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The file tree.
    pub tree: Tree,
    /// Landlock's rules.
    pub landlock: LandlockPlan,
    /// The host name that the job sees.
    pub host_name: String,
}

/// The namespaces that a jail can lack by a degradation; all others are always made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces {
    /// Hide the host's cgroup paths.
    pub cgroup: bool,
    /// Hide how long the host has been up.
    pub time: bool,
}

/// Whether a job gets a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// A group below each of these parents, with these limits.
    Limited {
        /// Where.
        groups: Groups,
        /// What it enforces.
        limits: GroupLimits,
    },
    /// None, by a degradation asked for: rlimits and supervision hold what they can.
    Degraded,
}

/// What can be decided, and prepared, before the job is looked at.
#[derive(Debug, Clone)]
pub struct Place {
    /// What process 1 is born with.
    pub shell: ShellKind,
    /// What process 1 prepares for every job of the policy.
    pub room: Arc<Room>,
    notes: Vec<String>,
}

impl Place {
    /// Decides.
    ///
    /// # Errors
    ///
    /// When a path of the policy is wrong, or the host lacks a layer that the policy requires.
    pub fn new(policy: &Policy, support: &Support, facts: &PathFacts) -> Result<Self, PlanError> {
        if policy.tier.value != Tier::Jail {
            let (what, asked_by) = (format!("the tier `{}`", policy.tier.value), policy.tier.source.clone());
            return Err(PlanError::Unmet { tier: "a launcher of jails", what, asked_by });
        }
        let missing = support.missing(policy);
        if !missing.is_empty() {
            return Err(PlanError::Unenforceable(missing));
        }
        let tree = Tree::new(policy, facts)?;
        if policy.limits.io_rate.is_some() && tree.devices.is_empty() {
            // Whatever is degraded: a rate that nothing is held to must not be promised.
            return Err(PlanError::Unenforceable(vec![Missing {
                layer: Layer::CgroupIo,
                why: "no directory that the jail shows lies on a disk whose rate can be bounded".to_owned(),
                fix: "take `io-rate` out of the policy".to_owned(),
            }]));
        }
        let landlock = landlock::decide(&tree, support.landlock.as_ref().copied().unwrap_or(0));
        let shell = ShellKind {
            mode: support.mode,
            caller_ids: support.ids,
            time: support.time_namespace,
            loopback: policy.network.has_loopback(),
            names: policy.network.has_rules(),
            requests: policy.network.has_request_rules(),
        };
        let room = Room { tree, landlock, host_name: policy.network.host_name.value.clone() };
        Ok(Self { shell, room: Arc::new(room), notes: copies::notes(policy, support, facts) })
    }
}

impl Plan {
    /// Decides. `filter` is the policy's own, compiled before because it is the same for every job.
    ///
    /// # Errors
    ///
    /// When the job is wrong.
    pub fn new(
        policy: &Policy,
        job: &Job,
        support: &Support,
        place: Place,
        filter: Arc<FilterPlan>,
    ) -> Result<Self, PlanError> {
        job.check().map_err(PlanError::Job)?;
        filter.check_exec()?;
        let Place { shell, room, notes } = place;
        let namespaces = Namespaces { cgroup: support.cgroup_namespace, time: support.time_namespace };
        let mut program = Program::started(policy, job, &filter)?;
        if policy.network.has_request_rules() {
            program.believe(Path::new(JOB_DIRECTORY))?;
        }
        let group = group(policy, support, &room.tree);
        let controls = controls::all(policy, support, &filter, &room.landlock, &room.tree);
        require::check(policy, &controls)?;
        let network = NetworkPlan::new(policy, &filter, &room.landlock)?;
        Ok(Self {
            files: FilesPlan::new(policy, &filter, files::tree(&room.tree))?,
            network,
            fetch: FetchPlan::new(policy)?,
            policy: policy.name.clone(),
            shell,
            namespaces,
            rlimits: rlimits(&policy.limits, &group, &support.bounds),
            limits: policy.limits.clone(),
            room,
            group,
            filter,
            program,
            controls,
            notes,
        })
    }
}

const EPERM: u16 = 1;
const EAFNOSUPPORT: u16 = 97;

/// Rules behind those of every policy, so that none prevails over them.
///
/// Core dumps: a `core_pattern` that begins with `|` starts a program outside of every namespace, with the dump of the
/// job on its input, whatever RLIMIT_CORE says, unless it says 1 (core(5); fs/coredump.c). So it is 1, and a job that
/// sets it otherwise is told that it succeeded: it has no core dumps either way. AF_VSOCK leads past the network
/// namespace to the hypervisor. Limits and priorities of process 1, which has the job's id, are not the job's to set: a
/// process 1 that gets no processor cannot end the jail. A user's priority is process 1's too.
pub const OWN_RULES: OwnRules = &[
    ("prlimit64(resource == 4, new != 0)", Action::Errno(0)),
    ("setrlimit(resource == 4)", Action::Errno(0)),
    ("prlimit64(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setparam(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setattr(pid == 1)", Action::Refuse(EPERM)),
    ("sched_setaffinity(pid == 1)", Action::Refuse(EPERM)),
    ("setpriority(which == 0, who == 1)", Action::Refuse(EPERM)),
    ("setpriority(which == 2)", Action::Refuse(EPERM)),
    ("ioprio_set(which == 1, who == 1)", Action::Refuse(EPERM)),
    ("ioprio_set(which == 3)", Action::Refuse(EPERM)),
    ("socket(domain == AF_VSOCK)", Action::Refuse(EAFNOSUPPORT)),
];

/// Our own task in a job's group: process 1.
pub(crate) const OWN_TASKS: u64 = 1;

fn group(policy: &Policy, support: &Support, tree: &Tree) -> Group {
    // A host without groups gets here only when the policy degrades the layer.
    let Ok(groups) = &support.groups else { return Group::Degraded };
    let limits = &policy.limits;
    let mut groups = groups.clone();
    // A hierarchy that neither limits nor measures for this policy would only cost time.
    if limits.cpus.is_none() {
        groups.parents.remove(&Controller::Cpu);
    }
    if limits.io_rate.is_none() {
        groups.parents.remove(&Controller::Io);
    }
    Group::Limited {
        groups,
        limits: GroupLimits {
            memory: limits.memory.bytes(),
            tasks: u64::from(limits.processes.get()) + OWN_TASKS,
            cpu_quota_us: limits.cpus.as_ref().map(|cpus| cpus.quota_us(crate::cgroup::CPU_PERIOD_US)),
            io_rate: limits.io_rate.as_ref().map(|rate| (rate.bytes(), tree.devices.clone())),
        },
    }
}

fn rlimits(limits: &Limits, group: &Group, bounds: &Bounds) -> Vec<Rlimit> {
    // With a group one more, so that it is the group that refuses, and counts what it refused.
    let more = u64::from(matches!(group, Group::Limited { .. }));
    let tasks = u64::from(limits.processes.get()) + OWN_TASKS + more;
    bounds.rlimits(limits, tasks, matches!(group, Group::Degraded) || !has_memory(group))
}

fn has_memory(group: &Group) -> bool {
    matches!(group, Group::Limited { groups, .. } if groups.parents.contains_key(&Controller::Memory))
}

impl Plan {
    /// The control of `layer`.
    pub fn control(&self, layer: Layer) -> Option<&Control> {
        self.controls.iter().find(|control| control.layer == layer)
    }
}
