//! What a job's connections are handed to.

use crate::authority::Authority;
use crate::bounds::Bounds;
use crate::connection;
use crate::exchange::BeforeForward;
use crate::intended::{Dial, Intended};
use crate::log::{Log, Writer};
use crate::tally::Tally;
use crate::tasks::{Alarm, Group, Tasks};
use crate::trust::Trust;
use lazaret_egress::RequestRule;
use rustls::ClientConfig;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many connections are made at once; each takes a thread while it is made.
const DIALLING: usize = 16;
/// How long an end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a connector needs to know of its job.
pub struct Setup {
    /// The rules on requests. A request that none permits is refused.
    pub rules: Vec<RequestRule>,
    /// What the job's TLS is ended with. The job has to trust it.
    pub authority: Authority,
    /// Which servers are believed.
    pub trust: Trust,
    /// The bytes of the job's.
    pub tally: Arc<Tally>,
    /// What the job may take.
    pub bounds: Bounds,
    /// How connections outside are made.
    pub dial: Dial,
    /// What is added to requests.
    pub before_forward: BeforeForward,
}

/// Serves a job's connections, on a thread of its own.
///
/// That ends with it: when it is dropped, all that goes on for the job ends.
#[derive(Debug)]
pub struct Connector {
    arrivals: UnboundedSender<Arrival>,
    thread: JoinHandle<()>,
    /// Disconnected when the thread has ended.
    over: Mutex<mpsc::Receiver<()>>,
    shared: Arc<Shared>,
}

/// Why a connection is not taken. It is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// The job has as many as it may.
    #[error("the job has {0} connections for requests already, which is all that it may")]
    TooMany(usize),
    /// The connector is dead.
    #[error("what serves the job's requests has failed")]
    Dead,
}

/// Why a connector did not end well. What it wrote down is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// Something in it panicked, and all requests ended there.
    #[error("what serves the job's requests has failed")]
    Panicked(Box<Log>),
    /// It did not end in time, as when what the caller gave it does not return.
    #[error("what serves the job's requests did not end in time")]
    Stuck(Box<Log>),
}

/// What all connections of a job's share.
pub(crate) struct Shared {
    pub(crate) rules: Vec<RequestRule>,
    pub(crate) authority: Authority,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) bounds: Bounds,
    pub(crate) dial: Dial,
    pub(crate) before_forward: BeforeForward,
    pub(crate) log: Arc<Writer>,
    /// One for each connection outside.
    pub(crate) links: Arc<Semaphore>,
    alarm: Arc<Alarm>,
    connections: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Arrival {
    stream: TcpStream,
    intended: Intended,
    place: Place,
}

/// Counts a connection as long as it is there.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Connector {
    /// Starts a connector with its thread.
    ///
    /// # Errors
    ///
    /// When the thread or what it waits with cannot be made, or a bound is none that can be kept.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let Setup { rules, authority, trust, tally, bounds, dial, before_forward } = setup;
        if bounds.head_bytes < Bounds::LEAST_HEAD || bounds.links > Semaphore::MAX_PERMITS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a bound on what a job may take is out of bounds"));
        }
        let shared = Arc::new(Shared {
            rules,
            authority,
            client: trust.client(&[b"h2", b"http/1.1"]).map_err(io::Error::other)?,
            tally,
            bounds,
            dial,
            before_forward,
            log: Arc::new(Writer::new(bounds.entries)),
            links: Arc::new(Semaphore::new(bounds.links)),
            alarm: Arc::default(),
            connections: Arc::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(DIALLING)
            .thread_name("lazaret-dial")
            .build()?;
        let (arrivals, arriving) = unbounded_channel();
        let (ending, over) = mpsc::channel();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lazaret-connect".to_owned()).spawn(move || {
            let _ending: mpsc::Sender<()> = ending;
            runtime.block_on(serve(own, arriving));
            // Connections that are being made are not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { arrivals, thread, over: Mutex::new(over), shared })
    }

    /// Serves a connection of the job's that goes to `intended`.
    ///
    /// # Errors
    ///
    /// When it is not served; it is closed then.
    pub fn take(&self, stream: TcpStream, intended: Intended) -> Result<(), TakeError> {
        if !self.is_alive() {
            return Err(TakeError::Dead);
        }
        let most = self.shared.bounds.connections;
        let place = Place(Arc::clone(&self.shared.connections));
        if place.0.fetch_add(1, Ordering::SeqCst) >= most {
            self.shared.log.refused(&intended, None, TakeError::TooMany(most).to_string());
            return Err(TakeError::TooMany(most));
        }
        self.arrivals.send(Arrival { stream, intended, place }).map_err(|_over| TakeError::Dead)
    }

    /// Whether it serves. When it does not, something in it panicked: all its connections are closed.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished() && !self.shared.alarm.is_raised()
    }

    /// What it has written down by now.
    pub fn log(&self) -> Log {
        self.shared.log.read()
    }

    /// Ends all that goes on, and returns what was written down. That takes no longer than a few seconds, whatever the job
    /// and the servers do.
    ///
    /// # Errors
    ///
    /// When it had failed before, or does not end.
    pub fn finish(self) -> Result<Log, FinishError> {
        let Self { arrivals, thread, over, shared } = self;
        drop(arrivals);
        let over = over.into_inner().unwrap_or_else(PoisonError::into_inner);
        if over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            return Err(FinishError::Stuck(Box::new(shared.log.read())));
        }
        let is_well = thread.join().is_ok() && !shared.alarm.is_raised();
        let log = shared.log.read();
        if is_well { Ok(log) } else { Err(FinishError::Panicked(Box::new(log))) }
    }
}

/// Serves what arrives, until nothing more can or something panicked.
async fn serve(shared: Arc<Shared>, mut arriving: UnboundedReceiver<Arrival>) {
    let group = Group(Tasks::new(Arc::clone(&shared.alarm)));
    loop {
        tokio::select! {
            () = shared.alarm.raised() => return,
            arrival = arriving.recv() => match arrival {
                None => return,
                Some(Arrival { stream, intended, place }) => {
                    let (shared, tasks) = (Arc::clone(&shared), group.0.clone());
                    group.0.spawn(async move {
                        let _place = place;
                        connection::serve(shared, stream, intended, tasks).await;
                    });
                }
            },
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("rules", &self.rules).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("rules", &self.rules).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
