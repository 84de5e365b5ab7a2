//! The functions for which a spawner makes processes ahead, and when it makes them.

use crate::call::order::Order;
use crate::call::output::Output;
use crate::call::room::Layout;
use lazaret_sys::entry::Entry;
use rustix::event::Timespec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many there are for one function, and for all.
const EACH: usize = 2;
const ALL: usize = 8;
/// New ones are made when nothing has been asked for so long: calls that follow each other at once need the processor more.
const QUIET: Duration = Duration::from_millis(1);
/// How long a call may be on its way that found none.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// Or when that has not happened for so long.
const LATEST: Duration = Duration::from_millis(5);

/// A function with processes ahead of its calls.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its name.
    pub(crate) function: u64,
    pub(crate) entry: Entry<Output>,
    pub(crate) layout: Layout,
    pub(crate) order: Order,
    pub(crate) ruleset: Option<OwnedFd>,
    /// The spawner's end of the handover.
    pub(crate) over: OwnedFd,
    /// Those that were handed over, and when, as far as it is not known that they were taken.
    waiting: Vec<(i32, Instant)>,
    /// Whether there should be more.
    wanted: bool,
}

impl Kept {
    pub(crate) fn new(
        (function, entry): (u64, Entry<Output>),
        layout: Layout,
        order: Order,
        over: OwnedFd,
        ruleset: Option<OwnedFd>,
    ) -> Self {
        Self { function, entry, layout, order, ruleset, over, waiting: Vec::new(), wanted: true }
    }

    /// Hands over the caller's ends of what belongs to the process `pid`.
    pub(crate) fn hand_over(&mut self, pid: i32, ends: [BorrowedFd<'_>; 3]) -> io::Result<()> {
        lazaret_sys::descriptor::send(self.over.as_fd(), b"p", &ends)?;
        self.waiting.push((pid, Instant::now()));
        self.wanted = self.waiting.len() < EACH;
        Ok(())
    }
}

/// The functions that a spawner keeps processes for.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) kept: Vec<Kept>,
    /// Since when more are wanted, and when to make them.
    due: Option<(Instant, Instant)>,
}

impl Ahead {
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept.push(kept);
        self.postpone();
    }

    /// A call of `function` found none: none waits any more.
    pub(crate) fn found_none(&mut self, function: u64) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.function == function) {
            // But one that was handed over while the call was on its way, which waits still.
            kept.waiting.retain(|(_, since)| since.elapsed() < ON_ITS_WAY);
            kept.wanted = true;
        }
        self.postpone();
    }

    /// The process `pid` has ended; `unused`: without a call.
    pub(crate) fn ended(&mut self, pid: i32, unused: bool) {
        for kept in &mut self.kept {
            if let Some(at) = kept.waiting.iter().position(|(waiting, _)| *waiting == pid) {
                kept.waiting.remove(at);
                // A function that nobody calls is given no new one.
                kept.wanted = !unused;
            }
        }
        self.postpone();
    }

    /// Lets go of those functions whose callers have dropped the handover.
    pub(crate) fn forget(&mut self, dropped: &[bool]) {
        let mut dropped = dropped.iter();
        self.kept.retain(|_| !dropped.next().is_some_and(|dropped| *dropped));
    }

    /// Something happens: what is to be made can wait a little.
    fn postpone(&mut self) {
        if self.kept.iter().any(|kept| kept.wanted) {
            let since = self.due.map_or_else(Instant::now, |(since, _)| since);
            self.due = Some((since, (Instant::now() + QUIET).min(since + LATEST)));
        }
    }

    /// How long there is nothing to make. `None`: until something happens.
    pub(crate) fn patience(&self) -> Option<Timespec> {
        let (_, at) = self.due?;
        Timespec::try_from(at.saturating_duration_since(Instant::now())).ok()
    }

    /// The place of the function that one is to be made for now.
    pub(crate) fn lacking(&mut self) -> Option<usize> {
        self.due.filter(|(_, at)| *at <= Instant::now())?;
        let all: usize = self.kept.iter().map(|kept| kept.waiting.len()).sum();
        let wanted = (0..self.kept.len()).filter(|at| self.kept[*at].wanted && all < ALL);
        let lacking = wanted.min_by_key(|at| self.kept[*at].waiting.len());
        if lacking.is_none() {
            self.due = None;
        }
        lacking
    }

    /// Makes no more until something happens: there is no room for them.
    pub(crate) fn give_up(&mut self) {
        self.due = None;
    }
}
