//! What is written down of each connection.

use lazaret_sys::diag::{Figures, Name};
use std::time::{Duration, Instant};

/// Names a connection of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What a connection carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Bytes that the job sent and that left this host, each counted once.
    pub sent: u64,
    /// Bytes that came for the job, and at most one more.
    pub received: u64,
    /// When it was opened.
    pub opened: Instant,
    /// When it was seen that it had ended.
    pub closed: Option<Instant>,
    /// Whether it ever was there: whether the other end has confirmed anything.
    pub connected: bool,
    /// Whether the figures are the socket's last. Otherwise they are those of the last look, and it may have carried more.
    pub exact: bool,
}

/// What a job's connections may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Bytes that all of them together send.
    pub sent: Option<u64>,
    /// Bytes that come over all of them together.
    pub received: Option<u64>,
    /// How long each lasts.
    pub time_per_connection: Option<Duration>,
}

/// What is passed of a budget. It is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// [`Budget::sent`].
    Sent,
    /// [`Budget::received`].
    Received,
    /// [`Budget::time_per_connection`], by this one.
    Time(ConnectionId),
}

/// What is to be known of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The job let go of the socket, and the connection ended. Its account is done.
    Closed(ConnectionId),
    /// The kernel has no such connection any more, and has not told of the end of its socket: the connection ended and a
    /// process of the job holds on to the socket, or the news is late or lost. What it carried since the look before is not known
    /// until the job closes it or [`settle`](super::Ledger::settle) is called with its socket, had from the job's
    /// descriptors. A job that is given new connections meanwhile can carry any number of bytes past its budget, in pieces
    /// that are shorter than the time between two looks.
    Held(ConnectionId),
    /// News was lost, which only the job's own closing of very many at once can do: some accounts will not be exact.
    Lost,
    /// A budget is passed. The job is to be ended.
    Passed(Passed),
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The kernel had it when it was last asked.
    Open,
    /// It had not, since then, and news may be on its way.
    Missing(Instant),
    /// It has not, and there is no news.
    Held,
    /// Its last figures are known.
    Done,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) name: Name,
    pub(super) account: Account,
    pub(super) state: State,
    /// Whether it was told that it lasts too long.
    pub(super) is_late: bool,
    peer_ended: bool,
    /// The figures of the last look, and whether they began anew since the first.
    last: Figures,
    is_torn: bool,
}

/// How far the sums rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rise {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Rise {
    pub(super) fn add(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }
}

impl Connection {
    pub(super) fn new(name: Name, now: Instant) -> Self {
        let account = Account { sent: 0, received: 0, opened: now, closed: None, connected: false, exact: false };
        let last = Figures::default();
        Self { name, account, state: State::Open, is_late: false, peer_ended: false, last, is_torn: false }
    }

    /// Whether the kernel is still to be asked about it.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.state, State::Open | State::Missing(_))
    }

    /// Whether it is to be told when it lasts too long. One that is missing may have ended.
    pub(super) fn may_be_late(&self) -> bool {
        self.state == State::Open && !self.is_late
    }

    /// Figures of a look. They begin anew at zero when the socket is disconnected (`connect` with `AF_UNSPEC`), and are added
    /// to what was before.
    pub(super) fn record(&mut self, figures: &Figures) -> Rise {
        // The confirmation of the connection itself counts as a byte.
        self.account.connected |= figures.acknowledged > 0;
        // CLOSE_WAIT, LAST_ACK and CLOSING: the end of the peer's stream has come, and was counted.
        self.peer_ended |= matches!(figures.state, 8 | 9 | 11);
        let received = figures.received.saturating_sub(self.peer_ended.into());
        // The kernel counts a repetition also when it has no memory to make it; what is acknowledged has left for certain.
        let sent = figures.sent.max(figures.acknowledged.saturating_sub(2));
        // One of the numbers received may have been taken for a byte by one look and for the end by the next.
        if figures.acknowledged < self.last.acknowledged || received.saturating_add(1) < self.last.received {
            self.is_torn = true;
            self.last = Figures::default();
        }
        let rise =
            Rise { sent: sent.saturating_sub(self.last.sent), received: received.saturating_sub(self.last.received) };
        self.account.sent = self.account.sent.saturating_add(rise.sent);
        self.account.received = self.account.received.saturating_add(rise.received);
        let (sent, received) = (sent.max(self.last.sent), received.max(self.last.received));
        self.last = Figures { sent, received, ..*figures };
        rise
    }

    /// Takes the figures of the last look for the last ones when nothing can be added: the socket is nobody's, and all that was
    /// written has left, with the end of the stream. What still comes for such a socket is answered with a reset.
    pub(super) fn spend(&mut self) {
        // FIN_WAIT1, FIN_WAIT2, LAST_ACK and CLOSING.
        let has_ended = matches!(self.last.state, 4 | 5 | 9 | 11);
        if self.state == State::Open && has_ended && self.last.unsent == 0 {
            self.account.exact = !self.is_torn;
        }
    }

    /// The last figures. They are not all when they had begun anew.
    pub(super) fn close(&mut self, figures: &Figures, now: Instant) -> Rise {
        let rise = self.record(figures);
        self.account.exact = !self.is_torn;
        self.account.closed.get_or_insert(now);
        self.state = State::Done;
        rise
    }
}
