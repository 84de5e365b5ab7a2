//! What was asked for and what became of it, for the transcript of a job.

use crate::intended::Intended;
use lazaret_egress::Scheme;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The most bytes of a method or a path that are kept.
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
    /// How many more there were than a log holds.
    pub left_out: u64,
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
        self.write(|log| log.exchanges.push(exchange));
    }

    pub(crate) fn refused(&self, intended: &Intended, asked: Option<Asked>, reason: String) {
        let entry = Refused { intended: intended.clone(), asked, reason, at: SystemTime::now() };
        self.write(|log| log.refused.push(entry));
    }

    pub(crate) fn failed(&self, failed: Failed) {
        self.write(|log| log.failed.push(failed));
    }

    /// What it has by now.
    pub(crate) fn read(&self) -> Log {
        self.lock().clone()
    }

    fn write(&self, entry: impl FnOnce(&mut Log)) {
        let mut log = self.lock();
        if log.exchanges.len() + log.refused.len() + log.failed.len() < self.entries {
            entry(&mut log);
        } else {
            log.left_out += 1;
        }
    }

    /// A log that somebody panicked over is as whole as before: entries are pushed in one step.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    pub(crate) fn new(method: &str, scheme: Scheme, intended: &Intended, path: &str) -> Self {
        Self { method: begin(method), scheme, intended: intended.clone(), path: begin(path) }
    }
}

/// `text`, or its beginning where it is too long to keep.
fn begin(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme, self.intended.authority(self.scheme), self.path)
    }
}
