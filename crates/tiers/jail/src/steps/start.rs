//! The first list: outside of every namespace, still with the caller's rights.

use super::{List, Part, Steps, Value, call, named};
use crate::plan::ShellKind;
use lazaret_launch::steps::job;
use lazaret_policy::Mode;

/// What is known only when a jail's first process is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShellSettings {
    /// The job's user and group id on the host.
    pub(crate) host_id: (u32, u32),
    /// Whole seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME, that the job's clocks start near zero.
    pub(crate) clocks: (u64, u64),
}

/// Namespaces that process 1 of every jail is born into.
const ALWAYS: u64 =
    (libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;

pub(crate) fn add(steps: &mut Steps, kind: ShellKind, settings: ShellSettings) {
    let list = List::Start;
    steps.mark(list, Part::Identity);
    job::leave_the_callers_streams(steps, list);
    if kind.mode == Mode::Root {
        job::raise_the_bound_of_core_dumps(steps, list);
        steps.add(list, Part::Identity, call!(SYS_setgroups), vec![Value::Number(0), Value::Number(0)]);
        steps.mark(list, Part::Network);
        // Made by root, so that it belongs to no user namespace that the job could have rights in.
        steps.add(list, Part::Network, call!(SYS_unshare), vec![named!(CLONE_NEWNET)]);
        super::network::add(steps, list, kind);
    }
    steps.mark(list, Part::Namespaces);
    let mut args = match kind.mode {
        Mode::Root => vec![Value::Named(ALWAYS, "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS")],
        Mode::Rootless => {
            let flags = ALWAYS | libc::CLONE_NEWNET as u64;
            vec![Value::Named(flags, "CLONE_NEWUSER|NEWPID|NEWNS|NEWIPC|NEWUTS|NEWNET")]
        }
    };
    if kind.mode == Mode::Root {
        // By root, who may map any id, and owns the namespace: user_namespaces(7).
        let map = super::build::id_map(settings.host_id.0);
        let length = map.len() as u64;
        args.extend([super::text(map), Value::Number(length)]);
    }
    steps.add(list, Part::Namespaces, call!(op CLONE_INIT), args);
}
