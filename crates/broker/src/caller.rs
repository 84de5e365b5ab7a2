//! A thread of the job that waits in a call, and what can be had of it and done for it.

use lazaret_inspect::{InspectError, Reader};
use lazaret_sys::processor;
use lazaret_sys::seccomp::{self, Answer, Notification, Put};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// A thread that waits for the answer to its call.
///
/// What is had of it is of the very thread that waits: each look ends with the question whether its call still does, as
/// the numbers of threads are used again.
#[derive(Debug)]
pub struct Caller<'a> {
    listener: BorrowedFd<'a>,
    notification: &'a Notification,
    process: OnceCell<Process>,
}

/// A descriptor of a thread of the job, kept from one of its calls to its next.
///
/// A thread has its number until it is dead and gone. So one that had a number before a call was received, and that
/// lives after that, had it in between, and made the call.
#[derive(Debug)]
pub(crate) struct Process {
    descriptor: OwnedFd,
    /// The number, where the descriptor is of the very thread, and not of its process.
    thread: Option<u32>,
}

impl Process {
    /// Whether the thread `tid` is the one that this is of, and lives. Source: pidfd_open(2), on poll(2).
    fn is(&self, tid: u32) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.thread == Some(tid) && poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&now)) == Ok(0)
    }
}

/// Why nothing can be had of a thread, or done for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallerError {
    /// Its call went away: it was killed, or a signal came. There is nobody to answer.
    #[error("the call no longer waits")]
    Gone,
    /// It named something that is not there, as a number or an address: what the call itself would fail with.
    #[error("the call names nothing: errno {0}")]
    Errno(i32),
    /// Its memory cannot be read in a bounded time.
    #[error("reading the caller's memory took too long")]
    Late,
    /// This process may not look at it, or lacks a descriptor or memory for that.
    #[error("cannot look at the caller")]
    Own(#[source] io::Error),
}

/// What a call returns to the job.
#[derive(Debug)]
pub enum Reply {
    /// It fails with this errno.
    Errno(i32),
    /// It returns this number.
    Value(i64),
    /// It returns the number of a descriptor, which it has from now on.
    Descriptor {
        /// What for.
        object: OwnedFd,
        /// Whether it is closed on exec.
        cloexec: bool,
    },
}

impl<'a> Caller<'a> {
    /// The thread whose call was received from `listener` as `notification`, and was not answered yet.
    pub fn new(listener: BorrowedFd<'a>, notification: &'a Notification) -> Self {
        Self { listener, notification, process: OnceCell::new() }
    }

    /// The same, with what was kept of a caller before it. The call was received after that.
    pub(crate) fn after(listener: BorrowedFd<'a>, notification: &'a Notification, before: Option<Process>) -> Self {
        let process = before.filter(|process| process.is(notification.pid));
        Self { listener, notification, process: process.map_or_else(OnceCell::new, OnceCell::from) }
    }

    /// What is to be kept of it.
    pub(crate) fn into_process(self) -> Option<Process> {
        self.process.into_inner()
    }

    /// Its call.
    pub fn notification(&self) -> &'a Notification {
        self.notification
    }

    /// Where its call was received from.
    pub(crate) fn listener(&self) -> BorrowedFd<'a> {
        self.listener
    }

    /// The number of its thread, in the pid namespace of this process.
    pub fn tid(&self) -> u32 {
        self.notification.pid
    }

    /// Whether its call still waits. What was had before is then of this thread.
    pub fn is_waiting(&self) -> bool {
        seccomp::is_waiting(self.listener, self.notification.id)
    }

    /// A descriptor of the thread itself.
    ///
    /// # Errors
    ///
    /// When it is gone, or cannot be had.
    pub fn process(&self) -> Result<BorrowedFd<'_>, CallerError> {
        if let Some(process) = self.process.get() {
            return Ok(process.descriptor.as_fd());
        }
        let process = open(self.notification.pid)?;
        // It may be another's that got the number.
        if !self.is_waiting() {
            return Err(CallerError::Gone);
        }
        Ok(self.process.get_or_init(|| process).descriptor.as_fd())
    }

    /// A descriptor of the very thread, to keep, if it is the only one of its process. Else `None`, and where there is
    /// none to be had: before Linux 6.9.
    pub(crate) fn only_thread(&self) -> Option<OwnedFd> {
        let process = self.process().ok()?.try_clone_to_owned().ok()?;
        self.process.get()?.thread?;
        // Two names and one for each thread: proc_pid_task(5).
        let threads = rustix::fs::stat(format!("/proc/{}/task", self.tid())).ok()?.st_nlink;
        (threads == 3 && self.is_waiting()).then_some(process)
    }

    /// The object that the number `descriptor` stands for in the caller, at this moment. Other threads of the job may
    /// make it stand for another in the next: so whatever is decided is decided about this object, and done with it.
    ///
    /// # Errors
    ///
    /// `Errno(EBADF)` when the number stands for nothing; see [`CallerError`].
    pub fn descriptor(&self, descriptor: i32) -> Result<OwnedFd, CallerError> {
        if descriptor < 0 {
            return Err(CallerError::Errno(libc::EBADF));
        }
        match pidfd_getfd(self.process()?, descriptor, PidfdGetfdFlags::empty()) {
            Ok(object) => Ok(object),
            Err(rustix::io::Errno::BADF) => Err(CallerError::Errno(libc::EBADF)),
            Err(rustix::io::Errno::SRCH) => Err(CallerError::Gone),
            Err(errno) => Err(CallerError::Own(errno.into())),
        }
    }

    /// Copies `length` bytes at `address`, once.
    ///
    /// # Errors
    ///
    /// `Errno(EFAULT)` when there are fewer; see [`CallerError`].
    pub fn copy(&self, reader: &mut Reader, address: u64, length: usize) -> Result<Vec<u8>, CallerError> {
        let read = reader.read(self.listener, self.notification, move |thread| {
            let mut bytes = vec![0; length];
            let read = thread.read(address, &mut bytes)?;
            bytes.truncate(read);
            Ok(bytes)
        });
        let bytes = self.settle(read)?;
        if bytes.len() == length { Ok(bytes) } else { Err(CallerError::Errno(libc::EFAULT)) }
    }

    /// Copies the bytes at `address` up to a zero, which is not among them, once.
    ///
    /// # Errors
    ///
    /// `Errno(EFAULT)` when memory ends before, `Errno(ENAMETOOLONG)` when there is no zero among `bound` bytes; see
    /// [`CallerError`].
    pub fn copy_text(&self, reader: &mut Reader, address: u64, bound: usize) -> Result<Vec<u8>, CallerError> {
        let read = reader.read(self.listener, self.notification, move |thread| {
            let text = thread.read_string(address, bound)?;
            let is_long = text.is_none() && thread.read(address, &mut vec![0; bound])? == bound;
            Ok((text, is_long))
        });
        match self.settle(read)? {
            (Some(text), _) => Ok(text),
            (None, true) => Err(CallerError::Errno(libc::ENAMETOOLONG)),
            (None, false) => Err(CallerError::Errno(libc::EFAULT)),
        }
    }

    fn settle<T>(&self, read: Result<T, InspectError>) -> Result<T, CallerError> {
        let read = read.map_err(|error| match error {
            InspectError::Gone => CallerError::Gone,
            InspectError::Late => CallerError::Late,
            InspectError::Denied(source) | InspectError::Reader(source) => CallerError::Own(source),
            other => CallerError::Own(io::Error::other(other)),
        })?;
        if self.is_waiting() { Ok(read) } else { Err(CallerError::Gone) }
    }

    /// Has the number `number` of the caller stand for `object`, in place of what it stands for, while the call waits
    /// on.
    ///
    /// # Errors
    ///
    /// When it is gone, or may have no such number.
    pub fn put(&self, number: u32, object: BorrowedFd<'_>, cloexec: bool) -> Result<(), CallerError> {
        match seccomp::put(self.listener, self.notification.id, object, Put::At(number), cloexec) {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Err(CallerError::Gone),
            Err(e) if e.raw_os_error() == Some(libc::EMFILE) => Err(CallerError::Errno(libc::EMFILE)),
            Err(e) => Err(CallerError::Own(e)),
        }
    }

    /// Lets the kernel make the call as it is by then: only where nothing that the job could have made of it is out of
    /// bounds, by walls that depend on no look at it.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer.
    pub fn go_on(&self) -> io::Result<()> {
        seccomp::answer(self.listener, self.notification.id, Answer::Continue)
    }

    /// Whether another call, received from the same listener, still waits.
    pub fn is_other_waiting(&self, other: &Notification) -> bool {
        seccomp::is_waiting(self.listener, other.id)
    }

    /// Ends the wait. A call that went away is no error.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer: nothing is supervised then.
    pub fn answer(&self, reply: Reply) -> io::Result<()> {
        let id = self.notification.id;
        match reply {
            Reply::Errno(errno) => seccomp::answer(self.listener, id, Answer::Errno(errno)),
            Reply::Value(value) => seccomp::answer(self.listener, id, Answer::Value(value)),
            Reply::Descriptor { object, cloexec } => {
                let put = seccomp::put(self.listener, id, object.as_fd(), Put::AsAnswer, cloexec);
                self.settle_put(put, |_| Ok(()))
            }
        }
    }

    /// Ends the wait with a descriptor, on this thread's processor. The caller is kept there while it is in its call
    /// only, so it sees nothing of it; nor does a signal come in between, where no signal but one that kills disturbs
    /// calls that were received (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`).
    pub(crate) fn answer_here(&self, object: BorrowedFd<'_>, cloexec: bool) -> io::Result<()> {
        let id = self.notification.id;
        let kept = (processor::keep_own(), processor::keep_here(self.tid()));
        let put = seccomp::put(self.listener, id, object, Put::Anywhere, cloexec);
        drop(kept);
        self.settle_put(put, |number| seccomp::answer(self.listener, id, Answer::Value(number.into())))
    }

    fn settle_put(&self, put: io::Result<u32>, then: impl FnOnce(u32) -> io::Result<()>) -> io::Result<()> {
        match put {
            Ok(number) => then(number),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            // Its own limit on descriptors is reached: it is told so, as by the call itself.
            Err(e) if e.raw_os_error() == Some(libc::EMFILE) => {
                seccomp::answer(self.listener, self.notification.id, Answer::Errno(libc::EMFILE))
            }
            Err(e) => Err(e),
        }
    }
}

/// `PIDFD_THREAD`: of a thread that need not be the first of its process. Linux 6.9.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());

fn open(tid: u32) -> Result<Process, CallerError> {
    let thread = |tid: u32| i32::try_from(tid).ok().and_then(Pid::from_raw).ok_or(CallerError::Gone);
    let (opened, of) = match pidfd_open(thread(tid)?, THREAD) {
        // Before Linux 6.9 only of a whole process, named by its first thread. Its threads share their descriptors,
        // unless the process has them share nothing, which is found out by whoever looks.
        Err(rustix::io::Errno::INVAL) => (pidfd_open(thread(first_thread(tid)?)?, PidfdFlags::empty()), None),
        opened => (opened, Some(tid)),
    };
    match opened {
        Ok(descriptor) => Ok(Process { descriptor, thread: of }),
        Err(rustix::io::Errno::SRCH) => Err(CallerError::Gone),
        Err(errno) => Err(CallerError::Own(errno.into())),
    }
}

/// Source: proc_pid_status(5).
fn first_thread(tid: u32) -> Result<u32, CallerError> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).map_err(|_gone| CallerError::Gone)?;
    let number = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    number.ok_or(CallerError::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_itself_while_it_lives_and_nobody_when_it_is_dead() {
        let (send, received) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let tid = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
            send.send(tid).expect("somebody waits for it");
            // Until nobody can tell it anything any more.
            assert!(ended.recv().is_err());
        });
        let tid = received.recv().expect("its number");
        let process = open(tid).expect("it lives");
        // Before Linux 6.9 nothing is kept.
        let is_kept = process.thread.is_some();

        let (living, other) = (process.is(tid), process.is(tid + 1));
        drop(end);
        thread.join().expect("it ends");
        // The kernel wakes who joins a thread before the thread is dead to others.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while process.is(tid) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }

        assert_eq!(living, is_kept);
        assert!(!other && !process.is(tid));
    }
}
