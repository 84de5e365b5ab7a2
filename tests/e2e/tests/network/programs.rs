//! Programs as they are, by name.

use crate::stage::{PYTHON, Told as _, V4, V6, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet, installed};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

as_root_and_user_in_an_internet![
    curl_reaches_the_host_and_port_that_a_rule_names_and_nothing_else,
    curl_reaches_it_by_either_kind_of_address,
    wget_reaches_it,
    python_reaches_it,
    curl_has_tls_that_nobody_terminates_in_between,
    git_clones,
];

fn curl_reaches_the_host_and_port_that_a_rule_names_and_nothing_else(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let (web, other) = (Server::http("[::]:80", "here"), Server::http("[::]:81", "not here"));
    let script = "curl -sS http://www.example.com/ && echo && \
                  for url in www.example.com:81 other.example.com 93.184.216.35 169.254.169.254 10.1.2.3 1.1.1.1 \
                  127.0.0.1 [::1] [2606:2800:220:1::249]; do curl -sS --max-time 5 http://$url/ 2>&1 && exit 9; done; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert!(ended.printed().starts_with("here\n"), "{}", ended.told());
    assert_eq!((web.visits().len(), other.visits().len()), (1, 0), "{}", ended.told());
    assert_eq!(names.names_asked(), ["www.example.com"]);
    assert_eq!(ended.report.connections().len(), 1, "{}", ended.told());
}

fn curl_reaches_it_by_either_kind_of_address(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let script = "curl -4 -sS http://www.example.com/ && curl -6 -sS http://www.example.com/";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "herehere", "{}", ended.told());
    assert_eq!(web.visits(), [V4, V6]);
}

fn wget_reaches_it(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let script = "wget -q -O - http://www.example.com/x; wget -q -T 5 -t 1 -O - http://other.example.com/; echo $?";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "here4\n", "{}", ended.told());
    assert_eq!(web.visits().len(), 1);
}

fn python_reaches_it(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::http("[::]:80", "here");
    let program = "import urllib.request; print(urllib.request.urlopen('http://www.example.com/').read())";

    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "b'here'\n", "{}", ended.told());
}

/// Runs a program of the test's own in `directory`; panics when it fails.
fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("HOME", directory).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A server of TLS, with a certificate of its own authority in `authority.pem`.
struct Tls(Child);

impl Tls {
    fn start(directory: &Path) -> Self {
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out authority.pem \
                       -days 2 -subj /CN=www.example.com -addext subjectAltName=DNS:www.example.com";
        run(directory, "openssl", &request.split_whitespace().collect::<Vec<_>>());
        let server = "s_server -accept 93.184.216.34:443 -www -cert authority.pem -key key.pem";
        let mut command = Command::new("openssl");
        command.args(server.split(' ')).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("openssl can be started");
        // It says that it accepts.
        let said = child.stdout.as_mut().expect("a pipe").read(&mut [0; 64]).expect("text");
        assert!(said > 0, "openssl listens");
        Self(child)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn curl_has_tls_that_nobody_terminates_in_between(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/openssl", "openssl") {
        return;
    }
    let _names = NameServer::start(&zone());
    let scene = tempfile::tempdir().expect("a directory");
    let _server = Tls::start(scene.path());
    runner.bring(&scene.path().join("authority.pem"));
    let script = "curl -4 -sS --cacert authority.pem https://www.example.com/ | grep -c 'Cipher is'; \
                  curl -4 -s https://www.example.com/; echo $?; \
                  curl -4 -s --cacert authority.pem --resolve other.example:443:93.184.216.34 https://other.example/; echo $?";
    let job = reaching(runner, &["www.example.com:443"]).options(["--in", "authority.pem"]);

    let ended = job.shell(script).run();

    // 60: a certificate of nobody whom it knows, or of another name.
    assert_eq!(ended.printed(), "1\n60\n60\n", "{}", ended.told());
    assert_eq!(ended.report.connections().len(), 3, "{}", ended.told());
}

fn git_clones(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/git", "git") {
        return;
    }
    let scene = tempfile::tempdir().expect("a directory");
    let source = scene.path().join("source");
    fs::create_dir(&source).expect("a directory can be made");
    fs::write(source.join("file"), "content\n").expect("a file can be written");
    run(&source, "git", &["init", "-q", "-b", "main"]);
    run(&source, "git", &["add", "file"]);
    let author = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    run(&source, "git", &[&author[..], &["commit", "-q", "-m", "first"]].concat());
    run(scene.path(), "git", &["clone", "-q", "--bare", "source", "repository.git"]);
    run(&scene.path().join("repository.git"), "git", &["update-server-info"]);
    let _names = NameServer::start(&zone());
    let web = Server::files("[::]:80", scene.path());
    let script = "git clone -q http://www.example.com/repository.git && cat repository/file; \
                  git clone -q http://other.example.com/repository.git 2>/dev/null; echo $?; \
                  git clone -q http://www.example.com:81/repository.git 2>/dev/null; echo $?";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "content\n128\n128\n", "{}", ended.told());
    assert!(!web.visits().is_empty());
}
