//! A small process that forks for a large one.

mod ahead;
mod serving;

use super::error::{CallError, SandboxError};
use super::handover::Handover;
use super::output::Output;
use super::process::{Parent, Process, connection};
use super::recipe::Recipe;
use super::room::{Layout, Room};
use lazaret_sys::entry::{Channel, Code, Entry};
use lazaret_sys::{fork, wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serving::Serving;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a spawner is asked for, in front of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    what: What,
    layout: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    /// A process for one call; of the function for which none was found that had been made ahead.
    Call { found_none: Option<u64> },
    /// Processes ahead of the calls of this function.
    Keep { function: u64 },
}

/// A call's turn with the spawner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    /// The function for which none was found that had been made ahead.
    pub(crate) found_none: Option<u64>,
    /// How long it may be waited for.
    /// `None`: for ever.
    pub(crate) until: Option<Instant>,
    /// Becomes readable when nobody wants the call any more.
    pub(crate) cancel: Option<BorrowedFd<'a>>,
}

/// A small process of one thread that forks for this one, whatever size this one grows to and however many threads it
/// starts.
///
/// It is a copy of this process as it is now: start it early, before there are threads, secrets and much memory. It runs
/// functions that capture nothing, in the code that is mapped now. It holds no descriptor of this process's, ends with
/// it, or when the last clone of this value and the last function that uses it are dropped.
///
/// ```
/// use lazaret_seccomp::call::Spawner;
///
/// let spawner = Spawner::start()?;
/// let policy = lazaret_policy::Loader::new().profile("compute")?;
/// let count = spawner.sandboxed_typed(&policy, |text: String| text.len())?;
///
/// let called = count.call(&"quarantine".to_owned())?;
/// assert_eq!(called.into_value()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Spawner(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    /// `None`: it was told to end.
    channel: Option<Channel<Output>>,
    code: Code,
    pid: i32,
    pidfd: OwnedFd,
    /// Whose child it is: a fork of that process has this value too.
    owner: Pid,
}

impl Spawner {
    /// Starts it: one fork of this process.
    ///
    /// # Errors
    ///
    /// When processes or descriptors run out, or `/proc` or `/dev/null` is not there.
    pub fn start() -> io::Result<Self> {
        let code = Code::now()?;
        let (channel, other) = Channel::pair()?;
        // So that a spawner that cannot begin is an error of this call.
        let (begun, begin) = connection().map_err(io::Error::other)?;
        let caller = rustix::process::getpid();
        let pid = fork::fork(move || {
            let Ok(serving) = Serving::begin(other, &begin, caller) else { fork::exit(1) };
            if lazaret_sys::descriptor::send(begin.as_fd(), b"b", &[]).is_err() {
                fork::exit(1);
            }
            drop(begin);
            match serving.serve() {}
        })?;
        // Until the channel is dropped nothing makes it end but its own failure.
        let mut word = [0; 1];
        let (_, said) = rustix::net::recv(&begun, &mut word, rustix::net::RecvFlags::empty())?;
        let id = Pid::from_raw(pid).filter(|_| said == 1).ok_or_else(|| io::Error::other("the spawner cannot begin"));
        let pidfd = id.and_then(|id| Ok(pidfd_open(id, PidfdFlags::empty())?));
        match pidfd {
            Ok(pidfd) => Ok(Self(Arc::new(Handle { channel: Some(channel), code, pid, pidfd, owner: caller }))),
            Err(e) => {
                drop(channel);
                wait::reap(pid)?;
                Err(e)
            }
        }
    }

    /// The entry of `function`, if the spawner has its code.
    pub(crate) fn entry(&self, function: impl Fn(&[u8], &mut Output) + 'static) -> Result<Entry<Output>, SandboxError> {
        let entry = self.0.code.entry(function);
        let entry = entry.map_err(|source| SandboxError::Resource { what: "read /proc/self/maps", source })?;
        entry.ok_or(SandboxError::LoadedLater)
    }

    /// Has it fork for one call, whose input is there.
    pub(crate) fn spawn(
        &self,
        entry: Entry<Output>,
        layout: Layout,
        order: &[u8],
        recipe: &Recipe,
        room: &Room,
        turn: Turn<'_>,
    ) -> Result<Process, CallError> {
        let (socket, other) = connection()?;
        let (control, reports) = connection()?;
        let request = Request { what: What::Call { found_none: turn.found_none }, layout };
        let asked = loop {
            match self.ask(entry, request, order, recipe, &[room.file(), other.as_fd(), reports.as_fd()]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait_for_room(turn)?,
                asked => break asked,
            }
        };
        match asked {
            Ok(()) => Ok(Process { socket, parent: Parent::Spawner(control) }),
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Err(CallError::SpawnerDied)
            }
            Err(source) => Err(CallError::Resource { what: "ask the spawner", source }),
        }
    }

    /// Waits until the spawner has taken some of what it was asked: one that was stopped takes nothing.
    fn wait_for_room(&self, turn: Turn<'_>) -> Result<(), CallError> {
        let failed = CallError::resource("ask the spawner");
        let Some(channel) = &self.0.channel else { return Err(CallError::SpawnerDied) };
        let left = turn.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let cancel = turn.cancel.map(|cancel| PollFd::from_borrowed_fd(cancel, PollFlags::IN));
        let mut polled: Vec<_> = cancel.into_iter().chain([PollFd::new(channel, PollFlags::OUT)]).collect();
        match poll(&mut polled, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
        if turn.cancel.is_some() && !polled[0].revents().is_empty() {
            return Err(failed(io::ErrorKind::Interrupted.into()));
        }
        Ok(())
    }

    /// Has it make processes ahead of the calls of a function, until the handover is dropped.
    pub(crate) fn keep(
        &self,
        function: u64,
        entry: Entry<Output>,
        layout: Layout,
        order: &[u8],
        recipe: &Recipe,
    ) -> io::Result<Handover> {
        let (handover, other) = Handover::pair()?;
        self.ask(entry, Request { what: What::Keep { function }, layout }, order, recipe, &[other.as_fd()])?;
        Ok(handover)
    }

    fn ask(
        &self,
        entry: Entry<Output>,
        request: Request,
        order: &[u8],
        recipe: &Recipe,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut message = postcard::to_allocvec(&request).map_err(io::Error::other)?;
        message.extend_from_slice(order);
        let ruleset = recipe.ruleset.as_ref().map(AsFd::as_fd);
        let descriptors: Vec<_> = descriptors.iter().copied().chain(ruleset).collect();
        let channel = self.0.channel.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        channel.send(entry, &message, &descriptors)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.pid.unsigned_abs()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A fork of its owner's has a copy of this, and leaves the spawner to it. Of an owner that closed descriptors behind
        // our back the numbers are others'.
        let own = self.channel.as_ref().is_some_and(Channel::is_own);
        if rustix::process::getpid() != self.owner || !own {
            return;
        }
        // It ends by itself when nobody can ask it any more.
        drop(self.channel.take());
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut end = [PollFd::new(&self.pidfd, PollFlags::IN)];
        if !matches!(poll(&mut end, Some(&patience)), Ok(1)) {
            let _killed = pidfd_send_signal(&self.pidfd, Signal::KILL).is_ok();
        }
        // One that somebody else reaped cannot be signalled, and its number may be another's.
        if pidfd_send_signal(&self.pidfd, Signal::KILL).is_ok() {
            let reaped = wait::reap(self.pid);
            debug_assert!(reaped.is_ok(), "a child can be waited for");
        }
    }
}
