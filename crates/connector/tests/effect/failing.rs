//! Servers outside that fail, and jobs that do.

use crate::http2;
use crate::job::{Job, ask, get, job, pair, piece, raw};
use crate::outside::{Outside, Tls, outside};
use lazaret_connector::{Ended, FinishError, TakeError};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RULES: [&str; 2] = ["* http://api.example.com/*", "* https://api.example.com/*"];

fn plain(outside: &Outside) -> Job {
    job(&RULES, outside, |setup| setup.bounds.idle = Duration::from_millis(500))
}

#[test]
fn servers_whose_tls_is_not_to_be_trusted_are_not_sent_to() {
    let cases = [
        (Tls::Expired, "Expired"),
        (Tls::WrongName, "not valid for name"),
        (Tls::SelfSigned, "UnknownIssuer"),
        (Tls::None, "InvalidContentType"),
    ];
    for (kind, why) in cases {
        let outside = outside(kind, &["h2", "http/1.1"]);
        let job = job(&RULES, &outside, |_| {});

        let answer = ask(job.tls("api.example.com", 443, "api.example.com"), &get("api.example.com", "/x"));

        assert_eq!(answer.status, 502, "{kind:?}: {answer:?}");
        assert!(answer.body.to_lowercase().contains(&why.to_lowercase()), "{kind:?}: {answer:?}");
        assert_eq!(outside.lines(), Vec::<String>::new(), "{kind:?}");
        let log = job.finish();
        assert_eq!((log.failed.len(), log.exchanges.len(), log.refused.len()), (1, 0, 0), "{kind:?}");
        assert_eq!(log.failed[0].rule.as_deref(), Some("* https://api.example.com/*"));
    }
}

#[test]
fn another_authority_than_the_callers_is_not_believed() {
    let (outside, other) = (outside(Tls::Good, &["h2"]), outside(Tls::Good, &["h2"]));
    let job = job(&RULES, &outside, |setup| {
        setup.trust = lazaret_connector::Trust::default().with_pem(other.root.as_bytes()).expect("it is well formed");
    });

    let answer = ask(job.tls("api.example.com", 443, "api.example.com"), &get("api.example.com", "/x"));

    assert_eq!((answer.status, outside.lines().len()), (502, 0), "{answer:?}");
}

#[test]
fn a_server_that_cannot_be_reached_or_breaks_off_is_a_bad_gateway() {
    let outside = outside(Tls::None, &[]);
    let unreachable = job(&RULES, &outside, |setup| {
        setup.dial = Arc::new(|_, _| Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
    });
    let breaking = plain(&outside);
    let (switching, _) = raw(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").ok();
    });
    let (talking, _) = raw(|mut stream, _| stream.write_all(b"220 mail.example.com ESMTP\r\n").expect("loopback"));

    let refused = unreachable.ask("api.example.com", 80, &get("api.example.com", "/x"));
    let broken = breaking.ask("api.example.com", 80, &get("api.example.com", "/breaks"));
    let switched = plain(&switching).ask("api.example.com", 80, &get("api.example.com", "/x"));
    let talked = plain(&talking).ask("api.example.com", 80, &get("api.example.com", "/x"));

    assert_eq!([refused.status, broken.status, switched.status, talked.status], [502; 4]);
    assert!(refused.body.contains("refused"), "{refused:?}");
    assert_eq!(unreachable.finish().failed.len(), 1);
    assert_eq!(breaking.finish().failed.len(), 1);
}

#[test]
fn a_server_that_does_not_answer_is_a_gateway_timeout_and_nothing_else_waits_for_it() {
    let plain_server = outside(Tls::None, &[]);
    let tls_server = outside(Tls::Good, &["h2"]);
    let (plain_job, tls_job) = (plain(&plain_server), plain(&tls_server));
    let slow = job(&RULES, &plain_server, |setup| {
        setup.bounds.connect = Duration::from_millis(200);
        setup.dial = Arc::new(|_, _| {
            std::thread::sleep(Duration::from_secs(3));
            Err(std::io::ErrorKind::TimedOut.into())
        });
    });
    let begun = Instant::now();

    let never = plain_job.ask("api.example.com", 80, &get("api.example.com", "/never"));
    let dialling = slow.ask("api.example.com", 80, &get("api.example.com", "/x"));
    let both = http2::ask(
        &tls_job,
        "api.example.com",
        &[
            http2::request("GET", "https://api.example.com/never", ""),
            http2::request("GET", "https://api.example.com/x", ""),
        ],
    );

    assert_eq!([never.status, dialling.status], [504, 504]);
    assert_eq!([both[0].0, both[1].0], [504, 200], "{both:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(slow.finish().failed.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "a connection that is being made is not waited for");
}

#[test]
fn an_answer_that_stalls_or_breaks_off_is_not_taken_for_a_whole_one() {
    let outside = outside(Tls::None, &[]);
    let job = plain(&outside);
    let (short, _) = raw(|mut stream, _| {
        piece(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").expect("loopback");
    });
    let short_job = plain(&short);

    let stalled = job.ask("api.example.com", 80, &get("api.example.com", "/stalls"));
    let cut = short_job.ask("api.example.com", 80, &get("api.example.com", "/x"));

    for answer in [&stalled, &cut] {
        assert_eq!((answer.status, answer.body.as_str()), (200, "half"));
        assert!(answer.head.contains("content-length: 8"), "so that it is seen to be cut: {answer:?}");
    }
    assert_eq!(job.wait(|log| !log.exchanges.is_empty()).exchanges[0].ended, Ended::Left);
    let ended = short_job.wait(|log| !log.exchanges.is_empty()).exchanges[0].ended.clone();
    assert!(matches!(ended, Ended::Broke(_)), "{ended:?}");
}

#[test]
fn a_connection_that_the_server_had_closed_meanwhile_is_made_again() {
    let (outside, _) = raw(|mut stream, read| {
        let mut bytes = [0; 4096];
        let len = stream.read(&mut bytes).expect("loopback");
        read.lock().expect("nobody panicked").extend_from_slice(&bytes[..len]);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("loopback");
    });
    let job = plain(&outside);
    let mut stream = job.connect("api.example.com", 80);

    let mut answer = [0; 4096];
    for round in 1..=3 {
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: api.example.com\r\n\r\n").expect("loopback");
        let len = stream.read(&mut answer).expect("loopback");
        assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "round {round}");
        std::thread::sleep(Duration::from_millis(50));
    }

    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 3);
    assert_eq!(job.finish().exchanges.len(), 3);
}

#[test]
fn an_abandoned_request_is_abandoned_outside_too() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |_| {});
    let mut stream = job.connect("api.example.com", 80);
    stream.write_all(get("api.example.com", "/zeros?100000000000").as_bytes()).expect("loopback");
    stream.read_exact(&mut [0; 100_000]).expect("loopback");

    drop(stream);

    let log = job.wait(|log| !log.exchanges.is_empty());
    assert_eq!(log.exchanges[0].ended, Ended::Left);
    let received = job.tally.bytes(lazaret_connector::Way::Down);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(job.tally.bytes(lazaret_connector::Way::Down), received, "nothing more is read");
}

#[test]
fn a_job_that_does_not_trust_the_authority_is_written_down() {
    let outside = outside(Tls::Good, &["h2"]);
    let (job, other) = (plain(&outside), plain(&outside));
    let mut stream = job.tls_with(other.client(&[]), "api.example.com", 443, "api.example.com");

    assert!(stream.write_all(b"x").is_err());
    drop(stream);

    let log = job.wait(|log| !log.failed.is_empty());
    assert!(log.failed[0].reason.contains("the job's TLS: received fatal alert"), "{log:?}");
}

#[test]
fn a_panic_is_seen_and_ends_every_connection() {
    let outside = outside(Tls::Good, &["h2"]);
    let hook = job(&RULES, &outside, |setup| setup.before_forward = Arc::new(|_, _| panic!("of a test")));
    let dial = job(&RULES, &outside, |setup| setup.dial = Arc::new(|_, _| panic!("of a test")));
    let mut bystander = hook.connect("api.example.com", 80);
    assert!(hook.connector.is_alive() && dial.connector.is_alive());

    let in_http2 = http2::ask(&hook, "api.example.com", &[http2::request("GET", "https://api.example.com/x", "")]);
    let mut in_http1 = dial.connect("api.example.com", 80);
    in_http1.write_all(get("api.example.com", "/x").as_bytes()).expect("loopback");
    let read = in_http1.read(&mut [0; 100]);

    assert_eq!(in_http2[0].0, 0, "{in_http2:?}");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(matches!(bystander.read(&mut [0; 1]), Ok(0) | Err(_)));
    for job in [hook, dial] {
        let until = Instant::now() + Duration::from_secs(5);
        while job.connector.is_alive() {
            assert!(Instant::now() < until, "it is seen soon");
            std::thread::yield_now();
        }
        let taken = job.connector.take(pair().1, crate::job::intended("api.example.com", 80));
        assert_eq!(taken, Err(TakeError::Dead));
        assert!(matches!(job.connector.finish(), Err(FinishError::Panicked(_))));
    }
}

#[test]
fn a_connector_that_is_dropped_ends_its_connections() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |_| {});
    let mut stream = job.connect("api.example.com", 80);
    stream.write_all(get("api.example.com", "/zeros?100000000000").as_bytes()).expect("loopback");
    assert!(piece(&mut stream).starts_with(b"HTTP/1.1 200 OK"));

    drop(job);

    let mut left = 0;
    while let Ok(len @ 1..) = stream.read(&mut [0; 1 << 16]) {
        left += len;
        assert!(left < 1 << 30);
    }
}

#[test]
fn it_ends_soon_whatever_goes_on() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |_| {});
    let mut streams: Vec<TcpStream> = (0..8).map(|_| job.connect("api.example.com", 80)).collect();
    let begun = [
        get("api.example.com", "/never"),
        get("api.example.com", "/zeros?100000000000"),
        "POST /stuck HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000\r\n\r\nx".to_owned(),
        "GET /x HTT".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
        get("api.example.com", "/stalls"),
    ];
    for (stream, request) in streams.iter_mut().zip(&begun) {
        stream.write_all(request.as_bytes()).expect("loopback");
    }
    job.wait(|_| outside.seen().len() == 4);
    for at in [1, 5] {
        assert!(piece(&mut streams[at]).starts_with(b"HTTP/1.1 200 OK"));
    }
    let until = Instant::now();

    let log = job.finish();

    assert!(until.elapsed() < Duration::from_secs(1), "{:?}", until.elapsed());
    let mut ended: Vec<_> = log.exchanges.iter().map(|exchange| (&*exchange.asked.path, &exchange.ended)).collect();
    ended.sort_by_key(|(path, _)| path.to_owned());
    assert_eq!(ended, [("/stalls", &Ended::Left), ("/zeros", &Ended::Left)]);
    let mut failed: Vec<_> =
        log.failed.iter().filter_map(|failed| failed.asked.as_ref()).map(|asked| &*asked.path).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["/never", "/stuck"], "what was sent on is told of without an answer too");
    for mut stream in streams {
        let mut rest = Vec::new();
        crate::job::read_all(&mut stream, &mut rest).ok();
    }
}
