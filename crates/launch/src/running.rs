//! A job from its launch to its end, and what its tier has around it.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::inputs::OpenInput;
use crate::judge::Seen;
use crate::observe::Peaks;
use crate::shell::Shell;
use crate::steps::job::{Settings, Slots};
use crate::steps::{Slot, Steps};
use crate::streams::{self, Sink, Streams};
use lazaret_policy::{Job, LimitKey, Limits, Stdin};
use lazaret_sys::wait::Ended;
use rustix::process::{Gid, Uid};
use rustix::time::ClockId;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::filter::FilterPlan;
use crate::program::Program;

/// What every tier's plan says of a job.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Every limit.
    pub limits: &'a Limits,
    /// The system-call filter.
    pub filter: &'a FilterPlan,
    /// What is executed.
    pub program: &'a Program,
    /// Who may end the job from outside.
    pub cancels: &'a [Cancel],
}

/// A job that was launched.
#[derive(Debug)]
pub struct Running {
    /// Process 1.
    pub shell: Shell,
    /// Our ends of the job's streams.
    pub streams: Streams,
    /// When it was told of the job.
    pub launched: Instant,
    /// The same moment, ns of CLOCK_MONOTONIC.
    pub launched_ns: u64,
    /// When process 1 told that the job's command had begun.
    pub begun: Option<Instant>,
    /// What process 1 handed over, in the order of [`Carried::handed_over`](crate::steps::Carried::handed_over).
    pub handed: [Option<OwnedFd>; 7],
}

/// What a tier has around a running job, as the loop sees it that watches.
pub trait Boundary {
    /// The job's command has begun.
    fn begin(&mut self, running: &Running);

    /// Kills every process of the job.
    fn kill(&mut self, running: &Running);

    /// Kills, and waits until every process of the job is dead. Returns how process 1 ended, if there was one.
    ///
    /// # Errors
    ///
    /// When the end of one cannot be had or waited for.
    fn bury(&mut self, running: &mut Running) -> Result<Option<Ended>, RunError>;

    /// Processor time of all processes so far, where that is counted.
    fn cpu_used(&self, running: &Running) -> Option<Duration>;

    /// When the next look is due.
    fn due(&self) -> Instant;

    /// What becomes readable when a look is asked for before it is due.
    fn interest(&self) -> Option<BorrowedFd<'_>>;

    /// Whether a look at every occasion is worth its time.
    fn is_near(&self) -> bool;

    /// Looks at what the kernel does not bound by itself. Returns the limit that the job is to be ended for.
    /// `asked` says that [`Boundary::interest`] asked for this look.
    fn look(&mut self, running: &Running, asked: bool) -> Option<LimitKey>;

    /// The limit that a job turns out to have passed when it is over and nothing of it lives, if the kernel did not bound
    /// it.
    fn last_look(&mut self, running: &Running) -> Option<LimitKey>;

    /// What was seen and counted, after the end. `failed` says that the job did not succeed.
    fn seen(&mut self, running: &Running, failed: bool) -> Seen;

    /// The most that the job held, after the end, for who observes it. A tier that does not look says nothing.
    fn peaks(&mut self, _running: &Running) -> Peaks {
        Peaks::default()
    }
}

/// A moment, on two scales.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: Instant,
    /// ns of CLOCK_MONOTONIC.
    ns: u64,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { at: Instant::now(), ns: monotonic_ns() }
    }
}

/// What a job is handed beside its streams and inputs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The groups that process 1 joins.
    pub doors: &'a [OwnedFd],
    /// Those that only the job's process does.
    pub own_doors: &'a [OwnedFd],
    /// The library that tells of its program's start.
    pub library: Option<&'a OwnedFd>,
}

/// Has process 1 take the job in, whose launch began at `since`. `make` makes the steps.
///
/// # Errors
///
/// When descriptors or memory run out. Nothing is left then.
pub fn admit(
    since: Moment,
    mut shell: Shell,
    job: &Job,
    sink: &Sink<'_>,
    inputs: &[OpenInput],
    given: Given<'_>,
    make: impl FnOnce(&Settings) -> (Steps, Slots),
) -> Result<Running, RunError> {
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
        doors: given.doors.len(),
        own_doors: given.own_doors.len(),
        inputs: inputs.iter().map(|input| (input.name.as_bytes().to_vec(), input.mode)).collect(),
        library: given.library.is_some(),
    };
    let (steps, slots) = make(&settings);
    let streams_filled = [
        (slots.stdin, theirs.stdin.as_fd()),
        (slots.stdout, theirs.stdout.as_fd()),
        (slots.stderr, theirs.stderr.as_fd()),
    ];
    let doors_filled = slots.doors.iter().copied().zip(given.doors.iter().chain(given.own_doors).map(AsFd::as_fd));
    let inputs_filled = slots.inputs.iter().copied().zip(inputs.iter().map(|input| input.file.as_fd()));
    let library_filled = slots.library.zip(given.library.map(AsFd::as_fd));
    let filled: Vec<(Slot, BorrowedFd<'_>)> =
        streams_filled.into_iter().chain(doors_filled).chain(inputs_filled).chain(library_filled).collect();
    shell.send(steps, &filled)?;
    Ok(Running { shell, streams, launched: since.at, launched_ns: since.ns, begun: None, handed: [const { None }; 7] })
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanoseconds.unwrap_or(0)
}
