//! A job's requests of HTTP, permitted one by one.
//!
//! Where a job's policy has rules on requests ([`RequestRule`](lazaret_egress::RequestRule)), its connections end at the
//! [`Connector`]: it speaks HTTP/1.1 or HTTP/2 with the job, within TLS by a certificate of the job's own [`Authority`], checks
//! every request against the rules, and makes the permitted ones anew over a connection of its own, to the address that the
//! caller checked. Nothing that a job sends is passed on as it came: start line, headers and framing are written afresh.
//!
//! [`fetch`] gets one file for a job before that starts, with the same checks at each redirect.

mod authority;
mod body;
mod bounds;
mod check;
mod connection;
mod connector;
mod exchange;
mod framing;
mod headers;
mod intended;
mod links;
mod log;
mod metered;
mod record;
mod tally;
mod tasks;
mod trust;

pub mod fetch;

pub use authority::{Authority, AuthorityError};
pub use bounds::Bounds;
pub use connector::{Connector, FinishError, Setup, TakeError};
pub use exchange::{BeforeForward, Forwarded};
pub use http;
pub use intended::{Dial, Intended};
pub use log::{Asked, Ended, Exchange, Failed, LeftOut, Log, Refused};
pub use tally::{Allowance, Tally, Way};
pub use trust::{Trust, TrustError};
