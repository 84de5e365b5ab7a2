//! What does not arrive: an error that says so, and no job.

use crate::job::job;
use crate::web::{Answer, Authority, Web, Worth};
use crate::{entry, fetching, policy};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};
use std::time::Duration;

as_root_and_user_in_an_internet![
    an_answer_that_is_not_the_file_is_an_error,
    a_file_that_is_too_large_is_an_error,
    an_address_that_no_rule_names_is_not_asked,
    a_redirect_to_such_an_address_is_not_followed,
    redirects_without_an_end_and_out_of_tls_are_not_followed,
    a_name_that_does_not_resolve_is_an_error,
    a_server_that_is_down_is_an_error,
    a_silent_server_is_waited_for_as_long_as_the_job_may_take,
    a_server_that_trickles_is_waited_for_as_long_as_the_job_may_take,
    tls_that_is_not_to_be_believed_is_an_error,
];

const URL: &str = "http://files.example.com/a";

fn names() -> NameServer {
    NameServer::start(&[("files.example.com", Says::at(&["93.184.216.34"]))])
}

fn an_answer_that_is_not_the_file_is_an_error(runner: &Runner, _: &Internet) {
    let _names = names();
    let _web = Web::http("[::]:80", |target| match target.split('?').next().unwrap_or_default() {
        "/none" => Answer::status("404 Not Found"),
        "/part" => Answer::of("part").announcing(100),
        "/encoded" => Answer::of("packed").header("Content-Encoding", "gzip"),
        "/typed" => Answer::of("<p>").header("Content-Type", "text/html; charset=utf-8"),
        _ => Answer::of("of no type"),
    });
    for (path, more, says) in [
        ("none", "", "the status is 404"),
        ("part", "", "/part`"),
        ("encoded", "", "it is encoded (`gzip`)"),
        ("typed", "types = [\"image/png\", \"image/gif\"]", "its type is `text/html; charset=utf-8`"),
        ("untyped", "types = [\"image/*\"]", "its type is not said"),
    ] {
        let ended = fetching(runner, &format!("http://files.example.com/{path}?token=hidden-word"), more).run();

        ended.expect_error(&["`file`", says]);
        assert!(!ended.stderr.contains("hidden-word"), "{}", ended.stderr);
        assert_eq!(ended.stdout, b"", "no job was run");
    }
}

fn a_file_that_is_too_large_is_an_error(runner: &Runner, _: &Internet) {
    let _names = names();
    let _web = Web::http("[::]:80", |target| match target {
        "/said" => Answer::of("x").announcing(2 << 20),
        "/most" => Answer::of(vec![b'x'; 1 << 20]),
        _ => Answer::of(vec![b'x'; (1 << 20) + 1]),
    });
    for path in ["said", "all"] {
        let ended = fetching(runner, &format!("http://files.example.com/{path}"), "").run();

        ended.expect_error(&["`file`", "has more than 1048576 bytes"]);
    }
    let ended = fetching(runner, "http://files.example.com/most", "").shell("wc -c < file").run();
    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"1048576\n");
}

fn an_address_that_no_rule_names_is_not_asked(runner: &Runner, internet: &Internet) {
    let zone = [
        ("private.example.com", "10.1.2.3"),
        ("loopback.example.com", "127.0.0.1"),
        ("mapped.example.com", "::ffff:127.0.0.1"),
        ("metadata.example.com", "169.254.169.254"),
        ("own.example.com", Internet::HOST[0]),
    ];
    let _names = NameServer::start(&zone.map(|(name, address)| (name, Says::at(&[address]))));
    let (web, own) = (Server::http("[::]:80", "no"), internet.on_the_host(|| Server::http("[::]:80", "no")));
    let urls: Vec<String> = zone.iter().map(|(name, _)| format!("http://{name}/")).collect();
    for url in urls.iter().map(String::as_str).chain(["http://169.254.169.254/latest/meta-data/"]) {
        let ended = fetching(runner, url, "").run();

        ended.expect_error(&["`file`", url.trim_end_matches("latest/meta-data/")]);
    }
    let all = fetching(runner, "http://metadata.example.com/", "allow = [\"0.0.0.0/0:80\"]").run();
    all.expect_error(&["metadata"]);
    assert_eq!([web.visits(), own.visits()], [Vec::<String>::new(), Vec::new()]);
}

fn a_redirect_to_such_an_address_is_not_followed(runner: &Runner, internet: &Internet) {
    let _names = names();
    let _web = Web::http("93.184.216.34:80", |target| Answer::to(&format!("http://{}/", &target[1..])));
    let (inner, own) = (Server::http("10.1.2.3:80", "no"), internet.on_the_host(|| Server::http("127.0.0.1:80", "no")));
    for address in ["10.1.2.3", "127.0.0.1", "0x7f000001", "localhost"] {
        let ended = fetching(runner, &format!("http://files.example.com/{address}"), "").run();

        ended.expect_error(&["`file`"]);
    }
    assert_eq!([inner.visits(), own.visits()], [Vec::<String>::new(), Vec::new()]);
}

fn redirects_without_an_end_and_out_of_tls_are_not_followed(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = Web::http("[::]:80", |_| Answer::to("/again"));
    let _secure = Web::https("[::]:443", (&authority, &["files.example.com"], Worth::Good), |_| Answer::to(URL));
    let endless = fetching(runner, URL, "").run();
    endless.expect_error(&["redirects are followed and no more"]);
    assert!(web.asked().len() < 20, "{:?}", web.asked());
    let before = web.asked().len();

    let entry = entry("https://files.example.com/", "allow = [\"files.example.com:80\"]");
    let down = job(runner).policy(&policy(&authority.trusted(runner), &entry)).shell("cat file").run();

    down.expect_error(&["is not within TLS"]);
    assert_eq!(web.asked().len(), before);
}

fn a_name_that_does_not_resolve_is_an_error(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&[("files.example.com", Says::NoName), ("failed.example.com", Says::Failed)]);
    for host in ["files.example.com", "failed.example.com"] {
        let ended = fetching(runner, &format!("http://{host}/"), "").run();

        ended.expect_error(&["`file`", host]);
    }
    assert_eq!(names.names_asked(), ["failed.example.com", "files.example.com"]);
}

fn a_server_that_is_down_is_an_error(runner: &Runner, _: &Internet) {
    let _names = names();

    let ended = fetching(runner, URL, "").run();

    ended.expect_error(&["`file`", "93.184.216.34:80", "refused"]);
}

fn a_silent_server_is_waited_for_as_long_as_the_job_may_take(runner: &Runner, _: &Internet) {
    let _names =
        NameServer::start(&[("files.example.com", Says::at(&["93.184.216.34"])), ("mute.example.com", Says::Nothing)]);
    let _web = Server::start("[::]:80", |_stream| std::thread::sleep(Duration::from_secs(10)));
    let nobody = format!("http://{}/", Internet::SILENT);
    for url in [URL, nobody.as_str(), "http://mute.example.com/"] {
        let ended = fetching(runner, url, "").limit("wall=1s").run();

        ended.expect_error(&["`file`"]);
        assert!(ended.took < Duration::from_secs(5), "{url}: {:?}, {}", ended.took, ended.stderr);
    }
}

fn a_server_that_trickles_is_waited_for_as_long_as_the_job_may_take(runner: &Runner, _: &Internet) {
    let _names = names();
    let _web = Server::start("[::]:80", |mut stream| {
        use std::io::Write as _;
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        for _ in 0..100 {
            sent = sent.and_then(|()| stream.write_all(b"x"));
            std::thread::sleep(Duration::from_millis(50));
        }
    });

    let ended = fetching(runner, URL, "").limit("wall=1s").run();

    ended.expect_error(&["`file`", "was not fetched in time"]);
    assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
}

fn tls_that_is_not_to_be_believed_is_an_error(runner: &Runner, _: &Internet) {
    let (_names, authority, stranger) = (names(), Authority::new(), Authority::new());
    let ours: &[&str] = &["files.example.com"];
    let servers = [
        Web::https("[::]:81", (&authority, ours, Worth::Expired), |_| Answer::of("no")),
        Web::https("[::]:82", (&authority, &["other.example.com"], Worth::Good), |_| Answer::of("no")),
        Web::https("[::]:83", (&stranger, ours, Worth::Good), |_| Answer::of("no")),
        Web::http("[::]:84", |_| Answer::of("no")),
    ];
    for port in ["81", "82", "83", "84"] {
        let entry = entry(&format!("https://files.example.com:{port}/"), "");
        let ended = job(runner).policy(&policy(&authority.trusted(runner), &entry)).shell("cat file").run();

        ended.expect_error(&["`file`", &format!("https://files.example.com:{port}/")]);
    }
    assert!(servers.iter().all(|server| server.asked().is_empty()));
}
