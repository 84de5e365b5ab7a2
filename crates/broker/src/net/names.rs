//! The job's name server: two sockets inside the jail, of which this process holds the far ends.
//!
//! It answers for names that a rule permits, and for nothing else: no question leaves for any other name, whatever the job
//! asks. What a name resolved to first is what it resolves to for the whole job, and only such addresses are permitted
//! because of a name.

mod pins;
mod serve;

pub(super) use pins::Pins;

use super::decide::Terms;
use lazaret_egress::{Name, Question, ResolveError, Told, Transport, Upstream, Wants};
use lazaret_policy::{NameReport, NetworkAct, NetworkRefusal};
use rustix::event::EventfdFlags;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a name may take to be resolved. The job waits longer: see the resolv.conf(5) that it is given.
const PATIENCE: Duration = Duration::from_secs(25);
/// How many names are resolved at once, and how many streams are served.
const AT_ONCE: usize = 16;
/// How many different names are kept of those that were refused.
const KEPT: usize = 64;
/// For how long a pinned address holds, as the job is told: longer than it lives, as a rule.
const SECONDS: u32 = 3600;

/// The name server of one job.
#[derive(Debug)]
pub(super) struct Names {
    shared: Arc<Shared>,
    server: Option<NameServer>,
}

/// A thread that answers, until it is told to stop.
#[derive(Debug)]
struct NameServer {
    stop: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

/// What all threads of one job's name server know.
#[derive(Debug)]
pub(super) struct Shared {
    terms: Arc<Terms>,
    upstream: Upstream,
    state: Mutex<State>,
    /// Names being resolved, and streams.
    busy: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    pins: Pins,
    errors: BTreeMap<Name, String>,
    refused: BTreeMap<(String, Option<IpAddr>), NetworkRefusal>,
    refused_dropped: u64,
    /// Whether the network has ended.
    is_closed: bool,
}

/// What is known of a question at once.
enum Known {
    /// What to say.
    Answer(Vec<u8>),
    /// It is permitted, and has to be resolved.
    Ask(Name),
}

impl Names {
    pub(super) fn new(terms: Arc<Terms>, upstream: Upstream) -> Self {
        let (state, busy) = (Mutex::default(), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { terms, upstream, state, busy }), server: None }
    }

    /// What names are pinned to, for as long as the guard is held.
    pub(super) fn with_pins<T>(&self, look: impl FnOnce(&Pins) -> T) -> T {
        look(&self.shared.state().pins)
    }

    /// What its threads know.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(super) fn serve(&mut self, questions: OwnedFd, streams: OwnedFd) -> io::Result<()> {
        let stop = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (questions, streams) = (UdpSocket::from(questions), TcpListener::from(streams));
        let server = serve::Server::new(Arc::clone(&self.shared), questions, streams, Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("lazaret-names".to_owned()).spawn(move || server.run())?;
        self.server = Some(NameServer { stop, thread });
        Ok(())
    }

    /// Answers the questions of one stream, until its other end is closed.
    pub(super) fn serve_one(&self, stream: UnixStream) -> io::Result<()> {
        serve::stream(&self.shared, stream)
    }

    /// Has it answer for no name any more.
    pub(super) fn close(&mut self) {
        self.shared.state().is_closed = true;
    }

    /// Ends the answering; the sockets are closed then.
    pub(super) fn end(&mut self) {
        self.shared.upstream.stop().store(true, Ordering::Release);
        let Some(NameServer { stop, thread }) = self.server.take() else { return };
        let told = rustix::io::write(&*stop, &serve::STOP.to_ne_bytes());
        debug_assert!(told.is_ok(), "an event counter takes a number");
        // A thread that panicked has closed them too.
        drop(thread.join());
    }

    /// The permitted names that were asked for, what was refused, and how much more.
    pub(super) fn tell(&self) -> (Vec<NameReport>, Vec<NetworkRefusal>, u64) {
        let state = self.shared.state();
        let mut names: BTreeMap<&Name, NameReport> = BTreeMap::new();
        let new = |name: &Name| NameReport { name: name.to_string(), addresses: Vec::new(), error: None };
        for (name, addresses) in state.pins.all() {
            let report = names.entry(name).or_insert_with(|| new(name));
            report.addresses.extend(addresses.iter().map(ToString::to_string));
        }
        for (name, error) in &state.errors {
            names.entry(name).or_insert_with(|| new(name)).error = Some(error.clone());
        }
        (names.into_values().collect(), state.refused.values().cloned().collect(), state.refused_dropped)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// The addresses of one kind that `name` is pinned to.
    pub(super) fn pinned(&self, name: &Name, wants: Wants) -> Vec<IpAddr> {
        self.state().pins.get(name, wants).map(<[IpAddr]>::to_vec).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to say to `question`, as far as that is known without asking.
    fn known(&self, question: &Question, transport: Transport) -> io::Result<Known> {
        let say = |told| question.answer(told, transport).map(Known::Answer);
        let Some(name) = &question.name else {
            return say(Told::NoName);
        };
        if self.state().is_closed {
            self.state().refuse(name, None, "the network has ended: the job's input is complete".to_owned(), None);
            return say(Told::NoName);
        }
        if !self.terms.reach.iter().any(|rule| rule.names(name)) {
            self.state().refuse(
                name,
                None,
                "no rule names it".to_owned(),
                Some(format!("[net] allow = [\"{name}:443\"]")),
            );
            return say(Told::NoName);
        }
        if question.wants == Wants::Other {
            return say(Told::Addresses(&[], SECONDS));
        }
        let pinned = self.state().pins.get(name, question.wants).map(<[IpAddr]>::to_vec);
        match pinned {
            Some(addresses) => say(Told::Addresses(&addresses, SECONDS)),
            None => Ok(Known::Ask(name.clone())),
        }
    }

    /// Resolves a permitted name, which may take a while, and says what it found.
    fn resolve(&self, question: &Question, name: &Name, transport: Transport) -> io::Result<Vec<u8>> {
        let resolved = self.upstream.resolve(name, question.wants, Instant::now() + PATIENCE);
        let mut state = self.state();
        match resolved {
            Ok(resolved) => {
                let (mut good, mut bad) = (Vec::new(), Vec::new());
                for address in resolved.addresses {
                    match self.terms.guard.decide_on_ports(address, &self.terms.reach) {
                        Ok(()) => good.push(address),
                        Err(refusal) => bad.push((address, refusal)),
                    }
                }
                for (address, refusal) in bad {
                    state.refuse(name, Some(address), refusal.to_string(), None);
                }
                state.errors.remove(name);
                // Another thread may have been first.
                let pinned = state.pins.pin_first(name, question.wants, good);
                question.answer(Told::Addresses(pinned, SECONDS), transport)
            }
            Err(error) => {
                let told = match &error {
                    ResolveError::NoName(_) => Told::NoName,
                    _ => Told::Failed,
                };
                state.errors.insert(name.clone(), error.to_string());
                question.answer(told, transport)
            }
        }
    }

    /// Takes one of the places for what takes a while; `false` when all are taken.
    fn take_place(&self) -> bool {
        self.busy.fetch_update(Ordering::AcqRel, Ordering::Acquire, |busy| (busy < AT_ONCE).then_some(busy + 1)).is_ok()
    }

    fn leave_place(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl State {
    fn refuse(&mut self, name: &Name, address: Option<IpAddr>, reason: String, suggestion: Option<String>) {
        let key = (name.to_string(), address);
        if self.refused.len() >= KEPT && !self.refused.contains_key(&key) {
            self.refused_dropped += 1;
            return;
        }
        let text = key.0.clone();
        let new = || NetworkRefusal {
            act: NetworkAct::Resolve,
            name: Some(text),
            address: address.map(|address| address.to_string()),
            port: None,
            request: None,
            reason,
            suggestion,
            count: 0,
        };
        self.refused.entry(key).or_insert_with(new).count += 1;
    }
}
