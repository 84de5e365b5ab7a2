//! The shell of a jail: process 1 in its namespaces, which waits to be told of a policy and of a job.

use super::Tools;
use crate::error::RunError;
use crate::plan::{Room, ShellKind};
use crate::steps::{self, ShellSettings};
use lazaret_launch::shell::Shell;
use lazaret_policy::Mode;
use std::os::fd::AsFd;

/// Starts one. It is ready some time later; what is sent meanwhile waits in the channel.
///
/// # Errors
///
/// When a descriptor, an id or a process cannot be had. Nothing is left then.
pub(crate) fn start(tools: &Tools, kind: ShellKind) -> Result<Shell, RunError> {
    let uid = match kind.mode {
        Mode::Root => Some(tools.uids.take()?),
        Mode::Rootless => None,
    };
    let settings =
        ShellSettings { host_id: uid.as_ref().map_or(kind.caller_ids, |uid| (uid.get(), uid.get())), clocks: clocks() };
    let clock_offset_ns = if kind.time { settings.clocks.0 * 1_000_000_000 } else { 0 };
    Shell::start(tools.image.as_fd(), uid, steps::shell(kind, settings), clock_offset_ns)
}

/// Has it prepare the room for jobs of one policy.
///
/// # Errors
///
/// When memory or descriptors run out, or the room does not fit a block.
pub(crate) fn furnish(shell: &mut Shell, room: &Room) -> Result<(), RunError> {
    shell.send(steps::room(room), &[])
}

/// Whole seconds, rounded down so that no clock of the job's becomes negative.
fn clocks() -> (u64, u64) {
    let seconds = |clock| u64::try_from(rustix::time::clock_gettime(clock).tv_sec).unwrap_or(0);
    (seconds(rustix::time::ClockId::Monotonic), seconds(rustix::time::ClockId::Boottime))
}
