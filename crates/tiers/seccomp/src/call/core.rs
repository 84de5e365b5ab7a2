//! A sandboxed function as bytes in, bytes out.

use super::ahead;
use super::called::{Called, Ending};
use super::child::{self, GO, Given, Word};
use super::error::{CallError, SandboxError};
use super::judge::{self, Answer};
use super::output::Output;
use super::process::{Parent, Process, begin, connection};
use super::recipe::Recipe;
use super::room::{Bytes, Input, Layout, Room};
use super::spawner::Spawner;
use super::watch::watch;
use lazaret_policy::{Policy, Usage};
use lazaret_sys::entry::Entry;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The function, which gets its input and leaves its answer.
pub(crate) type Body = dyn Fn(&[u8], &mut Output) + Send + Sync;

/// How its process is made.
pub(crate) enum Way {
    /// By a fork of the caller.
    Caller(Box<Body>),
    /// By a spawner.
    Spawner(Spawner, Entry<Output>),
}

/// What a call gets.
pub(crate) enum Feed<'a> {
    /// Bytes of the caller's.
    Bytes(&'a [u8]),
    /// Bytes that are where the function reads them.
    Input(Input),
}

/// A function under a policy.
pub(crate) struct Core {
    pub(crate) recipe: Recipe,
    /// The order, as a spawner takes it.
    order: Vec<u8>,
    way: Way,
    /// Its name among the spawner's functions.
    id: u64,
}

/// The next function's name.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = if matches!(self.way, Way::Caller(_)) { "fork of the caller" } else { "spawner" };
        f.debug_struct("Core").field("way", &way).finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(policy: &Policy, way: Way) -> Result<Self, SandboxError> {
        let recipe = Recipe::new(policy)?;
        let order = postcard::to_allocvec(&recipe.order)
            .map_err(|e| SandboxError::Resource { what: "write the order of a call", source: io::Error::other(e) })?;
        let core = Self { recipe, order, way, id: NEXT.fetch_add(1, Ordering::Relaxed) };
        core.make_ahead();
        Ok(core)
    }

    /// Has the spawner make processes for the next calls. Without them, those are slower.
    fn make_ahead(&self) {
        let Way::Spawner(spawner, entry) = &self.way else { return };
        for _ in 0..spawner.ahead().lacks(self.id) {
            let place = ahead::INPUT as u64;
            let layout = Layout { input: place, capacity: place, bound: self.bound() };
            let Ok(room) = Room::new(layout) else { return };
            let Ok(process) = spawner.spawn(*entry, layout, &self.order, &self.recipe, &room, None) else { return };
            spawner.ahead().put(self.id, room, process);
        }
    }

    /// Puts the input where a process has it: one that was made ahead, if there is one and it has the room.
    fn put(&self, spawner: &Spawner, entry: Entry<Output>, bytes: &[u8]) -> Result<(Room, Process), CallError> {
        let written = |source| CallError::Resource { what: "write the input", source };
        let len = bytes.len() as u64;
        while bytes.len() <= ahead::INPUT
            && let Some((room, process)) = spawner.ahead().take(self.id)
        {
            room.put(bytes).map_err(written)?;
            let takes = begin(process.socket.as_fd(), len);
            if takes.map_err(CallError::resource("connect with the call's process"))? {
                return Ok((room, process));
            }
        }
        let layout = Layout { input: len, capacity: len, bound: self.bound() };
        let room = Room::new(layout).map_err(CallError::resource("make memory that a call shares"))?;
        room.put(bytes).map_err(written)?;
        let process = spawner.spawn(entry, layout, &self.order, &self.recipe, &room, Some(len))?;
        Ok((room, process))
    }

    fn bound(&self) -> u64 {
        self.recipe.limits.output.bytes()
    }

    pub(crate) fn input(&self, capacity: usize) -> Result<Input, CallError> {
        Input::new(capacity, self.bound()).map_err(CallError::resource("make memory that a call shares"))
    }

    /// Makes one call. The answer is one of [`Ending::Returned`], and says whether it is the function's own error.
    pub(crate) fn call(
        &self,
        feed: Feed<'_>,
        cancel: Option<BorrowedFd<'_>>,
    ) -> Result<Called<(bool, Bytes)>, CallError> {
        let begun = Instant::now();
        let memory = CallError::resource("make memory that a call shares");
        let bound = self.bound();
        let (room, process) = match (&self.way, feed) {
            (Way::Caller(body), Feed::Bytes(bytes)) => {
                let room = Room::new(Layout { input: 0, capacity: 0, bound }).map_err(memory)?;
                let process = self.fork(&room, room.layout, Some(bytes), body)?;
                (room, process)
            }
            (Way::Caller(body), Feed::Input(input)) => {
                let layout = input.layout();
                let process = self.fork(&input.room, layout, None, body)?;
                (input.room, process)
            }
            (Way::Spawner(spawner, entry), Feed::Bytes(bytes)) => self.put(spawner, *entry, bytes)?,
            (Way::Spawner(spawner, entry), Feed::Input(input)) => {
                let (layout, len) = (input.layout(), input.len as u64);
                let process = spawner.spawn(*entry, layout, &self.order, &self.recipe, &input.room, Some(len))?;
                (input.room, process)
            }
        };
        let watched = watch(process, &self.recipe, cancel, begun)?;
        let read = CallError::resource("read what a call left");
        let head = room.head().map_err(read)?;
        let (ending, answer) = judge::judge(&watched, &head, &self.recipe, room.layout)?;
        let value = answer.map(|Answer { is_error, len }| room.output(len).map(|bytes| (is_error, bytes))).transpose();
        let value = value.map_err(CallError::resource("read what a call left"))?;
        self.make_ahead();
        let usage = Usage {
            wall_us: u64::try_from(watched.wall.as_micros()).unwrap_or(u64::MAX),
            user_us: watched.used.user_us,
            system_us: watched.used.system_us,
            peak_memory: Some(watched.used.peak_memory).filter(|peak| *peak > 0),
            ..Usage::default()
        };
        Ok(Called { ending, usage, refusals: watched.refused.kept, refusals_dropped: watched.refused.dropped, value })
    }

    fn fork(&self, room: &Room, layout: Layout, input: Option<&[u8]>, body: &Body) -> Result<Process, CallError> {
        let (socket, other) = connection()?;
        let given = Given {
            order: &self.recipe.order,
            layout,
            room: room.file(),
            socket: other.as_fd(),
            ruleset: self.recipe.ruleset.as_ref().map(AsFd::as_fd),
            null: self.recipe.null.as_fd(),
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            word: Word::Known,
            handlers: true,
            // Other threads may map and unmap meanwhile.
            space: None,
        };
        let pid = lazaret_sys::fork::fork(|| match child::run(&given, input, body) {})
            .map_err(CallError::resource("fork"))?;
        // It waits for a word, so that it lives, and this is its own id, whoever reaps this process's children.
        let pidfd = rustix::process::Pid::from_raw(pid)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
        let process = match pidfd {
            Ok(pidfd) => Process { socket, parent: Parent::Caller { pid, pidfd } },
            Err(e) => {
                // Without a word it ends.
                drop((socket, other));
                let reaped = lazaret_sys::wait::reap(pid);
                drop(reaped);
                return Err(CallError::Resource { what: "get a descriptor of the call's process", source: e.into() });
            }
        };
        let said = rustix::net::send(&process.socket, &[GO], rustix::net::SendFlags::NOSIGNAL);
        match said {
            Ok(_) => Ok(process),
            // It is gone already: why will be seen.
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(process),
            Err(e) => Err(CallError::Resource { what: "connect with the call's process", source: e.into() }),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Way::Spawner(spawner, _) = &self.way {
            spawner.ahead().forget(self.id);
        }
    }
}

impl<T> Called<T> {
    /// The same with another value, or another ending where that cannot be made.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> Result<U, String>) -> Called<U> {
        let Self { ending, usage, refusals, refusals_dropped, value } = self;
        let (ending, value) = match value.map(make) {
            None => (ending, None),
            Some(Ok(value)) => (ending, Some(value)),
            Some(Err(problem)) => (Ending::Garbled { problem }, None),
        };
        Called { ending, usage, refusals, refusals_dropped, value }
    }
}
