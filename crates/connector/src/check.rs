//! Whether a request may be made.

use crate::intended::Intended;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use lazaret_egress::{PathError, RequestPath, RequestRule, Scheme};

/// A request that may be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permitted<'a> {
    /// By this rule, the first of those that permit it.
    pub(crate) rule: &'a RequestRule,
    pub(crate) path: RequestPath,
    pub(crate) query: Option<String>,
}

/// Why a request may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denial {
    #[error("{0} is not spoken here: the connection goes to its host already")]
    Method(Method),
    #[error("a change to the protocol `{0}` is not made here")]
    Upgrade(String),
    #[error("a request of HTTP/1.1 has one header `Host`, this has {0}")]
    Hosts(usize),
    #[error("{place} says `{said}`, and the connection goes to {intended}")]
    Host { place: &'static str, said: String, intended: String },
    #[error("the target says the scheme `{0}`, which is not spoken on this connection")]
    Scheme(String),
    #[error("the length of the body is said twice, or in a way that is not known here")]
    Framing,
    #[error("the path is not sent on: {0}")]
    Path(PathError),
    #[error("the query has a byte that cannot be in a query")]
    Query,
    #[error("no rule permits `{method} {scheme}://{authority}{path}`")]
    NoRule { method: Method, scheme: Scheme, authority: String, path: RequestPath },
}

/// Decides on a request by its head, on a connection to `intended` by `scheme`.
pub(crate) fn check<'a>(
    parts: &Parts,
    scheme: Scheme,
    intended: &Intended,
    rules: &'a [RequestRule],
) -> Result<Permitted<'a>, Denial> {
    // `CONNECT` would open a way past the rules; `TRACE` tells the job what headers were added.
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Denial::Method(parts.method.clone()));
    }
    check_framing(&parts.headers)?;
    check_upgrade(&parts.headers)?;
    check_host(parts, scheme, intended)?;
    let path = RequestPath::parse(parts.uri.path()).map_err(Denial::Path)?;
    let query = parts.uri.query().map(str::to_owned);
    if query.as_ref().is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')) {
        return Err(Denial::Query);
    }
    let method = parts.method.as_str();
    let permits =
        |rule: &&RequestRule| rule.is_for(scheme, &intended.host, intended.port) && rule.permits(method, &path);
    match rules.iter().find(permits) {
        Some(rule) => Ok(Permitted { rule, path, query }),
        None => {
            let authority = intended.authority(scheme);
            Err(Denial::NoRule { method: parts.method.clone(), scheme, authority, path })
        }
    }
}

/// The framing is the library's to read; what it could have read otherwise than the sender meant is not sent on.
fn check_framing(headers: &HeaderMap) -> Result<(), Denial> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_known = match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(coding), None) => lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if is_known { Ok(()) } else { Err(Denial::Framing) }
}

/// A wish for HTTP/2 in the clear may be passed over (RFC 9110, 7.8), and clients send it unasked. What wishes for anything
/// else, such as a web socket, does not go on without.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Denial> {
    let wishes = headers.get_all(UPGRADE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    match wishes.into_iter().find(|wish| !wish.trim().eq_ignore_ascii_case("h2c")) {
        None => Ok(()),
        Some(wish) => Err(Denial::Upgrade(wish.into_owned())),
    }
}

/// All that says a host says the one where the connection goes.
fn check_host(parts: &Parts, scheme: Scheme, intended: &Intended) -> Result<(), Denial> {
    let differs = |place, said: &str| Denial::Host { place, said: said.to_owned(), intended: intended.to_string() };
    if let Some(said) = parts.uri.scheme_str()
        && !said.eq_ignore_ascii_case(scheme.as_str())
    {
        return Err(Denial::Scheme(said.to_owned()));
    }
    if let Some(authority) = parts.uri.authority()
        && !intended.is_meant(authority.as_str(), scheme)
    {
        return Err(differs("the target", authority.as_str()));
    }
    let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
    let needs_header = parts.version < Version::HTTP_2 || parts.uri.authority().is_none();
    if hosts.len() > 1 || (hosts.is_empty() && needs_header) {
        return Err(Denial::Hosts(hosts.len()));
    }
    match hosts.first().map(|host| String::from_utf8_lossy(host.as_bytes())) {
        Some(said) if !intended.is_meant(&said, scheme) => Err(differs("the header `Host`", &said)),
        _ => Ok(()),
    }
}
