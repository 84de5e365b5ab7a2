//! How much of this process a job may take.

use std::time::Duration;

/// What a job's connections and requests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of the job's at once.
    pub connections: usize,
    /// Requests at once on a connection of HTTP/2.
    pub streams: u32,
    /// Connections outside at once. A request that finds none left waits for one as long as for its answer.
    pub links: usize,
    /// Bytes of a request's or an answer's head; [`LEAST_HEAD`](Self::LEAST_HEAD) at least.
    pub head_bytes: u32,
    /// Headers of a request or an answer.
    pub headers: usize,
    /// For the first byte, TLS, and each whole head of a request of HTTP/1.1, from when the one before was answered.
    pub head: Duration,
    /// For a connection outside, with TLS.
    pub connect: Duration,
    /// Without a byte either way, on a connection of the job's and those outside for it.
    pub idle: Duration,
    /// For a connection of the job's in all.
    pub connection: Duration,
    /// Entries of each kind in the log. What is over is counted alone.
    pub entries: usize,
}

impl Bounds {
    /// The fewest bytes of a head that can be asked for.
    pub const LEAST_HEAD: u32 = 8192;
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 64,
            streams: 32,
            links: 128,
            head_bytes: 64 << 10,
            headers: 100,
            head: Duration::from_secs(30),
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            connection: Duration::from_secs(3600),
            entries: 4096,
        }
    }
}
