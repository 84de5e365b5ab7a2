//! Connections outside, for the requests of one connection of the job's.

use crate::body::{Sent, causes};
use crate::connector::Shared;
use crate::intended::Intended;
use crate::metered::{Activity, Counts, Metered};
use crate::tasks::Tasks;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use lazaret_egress::{Host, Scheme};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Bytes that a server may send ahead on a connection of HTTP/2, whatever the stream. They bound what a job can make this
/// process hold, and what comes within one round trip.
const WINDOW: u32 = 1 << 20;

/// Connections to where one connection of the job's goes.
#[derive(Debug)]
pub(crate) struct Links {
    shared: Arc<Shared>,
    intended: Intended,
    scheme: Scheme,
    activity: Arc<Activity>,
    tasks: Tasks,
    open: Mutex<Vec<Link>>,
    /// Held while the first is made, by which is known whether one serves many requests at once.
    first: tokio::sync::Mutex<()>,
    /// Whether it is known that one does not.
    is_http1: AtomicBool,
}

/// A connection. One of HTTP/1.1 serves one request after another.
#[derive(Debug)]
struct Link {
    sender: Sender,
    address: SocketAddr,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The address, or the name, is not one that may be connected to.
    #[error("{0}")]
    Refused(io::Error),
    #[error("there is no connection to {intended}: {why}")]
    Connect { intended: Intended, why: String },
    #[error("no connection to {0} came about in time")]
    ConnectTime(Intended),
    #[error("the TLS of {intended} is not to be trusted or not understood: {why}")]
    Tls { intended: Intended, why: String },
    #[error("{intended} broke off before its answer: {why}")]
    Exchange { intended: Intended, why: String },
}

impl Links {
    pub(crate) fn new(
        shared: Arc<Shared>,
        intended: Intended,
        scheme: Scheme,
        activity: Arc<Activity>,
        tasks: Tasks,
    ) -> Self {
        let (open, first, is_http1) = (Mutex::default(), tokio::sync::Mutex::default(), AtomicBool::new(false));
        Self { shared, intended, scheme, activity, tasks, open, first, is_http1 }
    }

    /// Sends `request`, whose URI is path and query alone, and waits for the head of its answer.
    pub(crate) async fn send(&self, mut request: Request<Sent>) -> Result<(Response<Incoming>, SocketAddr), LinkError> {
        loop {
            let (mut link, is_new) = match self.idle() {
                Some(link) => (link, false),
                None => self.link().await?,
            };
            let fitted = self.fit(request, &link.sender)?;
            let sent = match &mut link.sender {
                Sender::Http1(sender) => sender.try_send_request(fitted).await,
                Sender::Http2(sender) => sender.try_send_request(fitted).await,
            };
            match sent {
                Ok(response) => {
                    let address = link.address;
                    self.keep(link);
                    return Ok((response, address));
                }
                Err(mut e) => match e.take_message() {
                    // Not a byte of it was sent: the other side had closed what it kept open for a while.
                    Some(unsent) if !is_new => request = unsent,
                    _ => {
                        let why = causes(&e.into_error());
                        return Err(LinkError::Exchange { intended: self.intended.clone(), why });
                    }
                },
            }
        }
    }

    /// The request as a connection's protocol has it: host and path are said anew.
    fn fit(&self, mut request: Request<Sent>, sender: &Sender) -> Result<Request<Sent>, LinkError> {
        let why = |why: http::Error| LinkError::Exchange { intended: self.intended.clone(), why: why.to_string() };
        let authority = self.intended.authority(self.scheme);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        match sender {
            Sender::Http1(_) => {
                let host = HeaderValue::try_from(authority).map_err(|e| why(e.into()))?;
                request.headers_mut().insert(HOST, host);
                *request.uri_mut() = Uri::try_from(path).map_err(|e| why(e.into()))?;
                *request.version_mut() = Version::HTTP_11;
            }
            Sender::Http2(_) => {
                request.headers_mut().remove(HOST);
                *request.uri_mut() = Uri::builder()
                    .scheme(self.scheme.as_str())
                    .authority(authority)
                    .path_and_query(path)
                    .build()
                    .map_err(why)?;
                *request.version_mut() = Version::HTTP_2;
            }
        }
        Ok(request)
    }

    /// A connection that is open and can take a request.
    fn idle(&self) -> Option<Link> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|link| !link.is_closed());
        let at = open.iter().position(Link::is_ready)?;
        match &open[at].sender {
            Sender::Http1(_) => Some(open.swap_remove(at)),
            Sender::Http2(sender) => Some(Link { sender: Sender::Http2(sender.clone()), address: open[at].address }),
        }
    }

    fn keep(&self, link: Link) {
        if matches!(link.sender, Sender::Http1(_)) {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(link);
        }
    }

    /// A new connection, or one that was made while this waited.
    async fn link(&self) -> Result<(Link, bool), LinkError> {
        let is_known = || self.is_http1.load(Ordering::Relaxed);
        let mut held = if is_known() { None } else { Some(self.first.lock().await) };
        if let Some(link) = self.idle() {
            return Ok((link, false));
        }
        if is_known() {
            held = None;
        }
        let link = self.connect().await?;
        match &link.sender {
            Sender::Http1(_) => self.is_http1.store(true, Ordering::Relaxed),
            Sender::Http2(sender) => {
                let kept = Link { sender: Sender::Http2(sender.clone()), address: link.address };
                self.open.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
            }
        }
        drop(held);
        Ok((link, true))
    }

    async fn connect(&self) -> Result<Link, LinkError> {
        let now = Instant::now();
        // What is too long to be told is as good as a day.
        let deadline = now.checked_add(self.shared.bounds.connect).unwrap_or(now + Duration::from_secs(86_400));
        let time = |_passed| LinkError::ConnectTime(self.intended.clone());
        let permit = timeout_at(deadline, Arc::clone(&self.shared.links).acquire_owned())
            .await
            .map_err(time)?
            .map_err(|e| self.no_connection(&e))?;
        let (stream, permit) = timeout_at(deadline, self.dial(deadline, permit)).await.map_err(time)??;
        let address = stream.peer_addr().map_err(|e| self.no_connection(&e))?;
        stream.set_nodelay(true).map_err(|e| self.no_connection(&e))?;
        let tally = Counts::Against(Arc::clone(&self.shared.tally));
        let stream = Metered::new(stream, Arc::clone(&self.activity), tally);
        let sender = match self.scheme {
            Scheme::Http => self.speak(stream, permit, false).await?,
            Scheme::Https => {
                let connect = TlsConnector::from(Arc::clone(&self.shared.client)).connect(self.server_name()?, stream);
                let stream = timeout_at(deadline, connect)
                    .await
                    .map_err(time)?
                    .map_err(|e| LinkError::Tls { intended: self.intended.clone(), why: causes(&e) })?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.speak(stream, permit, is_http2).await?
            }
        };
        Ok(Link { sender, address })
    }

    fn no_connection(&self, why: &(dyn std::error::Error + 'static)) -> LinkError {
        LinkError::Connect { intended: self.intended.clone(), why: causes(why) }
    }

    /// Has the caller make the connection, on a thread where that may wait. The permit stays with it until it is back, so that
    /// no more wait than there are permits.
    async fn dial(
        &self,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Result<(TcpStream, OwnedSemaphorePermit), LinkError> {
        let (dial, intended) = (Arc::clone(&self.shared.dial), self.intended.clone());
        let dialled = tokio::task::spawn_blocking(move || {
            let is_late = Instant::now() >= deadline;
            let stream =
                if is_late { Err(io::ErrorKind::TimedOut.into()) } else { dial(&intended, deadline.into_std()) };
            (stream, permit)
        });
        let (stream, permit) = match dialled.await {
            Ok(dialled) => dialled,
            // Such a task ends otherwise by a panic alone, or with the runtime.
            Err(e) => match e.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(e) => return Err(self.no_connection(&e)),
            },
        };
        let stream = stream.map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => LinkError::Refused(e),
            io::ErrorKind::TimedOut => LinkError::ConnectTime(self.intended.clone()),
            _ => self.no_connection(&e),
        })?;
        stream.set_nonblocking(true).map_err(|e| self.no_connection(&e))?;
        Ok((TcpStream::from_std(stream).map_err(|e| self.no_connection(&e))?, permit))
    }

    /// What the server's certificate has to be for.
    fn server_name(&self) -> Result<ServerName<'static>, LinkError> {
        match &self.intended.host {
            Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
            Host::Name(name) => ServerName::try_from(name.to_string())
                .map_err(|e| LinkError::Tls { intended: self.intended.clone(), why: e.to_string() }),
        }
    }

    /// Begins to speak HTTP on a connection, which lasts as long as the job's at most.
    async fn speak<S>(&self, stream: S, permit: OwnedSemaphorePermit, is_http2: bool) -> Result<Sender, LinkError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let bounds = &self.shared.bounds;
        let broke = |e: hyper::Error| self.no_connection(&e);
        if is_http2 {
            let (sender, connection) = http2::Builder::new(self.tasks.clone())
                .timer(TokioTimer::new())
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_header_list_size(bounds.head_bytes)
                .max_send_buf_size(16 << 10)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(broke)?;
            self.tasks.spawn(hold(connection, permit));
            return Ok(Sender::Http2(sender));
        }
        let (sender, connection) = http1::Builder::new()
            .max_headers(bounds.headers)
            .max_buf_size(usize::try_from(bounds.head_bytes).unwrap_or(usize::MAX))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broke)?;
        self.tasks.spawn(hold(connection, permit));
        Ok(Sender::Http1(sender))
    }

    /// Waits until nothing went either way for so long.
    pub(crate) async fn ceased(&self, idle: Duration) {
        self.activity.ceased(idle).await;
    }
}

/// Drives a connection to its end. Who sends on it is told of errors.
async fn hold<E>(connection: impl Future<Output = Result<(), E>>, permit: OwnedSemaphorePermit) {
    connection.await.ok();
    drop(permit);
}

impl Link {
    fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}
