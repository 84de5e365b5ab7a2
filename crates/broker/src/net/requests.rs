//! Connections whose requests are looked at: they end at the connector, inside the jail.

use super::decide::Terms;
use super::names::Shared;
use super::transcript::Transcript;
use lazaret_connector::{Authority, Bounds, Connector, Intended, Log, Setup, Tally, Trust};
use lazaret_egress::{Host, Wants};
use lazaret_sys::interface::{Interfaces, Way};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many connections are taken at once, before anything else is looked at.
const BATCH: usize = 64;

/// Who speaks with the job, and whom it believes.
#[derive(Debug)]
pub struct Speaker {
    /// What the job's TLS is ended with.
    pub authority: Authority,
    /// Which servers are believed.
    pub trust: Trust,
}

/// The connector of one job.
#[derive(Debug)]
pub(super) struct Requests {
    connector: Connector,
    listener: TcpListener,
    at: SocketAddr,
    /// The ports of the job's ends of connections that were made and not yet taken, and where they go.
    awaited: HashMap<u16, Intended>,
}

impl Requests {
    /// Starts it. `listener` is a socket inside, on which the job's connections come, each of which is cut when it has lasted
    /// `longest`.
    pub(super) fn start(
        listener: OwnedFd,
        speaker: Speaker,
        terms: &Arc<Terms>,
        names: Arc<Shared>,
        tally: Arc<Tally>,
        longest: Option<Duration>,
    ) -> io::Result<Self> {
        let listener = TcpListener::from(listener);
        let at = listener.local_addr()?;
        let own = Arc::clone(terms);
        let mut bounds = Bounds::default();
        bounds.connection = longest.map_or(bounds.connection, |longest| longest.min(bounds.connection));
        let setup = Setup {
            rules: terms.requests.clone(),
            authority: speaker.authority,
            trust: speaker.trust,
            tally,
            bounds,
            dial: Arc::new(move |intended, until| dial(&own, &names, intended, until)),
            // What a job may say for itself is all that is said.
            before_forward: Arc::new(|_, _| Ok(())),
        };
        Ok(Self { connector: Connector::start(setup)?, listener, at, awaited: HashMap::new() })
    }

    /// Where the job's sockets are connected to.
    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    /// What comes from the job's port `own` goes to `intended`.
    pub(super) fn expect(&mut self, own: u16, intended: Intended) {
        self.awaited.insert(own, intended);
    }

    pub(super) fn arrivals(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Takes the connections that came. Whoever connects here without having been sent here is not served.
    pub(super) fn take(&mut self) -> io::Result<()> {
        if !self.connector.is_alive() {
            return Err(io::Error::other("what serves the job's requests has failed"));
        }
        for _ in 0..BATCH {
            let (stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // Of a connection that is gone already.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => continue,
                Err(e) => return Err(e),
            };
            if let Some(intended) = self.awaited.remove(&peer.port()) {
                // One that is not taken is closed, and written down.
                drop(self.connector.take(stream, intended));
            }
        }
        Ok(())
    }

    /// Ends it, and tells what was asked for.
    pub(super) fn finish(self, transcript: &mut Transcript) {
        let log: Log = match self.connector.finish() {
            Ok(log) => log,
            Err(error) => {
                transcript.lacked(&io::Error::other(error.to_string()));
                match error {
                    lazaret_connector::FinishError::Panicked(log) | lazaret_connector::FinishError::Stuck(log) => *log,
                    _ => Log::default(),
                }
            }
        };
        transcript.requests(log);
    }
}

/// Makes a connection for a permitted request: to an address that the host is pinned to, looked at right before.
fn dial(terms: &Terms, names: &Shared, intended: &Intended, until: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<IpAddr> = match &intended.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => [Wants::V4, Wants::V6].into_iter().flat_map(|wants| names.pinned(name, wants)).collect(),
    };
    let mut last = io::Error::new(io::ErrorKind::PermissionDenied, "the host has no address that may be connected to");
    let mut routes = Interfaces::open()?;
    for address in addresses {
        let to = match terms.guard.decide(SocketAddr::new(address, intended.port), &terms.reach) {
            Ok(to) => to,
            Err(refusal) => {
                last = io::Error::new(io::ErrorKind::PermissionDenied, refusal.to_string());
                continue;
            }
        };
        let is_named = terms.reach.iter().any(|rule| rule.permits_address(to.ip(), to.port()) && rule.means(to.ip()));
        if routes.way(to.ip())? == Way::Own && !is_named {
            last = io::Error::new(io::ErrorKind::PermissionDenied, format!("{to} is one of this host's own addresses"));
            continue;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&to, left) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}
