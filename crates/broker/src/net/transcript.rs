//! What is told of the network in the report.

use super::accounts::Accounted;
use super::decide::{Permit, Refused};
use super::names::Names;
use crate::ledger::Account;
use lazaret_policy::{Connection, ConnectionOutcome, NetworkAct, NetworkRefusal, NetworkReport};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many connections, and how many different refusals, are kept.
const KEPT: usize = 1024;
const KEPT_REFUSALS: usize = 64;

/// The number of a connection in the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry(usize);

#[derive(Debug)]
struct Noted {
    permit: Permit,
    begun: Instant,
    ended: Option<Instant>,
    outcome: ConnectionOutcome,
    error: Option<String>,
    account: Option<Account>,
}

/// The notes of one job.
#[derive(Debug)]
pub(super) struct Transcript {
    connections: Vec<Noted>,
    connections_dropped: u64,
    refused: BTreeMap<(NetworkAct, Option<SocketAddr>, String), NetworkRefusal>,
    refused_dropped: u64,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self { connections: Vec::new(), connections_dropped: 0, refused: BTreeMap::new(), refused_dropped: 0 }
    }

    /// A connection is begun. `None`: there are too many to note.
    pub(super) fn begin(&mut self, permit: &Permit) -> Option<Entry> {
        if self.connections.len() >= KEPT {
            self.connections_dropped += 1;
            return None;
        }
        self.connections.push(Noted {
            permit: permit.clone(),
            begun: Instant::now(),
            ended: None,
            outcome: ConnectionOutcome::Begun,
            error: None,
            account: None,
        });
        Some(Entry(self.connections.len() - 1))
    }

    pub(super) fn connected(&mut self, entry: Option<Entry>) {
        if let Some(noted) = self.noted(entry) {
            noted.outcome = ConnectionOutcome::Connected;
        }
    }

    pub(super) fn failed(&mut self, entry: Option<Entry>, errno: i32) {
        if let Some(noted) = self.noted(entry) {
            noted.outcome = ConnectionOutcome::Failed;
            noted.error = Some(io::Error::from_raw_os_error(errno).to_string());
            noted.ended = Some(Instant::now());
        }
    }

    fn noted(&mut self, entry: Option<Entry>) -> Option<&mut Noted> {
        entry.and_then(|Entry(number)| self.connections.get_mut(number))
    }

    /// This process lacked a descriptor or memory, so that something that may have been permitted was not made.
    pub(super) fn lacked(&mut self, error: &io::Error) {
        let reason = format!("the supervisor could not make it: {error}");
        self.refuse(NetworkAct::Connect, None, Refused { name: None, reason, suggestion: None });
    }

    /// What connections carried.
    pub(super) fn account(&mut self, accounts: Accounted) {
        for (entry, account) in accounts {
            if let Some(noted) = self.noted(Some(entry)) {
                if account.received > 0 || account.sent > 0 {
                    noted.outcome = ConnectionOutcome::Connected;
                }
                noted.ended = noted.ended.or(account.closed);
                noted.account = Some(account);
            }
        }
    }

    /// Something was refused.
    pub(super) fn refuse(&mut self, act: NetworkAct, address: Option<SocketAddr>, refused: Refused) {
        let key = (act, address, refused.reason.clone());
        if self.refused.len() >= KEPT_REFUSALS && !self.refused.contains_key(&key) {
            self.refused_dropped += 1;
            return;
        }
        let new = || NetworkRefusal {
            act,
            name: refused.name.map(|name| name.to_string()),
            address: address.map(|address| address.ip().to_string()),
            port: address.map(|address| address.port()),
            reason: refused.reason,
            suggestion: refused.suggestion,
            count: 0,
        };
        self.refused.entry(key).or_insert_with(new).count += 1;
    }

    /// All of it. `started` is when the job's command began.
    pub(super) fn report(self, started: Instant, names: &Names) -> NetworkReport {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let connections = self.connections.into_iter().map(|noted| Connection {
            name: noted.permit.name.map(|name| name.to_string()),
            address: noted.permit.address.ip().to_string(),
            port: noted.permit.address.port(),
            rule: noted.permit.rule,
            outcome: noted.outcome,
            error: noted.error,
            sent: noted.account.map(|account| account.sent),
            received: noted.account.map(|account| account.received),
            exact: noted.account.is_some_and(|account| account.exact),
            start_us: micros(noted.begun.saturating_duration_since(started)),
            duration_us: noted.ended.map(|ended| micros(ended.saturating_duration_since(noted.begun))),
        });
        let (names, mut refused, names_dropped) = names.tell();
        refused.extend(self.refused.into_values());
        NetworkReport {
            connections: connections.collect(),
            connections_dropped: self.connections_dropped,
            names,
            refused,
            refused_dropped: self.refused_dropped + names_dropped,
        }
    }
}
