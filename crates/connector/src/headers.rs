//! Headers that are for one connection alone, which are not sent on.

use http::header::{
    ALT_SVC, CONNECTION, COOKIE, EXPECT, Entry, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Source: RFC 9110, 7.6.1; the last is of RFC 7540, 3.2.1, the one before of no standard.
const OF_A_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Takes out of a request what is not sent on: what is for the connection, what is for a proxy, expectations (which are met
/// here), and the announcement of trailers.
pub(crate) fn of_request(headers: &mut HeaderMap) {
    let takes_trailers = headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    of_connection(headers);
    for name in [PROXY_AUTHORIZATION, EXPECT, TRAILER, HOST] {
        headers.remove(name);
    }
    // Of all that it can say, this alone is also said by HTTP/2 (RFC 9113, 8.2.2), and means the receiver at the end.
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(headers);
}

/// Takes out of an answer what is not handed on: what is for the connection or for a proxy's client, and other places where
/// the same is to be had, which the rules do not name.
pub(crate) fn of_answer(headers: &mut HeaderMap) {
    of_connection(headers);
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(ALT_SVC);
}

fn of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain(OF_A_CONNECTION) {
        headers.remove(name);
    }
}

/// HTTP/2 may take cookies apart, HTTP/1.1 may not. Source: RFC 9113, 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
        && let Entry::Occupied(mut entry) = headers.entry(COOKIE)
    {
        entry.insert(joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_is_for_the_connection_is_not_sent_on() {
        let mut sent = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("expect", "100-continue"),
            ("host", "example.com"),
            ("accept", "*/*"),
        ]);

        of_request(&mut sent);

        assert_eq!(sent, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn cookies_are_one_header_and_the_wish_for_trailers_stays() {
        let mut sent = headers(&[("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2")]);

        of_request(&mut sent);

        assert_eq!(sent, headers(&[("cookie", "a=1; b=2"), ("te", "trailers")]));
    }

    #[test]
    fn an_answer_does_not_name_other_places_for_the_same() {
        let mut handed = headers(&[("alt-svc", "h3=\":443\""), ("etag", "x"), ("connection", "close")]);

        of_answer(&mut handed);

        assert_eq!(handed, headers(&[("etag", "x")]));
    }
}
