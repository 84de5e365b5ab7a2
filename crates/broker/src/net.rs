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

mod accounts;
mod address;
mod answer;
mod decide;
mod entry;
mod hands;
mod names;
mod options;
mod pending;
mod place;
mod pollers;
mod replica;
mod requests;
mod socket;
mod spares;
mod transcript;

pub use decide::Terms;
pub use entry::{RULES, takes, told};
pub use requests::Speaker;

use crate::caller::{Caller, Process};
use crate::ledger::Budget;
use accounts::Accounts;
use hands::Hands;
use lazaret_connector::{Allowance, Tally, Way};
use lazaret_egress::{Guard, Upstream};
use lazaret_inspect::Reader;
use lazaret_policy::{LimitKey, NetworkReport};
use lazaret_sys::interface::Interfaces;
use lazaret_sys::seccomp::Notification;
use names::Names;
use options::Options;
use pending::Pending;
use place::{FlagsOf, Placed, Unused};
use pollers::Pollers;
use requests::Requests;
use spares::Spares;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// Of whom the last call was.
    caller: Option<Process>,
    spares: Spares,
    options: Options,
    flags: FlagsOf,
    /// Sockets to let go of when the job does not wait for it.
    unused: Unused,
    /// Calls that wait for their connections.
    pending: Vec<Pending>,
    /// The sockets from outside that the job was given, by their cookies.
    placed: HashMap<u64, Placed>,
    /// The cookie of this process's network namespace.
    outside: u64,
    /// Whether the kernel refuses the job TCP connections of its own making.
    walled: bool,
    /// Whether the job's own sockets are of this process's network namespace too.
    shared: bool,
    reader: Reader,
    pollers: Pollers,
    accounts: Accounts,
    hands: Hands,
    /// What connections whose requests are looked at count, beside the accounts.
    tally: Arc<Tally>,
    speaker: Option<Speaker>,
    requests: Option<Requests>,
    /// Asked where this host would send what goes to an address.
    routes: Interfaces,
    look: Option<Instant>,
    /// When it was advanced last.
    looked: Instant,
    /// Whether it has ended before the job.
    is_over: bool,
    /// The sockets that the job was given, where they are to be cut and this process may not have the kernel do that.
    kept: Vec<OwnedFd>,
    keeps: bool,
    undisturbed: bool,
}

/// Where a job without a network namespace of its own asks for names, by TCP: as resolv.conf(5) has it.
pub const NAME_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// What the network of a job is made of.
#[derive(Debug)]
pub struct Setting {
    /// What may be connected to.
    pub terms: Terms,
    /// Who is asked for names.
    pub upstream: Upstream,
    /// Reads the job's memory.
    pub reader: Reader,
    /// Whether Landlock refuses the job to connect and bind TCP sockets.
    pub walled: bool,
    /// Whether the job has no network namespace of its own. Its filter then refuses it all sockets but TCP,
    /// and all sending that names an address; it connects to nobody but outside, and asks for names at [`NAME_SERVER`].
    /// Such a job has to be walled, and there are no rules on requests.
    pub shared: bool,
    /// How many connections it may have.
    pub connections: Option<u32>,
    /// What these may carry, and how long they may last.
    pub budget: Budget,
    /// Why the kernel cannot be asked about connections, if so. Then there is no budget.
    pub blind: Option<String>,
    /// Who speaks with the job, where there are rules on requests.
    pub speaker: Option<Speaker>,
    /// Whether it may end before the job does: see [`Net::complete_input`].
    pub may_end: bool,
    /// Whether no signal but one that kills disturbs a call that was received
    /// (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`).
    pub undisturbed: bool,
}

/// What came of the network of a job that is dead.
#[derive(Debug)]
pub struct Ended {
    /// For its report.
    pub report: NetworkReport,
    /// The limits that it reached.
    pub reached: Vec<LimitKey>,
}

impl Net {
    /// That of a job that begins now.
    ///
    /// # Errors
    ///
    /// When this process's own network cannot be looked at, or told from the job's.
    pub fn new(setting: Setting) -> io::Result<Self> {
        let Setting {
            mut terms,
            upstream,
            reader,
            walled,
            shared,
            connections,
            budget,
            blind,
            speaker,
            may_end,
            undisturbed,
        } = setting;
        if shared && (!walled || speaker.is_some()) {
            return Err(io::Error::other(
                "a network that the job shares has to be walled, and without rules on requests",
            ));
        }
        // Who cannot ask about connections cannot have them ended either.
        let keeps = may_end && (blind.is_some() || !accounts::may_cut()?);
        let mut routes = Interfaces::open()?;
        terms.guard = Guard::new(routes.addresses()?);
        let terms = Arc::new(terms);
        Ok(Self {
            names: Names::new(Arc::clone(&terms), upstream),
            transcript: Transcript::new(),
            caller: None,
            spares: Spares::default(),
            options: Options::default(),
            flags: FlagsOf::default(),
            unused: Unused::default(),
            terms,
            pending: Vec::new(),
            placed: HashMap::new(),
            outside: socket::own_namespace()?,
            walled,
            shared,
            reader,
            pollers: Pollers::default(),
            accounts: Accounts::new(connections, budget, blind),
            tally: Arc::new(Tally::new(allowance(budget.sent), allowance(budget.received))),
            hands: Hands::new()?,
            speaker,
            requests: None,
            routes,
            look: None,
            looked: Instant::now(),
            is_over: false,
            kept: Vec::new(),
            keeps,
            undisturbed,
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

    /// Serves the job's connections whose requests are looked at, which come on `listener`.
    ///
    /// # Errors
    ///
    /// When there is nobody to serve them, or no thread to be had for that.
    pub fn serve_requests(&mut self, listener: OwnedFd) -> io::Result<()> {
        let speaker = self.speaker.take().ok_or_else(|| io::Error::other("nobody speaks with the job"))?;
        let (names, tally) = (self.names.shared(), Arc::clone(&self.tally));
        let longest = self.accounts.longest();
        self.requests = Some(Requests::start(listener, speaker, &self.terms, names, tally, longest)?);
        Ok(())
    }

    /// Makes the call that `notification` tells of, which was received from `listener` and is one of those that are [`told`] of, and answers
    /// it, now or when its connection is there.
    ///
    /// # Errors
    ///
    /// When the kernel does not take the answer.
    pub fn make(&mut self, listener: BorrowedFd<'_>, notification: &Notification, call: &str) -> io::Result<()> {
        let caller = Caller::after(listener, notification, self.caller.take());
        let answered = self.answer(&caller, call);
        self.caller = caller.into_process();
        answered?;
        if self.hands.is_overrun() {
            return Err(io::Error::other("the job had everybody wait who closes what it names"));
        }
        Ok(())
    }

    /// The job says that its input is complete: nothing is connected to any more, no name is answered for, and what is
    /// connected is cut.
    ///
    /// # Errors
    ///
    /// When a connection cannot be cut: the job is to be ended.
    pub fn complete_input(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        self.is_over = true;
        self.spares = Spares::default();
        self.names.close();
        self.answer_pending(listener, Instant::now())?;
        for pending in std::mem::take(&mut self.pending) {
            self.abandon(listener, pending)?;
        }
        if let Some(requests) = self.requests.take() {
            requests.finish(&mut self.transcript);
        }
        for socket in std::mem::take(&mut self.kept) {
            // One that has ended is no longer connected.
            drop(rustix::net::shutdown(&socket, rustix::net::Shutdown::Both).map_err(io::Error::from));
        }
        if !self.keeps {
            self.accounts.cut().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// What becomes ready when a call that waits can be answered.
    pub fn interests(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pending.iter().filter_map(Pending::interest)
    }

    /// What becomes readable when there is news of connections, or one whose requests are looked at.
    pub fn news(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let requests = self.requests.as_ref().map(Requests::arrivals);
        self.accounts.descriptor().into_iter().chain(requests).chain([self.hands.wake()])
    }

    /// When to [advance](Self::advance), whatever is ready.
    pub fn due(&self) -> Option<Instant> {
        let deadlines = self.pending.iter().filter_map(Pending::deadline);
        // What goes by requests is counted as it goes; it is looked at as often as pending calls.
        let tally = self.requests.as_ref().map(|_| self.looked + LOOK);
        let idle = self.spares.due().into_iter().chain(self.unused.due());
        deadlines.chain(self.look).chain(self.accounts.due()).chain(tally).chain(idle).min()
    }

    /// Answers the calls that wait and can be answered, and takes the news of connections. Returns the limit that the job is
    /// to be ended for.
    ///
    /// # Errors
    ///
    /// When the kernel does not take an answer, or cannot be asked.
    pub fn advance(&mut self, listener: BorrowedFd<'_>) -> io::Result<Option<LimitKey>> {
        let now = Instant::now();
        self.looked = now;
        self.answer_pending(listener, now)?;
        if self.unused.due().is_some_and(|due| now >= due) {
            self.unused.let_go();
        }
        if self.spares.due().is_some_and(|due| now >= due) {
            let cookies = self.spares.fill();
            self.accounts.expect(&cookies).map_err(io::Error::other)?;
        }
        if let Some(requests) = &mut self.requests {
            requests.take()?;
        }
        let is_due = self.accounts.due().is_some_and(|due| now >= due);
        let passed = self.accounts.look(is_due, &self.tally).map_err(io::Error::other)?;
        let spent = self.tally.spent().filter(|_| self.requests.is_some()).map(|way| match way {
            Way::Up => LimitKey::NetSent,
            Way::Down => LimitKey::NetReceived,
        });
        Ok(passed.or(spent))
    }

    /// What the job did, when it is dead. Of one that `was_stopped` nothing more is sent: what the kernel still had of a job
    /// that came to its own end goes out.
    pub fn finish(mut self, started: Instant, was_stopped: bool) -> Ended {
        self.names.end();
        self.hands.stop();
        if let Some(requests) = self.requests.take() {
            requests.finish(&mut self.transcript);
        }
        let mut reached: Vec<LimitKey> =
            self.accounts.is_at_most().then_some(LimitKey::NetConnections).into_iter().collect();
        match self.accounts.finish(&self.tally) {
            Ok((accounts, passed)) => {
                reached.extend(passed);
                self.transcript.account(accounts);
            }
            Err(error) => self.transcript.lacked(&io::Error::other(error)),
        }
        if was_stopped || reached.iter().any(|key| *key != LimitKey::NetConnections) {
            // Who may not do that leaves it to the kernel.
            drop(self.accounts.cut());
        }
        Ended { report: self.transcript.report(started, &self.names), reached }
    }
}

fn allowance(bytes: Option<u64>) -> Allowance {
    bytes.map_or(Allowance::Unlimited, Allowance::Bytes)
}
