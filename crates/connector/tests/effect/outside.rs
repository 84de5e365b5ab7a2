//! Servers outside, on loopback.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a server's TLS is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tls {
    None,
    Good,
    Expired,
    WrongName,
    SelfSigned,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// A server that runs until the process ends.
pub(crate) struct Outside {
    pub(crate) address: SocketAddr,
    /// The certificate of its authority.
    pub(crate) root: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that it accepted.
    pub(crate) accepted: Arc<Mutex<usize>>,
    /// Bytes of bodies that it read.
    pub(crate) read: Arc<Mutex<u64>>,
}

impl Outside {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panicked").clone()
    }

    /// Methods and targets, as they arrived.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect()
    }
}

/// Names that its certificate is for.
const NAMES: [&str; 4] = ["api.example.com", "*.wild.example.com", "localhost", "other.example.com"];

pub(crate) fn tls(kind: Tls, alpn: &[&str]) -> (Arc<ServerConfig>, String) {
    let root_key = KeyPair::generate().expect("a certificate");
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "a test's authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = root.self_signed(&root_key).expect("a certificate").pem();
    let issuer = Issuer::new(root, root_key);
    let names =
        if kind == Tls::WrongName { vec!["wrong.example.com".to_owned()] } else { NAMES.map(String::from).to_vec() };
    let mut leaf = CertificateParams::new(names).expect("a certificate");
    leaf.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().expect("it is well formed")));
    if kind == Tls::Expired {
        leaf.not_before = (SystemTime::now() - Duration::from_secs(7200)).into();
        leaf.not_after = (SystemTime::now() - Duration::from_secs(3600)).into();
    }
    let key = KeyPair::generate().expect("a certificate");
    let leaf = if kind == Tls::SelfSigned { leaf.self_signed(&key) } else { leaf.signed_by(&key, &issuer) }
        .expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it is well formed")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.into()], key)
        .expect("it is well formed");
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (Arc::new(config), pem)
}

/// Starts a server that speaks so. See [`reply`] for what it answers.
pub(crate) fn outside(kind: Tls, alpn: &[&str]) -> Outside {
    let (config, root) = tls(kind, alpn);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.set_nonblocking(true).expect("loopback");
    let outside = Outside {
        address: listener.local_addr().expect("loopback"),
        root,
        seen: Arc::default(),
        accepted: Arc::default(),
        read: Arc::default(),
    };
    let (seen, accepted, read) = (outside.seen.clone(), outside.accepted.clone(), outside.read.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("loopback");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is well formed");
            loop {
                let (stream, _) = listener.accept().await.expect("loopback");
                stream.set_nodelay(true).expect("loopback");
                *accepted.lock().expect("nobody panicked") += 1;
                let (config, seen, read) = (config.clone(), seen.clone(), read.clone());
                tokio::spawn(async move {
                    if kind == Tls::None {
                        return serve(stream, false, seen, read).await;
                    }
                    if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(stream, is_http2, seen, read).await;
                    }
                });
            }
        });
    });
    outside
}

async fn serve<S>(stream: S, is_http2: bool, seen: Arc<Mutex<Vec<Seen>>>, read: Arc<Mutex<u64>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, read) = (seen.clone(), read.clone());
        async move {
            seen.lock().expect("nobody panicked").push(Seen {
                method: request.method().to_string(),
                uri: request.uri().to_string(),
                version: request.version(),
                headers: request.headers().clone(),
            });
            reply(request, read).await
        }
    });
    let io = TokioIo::new(stream);
    if is_http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await.ok();
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await.ok();
    }
}

/// `n` bytes, piece by piece.
pub(crate) struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.min(64 << 10);
        self.0 -= piece;
        let frame = Frame::data(Bytes::from(vec![0; usize::try_from(piece).expect("it is well formed")]));
        Poll::Ready((piece > 0).then_some(Ok(frame)))
    }
}

async fn reply(
    request: Request<Incoming>,
    read: Arc<Mutex<u64>>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, std::io::Error> {
    let text = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(text(String::new()));
    let path = request.uri().path().to_owned();
    match path.rsplit('/').next().expect("it is well formed") {
        // As many bytes as the query says.
        "zeros" => {
            let bytes = request.uri().query().expect("it is well formed").parse().expect("it is well formed");
            *response.body_mut() = Zeros(bytes).map_err(|never| match never {}).boxed();
        }
        // How many bytes arrived.
        "count" => {
            let mut body = request.into_body();
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
                bytes += frame.data_ref().map_or(0, Bytes::len);
                *read.lock().expect("nobody panicked") += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            *response.body_mut() = text(bytes.to_string());
        }
        "echo" => *response.body_mut() = request.into_body().boxed(),
        "never" => std::future::pending::<()>().await,
        // The body is never read, nor an answer made.
        "stuck" => {
            let _held = request;
            std::future::pending::<()>().await;
        }
        // Half of what it announces, then nothing.
        "stalls" => {
            response.headers_mut().insert("content-length", "8".parse().expect("it is well formed"));
            let half = Stalls(Some(Bytes::from_static(b"half")));
            *response.body_mut() = half.map_err(|never| match never {}).boxed();
        }
        "breaks" => return Err(std::io::ErrorKind::Other.into()),
        "headers" => {
            let headers = response.headers_mut();
            for (name, value) in [("alt-svc", "h3=\":443\""), ("x-own", "1"), ("set-cookie", "a=b")] {
                headers.append(name, value.parse().expect("it is well formed"));
            }
            *response.body_mut() = text("headers".to_owned());
        }
        "none" => *response.status_mut() = StatusCode::NO_CONTENT,
        "switch" => *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS,
        _ => *response.body_mut() = text(format!("{} {path}", request.method())),
    }
    Ok(response)
}

/// A piece, and nothing more, nor an end.
struct Stalls(Option<Bytes>);

impl Body for Stalls {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
    }
}
