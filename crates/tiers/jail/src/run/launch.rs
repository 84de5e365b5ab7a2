//! Makes a jail: group, user id, pipes, launch block, first process.

use super::{Launcher, Sink};
use crate::cgroup::JobGroup;
use crate::error::{InputProblem, PlanError, RunError};
use crate::plan::{Group, Plan};
use crate::run::streams::{self, Streams};
use crate::steps::{self, List, Settings, Slots, Steps, block};
use crate::uid::JobUid;
use lazaret_init::format::{Header, Outcome, SLOTS};
use lazaret_policy::{FileName, InputFrom, Job, Mode};
use lazaret_sys::memory::Shared;
use lazaret_sys::wait::{self, Ended};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, MemfdFlags, Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Gid, Pid, Signal, Uid, kill_process, pidfd_send_signal};
use std::ffi::CString;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

/// A jail from its launch to its end.
#[derive(Debug)]
pub(crate) struct Jail {
    /// Sends descriptors once, and hangs up when the launch has failed.
    pub(crate) channel: OwnedFd,
    pub(crate) streams: Streams,
    pub(crate) group: Option<JobGroup>,
    pub(crate) launched: Instant,
    /// When process 1 told that the job's command had begun.
    pub(crate) begun: Option<Instant>,
    /// What process 1 handed over, in the order of `steps::build::handed_over`.
    pub(crate) handed: [Option<OwnedFd>; 4],
    /// The network namespace, where it was made ahead.
    pub(crate) network: Option<OwnedFd>,
    steps: Steps,
    memory: Shared,
    launcher: (i32, OwnedFd),
    /// Process 1, once it told that it is there.
    pub(crate) init: Option<OwnedFd>,
    clock_offset_ns: u64,
    reaped: Option<Option<Ended>>,
    _uid: Option<JobUid>,
}

/// An opened input.
#[derive(Debug)]
pub(crate) struct OpenInput {
    name: FileName,
    file: OwnedFd,
    /// 0755 if anybody may execute it on the host, otherwise 0644.
    mode: u32,
}

/// Opens every input and checks that they are regular files which fit together.
pub(crate) fn open_inputs(job: &Job, plan: &Plan) -> Result<Vec<OpenInput>, super::Error> {
    let mut total = 0_u64;
    let mut opened = Vec::with_capacity(job.inputs.len());
    for input in &job.inputs {
        let (file, size, executable) = match &input.from {
            InputFrom::Bytes(bytes) => (memory_file(bytes)?, bytes.len() as u64, false),
            InputFrom::File(path) => {
                let failed = |problem| PlanError::Input { path: path.clone(), problem };
                let open_failed = |errno: rustix::io::Errno| failed(InputProblem::Open(errno.into()));
                // Without waiting: opening a FIFO that nobody writes to would otherwise never return.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = rustix::fs::open(path, flags, FileMode::empty()).map_err(open_failed)?;
                let stat = rustix::fs::fstat(&file).map_err(open_failed)?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind != FileType::RegularFile {
                    return Err(failed(InputProblem::Kind(kind_name(kind))).into());
                }
                (file, u64::try_from(stat.st_size).unwrap_or(0), stat.st_mode & 0o111 != 0)
            }
        };
        total = total.saturating_add(size);
        let disk = &plan.limits.disk;
        if total > disk.bytes() {
            let path = match &input.from {
                InputFrom::File(path) => path.clone(),
                InputFrom::Bytes(_) => input.name.to_string().into(),
            };
            let problem = InputProblem::Size { size: total, disk: disk.to_string(), asked_by: disk.source.clone() };
            return Err(PlanError::Input { path, problem }.into());
        }
        let mode = if executable { 0o755 } else { 0o644 };
        opened.push(OpenInput { name: input.name.clone(), file, mode });
    }
    Ok(opened)
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Socket => "socket",
        _ => "special file",
    }
}

/// A file in memory that holds `bytes`, at its start.
pub(crate) fn memory_file(bytes: &[u8]) -> Result<OwnedFd, RunError> {
    let failed = |errno: rustix::io::Errno| RunError::Resource { what: "hold data in memory", source: errno.into() };
    let file =
        rustix::fs::memfd_create("lazaret-data", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(failed)?;
    let mut written = 0;
    while written < bytes.len() {
        written += rustix::io::pwrite(&file, &bytes[written..], written as u64).map_err(failed)?;
    }
    Ok(file)
}

/// Launches. On an error nothing is left.
pub(crate) fn launch(
    plan: &Plan,
    launcher: &Launcher,
    number: u64,
    inputs: &[OpenInput],
    job: &Job,
    sink: &Sink<'_>,
) -> Result<Jail, RunError> {
    let resource = |what| move |errno: rustix::io::Errno| RunError::Resource { what, source: errno.into() };
    let group = match &plan.group {
        Group::Limited { groups, limits } => {
            let name = format!("lazaret-{}-{number}", std::process::id());
            Some(JobGroup::create(groups, &name, limits)?)
        }
        Group::Degraded => None,
    };
    let doors = group.as_ref().map_or_else(|| Ok(Vec::new()), JobGroup::doors)?;
    let uid = match plan.mode {
        Mode::Root => Some(launcher.uids.take()?),
        Mode::Rootless => None,
    };
    let (streams, theirs) = streams::open(&job.stdin, sink)?;
    if let Some(uid) = &uid {
        // So that the job can open /dev/stdin, /dev/stdout and /dev/stderr: to that, the inode's owner counts.
        let (owner, group) = (Uid::from_raw(uid.get()), Gid::from_raw(uid.get()));
        for stream in [&theirs.stdin, &theirs.stdout, &theirs.stderr] {
            rustix::fs::fchown(stream, Some(owner), Some(group)).map_err(resource("give the job its streams"))?;
        }
    }
    let flags = SocketFlags::CLOEXEC;
    let (channel, their_channel) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(resource("make a socket pair"))?;

    let network = match plan.mode {
        Mode::Root => launcher.housekeeper.network(),
        Mode::Rootless => None,
    };
    let settings = Settings {
        network: network.is_some(),
        host_id: uid.as_ref().map_or(plan.caller_ids, |uid| (uid.get(), uid.get())),
        clocks: clocks(),
        doors: doors.len(),
        inputs: inputs.iter().map(|input| (input.name.as_bytes().to_vec(), input.mode)).collect(),
    };
    let (steps, slots) = steps::of(plan, &settings);
    let mut bytes = block::lay_out(&steps).map_err(|e| RunError::Layout { problem: e.to_string() })?;
    let mut keep = Keep { bytes: &mut bytes, descriptors: Vec::with_capacity(SLOTS) };
    let Slots { stdin, stdout, stderr, channel: channel_slot, doors: door_slots, inputs: input_slots, .. } = &slots;
    if let (Some(slot), Some(network)) = (slots.network, &network) {
        keep.fill(slot, network);
    }
    keep.fill(*stdin, &theirs.stdin);
    keep.fill(*stdout, &theirs.stdout);
    keep.fill(*stderr, &theirs.stderr);
    keep.fill(*channel_slot, &their_channel);
    door_slots.iter().zip(&doors).for_each(|(slot, door)| keep.fill(*slot, door));
    input_slots.iter().zip(inputs).for_each(|(slot, input)| keep.fill(*slot, &input.file));
    let mut descriptors = keep.descriptors;

    let memory = Shared::new("lazaret-launch", &bytes)
        .map_err(|source| RunError::Resource { what: "share memory with the jail's first process", source })?;
    let block_descriptor = memory.as_fd().as_raw_fd();
    descriptors.push(block_descriptor);
    let argument = CString::new(block_descriptor.to_string()).unwrap_or_default();
    let launched = Instant::now();
    let (pid, descriptor) = lazaret_sys::spawn::spawn(launcher.image.as_fd(), c"lazaret-init", &argument, &descriptors)
        .map_err(|source| RunError::Launch { what: "executing it", source })?;
    Ok(Jail {
        channel,
        streams,
        group,
        launched,
        begun: None,
        handed: [const { None }; 4],
        network,
        steps,
        memory,
        launcher: (pid, descriptor),
        init: None,
        clock_offset_ns: if plan.namespaces.time { settings.clocks.0 * 1_000_000_000 } else { 0 },
        reaped: None,
        _uid: uid,
    })
}

/// Descriptors that the launched process inherits, noted in their slots.
struct Keep<'a> {
    bytes: &'a mut [u8],
    descriptors: Vec<RawFd>,
}

impl Keep<'_> {
    fn fill(&mut self, slot: steps::Slot, descriptor: &OwnedFd) {
        let raw = descriptor.as_raw_fd();
        let at = offset_of!(Header, slots) + usize::from(slot.0) * 4;
        self.bytes[at..at + 4].copy_from_slice(&raw.to_ne_bytes());
        self.descriptors.push(raw);
    }
}

/// Whole seconds, rounded down so that no clock of the job's becomes negative.
fn clocks() -> (u64, u64) {
    let seconds = |clock| u64::try_from(rustix::time::clock_gettime(clock).tv_sec).unwrap_or(0);
    (seconds(rustix::time::ClockId::Monotonic), seconds(rustix::time::ClockId::Boottime))
}

impl Jail {
    /// A field of the outcome that is being written by the launched processes.
    pub(crate) fn outcome<T: lazaret_sys::memory::Plain>(&self, field: usize) -> T {
        self.memory.read(offset_of!(Header, outcome) + field)
    }

    /// Process 1, if it was made.
    pub(crate) fn init_pid(&self) -> Option<Pid> {
        Pid::from_raw(self.outcome::<i32>(offset_of!(Outcome, init_pid)))
    }

    /// The step that failed, if one did.
    pub(crate) fn failure(&self) -> Option<RunError> {
        if self.outcome::<u32>(offset_of!(Outcome, failed)) == 0 {
            return None;
        }
        let source = io::Error::from_raw_os_error(self.outcome(offset_of!(Outcome, errno)));
        let list = block::list_of(self.outcome(offset_of!(Outcome, failed_list)));
        let index: u32 = self.outcome(offset_of!(Outcome, failed_step));
        let step = list.and_then(|list| self.steps.list(list).get(index as usize));
        Some(match step {
            Some(step) => RunError::Step { part: step.part(), step: self.steps.show(step), source },
            None => RunError::Launch { what: "a step that is not in the plan", source },
        })
    }

    /// Names and times of the marks that were passed, in order: ns of CLOCK_MONOTONIC.
    pub(crate) fn marks(&self) -> Vec<(&'static str, u64)> {
        let times: [u64; lazaret_init::format::MARKS] = self.outcome(offset_of!(Outcome, marks));
        let named = self.steps.marks().iter().zip(times).filter(|(_, time)| *time != 0);
        let outside = |list: List, time: u64| match list {
            // The job's own clock, which began at zero with its time namespace.
            List::Enter => time + self.clock_offset_ns,
            List::Start | List::Build => time,
        };
        named.map(|((list, part), time)| (part.name(), outside(*list, time))).collect()
    }

    /// Kills the job: the pid namespace dies with its process 1.
    pub(crate) fn kill(&self) {
        if self.reaped.is_some() {
            return;
        }
        for process in [Some(&self.launcher.1), self.init.as_ref()].into_iter().flatten() {
            // Whoever is dead already needs no killing.
            let killed = pidfd_send_signal(process, Signal::KILL);
            debug_assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "a child can be killed");
        }
        // It may be making process 1 at this moment; once it is dead, the number is there or never will be.
        let mut launcher = [PollFd::new(&self.launcher.1, PollFlags::IN)];
        while poll(&mut launcher, None) == Err(Errno::INTR) {}
        // Before its message process 1 is known by its number alone, which is its own until it is reaped, below.
        if let (None, Some(init)) = (&self.init, self.init_pid()) {
            let killed = kill_process(init, Signal::KILL);
            debug_assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "a child can be killed");
        }
    }

    /// Waits until the launcher and process 1 are dead and reaped: then every process of the jail is. Returns how
    /// process 1 ended, if there was one.
    pub(crate) fn reap(&mut self) -> Result<Option<Ended>, RunError> {
        if let Some(ended) = self.reaped {
            return Ok(ended);
        }
        let failed = |source| RunError::Launch { what: "waiting for it", source };
        wait::reap(self.launcher.0).map_err(failed)?;
        // Only now: the launcher was the one to make process 1.
        let ended = match self.init_pid() {
            Some(init) => wait::reap(init.as_raw_nonzero().get()).map_err(failed)?,
            None => None,
        };
        self.reaped = Some(ended);
        Ok(ended)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.kill();
        // Reported on every way that returns normally; here an error is on its way out already.
        drop(self.reap());
    }
}
