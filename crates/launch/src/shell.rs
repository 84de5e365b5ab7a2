//! The shell of a jail: process 1 in its namespaces, which waits to be told of a policy and of a job.

use crate::error::RunError;
use crate::steps::{List, Part, Slot, Steps, block};
use crate::uid::JobUid;
use lazaret_init::format::{CHANNEL, Header, MARKS, NO_SLOT, Outcome};
use lazaret_sys::memory::Shared;
use lazaret_sys::wait::{self, Ended};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
use std::ffi::CString;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Process 1 of a jail and what is known of it. Dropping it kills and reaps whatever is alive of it.
#[derive(Debug)]
pub struct Shell {
    /// Our end: takes blocks, sends descriptors once, and hangs up when the launch has failed.
    pub channel: OwnedFd,
    /// The job's own id on the host; kept until its processes are dead.
    pub uid: Option<JobUid>,
    /// Process 1, once it told that the job has begun.
    pub init: Option<OwnedFd>,
    /// The process that made process 1, until it is reaped.
    launcher: Option<(i32, OwnedFd)>,
    blocks: Vec<Block>,
    clock_offset_ns: u64,
    reaped: Option<Option<Ended>>,
}

/// Steps, and the memory in which they are walked.
#[derive(Debug)]
struct Block {
    steps: Steps,
    memory: Shared,
}

/// A moment of a launch: what begins then, and when, ns of CLOCK_MONOTONIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What begins.
    pub part: Part,
    /// When.
    pub at_ns: u64,
}

fn resource(what: &'static str) -> impl Fn(Errno) -> RunError {
    move |errno| RunError::Resource { what, source: errno.into() }
}

impl Shell {
    /// Starts one, by `steps`. It is ready some time later; what is
    /// sent meanwhile waits in the channel. The job's clocks are `clock_offset_ns` behind the caller's.
    ///
    /// # Errors
    ///
    /// When a descriptor or a process cannot be had, or the steps do not fit a block. Nothing is left then.
    pub fn start(
        image: BorrowedFd<'_>,
        uid: Option<JobUid>,
        steps: Steps,
        clock_offset_ns: u64,
    ) -> Result<Self, RunError> {
        let (channel, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(resource("make a socket pair"))?;
        let block = Block::lay_out(steps, &[(CHANNEL, theirs.as_raw_fd())])?;
        let memory = block.memory.as_fd().as_raw_fd();
        let argument = CString::new(memory.to_string()).unwrap_or_default();
        let kept = [theirs.as_raw_fd(), memory];
        let launcher = lazaret_sys::spawn::spawn(image, c"lazaret-init", &argument, &kept)
            .map_err(|source| RunError::Launch { what: "executing it", source })?;
        let blocks = vec![block];
        Ok(Self { channel, uid, init: None, launcher: Some(launcher), blocks, clock_offset_ns, reaped: None })
    }

    /// Sends one more block of steps, with descriptors for some of its slots. A process 1 that is dead already takes
    /// nothing; its end is seen where its answer is waited for.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out, or the steps do not fit a block.
    pub fn send(&mut self, steps: Steps, filled: &[(Slot, BorrowedFd<'_>)]) -> Result<(), RunError> {
        let block = Block::lay_out(steps, &[])?;
        let places: Vec<u8> = [NO_SLOT].into_iter().chain(filled.iter().map(|(slot, _)| slot.0)).collect();
        let descriptors: Vec<BorrowedFd<'_>> =
            [block.memory.as_fd()].into_iter().chain(filled.iter().map(|(_, descriptor)| *descriptor)).collect();
        match lazaret_sys::descriptor::send(self.channel.as_fd(), &places, &descriptors) {
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
            sent => sent.map_err(|source| RunError::Resource { what: "hand the job over", source })?,
        }
        self.blocks.push(block);
        Ok(())
    }

    /// Reaps the process that made process 1, if it is done. Returns whether it was, now or before.
    pub fn settle(&mut self) -> bool {
        let done = |process: &OwnedFd| {
            poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&AT_ONCE)).is_ok_and(|ready| ready > 0)
        };
        if let Some((launcher, _)) = self.launcher.take_if(|(_, process)| done(process)) {
            let reaped = wait::reap(launcher);
            debug_assert!(reaped.is_ok(), "a dead child can be reaped");
        }
        self.launcher.is_none()
    }

    /// Whether process 1 is there, or on its way, and waits.
    pub fn is_waiting(&self) -> bool {
        let mut channel = [PollFd::new(&self.channel, PollFlags::IN)];
        poll(&mut channel, Some(&AT_ONCE)) == Ok(0)
    }

    /// A field of the outcome of the last block.
    pub fn outcome<T: lazaret_sys::memory::Plain>(&self, field: usize) -> T {
        let last = self.blocks.len() - 1;
        self.blocks[last].outcome(field)
    }

    /// Process 1, if it was made.
    pub fn init_pid(&self) -> Option<Pid> {
        Pid::from_raw(self.blocks[0].outcome::<i32>(offset_of!(Outcome, init_pid)))
    }

    /// The step that failed, if one did.
    pub fn failure(&self) -> Option<RunError> {
        self.blocks.iter().find_map(Block::failure)
    }

    /// Whether nobody began with the last block.
    pub fn is_untouched(&self) -> bool {
        self.blocks.last().is_some_and(|block| block.marks(0).next().is_none())
    }

    /// The marks that were passed, in order of time.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = self.blocks.iter().flat_map(|block| block.marks(self.clock_offset_ns)).collect();
        marks.sort_by_key(|mark| mark.at_ns);
        marks
    }

    /// Kills the jail: the pid namespace dies with its process 1.
    pub fn kill(&self) {
        if self.reaped.is_some() {
            return;
        }
        let launcher = self.launcher.as_ref().map(|(_, process)| process);
        for process in [launcher, self.init.as_ref()].into_iter().flatten() {
            // Whoever is dead already needs no killing.
            let killed = pidfd_send_signal(process, Signal::KILL);
            debug_assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "a child can be killed");
        }
        // It may be making process 1 at this moment; once it is dead, the number is there or never will be.
        if let Some(launcher) = launcher {
            while poll(&mut [PollFd::new(launcher, PollFlags::IN)], None) == Err(Errno::INTR) {}
        }
        // Before its message process 1 is known by its number alone, which is its own until it is reaped, below.
        if let (None, Some(init)) = (&self.init, self.init_pid()) {
            let killed = kill_process(init, Signal::KILL);
            debug_assert!(matches!(killed, Ok(()) | Err(Errno::SRCH)), "a child can be killed");
        }
    }

    /// Asks process 1 to end the job and itself, as one does that keeps its children: see `op::KEEP_CHILDREN`.
    pub fn end(&self) {
        if self.reaped.is_some() {
            return;
        }
        // It may be making process 1 at this moment, which takes no longer than a few steps.
        if let Some((_, launcher)) = &self.launcher {
            while poll(&mut [PollFd::new(launcher, PollFlags::IN)], None) == Err(Errno::INTR) {}
        }
        // Its number is its own until it is reaped, below.
        if let Some(init) = self.init_pid() {
            let asked = kill_process(init, Signal::TERM);
            debug_assert!(matches!(asked, Ok(()) | Err(Errno::SRCH)), "a child can be asked");
        }
    }

    /// Waits until the launcher and process 1 are dead and reaped: then every process of the jail is. Returns how
    /// process 1 ended, if there was one.
    pub fn reap(&mut self) -> Result<Option<Ended>, RunError> {
        if let Some(ended) = self.reaped {
            return Ok(ended);
        }
        let failed = |source| RunError::Launch { what: "waiting for it", source };
        if let Some((launcher, _)) = self.launcher.take() {
            wait::reap(launcher).map_err(failed)?;
        }
        // Only now: the launcher was the one to make process 1.
        let ended = match self.init_pid() {
            Some(init) => wait::reap(init.as_raw_nonzero().get()).map_err(failed)?,
            None => None,
        };
        self.reaped = Some(ended);
        Ok(ended)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.kill();
        // Reported on every way that returns normally; here nobody asks any more.
        drop(self.reap());
    }
}

impl Block {
    /// In shared memory, with raw descriptors in slots of the process that inherits them.
    fn lay_out(steps: Steps, inherited: &[(usize, i32)]) -> Result<Self, RunError> {
        let mut bytes = block::lay_out(&steps).map_err(|e| RunError::Layout { problem: e.to_string() })?;
        for (slot, descriptor) in inherited {
            let at = offset_of!(Header, slots) + slot * 4;
            bytes[at..at + 4].copy_from_slice(&descriptor.to_ne_bytes());
        }
        let memory = Shared::new("lazaret-launch", &bytes)
            .map_err(|source| RunError::Resource { what: "share memory with the process above the job", source })?;
        Ok(Self { steps, memory })
    }

    fn outcome<T: lazaret_sys::memory::Plain>(&self, field: usize) -> T {
        self.memory.read(offset_of!(Header, outcome) + field)
    }

    fn failure(&self) -> Option<RunError> {
        if self.outcome::<u32>(offset_of!(Outcome, failed)) == 0 {
            return None;
        }
        let source = io::Error::from_raw_os_error(self.outcome(offset_of!(Outcome, errno)));
        let list = block::list_of(self.outcome(offset_of!(Outcome, failed_list)));
        let index: u32 = self.outcome(offset_of!(Outcome, failed_step));
        let step = list.and_then(|list| Some((list, self.steps.list(list).get(index as usize)?)));
        Some(match step {
            Some((list, step)) => RunError::Step { part: step.part(), step: self.steps.tell(list, step), source },
            None => RunError::Launch { what: "a step that is not in the plan", source },
        })
    }

    fn marks(&self, clock_offset_ns: u64) -> impl Iterator<Item = Mark> + '_ {
        let times: [u64; MARKS] = self.outcome(offset_of!(Outcome, marks));
        self.steps.marks().iter().zip(times).filter(|(_, time)| *time != 0).map(move |((list, part), time)| {
            // The job's own clock began at zero with its time namespace.
            let offset = if *list == List::Enter { clock_offset_ns } else { 0 };
            Mark { part: *part, at_ns: time + offset }
        })
    }
}
