//! What no rule permits is not done, whatever it is called.

use crate::http2;
use crate::job::{Answer, Job, ask, get, job};
use crate::outside::{Outside, Tls, outside};
use lazaret_connector::TakeError;
use std::io::{Read as _, Write as _};

/// Every answer is a refusal with this reason, and nothing went out.
fn assert_refused(job: Job, outside: &Outside, answers: &[Answer], reason: &str) {
    for answer in answers {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains(reason), "{answer:?}");
    }
    assert_eq!((outside.lines(), *outside.accepted.lock().expect("nobody panicked")), (Vec::<String>::new(), 0));
    let log = job.finish();
    assert_eq!(log.refused.len(), answers.len(), "{log:?}");
    assert!(log.refused.iter().all(|refused| refused.reason.contains(reason) && refused.asked.is_some()), "{log:?}");
    assert!(log.exchanges.is_empty() && log.failed.is_empty());
}

fn plain(rule: &str) -> (Outside, Job) {
    let outside = outside(Tls::None, &[]);
    let job = job(&[rule], &outside, |_| {});
    (outside, job)
}

#[test]
fn other_methods_and_paths_are_refused() {
    let (outside, job) = plain("GET http://api.example.com/v1/*");
    let targets = [
        "/",
        "/v1",
        "/v2/x",
        "/V1/x",
        "/v1%2fx",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..;/admin",
        "/v1/..%5cadmin",
        "/v1/%252e%252e/admin",
        "/v1/%c0%ae%c0%ae/admin",
        "/v1//x",
        "//v1/x",
        "/v1/x%00",
        "/v1/\u{e9}",
    ];
    let mut answers: Vec<Answer> =
        targets.iter().map(|target| job.ask("api.example.com", 80, &get("api.example.com", target))).collect();
    // The library knows what is no target at all and says so itself.
    answers.retain(|answer| answer.status != 400);
    assert!(answers.len() >= targets.len() - 1, "{answers:?}");
    for method in ["POST", "HEAD", "OPTIONS", "get", "DELETE"] {
        let request = format!("{method} /v1/x HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n");
        let answer = job.ask("api.example.com", 80, &request);
        assert_eq!(answer.status, 403, "{method}");
    }

    assert_eq!(outside.lines(), Vec::<String>::new());
    for answer in &answers {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.starts_with("lazaret: "), "{answer:?}");
    }
    assert!(job.finish().refused.len() >= targets.len() + 4);
}

#[test]
fn another_host_than_the_connections_is_refused_wherever_it_is_said() {
    let (outside, job) = plain("* http://*.example.com/*");
    let own = "api.example.com";
    let requests = [
        get("other.example.com", "/x"),
        get("api.example.com:8080", "/x"),
        get("api.example.com@other.example.com", "/x"),
        get("api.example.com.evil.example", "/x"),
        get("", "/x"),
        get("api.example.com, other.example.com", "/x"),
        get(own, "http://other.example.com/x"),
        get(own, "http://api.example.com:8080/x"),
        get(own, "http://u@api.example.com/x"),
        get("other.example.com", "http://api.example.com/x"),
    ];

    let answers: Vec<Answer> = requests.iter().map(|request| job.ask(own, 80, request)).collect();

    assert_refused(job, &outside, &answers, "and the connection goes to api.example.com:80");
}

#[test]
fn a_request_has_one_host() {
    let (outside, job) = plain("* http://api.example.com/*");
    let requests = [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.example.com\r\nHost: api.example.com\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.example.com\r\nhost: other.example.com\r\nConnection: close\r\n\r\n",
        "GET http://api.example.com/ HTTP/1.1\r\nConnection: close\r\n\r\n",
    ];

    let answers: Vec<Answer> = requests.iter().map(|request| job.ask("api.example.com", 80, request)).collect();

    assert_refused(job, &outside, &answers, "has one header `Host`");
}

#[test]
fn a_target_with_another_scheme_is_refused() {
    let (outside, job) = plain("* http://api.example.com/*");

    let answers = ["https://api.example.com:80/x", "ftp://api.example.com:80/x"]
        .map(|target| job.ask("api.example.com", 80, &get("api.example.com", target)));

    assert_refused(job, &outside, &answers, "which is not spoken on this connection");
}

#[test]
fn connect_and_trace_are_refused_by_every_rule() {
    let (outside, job) = plain("* http://api.example.com/*");
    let answers = [
        "CONNECT api.example.com:80 HTTP/1.1\r\nHost: api.example.com:80\r\nConnection: close\r\n\r\n",
        "CONNECT other.example.com:443 HTTP/1.1\r\nHost: other.example.com:443\r\nConnection: close\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n",
    ]
    .map(|request| job.ask("api.example.com", 80, request));

    assert_refused(job, &outside, &answers, "is not spoken here");
}

#[test]
fn connect_is_refused_in_http2_too() {
    let outside = outside(Tls::Good, &["h2"]);
    let job = job(&["* https://api.example.com/*"], &outside, |_| {});

    let answers = http2::ask(&job, "api.example.com", &[http2::request("CONNECT", "api.example.com:443", "")]);

    assert_eq!(answers[0].0, 403, "{answers:?}");
    assert_eq!(outside.lines(), Vec::<String>::new());
}

#[test]
fn another_authority_is_refused_in_http2() {
    let outside = outside(Tls::Good, &["h2"]);
    let job = job(&["* https://*.example.com/*"], &outside, |_| {});
    let mut two = http2::request("GET", "https://api.example.com/x", "");
    two.headers_mut().insert("host", "other.example.com".parse().expect("it is well formed"));

    let answers = http2::ask(
        &job,
        "api.example.com",
        &[
            http2::request("GET", "https://other.example.com/x", ""),
            http2::request("GET", "https://api.example.com:8443/x", ""),
            http2::request("GET", "http://api.example.com:443/x", ""),
            two,
        ],
    );

    assert!(answers.iter().all(|(status, _)| *status == 403), "{answers:?}");
    assert_eq!(outside.lines(), Vec::<String>::new());
    assert_eq!(job.finish().refused.len(), 4);
}

#[test]
fn a_change_of_protocol_is_refused() {
    let (outside, job) = plain("* http://api.example.com/*");
    let request = "GET /ws HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\nGET /next HTTP/1.1\r\n\
                   Host: api.example.com\r\nUpgrade: TLS/1.0\r\nConnection: close\r\n\r\n";

    let answer = job.ask("api.example.com", 80, request);

    assert_eq!(answer.status, 403);
    assert_eq!(answer.body.matches("a change to the protocol").count(), 2, "{answer:?}");
    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 0);
    assert_eq!(job.finish().refused.len(), 2);
}

#[test]
fn tls_for_another_name_or_for_none_ends_in_the_handshake() {
    let outside = outside(Tls::Good, &["h2"]);
    let job = job(&["* https://*.example.com/*", "* https://127.0.0.1/*"], &outside, |_| {});
    let mut nameless = job.client(&["http/1.1"]);
    nameless.enable_sni = false;
    let streams = [
        job.tls("api.example.com", 443, "other.example.com"),
        job.tls_with(nameless, "api.example.com", 443, "api.example.com"),
        job.tls("127.0.0.1", 443, "api.example.com"),
        job.tls("api.example.com", 443, "127.0.0.1"),
    ];

    for mut stream in streams {
        let asked = stream.write_all(get("api.example.com", "/x").as_bytes());
        let error = asked.and_then(|()| stream.read_exact(&mut [0])).expect_err("no TLS").to_string();
        assert!(error.contains("alert"), "{error}");
    }

    let log = job.wait(|log| log.refused.len() == 4);
    assert_eq!(log.refused.len(), 4, "{log:?}");
    assert!(log.refused.iter().all(|refused| refused.reason.starts_with("TLS is asked for")), "{log:?}");
    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 0);
}

#[test]
fn the_scheme_of_a_rule_is_part_of_it() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["* https://api.example.com:8000/*", "* http://other.example.com:8000/*"], &outside, |_| {});

    let plain = job.ask("api.example.com", 8000, &get("api.example.com:8000", "/x"));
    let mut tls = job.tls("other.example.com", 8000, "other.example.com");

    assert_eq!(plain.status, 403);
    assert!(plain.body.contains("no rule permits `GET http://api.example.com:8000/x`"), "{plain:?}");
    assert!(tls.write_all(b"x").is_err());
    let log = job.wait(|log| log.refused.len() == 2);
    assert!(
        log.refused.iter().any(|refused| refused.reason.contains("no rule permits a request of `https`")),
        "{log:?}"
    );
    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 0);
}

#[test]
fn what_the_caller_refuses_to_connect_to_is_a_refusal() {
    let (outside, _) = plain("* http://api.example.com/*");
    let job = job(&["* http://api.example.com/*"], &outside, |setup| {
        setup.dial = std::sync::Arc::new(|_, _| {
            Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "10.0.0.1 is a private address"))
        });
    });

    let answer = job.ask("api.example.com", 80, &get("api.example.com", "/x"));

    assert_refused(job, &outside, &[answer], "10.0.0.1 is a private address");
}

#[test]
fn more_connections_than_a_job_may_have_are_closed() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["* http://api.example.com/*"], &outside, |setup| setup.bounds.connections = 2);
    let held = [job.connect("api.example.com", 80), job.connect("api.example.com", 80)];

    let (_, over) = crate::job::pair();
    let taken = job.connector.take(over, crate::job::intended("api.example.com", 80));
    assert_eq!(taken, Err(TakeError::TooMany(2)));
    let [first, _second] = held;
    assert_eq!(ask(first, &get("api.example.com", "/x")).status, 200);

    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let again = loop {
        let (own, other) = crate::job::pair();
        match job.connector.take(other, crate::job::intended("api.example.com", 80)) {
            Ok(()) => break own,
            Err(_) => assert!(std::time::Instant::now() < until, "a place is free again"),
        }
    };
    assert_eq!(ask(again, &get("api.example.com", "/y")).status, 200);
}
