//! The network of a job: connect(2), bind(2) and listen(2), made for it.
//!
//! The job's own sockets are of a network namespace in which there is nothing but a loopback interface. What it connects to
//! there is made on its own socket. What a rule permits outside is connected to by a socket of this process's namespace,
//! which then takes the place of the job's.
//!
//! A socket from outside that the job holds can do more than what it was made for: it can be disconnected and connected
//! anew, bound, and listened on. All of these are calls that are made here, where the *object* that a number stands for is
//! looked at, and where no such thing is done with it. Behind that stand two walls that depend on no look: Landlock, where
//! it knows of TCP, refuses the job's own calls of these kinds; and a filter that nobody can take off makes the socket deaf
//! to everybody but whom it was connected to.

mod address;
mod answer;
mod decide;
mod entry;
mod names;
mod pending;
mod place;
mod pollers;
mod replica;
mod socket;
mod transcript;

pub use decide::Terms;
pub use entry::{CALLS, RULES};
pub use names::NameServer;

use crate::caller::Caller;
use lazaret_egress::{Guard, Upstream};
use lazaret_inspect::Reader;
use lazaret_policy::NetworkReport;
use lazaret_sys::seccomp::Notification;
use names::Names;
use pending::Pending;
use place::Placed;
use pollers::Pollers;
use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use transcript::Transcript;

/// How often the calls that wait for a connection are looked through for such as are gone.
const LOOK: Duration = Duration::from_millis(100);

/// The network of one job.
#[derive(Debug)]
pub struct Net {
    terms: Arc<Terms>,
    names: Names,
    transcript: Transcript,
    /// Calls that wait for their connections.
    pending: Vec<Pending>,
    /// The sockets from outside that the job was given, by their cookies.
    placed: HashMap<u64, Placed>,
    /// The cookie of this process's network namespace.
    outside: u64,
    /// Whether the kernel refuses the job TCP connections of its own making.
    walled: bool,
    reader: Reader,
    pollers: Pollers,
    look: Option<Instant>,
}

impl Net {
    /// That of a job that begins now, under `terms`, whose memory `reader` reads. `walled`: Landlock refuses the job to connect and bind TCP sockets.
    ///
    /// # Errors
    ///
    /// When this process's own network namespace cannot be told from the job's.
    pub fn new(terms: Terms, upstream: Upstream, reader: Reader, walled: bool) -> io::Result<Self> {
        let terms = Arc::new(terms);
        Ok(Self {
            names: Names::new(Arc::clone(&terms), upstream),
            transcript: Transcript::new(),
            terms,
            pending: Vec::new(),
            placed: HashMap::new(),
            outside: socket::own_namespace()?,
            walled,
            reader,
            pollers: Pollers::default(),
            look: None,
        })
    }

    /// Answers the job's questions for names on `questions`, a socket for datagrams, and `streams`, one that listens.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had for that.
    pub fn serve_names(&mut self, questions: OwnedFd, streams: OwnedFd) -> io::Result<()> {
        self.names.serve(questions, streams)
    }

    /// Makes the call that `notification` tells of, which was received from `listener` and is one of [`CALLS`], and answers
    /// it, now or when its connection is there.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer.
    pub fn make(&mut self, listener: BorrowedFd<'_>, notification: &Notification, call: &str) -> io::Result<()> {
        let caller = Caller::new(listener, notification);
        self.answer(&caller, call)
    }

    /// What becomes ready when a call that waits can be answered.
    pub fn interests(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pending.iter().map(Pending::interest)
    }

    /// When to look at the calls that wait, whatever is ready.
    pub fn due(&self) -> Option<Instant> {
        let deadlines = self.pending.iter().filter_map(Pending::deadline);
        deadlines.chain(self.look).min()
    }

    /// Answers the calls that wait and can be answered.
    ///
    /// # Errors
    ///
    /// When the kernel does not take an answer.
    pub fn advance(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        self.answer_pending(listener)
    }

    /// What the job did, when it is dead.
    pub fn finish(mut self, started: Instant) -> NetworkReport {
        self.names.end();
        self.transcript.report(started, &self.names)
    }
}

/// The host's own addresses and rules, as a guard.
pub fn guard(own: impl IntoIterator<Item = std::net::IpAddr>) -> Guard {
    Guard::new(own)
}
