//! Bounded reads of what waiting threads name.
//!
//! Reading a process's memory, and asking about the files that it has, may last as long as somebody likes: a page that
//! userfaultfd(2) does not fill, or that is of a file whose server (FUSE, NFS) does not answer. The kernel lets nothing but
//! the reader's own death end such a wait. So a thread of its own reads, and who asked waits for it with a bound.

use crate::thread::{InspectError, Thread};
use lazaret_sys::seccomp::Notification;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

/// How long one read may take.
const READ: Duration = Duration::from_millis(500);
/// How long the slow reads of one job may take together.
const READS: Duration = Duration::from_secs(2);
/// From when on a read is slow. Honest ones, of pages that are there, take microseconds.
const SLOW: Duration = Duration::from_millis(5);

type Task = Box<dyn FnOnce(BorrowedFd<'_>) + Send>;

/// Reads what threads of one job have in their memory, in a bounded time. A job that once made a read last too long is
/// not read any more.
#[derive(Debug)]
pub struct Reader {
    worker: Option<Sender<Task>>,
    left: Duration,
    /// Whether who asks reads by himself.
    here: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { worker: None, left: READS, here: false }
    }
}

impl Reader {
    /// One that needs no thread and no bound: for a job that has no page that is not there at once, as it has neither
    /// userfaultfd(2) nor a file of another machine's or process's.
    pub fn of_memory_that_is_there() -> Self {
        Self { here: true, ..Self::default() }
    }

    /// What `read` makes of the thread whose call was received from `listener` as `notification`. All reads of a job have
    /// the same listener.
    ///
    /// # Errors
    ///
    /// [`InspectError::Late`], and what `read` fails with. What is late goes on by itself, at the longest until the job is
    /// dead and its memory with it.
    pub fn read<T: Send + 'static>(
        &mut self,
        listener: BorrowedFd<'_>,
        notification: &Notification,
        read: impl FnOnce(&Thread<'_>) -> Result<T, InspectError> + Send + 'static,
    ) -> Result<T, InspectError> {
        if self.here {
            return read(&Thread::new(listener, notification));
        }
        let allowed = READ.min(self.left);
        if allowed.is_zero() {
            return Err(InspectError::Late);
        }
        let notification = *notification;
        let (answer, answered) = mpsc::sync_channel(1);
        let task = move |listener: BorrowedFd<'_>| {
            // Who no longer waits for it does not need it.
            drop(answer.send(read(&Thread::new(listener, &notification))));
        };
        let began = Instant::now();
        let sent = self.worker(listener)?.send(Box::new(task));
        let found = sent.ok().and_then(|()| answered.recv_timeout(allowed).ok());
        let took = began.elapsed();
        if took >= SLOW {
            self.left = self.left.saturating_sub(took);
        }
        found.unwrap_or_else(|| {
            (self.left, self.worker) = (Duration::ZERO, None);
            Err(InspectError::Late)
        })
    }

    fn worker(&mut self, listener: BorrowedFd<'_>) -> Result<&Sender<Task>, InspectError> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => start(listener.try_clone_to_owned().map_err(InspectError::Reader)?)?,
        };
        Ok(self.worker.insert(worker))
    }
}

/// Starts a thread that works off what it is sent, until nobody can send any more.
fn start(listener: OwnedFd) -> Result<Sender<Task>, InspectError> {
    let (send, tasks) = mpsc::channel::<Task>();
    let work = move || tasks.iter().for_each(|task| task(listener.as_fd()));
    let started = std::thread::Builder::new().name("lazaret-read".to_owned()).spawn(work);
    started.map_err(InspectError::Reader)?;
    Ok(send)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn notification() -> Notification {
        Notification { id: 0, pid: std::process::id(), number: 0, arch: 0, instruction_pointer: 0, args: [0; 6] }
    }

    #[test]
    fn what_is_read_in_time_is_there_and_costs_nothing_of_the_bound() {
        let (mut reader, anything) = (Reader::default(), File::open("/dev/null").expect("it is there"));

        let read: Vec<u32> = (0..1000)
            .filter_map(|_| reader.read(anything.as_fd(), &notification(), |thread| Ok(thread.tid())).ok())
            .collect();

        assert_eq!(read, vec![std::process::id(); 1000]);
        assert!(reader.left > Duration::from_secs(1), "{reader:?}");
    }

    #[test]
    fn a_read_without_an_end_is_given_up_and_is_the_last_one() {
        let (mut reader, anything) = (Reader::default(), File::open("/dev/null").expect("it is there"));
        let began = Instant::now();

        let endless = reader.read(anything.as_fd(), &notification(), |_| -> Result<(), _> {
            loop {
                std::thread::park();
            }
        });
        let later: Vec<_> =
            (0..100).map(|_| reader.read(anything.as_fd(), &notification(), |thread| Ok(thread.tid()))).collect();

        assert!(matches!(endless, Err(InspectError::Late)), "{endless:?}");
        assert!(later.iter().all(|read| matches!(read, Err(InspectError::Late))));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
