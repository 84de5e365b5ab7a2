//! Calls that wait for their connections.

use super::hands::Token;
use super::place::Placed;
use super::socket::{self, Begun, State};
use super::transcript::Entry;
use super::{LOOK, Net, pollers};
use crate::caller::{Caller, CallerError, Reply};
use lazaret_sys::seccomp::{self, Notification};
use rustix::fs::OFlags;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a connection is kept on its way whose call went away: a signal's handler may have it made again.
const KEPT: Duration = Duration::from_secs(5);
/// How many calls wait at most. More threads wait for the first of them to end.
pub(super) const MOST: usize = 256;

/// The errno by which a call of the kernel's own says that a signal came: a program never sees it.
///
/// Source: include/linux/errno.h of the kernel; the same is set where a signal ends the wait for a supervisor.
const ERESTARTSYS: i32 = 512;

/// How often is looked for signals, where none makes itself felt.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(5);

/// A call that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) notification: Notification,
    /// The number that the caller named.
    pub(super) descriptor: u32,
    /// The cookie of the socket that the number stood for.
    pub(super) cookie: u64,
    /// Whom to.
    pub(super) address: SocketAddr,
    /// The same as it was put to the kernel.
    pub(super) bytes: Vec<u8>,
    pub(super) socket: Connecting,
    /// When the job does not want to wait any longer.
    pub(super) until: Option<Instant>,
    /// Since when the call is gone.
    pub(super) gone: Option<Instant>,
    /// Whether a signal was on its way to the caller at the last look.
    pub(super) signalled: bool,
}

/// What is being connected.
#[derive(Debug)]
pub(super) enum Connecting {
    /// The job's own socket, by a thread.
    Own(Token),
    /// One from outside, that is to take its place.
    Replica {
        socket: OwnedFd,
        cloexec: bool,
        /// The status flags of the job's socket.
        flags: OFlags,
        entry: Option<Entry>,
    },
    /// One from outside that has taken its place already.
    Placed(OwnedFd),
}

impl Pending {
    /// What becomes writable when it can be answered; a thread says so by itself.
    pub(super) fn interest(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            Connecting::Replica { socket, .. } | Connecting::Placed(socket) => Some(socket.as_fd()),
            Connecting::Own(_) => None,
        }
    }

    /// Whether a signal waits for the caller, at this look and at the last one: one that another thread takes is gone by
    /// then. Where no signal disturbs a call that is waited for, somebody has to look.
    fn is_to_be_interrupted(&mut self) -> bool {
        let was = std::mem::replace(&mut self.signalled, is_signalled(self.notification.pid));
        was && self.signalled
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// What became of it, if that can be said.
    fn outcome(&self, done: &[(Token, i32)]) -> io::Result<Option<i32>> {
        let socket = match &self.socket {
            Connecting::Own(own) => return Ok(done.iter().find(|(token, _)| token == own).map(|(_, errno)| *errno)),
            Connecting::Placed(socket) => return became(socket.as_fd()),
            Connecting::Replica { socket, .. } => socket,
        };
        if !socket::is_settled(socket.as_fd()) {
            return Ok(None);
        }
        // Asked again, the kernel says what became of it, and the socket knows that it was told.
        Ok(Some(match socket::begin_at_once(socket.as_fd(), &self.bytes)? {
            Begun::Done => 0,
            Begun::Failed(errno) => errno,
            Begun::Waiting => libc::EINPROGRESS,
        }))
    }
}

/// What became of a connection that the job has already, if that can be said. It can be ended by the job meanwhile.
fn became(socket: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    Ok(match socket::state(socket)? {
        State::Opening => None,
        State::Open => Some(0),
        State::Closed => Some(Some(socket::error(socket)?).filter(|errno| *errno != 0).unwrap_or(libc::ECONNABORTED)),
    })
}

impl Net {
    /// Keeps a call until its connection is there.
    pub(super) fn wait(&mut self, pending: Pending) {
        let look = self.patience();
        self.look.get_or_insert_with(|| Instant::now() + look);
        self.pending.push(pending);
    }

    /// Answers all that can be answered, and forgets those that went away for good.
    pub(super) fn answer_pending(&mut self, listener: BorrowedFd<'_>, now: Instant) -> io::Result<()> {
        let done = self.hands.done();
        for mut pending in std::mem::take(&mut self.pending) {
            if pending.gone.is_none() && !seccomp::is_waiting(listener, pending.notification.id) {
                pending.gone = Some(now);
            }
            if let Some(gone) = pending.gone {
                // A thread that is done has nothing to be kept for.
                let is_over =
                    matches!(pending.socket, Connecting::Own(own) if done.iter().any(|(token, _)| *token == own));
                if now >= gone + KEPT || is_over {
                    self.give_up(&pending, libc::EINTR);
                } else {
                    self.pending.push(pending);
                }
                continue;
            }
            if self.undisturbed && pending.is_to_be_interrupted() {
                // The kernel makes of it what the signal's handler wants: EINTR, or the same call once more.
                Caller::new(listener, &pending.notification).answer(Reply::Errno(ERESTARTSYS))?;
                pending.gone = Some(now);
                self.pending.push(pending);
                continue;
            }
            let in_time = pending.until.is_none_or(|until| now < until);
            if let Some(error) = pending.outcome(&done)? {
                self.settle(listener, pending, error)?;
            } else if in_time {
                self.pending.push(pending);
            } else {
                // As the kernel does when SO_SNDTIMEO has passed: the connection goes on by itself.
                self.settle(listener, pending, libc::EINPROGRESS)?;
            }
        }
        self.look = (!self.pending.is_empty()).then(|| now + self.patience());
        Ok(())
    }

    /// How long it is until the next look.
    fn patience(&self) -> Duration {
        if self.undisturbed { LOOK_FOR_SIGNALS } else { LOOK }
    }

    fn give_up(&mut self, pending: &Pending, errno: i32) {
        if let Connecting::Replica { entry, .. } = pending.socket {
            self.transcript.failed(entry, errno);
        }
    }

    /// Ends a wait for what will not come.
    pub(super) fn abandon(&mut self, listener: BorrowedFd<'_>, pending: Pending) -> io::Result<()> {
        // The job's own servers are not concerned.
        if matches!(pending.socket, Connecting::Own(_)) {
            self.wait(pending);
            return Ok(());
        }
        self.settle(listener, pending, libc::ENETDOWN)
    }

    /// Ends a wait: connected, failed, or to go on without anybody who waits.
    fn settle(&mut self, listener: BorrowedFd<'_>, pending: Pending, error: i32) -> io::Result<()> {
        let Pending { notification, descriptor, address, socket, .. } = pending;
        let caller = Caller::new(listener, &notification);
        let reply = |errno| if errno == 0 { Reply::Value(0) } else { Reply::Errno(errno) };
        match socket {
            Connecting::Own(_) => caller.answer(reply(error)),
            Connecting::Placed(socket) => {
                if error == 0
                    && let Some(placed) = self.placed.get_mut(&socket::cookie(socket.as_fd())?)
                {
                    placed.told = true;
                }
                caller.answer(reply(error))
            }
            Connecting::Replica { entry, .. } if !matches!(error, 0 | libc::EINPROGRESS) => {
                self.transcript.failed(entry, error);
                caller.answer(reply(error))
            }
            Connecting::Replica { socket, cloexec, flags, entry } => {
                let placed = Placed { address, entry, told: error == 0 };
                let put = self.put(&caller, descriptor, socket, (cloexec, flags), placed);
                if error == 0 {
                    self.transcript.connected(entry);
                }
                match put {
                    Ok(()) => caller.answer(reply(error)),
                    Err(CallerError::Gone) => Ok(()),
                    Err(CallerError::Errno(errno)) => caller.answer(reply(errno)),
                    Err(CallerError::Late | CallerError::Own(_)) => caller.answer(reply(libc::ENOBUFS)),
                }
            }
        }
    }

    /// Puts a socket from outside into the place of the job's, with the flags of that.
    pub(super) fn put(
        &mut self,
        caller: &Caller<'_>,
        descriptor: u32,
        socket: OwnedFd,
        (cloexec, flags): (bool, OFlags),
        placed: Placed,
    ) -> Result<(), CallerError> {
        let own = |errno: rustix::io::Errno| CallerError::Own(errno.into());
        // Known before it can be used.
        let cookie = socket::cookie(socket.as_fd()).map_err(CallerError::Own)?;
        // It was made as one that does not wait.
        if flags != OFlags::RDWR | OFlags::NONBLOCK {
            rustix::fs::fcntl_setfl(&socket, flags).map_err(own)?;
        }
        self.account(socket.as_fd(), placed.address, placed.entry)?;
        self.placed.insert(cookie, placed);
        if self.keeps {
            self.kept.push(socket.try_clone().map_err(CallerError::Own)?);
        }
        let number = descriptor.cast_signed();
        let watched = self.pollers.of(caller, number);
        caller.put(descriptor, socket.as_fd(), cloexec)?;
        pollers::register(caller, watched, socket.as_fd(), number, &mut self.hands)
    }
}

/// Whether a signal that the thread `tid` does not block waits for it.
///
/// Source: proc_pid_status(5), `SigPnd`, `ShdPnd`, `SigBlk`. Ignored ones are not kept.
fn is_signalled(tid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{tid}/status")) else { return false };
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let (own, shared, blocked) = (mask("SigPnd:"), mask("ShdPnd:"), mask("SigBlk:"));
    let waiting = own.unwrap_or(0) | shared.unwrap_or(0);
    waiting & !blocked.unwrap_or(u64::MAX) != 0
}
