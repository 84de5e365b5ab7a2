//! What is told of the network in the report.

use super::accounts::Accounted;
use super::decide::{Permit, Refused};
use super::names::Names;
use crate::ledger::Account;
use lazaret_connector::{Ended, Log};
use lazaret_policy::{Connection, ConnectionOutcome, NetworkAct, NetworkRefusal, NetworkReport, RequestReport};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many connections, and how many different refusals, are kept.
const KEPT: usize = 1024;
const KEPT_REFUSALS: usize = 64;

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

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
    requests: Vec<RequestReport>,
    requests_dropped: u64,
    requests_refused: Vec<NetworkRefusal>,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self {
            connections: Vec::new(),
            connections_dropped: 0,
            refused: BTreeMap::new(),
            refused_dropped: 0,
            requests: Vec::new(),
            requests_dropped: 0,
            requests_refused: Vec::new(),
        }
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
                if account.connected {
                    noted.outcome = ConnectionOutcome::Connected;
                } else if account.exact && noted.outcome == ConnectionOutcome::Begun {
                    // The job did not wait for it, and alone knows whether it was refused or given up.
                    noted.outcome = ConnectionOutcome::Failed;
                    noted.error = Some("it ended before the other end had answered, or with a refusal".to_owned());
                }
                noted.ended = noted.ended.or(account.closed);
                noted.account = Some(account);
            }
        }
    }

    /// What the connector wrote down.
    pub(super) fn requests(&mut self, log: Log) {
        let exchanges = log.exchanges.into_iter().map(|exchange| RequestReport {
            request: exchange.asked.to_string(),
            rule: exchange.rule,
            address: Some(exchange.address.ip().to_string()),
            status: Some(exchange.status),
            error: match exchange.ended {
                Ended::Whole => None,
                Ended::Left => Some("the job did not take all of the answer".to_owned()),
                Ended::Broke(why) => Some(why),
            },
            sent: exchange.sent,
            received: exchange.received,
            duration_us: micros(exchange.took),
        });
        let failed = log.failed.into_iter().map(|failed| RequestReport {
            request: failed
                .asked
                .map_or_else(|| format!("a connection to {}", failed.intended), |asked| asked.to_string()),
            rule: failed.rule.unwrap_or_default(),
            address: None,
            status: None,
            error: Some(failed.reason),
            sent: failed.sent,
            received: 0,
            duration_us: micros(failed.took),
        });
        self.requests.extend(exchanges.chain(failed));
        self.requests_dropped += log.left_out.exchanges + log.left_out.failed;
        for refused in log.refused {
            let request = refused.asked.map(|asked| asked.to_string());
            let same = |known: &&mut NetworkRefusal| (&known.request, &known.reason) == (&request, &refused.reason);
            let is_full = self.requests_refused.len() >= KEPT_REFUSALS;
            match self.requests_refused.iter_mut().find(same) {
                Some(known) => known.count += 1,
                None if is_full => self.refused_dropped += 1,
                None => self.requests_refused.push(NetworkRefusal {
                    act: NetworkAct::Request,
                    name: Some(refused.intended.host.to_string()),
                    address: None,
                    port: Some(refused.intended.port),
                    request,
                    reason: refused.reason,
                    suggestion: None,
                    count: 1,
                }),
            }
        }
        self.refused_dropped += log.left_out.refused;
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
            request: None,
            reason: refused.reason,
            suggestion: refused.suggestion,
            count: 0,
        };
        self.refused.entry(key).or_insert_with(new).count += 1;
    }

    /// All of it. `started` is when the job's command began.
    pub(super) fn report(self, started: Instant, names: &Names) -> NetworkReport {
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
        refused.extend(self.requests_refused);
        NetworkReport {
            connections: connections.collect(),
            connections_dropped: self.connections_dropped,
            requests: self.requests,
            requests_dropped: self.requests_dropped,
            names,
            refused,
            refused_dropped: self.refused_dropped + names_dropped,
        }
    }
}
