//! A look at a thread while its refused call waits: enough to say later where the call came from.
//!
//! The look is a thread of its own with a bounded time, since reading a process's memory may last as long as that process
//! likes (userfaultfd(2)). When it ends, the kernel lets go of whatever it traced.

use crate::maps::{self, Mapping};
use crate::module::Files;
use crate::text;
use crate::thread::Thread;
use lazaret_filter::{Action, Call, Filter};
use lazaret_policy::{ArgumentText, ThreadText};
use lazaret_sys::seccomp::Notification;
use lazaret_sys::trace::{self, Registers};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long one look may take.
const LOOK: Duration = Duration::from_millis(500);
/// How long all looks at one job may take together.
const LOOKS: Duration = Duration::from_secs(2);
/// How long a thread that was told to stop may take.
const STOP: Duration = Duration::from_millis(100);
/// How much of a stack is copied.
const STACK: usize = 64 << 10;

/// What was seen of a call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sight {
    pub(crate) arguments: Vec<ArgumentText>,
    pub(crate) thread: Option<ThreadText>,
    pub(crate) registers: Option<Registers>,
    /// The stack's bytes from the stack pointer on.
    pub(crate) stack: Vec<u8>,
    /// Mappings with code that the registers or the stack may speak of.
    pub(crate) code: Vec<Mapping>,
    pub(crate) note: Option<&'static str>,
}

impl Sight {
    /// What the notification alone tells.
    fn of_registers(call: &Call, note: &'static str) -> Self {
        Self { arguments: text::registers(call), note: Some(note), ..Self::default() }
    }
}

/// Looks at the threads of one job.
#[derive(Debug)]
pub struct Looker {
    files: Files,
    left: Duration,
    reads_memory: bool,
    /// Whether a thread that waits can be stopped: one whose wait only ends by being killed cannot.
    stops: bool,
}

impl Default for Looker {
    fn default() -> Self {
        Self { files: Files::default(), left: LOOKS, reads_memory: true, stops: true }
    }
}

/// Whether a job under `filter` can have whoever reads its memory wait for as long as it likes: userfaultfd(2).
fn memory_may_block(filter: &Filter) -> bool {
    let permits = |action: Action| action.permits();
    permits(filter.default_action())
        || filter.rules().iter().any(|(rule, action)| permits(*action) && rule.calls().any(|c| c == "userfaultfd"))
}

impl Looker {
    /// For a job under `filter`.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        Self { reads_memory: !memory_may_block(filter), ..Self::default() }
    }

    /// The same, for a job that is a copy of this process and can change no file: this process's own code is looked into.
    #[must_use]
    pub fn of_copy(filter: &Filter) -> Self {
        Self { files: Files::of_copy(), ..Self::new(filter) }
    }

    /// The same, for a listener whose calls no signal disturbs (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`).
    #[must_use]
    pub fn of_undisturbed(self) -> Self {
        Self { stops: false, ..self }
    }

    /// Looks at the thread whose `call` was received from `listener` as `notification`, and is refused whatever is seen.
    ///
    /// The call may no longer wait afterwards: a thread that was stopped makes it again, as another notification.
    pub fn look(&mut self, listener: BorrowedFd<'_>, notification: &Notification, call: &Call) -> Sight {
        if !self.reads_memory {
            return Sight::of_registers(call, "the policy permits userfaultfd, so the job's memory is not looked at");
        }
        let allowed = LOOK.min(self.left);
        if allowed.is_zero() {
            return Sight::of_registers(call, "looking at earlier calls took too long");
        }
        let began = Instant::now();
        let seen = self.look_for(allowed, listener, notification, call);
        self.left = self.left.saturating_sub(began.elapsed());
        seen.unwrap_or_else(|note| {
            // One that did not come back may be held by the job. No more are given to it.
            self.left = Duration::ZERO;
            Sight::of_registers(call, note)
        })
    }

    fn look_for(
        &self,
        allowed: Duration,
        listener: BorrowedFd<'_>,
        notification: &Notification,
        call: &Call,
    ) -> Result<Sight, &'static str> {
        let listener = listener.try_clone_to_owned().map_err(|_full| "there is no descriptor left for a look")?;
        let (notification, call, files, stops) = (*notification, *call, self.files.clone(), self.stops);
        let (send, receive) = mpsc::sync_channel(1);
        let look = move || {
            let sight = see(&listener, &notification, &call, &files, stops);
            // Who no longer waits for it does not need it.
            drop(send.send(sight));
        };
        let spawned = std::thread::Builder::new().name("lazaret-look".to_owned()).spawn(look);
        spawned.map_err(|_full| "there is no thread left for a look")?;
        receive.recv_timeout(allowed).map_err(|_late| "the look took too long")
    }

    /// The files that were opened.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }
}

fn see(listener: &OwnedFd, notification: &Notification, call: &Call, files: &Files, stops: bool) -> Sight {
    let thread = Thread::new(listener.as_fd(), notification);
    let Ok(arguments) = text::arguments(&thread, call) else {
        return Sight::of_registers(call, "the thread was gone before it could be looked at");
    };
    let mut sight = Sight { arguments, thread: thread.text(), ..Sight::default() };
    let Some(maps) = maps::read(&thread.proc("maps")) else {
        sight.note = Some("the kernel does not let this process look at the thread");
        return sight;
    };
    // Before the thread is stopped, which ends the notification that all of this rests on.
    let without_stopping = thread.places();
    if !thread.is_waiting() {
        return Sight::of_registers(call, "the thread was gone before it could be looked at");
    }
    let instruction = notification.instruction_pointer;
    let stop = || stopped(&thread, instruction, |registers| copy_stack(&thread, &maps, registers.stack));
    let stopped = if stops { stop() } else { None };
    let (registers, stack) = match stopped {
        Some((registers, stack)) => (registers, stack),
        None => {
            sight.note = Some("the thread could not be stopped, so that the stack may be cut");
            let places = without_stopping.filter(|places| places.instruction == instruction);
            let alone = Registers { instruction, stack: 0, frame: 0, link: 0 };
            let registers = places.unwrap_or(alone);
            (registers, copy_stack(&thread, &maps, registers.stack))
        }
    };
    sight.code = code(&maps, &registers, &stack);
    for mapping in &sight.code {
        // Kept open: when the stack is read, the job is gone, and its view of the files with it.
        files.open(&thread, mapping);
    }
    sight.registers = Some(registers);
    sight.stack = stack;
    sight
}

/// Stops the waiting thread, takes its registers and what `take` reads, and lets it go on. `None` where that is not
/// permitted, or when it had gone on by itself.
///
/// The wait for the supervisor's answer is interrupted and begun again by the kernel (ERESTARTSYS): the program does not
/// see it, whatever its handlers are, as there is no signal.
fn stopped<T>(thread: &Thread<'_>, instruction: u64, take: impl FnOnce(&Registers) -> T) -> Option<(Registers, T)> {
    let tid = thread.tid();
    trace::seize(tid).ok()?;
    // The number was this thread's still when it was seized. If not, this look's end lets go of whose it is now.
    if !thread.is_waiting() {
        return None;
    }
    trace::interrupt(tid).ok()?;
    let until = Instant::now() + STOP;
    let registers = loop {
        match trace::registers(tid) {
            Ok(registers) => break registers,
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) && Instant::now() < until => {
                std::thread::sleep(Duration::from_micros(20));
            }
            Err(_) => return None,
        }
    };
    let taken = (registers.instruction == instruction).then(|| (registers, take(&registers)));
    // One that was killed meanwhile is gone, and nobody's any more.
    drop(trace::detach(tid));
    taken
}

/// The stack from `pointer` to the end of its mapping, at most as much as is worth it.
fn copy_stack(thread: &Thread<'_>, maps: &[Mapping], pointer: u64) -> Vec<u8> {
    let Some(mapping) = maps::holding(maps, pointer) else { return Vec::new() };
    let size = usize::try_from(mapping.end - pointer).unwrap_or(STACK).min(STACK);
    let mut stack = vec![0; size];
    let read = thread.read(pointer, &mut stack).unwrap_or(0);
    stack.truncate(read);
    stack
}

/// The mappings with code that a register or a word of the stack points into: no other can be on the stack.
fn code(maps: &[Mapping], registers: &Registers, stack: &[u8]) -> Vec<Mapping> {
    let words = stack.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    let pointed: BTreeSet<u64> = words
        .chain([registers.instruction, registers.link])
        .map(crate::stack::without_signature)
        .filter_map(|word| maps::holding(maps, word))
        .filter(|mapping| mapping.executable)
        .map(|mapping| mapping.start)
        .collect();
    maps.iter().filter(|mapping| pointed.contains(&mapping.start)).take(CODE).cloned().collect()
}

/// How many mappings with code are kept of one look.
const CODE: usize = 256;
