//! A sandboxed function as bytes in, bytes out.

use super::called::{Called, Ending};
use super::child::{self, Given};
use super::error::{CallError, SandboxError};
use super::handover::{self, Handover, Waiting};
use super::judge::{self, Answer};
use super::output::Output;
use super::process::{News, Parent, Process, connection};
use super::recipe::Recipe;
use super::room::{Bytes, Input, Layout, Room};
use super::spawner::{Spawner, Turn};
use super::watch::{Started, watch};
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
    /// By a spawner, which keeps some ahead where it can.
    Spawner(Spawner, Entry<Output>, Option<Handover>),
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
        let mut core = Self { recipe, order, way, id: NEXT.fetch_add(1, Ordering::Relaxed) };
        let layout = core.layout_ahead();
        if let Way::Spawner(spawner, entry, over) = &mut core.way {
            // Without, calls are slower.
            *over = spawner.keep(core.id, *entry, layout, &core.order, &core.recipe).ok();
        }
        Ok(core)
    }

    /// Where the parts of a process's memory lie that was made ahead.
    fn layout_ahead(&self) -> Layout {
        let place = handover::INPUT as u64;
        Layout { input: place, capacity: place, bound: self.bound() }
    }

    /// Puts the input where a process has it: one that was made ahead, if there is one and it has the room.
    fn put(
        &self,
        (spawner, entry, over): (&Spawner, Entry<Output>, Option<&Handover>),
        bytes: &[u8],
        turn: Turn<'_>,
    ) -> Result<(Room, Started), CallError> {
        let written = |source| CallError::Resource { what: "write the input", source };
        let input = bytes.len() as u64;
        let small = bytes.len() <= handover::INPUT;
        while small && let Some(waiting) = over.and_then(|over| over.take(self.layout_ahead())) {
            let Waiting { room, process, ready } = waiting;
            room.put(bytes).map_err(written)?;
            let said = ready.map_or_else(|| process.news(), |ready| Ok(News::Ready(ready)));
            match said.map_err(CallError::resource("hear from the call's process"))? {
                News::Ready(ready) => {
                    let begun = process.admit(ready.pid, self.recipe.open_files, input);
                    if begun.map_err(CallError::resource("let a function begin"))? {
                        return Ok((room, Started { process, input, begun: Some(ready) }));
                    }
                }
                News::Nothing => return Ok((room, Started { process, input, begun: None })),
                News::Gone => {}
            }
        }
        let layout = Layout { input, capacity: input, bound: self.bound() };
        let room = Room::new(layout).map_err(CallError::resource("make memory that a call shares"))?;
        room.put(bytes).map_err(written)?;
        let found_none = small.then_some(self.id);
        let process = spawner.spawn(entry, layout, &self.order, &self.recipe, &room, Turn { found_none, ..turn })?;
        Ok((room, Started { process, input, begun: None }))
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
        let turn = Turn { found_none: None, until: begun.checked_add(self.recipe.limits.wall.duration()), cancel };
        let memory = CallError::resource("make memory that a call shares");
        let bound = self.bound();
        let (room, started) = match (&self.way, feed) {
            (Way::Caller(body), Feed::Bytes(bytes)) => {
                let room = Room::new(Layout { input: 0, capacity: 0, bound }).map_err(memory)?;
                let process = self.fork(&room, room.layout, Some(bytes), body)?;
                (room, Started { process, input: 0, begun: None })
            }
            (Way::Caller(body), Feed::Input(input)) => {
                let layout = input.layout();
                let process = self.fork(&input.room, layout, None, body)?;
                (input.room, Started { process, input: layout.input, begun: None })
            }
            (Way::Spawner(spawner, entry, over), Feed::Bytes(bytes)) => {
                self.put((spawner, *entry, over.as_ref()), bytes, turn)?
            }
            (Way::Spawner(spawner, entry, _), Feed::Input(input)) => {
                let layout = input.layout();
                let room = &input.room;
                let process = spawner.spawn(*entry, layout, &self.order, &self.recipe, room, turn)?;
                (input.room, Started { process, input: layout.input, begun: None })
            }
        };
        let watched = watch(started, &self.recipe, cancel, begun)?;
        let read = CallError::resource("read what a call left");
        let head = room.head().map_err(read)?;
        let (ending, answer) = judge::judge(&watched, &head, &self.recipe, room.layout)?;
        let value = answer.map(|Answer { is_error, len }| room.output(len).map(|bytes| (is_error, bytes))).transpose();
        let value = value.map_err(CallError::resource("read what a call left"))?;
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
        self.recipe.is_whole().map_err(CallError::resource("find the descriptors of the function"))?;
        let (socket, other) = connection()?;
        let given = Given {
            order: &self.recipe.order,
            layout,
            room: room.file(),
            socket: other.as_fd(),
            ruleset: self.recipe.ruleset.as_ref().map(AsFd::as_fd),
            null: self.recipe.null.as_fd(),
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            ahead: false,
            handlers: true,
            // Other threads may map and unmap meanwhile.
            space: None,
        };
        let pid = lazaret_sys::fork::fork(|| match child::run(&given, input, body) {})
            .map_err(CallError::resource("fork"))?;
        // It waits to be let begin, so that it lives, and this is its own id, whoever reaps this process's children.
        let pidfd = rustix::process::Pid::from_raw(pid)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
        pidfd.map(|pidfd| Process { socket, parent: Parent::Caller { pid, pidfd } }).map_err(|e| {
            // Nobody lets it begin: it ends.
            drop(other);
            let reaped = lazaret_sys::wait::reap(pid);
            drop(reaped);
            CallError::Resource { what: "get a descriptor of the call's process", source: e.into() }
        })
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
