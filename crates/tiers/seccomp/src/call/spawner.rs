//! A small process that forks for a large one.

use super::ahead::Ahead;
use super::child::{self, Given, Word};
use super::error::{CallError, SandboxError};
use super::order::Order;
use super::output::Output;
use super::process::{Parent, Process, Told, begin, connection};
use super::recipe::Recipe;
use super::room::{Layout, Room, above_streams};
use lazaret_sys::entry::{Channel, Code, Entry, Received};
use lazaret_sys::{confine, fork, signal, wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The most bytes of a request: the longest filter, and room for the rest.
const MOST: usize = 64 * 1024;

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
    /// Processes that wait for their input.
    ahead: Ahead,
    code: Code,
    pid: i32,
    pidfd: OwnedFd,
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
            Ok(pidfd) => {
                Ok(Self(Arc::new(Handle { channel: Some(channel), ahead: Ahead::default(), code, pid, pidfd })))
            }
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

    /// What was made ahead.
    pub(crate) fn ahead(&self) -> &Ahead {
        &self.0.ahead
    }

    /// Has it fork for one call, with an input of `input` bytes that is there; or without, for one that is still to come.
    pub(crate) fn spawn(
        &self,
        entry: Entry<Output>,
        layout: Layout,
        order: &[u8],
        recipe: &Recipe,
        room: &Room,
        input: Option<u64>,
    ) -> Result<Process, CallError> {
        let (socket, other) = connection()?;
        let (control, reports) = connection()?;
        if let Some(input) = input {
            begin(socket.as_fd(), input).map_err(CallError::resource("connect with the call's process"))?;
        }
        let mut message = postcard::to_allocvec(&layout)
            .map_err(|e| CallError::Resource { what: "write a request", source: io::Error::other(e) })?;
        message.extend_from_slice(order);
        let mut descriptors = vec![room.file(), other.as_fd(), reports.as_fd()];
        descriptors.extend(recipe.ruleset.as_ref().map(AsFd::as_fd));
        let channel = self.0.channel.as_ref().ok_or(CallError::SpawnerDied)?;
        match channel.send(entry, &message, &descriptors) {
            Ok(()) => Ok(Process { socket, parent: Parent::Spawner(control) }),
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Err(CallError::SpawnerDied)
            }
            Err(source) => Err(CallError::Resource { what: "ask the spawner", source }),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.pid.unsigned_abs()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
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

/// The spawner's own state.
struct Serving {
    channel: Channel<Output>,
    caller: OwnedFd,
    /// Becomes readable when a child ends.
    ends: OwnedFd,
    null: OwnedFd,
    /// Its own `/proc/self/statm`, kept open: a child's would have to be made by the kernel for each call.
    statm: OwnedFd,
    own: i32,
    running: Vec<Running>,
}

struct Running {
    pid: i32,
    /// The connection with its caller.
    control: OwnedFd,
    killed: bool,
}

impl Serving {
    fn begin(channel: Channel<Output>, keep: &OwnedFd, caller: Pid) -> io::Result<Self> {
        confine::default_signals();
        rustix::thread::set_name(c"lazaret-spawn")?;
        rustix::process::setsid()?;
        let caller_pidfd = above_streams(pidfd_open(caller, PidfdFlags::empty())?)?;
        if rustix::process::getppid() != Some(caller) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let null = above_streams(rustix::fs::open("/dev/null", flags, Mode::empty())?)?;
        let ends = above_streams(signal::descriptor(&[libc::SIGCHLD])?)?;
        let statm = rustix::fs::open("/proc/self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let statm = above_streams(statm)?;
        child::streams(null.as_fd())?;
        let keep = [channel.as_fd(), keep.as_fd(), caller_pidfd.as_fd(), null.as_fd(), ends.as_fd(), statm.as_fd()];
        confine::close_others(&mut { keep })?;
        let own = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Self { channel, caller: caller_pidfd, ends, null, statm, own, running: Vec::new() })
    }

    fn serve(mut self) -> Infallible {
        let mut message = vec![0; MOST];
        loop {
            // Whatever fails here leaves nothing to go on with; calls that run end with it.
            match self.turn(&mut message) {
                Ok(true) => {}
                Ok(false) => fork::exit(0),
                Err(_) => fork::exit(1),
            }
        }
    }

    /// Waits for something to do, and does it. Returns whether to go on.
    fn turn(&mut self, message: &mut [u8]) -> io::Result<bool> {
        let watched = [self.channel.as_fd(), self.caller.as_fd(), self.ends.as_fd()];
        let controls = self.running.iter().filter(|running| !running.killed).map(|running| running.control.as_fd());
        let mut polled: Vec<PollFd<'_>> =
            watched.into_iter().chain(controls).map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
        let events: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        let [asked, caller_ended, child_ended] = [0, 1, 2].map(|at| events[at]);
        if caller_ended {
            return Ok(false);
        }
        // A caller that is done with a connection, or gone from it, wants the end.
        let live = self.running.iter_mut().filter(|running| !running.killed);
        for (running, _) in live.zip(&events[3..]).filter(|(_, done)| **done) {
            running.killed = true;
            if let Some(pid) = Pid::from_raw(running.pid) {
                kill_process(pid, Signal::KILL)?;
            }
        }
        if child_ended {
            self.reap()?;
        }
        if !asked {
            return Ok(true);
        }
        match self.channel.receive(message) {
            Ok(Some(request)) => self.start(request).map(|()| true),
            Ok(None) => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        let mut arrived = [0; 128];
        // What arrived only says that some child ended.
        let _drained = rustix::io::read(&self.ends, &mut arrived).is_ok();
        loop {
            let (pid, ended, used) = match wait::ended(-1) {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(()),
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                Err(e) => return Err(e),
            };
            if let Some(at) = self.running.iter().position(|running| running.pid == pid) {
                let running = self.running.swap_remove(at);
                // A caller that is gone need not be told.
                let _told = Told::ended(ended, used).send(running.control.as_fd()).is_ok();
            }
        }
    }

    fn address_space(&self) -> io::Result<u64> {
        let mut text = [0; 128];
        let len = rustix::io::pread(&self.statm, &mut text, 0)?;
        child::parse_statm(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }

    fn start(&mut self, request: Received<Output>) -> io::Result<()> {
        let (layout, rest) = postcard::take_from_bytes::<Layout>(&request.bytes).map_err(io::Error::other)?;
        let order: Order = postcard::from_bytes(rest).map_err(io::Error::other)?;
        let mut descriptors = request.descriptors.into_iter();
        let (Some(room), Some(socket), Some(control)) = (descriptors.next(), descriptors.next(), descriptors.next())
        else {
            // Out of descriptors: the connection is closed with the rest, which tells the caller.
            return Ok(());
        };
        let ruleset = descriptors.next();
        let given = Given {
            order: &order,
            layout,
            room: room.as_fd(),
            socket: socket.as_fd(),
            ruleset: ruleset.as_ref().map(AsFd::as_fd),
            null: self.null.as_fd(),
            parent: self.own,
            word: Word::Input,
            handlers: false,
            space: Some(self.address_space()?),
        };
        let entry = request.entry;
        let forked = fork::fork(|| {
            // Without its ruleset it must not begin: descriptors had run out.
            if given.ruleset.is_some() != order.restrict {
                fork::exit(1);
            }
            match child::run(&given, None, |input, output| entry.call(input, output)) {}
        });
        match forked {
            Ok(pid) => {
                self.running.push(Running { pid, control, killed: false });
            }
            Err(e) => {
                let _told = Told::Failed(e.raw_os_error().unwrap_or(libc::EAGAIN)).send(control.as_fd()).is_ok();
            }
        }
        Ok(())
    }
}
