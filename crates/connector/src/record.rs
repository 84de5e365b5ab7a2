//! What is written down of a permitted request, however it ends.

use crate::body::OnWay;
use crate::log::{Asked, Ended, Exchange, Failed, Writer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A permitted request that goes on. It is written down when this is dropped.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) log: Arc<Writer>,
    pub(crate) asked: Asked,
    pub(crate) rule: String,
    pub(crate) sent: Arc<OnWay>,
    pub(crate) start: Start,
    pub(crate) stage: Stage,
}

/// How far a request came.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It was, or may have been, sent on, and there is no answer yet.
    Asking,
    /// It was not sent on.
    Refused(String),
    /// There is no answer.
    Failed(String),
    /// There is an answer.
    Answered { address: SocketAddr, status: u16, received: u64, ended: Ended },
}

/// When something began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) at: SystemTime,
    pub(crate) instant: Instant,
}

impl Start {
    pub(crate) fn now() -> Self {
        Self { at: SystemTime::now(), instant: Instant::now() }
    }
}

impl Record {
    /// So many bytes more of the answer were handed over.
    pub(crate) fn add(&mut self, bytes: usize) {
        if let Stage::Answered { received, .. } = &mut self.stage {
            *received = received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// The answer ended so, as far as is known.
    pub(crate) fn end(&mut self, how: Ended) {
        if let Stage::Answered { ended, .. } = &mut self.stage {
            *ended = how;
        }
    }

    fn fail(&self, reason: String) {
        self.log.failed(Failed {
            intended: self.asked.intended.clone(),
            asked: Some(self.asked.clone()),
            rule: Some(self.rule.clone()),
            reason,
            sent: self.sent.bytes(),
            began: self.start.at,
            took: self.start.instant.elapsed(),
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Asking) {
            Stage::Asking => self.fail("the job left, or was over, before there was an answer".to_owned()),
            Stage::Failed(reason) => self.fail(reason),
            Stage::Refused(reason) => self.log.refused(&self.asked.intended, Some(self.asked.clone()), reason),
            Stage::Answered { address, status, received, ended } => self.log.exchange(Exchange {
                asked: self.asked.clone(),
                rule: self.rule.clone(),
                address,
                status,
                sent: self.sent.bytes(),
                received,
                began: self.start.at,
                took: self.start.instant.elapsed(),
                ended,
            }),
        }
    }
}
