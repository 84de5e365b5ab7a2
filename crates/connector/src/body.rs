//! Bodies on their way, counted.

use crate::intended::Intended;
use crate::log::{Ended, Failed};
use crate::record::{Record, Start};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

/// What the job gets: an answer from outside, or a word from here.
pub(crate) type Handed = Either<Answer, Full<Bytes>>;

/// The body of a request, on its way out.
#[derive(Debug)]
pub(crate) struct Sent {
    body: Incoming,
    way: Arc<OnWay>,
}

/// What became of a request's body by now.
#[derive(Debug, Default)]
pub(crate) struct OnWay {
    bytes: AtomicU64,
    /// How the job broke it off.
    broke: OnceLock<String>,
}

/// The body of an answer, on its way to the job. It writes the exchange down when it is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Incoming,
    record: Record,
}

impl Sent {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, way: Arc::default() }
    }

    /// What becomes of it.
    pub(crate) fn way(&self) -> Arc<OnWay> {
        Arc::clone(&self.way)
    }
}

impl OnWay {
    /// How many bytes of it went.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How the job broke it off, if it did.
    pub(crate) fn broke(&self) -> Option<&str> {
        self.broke.get().map(String::as_str)
    }
}

impl Answer {
    pub(crate) fn new(body: Incoming, mut record: Record) -> Self {
        if body.is_end_stream() {
            record.end(Ended::Whole);
        }
        Self { body, record }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => frame,
                Some(Err(e)) => {
                    self.way.broke.get_or_init(|| causes(&e));
                    return Poll::Ready(Some(Err(e)));
                }
            };
            // Trailers are headers that were not checked; they may be left out (RFC 9110, 6.5.1).
            if let Some(data) = frame.data_ref() {
                self.way.bytes.fetch_add(u64::try_from(data.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.record.end(Ended::Whole),
            Some(Err(e)) => self.record.end(Ended::Broke(causes(e))),
            Some(Ok(frame)) => {
                self.record.add(frame.data_ref().map_or(0, Bytes::len));
                if self.body.is_end_stream() {
                    self.record.end(Ended::Whole);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error and its causes, each once.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.ends_with(&own) {
            text = format!("{text}: {own}");
        }
        cause = error.source();
    }
    text
}

/// A failure of a connection as a whole.
pub(crate) fn broke(intended: &Intended, reason: String, start: Start) -> Failed {
    Failed {
        intended: intended.clone(),
        asked: None,
        rule: None,
        reason,
        sent: 0,
        began: start.at,
        took: start.instant.elapsed(),
    }
}
