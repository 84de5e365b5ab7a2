//! The fourth list: process 1 takes one job in: its group, streams and inputs, and forks it.

use super::{List, Part, Settings, Slot, Slots, Steps, Value, call, named, text};
use crate::plan::Plan;
use lazaret_launch::steps::job;

const LIST: List = List::Admit;

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
    job::no_capabilities(steps, LIST);
    // Again: a change of credentials can take it away.
    job::die_with_the_caller(steps, LIST);
    steps.mark(LIST, Part::Inputs);
    job::streams(steps, LIST, slots);
    job::inputs(steps, LIST, slots, settings);
    job::make_room_for_library(steps, LIST, slots, &plan.program);
    job::fork_and_hand_over(steps, LIST);
    job::close_everything(steps, LIST);
}

/// "0" is the writer itself: cgroups(7).
pub(crate) fn enter_group(steps: &mut Steps, list: List, door: Slot) {
    let args = vec![Value::Descriptor(door), text("0"), Value::Number(1)];
    steps.add(list, Part::Cgroup, call!(SYS_write), args);
}
