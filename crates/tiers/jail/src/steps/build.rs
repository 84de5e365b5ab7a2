//! The third list: process 1 builds the policy's root, and ties its own hands.

use super::{List, Part, Steps, Tolerate, Value, call, landlock, mounts, named, text};
use crate::plan::{INNER_ID, Room};
use lazaret_launch::steps::job;

const LIST: List = List::Build;

pub(crate) fn add(steps: &mut Steps, room: &Room) {
    steps.mark(LIST, Part::Isolation);
    let name = room.host_name.as_bytes();
    let args = vec![text(name), Value::Number(name.len() as u64)];
    steps.add(LIST, Part::Isolation, call!(SYS_sethostname), args);
    steps.add(LIST, Part::Isolation, call!(SYS_setdomainname), vec![text(""), Value::Number(0)]);
    steps.mark(LIST, Part::Root);
    mounts::add(steps, &room.tree);
    steps.mark(LIST, Part::Capabilities);
    // Not earlier: it makes /proc/self root's own. Nobody else is in this pid namespace yet.
    steps.add(LIST, Part::Capabilities, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(0)]);
    // What this process has it gives up when it is admitted a job: see `admit`. Older kernels know fewer capabilities.
    job::drop_the_bounding_set(steps, LIST, Tolerate::Errno(libc::EINVAL));
    job::lock_the_securebits(steps, LIST, Tolerate::Nothing);
    job::no_new_privileges(steps, LIST);
    steps.mark(LIST, Part::Landlock);
    landlock::make(steps, LIST, &room.landlock);
    // Again: a change of credentials can take it away.
    job::die_with_the_caller(steps, LIST);
    steps.mark(LIST, Part::Waiting);
}

/// The one line of an id map that maps the job's id to `host`: user_namespaces(7).
pub(crate) fn id_map(host: u32) -> String {
    format!("{INNER_ID} {host} 1")
}
