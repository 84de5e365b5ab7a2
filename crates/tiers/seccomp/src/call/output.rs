//! Where a function's answer goes, in its own process.

use lazaret_sys::map::{HUGE, Written};
use std::io;

/// What the head says of how it went. Zero: nothing was said.
pub(crate) mod state {
    /// The process could not be locked down.
    pub(crate) const SETUP: u32 = 1;
    /// A value was returned.
    pub(crate) const VALUE: u32 = 2;
    /// An error was returned.
    pub(crate) const ERROR: u32 = 3;
    /// The function panicked.
    pub(crate) const PANIC: u32 = 4;
    /// The answer was larger than may be.
    pub(crate) const OVER: u32 = 5;
    /// The input or the answer is not what the codec takes.
    pub(crate) const CODEC: u32 = 6;
}

/// Where a function's answer goes: memory that its caller reads when the function's process is dead. What is written
/// beyond the policy's bound on output makes the call end in that verdict.
#[derive(Debug)]
pub struct Output {
    head: &'static mut [u8],
    region: Written,
    len: usize,
    pub(crate) state: u32,
    /// Where those pages end that were made ahead of their bytes.
    made: usize,
    /// Whether it may have pages made ahead.
    advise: bool,
}

/// So many bytes are worth a system call of their own to make their pages.
pub(crate) const MANY: usize = 64 * 1024;
/// Answers of this size get huge pages: a small one would pay for a whole one.
const LARGE: usize = 1 << 20;

impl Output {
    /// `advise`: whether the process may tell the kernel how it uses its memory.
    pub(crate) fn new(head: &'static mut [u8], region: Written, advise: bool) -> Self {
        Self { head, region, len: 0, state: state::VALUE, made: 0, advise }
    }

    /// Forgets what was written.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// All of the place, to be filled by other means than [`std::io::Write`], up to the policy's bound on output; then
    /// [`Output::set_len`].
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.region
    }

    /// How much of the place is the answer.
    ///
    /// # Panics
    ///
    /// When that is more than the place has.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.region.len(), "an output has its bound at most");
        self.len = len;
    }

    /// Makes the pages of `range` at once, where that is worth it: without, there is a fault for each.
    fn prepare(&mut self, range: std::ops::Range<usize>) {
        if !self.advise || range.end <= self.made {
            return;
        }
        if range.end >= LARGE {
            // Whole huge pages: one more than is needed at most.
            let from = self.made.max(range.start / HUGE * HUGE);
            self.made = range.end.next_multiple_of(HUGE).min(self.region.len());
            self.region.populate(from..self.made);
        } else if range.len() >= MANY {
            self.region.populate(range);
        }
    }

    /// Says how it went, as the last thing before the end.
    pub(crate) fn publish(&mut self) {
        publish(self.head, self.state, self.len as u64);
    }
}

pub(crate) fn publish(head: &mut [u8], state: u32, len: u64) {
    head[16..24].copy_from_slice(&len.to_ne_bytes());
    head[..4].copy_from_slice(&state.to_ne_bytes());
}

/// Notes which step of the lock-down failed, and why.
pub(crate) fn publish_failure(head: &mut [u8], step: u32, errno: i32) {
    head[4..8].copy_from_slice(&step.to_ne_bytes());
    head[8..12].copy_from_slice(&errno.to_ne_bytes());
    head[..4].copy_from_slice(&state::SETUP.to_ne_bytes());
}

/// Notes the message of a panic, cut where `place` ends; `len` is the head's place for its length.
pub(crate) fn publish_message(len: &mut [u8], place: &mut [u8], text: &str) {
    let kept = text.len().min(place.len());
    place[..kept].copy_from_slice(&text.as_bytes()[..kept]);
    len.copy_from_slice(&u32::try_from(kept).unwrap_or(0).to_ne_bytes());
}

impl io::Write for Output {
    /// # Errors
    ///
    /// `StorageFull` beyond the bound.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let range = self.len..self.len + bytes.len();
        if range.end > self.region.len() {
            self.state = state::OVER;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.prepare(range.clone());
        let place = &mut self.region[range];
        place.copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
