//! From a call's beginning to its end.

use super::error::CallError;
use super::process::{End, News, Parent, Process, Ready};
use super::recipe::Recipe;
use lazaret_launch::hands::Hands;
use lazaret_launch::refusals::Refusals;
use lazaret_sys::fork::processor_time;
use lazaret_sys::wait::{Ended, Used};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long the end of a killed process may take.
const GRACE: Duration = Duration::from_secs(30);

/// Why the caller ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Wall,
    Cpu,
    Cancelled,
    Violation,
}

/// What was seen of a call.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) stop: Option<Stop>,
    /// `None`: nobody can tell any more.
    pub(crate) ended: Option<Ended>,
    pub(crate) used: Used,
    /// Whether the function's turn came.
    pub(crate) ready: bool,
    pub(crate) refused: Refusals,
    pub(crate) wall: Duration,
}

/// A call's process on its way.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Process,
    /// Bytes of input that are there.
    pub(crate) input: u64,
    /// Whether it was let begin, as a process that was made ahead is.
    pub(crate) begun: Option<Ready>,
}

struct Watch<'a> {
    process: Process,
    input: u64,
    recipe: &'a Recipe,
    cancel: Option<BorrowedFd<'a>>,
    begun: Instant,
    /// Set when the process was killed.
    killed: Option<Instant>,
    connected: bool,
    listener: Option<OwnedFd>,
    /// Set when the function's turn came.
    pid: Option<u32>,
    /// When its processor time can be used up at the earliest.
    cpu_check: Option<Instant>,
    stop: Option<Stop>,
    refused: Refusals,
    ended: Option<(Option<Ended>, Used)>,
}

/// Lets the function begin if that was not done, waits for its end, keeps its limits and answers its refused calls.
pub(crate) fn watch(
    started: Started,
    recipe: &Recipe,
    cancel: Option<BorrowedFd<'_>>,
    begun: Instant,
) -> Result<Watched, CallError> {
    let Started { process, input, begun: ready } = started;
    let mut watch = Watch {
        process,
        input,
        recipe,
        cancel,
        begun,
        killed: None,
        connected: true,
        listener: None,
        pid: None,
        cpu_check: None,
        stop: None,
        refused: Refusals::default(),
        ended: None,
    };
    if let Some(ready) = ready {
        watch.listen(ready);
    }
    let (ended, used) = loop {
        if let Some(ended) = watch.ended.take() {
            break ended;
        }
        watch.turn()?;
    };
    let Watch { stop, pid, mut refused, .. } = watch;
    let wall = begun.elapsed();
    let mut violation = refused.violation.take();
    refused.explain(&recipe.rules(pid.unwrap_or_default()), violation.as_mut());
    refused.violation = violation;
    Ok(Watched { stop, ended, used, ready: pid.is_some(), refused, wall })
}

impl Watch<'_> {
    fn turn(&mut self) -> Result<(), CallError> {
        let failed = CallError::resource("watch the call's process");
        let [socket, end, listener, cancel] = self.wait().map_err(failed)?;
        let (end, cancel) = (!end.is_empty(), !cancel.is_empty());
        // First what was said before the end.
        if !socket.is_empty() {
            self.hear()?;
        }
        if listener.contains(PollFlags::IN) {
            self.answer()?;
        } else if !listener.is_empty() {
            // Nobody is left under the filter.
            self.listener = None;
        }
        if end && self.ended.is_none() {
            self.learn_of_the_end()?;
        }
        if self.ended.is_none() {
            self.check_time(cancel)?;
        }
        Ok(())
    }

    /// Waits until something happens or time is up: what connection, end, listener and cancel have.
    fn wait(&self) -> io::Result<[PollFlags; 4]> {
        let timeout = self.patience();
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let sources = [
            self.connected.then(|| self.process.socket.as_fd()),
            Some(self.process.end_descriptor()),
            self.listener.as_ref().map(AsFd::as_fd),
            self.cancel.filter(|_| self.killed.is_none()),
        ];
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut events = polled.iter().map(PollFd::revents);
        Ok(sources.map(|source| source.and_then(|_| events.next()).unwrap_or(PollFlags::empty())))
    }

    /// How long nothing needs to be done unless something happens.
    fn patience(&self) -> Duration {
        if let Some(killed) = self.killed {
            return GRACE.saturating_sub(killed.elapsed());
        }
        let wall = self.recipe.limits.wall.duration().saturating_sub(self.begun.elapsed());
        self.cpu_check.map_or(wall, |at| wall.min(at.saturating_duration_since(Instant::now())))
    }

    fn processor_time_left(&self) -> Duration {
        let used = self.pid.and_then(|pid| processor_time(i32::try_from(pid).ok()?)).unwrap_or_default();
        self.recipe.limits.cpu.duration().saturating_sub(used)
    }

    fn hear(&mut self) -> Result<(), CallError> {
        match self.process.news().map_err(CallError::resource("hear from the call's process"))? {
            News::Nothing => {}
            News::Ready(ready) => {
                let begun = self.process.admit(ready.pid, self.recipe.open_files, self.input);
                // One that is gone already tells why.
                let _begun = begun.map_err(CallError::resource("let a function begin"))?;
                self.listen(ready);
            }
            News::Gone => self.connected = false,
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), CallError> {
        if let (Some(listener), Some(pid)) = (&self.listener, self.pid) {
            let answered = self.refused.answer_next(listener.as_fd(), &self.recipe.rules(pid), &mut Hands::default());
            answered.map_err(CallError::resource("answer a system call of the function"))?;
            if self.refused.violation.is_some() {
                self.end(Stop::Violation)?;
            }
        }
        Ok(())
    }

    fn listen(&mut self, Ready { pid, listener }: Ready) {
        if let Some(listener) = &listener {
            // A hint: where the kernel has no such thing, both just wake each other.
            let _in_place = lazaret_sys::seccomp::wake_in_place(listener.as_fd());
        }
        // It says nothing more, and being told that it closes its connection would only cost time.
        (self.pid, self.listener, self.connected) = (Some(pid), listener, false);
        // A limit beyond all time is none.
        self.cpu_check = Instant::now().checked_add(self.recipe.limits.cpu.duration());
    }

    fn learn_of_the_end(&mut self) -> Result<(), CallError> {
        match self.process.end().map_err(CallError::resource("wait for the call's process"))? {
            End::None => Ok(()),
            End::Ended(ended, used) => {
                self.ended = Some((ended, used));
                Ok(())
            }
            End::Failed(errno) => {
                let source = io::Error::from_raw_os_error(errno);
                Err(CallError::Resource { what: "fork in the spawner", source })
            }
            End::SpawnerDied => Err(CallError::SpawnerDied),
        }
    }

    fn check_time(&mut self, cancelled: bool) -> Result<(), CallError> {
        if let Some(killed) = self.killed {
            return match (killed.elapsed() >= GRACE, matches!(self.process.parent, Parent::Caller { .. })) {
                (false, _) => Ok(()),
                (true, false) => Err(CallError::SpawnerDied),
                (true, true) => {
                    let source = io::ErrorKind::TimedOut.into();
                    Err(CallError::Resource { what: "end the call's process", source })
                }
            };
        }
        if cancelled {
            self.end(Stop::Cancelled)
        } else if self.begun.elapsed() >= self.recipe.limits.wall.duration() {
            self.end(Stop::Wall)
        } else if self.cpu_check.is_some_and(|at| at <= Instant::now()) {
            let left = self.processor_time_left();
            // It has one thread: its processor time cannot be used up earlier.
            self.cpu_check = Instant::now().checked_add(left.max(Duration::from_millis(1)));
            if left.is_zero() { self.end(Stop::Cpu) } else { Ok(()) }
        } else {
            Ok(())
        }
    }

    fn end(&mut self, why: Stop) -> Result<(), CallError> {
        self.stop.get_or_insert(why);
        self.killed.get_or_insert_with(Instant::now);
        self.process.kill().map_err(CallError::resource("end the call's process"))
    }
}
