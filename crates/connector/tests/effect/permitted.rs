//! What the rules permit is done.

use crate::http2;
use crate::job::{ask, get, job};
use crate::outside::{Tls, outside};
use http::Version;
use lazaret_connector::{Ended, Way};

#[test]
fn a_permitted_request_in_the_clear_is_answered_from_outside_and_written_down() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["GET http://api.example.com/v1/*"], &outside, |_| {});

    let answer = job.ask("api.example.com", 80, &get("API.example.com.:80", "/v1/%61?token=secret"));

    assert_eq!((answer.status, answer.body.as_str()), (200, "GET /v1/a"));
    assert_eq!(outside.lines(), ["GET /v1/a?token=secret"]);
    assert_eq!(outside.seen()[0].headers["host"], "api.example.com", "it is said anew");
    assert!(job.tally.bytes(Way::Up) > 50 && job.tally.bytes(Way::Down) > 50);
    let log = job.finish();
    let exchange = &log.exchanges[0];
    assert_eq!(exchange.asked.to_string(), "GET http://api.example.com/v1/a", "without the query");
    assert_eq!(exchange.rule, "GET http://api.example.com/v1/*");
    assert_eq!((exchange.status, exchange.address), (200, outside.address));
    assert_eq!((exchange.sent, exchange.received, &exchange.ended), (0, 9, &Ended::Whole));
    assert!(log.refused.is_empty() && log.failed.is_empty());
}

#[test]
fn a_permitted_request_within_tls_is_answered_by_http1_and_http2_outside() {
    for (alpn, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let outside = outside(Tls::Good, &[alpn]);
        let job = job(&["GET https://api.example.com/v1/*"], &outside, |_| {});

        let stream = job.tls("api.example.com", 443, "api.example.com");
        let answer = ask(stream, &get("api.example.com", "/v1/x?q=1"));

        assert_eq!((answer.status, answer.body.as_str()), (200, "GET /v1/x"), "{alpn}");
        assert_eq!(outside.seen()[0].version, version);
        assert_eq!(job.finish().exchanges[0].ended, Ended::Whole);
    }
}

#[test]
fn http2_is_spoken_with_the_job_whatever_is_spoken_outside() {
    for alpn in ["h2", "http/1.1"] {
        let outside = outside(Tls::Good, &[alpn]);
        let job = job(&["* https://api.example.com/v1/*"], &outside, |_| {});

        let answers = http2::ask(
            &job,
            "api.example.com",
            &[
                http2::request("GET", "https://api.example.com/v1/a?x=1", ""),
                http2::request("POST", "https://api.example.com/v1/count", "four"),
                http2::request("GET", "https://api.example.com/v1/b", ""),
            ],
        );

        assert_eq!(answers, [(200, "GET /v1/a".to_owned()), (200, "4".to_owned()), (200, "GET /v1/b".to_owned())]);
        let mut lines = outside.lines();
        lines.sort();
        let own = if alpn == "h2" { "https://api.example.com" } else { "" };
        assert_eq!(lines, [format!("GET {own}/v1/a?x=1"), format!("GET {own}/v1/b"), format!("POST {own}/v1/count"),]);
        if alpn == "h2" {
            assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 1, "one connection serves them all");
        }
    }
}

#[test]
fn names_below_a_name_and_other_ports_and_addresses_are_served() {
    let outside = outside(Tls::Good, &["h2"]);
    let rules = ["GET https://*.wild.example.com:8443/*", "GET https://127.0.0.1/*"];
    let job = job(&rules, &outside, |_| {});

    let below = ask(job.tls("a.wild.example.com", 8443, "a.wild.example.com"), &get("a.wild.example.com:8443", "/x"));
    let address = ask(job.tls("127.0.0.1", 443, "127.0.0.1"), &get("127.0.0.1", "/y"));

    assert_eq!((below.status, address.status), (200, 200), "{below:?} {address:?}");
    assert_eq!(outside.lines(), ["GET https://a.wild.example.com:8443/x", "GET https://127.0.0.1/y"]);
}

#[test]
fn one_connection_serves_request_after_request_over_one_connection_outside() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["GET http://api.example.com/*"], &outside, |_| {});
    let many = "GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n".repeat(20);

    let answer = job.ask("api.example.com", 80, &(many + &get("api.example.com", "/last")));

    assert_eq!(answer.body.matches("HTTP/1.1 200 OK").count(), 20, "and the first, which is the head");
    assert_eq!((outside.seen().len(), *outside.accepted.lock().expect("nobody panicked")), (21, 1));
    assert_eq!(job.finish().exchanges.len(), 21);
}

#[test]
fn a_header_can_be_added_to_a_request_and_the_job_does_not_see_it() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["GET http://api.example.com/*"], &outside, |setup| {
        setup.before_forward = std::sync::Arc::new(|forwarded, headers| {
            if forwarded.path.as_str() == "/none" {
                return Err("the vault is shut".to_owned());
            }
            headers.insert("authorization", "Bearer x".parse().expect("a value"));
            Ok(())
        });
    });

    let asked = "GET /a HTTP/1.1\r\nHost: api.example.com\r\nConnection: close, authorization\r\n\r\n";
    job.ask("api.example.com", 80, asked);
    let none = job.ask("api.example.com", 80, &get("api.example.com", "/none"));

    assert_eq!(
        outside.seen()[0].headers["authorization"],
        "Bearer x",
        "also where the job says it is for this connection"
    );
    assert_eq!((none.status, outside.seen().len()), (502, 1));
    assert!(!none.body.contains("vault"));
    assert!(job.finish().failed[0].reason.contains("the vault is shut"));
}

#[test]
fn headers_of_the_connection_end_here_both_ways() {
    let outside = outside(Tls::None, &[]);
    let job = job(&["GET http://api.example.com/*"], &outside, |_| {});

    let answer = job.ask(
        "api.example.com",
        80,
        "GET /headers HTTP/1.1\r\nHost: api.example.com\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nX-Kept: 1\r\n\
         Proxy-Authorization: Basic eA==\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nTE: trailers\r\n\r\n",
    );

    let headers = &outside.seen()[0].headers;
    assert_eq!(headers["x-kept"], "1");
    for name in ["x-mine", "proxy-authorization", "upgrade", "http2-settings", "connection"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert!(answer.head.contains("x-own: 1") && !answer.head.contains("alt-svc"), "{}", answer.head);
}

#[test]
fn an_answer_without_a_body_keeps_its_length_and_none_is_made_up() {
    let outside = outside(Tls::Good, &["h2"]);
    let job = job(&["GET,HEAD https://api.example.com/*"], &outside, |_| {});
    let head = "HEAD /x HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";

    let asked = ask(job.tls("api.example.com", 443, "api.example.com"), head);
    let none = ask(job.tls("api.example.com", 443, "api.example.com"), &get("api.example.com", "/none"));

    assert!(asked.head.contains("content-length: 7") && asked.body.is_empty(), "{asked:?}");
    assert_eq!((none.status, none.body.as_str()), (204, ""));
    let log = job.finish();
    assert!(log.exchanges.iter().all(|exchange| exchange.ended == Ended::Whole && exchange.received == 0), "{log:?}");
}
