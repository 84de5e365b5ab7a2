//! One connection of the job's.

use crate::body::{broke, causes};
use crate::connector::Shared;
use crate::exchange::Exchanges;
use crate::framing::{self, Framing, Looked};
use crate::intended::Intended;
use crate::links::Links;
use crate::metered::{Activity, Counts, Metered};
use crate::record::Start;
use crate::tasks::{Group, Tasks};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lazaret_egress::{Host, Scheme};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{Acceptor, NoServerSessionStorage, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of a connection that begins with TLS: a record of a handshake. Source: RFC 8446, 5.1.
const HANDSHAKE: u8 = 22;
/// Bytes of requests that may wait to be read, per stream and per connection of HTTP/2.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// How much later than a request without an answer a connection without a byte ends, so that there is time to say so.
const GRACE: Duration = Duration::from_secs(2);

/// How a connection came to nothing.
enum Nothing {
    /// It is not one that may be served.
    Refused(String),
    /// It broke.
    Broke(String),
    /// It was closed, or left alone.
    Left,
}

/// Serves a connection to its end, which comes in bounded time.
pub(crate) async fn serve(shared: Arc<Shared>, stream: std::net::TcpStream, intended: Intended, tasks: Tasks) {
    let start = Start::now();
    // What runs for this connection ends with it.
    let group = Group(tasks.apart());
    let activity = Activity::new();
    let served = tokio::select! {
        served = speak(&shared, stream, &intended, &activity, &group.0) => served,
        () = activity.ceased(shared.bounds.idle.saturating_add(GRACE)) => Err(Nothing::Left),
        () = tokio::time::sleep(shared.bounds.connection) => {
            Err(Nothing::Broke(format!("the connection lasted {:?}, which is all that it may", shared.bounds.connection)))
        }
    };
    match served {
        Ok(()) | Err(Nothing::Left) => {}
        Err(Nothing::Refused(reason)) => shared.log.refused(&intended, None, reason),
        Err(Nothing::Broke(reason)) => shared.log.failed(broke(&intended, reason, start)),
    }
}

async fn speak(
    shared: &Arc<Shared>,
    stream: std::net::TcpStream,
    intended: &Intended,
    activity: &Arc<Activity>,
    tasks: &Tasks,
) -> Result<(), Nothing> {
    let unusable = |e: std::io::Error| Nothing::Broke(format!("the job's connection cannot be used: {e}"));
    stream.set_nonblocking(true).map_err(unusable)?;
    let stream = TcpStream::from_std(stream).map_err(unusable)?;
    stream.set_nodelay(true).map_err(unusable)?;
    let mut first = [0];
    let read = timeout(shared.bounds.head, stream.peek(&mut first)).await.map_err(|_passed| Nothing::Left)?;
    // A connection that nothing is sent on, as probes make them, is nothing to tell of.
    if read.map_err(|_gone| Nothing::Left)? == 0 {
        return Err(Nothing::Left);
    }
    let stream = Metered::new(stream, Arc::clone(activity), Counts::Nothing);
    let scheme = if first == [HANDSHAKE] { Scheme::Https } else { Scheme::Http };
    let links = Links::new(Arc::clone(shared), intended.clone(), scheme, Arc::clone(activity), tasks.clone());
    let exchanges = Arc::new(Exchanges::new(Arc::clone(shared), intended.clone(), scheme, links));
    match scheme {
        Scheme::Http => serve_http1(shared, stream, exchanges).await,
        Scheme::Https => {
            let stream = timeout(shared.bounds.head, accept(shared, stream, intended)).await.map_err(|_passed| {
                Nothing::Broke(format!("the job's TLS was not ready within {:?}", shared.bounds.head))
            })??;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serve_http2(shared, stream, exchanges, tasks).await
            } else {
                serve_http1(shared, stream, exchanges).await
            }
        }
    }
}

/// Ends the job's TLS, where it is for the host that the connection goes to.
async fn accept(shared: &Shared, stream: Metered, intended: &Intended) -> Result<TlsStream<Metered>, Nothing> {
    let broke = |e: std::io::Error| Nothing::Broke(format!("the job's TLS: {}", causes(&e)));
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(broke)?;
    let named = hello.client_hello().server_name().map(str::to_owned);
    let reason = if !shared.rules.iter().any(|rule| rule.is_for(Scheme::Https, &intended.host, intended.port)) {
        Some(format!("no rule permits a request of `https` to {intended}"))
    } else {
        name_refusal(named.as_deref(), intended)
    };
    if let Some(reason) = reason {
        // The job is told by an alert.
        let none = config(Err(())).map_err(|e| Nothing::Broke(e.to_string()))?;
        hello.into_stream(none).await.ok();
        return Err(Nothing::Refused(reason));
    }
    let issued = shared.authority.issue(&intended.host).map_err(|e| Nothing::Broke(causes(&e)))?;
    let config = config(Ok(issued)).map_err(|e| Nothing::Broke(e.to_string()))?;
    hello.into_stream(config).await.map_err(broke)
}

/// Why TLS for the server `named` is not for `intended`, if it is not. For an address no name is said (RFC 6066, 3).
fn name_refusal(named: Option<&str>, intended: &Intended) -> Option<String> {
    match (named, &intended.host) {
        (None, Host::Address(_)) => None,
        (Some(named), host) if Host::parse(named).as_ref() == Ok(host) => None,
        (Some(named), _) => Some(format!("TLS is asked for `{named}`, and the connection goes to {intended}")),
        (None, Host::Name(_)) => {
            Some(format!("TLS is asked for without a server's name, and the connection goes to {intended}"))
        }
    }
}

/// How TLS is spoken with the job: with this certificate, or with none, which ends it. Sessions are not resumed: a new
/// connection may go elsewhere.
fn config(certificate: Result<Arc<CertifiedKey>, ()>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    let mut config = match certificate {
        Ok(certificate) => builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate))),
        Err(()) => builder.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new())),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

async fn serve_http1<S>(shared: &Shared, stream: S, exchanges: Arc<Exchanges>) -> Result<(), Nothing>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bounds = &shared.bounds;
    let (stream, heads) = Looked::new(stream);
    let service = service_fn(|request| Arc::clone(&exchanges).answer(request, framing::next(&heads)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(bounds.headers)
        .max_buf_size(usize::try_from(bounds.head_bytes).unwrap_or(usize::MAX))
        .serve_connection(TokioIo::new(stream), service)
        .await;
    ended(served)
}

async fn serve_http2<S>(shared: &Shared, stream: S, exchanges: Arc<Exchanges>, tasks: &Tasks) -> Result<(), Nothing>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bounds = &shared.bounds;
    let service = service_fn(move |request| Arc::clone(&exchanges).answer(request, Framing::Known));
    let served = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(bounds.head_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    ended(served)
}

/// What is to be told of how a connection ended. What happened to its requests they tell themselves.
fn ended(served: hyper::Result<()>) -> Result<(), Nothing> {
    match served {
        Err(e) if e.is_parse() => Err(Nothing::Refused(format!("it is no request of HTTP: {}", causes(&e)))),
        Err(e) if e.is_timeout() => Err(Nothing::Left),
        Err(e) if e.is_incomplete_message() || e.is_canceled() || e.is_closed() => Err(Nothing::Left),
        // The job closed it first, when all was said: with TLS, many clients do so without saying it (RFC 8446, 6.1).
        Err(e) if e.is_shutdown() || is_closed(&e) => Err(Nothing::Left),
        Err(e) => Err(Nothing::Broke(format!("the job's connection: {}", causes(&e)))),
        Ok(()) => Ok(()),
    }
}

/// Whether it broke because the job closed the connection, or gave it up.
fn is_closed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof))
    })
}
