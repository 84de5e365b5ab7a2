//! A call's own process, from its birth to its end.

use super::order::Order;
use super::output::{Output, publish_failure, publish_message, state};
use super::room::{HEAD, Layout, MESSAGE};
use lazaret_sys::map::{Frozen, Written};
use lazaret_sys::{confine, crash, fork};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, Shutdown, recv};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

/// What the process is told when its input is there, and says itself when it is locked down.
pub(crate) const GO: u8 = b'g';
pub(crate) const READY: u8 = b'r';

/// How long a process that was made ahead waits for its input; and how it ends when none came.
const IDLE: Duration = Duration::from_secs(10);
pub(crate) const UNUSED: i32 = 77;

/// What a call's process gets. Every descriptor has a number above those of the standard streams.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) order: &'a Order,
    pub(crate) layout: Layout,
    pub(crate) room: BorrowedFd<'a>,
    pub(crate) socket: BorrowedFd<'a>,
    pub(crate) ruleset: Option<BorrowedFd<'a>>,
    pub(crate) null: BorrowedFd<'a>,
    /// Its parent.
    pub(crate) parent: i32,
    /// Whether it was made ahead, so that a call may never come.
    pub(crate) ahead: bool,
    /// Whether handlers of the program's may be in force.
    pub(crate) handlers: bool,
    /// Bytes of address space that its parent had, where that cannot have changed. `None`: it has to ask.
    pub(crate) space: Option<u64>,
}

/// The steps of the lock-down, by their numbers in the head.
pub(crate) const STEPS: [&str; 17] = [
    "die with its parent",
    "begin a session",
    "map the memory that it shares",
    "prepare for a crash",
    "measure its address space",
    "set no_new_privs",
    "give up every capability",
    "enter a Landlock domain",
    "put its streams in place",
    "put its socket in place",
    "close every other descriptor",
    "set resource limits",
    "let signals through",
    "bound its wait",
    "put the filter on",
    "say that it is ready",
    "hear that its input is there",
];

type Step<T> = Result<T, (u32, io::Error)>;

fn step<T, E: Into<io::Error>>(number: u32, outcome: Result<T, E>) -> Step<T> {
    outcome.map_err(|error| (number, error.into()))
}

/// Locks this process down, calls `body` and ends. `input`: where the function reads; without it, what lies in the room.
pub(crate) fn run(given: &Given<'_>, input: Option<&[u8]>, body: impl FnOnce(&[u8], &mut Output)) -> Infallible {
    // Without the head nobody can be told why.
    let Ok(head) = Written::map(given.room, 0, HEAD) else { fork::exit(1) };
    let (head, rest) = head.forever().split_at_mut(24);
    match lock_down(given, rest) {
        Err((number, error)) => {
            publish_failure(head, number, error.raw_os_error().unwrap_or(0));
            fork::exit(1)
        }
        Ok((region, mapped, len)) => {
            let mut output = Output::new(head, region, given.order.advise);
            let input = input.unwrap_or_else(|| &mapped.as_deref().unwrap_or_default()[..len]);
            if catch_unwind(AssertUnwindSafe(|| body(input, &mut output))).is_err() {
                output.state = state::PANIC;
            }
            output.publish();
            fork::exit(0)
        }
    }
}

fn lock_down(given: &Given<'_>, head: &'static mut [u8]) -> Step<(Written, Option<Frozen>, usize)> {
    let order = given.order;
    // A name for people.
    let _named = rustix::thread::set_name(c"lazaret-call");
    step(0, rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
    if rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get()) != given.parent {
        fork::exit(1);
    }
    step(1, rustix::process::setsid())?;
    if given.handlers {
        confine::default_signals();
    }
    let (region, input) = step(2, map(given))?;
    let (note, rest) = head.split_at_mut(1);
    let (len, message) = rest.split_at_mut(MESSAGE - 25);
    step(3, crash::note_short_memory(&mut note[0], usize::try_from(order.memory / 8).unwrap_or(usize::MAX)))?;
    std::panic::set_hook(panic_hook(&mut len[3..7], message));
    let space = match given.space {
        Some(space) => space.saturating_add(mapped(given.layout)),
        None => step(4, address_space())?,
    };
    step(5, rustix::thread::set_no_new_privs(true))?;
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    step(6, rustix::thread::set_capabilities(None, none))?;
    if let Some(ruleset) = given.ruleset {
        step(7, confine::restrict(ruleset))?;
    }
    step(8, streams(given.null))?;
    // The last use of the others was before: this may close one of them.
    let socket = step(9, confine::place(given.socket, order.socket))?;
    step(10, confine::close_others(&mut [socket.as_fd()]))?;
    step(11, limits(order, space))?;
    step(12, confine::unblock_signals())?;
    if given.ahead {
        step(13, set_socket_timeout(&socket, Timeout::Recv, Some(IDLE)))?;
    }
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let program = order.program_of(pid);
    // From here on nothing but what the filter leaves: two messages, two closings, the function.
    let listener = step(14, confine::filter(&program, order.listen))?;
    step(15, ready(&socket, pid, listener))?;
    let len = step(16, input_len(&socket, input.as_deref().map_or(0, <[u8]>::len)))?;
    drop(socket);
    Ok((region, input, len))
}

/// Waits for the caller's word. Without one this process is not needed.
fn input_len(socket: &OwnedFd, most: usize) -> io::Result<usize> {
    let mut word = [0; 9];
    let len = loop {
        match recv(socket, &mut word, RecvFlags::empty()) {
            Ok((len, _)) => break len,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                // From now on a caller is told that nobody listens; one that was told otherwise has its word in there.
                rustix::net::shutdown(socket, Shutdown::Read)?;
            }
            Err(e) => return Err(e.into()),
        }
    };
    if len != word.len() {
        fork::exit(UNUSED);
    }
    let [_, input @ ..] = word;
    usize::try_from(u64::from_ne_bytes(input)).ok().filter(|len| *len <= most).ok_or(io::ErrorKind::InvalidData.into())
}

fn map(given: &Given<'_>) -> io::Result<(Written, Option<Frozen>)> {
    let Layout { input, bound, .. } = given.layout;
    let len = |len: u64| usize::try_from(len).map_err(io::Error::other);
    let region = Written::map(given.room, given.layout.output_at(), len(bound)?)?;
    let input = match len(input)? {
        0 => None,
        len => Some(Frozen::map(given.room, given.layout.input_at(), len)?),
    };
    Ok((region, input))
}

/// Bytes that this process has mapped since its birth.
fn mapped(layout: Layout) -> u64 {
    let page = rustix::param::page_size() as u64;
    let parts = [HEAD as u64, layout.input, layout.bound, crash::STACK as u64];
    parts.iter().map(|part| part.next_multiple_of(page)).sum()
}

/// Bytes of address space that this process has now. Source: proc_pid_statm(5).
fn address_space() -> io::Result<u64> {
    parse_statm(&std::fs::read_to_string("/proc/self/statm")?)
}

/// Bytes of address space, out of the text of `/proc/PID/statm`.
pub(crate) fn parse_statm(text: &str) -> io::Result<u64> {
    let pages = text.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages * rustix::param::page_size() as u64)
}

pub(crate) fn streams(null: BorrowedFd<'_>) -> io::Result<()> {
    for number in 0..3 {
        std::mem::forget(confine::place(null, number)?);
    }
    Ok(())
}

/// Resource limits, hard ones too. Core dumps: see core(5), a limit of 1 also keeps the kernel from starting a program.
///
/// That on descriptors comes from the caller, in `Process::admit`: the kernel counts it against all descriptors of the user's
/// that are on their way in messages, when this process sends its own (unix(7), ETOOMANYREFS). Until then it is as high as
/// may be, so that no other process of the user's can use that up.
fn limits(order: &Order, space: u64) -> io::Result<()> {
    raise_open_files()?;
    let wanted = [
        (Resource::As, space.saturating_add(order.memory)),
        (Resource::Core, 1),
        (Resource::Cpu, order.cpu_seconds.saturating_add(1)),
        (Resource::Fsize, order.file_size),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Nproc, 1),
        (Resource::Sigpending, 64),
    ];
    for (resource, wanted) in wanted {
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let bound = Some(wanted.min(most));
        setrlimit(resource, Rlimit { current: bound, maximum: bound })?;
    }
    Ok(())
}

/// As many descriptors as may be.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?)
}

fn ready(socket: &OwnedFd, pid: u32, listener: Option<OwnedFd>) -> io::Result<()> {
    let mut message = [READY; 5];
    message[1..].copy_from_slice(&pid.to_ne_bytes());
    let descriptors: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
    lazaret_sys::descriptor::send(socket.as_fd(), &message, &descriptors)
}

/// Keeps the message of a panic in place of printing it.
fn panic_hook(
    len: &'static mut [u8],
    place: &'static mut [u8],
) -> Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static> {
    let kept = Mutex::new((len, place));
    Box::new(move |info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a value that is not text");
        let text =
            info.location().map_or_else(|| text.to_owned(), |at| format!("{text} ({}:{})", at.file(), at.line()));
        if let Ok(mut kept) = kept.try_lock() {
            let (len, place) = &mut *kept;
            publish_message(len, place, &text);
        }
    })
}
