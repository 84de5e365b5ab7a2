//! What was asked for and what became of it, for the transcript of a job.

use crate::intended::Intended;
use lazaret_egress::Scheme;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The most bytes of a method, a path or a reason that are kept.
const LONGEST: usize = 512;

/// All requests of a job, in the order of their end.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Requests that were permitted and answered.
    pub exchanges: Vec<Exchange>,
    /// Requests and connections that were refused.
    pub refused: Vec<Refused>,
    /// Requests that were permitted and not answered, and connections that broke.
    pub failed: Vec<Failed>,
    /// How many more there were of each than a log holds.
    pub left_out: LeftOut,
}

/// How many entries a log does not hold. Each kind is bounded on its own, so that none hides another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Of [`exchanges`](Log::exchanges).
    pub exchanges: u64,
    /// Of [`refused`](Log::refused).
    pub refused: u64,
    /// Of [`failed`](Log::failed).
    pub failed: u64,
}

/// A request. Its query is not told, as credentials stand in queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The scheme.
    pub scheme: Scheme,
    /// The host and port.
    pub intended: Intended,
    /// The path, in its one form where it has one; its beginning where it is long.
    pub path: String,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub asked: Asked,
    /// The text of the rule that permitted it.
    pub rule: String,
    /// Where it was sent to.
    pub address: SocketAddr,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the request's body that were sent on.
    pub sent: u64,
    /// Bytes of the answer's body that were handed to the job.
    pub received: u64,
    /// When it began.
    pub began: SystemTime,
    /// How long it took until its end.
    pub took: Duration,
    /// How it ended.
    pub ended: Ended,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All of it was handed over.
    Whole,
    /// The job left, or was over.
    Left,
    /// It broke off.
    Broke(String),
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where the connection goes.
    pub intended: Intended,
    /// The request, where there was one.
    pub asked: Option<Asked>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Where the connection goes.
    pub intended: Intended,
    /// The request, where there was one.
    pub asked: Option<Asked>,
    /// The text of the rule that permitted it.
    pub rule: Option<String>,
    /// Why.
    pub reason: String,
    /// Bytes of the request's body that were sent on all the same.
    pub sent: u64,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
}

/// A log that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    log: Mutex<Log>,
    entries: usize,
}

impl Writer {
    /// It holds so many entries.
    pub(crate) fn new(entries: usize) -> Self {
        Self { log: Mutex::default(), entries }
    }

    pub(crate) fn exchange(&self, exchange: Exchange) {
        let mut log = self.lock();
        let Log { exchanges, left_out, .. } = &mut *log;
        self.push(exchanges, exchange, &mut left_out.exchanges);
    }

    pub(crate) fn refused(&self, intended: &Intended, asked: Option<Asked>, reason: String) {
        let entry = Refused { intended: intended.clone(), asked, reason: kept(&reason), at: SystemTime::now() };
        let mut log = self.lock();
        let Log { refused, left_out, .. } = &mut *log;
        self.push(refused, entry, &mut left_out.refused);
    }

    pub(crate) fn failed(&self, entry: Failed) {
        let entry = Failed { reason: kept(&entry.reason), ..entry };
        let mut log = self.lock();
        let Log { failed, left_out, .. } = &mut *log;
        self.push(failed, entry, &mut left_out.failed);
    }

    /// What it has by now.
    pub(crate) fn read(&self) -> Log {
        self.lock().clone()
    }

    fn push<T>(&self, entries: &mut Vec<T>, entry: T, left_out: &mut u64) {
        if entries.len() < self.entries {
            entries.push(entry);
        } else {
            *left_out += 1;
        }
    }

    /// A log that somebody panicked over is as whole as before: entries are pushed in one step.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    pub(crate) fn new(method: &str, scheme: Scheme, intended: &Intended, path: &str) -> Self {
        Self { method: kept(method), scheme, intended: intended.clone(), path: kept(path) }
    }
}

/// `text`, or its beginning where it is too long to keep. What controls a terminal is not kept: others wrote it.
fn kept(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].replace(char::is_control, "\u{fffd}")
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme, self.intended.authority(self.scheme), self.path)
    }
}
