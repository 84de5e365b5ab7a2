//! How many bytes a job's connections carry each way, and for how long.
//!
//! The sockets are the job's alone: a copy here would keep a connection open that the job has closed. So the kernel is
//! asked, by a socket's cookie, while the connection lasts, and tells the last figures when the socket is no more.
//!
//! Each ledger has netlink sockets of its own, from its first connection on. Their filter lets only the ends of the job's own
//! sockets through, so that nobody is woken, and no room is taken, by another job's or by the rest of a busy host; a job can
//! make its own supervisor lose news and no other; and there is no state that jobs share. The price is paid by others: each
//! end of a TCP socket on this host costs the kernel about 4 µs when anyone listens, and 0.1 µs more for each further ledger.
//!
//! What is counted, and what is not:
//!
//! - *Sent* are the bytes that left this host at least once, not those that only wait in the kernel: what can be known outside.
//!   *Received* are those that came in order, read or not. The kernel counts the end of the peer's stream as one more; it
//!   is taken off where its state tells of it, so that the last figure can be one too high.
//! - A budget is passed when a look sees it. Until then the job goes on. On a host that carries no more than `HIGHEST_RATE`
//!   the overshoot is at most what that is in 2 ms (2.5 MB), and in 100 µs for each open connection, or in 100 ms where that
//!   is less; on a faster one it is at most what that one carries in 100 ms. To it comes the time in which the supervisor is
//!   busy, and 40 ms, once, for a connection that the job hides by `SO_BINDTODEVICE`: the filter had better refuse that.
//! - When a job dies, the kernel still sends what it had taken (at most `tcp_wmem[2]` for each connection), until
//!   [`Ledger::cut`].
//! - A connection that ended while the job holds on to its socket can no longer be asked about. Its last figures come when the
//!   job closes it, or by [`Ledger::settle`]. A job with a budget of bytes must be made to settle: see [`Change::Held`].

mod book;

use book::{Connection, Rise, State};
use lazaret_sys::diag::{self, Diag, Ends, Found, Name, News};
use lazaret_sys::interface::Interfaces;
use lazaret_sys::socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

pub use book::{Account, Budget, Change, ConnectionId, Passed};

/// What connections are taken to carry at most, all together, in bytes a second: 10 Gbit/s.
const HIGHEST_RATE: u64 = 1_250_000_000;
/// The bounds of the time between two looks while there is a budget of bytes, and that without.
const SOONEST: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(1);
/// What each open connection adds to [`SOONEST`], so that looking takes a twentieth of a processor, at 5 µs each.
const EACH: Duration = Duration::from_micros(100);
/// How late news commonly comes of a socket that is not found any more, and how late on a busy host.
const GRACE: Duration = Duration::from_millis(20);
const LONG_GRACE: Duration = Duration::from_millis(200);
/// How long [`Ledger::finish`] waits for news.
const LAST_WAIT: Duration = Duration::from_millis(200);
/// So many open connections are in the filter; with more the ledger is told of every end on the host.
const MOST_FILTERED: usize = 128;
/// The most news that is taken at once.
const MOST_NEWS: usize = 4096;
/// Room for news, in bytes: a thousand ends, where net.core.rmem_max permits.
const ROOM: usize = 1 << 20;

/// The connections of one job: how many bytes they carry each way, and for how long.
#[derive(Debug)]
pub struct Ledger {
    kernel: Kernel,
    room: usize,
    budget: Budget,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Those whose last figures are not known, by their cookies.
    open: HashMap<u64, ConnectionId>,
    sum: Rise,
    looked: Option<Instant>,
    told: (bool, bool),
    heard: Heard,
    /// The namespace of the sockets that it asks with.
    namespace: u64,
}

/// Of whose end the kernel tells.
#[derive(Debug)]
enum Heard {
    /// Of sockets with these cookies, by their low halves.
    Only(Vec<u32>),
    /// Of every one on this host.
    All,
}

#[derive(Debug)]
enum Kernel {
    Unasked,
    Asked(Box<(Diag, Ends)>),
    Blind(String),
}

/// Why a connection cannot be accounted for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The kernel does not answer.
    #[error("cannot ask the kernel about connections")]
    Kernel(#[source] io::Error),
    /// Nothing can be had of the socket itself.
    #[error("cannot tell which socket it is")]
    Socket(#[source] io::Error),
    /// The socket is not of the network that this process's thread is in.
    #[error("the socket belongs to another network namespace")]
    Elsewhere,
    /// The name of the connection, or its socket, is in use.
    #[error("connection {} is in the ledger", .0.0)]
    Twice(ConnectionId),
    /// It is not in the ledger.
    #[error("connection {} is not in the ledger", .0.0)]
    Unknown(ConnectionId),
}

/// Whether ledgers can be kept on this host: the kernel finds a socket, and tells of its end.
///
/// # Errors
///
/// Why not: a reason for [`Ledger::blind`].
pub fn supported() -> Result<(), String> {
    try_it().map_err(|error| format!("the kernel does not tell about connections (sock_diag): {error}"))
}

fn try_it() -> io::Result<()> {
    let (mut diag, mut ends) = (Diag::open()?, Ends::open(ROOM)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let cookie = sockopt::socket_cookie(&listener)?;
    ends.only([low(cookie)])?;
    let (local, remote) = (listener.local_addr()?, SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    if !matches!(diag.ask(&Name { local, remote, interface: 0, cookie })?, Found::Open(_)) {
        return Err(io::Error::other("it does not find a socket that is there"));
    }
    drop(listener);
    // At once, unless the host is very busy.
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        wait(ends.socket(), deadline)?;
        if matches!(ends.read()?, Some(News::Destroyed(figures)) if figures.cookie == cookie) {
            return Ok(());
        }
    }
    Err(io::Error::other("it does not tell of the end of a socket"))
}

impl Ledger {
    /// For a job. The kernel is not asked before the first connection.
    pub fn new(budget: Budget) -> Self {
        Self::on(Kernel::Unasked, budget)
    }

    /// For a host where the kernel cannot be asked, because of `reason`: it knows when connections were opened, and that is
    /// all. So it has no budget.
    pub fn blind(reason: String) -> Self {
        Self::on(Kernel::Blind(reason), Budget::default())
    }

    fn on(kernel: Kernel, budget: Budget) -> Self {
        let (connections, open) = (BTreeMap::new(), HashMap::new());
        let (sum, looked, told) = (Rise::default(), None, (false, false));
        let heard = Heard::Only(Vec::new());
        Self { kernel, room: ROOM, budget, connections, open, sum, looked, told, heard, namespace: 0 }
    }

    /// Why it is blind, if it is.
    pub fn blindness(&self) -> Option<&str> {
        if let Kernel::Blind(reason) = &self.kernel { Some(reason) } else { None }
    }

    /// What is known of a connection.
    pub fn account(&self, id: ConnectionId) -> Option<&Account> {
        self.connections.get(&id).map(|connection| &connection.account)
    }

    /// What all have sent and received.
    pub fn sums(&self) -> (u64, u64) {
        (self.sum.sent, self.sum.received)
    }

    /// Begins to account for `socket`, which is connected from the first address to the second, or is on the way to be, before
    /// it is put into the job. The calling thread is in the socket's network namespace.
    ///
    /// # Errors
    ///
    /// Then the connection is not accounted for, and must not be put into the job.
    pub fn opened(
        &mut self,
        id: ConnectionId,
        socket: BorrowedFd<'_>,
        (local, remote): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Result<(), LedgerError> {
        let cookie = sockopt::socket_cookie(socket).map_err(|errno| LedgerError::Socket(errno.into()))?;
        if self.connections.contains_key(&id) || self.open.contains_key(&cookie) {
            return Err(LedgerError::Twice(id));
        }
        self.listen(socket, cookie)?;
        if self.open.is_empty() {
            self.looked = Some(now);
        }
        self.connections.insert(id, Connection::new(Name { local, remote, interface: 0, cookie }, now));
        self.open.insert(cookie, id);
        Ok(())
    }

    /// Has the kernel tell of the end of `socket`.
    fn listen(&mut self, socket: BorrowedFd<'_>, cookie: u64) -> Result<(), LedgerError> {
        if let Kernel::Unasked = self.kernel {
            let asked =
                (Diag::open().map_err(LedgerError::Kernel)?, Ends::open(self.room).map_err(LedgerError::Kernel)?);
            self.namespace = socket::namespace(asked.0.socket()).map_err(LedgerError::Socket)?;
            self.kernel = Kernel::Asked(Box::new(asked));
        }
        if !matches!(self.kernel, Kernel::Asked(_)) {
            return Ok(());
        }
        if socket::namespace(socket).map_err(LedgerError::Socket)? != self.namespace {
            return Err(LedgerError::Elsewhere);
        }
        match &self.heard {
            Heard::Only(cookies) if cookies.contains(&low(cookie)) => Ok(()),
            Heard::All if self.open.len() >= MOST_FILTERED => Ok(()),
            _ => self.hear_of(&[cookie]),
        }
    }

    /// Has the kernel tell of the ends of sockets of which there may be connections soon, so that it need not be told of each
    /// when there are. Setting a filter takes the kernel as long as all else that is done here for one connection.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it.
    pub fn expect(&mut self, cookies: &[u64]) -> Result<(), LedgerError> {
        self.hear_of(cookies)
    }

    /// Of the open connections' ends, and those of others.
    fn hear_of(&mut self, others: &[u64]) -> Result<(), LedgerError> {
        let Kernel::Asked(asked) = &self.kernel else { return Ok(()) };
        let (heard, set) = if self.open.len() < MOST_FILTERED {
            let cookies: Vec<u32> = self.open.keys().chain(others).copied().map(low).collect();
            let set = asked.1.only(cookies.iter().copied());
            (Heard::Only(cookies), set)
        } else {
            (Heard::All, asked.1.all())
        };
        set.map_err(LedgerError::Kernel)?;
        self.heard = heard;
        Ok(())
    }

    /// Something to wait on: it can be read when there is news, to be [heard](Self::hear).
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if let Kernel::Asked(asked) = &self.kernel { Some(asked.1.socket()) } else { None }
    }

    /// When to look next, if there is no news before. `None`: there is nothing to look at.
    pub fn due(&self) -> Option<Instant> {
        let asked = || self.open.values().filter_map(|id| self.connections.get(id)).filter(|c| c.is_asked());
        let (looked, count) = (self.looked?, u32::try_from(asked().count()).unwrap_or(u32::MAX));
        if count == 0 || self.blindness().is_some() {
            return None;
        }
        let left = |budget: Option<u64>, sum, told: bool| budget.filter(|_| !told).map(|most| most.saturating_sub(sum));
        let (sent, received) = (
            left(self.budget.sent, self.sum.sent, self.told.0),
            left(self.budget.received, self.sum.received, self.told.1),
        );
        let pause = match sent.into_iter().chain(received).min() {
            Some(bytes) => {
                let at_least = SOONEST.saturating_add(EACH.saturating_mul(count));
                Duration::from_millis(bytes.saturating_mul(1000) / HIGHEST_RATE).max(at_least).min(LATEST)
            }
            None => SELDOM,
        };
        let time = self.budget.time_per_connection;
        let late = asked().filter(|c| c.may_be_late()).filter_map(|c| c.account.opened.checked_add(time?)).min();
        let missing = asked().any(|c| c.state != State::Open).then(|| looked + GRACE);
        [Some(looked + pause), late, missing].into_iter().flatten().min()
    }

    /// Takes the news of connections that have ended, which is all that is to be done before a look is [due](Self::due).
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub fn hear(&mut self, now: Instant) -> Result<Vec<Change>, LedgerError> {
        let mut changes = Vec::new();
        self.news(now, &mut changes)?;
        self.judge(now, &mut changes);
        Ok(changes)
    }

    /// Takes the news, and asks about the connections that are open.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked: the budgets are not enforced from here on, so the job is to be ended.
    pub fn look(&mut self, now: Instant) -> Result<Vec<Change>, LedgerError> {
        let mut changes = Vec::new();
        self.news(now, &mut changes)?;
        for id in self.open.values().copied().collect::<Vec<_>>() {
            self.ask(id, now, &mut changes)?;
        }
        self.news(now, &mut changes)?;
        self.looked = Some(now);
        self.judge(now, &mut changes);
        Ok(changes)
    }

    fn news(&mut self, now: Instant, changes: &mut Vec<Change>) -> Result<(), LedgerError> {
        let Kernel::Asked(asked) = &mut self.kernel else { return Ok(()) };
        for _ in 0..MOST_NEWS {
            match asked.1.read().map_err(LedgerError::Kernel)? {
                None => break,
                Some(News::Lost) => changes.push(Change::Lost),
                Some(News::Destroyed(figures)) => {
                    let Some(id) = self.open.remove(&figures.cookie) else { continue };
                    let Some(connection) = self.connections.get_mut(&id) else { continue };
                    self.sum.add(connection.close(&figures, now));
                    changes.push(Change::Closed(id));
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, id: ConnectionId, now: Instant, changes: &mut Vec<Change>) -> Result<(), LedgerError> {
        let Kernel::Asked(asked) = &mut self.kernel else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(&id).filter(|c| c.is_asked()) else { return Ok(()) };
        let is_missing_for = |time| matches!(connection.state, State::Missing(since) if since + time <= now);
        let (is_late, is_held) = (is_missing_for(GRACE), is_missing_for(LONG_GRACE));
        let mut found = asked.0.ask(&connection.name).map_err(LedgerError::Kernel)?;
        if found == Found::Nothing && is_late {
            found = seek(&mut asked.0, &mut connection.name).map_err(LedgerError::Kernel)?;
        }
        match (found, connection.state) {
            (Found::Open(figures), _) => {
                self.sum.add(connection.record(&figures));
                connection.state = State::Open;
            }
            (_, State::Open) => connection.state = State::Missing(now),
            _ if is_held => {
                connection.state = State::Held;
                connection.account.closed = Some(now);
                changes.push(Change::Held(id));
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(&mut self, now: Instant, changes: &mut Vec<Change>) {
        let is_passed = |budget: Option<u64>, sum| budget.is_some_and(|most| sum > most);
        if !self.told.0 && is_passed(self.budget.sent, self.sum.sent) {
            self.told.0 = true;
            changes.push(Change::Passed(Passed::Sent));
        }
        if !self.told.1 && is_passed(self.budget.received, self.sum.received) {
            self.told.1 = true;
            changes.push(Change::Passed(Passed::Received));
        }
        let Some(most) = self.budget.time_per_connection else { return };
        for id in self.open.values() {
            let Some(connection) = self.connections.get_mut(id).filter(|c| c.may_be_late()) else { continue };
            if now.saturating_duration_since(connection.account.opened) >= most {
                connection.is_late = true;
                changes.push(Change::Passed(Passed::Time(*id)));
            }
        }
    }

    /// Takes the figures of a connection that is [held](Change::Held) from its socket. Returns whether the connection has
    /// ended. If it has not, then the job has hidden it, and is to be ended.
    ///
    /// # Errors
    ///
    /// When `socket` is not the connection's. The budgets are judged by the next look.
    pub fn settle(&mut self, id: ConnectionId, socket: BorrowedFd<'_>, now: Instant) -> Result<bool, LedgerError> {
        let figures = diag::figures(socket).map_err(LedgerError::Socket)?;
        let connection = self.connections.get_mut(&id).ok_or(LedgerError::Unknown(id))?;
        if figures.cookie != connection.name.cookie {
            return Err(LedgerError::Unknown(id));
        }
        let has_ended = figures.state == CLOSE;
        if has_ended && self.open.remove(&figures.cookie).is_some() {
            self.sum.add(connection.close(&figures, now));
        } else if !has_ended {
            self.sum.add(connection.record(&figures));
        }
        Ok(has_ended)
    }

    /// Ends all connections at once: their peers get resets, and what waits to be sent is dropped. Returns how many it found.
    ///
    /// # Errors
    ///
    /// Without CAP_NET_ADMIN over the network: connections last until the job is dead and the kernel has sent what it took.
    pub fn cut(&mut self) -> Result<usize, LedgerError> {
        let Kernel::Asked(asked) = &mut self.kernel else { return Ok(0) };
        let mut count = 0;
        for connection in self.open.values().filter_map(|id| self.connections.get(id)).filter(|c| c.is_asked()) {
            match asked.0.destroy(&connection.name) {
                Ok(()) => count += 1,
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                Err(e) => return Err(LedgerError::Kernel(e)),
            }
        }
        Ok(count)
    }

    /// What all connections carried, when the job is dead, and its sockets are nobody's: waits a moment for the news of those
    /// that are over. The account of one for which the kernel still has something to send is not exact.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub fn finish(&mut self, now: Instant) -> Result<Vec<(ConnectionId, Account)>, LedgerError> {
        let mut changes = self.look(now)?;
        let deadline = Instant::now() + LAST_WAIT;
        while let Kernel::Asked(asked) = &self.kernel
            && self.open.values().filter_map(|id| self.connections.get(id)).any(|c| c.state != State::Open)
            && Instant::now() < deadline
        {
            wait(asked.1.socket(), deadline).map_err(LedgerError::Kernel)?;
            self.news(now, &mut changes)?;
        }
        for id in self.open.values() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.spend();
            }
        }
        Ok(self.connections.iter().map(|(id, connection)| (*id, connection.account)).collect())
    }
}

/// The state of a socket that is connected to nothing any more, include/net/tcp_states.h.
const CLOSE: u8 = 7;

fn low(cookie: u64) -> u32 {
    let [a, b, c, d, ..] = cookie.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Looks for a socket that a program has bound to an interface (`SO_BINDTODEVICE`, which anyone may once since Linux 5.7).
fn seek(diag: &mut Diag, name: &mut Name) -> io::Result<Found> {
    for interface in Interfaces::open()?.numbers()? {
        let bound = Name { interface, ..*name };
        let found = diag.ask(&bound)?;
        if found != Found::Nothing {
            *name = bound;
            return Ok(found);
        }
    }
    Ok(Found::Nothing)
}

fn wait(socket: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&left)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
