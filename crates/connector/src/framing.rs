//! How the requests of a connection of HTTP/1.1 say where they end.
//!
//! The HTTP library reads heads as RFC 9112 lets a server do: lines may end without a carriage return, and of two lengths one
//! is passed over. What it hands on is one request all the same, but a sender of such a head means to be misread. So the bytes
//! are looked at before the library gets them, for what the library does not tell of.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of a line is kept: a header that says a length fits.
const LINE: usize = 128;

/// How a request says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By a length, by having no body, or by HTTP/2.
    Known,
    /// By its own chunks. The connection ends with it, as what follows is not looked at.
    Chunked,
    /// In a way that somebody else may read otherwise.
    Doubtful(&'static str),
}

/// A connection whose bytes are looked at as they are read.
#[derive(Debug)]
pub(crate) struct Looked<S> {
    stream: S,
    heads: Arc<Mutex<Heads>>,
}

/// What was found, by one for each request, in their order.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    found: VecDeque<Framing>,
    place: Place,
    head: Head,
}

/// Where in the stream the next byte is.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    /// In a head, or before one.
    #[default]
    Head,
    /// In a body with so many bytes left.
    Body(u64),
    /// Behind all that is looked at.
    Beyond,
}

/// A head, as far as it was read.
#[derive(Debug, Default)]
struct Head {
    /// The beginning of its last line, and how long that is.
    line: Vec<u8>,
    len: usize,
    has_lines: bool,
    has_bare_end: bool,
    lengths: Vec<Option<u64>>,
    codings: usize,
}

impl<S> Looked<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<Mutex<Heads>>) {
        let heads = Arc::<Mutex<Heads>>::default();
        (Self { stream, heads: Arc::clone(&heads) }, heads)
    }
}

/// How the next request ends, which the library has read whole.
pub(crate) fn next(heads: &Mutex<Heads>) -> Framing {
    let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
    heads.found.pop_front().unwrap_or(Framing::Doubtful("where the request begins is not known"))
}

impl Heads {
    fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.place {
                Place::Beyond => return,
                Place::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[here..];
                    let left = left - u64::try_from(here).unwrap_or(left);
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                }
                Place::Head => {
                    let byte = bytes[0];
                    bytes = &bytes[1..];
                    if self.head.push(byte) {
                        let framing = std::mem::take(&mut self.head).framing();
                        self.found.push_back(framing.0);
                        self.place = framing.1;
                    }
                }
            }
        }
    }
}

impl Head {
    /// Whether the head ends with `byte`.
    fn push(&mut self, byte: u8) -> bool {
        if byte != b'\n' {
            if self.line.len() < LINE {
                self.line.push(byte);
            }
            self.len += 1;
            return false;
        }
        let has_return = self.line.last() == Some(&b'\r') || self.len > LINE;
        self.has_bare_end |= !has_return;
        let is_empty = self.len == usize::from(has_return);
        if !is_empty && self.has_lines {
            self.read();
        }
        self.line.clear();
        self.len = 0;
        // Empty lines before a head are passed over (RFC 9112, 2.2).
        let is_end = is_empty && self.has_lines;
        self.has_lines |= !is_empty;
        is_end
    }

    /// Reads the header that the last line is.
    fn read(&mut self) {
        let Some(colon) = self.line.iter().position(|byte| *byte == b':') else { return };
        let name = self.line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = self.line[colon + 1..].trim_ascii();
            let is_number = self.len < LINE && value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().filter(|_| is_number).and_then(|value| value.parse().ok());
            self.lengths.push(length);
        }
    }

    /// How the request ends, and where the next byte after the head is.
    fn framing(self) -> (Framing, Place) {
        let doubtful = |why| (Framing::Doubtful(why), Place::Beyond);
        if self.has_bare_end {
            return doubtful("a line of the head ends without a carriage return");
        }
        match (self.codings, self.lengths.as_slice()) {
            (0, []) => (Framing::Known, Place::Head),
            (0, [Some(0)]) => (Framing::Known, Place::Head),
            (0, [Some(length)]) => (Framing::Known, Place::Body(*length)),
            (1, []) => (Framing::Chunked, Place::Beyond),
            _ => doubtful("the length of the body is said twice, or is none"),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Looked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.look(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Looked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `text`, however it is cut into pieces.
    fn found(text: &str) -> Vec<Framing> {
        let mut whole = Heads::default();
        whole.look(text.as_bytes());
        let mut pieces = Heads::default();
        text.as_bytes().iter().for_each(|byte| pieces.look(&[*byte]));
        assert_eq!(whole.found, pieces.found);
        whole.found.into()
    }

    #[test]
    fn requests_with_and_without_bodies_are_told_apart() {
        let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPUT / HTTP/1.1\r\ncontent-length:  4 \r\n\r\n\n\n\n\n\
                    PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPUT / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n\n\n";

        assert_eq!(found(text), [Framing::Known, Framing::Known, Framing::Known, Framing::Chunked]);
    }

    #[test]
    fn what_may_be_read_otherwise_is_doubtful() {
        let cases = [
            "A\nB: c\r\n\r\n",
            "A\r\nB: c\n\r\n",
            "A\r\nB: c\r\n\n",
            "\nA\r\n\r\n",
            "A\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "A\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "A\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "A\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "A\r\nContent-Length: 1, 1\r\n\r\n",
            "A\r\nContent-Length: +1\r\n\r\n",
            "A\r\nContent-Length:\r\n\r\n",
            "A\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ];
        for text in cases {
            assert!(matches!(found(text)[..], [Framing::Doubtful(_)]), "{text:?}: {:?}", found(text));
        }
        let long = format!("A\r\nContent-Length: {}1\r\n\r\n", " ".repeat(LINE));
        assert!(matches!(found(&long)[..], [Framing::Doubtful(_)]));
        let long = format!("A\r\nX: {}\r\n\r\n", "x".repeat(2 * LINE));
        assert_eq!(found(&long), [Framing::Known]);
    }
}
