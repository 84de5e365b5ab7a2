//! Requests that two readers would take for different ones.

use crate::job::{Answer, get, job};
use crate::outside::{Outside, Tls, outside};

const HEAD: &str = "POST /v1/count HTTP/1.1\r\nHost: api.example.com\r\n";
const SECOND: &str = "GET /v1/second HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";

fn send(request: &str) -> (Outside, Answer, usize) {
    let outside = outside(Tls::None, &[]);
    let job = job(&["* http://api.example.com/v1/*"], &outside, |_| {});
    let answer = job.ask("api.example.com", 80, request);
    let log = job.finish();
    (outside, answer, log.refused.len() + log.failed.len())
}

#[test]
fn two_lengths_or_none_that_is_known_are_refused_and_nothing_behind_is_read() {
    let requests = [
        format!("{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Content-Length: 5, 6\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Content-Length: +5\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Content-Length: -5\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Content-Length: 0x5\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Content-Length: 99999999999999999999\r\n\r\nhello{SECOND}"),
        format!("{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n-1\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{SECOND}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n{SECOND}"),
        format!(
            "POST /v1/count HTTP/1.0\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}"
        ),
    ];
    for request in requests {
        let (outside, answer, refused) = send(&request);

        assert!(answer.status == 400 || answer.status == 403 || answer.status == 0, "{request}: {answer:?}");
        assert!(!outside.lines().contains(&"GET /v1/second".to_owned()), "{request}");
        assert_eq!(refused, 1, "{request}");
    }
}

#[test]
fn heads_that_are_none_are_refused() {
    let requests = [
        // A line that goes on in the next.
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX-A: 1\r\n X-B: 2\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\n Host: api.example.com\r\n\r\n",
        // Line ends that are none.
        "GET /v1/x HTTP/1.1\rHost: api.example.com\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\rX-A: 1\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX-A: 1\rTransfer-Encoding: chunked\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nX-A: a\0b\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost : api.example.com\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\n: api.example.com\r\n\r\n",
        "GET /v1/x y HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        "GET  /v1/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        "GET /v1/x HTTP/1.2\r\nHost: api.example.com\r\n\r\n",
        "GET /v1/x HTTP/2.0\r\nHost: api.example.com\r\n\r\n",
        "GET /v1/x\r\nHost: api.example.com\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GE\0T /v1/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for request in requests {
        let (outside, answer, refused) = send(&(request.to_owned() + SECOND));

        assert!(answer.status == 400 || answer.status == 0, "{request:?}: {answer:?}");
        assert_eq!((outside.lines(), refused), (Vec::new(), 1), "{request:?}");
    }
}

#[test]
fn lines_that_end_without_a_carriage_return_are_refused() {
    let requests = [
        "GET /v1/x HTTP/1.1\nHost: api.example.com\n\n",
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\nX-A: 1\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\n\n",
    ];
    for request in requests {
        let (outside, answer, refused) = send(&(request.to_owned() + SECOND));

        assert_eq!(answer.status, 403, "{request:?}: {answer:?}");
        assert_eq!((outside.lines(), refused), (Vec::new(), 1), "{request:?}");
    }
}

#[test]
fn what_follows_a_request_is_the_next_and_is_checked_too() {
    let body = "GET /admin HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let request = format!("{HEAD}Content-Length: 0\r\n\r\n{body}{SECOND}");

    let (outside, answer, refused) = send(&request);

    assert_eq!((answer.status, refused), (200, 1));
    assert_eq!(outside.lines(), ["POST /v1/count", "GET /v1/second"]);
}

#[test]
fn requests_one_behind_the_other_are_told_apart_by_their_lengths() {
    let sizes = (0..60).chain([1000, 70_000, 3]);
    let lines = sizes.clone().map(|_| "POST /v1/count");
    let requests: String = sizes
        .clone()
        .map(|size| {
            format!("\r\n{HEAD}Content-Length: {size}\r\n\r\n{}", "\r\nA: b\r\n\r\n".repeat(size)[..size].to_owned())
        })
        .collect();

    let (outside, answer, refused) = send(&(requests + SECOND));

    assert_eq!((refused, outside.lines()), (0, lines.chain(["GET /v1/second"]).map(str::to_owned).collect()));
    let bodies: Vec<&str> =
        answer.body.split("HTTP/1.1 200 OK").map(|part| part.rsplit('\n').next().unwrap_or("")).collect();
    assert_eq!(bodies[..63], sizes.map(|size| size.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_request_within_a_body_is_a_body() {
    let inner = get("api.example.com", "/admin");
    let request = format!("{HEAD}Connection: close\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    let chunked = format!(
        "{HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
        inner.len()
    );

    for request in [request, chunked] {
        let (outside, answer, _) = send(&request);

        assert_eq!((answer.status, answer.body), (200, inner.len().to_string()));
        assert_eq!(outside.lines(), ["POST /v1/count"]);
    }
}

#[test]
fn trailers_of_a_request_are_left_out() {
    let request = format!(
        "{HEAD}Connection: close\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Late: 1\r\n\
         Host: other\r\n\r\n"
    );

    let (outside, answer, _) = send(&request);

    assert_eq!((answer.status, answer.body.as_str()), (200, "2"));
    assert!(!outside.seen()[0].headers.contains_key("trailer"));
}
