//! What a job can take of this process, and of its budget.

use crate::http2;
use crate::job::{answer, ask, get, job, piece, raw};
use crate::outside::{Tls, outside};
use lazaret_connector::{Allowance, Ended, Tally, Way};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

const RULES: [&str; 2] = ["* http://api.example.com/*", "* https://api.example.com/*"];
const MANY: u64 = 64 << 20;
/// What buffers of the kernel's and of this process may hold on a way.
const BUFFERS: u64 = 32 << 20;

#[test]
fn bodies_larger_than_any_buffer_go_through_both_ways() {
    for alpn in ["h2", "http/1.1"] {
        let outside = outside(Tls::Good, &[alpn]);
        let job = job(&RULES, &outside, |_| {});
        let mut down = job.tls("api.example.com", 443, "api.example.com");
        let mut up = job.tls("api.example.com", 443, "api.example.com");

        down.write_all(get("api.example.com", &format!("/zeros?{MANY}")).as_bytes()).expect("loopback");
        let received = std::io::copy(&mut down, &mut std::io::sink()).expect("it is well formed");
        let head = format!(
            "POST /count HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\nContent-Length: {MANY}\r\n\r\n"
        );
        up.write_all(head.as_bytes()).expect("loopback");
        for _ in 0..MANY / (64 << 10) {
            up.write_all(&[0; 64 << 10]).expect("loopback");
        }

        assert!(received > MANY, "with a head and chunks");
        assert_eq!(answer(up).body, MANY.to_string(), "{alpn}");
        drop(down);
        let log = job.wait(|log| log.exchanges.len() == 2);
        assert!(log.exchanges.iter().any(|exchange| exchange.received == MANY), "{log:?}");
        assert!(log.exchanges.iter().any(|exchange| exchange.sent == MANY), "{log:?}");
    }
}

#[test]
fn what_the_job_does_not_read_is_not_read_outside() {
    for alpn in ["h2", "http/1.1"] {
        let outside = outside(Tls::Good, &[alpn]);
        let job = job(&RULES, &outside, |_| {});
        let mut stream = job.tls("api.example.com", 443, "api.example.com");

        stream.write_all(get("api.example.com", "/zeros?100000000000").as_bytes()).expect("loopback");
        stream.read_exact(&mut [0; 1000]).expect("loopback");
        let mut before = 0;
        while job.tally.bytes(Way::Down) != before {
            before = job.tally.bytes(Way::Down);
            std::thread::sleep(Duration::from_millis(300));
        }

        assert!(before < BUFFERS, "{before} with {alpn}");
    }
}

#[test]
fn what_is_not_read_outside_is_not_read_from_the_job() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |_| {});
    let mut stream = job.connect("api.example.com", 80);
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("loopback");

    let head = "POST /stuck HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("loopback");
    let mut written = 0;
    while let Ok(len) = stream.write(&[0; 64 << 10]) {
        written += len as u64;
        assert!(written < BUFFERS);
    }

    assert!(written > 0);
}

#[test]
fn a_head_that_comes_too_slowly_ends_its_connection() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |setup| setup.bounds.head = Duration::from_millis(300));
    let begun = Instant::now();
    let mut silent = job.connect("api.example.com", 80);
    let mut tls = job.connect("api.example.com", 443);
    tls.write_all(&[22, 3, 1, 2, 0]).expect("loopback");
    let mut slow = job.connect("api.example.com", 80);

    slow.write_all(b"GET /x HTTP/1.1\r\nHost: api.example.com\r\n").expect("loopback");
    while slow.write_all(b"X-A: b\r\n").is_ok() && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }

    for stream in [&mut silent, &mut tls] {
        let read = stream.read(&mut [0; 16]);
        assert!(matches!(read, Ok(_) | Err(_)), "{read:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(outside.lines(), Vec::<String>::new());
}

#[test]
fn a_head_that_is_too_large_or_has_too_many_headers_is_refused() {
    let outside = outside(Tls::Good, &["h2"]);
    let job = job(&RULES, &outside, |setup| (setup.bounds.head_bytes, setup.bounds.headers) = (16 << 10, 20));
    let large = format!("GET /x HTTP/1.1\r\nHost: api.example.com\r\nX: {}\r\n\r\n", "x".repeat(40 << 10));
    let many = format!("GET /x HTTP/1.1\r\nHost: api.example.com\r\n{}\r\n", "X: y\r\n".repeat(30));
    let mut by_http2 = http2::request("GET", "https://api.example.com/x", "");
    by_http2.headers_mut().insert("x", "x".repeat(40 << 10).parse().expect("it is well formed"));

    let statuses = [large, many].map(|request| job.ask("api.example.com", 80, &request).status);
    let http2 = http2::ask(&job, "api.example.com", &[by_http2]);

    assert_eq!(statuses, [431, 431]);
    assert!(http2[0].0 == 431 || http2[0].0 == 0, "{http2:?}");
    assert_eq!(outside.lines(), Vec::<String>::new());
}

#[test]
fn an_answer_whose_head_is_too_large_is_a_bad_gateway() {
    let (outside, _) = raw(|mut stream, _| {
        piece(&mut stream);
        stream.write_all(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200 << 10)).as_bytes()).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let job = job(&RULES, &outside, |_| {});

    assert_eq!(job.ask("api.example.com", 80, &get("api.example.com", "/x")).status, 502);
}

#[test]
fn a_connection_without_a_byte_ends_and_so_does_one_that_lasts_too_long() {
    let outside = outside(Tls::None, &[]);
    let begun = Instant::now();
    let idle = job(&RULES, &outside, |setup| setup.bounds.idle = Duration::from_millis(200));
    let lasting = job(&RULES, &outside, |setup| setup.bounds.connection = Duration::from_millis(500));
    // The job is there and does not read: no byte goes.
    let mut halted = idle.connect("api.example.com", 80);
    halted.write_all(get("api.example.com", "/zeros?100000000000").as_bytes()).expect("loopback");
    let mut long = lasting.connect("api.example.com", 80);
    long.write_all(get("api.example.com", "/zeros?100000000000").as_bytes()).expect("loopback");

    crate::job::read_all(&mut long, &mut Vec::new()).ok();
    let log = idle.wait(|log| !log.exchanges.is_empty());

    assert_eq!(log.exchanges[0].ended, Ended::Left);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(lasting.wait(|log| !log.failed.is_empty()).failed[0].reason.contains("the connection lasted 500ms"));
}

#[test]
fn a_spent_budget_cuts_what_goes_on_and_refuses_what_comes() {
    let outside = outside(Tls::None, &[]);
    let down = job(&RULES, &outside, |setup| {
        setup.tally = Arc::new(Tally::new(Allowance::Unlimited, Allowance::Bytes(1 << 20)));
    });
    let up = job(&RULES, &outside, |setup| {
        setup.tally = Arc::new(Tally::new(Allowance::Bytes(1 << 20), Allowance::Unlimited));
    });

    let cut = down.ask("api.example.com", 80, &get("api.example.com", "/zeros?10000000"));
    let next = down.ask("api.example.com", 80, &get("api.example.com", "/x"));
    let mut stream = up.connect("api.example.com", 80);
    stream
        .write_all(b"POST /count HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 10000000\r\n\r\n")
        .expect("loopback");
    while stream.write_all(&[0; 1 << 16]).is_ok() {}
    let next_up = up.ask("api.example.com", 80, &get("api.example.com", "/x"));

    assert!(cut.body.len() < 2 << 20, "with what is around its pieces: {}", cut.body.len());
    assert!(!cut.body.ends_with("0\r\n\r\n"), "its end is not made up");
    assert_eq!([next.status, next_up.status], [403, 403]);
    assert!(next.body.contains("budget of bytes to receive"), "{next:?}");
    assert!(next_up.body.contains("budget of bytes to send"), "{next_up:?}");
    assert_eq!(down.tally.bytes(Way::Down), 1 << 20, "not a byte more");
    assert_eq!(up.tally.bytes(Way::Up), 1 << 20);
    assert!(*outside.read.lock().expect("nobody panicked") < 1 << 20);
    let log = down.finish();
    assert!(matches!(&log.exchanges[0].ended, Ended::Broke(why) if why.contains("budget")), "{log:?}");
    let log = up.finish();
    assert!(log.failed[0].reason.contains("budget") && log.failed[0].sent > 1 << 19, "{log:?}");
    assert!(log.refused[0].reason.contains("budget"), "{log:?}");
}

#[test]
fn a_tally_is_shared_with_what_else_the_job_does() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |setup| {
        setup.tally = Arc::new(Tally::new(Allowance::Bytes(1 << 20), Allowance::Unlimited));
    });
    assert_eq!(job.ask("api.example.com", 80, &get("api.example.com", "/x")).status, 200);

    job.tally.add(Way::Up, 1 << 20);

    assert_eq!(job.ask("api.example.com", 80, &get("api.example.com", "/x")).status, 403);
}

#[test]
fn requests_at_once_are_bounded() {
    let outside = outside(Tls::Good, &["http/1.1"]);
    let job = job(&RULES, &outside, |setup| {
        (setup.bounds.streams, setup.bounds.idle) = (4, Duration::from_millis(700));
    });
    let request = http2::request("GET", "https://api.example.com/never", "");

    let answers = http2::ask(&job, "api.example.com", &vec![request; 12]);

    assert!(answers.iter().all(|(status, _)| *status == 504 || *status == 0), "{answers:?}");
    assert!(*outside.accepted.lock().expect("nobody panicked") <= 12);
    assert!(outside.seen().len() >= 4);
}

#[test]
fn connections_outside_are_bounded() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |setup| {
        (setup.bounds.links, setup.bounds.idle) = (1, Duration::from_millis(700));
    });
    let mut held = job.connect("api.example.com", 80);
    held.write_all(b"GET /stalls HTTP/1.1\r\nHost: api.example.com\r\n\r\n").expect("loopback");
    job.wait(|_| outside.seen().len() == 1);

    let waiting = job.ask("api.example.com", 80, &get("api.example.com", "/x"));

    assert_eq!((waiting.status, *outside.accepted.lock().expect("nobody panicked")), (504, 1));
}

#[test]
fn a_log_holds_so_many_entries_and_counts_the_others() {
    let outside = outside(Tls::None, &[]);
    let job = job(&RULES, &outside, |setup| setup.bounds.entries = 10);
    let path = "/y".repeat(1000);
    let other = "\u{9b}31m".repeat(1000);
    let many = format!("GET {path} HTTP/1.1\r\nHost: {other}\r\n\r\n").repeat(16);

    ask(job.connect("api.example.com", 80), &(many + &get("api.example.com", "/x")));

    let log = job.finish();
    assert_eq!((log.refused.len(), log.left_out.refused), (10, 6));
    assert_eq!((log.exchanges.len(), log.left_out.exchanges), (1, 0), "they do not hide this one");
    let reason = &log.refused[0].reason;
    assert!(reason.len() < 2000 && !reason.contains(char::is_control), "{reason}");
    assert_eq!(log.refused[0].asked.as_ref().map(|asked| asked.path.len()), Some(512));
}
