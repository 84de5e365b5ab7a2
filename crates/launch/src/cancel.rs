//! Ending jobs from outside.

use crate::error::RunError;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Ends jobs from outside: once it is cancelled, running jobs die and new ones are not started.
#[derive(Debug, Clone)]
pub struct Cancel {
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// Not cancelled yet.
    ///
    /// # Errors
    ///
    /// When descriptors run out.
    pub fn new() -> Result<Self, RunError> {
        let event =
            rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK);
        let event =
            event.map_err(|errno| RunError::Resource { what: "make an event descriptor", source: errno.into() })?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Cancelled when `descriptor` becomes readable, as a signalfd(2) or an eventfd(2) does.
    pub fn when_readable(descriptor: OwnedFd) -> Self {
        Self { event: Arc::new(descriptor) }
    }

    /// Cancels.
    pub fn cancel(&self) {
        // An event counter that is full already says what this would say.
        let told = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
        debug_assert!(told.is_ok_and(|n| n == 8) || told == Err(rustix::io::Errno::AGAIN), "an event takes a count");
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        let mut watched = [rustix::event::PollFd::new(&*self.event, rustix::event::PollFlags::IN)];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// What becomes readable.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
