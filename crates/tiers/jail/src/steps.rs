//! A jail's launch as data: the system calls that build it, in order.
//!
//! [`Steps`] is what `lazaret plan --steps` prints and what is laid out for the launched processes, in one block or in
//! several: the shell of a jail, which is the same for every policy; the room that a policy wants; one job.

pub(crate) mod admit;
pub(crate) mod build;
pub(crate) mod enter;
pub(crate) mod isolate;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod start;
#[cfg(test)]
mod tests;

pub use lazaret_launch::steps::*;

pub(crate) use lazaret_launch::steps::job::{Settings, Slots};
pub(crate) use start::ShellSettings;

use crate::plan::{Group, Plan, Program, Room, ShellKind};
use crate::probe::{Controller, Hierarchy};
use crate::uid::Uids;
use lazaret_policy::{FileName, Mode};

/// The steps that make the shell of a jail: process 1 in its namespaces.
pub(crate) fn shell(kind: ShellKind, settings: ShellSettings) -> Steps {
    let mut steps = Steps::default();
    add_shell(&mut steps, kind, settings);
    steps
}

/// The steps that a shell becomes ready for jobs of one policy with.
pub(crate) fn room(room: &Room) -> Steps {
    let mut steps = Steps::default();
    build::add(&mut steps, room);
    steps
}

/// The steps that admit the job of `plan`, and the slots that the caller fills.
pub(crate) fn job(plan: &Plan, settings: &Settings) -> (Steps, Slots) {
    let mut steps = Steps::default();
    let slots = add_job(&mut steps, plan, settings);
    (steps, slots)
}

fn add_shell(steps: &mut Steps, kind: ShellKind, settings: ShellSettings) {
    start::add(steps, kind, settings);
    isolate::add(steps, kind, settings);
}

fn add_job(steps: &mut Steps, plan: &Plan, settings: &Settings) -> Slots {
    let slots = Slots::new(steps, settings);
    admit::add(steps, &slots, plan, settings);
    enter::add(steps, plan, &slots, &slots.doors[settings.doors..]);
    let Program { candidates, arguments, environment, library: _, begins: _ } = plan.program.clone();
    steps.program = ProgramVectors { candidates, arguments, environment };
    slots
}

/// The steps of `plan`, for looking at: with the first id of the default range, and clocks that stand at zero.
pub fn preview(plan: &Plan, inputs: &[FileName]) -> Steps {
    let host_id = match plan.shell.mode {
        Mode::Root => (Uids::FIRST, Uids::FIRST),
        Mode::Rootless => plan.shell.caller_ids,
    };
    let doors = match &plan.group {
        Group::Limited { groups, .. } => groups.directories().len(),
        Group::Degraded => 0,
    };
    let own_doors = match &plan.group {
        Group::Limited { groups, .. } if groups.hierarchy == Hierarchy::V1 => {
            usize::from(groups.parents.contains_key(&Controller::Cpu))
        }
        _ => 0,
    };
    let inputs = inputs.iter().map(|name| (name.as_bytes().to_vec(), 0o644)).collect();
    let mut steps = Steps::default();
    add_shell(&mut steps, plan.shell, ShellSettings { host_id, clocks: (0, 0) });
    build::add(&mut steps, &plan.room);
    let settings = Settings { doors: doors - own_doors, own_doors, inputs, library: plan.program.library.is_some() };
    add_job(&mut steps, plan, &settings);
    steps
}
