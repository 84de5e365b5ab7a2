//! The second list: process 1 in its namespaces, what no policy changes.

use super::start::ShellSettings;
use super::{List, Part, Steps, Tolerate, Value, call, named};
use crate::plan::{INNER_ID, ShellKind};
use lazaret_launch::steps::job::{self, write_file};
use lazaret_policy::Mode;

const LIST: List = List::Isolate;

pub(crate) fn add(steps: &mut Steps, kind: ShellKind, settings: ShellSettings) {
    job::die_with_the_caller(steps, LIST);
    job::see_children_end(steps, LIST);
    steps.mark(LIST, Part::Isolation);
    isolate(steps);
    if kind.time {
        steps.mark(LIST, Part::Time);
        time(steps, settings.clocks);
    }
    if kind.mode == Mode::Rootless {
        super::network::add(steps, LIST, kind);
    }
    steps.mark(LIST, Part::IdMaps);
    match kind.mode {
        Mode::Root => {
            steps.add(LIST, Part::IdMaps, call!(op AWAIT_IDS), vec![]);
        }
        Mode::Rootless => own_maps(steps, settings.host_id),
    }
    let id = || Value::Number(INNER_ID.into());
    steps.add(LIST, Part::IdMaps, call!(SYS_setresgid), vec![id(), id(), id()]);
    steps.add(LIST, Part::IdMaps, call!(SYS_setresuid), vec![id(), id(), id()]);
    // A change of ids makes /proc/self root's own, and takes the signal of the caller's death away.
    steps.add(LIST, Part::IdMaps, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(1)]);
    job::die_with_the_caller(steps, LIST);
    job::leave_the_callers_keys(steps, LIST);
    steps.mark(LIST, Part::Waiting);
}

/// user_namespaces(7): one id each; groups cannot be dropped, and so not be changed, afterwards.
fn own_maps(steps: &mut Steps, (uid, gid): (u32, u32)) {
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/gid_map", super::build::id_map(gid)),
        ("/proc/self/uid_map", super::build::id_map(uid)),
    ];
    for (path, content) in maps {
        write_file(steps, LIST, Part::IdMaps, path, content, Tolerate::Nothing);
    }
}

fn isolate(steps: &mut Steps) {
    job::die_before_the_caller(steps, LIST);
    // No user namespace inside this one, whatever the filter says: namespaces(7), /proc/sys/user.
    let path = "/proc/sys/user/max_user_namespaces";
    write_file(steps, LIST, Part::Isolation, path, "0".to_owned(), Tolerate::Anything);
    steps.add(LIST, Part::Isolation, call!(SYS_umask), vec![Value::Number(0o022)]);
}

/// time_namespaces(7): takes effect for the job, this process's child.
fn time(steps: &mut Steps, (monotonic, boottime): (u64, u64)) {
    steps.add(LIST, Part::Time, call!(SYS_unshare), vec![Value::Named(0x80, "CLONE_NEWTIME")]);
    let offsets = format!("monotonic -{monotonic} 0\nboottime -{boottime} 0\n");
    write_file(steps, LIST, Part::Time, "/proc/self/timens_offsets", offsets, Tolerate::Nothing);
}
