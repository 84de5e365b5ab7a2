//! What the job's connections carry, and how many it may have.

use super::Net;
use super::decide::Refused;
use super::hands::Hands;
use super::transcript::Entry;
use crate::caller::{Caller, CallerError};
use crate::ledger::{Account, Budget, Change, ConnectionId, Ledger, LedgerError, Passed};
use lazaret_connector::{Tally, Way};
use lazaret_policy::LimitKey;
use lazaret_sys::diag::{Diag, Name};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many connections a job may have for which no policy says that.
const MOST: u32 = 65_536;
/// How many descriptors of a process are looked through for a socket.
const LOOKED_THROUGH: usize = 4096;

/// What each connection carried.
pub(super) type Accounted = Vec<(Entry, Account)>;

/// The accounts of one job.
#[derive(Debug)]
pub(super) struct Accounts {
    ledger: Ledger,
    budget: Budget,
    /// How many connections may be begun, and how many were.
    most: u32,
    begun: u32,
    /// Whether one more was asked for.
    is_at_most: bool,
    /// The entries of the connections in the transcript, as far as they have one.
    entries: HashMap<ConnectionId, Entry>,
    /// Connections that ended while the job holds on to their sockets: what they carried last is not known yet.
    held: Vec<ConnectionId>,
    inodes: HashMap<ConnectionId, u64>,
    next: u64,
    /// What the tally was told of.
    told: (u64, u64),
}

impl Accounts {
    /// How long one connection may last.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.budget.time_per_connection
    }

    /// `blind`: why the kernel cannot be asked, if so; then there is no budget.
    pub(super) fn new(most: Option<u32>, budget: Budget, blind: Option<String>) -> Self {
        let ledger = match blind {
            None => Ledger::new(budget),
            Some(reason) => Ledger::blind(reason),
        };
        let (entries, inodes) = (HashMap::new(), HashMap::new());
        let most = most.unwrap_or(MOST);
        Self {
            ledger,
            budget,
            most,
            begun: 0,
            is_at_most: false,
            entries,
            held: Vec::new(),
            inodes,
            next: 0,
            told: (0, 0),
        }
    }

    /// Begins one more connection, if there may be one.
    fn take(&mut self) -> bool {
        if self.begun >= self.most {
            self.is_at_most = true;
            return false;
        }
        self.begun = self.begun.saturating_add(1);
        true
    }

    fn counts_bytes(&self) -> bool {
        self.budget.sent.is_some() || self.budget.received.is_some()
    }

    /// Takes the last figures of a connection from the socket that the caller holds on to.
    fn settle(&mut self, caller: &Caller<'_>, id: ConnectionId, hands: &mut Hands) -> Result<bool, CallerError> {
        let Some(inode) = self.inodes.get(&id).copied() else { return Ok(true) };
        for number in numbers(caller.tid(), inode) {
            let Ok(socket) = caller.descriptor(number) else { continue };
            match self.ledger.settle(id, socket.as_fd(), Instant::now()) {
                Ok(has_ended) => return Ok(has_ended),
                // The number stands for something else by now.
                Err(LedgerError::Unknown(_) | LedgerError::Socket(_)) => hands.let_go(socket),
                Err(error) => return Err(CallerError::Own(io::Error::other(error))),
            }
        }
        // Another process of the job may hold it, or nobody does and the news of that was lost: then its last figures are
        // those that are known. One that is on its way in a message is not found.
        let mut is_held = false;
        for (process, number) in holders(inode) {
            let Ok(socket) = of_process(process, number) else { continue };
            match self.ledger.settle(id, socket.as_fd(), Instant::now()) {
                Ok(true) => return Ok(true),
                Ok(false) => is_held = true,
                Err(LedgerError::Unknown(_) | LedgerError::Socket(_)) => hands.let_go(socket),
                Err(error) => return Err(CallerError::Own(io::Error::other(error))),
            }
        }
        Ok(!is_held)
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.ledger.descriptor()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.ledger.due()
    }

    /// Whether one more connection was asked for than there may be.
    pub(super) fn is_at_most(&self) -> bool {
        self.is_at_most
    }

    /// Takes what is to be known, and returns the limit that the job is to be ended for.
    pub(super) fn look(&mut self, is_due: bool, tally: &Tally) -> Result<Option<LimitKey>, LedgerError> {
        let now = Instant::now();
        let changes = if is_due { self.ledger.look(now)? } else { self.ledger.hear(now)? };
        let (sent, received) = self.ledger.sums();
        // One budget for both kinds of connections.
        tally.add(Way::Up, sent - self.told.0);
        tally.add(Way::Down, received - self.told.1);
        self.told = (sent, received);
        let mut passed = None;
        for change in changes {
            match change {
                Change::Closed(id) => self.held.retain(|held| *held != id),
                Change::Held(id) => self.held.push(id),
                // Some accounts will not be exact, which they say.
                Change::Lost => {}
                Change::Passed(of) => {
                    passed.get_or_insert(match of {
                        Passed::Sent => LimitKey::NetSent,
                        Passed::Received => LimitKey::NetReceived,
                        Passed::Time(_) => LimitKey::NetTime,
                    });
                }
            }
        }
        Ok(passed)
    }

    /// Has the kernel tell of sockets that connections may be made of, beside those that there are.
    pub(super) fn expect(&mut self, cookies: &[u64]) -> Result<(), LedgerError> {
        self.ledger.expect(cookies)
    }

    /// Ends all connections, as far as this process may.
    pub(super) fn cut(&mut self) -> Result<usize, LedgerError> {
        self.ledger.cut()
    }

    /// What each connection carried, for the transcript; and the limit that was passed, if one was at the very end.
    pub(super) fn finish(&mut self, tally: &Tally) -> Result<(Accounted, Option<LimitKey>), LedgerError> {
        let accounts = self.ledger.finish(Instant::now())?;
        let passed = self.look(false, tally)?;
        let known = |(id, account)| Some((*self.entries.get(&id)?, account));
        Ok((accounts.into_iter().filter_map(known).collect(), passed))
    }
}

impl Net {
    /// Whether the job may have one more connection. `Err` says why not.
    pub(super) fn admit(&mut self, caller: &Caller<'_>) -> Result<Result<(), Refused>, CallerError> {
        let refused = |reason: String| Ok(Err(Refused { name: None, reason, suggestion: None }));
        if self.accounts.counts_bytes() && !self.accounts.held.is_empty() {
            let held = std::mem::take(&mut self.accounts.held);
            for id in held {
                if !self.accounts.settle(caller, id, &mut self.hands)? {
                    self.accounts.held.push(id);
                }
            }
            if !self.accounts.held.is_empty() {
                let reason = "a connection has ended that the job holds on to, so that what it carried is not known";
                return refused(reason.to_owned());
            }
        }
        if !self.accounts.take() {
            return refused(format!("the limit of {} connections (`net-connections`) is reached", self.accounts.most));
        }
        Ok(Ok(()))
    }

    /// Begins to account for a socket that is about to be put into the job.
    pub(super) fn account(
        &mut self,
        socket: BorrowedFd<'_>,
        remote: SocketAddr,
        entry: Option<Entry>,
    ) -> Result<(), CallerError> {
        let own = |errno: rustix::io::Errno| CallerError::Own(errno.into());
        let local = SocketAddr::try_from(rustix::net::getsockname(socket).map_err(own)?).map_err(own)?;
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let accounts = &mut self.accounts;
        let id = ConnectionId(accounts.next);
        let opened = accounts.ledger.opened(id, socket, (local, remote), Instant::now());
        opened.map_err(|error| CallerError::Own(io::Error::other(error)))?;
        accounts.next += 1;
        accounts.entries.extend(entry.map(|entry| (id, entry)));
        if accounts.counts_bytes() {
            accounts.inodes.insert(id, rustix::fs::fstat(socket).map_err(own)?.st_ino);
        }
        Ok(())
    }
}

/// The processes that have the socket `inode`, and by which number. No process but the job's does.
fn holders(inode: u64) -> Vec<(u32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let processes = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.flat_map(|process| numbers(process, inode).into_iter().map(move |number| (process, number))).collect()
}

fn of_process(process: u32, number: i32) -> io::Result<OwnedFd> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

/// The numbers that stand for the socket `inode` in the process of the thread `tid`. Source: proc_pid_fd(5).
fn numbers(tid: u32, inode: u64) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{tid}/fd")) else { return Vec::new() };
    let name = format!("socket:[{inode}]");
    let is_it = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == name.as_str())
    };
    let found = entries.flatten().take(LOOKED_THROUGH).filter(is_it);
    found.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether this process may have the kernel end connections: found out by one of its own, that nobody needs.
pub(super) fn may_cut() -> io::Result<bool> {
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let cookie = rustix::net::sockopt::socket_cookie(&own)?;
    let name = Name { local: own.local_addr()?, remote: (Ipv4Addr::LOCALHOST, 9).into(), interface: 0, cookie };
    match Diag::open()?.destroy(&name) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP)) => Ok(false),
        Err(e) => Err(e),
    }
}
