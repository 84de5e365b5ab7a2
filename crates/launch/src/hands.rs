//! Who makes calls for a job.

use crate::files::FileHands;
use crate::refusals::call_name;
use lazaret_broker::files;
use lazaret_broker::net::{self, Net};
use lazaret_filter::{Arch, table};
use lazaret_policy::Brokered;
use lazaret_sys::seccomp::{self, Answer, Notification};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::time::Instant;

const EPERM: i32 = 1;

/// Whether the call is one of [`files::calls`]. Of another architecture it is none that can be made.
fn names_files(notification: &Notification) -> bool {
    static NUMBERS: OnceLock<Vec<bool>> = OnceLock::new();
    let numbers = NUMBERS.get_or_init(|| {
        let numbers = files::calls().filter_map(|call| table::number(Arch::native()?, call));
        let numbers: Vec<usize> = numbers.filter_map(|number| usize::try_from(number).ok()).collect();
        let highest = numbers.iter().max().copied().unwrap_or_default();
        (0..=highest).map(|number| numbers.contains(&number)).collect()
    });
    let native = Arch::from_audit(notification.arch).is_some_and(|arch| Some(arch) == Arch::native());
    match usize::try_from(notification.number) {
        Ok(number) if native => numbers.get(number).copied().unwrap_or(false),
        // Nobody lets one go on that cannot be told.
        _ => files::calls().any(|call| call == call_name(notification)),
    }
}

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

    /// When something is to be done without any call of the job.
    pub(crate) fn due(&self) -> impl Iterator<Item = Instant> {
        let net = self.net.as_ref().and_then(Net::due);
        net.into_iter().chain(self.files.as_ref().and_then(FileHands::due))
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
        if brokered.files && names_files(notification) {
            return self.files.as_mut().map_or_else(refuse, |files| files.make(listener, notification));
        }
        // Among what is left is what would show, or pass on, where a thread is kept.
        self.rest()?;
        let name = call_name(notification);
        if brokered.network && net::takes(&name, &notification.args) {
            return self.net.as_mut().map_or_else(refuse, |net| net.make(listener, notification, &name));
        }
        seccomp::answer(listener, notification.id, Answer::Continue)
    }
}
