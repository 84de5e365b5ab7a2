//! One trial: a few steps of a launch, walked by processes of their own, that end with them.
//!
//! Nothing is tried in this process, so that nothing can be left in it. A trial's process dies with its caller.

use crate::probe::Support;
use crate::steps::{self, Call, List, Part, Slot, Step, Steps, Structure, Value, block, call, named, text};
use crate::uid::{JobUid, Uids};
use lazaret_init::format::{Header, Outcome};
use lazaret_policy::Mode;
use lazaret_sys::memory::Shared;
use lazaret_sys::wait::{self, Ended};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::CString;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one trial may take. Each takes about a millisecond; a kernel that does not answer is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long all trials may take.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(4);

/// What trials need: the program that walks steps, and the ids that a job would have.
#[derive(Debug)]
pub(super) struct Ground {
    /// Or why memory cannot be executed here.
    image: io::Result<OwnedFd>,
    /// The host id that trials change to, where this user can change ids.
    pub(super) job: Option<u32>,
    caller: (u32, u32),
    until: Instant,
    _uid: Option<JobUid>,
}

/// Whose ids a trial has outside of its namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// The caller's.
    Caller,
    /// Those that a job would have.
    Job,
}

/// Why a trial did not come out as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A step was refused.
    Refused {
        /// The call.
        call: &'static str,
        /// The kernel's answer.
        errno: i32,
    },
    /// The process was killed by this signal.
    Killed(i32),
    /// It was not done in time.
    Late,
    /// The kernel took every step, but what should have been refused was not.
    NoEffect,
    /// No process could be started.
    NotStarted(i32),
}

impl Ground {
    /// Prepares. Changes nothing: a lock file that is not there is not made.
    pub(super) fn new(support: &Support) -> Self {
        let (mut job, mut uid) = (None, None);
        if support.mode == Mode::Root {
            // Without a lock file no job of this host has an id.
            uid = if Path::new(Uids::LOCK_FILE).exists() { Uids::default().take().ok() } else { None };
            job = Some(uid.as_ref().map_or(Uids::FIRST, JobUid::get));
        }
        let until = Instant::now() + PATIENCE_IN_ALL;
        Self { image: image(), job, caller: support.ids, until, _uid: uid }
    }

    fn deadline(&self) -> Instant {
        self.until.min(Instant::now() + PATIENCE)
    }
}

fn image() -> io::Result<OwnedFd> {
    let create = |flags| rustix::fs::memfd_create("lazaret-doctor", flags);
    let image = match create(MemfdFlags::CLOEXEC | MemfdFlags::EXEC) {
        // Before Linux 6.3 there is no MFD_EXEC, and none is needed.
        Err(Errno::INVAL) => create(MemfdFlags::CLOEXEC),
        other => other,
    }?;
    let mut rest = lazaret_init::IMAGE;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&image, rest)?..];
    }
    Ok(image)
}

/// Steps to be tried.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    steps: Steps,
    list: List,
    filled: Vec<(Slot, BorrowedFd<'a>)>,
}

impl<'a> Trial<'a> {
    /// In a process with the caller's own rights, outside of every namespace.
    pub(super) fn outside() -> Self {
        let mut trial = Self { steps: Steps::default(), list: List::Start, filled: Vec::new() };
        trial.die_with_the_caller();
        trial
    }

    /// As a process that has taken the job's ids, outside of every namespace.
    pub(super) fn as_job(ground: &Ground) -> Self {
        let mut trial = Self::outside();
        if let Some(id) = ground.job {
            let id = || Value::Number(id.into());
            trial.part(Part::Identity, call!(SYS_setgroups), vec![Value::Number(0), Value::Number(0)]);
            trial.part(Part::Identity, call!(SYS_setresgid), vec![id(), id(), id()]);
            trial.part(Part::Identity, call!(SYS_setresuid), vec![id(), id(), id()]);
            // A change of ids makes /proc/self root's own, and takes the signal of the caller's death away.
            trial.part(Part::Identity, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(1)]);
            trial.die_with_the_caller();
        }
        trial
    }

    /// As the first process of a new user namespace without ids.
    pub(super) fn unmapped() -> Self {
        let mut trial = Self::outside();
        let flags = Value::Number(libc::CLONE_NEWUSER.cast_unsigned().into());
        trial.first_process(vec![flags]);
        trial
    }

    /// As the first process of a new user namespace, with one id mapped, and of `namespaces`: a job's id as a job's
    /// launch maps it, or the caller's own as any process may.
    pub(super) fn inside(ground: &Ground, who: As, namespaces: i32) -> Self {
        let mut trial = Self::outside();
        let flags = Value::Number((libc::CLONE_NEWUSER | namespaces).cast_unsigned().into());
        match (who, ground.job) {
            (As::Job, Some(id)) => {
                trial.part(Part::Identity, call!(SYS_setgroups), vec![Value::Number(0), Value::Number(0)]);
                let map = steps::build::id_map(id);
                let length = Value::Number(map.len() as u64);
                trial.first_process(vec![flags, text(map), length]);
                trial.part(Part::IdMaps, call!(op AWAIT_IDS), vec![]);
            }
            _ => {
                let (uid, gid) = ground.caller;
                trial.first_process(vec![flags]);
                trial.write_file("/proc/self/setgroups", "deny");
                trial.write_file("/proc/self/gid_map", &steps::build::id_map(gid));
                trial.write_file("/proc/self/uid_map", &steps::build::id_map(uid));
            }
        }
        let id = || Value::Number(crate::plan::INNER_ID.into());
        trial.step(call!(SYS_setresgid), vec![id(), id(), id()]);
        trial.step(call!(SYS_setresuid), vec![id(), id(), id()]);
        // A change of ids makes /proc/self root's own, and takes the signal of the caller's death away.
        trial.step(call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(1)]);
        trial.die_with_the_caller();
        trial
    }

    fn first_process(&mut self, args: Vec<Value>) {
        self.part(Part::Namespaces, call!(op CLONE_INIT), args);
        self.list = List::Isolate;
        self.die_with_the_caller();
    }

    fn die_with_the_caller(&mut self) {
        self.part(Part::Isolation, call!(SYS_prctl), vec![named!(PR_SET_PDEATHSIG), named!(SIGKILL)]);
    }

    fn part(&mut self, part: Part, call: Call, args: Vec<Value>) -> &mut Step {
        self.steps.add(self.list, part, call, args)
    }

    /// Adds a step.
    pub(super) fn step(&mut self, call: Call, args: Vec<Value>) -> &mut Step {
        self.part(Part::Root, call, args)
    }

    /// A place for a descriptor.
    pub(super) fn slot(&mut self) -> Slot {
        self.steps.slot("fd")
    }

    /// A place that holds `descriptor` from the start.
    pub(super) fn fill(&mut self, descriptor: &'a OwnedFd) -> Slot {
        let slot = self.slot();
        self.filled.push((slot, descriptor.as_fd()));
        slot
    }

    /// Writes `content` into the file `path`.
    pub(super) fn write_file(&mut self, path: &str, content: &str) {
        let file = self.open(path, libc::O_WRONLY);
        let args = vec![Value::Descriptor(file), text(content), Value::Number(content.len() as u64)];
        self.step(call!(SYS_write), args);
    }

    /// Opens `path`.
    pub(super) fn open(&mut self, path: &str, flags: i32) -> Slot {
        let file = self.slot();
        let flags = Value::Number((flags | libc::O_CLOEXEC).cast_unsigned().into());
        self.step(call!(SYS_openat), vec![named!(AT_FDCWD), text(path), flags]).save(file);
        file
    }

    /// Brings the loopback interface up.
    pub(super) fn loopback(&mut self) {
        steps::network::loopback(&mut self.steps, self.list);
    }

    /// Starts it.
    pub(super) fn start(mut self, ground: &Ground) -> Result<Running, Trouble> {
        let last = self.steps.list(self.list).len() - 1;
        self.part(Part::Fork, call!(SYS_exit_group), vec![Value::Number(0)]);
        let mut bytes = block::lay_out(&self.steps).map_err(|_too_large| Trouble::NotStarted(libc::E2BIG))?;
        let mut keep = Vec::new();
        for (slot, descriptor) in &self.filled {
            let at = slot_at(*slot);
            bytes[at..at + 4].copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
            keep.push(descriptor.as_raw_fd());
        }
        let not_started = |e: &io::Error| Trouble::NotStarted(e.raw_os_error().unwrap_or(libc::EIO));
        let image = ground.image.as_ref().map_err(not_started)?;
        let memory = Shared::new("lazaret-trial", &bytes).map_err(|e| not_started(&e))?;
        let block = memory.as_fd().as_raw_fd();
        keep.push(block);
        let argument = CString::new(block.to_string()).unwrap_or_default();
        let launcher = lazaret_sys::spawn::spawn(image.as_fd(), c"lazaret-trial", &argument, &keep)
            .map_err(|e| not_started(&e))?;
        let until = ground.deadline();
        Ok(Running { steps: self.steps, last: (self.list, last), memory, launcher, until })
    }

    /// Whether every step succeeds.
    pub(super) fn passes(self, ground: &Ground) -> Result<Done, Trouble> {
        self.start(ground)?.finish()
    }

    /// Whether every step succeeds but the last, and that fails with `errno`.
    pub(super) fn ends_in(self, ground: &Ground, errno: i32) -> Result<(), Trouble> {
        self.start(ground)?.ends_in(errno)
    }

    /// Whether the process is killed by `signal`.
    pub(super) fn dies_of(self, ground: &Ground, signal: i32) -> Result<(), Trouble> {
        match self.passes(ground) {
            Err(Trouble::Killed(by)) if by == signal => Ok(()),
            Err(trouble) => Err(trouble),
            Ok(_) => Err(Trouble::NoEffect),
        }
    }
}

fn slot_at(slot: Slot) -> usize {
    offset_of!(Header, slots) + usize::from(slot.0) * 4
}

/// A trial that has begun.
#[derive(Debug)]
pub(super) struct Running {
    steps: Steps,
    last: (List, usize),
    memory: Shared,
    launcher: (i32, OwnedFd),
    until: Instant,
}

/// A trial whose steps all succeeded.
#[derive(Debug)]
pub(super) struct Done(Shared);

impl Done {
    /// What the step that saved into `slot` answered.
    pub(super) fn answer(&self, slot: Slot) -> i32 {
        self.0.read(slot_at(slot))
    }
}

impl Running {
    /// When it has to be done.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// As [`Trial::ends_in`].
    pub(super) fn ends_in(self, errno: i32) -> Result<(), Trouble> {
        let last = self.last;
        match self.end() {
            (Err(Trouble::Refused { errno: found, .. }), at, _) if found == errno && at == Some(last) => Ok(()),
            (Err(trouble), ..) => Err(trouble),
            (Ok(()), ..) => Err(Trouble::NoEffect),
        }
    }

    /// Waits for its end.
    pub(super) fn finish(self) -> Result<Done, Trouble> {
        let (ended, _, memory) = self.end();
        ended.map(|()| Done(memory))
    }

    fn end(self) -> (Result<(), Trouble>, Option<(List, usize)>, Shared) {
        let mut late = false;
        let mut ends = vec![self.reap(self.launcher.0, Some(&self.launcher.1), &mut late)];
        // Its number is its own: it is a child of this process that has not been waited for.
        if let Some(init) = Pid::from_raw(self.memory.read::<i32>(outcome(offset_of!(Outcome, init_pid)))) {
            let descriptor = pidfd_open(init, PidfdFlags::empty()).ok();
            ends.push(self.reap(init.as_raw_nonzero().get(), descriptor.as_ref(), &mut late));
        }
        if late {
            return (Err(Trouble::Late), None, self.memory);
        }
        if self.memory.read::<u32>(outcome(offset_of!(Outcome, failed))) != 0 {
            let errno = self.memory.read(outcome(offset_of!(Outcome, errno)));
            let list = block::list_of(self.memory.read(outcome(offset_of!(Outcome, failed_list))));
            let index = self.memory.read::<u32>(outcome(offset_of!(Outcome, failed_step))) as usize;
            let step = list.and_then(|list| self.steps.list(list).get(index));
            let name = step.map_or("?", |step| step.call.name);
            // The one operation of the walker's own that a trial can fail in makes the namespaces.
            let call = name.strip_prefix("SYS_").unwrap_or("clone");
            let trouble = Trouble::Refused { call, errno };
            return (Err(trouble), list.map(|list| (list, index)), self.memory);
        }
        let killed = ends.into_iter().flatten().find_map(|ended| match ended {
            Ended::Signalled(signal) => Some(signal),
            Ended::Exited(_) => None,
        });
        (killed.map_or(Ok(()), |signal| Err(Trouble::Killed(signal))), None, self.memory)
    }

    fn reap(&self, pid: i32, descriptor: Option<&OwnedFd>, late: &mut bool) -> Option<Ended> {
        if let Some(descriptor) = descriptor
            && !readable(descriptor.as_fd(), self.until)
        {
            *late = true;
            let killed = pidfd_send_signal(descriptor, Signal::KILL);
            debug_assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "a child can be killed");
        }
        wait::reap(pid).ok().flatten()
    }
}

fn outcome(field: usize) -> usize {
    offset_of!(Header, outcome) + field
}

/// Waits until `descriptor` is readable; `false` if it is not in time.
pub(super) fn readable(descriptor: BorrowedFd<'_>, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(1), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            answer => return answer.is_ok_and(|ready| ready > 0),
        }
    }
}

impl Trial<'_> {
    /// Closes on exec whatever this trial did not open itself.
    pub(super) fn close_range(&mut self) {
        let args = vec![Value::Number(900), Value::Number(u32::MAX.into()), named!(CLOSE_RANGE_CLOEXEC)];
        self.step(call!(SYS_close_range), args);
    }

    /// What a filter and Landlock need from a process without privileges.
    pub(super) fn no_new_privileges(&mut self) {
        let zero = || Value::Number(0);
        let args = vec![named!(PR_SET_NO_NEW_PRIVS), Value::Number(1), zero(), zero(), zero()];
        self.step(call!(SYS_prctl), args);
    }

    /// Leaves no core.
    pub(super) fn not_dumpable(&mut self) {
        self.step(call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(0)]);
    }

    /// Sends the descriptor in `slot` over `channel`.
    pub(super) fn send(&mut self, channel: Slot, slot: Slot) {
        let list = Structure { shown: "[listener]".into(), bytes: vec![slot.0], addresses: Vec::new() };
        let args = vec![Value::Descriptor(channel), Value::Structure(list.into()), Value::Number(1)];
        self.step(call!(op SEND_SLOTS), args);
    }
}
