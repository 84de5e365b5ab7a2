//! The fourth list: process 1 takes one job in: its group, streams and inputs, and forks it.

use super::{List, Part, Slot, Steps, Structure, Value, call, isolate, named, text};
use crate::plan::Plan;
use std::ffi::c_ulong;

const LIST: List = List::Admit;

/// What is known only when a job is admitted.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How many cgroups process 1 joins, and with it the job.
    pub(crate) doors: usize,
    /// How many the job's process joins by itself.
    pub(crate) own_doors: usize,
    /// The inputs' names and modes, in order.
    pub(crate) inputs: Vec<(Vec<u8>, u32)>,
}

/// The slots that the caller fills for a job.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    pub(crate) stdin: Slot,
    pub(crate) stdout: Slot,
    pub(crate) stderr: Slot,
    /// Process 1's doors, then the job's own.
    pub(crate) doors: Vec<Slot>,
    pub(crate) inputs: Vec<Slot>,
}

impl Slots {
    pub(crate) fn new(steps: &mut Steps, settings: &Settings) -> Self {
        let input = |(name, _): &(Vec<u8>, u32)| format!("input {}", String::from_utf8_lossy(name));
        Self {
            stdin: steps.slot("stdin"),
            stdout: steps.slot("stdout"),
            stderr: steps.slot("stderr"),
            doors: (0..settings.doors + settings.own_doors).map(|i| steps.slot(format!("cgroup {i}"))).collect(),
            inputs: settings.inputs.iter().map(|named| steps.slot(input(named))).collect(),
        }
    }
}

pub(crate) fn add(steps: &mut Steps, slots: &Slots, plan: &Plan, settings: &Settings) {
    steps.mark(LIST, Part::Cgroup);
    for door in &slots.doors[..settings.doors] {
        enter_group(steps, LIST, *door);
    }
    if plan.namespaces.cgroup {
        // Its root is the group that was just joined: cgroup_namespaces(7).
        steps.add(LIST, Part::Cgroup, call!(SYS_unshare), vec![named!(CLONE_NEWCGROUP)]);
    }
    steps.mark(LIST, Part::Capabilities);
    no_capabilities(steps);
    // Again: a change of credentials can take it away.
    isolate::die_with_the_caller(steps, LIST);
    steps.mark(LIST, Part::Inputs);
    for (slot, number) in [(slots.stdin, 0), (slots.stdout, 1), (slots.stderr, 2)] {
        let args = vec![Value::Descriptor(slot), Value::Number(number), Value::Number(0)];
        steps.add(LIST, Part::Process, call!(SYS_dup3), args);
    }
    inputs(steps, slots, settings);
    steps.mark(LIST, Part::Fork);
    steps.add(LIST, Part::Fork, call!(op FORK_JOB), vec![]);
    hand_over(steps);
}

/// "0" is the writer itself: cgroups(7).
pub(crate) fn enter_group(steps: &mut Steps, list: List, door: Slot) {
    let args = vec![Value::Descriptor(door), text("0"), Value::Number(1)];
    steps.add(list, Part::Cgroup, call!(SYS_write), args);
}

/// capabilities(7): none in any set.
fn no_capabilities(steps: &mut Steps) {
    let part = Part::Capabilities;
    let clear = vec![named!(PR_CAP_AMBIENT), named!(PR_CAP_AMBIENT_CLEAR_ALL)];
    steps.add(LIST, part, call!(SYS_prctl), clear);
    // struct __user_cap_header_struct: version 3, this process. Two struct __user_cap_data_struct of zeroes.
    let header = Structure::words("{version 3}", &[0x2008_0522]);
    let none = Structure::words("{no capability}", &[0, 0, 0]);
    steps.add(LIST, part, call!(SYS_capset), vec![Value::Structure(header.into()), Value::Structure(none.into())]);
}

/// Copies each input, so that the job has its own and the host's cannot change under it.
fn inputs(steps: &mut Steps, slots: &Slots, settings: &Settings) {
    let part = Part::Inputs;
    let directory = steps.carried.job_directory;
    for (slot, (name, mode)) in slots.inputs.iter().zip(&settings.inputs) {
        let file = steps.scratch_slot();
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let flags = Value::Named(flags as u64, "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC");
        let mode = Value::Number((*mode).into());
        let args = vec![Value::Descriptor(directory), text(name.clone()), flags, mode];
        steps.add(LIST, part, call!(SYS_openat), args).save(file);
        let copy = vec![Value::Descriptor(file), Value::Descriptor(*slot)];
        steps.add(LIST, part, call!(op COPY), copy);
        steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(file)]);
    }
}

fn hand_over(steps: &mut Steps) {
    let carried = steps.carried;
    let list: Vec<u8> = carried.handed_over().iter().map(|slot| slot.0).collect();
    let count = list.len() as u64;
    let list = Structure {
        shown: "[job directory, scratch, mount namespace, listener]".into(),
        bytes: list,
        addresses: vec![],
    };
    let args = vec![Value::Descriptor(carried.channel), Value::Structure(list.into()), Value::Number(count)];
    steps.add(LIST, Part::Handover, call!(op SEND_SLOTS), args);
    let all = vec![Value::Number(0), Value::Number(c_ulong::from(u32::MAX)), Value::Number(0)];
    steps.add(LIST, Part::Handover, call!(SYS_close_range), all);
}
