//! The job's side of HTTP/2.

use crate::job::Job;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::sync::Arc;

pub(crate) fn request(method: &str, uri: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body.to_owned()))).expect("it is well formed")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("loopback")
}

/// A connection of HTTP/2 to `host`, for which TLS is asked too.
pub(crate) async fn connect(job: &Job, host: &str) -> SendRequest<Full<Bytes>> {
    let stream = job.connect(host, 443);
    stream.set_nonblocking(true).expect("loopback");
    let stream = tokio::net::TcpStream::from_std(stream).expect("loopback");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(job.client(&["h2"])));
    let stream =
        connector.connect(ServerName::try_from(host.to_owned()).expect("loopback"), stream).await.expect("loopback");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("it is well formed");
    tokio::spawn(connection);
    sender
}

pub(crate) async fn text(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map(|body| body.to_bytes().to_vec());
    (status, String::from_utf8(body.unwrap_or_else(|e| e.to_string().into_bytes())).expect("it is well formed"))
}

/// Sends all requests at once.
pub(crate) fn ask(job: &Job, host: &str, requests: &[Request<Full<Bytes>>]) -> Vec<(u16, String)> {
    runtime().block_on(async {
        let mut sender = connect(job, host).await;
        let sent: Vec<_> = requests.iter().map(|request| tokio::spawn(sender.send_request(request.clone()))).collect();
        let mut answers = Vec::new();
        for sent in sent {
            answers.push(match sent.await.expect("it is well formed") {
                Ok(response) => text(response).await,
                Err(e) => (0, e.to_string()),
            });
        }
        answers
    })
}
