//! A program as it is, with a connector in between.

use crate::job::{Job, intended, job};
use crate::outside::{Outside, Tls, outside};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const CURL: &str = "/usr/bin/curl";

/// Whether there is one; where the tests are strict there has to be.
#[expect(clippy::print_stderr, reason = "skips have to be seen")]
fn has_curl() -> bool {
    let is_there = Path::new(CURL).exists();
    let is_strict = std::env::var_os("LAZARET_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(is_there || !is_strict, "{CURL} is not there");
    if !is_there {
        eprintln!("skipped: {CURL} is not there");
    }
    is_there
}

/// A job whose connections to `host` arrive at the connector, as a broker would have them.
struct Brokered {
    job: Arc<Job>,
    pem: tempfile::NamedTempFile,
    connect_to: String,
    proxy: String,
}

fn brokered(outside: &Outside, rules: &[&str], host: &'static str, port: u16) -> Brokered {
    let job = Arc::new(job(rules, outside, |_| {}));
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("loopback");
    let own = job.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            own.connector.take(stream, intended(host, port)).ok();
        }
    });
    let mut pem = tempfile::NamedTempFile::new().expect("it is well formed");
    pem.write_all(job.pem.as_bytes()).expect("loopback");
    Brokered { job, pem, connect_to: format!("::127.0.0.1:{}", address.port()), proxy: format!("http://{address}") }
}

impl Brokered {
    /// What curl prints: the bodies, and the statuses and versions of its answers.
    fn curl(&self, arguments: &[&str]) -> String {
        self.run(&[&["--noproxy", "*", "--connect-to", &self.connect_to], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(CURL)
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(self.pem.path())
            .args(["--write-out", "[%{http_code} %{http_version}]"])
            .args(arguments)
            .env_clear()
            .output()
            .expect("it is well formed");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

#[test]
fn curl_gets_what_is_permitted_and_is_told_what_is_not() {
    if !has_curl() {
        return;
    }
    for alpn in ["h2", "http/1.1"] {
        let outside = outside(Tls::Good, &[alpn]);
        let brokered = brokered(&outside, &["GET,POST https://api.example.com/v1/*"], "api.example.com", 443);
        let url = "https://api.example.com/v1/";

        let http1 = brokered.curl(&["--http1.1", &format!("{url}a"), &format!("{url}b")]);
        let http2 = brokered.curl(&["--http2", &format!("{url}a")]);
        let post = brokered.curl(&["--data", "four", &format!("{url}count")]);
        let expecting =
            brokered.curl(&["--http1.1", "-H", "Expect: 100-continue", "-d", "four", &format!("{url}count")]);
        let deleted = brokered.curl(&["-X", "DELETE", &format!("{url}a")]);
        let elsewhere = brokered.curl(&["https://api.example.com/admin"]);
        let dotted = brokered.curl(&["--path-as-is", &format!("{url}../admin")]);
        let hosted = brokered.curl(&["-H", "Host: other.example.com", &format!("{url}a")]);

        assert_eq!(http1, "GET /v1/a[200 1.1]GET /v1/b[200 1.1]");
        assert_eq!((http2.as_str(), post.as_str()), ("GET /v1/a[200 2]", "4[200 2]"));
        assert_eq!(expecting, "4[200 1.1]");
        assert_eq!(deleted, "lazaret: no rule permits `DELETE https://api.example.com/v1/a`\n[403 2]");
        assert_eq!(elsewhere, "lazaret: no rule permits `GET https://api.example.com/admin`\n[403 2]");
        assert_eq!(dotted, "lazaret: the path is not sent on: a path has no `.` and no `..`\n[403 2]");
        assert!(hosted.contains("the connection goes to api.example.com:443"), "{hosted}");
        assert_eq!(outside.seen().len(), 5);
        assert_eq!(brokered.job.connector.log().refused.len(), 4);
    }
}

#[test]
fn curl_does_not_take_the_authority_for_another_host_nor_the_connector_for_a_proxy() {
    if !has_curl() {
        return;
    }
    let outside = outside(Tls::Good, &["h2"]);
    let brokered =
        brokered(&outside, &["* https://api.example.com/*", "* http://api.example.com:443/*"], "api.example.com", 443);

    let other = brokered.curl(&["https://other.example.com/x"]);
    let by_proxy = |url: &str| brokered.run(&["--proxy", &brokered.proxy, url]);
    let tunnel = by_proxy("https://api.example.com/x");
    let proxied = by_proxy("http://other.example.com/x");

    assert!(other.contains("[000 0]"), "{other}");
    assert!(tunnel.contains("[000") && tunnel.contains("403"), "{tunnel}");
    assert!(proxied.contains("[403"), "{proxied}");
    assert_eq!(outside.seen().len(), 0);
}
