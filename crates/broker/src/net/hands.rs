//! Calls on the job's own objects that may wait.
//!
//! Whether connect(2) waits is the open file's own matter, which the job can change at any moment; and closing what is no socket
//! may have to wait for a server of files, or a line that takes no bytes. So neither is done by the thread that supervises.

use lazaret_sys::option;
use rustix::event::EventfdFlags;
use rustix::net::Shutdown;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// How many threads there are at most.
const MOST: usize = 256;

/// A call that a thread makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(u64);

/// The threads of one job.
#[derive(Debug)]
pub(super) struct Hands {
    done: (Sender<Done>, Receiver<Done>),
    wake: Arc<OwnedFd>,
    /// What is being connected.
    busy: HashMap<Token, Arc<OwnedFd>>,
    /// How many threads let go of something.
    letting: Arc<AtomicUsize>,
    /// What nobody could let go of.
    kept: Vec<OwnedFd>,
    next: u64,
}

/// What came of a call.
#[derive(Debug)]
struct Done {
    token: Token,
    /// 0, or an errno.
    errno: i32,
}

impl Hands {
    pub(super) fn new() -> io::Result<Self> {
        let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self {
            done: mpsc::channel(),
            wake,
            busy: HashMap::new(),
            letting: Arc::default(),
            kept: Vec::new(),
            next: 0,
        })
    }

    /// Connects `object`, which is the job's, as the job itself would: with waiting, if it is one that waits.
    ///
    /// # Errors
    ///
    /// When there are too many already, or no thread is to be had.
    pub(super) fn connect(&mut self, object: OwnedFd, address: Vec<u8>) -> io::Result<Token> {
        if self.busy.len() >= MOST {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        let token = Token(self.next);
        self.next += 1;
        let (done, wake, object) = (self.done.0.clone(), Arc::clone(&self.wake), Arc::new(object));
        let own = Arc::clone(&object);
        let work = move || {
            let made = option::connect(own.as_fd(), &address);
            drop(own);
            let errno = made.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EIO));
            if done.send(Done { token, errno }).is_ok() {
                let woken = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                debug_assert!(woken.is_ok(), "an event counter takes a number");
            }
        };
        thread::Builder::new().name("lazaret-connect".to_owned()).spawn(work)?;
        self.busy.insert(token, object);
        Ok(token)
    }

    /// Lets go of an object that is no socket.
    pub(super) fn let_go(&mut self, object: OwnedFd) {
        let letting = Arc::clone(&self.letting);
        if letting.fetch_add(1, Ordering::AcqRel) >= MOST {
            letting.fetch_sub(1, Ordering::AcqRel);
            self.kept.push(object);
            return;
        }
        let work = move || {
            drop(object);
            letting.fetch_sub(1, Ordering::AcqRel);
        };
        // Where there is no thread to be had, what was to be let go of is let go of here.
        drop(thread::Builder::new().name("lazaret-close".to_owned()).spawn(work));
    }

    /// Whether the job has had all threads wait for what it gave them to close: it is to be ended.
    pub(super) fn is_overrun(&self) -> bool {
        !self.kept.is_empty()
    }

    pub(super) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// What came of calls since the last time.
    pub(super) fn done(&mut self) -> Vec<(Token, i32)> {
        let mut count = [0; 8];
        let read = rustix::io::read(&*self.wake, &mut count);
        debug_assert!(read != Err(rustix::io::Errno::BADF), "it is held");
        let done: Vec<(Token, i32)> = self.done.1.try_iter().map(|Done { token, errno }| (token, errno)).collect();
        for (token, _) in &done {
            self.busy.remove(token);
        }
        done
    }

    /// Has all calls come to an end: the job is dead.
    pub(super) fn stop(&mut self) {
        for object in self.busy.values() {
            // What waits in connect(2) is woken by it.
            let ended = rustix::net::shutdown(&**object, Shutdown::Both);
            debug_assert!(ended != Err(rustix::io::Errno::BADF), "it is held");
        }
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.stop();
        let kept = std::mem::take(&mut self.kept);
        if !kept.is_empty() {
            drop(thread::Builder::new().name("lazaret-close".to_owned()).spawn(move || drop(kept)));
        }
    }
}
