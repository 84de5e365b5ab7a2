//! Who makes calls for a job.

use crate::files::FileHands;
use crate::refusals::call_name;
use lazaret_broker::files;
use lazaret_broker::net::{self, Net};
use lazaret_policy::Brokered;
use lazaret_sys::seccomp::{self, Answer, Notification};
use std::io;
use std::os::fd::BorrowedFd;

const EPERM: i32 = 1;

/// The supervisor's hands: what it has for making one job's calls.
#[derive(Debug, Default)]
pub struct Hands {
    /// For the calls that name socket addresses.
    pub net: Option<Net>,
    /// For the calls that name files.
    pub files: Option<FileHands>,
}

impl Hands {
    /// Has the loop's thread be itself again: before it does anything else than making a job's next call on files.
    ///
    /// # Errors
    ///
    /// When it is not let be: the job is to be ended.
    pub(crate) fn rest(&mut self) -> io::Result<()> {
        self.files.as_mut().map_or(Ok(()), FileHands::rest)
    }

    /// Makes the call that `notification` tells of, which the policy permits, or lets the kernel make it where it is none of
    /// those that are `brokered`. What is brokered and has no hands fails.
    ///
    /// # Errors
    ///
    /// When the kernel does not take an answer, or nobody can tell what would come of the call.
    pub(crate) fn make(
        &mut self,
        listener: BorrowedFd<'_>,
        notification: &Notification,
        brokered: Brokered,
    ) -> io::Result<()> {
        let refuse = || seccomp::answer(listener, notification.id, Answer::Errno(EPERM));
        if brokered.is_nothing() {
            return seccomp::answer(listener, notification.id, Answer::Continue);
        }
        let name = call_name(notification);
        if brokered.network && net::takes(&name, &notification.args) {
            self.rest()?;
            return self.net.as_mut().map_or_else(refuse, |net| net.make(listener, notification, &name));
        }
        if brokered.files && files::calls().any(|call| call == name) {
            return self.files.as_mut().map_or_else(refuse, |files| files.make(listener, notification));
        }
        seccomp::answer(listener, notification.id, Answer::Continue)
    }
}
