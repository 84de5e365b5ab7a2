//! Gets one file for a job, before that starts.
//!
//! The job names nothing here, and the server may: it answers with redirects, types, lengths and bodies. So each redirect is
//! taken as a URL of its own, by the same rules, the resolver and the guard; and what is written is bounded by what arrives.

mod error;
mod source;
mod types;

pub use error::{AnswerProblem, FetchError, RedirectProblem, UrlProblem};
pub use types::{MediaType, MediaTypeError, Types};

use crate::body::causes;
use crate::trust::Trust;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, LOCATION, USER_AGENT};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lazaret_egress::{Guard, Host, Name, RequestRule, ResolveError, Rule, Scheme};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use source::Source;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// The most bytes of an answer's head.
const HEAD: usize = 64 << 10;
/// How long one address of several is tried.
const TRIAL: Duration = Duration::from_secs(10);

/// Says the addresses of a name until a deadline: what is pinned for the job, or what the name servers say.
pub type Resolve<'a> = &'a dyn Fn(&Name, Instant) -> Result<Vec<IpAddr>, ResolveError>;

/// What is to be fetched, and from where it may come.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The URL, which the rules have to permit too.
    pub url: &'a str,
    /// The most bytes of the file.
    pub max_bytes: u64,
    /// Of which types it may be.
    pub types: &'a Types,
    /// Rules on hosts and ports. They permit every path, and addresses that are not public.
    pub hosts: &'a [Rule],
    /// Rules on requests.
    pub requests: &'a [RequestRule],
    /// Decides on each address.
    pub guard: &'a Guard,
    /// How names are resolved.
    pub resolve: Resolve<'a>,
    /// Which servers are believed.
    pub trust: &'a Trust,
    /// When it has to be done.
    pub deadline: Instant,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// How many bytes were written.
    pub bytes: u64,
    /// Where they came from in the end; without the query, in which credentials stand.
    pub url: String,
    /// Their type as the server said it, without parameters.
    pub media_type: Option<MediaType>,
    /// Where the server was.
    pub address: SocketAddr,
    /// What led there.
    pub redirects: Vec<Redirect>,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
}

/// A redirect that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// What was asked for; without the query.
    pub url: String,
    /// Where.
    pub address: SocketAddr,
    /// The answer's status.
    pub status: u16,
}

/// The host and port that a URL leads to, as a rule on connections.
///
/// # Errors
///
/// When it is none that can be fetched.
pub fn origin(url: &str) -> Result<Rule, FetchError> {
    Source::parse(url).map(|source| source.origin())
}

/// Fetches by `GET`, and writes the body `into` as it arrives. Bodies that are encoded are refused, as their size is not what
/// is written. Over HTTP/1.1, without credentials.
///
/// It waits, on this thread, which must not be one of an asynchronous runtime's.
///
/// # Errors
///
/// Why it was not fetched. What was written until then is worth nothing.
pub fn fetch(request: &Request<'_>, into: &mut dyn Write) -> Result<Fetched, FetchError> {
    let (began, start) = (SystemTime::now(), Instant::now());
    let mut source = Source::parse(request.url)?;
    let broke = |source: &Source, why: String| FetchError::Exchange { url: source.to_string(), why };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| broke(&source, e.to_string()))?;
    let client = request.trust.client(&[b"http/1.1"]).map_err(|e| broke(&source, e.to_string()))?;
    let mut redirects: Vec<Redirect> = Vec::new();
    loop {
        source.check(request.requests, request.hosts)?;
        let stream = connect(request, &source)?;
        let address = stream.peer_addr().map_err(|e| broke(&source, e.to_string()))?;
        let answer = within(&runtime, request, &source, get(stream, &source, &client, request.types))?;
        let status = answer.response.status();
        if let Some(next) = redirect(&source, answer.response.status(), answer.response.headers())? {
            if redirects.len() == REDIRECTS {
                return Err(source.redirect(RedirectProblem::TooMany(REDIRECTS)));
            }
            redirects.push(Redirect { url: source.to_string(), address, status: status.as_u16() });
            source = next;
            continue;
        }
        let media_type = judge(&source, &answer.response, request)?;
        let body = write(answer.response.into_body(), into, &source, request.max_bytes);
        let bytes = within(&runtime, request, &source, body)?;
        answer.connection.abort();
        let url = source.to_string();
        return Ok(Fetched { bytes, url, media_type, address, redirects, began, took: start.elapsed() });
    }
}

/// An answer, and the connection that it comes by.
struct Answer {
    response: Response<Incoming>,
    connection: JoinHandle<()>,
}

/// Does `work` until the deadline.
fn within<T>(
    runtime: &Runtime,
    request: &Request<'_>,
    source: &Source,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    runtime.block_on(async {
        tokio::time::timeout_at(request.deadline.into(), work)
            .await
            .map_err(|_passed| FetchError::Deadline { url: source.to_string() })?
    })
}

/// Connects to an address of the host's, each of which may be connected to.
fn connect(request: &Request<'_>, source: &Source) -> Result<TcpStream, FetchError> {
    let addresses = match &source.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => (request.resolve)(name, request.deadline)
            .map_err(|why| FetchError::Resolve { url: source.to_string(), source: why })?,
    };
    let rules: Vec<Rule> =
        request.hosts.iter().cloned().chain(request.requests.iter().map(RequestRule::reach)).collect();
    // A name that has one address which it should not have is not what it seems, whatever the others are.
    let decided = addresses
        .into_iter()
        .map(|address| request.guard.decide(SocketAddr::new(address, source.port), &rules))
        .collect::<Result<Vec<SocketAddr>, _>>()
        .map_err(|why| FetchError::Address { url: source.to_string(), source: why })?;
    let mut why = "it has no address".to_owned();
    for address in decided {
        let left = request.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FetchError::Deadline { url: source.to_string() });
        }
        match TcpStream::connect_timeout(&address, left.min(TRIAL)) {
            Ok(stream) => return Ok(stream),
            Err(e) => why = format!("{address}: {e}"),
        }
    }
    Err(FetchError::Exchange { url: source.to_string(), why })
}

/// Asks for the file on a connection, and returns the head of the answer.
async fn get(
    stream: TcpStream,
    source: &Source,
    client: &Arc<ClientConfig>,
    types: &Types,
) -> Result<Answer, FetchError> {
    let broke = |why: String| FetchError::Exchange { url: source.to_string(), why };
    let io = |e: io::Error| broke(causes(&e));
    stream.set_nonblocking(true).map_err(io)?;
    let stream = tokio::net::TcpStream::from_std(stream).map_err(io)?;
    match source.scheme {
        Scheme::Http => ask(stream, source, types).await,
        Scheme::Https => {
            let name = match &source.host {
                Host::Address(address) => ServerName::IpAddress((*address).into()),
                Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|e| broke(e.to_string()))?,
            };
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(client));
            ask(connector.connect(name, stream).await.map_err(io)?, source, types).await
        }
    }
}

async fn ask<S>(stream: S, source: &Source, types: &Types) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broke = |why: String| FetchError::Exchange { url: source.to_string(), why };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broke(causes(&e)))?;
    // Of its errors the sender and the body tell.
    let connection = tokio::spawn(async move { connection.await.ok().unwrap_or_default() });
    let request = http::Request::get(source.target())
        .header(HOST, source.authority())
        .header(USER_AGENT, "lazaret")
        .header(ACCEPT, types.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|e| broke(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(|e| broke(causes(&e)))?;
    Ok(Answer { response, connection })
}

/// Where an answer leads to, if it does.
fn redirect(source: &Source, status: StatusCode, headers: &HeaderMap) -> Result<Option<Source>, FetchError> {
    let leads = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !leads.contains(&status) {
        return Ok(None);
    }
    let location = one(headers, LOCATION).flatten().ok_or_else(|| source.redirect(RedirectProblem::NoLocation))?;
    let next = source.join(location)?;
    if source.scheme == Scheme::Https && next.scheme == Scheme::Http {
        return Err(source.redirect(RedirectProblem::Downgrade(next.to_string())));
    }
    Ok(Some(next))
}

/// The value of a header that is there once, as text: `None` where it is not there, `Some(None)` where it is not one.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(value.to_str().ok().filter(|_| values.next().is_none()))
}

/// Decides on an answer by its head, and returns the type of its body.
fn judge(
    source: &Source,
    response: &Response<Incoming>,
    request: &Request<'_>,
) -> Result<Option<MediaType>, FetchError> {
    let refuse = |problem| FetchError::Answer { url: source.to_string(), problem };
    let headers = response.headers();
    if response.status() != StatusCode::OK {
        return Err(refuse(AnswerProblem::Status(response.status().as_u16())));
    }
    match one(headers, CONTENT_ENCODING) {
        None => {}
        Some(Some(coding)) if coding.trim().eq_ignore_ascii_case("identity") => {}
        Some(coding) => return Err(refuse(AnswerProblem::Encoded(coding.unwrap_or_default().to_owned()))),
    }
    let said = one(headers, CONTENT_TYPE);
    let media_type = said.flatten().and_then(MediaType::of_header);
    if !request.types.contain(media_type.as_ref()) {
        let said = said.map(|said| said.unwrap_or("several types").to_owned());
        return Err(refuse(AnswerProblem::Type { said, types: request.types.to_string() }));
    }
    if response.body().size_hint().lower() > request.max_bytes {
        return Err(FetchError::TooLarge { url: source.to_string(), most: request.max_bytes });
    }
    Ok(media_type)
}

/// Writes a body, of so many bytes at most, and returns how many it had.
async fn write(mut body: Incoming, into: &mut dyn Write, source: &Source, most: u64) -> Result<u64, FetchError> {
    let mut bytes = 0u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| FetchError::Exchange { url: source.to_string(), why: causes(&e) })?;
        let Some(data) = frame.data_ref() else { continue };
        bytes = bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if bytes > most {
            return Err(FetchError::TooLarge { url: source.to_string(), most });
        }
        into.write_all(data).map_err(|source| FetchError::Write { source })?;
    }
    into.flush().map_err(|source| FetchError::Write { source })?;
    Ok(bytes)
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("url", &self.url).field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}
