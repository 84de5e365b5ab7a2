//! The first list: outside of every namespace, still with the caller's rights.

use super::{List, Part, Steps, Value, call, named};
use crate::plan::Plan;
use lazaret_policy::Mode;

/// What is known only when a job is launched.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The job's user and group id on the host.
    pub(crate) host_id: (u32, u32),
    /// Whole seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME, that the job's clocks start near zero.
    pub(crate) clocks: (u64, u64),
    /// Whether the network namespace was made ahead.
    pub(crate) network: bool,
    /// How many cgroups are joined.
    pub(crate) doors: usize,
    /// The inputs' names and modes, in order.
    pub(crate) inputs: Vec<(Vec<u8>, u32)>,
}

/// The slots that the caller fills before a launch, and those that come back after it.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    pub(crate) stdin: super::Slot,
    pub(crate) stdout: super::Slot,
    pub(crate) stderr: super::Slot,
    pub(crate) channel: super::Slot,
    /// The network namespace that was made ahead, if one was.
    pub(crate) network: Option<super::Slot>,
    pub(crate) doors: Vec<super::Slot>,
    pub(crate) inputs: Vec<super::Slot>,
    /// The job's directory, for collecting.
    pub(crate) job_directory: super::Slot,
    /// The scratch file system's own directory, above /job and /tmp.
    pub(crate) scratch: super::Slot,
    /// The mount namespace, for taking it down later.
    pub(crate) mount_namespace: super::Slot,
    /// The filter's listener.
    pub(crate) listener: super::Slot,
    /// Landlock's ruleset.
    pub(crate) ruleset: super::Slot,
}

impl Slots {
    pub(crate) fn new(steps: &mut Steps, settings: &Settings) -> Self {
        Self {
            stdin: steps.slot("stdin"),
            stdout: steps.slot("stdout"),
            stderr: steps.slot("stderr"),
            channel: steps.slot("channel"),
            network: settings.network.then(|| steps.slot("network namespace")),
            doors: (0..settings.doors).map(|i| steps.slot(format!("cgroup {i}"))).collect(),
            inputs: settings
                .inputs
                .iter()
                .map(|(name, _)| steps.slot(format!("input {}", String::from_utf8_lossy(name))))
                .collect(),
            job_directory: steps.slot("job directory"),
            scratch: steps.slot("scratch"),
            mount_namespace: steps.slot("mount namespace"),
            listener: steps.slot("listener"),
            ruleset: steps.slot("ruleset"),
        }
    }
}

/// Namespaces that process 1 of every jail is born into. The network's is among them unless it was made ahead.
const ALWAYS: u64 =
    (libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;

pub(crate) fn add(steps: &mut Steps, slots: &Slots, plan: &Plan, settings: &Settings) {
    let list = List::Start;
    steps.mark(list, Part::Cgroup);
    for door in &slots.doors {
        // "0" is the writer itself: cgroups(7).
        let args = vec![Value::Descriptor(*door), super::text("0"), Value::Number(1)];
        steps.add(list, Part::Cgroup, call!(SYS_write), args);
    }
    steps.mark(list, Part::Identity);
    for (slot, number) in [(slots.stdin, 0), (slots.stdout, 1), (slots.stderr, 2)] {
        let args = vec![Value::Descriptor(slot), Value::Number(number), Value::Number(0)];
        steps.add(list, Part::Process, call!(SYS_dup3), args);
    }
    if let Some(network) = slots.network {
        // Made by root, so that it belongs to no user namespace that the job could have rights in.
        let args = vec![Value::Descriptor(network), named!(CLONE_NEWNET)];
        steps.add(list, Part::Network, call!(SYS_setns), args);
        if plan.loopback {
            super::build::loopback(steps, list);
        }
    }
    if plan.mode == Mode::Root {
        let (uid, gid) = (Value::Number(settings.host_id.0.into()), Value::Number(settings.host_id.1.into()));
        steps.add(list, Part::Identity, call!(SYS_setgroups), vec![Value::Number(0), Value::Number(0)]);
        steps.add(list, Part::Identity, call!(SYS_setresgid), vec![gid.clone(), gid.clone(), gid]);
        steps.add(list, Part::Identity, call!(SYS_setresuid), vec![uid.clone(), uid.clone(), uid]);
        // A change of ids makes /proc/self root's own, and the id maps could not be opened.
        steps.add(list, Part::Identity, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(1)]);
    }
    steps.mark(list, Part::Namespaces);
    let network = if slots.network.is_none() { libc::CLONE_NEWNET as u64 } else { 0 };
    let cgroup = if plan.namespaces.cgroup { libc::CLONE_NEWCGROUP as u64 } else { 0 };
    let shown = match (network, cgroup) {
        (0, 0) => "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS",
        (0, _) => "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS|NEWCGROUP",
        (_, 0) => "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS|NEWNET",
        (_, _) => "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS|NEWNET|NEWCGROUP",
    };
    let flags = Value::Named(ALWAYS | network | cgroup, shown);
    steps.add(list, Part::Namespaces, call!(op CLONE_INIT), vec![flags]);
}
