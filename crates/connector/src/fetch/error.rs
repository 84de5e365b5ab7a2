//! Why a file is not fetched.

use lazaret_egress::{HostError, PathError, Refusal, ResolveError};
use std::io;

/// Why a file is not fetched. URLs are told without their queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A URL, the given one or a redirect's, is none that can be fetched.
    #[error("`{url}` cannot be fetched: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: UrlProblem,
    },
    /// No rule permits a URL.
    #[error("no rule permits `GET {url}`")]
    NotPermitted {
        /// The URL.
        url: String,
    },
    /// The host of a URL does not resolve.
    #[error("cannot fetch `{url}`")]
    Resolve {
        /// The URL.
        url: String,
        /// Why.
        source: ResolveError,
    },
    /// The host of a URL has an address that is not connected to.
    #[error("cannot fetch `{url}`")]
    Address {
        /// The URL.
        url: String,
        /// Why.
        source: Refusal,
    },
    /// There is no connection, its TLS is not to be trusted, or it broke.
    #[error("cannot fetch `{url}`: {why}")]
    Exchange {
        /// The URL.
        url: String,
        /// What happened.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("`{url}` leads elsewhere: {problem}")]
    Redirect {
        /// The URL that it is from.
        url: String,
        /// What is wrong with it.
        problem: RedirectProblem,
    },
    /// An answer that is not the file.
    #[error("`{url}` was answered, but not with the file: {problem}")]
    Answer {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: AnswerProblem,
    },
    /// The file has more bytes than it may.
    #[error("`{url}` has more than {most} bytes, which is all that it may have")]
    TooLarge {
        /// The URL.
        url: String,
        /// How many it may have.
        most: u64,
    },
    /// It took too long.
    #[error("`{url}` was not fetched in time")]
    Deadline {
        /// The URL.
        url: String,
    },
    /// What was fetched could not be written.
    #[error("cannot write what was fetched")]
    Write {
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// It is no URL.
    #[error("it is no URL")]
    None,
    /// A scheme that is not spoken.
    #[error("the scheme `{0}` is neither `http` nor `https`")]
    Scheme(String),
    /// A user name or password in it.
    #[error("it has a user name or password in it")]
    Credentials,
    /// Its host is none.
    #[error("{0}")]
    Host(HostError),
    /// Port 0.
    #[error("it has no port that can be connected to")]
    Port,
    /// Its path may mean another to some server.
    #[error("{0}")]
    Path(PathError),
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectProblem {
    /// It says not where, or not one place.
    #[error("it does not say where")]
    NoLocation,
    /// There were as many as are followed.
    #[error("{0} redirects are followed and no more")]
    TooMany(usize),
    /// From `https` to `http`.
    #[error("`{0}` is not within TLS, as it is itself")]
    Downgrade(String),
}

/// Why an answer is not the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// Its status is not 200.
    #[error("the status is {0}")]
    Status(u16),
    /// It is of another type than it may be, of none, or of several.
    #[error("its type is {}, and may be {types}", .said.as_ref().map_or("not said".to_owned(), |said| format!("`{said}`")))]
    Type {
        /// What the server said.
        said: Option<String>,
        /// What it may be.
        types: String,
    },
    /// It is compressed, which was not asked for.
    #[error("it is encoded (`{0}`), which was not asked for")]
    Encoded(String),
}
