//! Files that are fetched before a job.

use crate::job::{piece, raw, rules};
use crate::outside::{Outside, Tls, outside, tls};
use lazaret_connector::Trust;
use lazaret_connector::fetch::{
    AnswerProblem, FetchError, Fetched, RedirectProblem, Request, Types, UrlProblem, fetch,
};
use lazaret_egress::{Guard, Name, Refusal, ResolveError, Rule};
use rustls::{ServerConnection, StreamOwned};
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What is asked of a fetch, besides the URL.
struct Wish<'a> {
    rules: &'a [&'a str],
    hosts: &'a [&'a str],
    types: &'a [&'a str],
    most: u64,
    patience: Duration,
    resolve: &'a dyn Fn(&Name) -> Vec<IpAddr>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            rules: &[],
            hosts: &[],
            types: &[],
            most: 1 << 20,
            patience: Duration::from_secs(10),
            resolve: &|_| vec![HOME],
        }
    }
}

/// Fetches `url`, in which `PORT` is the server's, as it is in the rules.
fn get(outside: &Outside, url: &str, wish: &Wish<'_>) -> (Result<Fetched, FetchError>, Vec<u8>) {
    let port = outside.address.port().to_string();
    let own = |text: &str| text.replace("PORT", &port);
    let requests: Vec<String> = wish.rules.iter().map(|text| own(text)).collect();
    let requests = rules(&requests.iter().map(String::as_str).collect::<Vec<_>>());
    let hosts: Vec<Rule> = wish.hosts.iter().map(|text| own(text).parse().expect("a rule")).collect();
    let types = match wish.types {
        [] => Types::Any,
        types => Types::These(types.iter().map(|text| text.parse().expect("a type")).collect()),
    };
    let mut into = Vec::new();
    let fetched = fetch(
        &Request {
            url: &own(url),
            max_bytes: wish.most,
            types: &types,
            hosts: &hosts,
            requests: &requests,
            guard: &Guard::default(),
            resolve: &|name, _| match (wish.resolve)(name) {
                none if none.is_empty() => Err(ResolveError::NoName(name.clone())),
                addresses => Ok(addresses),
            },
            trust: &Trust::default().with_pem(outside.root.as_bytes()).expect("a certificate"),
            deadline: Instant::now() + wish.patience,
        },
        &mut into,
    );
    (fetched, into)
}

/// A server in the clear that gives these answers, one to each connection, and then the last again.
fn answering(answers: &'static [&'static str]) -> Outside {
    let count = std::sync::atomic::AtomicUsize::new(0);
    raw(move |mut stream, read| {
        let at = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).min(answers.len() - 1);
        read.lock().expect("nobody panicked").extend(piece(&mut stream));
        let port = stream.local_addr().expect("loopback").port().to_string();
        stream.write_all(answers[at].replace("PORT", &port).as_bytes()).ok();
    })
    .0
}

/// Loopback is no public address, so a rule has to name it beside the name.
const LOCAL: [&str; 2] = ["* http://files.example.com:PORT/*", "* http://127.0.0.1:PORT/*"];

fn local() -> Wish<'static> {
    Wish { rules: &LOCAL, ..Wish::default() }
}

#[test]
fn a_file_is_fetched_within_tls_and_told_of_without_its_query() {
    let outside = outside(Tls::Good, &["http/1.1"]);
    let wish = Wish { rules: &["GET https://api.example.com:PORT/v1/*"], hosts: &["127.0.0.1:PORT"], ..local() };

    let (fetched, bytes) = get(&outside, "https://API.example.com:PORT/v1/%7a/zeros?100000", &wish);

    let fetched = fetched.expect("a file");
    assert_eq!((fetched.bytes, bytes.len()), (100_000, 100_000));
    assert_eq!(fetched.url, format!("https://api.example.com:{}/v1/z/zeros", outside.address.port()));
    assert_eq!((fetched.address, fetched.redirects.len(), fetched.media_type), (outside.address, 0, None));
    assert_eq!(outside.lines(), ["GET /v1/z/zeros?100000"]);
    let headers = &outside.seen()[0].headers;
    assert!(!headers.contains_key("accept-encoding"));
    assert_eq!(headers["host"], format!("api.example.com:{}", outside.address.port()).as_str());
}

#[test]
fn servers_whose_tls_is_not_to_be_trusted_are_not_asked() {
    for kind in [Tls::Expired, Tls::WrongName, Tls::SelfSigned, Tls::None] {
        let outside = outside(kind, &["http/1.1"]);
        let wish = Wish { rules: &["GET https://api.example.com:PORT/*"], hosts: &["127.0.0.1:PORT"], ..local() };

        let (fetched, _) = get(&outside, "https://api.example.com:PORT/x", &wish);

        assert!(matches!(fetched, Err(FetchError::Exchange { .. })), "{kind:?}: {fetched:?}");
        assert_eq!(outside.lines(), Vec::<String>::new(), "{kind:?}");
    }
}

#[test]
fn what_is_no_url_to_fetch_is_refused() {
    let outside = outside(Tls::None, &[]);
    let cases = [
        ("", UrlProblem::None),
        ("/x", UrlProblem::None),
        ("http://files.example.com:PORT/a b", UrlProblem::None),
        ("http:\\\\files.example.com:PORT/x", UrlProblem::None),
        ("ftp://files.example.com/x", UrlProblem::Scheme("ftp".to_owned())),
        ("file:///etc/passwd", UrlProblem::Scheme("file".to_owned())),
        ("http://user:secret@files.example.com:PORT/x", UrlProblem::Credentials),
        ("http://user@files.example.com:PORT/x", UrlProblem::Credentials),
        ("http://files.example.com:0/x", UrlProblem::Port),
    ];
    for (url, expected) in cases {
        let error = get(&outside, url, &local()).0.expect_err(url);

        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(matches!(&error, FetchError::Url { problem, .. } if *problem == expected), "{url}: {error:?}");
    }
    for url in ["http://files.example.com:PORT/a%2fb", "http://files.example.com:PORT//x"] {
        let error = get(&outside, url, &local()).0.expect_err(url);
        assert!(matches!(error, FetchError::Url { problem: UrlProblem::Path(_), .. }), "{url}: {error:?}");
    }
    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 0);
}

#[test]
fn a_url_that_no_rule_permits_is_not_fetched() {
    let outside = outside(Tls::None, &[]);
    let wishes: [&[&str]; 4] = [
        &[],
        &["POST http://files.example.com:PORT/*", "* http://127.0.0.1:PORT/*"],
        &["GET http://files.example.com:PORT/y", "* http://127.0.0.1:PORT/*"],
        &["GET https://files.example.com:PORT/*", "* http://127.0.0.1:PORT/*"],
    ];
    for rules in wishes {
        let fetched = get(&outside, "http://files.example.com:PORT/x", &Wish { rules, ..local() }).0;

        assert!(matches!(fetched, Err(FetchError::NotPermitted { .. })), "{rules:?}: {fetched:?}");
    }
    let by_host = Wish { rules: &[], hosts: &["files.example.com:PORT", "127.0.0.1:PORT"], ..local() };
    assert!(get(&outside, "http://files.example.com:PORT/x", &by_host).0.is_ok());
    assert_eq!(outside.lines(), ["GET /x"]);
}

#[test]
fn every_address_of_a_name_is_judged_before_any_is_connected_to() {
    let outside = outside(Tls::None, &[]);
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let cases = [
        vec![HOME],
        vec![address("10.0.0.1")],
        vec![address("169.254.169.254")],
        vec![address("::ffff:127.0.0.1")],
        vec![address("64:ff9b::7f00:1")],
        vec![address("93.184.216.34"), HOME],
    ];
    for addresses in cases {
        let wish = Wish {
            rules: &["GET http://files.example.com:PORT/*"],
            resolve: &|_| addresses.clone(),
            ..Wish::default()
        };

        let fetched = get(&outside, "http://files.example.com:PORT/x", &wish).0;

        assert!(matches!(fetched, Err(FetchError::Address { .. })), "{addresses:?}: {fetched:?}");
    }
    let literal = get(&outside, "http://0x7f.1:PORT/x", &Wish { rules: &LOCAL[..1], ..Wish::default() }).0;
    assert!(matches!(literal, Err(FetchError::NotPermitted { .. })), "{literal:?}");
    let none = get(&outside, "http://files.example.com:PORT/x", &Wish { resolve: &|_| vec![], ..local() }).0;
    assert!(matches!(none, Err(FetchError::Resolve { .. })), "{none:?}");
    assert_eq!(*outside.accepted.lock().expect("nobody panicked"), 0);
}

#[test]
fn a_metadata_service_is_not_fetched_from_whatever_permits_it() {
    let outside = outside(Tls::None, &[]);
    let wish = Wish { rules: &["* http://169.254.169.254/*"], hosts: &["169.254.0.0/16:80"], ..Wish::default() };

    let fetched = get(&outside, "http://169.254.169.254/latest/meta-data", &wish).0;

    assert!(matches!(fetched, Err(FetchError::Address { source: Refusal::Metadata { .. }, .. })), "{fetched:?}");
}

#[test]
fn a_name_that_resolves_elsewhere_the_second_time_is_judged_again() {
    let outside = answering(&["HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"]);
    let asked = Cell::new(0);
    let rebinding = |_: &Name| {
        asked.set(asked.get() + 1);
        vec![if asked.get() == 1 { HOME } else { "10.0.0.1".parse().expect("an address") }]
    };
    let wish = Wish { resolve: &rebinding, ..local() };

    let fetched = get(&outside, "http://files.example.com:PORT/x", &wish).0;

    assert!(matches!(fetched, Err(FetchError::Address { .. })), "{fetched:?}");
    assert_eq!((asked.get(), *outside.accepted.lock().expect("nobody panicked")), (2, 1));
}

#[test]
fn redirects_are_followed_where_the_rules_permit_them() {
    let outside = answering(&[
        "HTTP/1.1 301 Moved\r\nLocation: ../z/./y?token=secret#part\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 Moved\r\nLocation: //127.0.0.1:PORT/w\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: Image/PNG; a=b\r\nContent-Length: 4\r\n\r\nfile",
    ]);
    let wish = Wish { types: &["image/*"], ..local() };

    let (fetched, bytes) = get(&outside, "http://files.example.com:PORT/a/b/x", &wish);

    let (fetched, port) = (fetched.expect("a file"), outside.address.port());
    assert_eq!((bytes.as_slice(), fetched.bytes), (&b"file"[..], 4));
    assert_eq!(fetched.url, format!("http://127.0.0.1:{port}/w"));
    assert_eq!(fetched.media_type.map(|media_type| media_type.to_string()).as_deref(), Some("image/png"));
    let led: Vec<(String, u16)> = fetched.redirects.iter().map(|led| (led.url.clone(), led.status)).collect();
    let host = format!("http://files.example.com:{port}");
    assert_eq!(led, [(format!("{host}/a/b/x"), 301), (format!("{host}/a/z/y"), 307)]);
}

#[test]
fn redirects_to_where_nothing_is_permitted_are_not_followed() {
    type Case = (&'static [&'static str], fn(&FetchError) -> bool);
    let cases: [Case; 8] = [
        (&["HTTP/1.1 302 F\r\nLocation: http://10.0.0.1/\r\n\r\n"], |e| matches!(e, FetchError::NotPermitted { .. })),
        (&["HTTP/1.1 302 F\r\nLocation: http://other.example.com:PORT/x\r\n\r\n"], |e| {
            matches!(e, FetchError::NotPermitted { .. })
        }),
        (&["HTTP/1.1 302 F\r\nLocation: http://files.example.com:1/x\r\n\r\n"], |e| {
            matches!(e, FetchError::NotPermitted { .. })
        }),
        (&["HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n\r\n"], |e| {
            matches!(e, FetchError::Url { problem: UrlProblem::Scheme(_), .. })
        }),
        (&["HTTP/1.1 302 F\r\nLocation: http://u:p@files.example.com:PORT/x\r\n\r\n"], |e| {
            matches!(e, FetchError::Url { problem: UrlProblem::Credentials, .. })
        }),
        (&["HTTP/1.1 302 F\r\nLocation: /a\r\nLocation: /b\r\n\r\n"], |e| {
            matches!(e, FetchError::Redirect { problem: RedirectProblem::NoLocation, .. })
        }),
        (&["HTTP/1.1 302 F\r\nContent-Length: 0\r\n\r\n"], |e| {
            matches!(e, FetchError::Redirect { problem: RedirectProblem::NoLocation, .. })
        }),
        (&["HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"], |e| {
            matches!(e, FetchError::Redirect { problem: RedirectProblem::TooMany(5), .. })
        }),
    ];
    for (answers, is_expected) in cases {
        let outside = answering(answers);

        let error = get(&outside, "http://files.example.com:PORT/x", &local()).0.expect_err("no file");

        assert!(is_expected(&error), "{answers:?}: {error:?}");
        assert!(*outside.accepted.lock().expect("nobody panicked") <= 6, "the first and five redirects");
    }
}

#[test]
fn a_redirect_out_of_tls_is_not_followed() {
    let (config, root) = tls(Tls::Good, &["http/1.1"]);
    let (mut outside, _) = raw(move |stream, _| {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("a certificate"), stream);
        piece(&mut stream);
        stream
            .write_all(b"HTTP/1.1 302 F\r\nLocation: http://files.example.com/x\r\nContent-Length: 0\r\n\r\n")
            .expect("it is well formed");
    });
    outside.root = root;
    let hosts = ["api.example.com:PORT", "127.0.0.1:PORT", "files.example.com:80"];
    let wish = Wish { hosts: &hosts, ..local() };

    let fetched = get(&outside, "https://api.example.com:PORT/x", &wish).0;

    assert!(
        matches!(&fetched, Err(FetchError::Redirect { problem: RedirectProblem::Downgrade(_), .. })),
        "{fetched:?}"
    );
}

#[test]
fn what_is_not_the_file_is_refused() {
    let cases: [(&'static [&'static str], AnswerProblem); 7] = [
        (&["HTTP/1.1 404 Not Found\r\nContent-Type: image/png\r\n\r\nx"], AnswerProblem::Status(404)),
        (&["HTTP/1.1 206 Part\r\nContent-Type: image/png\r\n\r\nx"], AnswerProblem::Status(206)),
        (&["HTTP/1.1 304 Same\r\nContent-Type: image/png\r\n\r\n"], AnswerProblem::Status(304)),
        (
            &["HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Encoding: gzip\r\n\r\nx"],
            AnswerProblem::Encoded("gzip".to_owned()),
        ),
        (
            &["HTTP/1.1 200 OK\r\nContent-Type: text/html; a=image/png\r\n\r\nx"],
            AnswerProblem::Type { said: Some("text/html; a=image/png".to_owned()), types: "image/*".to_owned() },
        ),
        (&["HTTP/1.1 200 OK\r\n\r\nx"], AnswerProblem::Type { said: None, types: "image/*".to_owned() }),
        (
            &["HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Type: text/html\r\n\r\nx"],
            AnswerProblem::Type { said: Some("several types".to_owned()), types: "image/*".to_owned() },
        ),
    ];
    for (answers, expected) in cases {
        let outside = answering(answers);

        let wish = Wish { types: &["image/*"], ..local() };
        let (fetched, bytes) = get(&outside, "http://files.example.com:PORT/x", &wish);

        assert!(matches!(&fetched, Err(FetchError::Answer { problem, .. }) if *problem == expected), "{fetched:?}");
        assert_eq!(bytes.len(), 0);
    }
}

#[test]
fn a_body_beyond_its_bound_is_cut_whatever_length_is_announced() {
    let cases: [&'static [&'static str]; 3] = [
        &["HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"],
        &["HTTP/1.1 200 OK\r\n\r\nhello world"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"],
    ];
    for answers in cases {
        let wish = |most| Wish { most, ..local() };

        let (cut, bytes) = get(&answering(answers), "http://files.example.com:PORT/x", &wish(10));
        let (whole, _) = get(&answering(answers), "http://files.example.com:PORT/x", &wish(11));

        assert!(matches!(cut, Err(FetchError::TooLarge { most: 10, .. })), "{answers:?}: {cut:?}");
        assert!(bytes.len() <= 10);
        assert_eq!(whole.expect("a file").bytes, 11);
    }
    let lying = answering(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello world"]);
    assert_eq!(get(&lying, "http://files.example.com:PORT/x", &local()).1, b"hello");
    let short = answering(&["HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world"]);
    let short = get(&short, "http://files.example.com:PORT/x", &local()).0;
    assert!(matches!(short, Err(FetchError::Exchange { .. })), "{short:?}");
}

#[test]
fn what_comes_too_slowly_is_not_waited_for() {
    let drips = |what: &'static str| {
        raw(move |mut stream, _| {
            piece(&mut stream);
            for byte in what.bytes().cycle().take(1000) {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .0
    };
    let silent = raw(|mut stream, _| {
        stream.read_to_end(&mut Vec::new()).ok();
    })
    .0;
    let body = outside(Tls::None, &[]);
    let begun = Instant::now();
    let wish = Wish { patience: Duration::from_millis(300), ..local() };

    for (outside, path) in [(&silent, "x"), (&drips("HTTP/1.1 200 OK\r\nA: b\r\n"), "x"), (&body, "stalls")] {
        let fetched = get(outside, &format!("http://files.example.com:PORT/{path}"), &wish).0;
        assert!(matches!(fetched, Err(FetchError::Deadline { .. })), "{fetched:?}");
    }
    let tls = Wish { hosts: &["api.example.com:PORT", "127.0.0.1:PORT"], ..wish };
    let fetched = get(&silent, "https://api.example.com:PORT/x", &tls).0;
    assert!(matches!(fetched, Err(FetchError::Deadline { .. })), "{fetched:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn what_cannot_be_written_is_an_error_of_its_own() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let outside = outside(Tls::None, &[]);
    let port = outside.address.port();

    let fetched = fetch(
        &Request {
            url: &format!("http://127.0.0.1:{port}/x"),
            max_bytes: 100,
            types: &Types::Any,
            hosts: &[format!("127.0.0.1:{port}").parse().expect("a rule")],
            requests: &[],
            guard: &Guard::default(),
            resolve: &|name, _| Err(ResolveError::NoName(name.clone())),
            trust: &Trust::default(),
            deadline: Instant::now() + Duration::from_secs(5),
        },
        &mut Full,
    );

    assert!(matches!(fetched, Err(FetchError::Write { .. })), "{fetched:?}");
}
