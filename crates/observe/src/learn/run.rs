//! One run of the program over one file.

use super::watch::Watch;
use lazaret_sys::observed::{self, Observed};
use lazaret_sys::wait::{self, Ended, Used};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Signal;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// What a run is made of.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) program: &'a CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: &'a [CString],
    pub(super) directory: BorrowedFd<'a>,
    pub(super) input: BorrowedFd<'a>,
    pub(super) ruleset: Option<BorrowedFd<'a>>,
    pub(super) wall: Duration,
    pub(super) cancel: Option<BorrowedFd<'a>>,
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) wall: Duration,
    pub(super) used: Used,
    /// Bytes on standard output and error.
    pub(super) output: [u64; 2],
    /// The beginning of what was on standard error.
    pub(super) said: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum End {
    /// It ended by itself.
    Ended(Ended),
    /// It took longer than it may.
    Late,
    /// It kept something of what it did from being read.
    Unread,
    /// It could not be executed.
    Unstarted(io::Error),
    /// The user does not want to go on.
    Cancelled,
}

/// `ret SECCOMP_RET_USER_NOTIF`: BPF_RET, and its operand.
const NOTIFY_ALL: [u8; 8] = {
    let mut instruction = [0; 8];
    let (code, value) = (6_u16.to_ne_bytes(), 0x7fc0_0000_u32.to_ne_bytes());
    (instruction[0], instruction[1]) = (code[0], code[1]);
    (instruction[4], instruction[5], instruction[6], instruction[7]) = (value[0], value[1], value[2], value[3]);
    instruction
};

/// So much of standard error is kept, for messages.
const SAID: usize = 2048;
/// How long what is left of a run may take to die.
const DEATH: Duration = Duration::from_secs(10);

/// Starts the program.
pub(super) fn start(setup: &Setup<'_>) -> io::Result<(Observed, [OwnedFd; 2])> {
    let (out_read, out_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (err_read, err_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    for end in [&out_read, &err_read] {
        rustix::io::ioctl_fionbio(end, true)?;
    }
    let arguments: Vec<_> = setup.arguments.iter().map(CString::as_c_str).collect();
    let environment: Vec<_> = setup.environment.iter().map(CString::as_c_str).collect();
    let observed = observed::start(&observed::Command {
        program: setup.program,
        arguments: &arguments,
        environment: &environment,
        directory: setup.directory,
        streams: [setup.input, out_write.as_fd(), err_write.as_fd()],
        filter: &NOTIFY_ALL,
        ruleset: setup.ruleset,
    })?;
    lazaret_sys::seccomp::wake_in_place(observed.listener.as_fd());
    Ok((observed, [out_read, err_read]))
}

/// Answers the program's calls until it ends, and reaps it.
pub(super) fn follow(
    setup: &Setup<'_>,
    observed: Observed,
    pipes: &[OwnedFd; 2],
    watch: &mut Watch<'_>,
) -> io::Result<Outcome> {
    let begun = Instant::now();
    let mut streams = Streams::default();
    let cut = answer_all(setup, &observed, pipes, &mut streams, watch, begun + setup.wall)?;
    let wall = begun.elapsed();
    watch.end(DEATH);
    // The first process is not among those that were met if it made no call as the program.
    match rustix::process::pidfd_send_signal(&observed.process, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(e) => return Err(e.into()),
    }
    let reaped = wait::reap_used(observed.pid)?;
    streams.drain(pipes);
    let failure = observed.failure();
    let (ended, used) = reaped.unwrap_or((Ended::Exited(0), Used::default()));
    let end = match (failure, cut) {
        (Some(error), _) => End::Unstarted(error),
        (None, Some(cut)) => cut,
        (None, None) => End::Ended(ended),
    };
    Ok(Outcome { end, wall, used, output: streams.bytes, said: streams.said })
}

/// Until the first process ends; then `None`. Otherwise what cut it short.
fn answer_all(
    setup: &Setup<'_>,
    observed: &Observed,
    pipes: &[OwnedFd; 2],
    streams: &mut Streams,
    watch: &mut Watch<'_>,
    deadline: Instant,
) -> io::Result<Option<End>> {
    let listener = observed.listener.as_fd();
    loop {
        let mut events = vec![
            PollFd::from_borrowed_fd(listener, PollFlags::IN),
            PollFd::new(&observed.process, PollFlags::IN),
            PollFd::new(&pipes[0], streams.wanted(0)),
            PollFd::new(&pipes[1], streams.wanted(1)),
        ];
        events.extend(setup.cancel.map(|cancel| PollFd::from_borrowed_fd(cancel, PollFlags::IN)));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(End::Late));
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match rustix::event::poll(&mut events, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let is_ready = |at: usize| events.get(at).is_some_and(|event: &PollFd<'_>| !event.revents().is_empty());
        if is_ready(4) {
            return Ok(Some(End::Cancelled));
        }
        if events[0].revents().contains(PollFlags::IN)
            && let Some(call) = receive(listener)?
        {
            let answer = watch.call(listener, &call);
            lazaret_sys::seccomp::answer(listener, call.id, answer)?;
        }
        for stream in [0, 1] {
            if is_ready(2 + stream) {
                streams.take(stream, &pipes[stream]);
            }
        }
        if is_ready(1) {
            return Ok(None);
        }
    }
}

fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<lazaret_sys::seccomp::Notification>> {
    match lazaret_sys::seccomp::receive(listener) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
        other => other,
    }
}

/// Standard output and error: counted and thrown away.
#[derive(Debug, Default)]
struct Streams {
    bytes: [u64; 2],
    closed: [bool; 2],
    said: Vec<u8>,
}

impl Streams {
    fn wanted(&self, stream: usize) -> PollFlags {
        // A closed pipe would be reported as that for ever: an event that is not asked for is, but not waited for.
        if self.closed[stream] { PollFlags::empty() } else { PollFlags::IN }
    }

    fn take(&mut self, stream: usize, pipe: &OwnedFd) {
        let mut buffer = [0; 64 * 1024];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => self.closed[stream] = true,
            Ok(read) => {
                self.bytes[stream] += read as u64;
                if stream == 1 {
                    let room = SAID.saturating_sub(self.said.len()).min(read);
                    self.said.extend_from_slice(&buffer[..room]);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_broken) => self.closed[stream] = true,
        }
    }

    /// What is left in the pipes when everybody is dead.
    fn drain(&mut self, pipes: &[OwnedFd; 2]) {
        for (stream, pipe) in pipes.iter().enumerate() {
            loop {
                let before = self.bytes[stream];
                self.take(stream, pipe);
                if self.closed[stream] || self.bytes[stream] == before {
                    break;
                }
            }
        }
    }
}

/// Waits until the process is dead, or the time has come.
pub(super) fn wait_until(process: &OwnedFd, until: Instant) {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return };
        let mut events = [PollFd::new(process, PollFlags::IN)];
        match rustix::event::poll(&mut events, Some(&timeout)) {
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}
