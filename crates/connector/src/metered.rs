//! Connections whose bytes are counted.

use crate::tally::{Tally, Way};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// When a byte last went, on a connection of the job's or one outside for it.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

/// A connection that tells when it was used, and counts where it is told to.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: TcpStream,
    activity: Arc<Activity>,
    counts: Counts,
}

/// What is counted.
#[derive(Debug)]
pub(crate) enum Counts {
    /// Nothing: it is between the job and this process.
    Nothing,
    /// All bytes, against a budget.
    Against(Arc<Tally>),
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), last: AtomicU64::new(0) })
    }

    /// A byte went.
    fn note(&self) {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(passed, Ordering::Relaxed);
    }

    /// When a byte last went.
    pub(crate) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Waits until no byte went for so long.
    pub(crate) async fn ceased(&self, idle: Duration) {
        loop {
            let passed = self.last().elapsed();
            if passed >= idle {
                return;
            }
            tokio::time::sleep(idle - passed).await;
        }
    }
}

impl Metered {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>, counts: Counts) -> Self {
        Self { stream, activity, counts }
    }

    /// How many bytes may go that way.
    fn left(&self, way: Way) -> io::Result<usize> {
        match &self.counts {
            Counts::Nothing => Ok(usize::MAX),
            Counts::Against(tally) => match tally.left(way) {
                0 => Err(io::Error::new(io::ErrorKind::QuotaExceeded, way.to_string())),
                left => Ok(usize::try_from(left).unwrap_or(usize::MAX)),
            },
        }
    }

    fn add(&self, way: Way, bytes: usize) {
        if bytes > 0 {
            self.activity.note();
        }
        if let Counts::Against(tally) = &self.counts {
            tally.add(way, u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = self.left(Way::Down)?;
        let before = into.filled().len();
        if room >= into.remaining() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        } else {
            let mut part = ReadBuf::new(into.initialize_unfilled_to(room));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
            let bytes = part.filled().len();
            into.advance(bytes);
        }
        let bytes = into.filled().len() - before;
        self.add(Way::Down, bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let some = bytes.len().min(self.left(Way::Up)?);
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..some]))?;
        self.add(Way::Up, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
