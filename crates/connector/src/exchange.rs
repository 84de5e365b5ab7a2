//! One request and its answer.

use crate::body::{Answer, Handed, OnWay, Sent};
use crate::check::{Permitted, check};
use crate::connector::Shared;
use crate::framing::Framing;
use crate::headers;
use crate::intended::Intended;
use crate::links::{LinkError, Links};
use crate::log::{Asked, Ended};
use crate::record::{Record, Stage, Start};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use lazaret_egress::{RequestPath, RequestRule, Scheme};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How much of a refused request's body is read, and for how long.
const UNREAD: usize = 8 << 20;
const UNREAD_TIME: Duration = Duration::from_secs(1);

/// Adds headers to a permitted request, right before it is sent on, or says why it is not to be sent. The job is not told
/// the reason, which is in the log alone. Headers of the connection and `Host` are put in order afterwards.
pub type BeforeForward = Arc<dyn Fn(&Forwarded<'_>, &mut HeaderMap) -> Result<(), String> + Send + Sync>;

/// A permitted request that is about to be sent on.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The rule that permits it.
    pub rule: &'a RequestRule,
    /// Where it goes.
    pub intended: &'a Intended,
    /// By which scheme.
    pub scheme: Scheme,
    /// Its method.
    pub method: &'a Method,
    /// Its path.
    pub path: &'a RequestPath,
}

/// Answers the requests of one connection of the job's.
#[derive(Debug)]
pub(crate) struct Exchanges {
    shared: Arc<Shared>,
    intended: Intended,
    scheme: Scheme,
    links: Links,
}

/// Why a permitted request has no answer from outside.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    /// What the job is told.
    told: String,
    stage: Stage,
}

impl Exchanges {
    pub(crate) fn new(shared: Arc<Shared>, intended: Intended, scheme: Scheme, links: Links) -> Self {
        Self { shared, intended, scheme, links }
    }

    /// Answers a request: from outside, or with a word why not.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        framing: Framing,
    ) -> Result<Response<Handed>, Infallible> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match framing {
            Framing::Known | Framing::Chunked => self.judge(request).await,
            Framing::Doubtful(why) => {
                let (method, path) = (request.method().as_str(), request.uri().path());
                self.refuse(Asked::new(method, self.scheme, &self.intended, path), why.to_owned())
            }
        };
        if framing != Framing::Known {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // The library sends one with HTTP/2, which is an error to the client (RFC 9110, 9.3.2).
        if is_head && matches!(response.body(), Either::Right(_)) {
            *response.body_mut() = Either::Right(Full::default());
        }
        Ok(response)
    }

    /// Sends a request on where a rule permits it.
    async fn judge(&self, request: Request<Incoming>) -> Response<Handed> {
        let start = Start::now();
        let (mut parts, body) = request.into_parts();
        let asked = |path: &str| Asked::new(parts.method.as_str(), self.scheme, &self.intended, path);
        let permitted = match check(&parts, self.scheme, &self.intended, &self.shared.rules) {
            Ok(permitted) => permitted,
            Err(denial) => {
                let answer = self.refuse(asked(parts.uri.path()), denial.to_string());
                if parts.version == Version::HTTP_2 {
                    read_up(body).await;
                }
                return answer;
            }
        };
        let asked = asked(permitted.path.as_str());
        if let Some(way) = self.shared.tally.spent() {
            return self.refuse(asked, way.to_string());
        }
        headers::of_request(&mut parts.headers);
        let sent = Sent::new(body);
        let mut record = Record {
            log: Arc::clone(&self.shared.log),
            asked,
            rule: permitted.rule.to_string(),
            sent: sent.way(),
            start,
            stage: Stage::Asking,
        };
        let method = parts.method.clone();
        let outcome = match self.prepare(&permitted, &method, &mut parts.headers) {
            Ok(uri) => {
                parts.uri = uri;
                self.exchange(Request::from_parts(parts, sent), &record.sent).await
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok((response, address)) => {
                let (mut parts, body) = response.into_parts();
                headers::of_answer(&mut parts.headers);
                parts.version = Version::HTTP_11;
                let status = parts.status.as_u16();
                // Such answers have no body, which the library need not ask for (RFC 9110, 6.4.1).
                let is_whole = method == Method::HEAD
                    || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&parts.status);
                let ended = if is_whole { Ended::Whole } else { Ended::Left };
                record.stage = Stage::Answered { address, status, received: 0, ended };
                Response::from_parts(parts, Either::Left(Answer::new(body, record)))
            }
            Err(Failure { status, told, stage }) => {
                record.stage = stage;
                word(status, &told)
            }
        }
    }

    /// Adds what is to be added, and returns the target that is sent on.
    fn prepare(&self, permitted: &Permitted<'_>, method: &Method, headers: &mut HeaderMap) -> Result<Uri, Failure> {
        let Permitted { rule, path, query } = permitted;
        let forwarded = Forwarded { rule, intended: &self.intended, scheme: self.scheme, method, path };
        (self.shared.before_forward)(&forwarded, headers).map_err(|why| Failure {
            status: StatusCode::BAD_GATEWAY,
            told: "what this request needs could not be added to it".to_owned(),
            stage: Stage::Failed(format!("no header could be added: {why}")),
        })?;
        headers::of_request(headers);
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_string(),
        };
        Uri::try_from(target).map_err(|e| Failure::new(StatusCode::BAD_GATEWAY, format!("the target is none: {e}")))
    }

    /// Sends the request on and waits for its answer, as long as bytes go.
    async fn exchange(&self, request: Request<Sent>, way: &OnWay) -> Result<(Response<Incoming>, SocketAddr), Failure> {
        let idle = self.shared.bounds.idle;
        let sent = tokio::select! {
            sent = self.links.send(request) => sent,
            () = self.links.ceased(idle) => {
                let why = format!("{} did not answer within {idle:?}", self.intended);
                return Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, why));
            }
        };
        match sent {
            Ok((response, _)) if response.status().is_informational() => {
                let why = format!("{} answered {}, which was not asked for", self.intended, response.status());
                Err(Failure::new(StatusCode::BAD_GATEWAY, why))
            }
            Ok(sent) => Ok(sent),
            Err(e) => Err(self.failure(&e, way)),
        }
    }

    fn failure(&self, e: &LinkError, way: &OnWay) -> Failure {
        if let Some(why) = way.broke() {
            return Failure::new(StatusCode::BAD_REQUEST, format!("the request's body broke off: {why}"));
        }
        if let Some(way) = self.shared.tally.spent() {
            return Failure::new(StatusCode::FORBIDDEN, way.to_string());
        }
        let status = match e {
            LinkError::Refused(why) => {
                let why = why.to_string();
                return Failure { status: StatusCode::FORBIDDEN, told: why.clone(), stage: Stage::Refused(why) };
            }
            LinkError::ConnectTime(_) => StatusCode::GATEWAY_TIMEOUT,
            LinkError::Connect { .. } | LinkError::Tls { .. } | LinkError::Exchange { .. } => StatusCode::BAD_GATEWAY,
        };
        Failure::new(status, e.to_string())
    }

    fn refuse(&self, asked: Asked, reason: String) -> Response<Handed> {
        let answer = word(StatusCode::FORBIDDEN, &reason);
        self.shared.log.refused(&self.intended, Some(asked), reason);
        answer
    }
}

impl Failure {
    fn new(status: StatusCode, why: String) -> Self {
        Self { status, told: why.clone(), stage: Stage::Failed(why) }
    }
}

/// Reads a body whose request was refused. A stream of HTTP/2 that is not read up is reset, and clients take the reset
/// for their answer.
async fn read_up(mut body: Incoming) {
    let read = async {
        let mut left = UNREAD;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(UNREAD_TIME, read).await.unwrap_or_default();
}

/// An answer from here.
fn word(status: StatusCode, reason: &str) -> Response<Handed> {
    let mut answer = Response::new(Either::Right(Full::new(Bytes::from(format!("lazaret: {reason}\n")))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
