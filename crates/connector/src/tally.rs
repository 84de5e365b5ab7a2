//! How much a job may send and receive.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes there may be one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allowance {
    /// As many as there are.
    #[default]
    Unlimited,
    /// So many in all.
    Bytes(u64),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the job.
    Up,
    /// To the job.
    Down,
}

/// The bytes of a job's connections to outside, each way, against its budget. Shared by all that connects for the job.
///
/// The connector counts what it writes to and reads from the connections outside: with TLS, heads and framing.
#[derive(Debug, Default)]
pub struct Tally {
    up: Counter,
    down: Counter,
}

#[derive(Debug, Default)]
struct Counter {
    bytes: AtomicU64,
    allowed: Allowance,
}

impl Tally {
    /// Nothing has gone either way yet.
    pub fn new(up: Allowance, down: Allowance) -> Self {
        let counter = |allowed| Counter { bytes: AtomicU64::new(0), allowed };
        Self { up: counter(up), down: counter(down) }
    }

    /// How many bytes went that way.
    pub fn bytes(&self, way: Way) -> u64 {
        self.counter(way).bytes.load(Ordering::Relaxed)
    }

    /// So many more went that way.
    pub fn add(&self, way: Way, bytes: u64) {
        let counter = &self.counter(way).bytes;
        let mut before = counter.load(Ordering::Relaxed);
        // It never wraps to less.
        while let Err(other) =
            counter.compare_exchange_weak(before, before.saturating_add(bytes), Ordering::Relaxed, Ordering::Relaxed)
        {
            before = other;
        }
    }

    /// How many bytes may still go that way. Who asks before each transfer and [adds](Self::add) after it passes the budget by
    /// no more than the transfers that others made meanwhile.
    pub fn left(&self, way: Way) -> u64 {
        match self.counter(way).allowed {
            Allowance::Unlimited => u64::MAX,
            Allowance::Bytes(bytes) => bytes.saturating_sub(self.bytes(way)),
        }
    }

    /// The way of which nothing is left.
    pub fn spent(&self) -> Option<Way> {
        [Way::Up, Way::Down].into_iter().find(|way| self.left(*way) == 0)
    }

    fn counter(&self, way: Way) -> &Counter {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "the job's budget of bytes to send is spent",
            Self::Down => "the job's budget of bytes to receive is spent",
        })
    }
}
