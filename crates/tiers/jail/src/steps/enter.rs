//! The last list: the job's own process, up to its exec.

use super::{List, Part, Slot, Slots, Steps, admit, call, landlock, text};
use crate::plan::{JOB_DIRECTORY, Plan};
use lazaret_launch::steps::job;

const LIST: List = List::Enter;

pub(crate) fn add(steps: &mut Steps, plan: &Plan, slots: &Slots, own_doors: &[Slot]) {
    steps.mark(LIST, Part::Process);
    for door in own_doors {
        admit::enter_group(steps, LIST, *door);
    }
    job::session(steps, LIST, &plan.rlimits);
    steps.add(LIST, Part::Process, call!(SYS_chdir), vec![text(JOB_DIRECTORY)]);
    job::fresh_signals_and_descriptors(steps, LIST);
    job::keep_library(steps, LIST, slots, &plan.program);
    landlock::put_on(steps, LIST, &plan.room.landlock);
    job::filter(steps, LIST, &plan.filter);
}
