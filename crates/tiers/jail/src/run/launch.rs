//! Puts a job into a jail: group, streams, inputs, and the steps up to its exec.

use super::inputs::OpenInput;
use super::shell::Shell;
use super::streams::{self, Streams};
use super::{Launcher, Sink};
use crate::cgroup::JobGroup;
use crate::error::RunError;
use crate::plan::{Group, Place, Plan};
use crate::steps::{self, Settings, Slot};
use lazaret_policy::{Job, Stdin};
use rustix::process::{Gid, Uid};
use rustix::time::ClockId;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// A jail with a job, from its launch to its end.
#[derive(Debug)]
pub(crate) struct Jail {
    pub(crate) shell: Shell,
    pub(crate) streams: Streams,
    pub(crate) group: Option<JobGroup>,
    pub(crate) launched: Instant,
    /// The same moment, ns of CLOCK_MONOTONIC.
    pub(crate) launched_ns: u64,
    /// When process 1 told that the job's command had begun.
    pub(crate) begun: Option<Instant>,
    /// What process 1 handed over, in the order of `steps::Carried::handed_over`.
    pub(crate) handed: [Option<OwnedFd>; 4],
}

impl Jail {
    /// Kills the jail, and lets nothing keep it from dying: with a bound on bandwidth a dead process waits for its turn
    /// like a living one.
    pub(crate) fn kill(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        self.shell.kill();
    }
}

/// Begins with what needs no job, unless a jail was prepared that fits.
pub(crate) fn begin(launcher: &Launcher, place: &Place) -> Result<Shell, RunError> {
    let (mut shell, furnished) = match launcher.housekeeper.take(place.shell, &place.room) {
        Some(prepared) => prepared,
        None => (Shell::start(&launcher.tools, place.shell)?, false),
    };
    if !furnished {
        shell.furnish(&place.room)?;
    }
    Ok(shell)
}

/// Has a jail take the job in. On an error nothing is left.
pub(crate) fn launch(
    plan: &Plan,
    mut shell: Shell,
    number: u64,
    inputs: &[OpenInput],
    job: &Job,
    sink: &Sink<'_>,
) -> Result<Jail, RunError> {
    let launched = Instant::now();
    let launched_ns = monotonic_ns();
    let group = match &plan.group {
        Group::Limited { groups, limits } => {
            let name = format!("lazaret-{}-{number}", std::process::id());
            Some(JobGroup::create(groups, &name, limits)?)
        }
        Group::Degraded => None,
    };
    let (doors, own_doors) = group.as_ref().map_or_else(|| Ok((Vec::new(), Vec::new())), JobGroup::doors)?;
    let (streams, theirs) = streams::open(&job.stdin, sink)?;
    if let Some(uid) = &shell.uid {
        // So that the job can open /dev/stdin, /dev/stdout and /dev/stderr: to that, the inode's owner counts.
        let (owner, group) = (Uid::from_raw(uid.get()), Gid::from_raw(uid.get()));
        let stdin = (!matches!(job.stdin, Stdin::Bytes(_))).then_some(&theirs.stdin);
        for stream in [&theirs.stdout, &theirs.stderr].into_iter().chain(stdin) {
            rustix::fs::fchown(stream, Some(owner), Some(group))
                .map_err(|errno| RunError::Resource { what: "give the job its streams", source: errno.into() })?;
        }
    }
    let settings = Settings {
        doors: doors.len(),
        own_doors: own_doors.len(),
        inputs: inputs.iter().map(|input| (input.name.as_bytes().to_vec(), input.mode)).collect(),
    };
    let (steps, slots) = steps::job(plan, &settings);
    let streams_filled = [
        (slots.stdin, theirs.stdin.as_fd()),
        (slots.stdout, theirs.stdout.as_fd()),
        (slots.stderr, theirs.stderr.as_fd()),
    ];
    let doors_filled = slots.doors.iter().copied().zip(doors.iter().chain(&own_doors).map(AsFd::as_fd));
    let inputs_filled = slots.inputs.iter().copied().zip(inputs.iter().map(|input| input.file.as_fd()));
    let filled: Vec<(Slot, BorrowedFd<'_>)> =
        streams_filled.into_iter().chain(doors_filled).chain(inputs_filled).collect();
    shell.send(steps, &filled)?;
    Ok(Jail { shell, streams, group, launched, launched_ns, begun: None, handed: [const { None }; 4] })
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanoseconds.unwrap_or(0)
}
