//! A call's process as its caller sees it: a child of the caller's, or of a spawner's.

use super::child::{GO, READY};
use super::error::CallError;
use lazaret_sys::wait::{self, Ended, Used};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Resource, Rlimit, Signal, pidfd_send_signal, prlimit};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A call's process.
#[derive(Debug)]
pub(crate) struct Process {
    /// The caller's end of the call's own connection.
    pub(crate) socket: OwnedFd,
    pub(crate) parent: Parent,
}

/// Whose child it is.
#[derive(Debug)]
pub(crate) enum Parent {
    /// The caller's.
    Caller { pid: i32, pidfd: OwnedFd },
    /// A spawner's, which tells of its end over this connection, and ends it when its caller is done with that.
    Spawner(OwnedFd),
}

/// What a spawner tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// There is no process, by this errno.
    Failed(i32),
    /// It ended: by a signal or by itself, with a number; microseconds of user and system time; peak memory.
    Ended { signalled: bool, number: i32, user_us: u64, system_us: u64, peak_memory: u64 },
}

impl Told {
    pub(crate) fn ended(ended: Ended, used: Used) -> Self {
        let (signalled, number) = match ended {
            Ended::Exited(code) => (false, code),
            Ended::Signalled(signal) => (true, signal),
        };
        let Used { user_us, system_us, peak_memory } = used;
        Self::Ended { signalled, number, user_us, system_us, peak_memory }
    }

    pub(crate) fn send(self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let message = postcard::to_allocvec(&self).map_err(io::Error::other)?;
        lazaret_sys::descriptor::send(socket, &message, &[])
    }

    /// `None`: the spawner is gone.
    fn receive(control: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let mut bytes = [0; 128];
        match lazaret_sys::descriptor::receive(control, &mut bytes) {
            Ok((0, _)) => Ok(None),
            Ok((len, _)) => postcard::from_bytes(&bytes[..len]).map(Some).map_err(io::Error::other),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What came over a call's connection.
#[derive(Debug)]
pub(crate) enum News {
    /// Nothing more at the moment.
    Nothing,
    /// The process is locked down, and waits.
    Ready(Ready),
    /// Nobody holds the other end any more.
    Gone,
}

/// A process that is locked down.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) pid: u32,
    /// Where its refused calls are told.
    pub(crate) listener: Option<OwnedFd>,
}

/// What became of the process.
#[derive(Debug)]
pub(crate) enum End {
    /// It lives.
    None,
    /// It ended; `None`: and somebody else reaped it.
    Ended(Option<Ended>, Used),
    /// There never was one, by this errno.
    Failed(i32),
    /// The spawner is gone, and it with it.
    SpawnerDied,
}

/// Two ends of a call's connection, under numbers above those of the standard streams.
pub(crate) fn connection() -> Result<(OwnedFd, OwnedFd), CallError> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let above = |(one, other)| Ok((super::room::above_streams(one)?, super::room::above_streams(other)?));
    pair.map_err(io::Error::from).and_then(above).map_err(CallError::resource("connect with the call's process"))
}

impl Process {
    /// Lets the function begin, in the locked-down process `pid` with the last of its limits on, and an input of `len` bytes
    /// that is there. Says whether the process will take it: one that had waited too long does not.
    pub(crate) fn admit(&self, pid: u32, open_files: u64, len: u64) -> io::Result<bool> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let bound = Rlimit { current: Some(open_files), maximum: Some(open_files) };
        // It holds its end as long as it waits. Of one that is gone the number may be somebody else's.
        if self.is_gone()? {
            return Ok(false);
        }
        let before = match prlimit(Some(pid), Resource::Nofile, bound) {
            Ok(before) => before,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        let mut message = [GO; 9];
        message[1..].copy_from_slice(&len.to_ne_bytes());
        match rustix::net::send(&self.socket, &message, rustix::net::SendFlags::NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                // Gone in between.
                let _put_back = prlimit(Some(pid), Resource::Nofile, before).is_ok();
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Whether nobody holds the other end of its connection.
    fn is_gone(&self) -> io::Result<bool> {
        let mut ends = [PollFd::new(&self.socket, PollFlags::empty())];
        poll(&mut ends, Some(&Timespec::default()))?;
        Ok(ends[0].revents().contains(PollFlags::HUP))
    }

    /// The next message, without waiting.
    pub(crate) fn news(&self) -> io::Result<News> {
        let mut bytes = [0; 128];
        let (len, descriptors) = match lazaret_sys::descriptor::receive(self.socket.as_fd(), &mut bytes) {
            Ok((0, _)) => return Ok(News::Gone),
            Ok(received) => received,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(News::Nothing),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(News::Gone),
            Err(e) => return Err(e),
        };
        match bytes[..len].split_first() {
            Some((&READY, pid)) => {
                let pid = pid.first_chunk().map_or(0, |pid| u32::from_ne_bytes(*pid));
                Ok(News::Ready(Ready { pid, listener: descriptors.into_iter().next() }))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Has it killed. Its end comes as any other does.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match &self.parent {
            Parent::Caller { pidfd, .. } => match pidfd_send_signal(pidfd, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
                Err(e) => Err(e.into()),
            },
            // A spawner kills the process of a connection that its caller is done with.
            Parent::Spawner(control) => Ok(rustix::net::shutdown(control, Shutdown::Write)?),
        }
    }

    /// The descriptor that tells of its end.
    pub(crate) fn end_descriptor(&self) -> BorrowedFd<'_> {
        match &self.parent {
            Parent::Caller { pidfd: end, .. } | Parent::Spawner(end) => end.as_fd(),
        }
    }

    /// How it ended, if it has: what there is to read when its descriptor has something.
    pub(crate) fn end(&self) -> io::Result<End> {
        match &self.parent {
            Parent::Caller { pid, pidfd } => match wait::ended(*pid) {
                Ok(None) => Ok(End::None),
                Ok(Some((_, ended, used))) => Ok(End::Ended(Some(ended), used)),
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => {
                    Ok(End::Ended(wait::ended_of(pidfd.as_fd()), Used::default()))
                }
                Err(e) => Err(e),
            },
            Parent::Spawner(control) => Ok(match Told::receive(control.as_fd())? {
                None => End::SpawnerDied,
                Some(Told::Failed(errno)) => End::Failed(errno),
                Some(Told::Ended { signalled, number, user_us, system_us, peak_memory }) => {
                    let ended = if signalled { Ended::Signalled(number) } else { Ended::Exited(number) };
                    End::Ended(Some(ended), Used { user_us, system_us, peak_memory })
                }
            }),
        }
    }
}

impl Drop for Process {
    /// Whatever went wrong meanwhile: it does not outlive its call, and leaves no zombie.
    fn drop(&mut self) {
        match &self.parent {
            Parent::Caller { pid, pidfd } => {
                // One that has been reaped cannot be signalled, and its number may be another's.
                if pidfd_send_signal(pidfd, Signal::KILL).is_ok() {
                    let reaped = wait::reap(*pid);
                    debug_assert!(reaped.is_ok(), "a child can be waited for");
                }
            }
            // A fork of this process may hold the same connection, so that closing this end would tell nobody.
            Parent::Spawner(control) => drop(rustix::net::shutdown(control, Shutdown::Write)),
        }
    }
}
