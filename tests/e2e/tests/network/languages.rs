//! The networks of languages: their own event loops, resolvers and C libraries.

use crate::job::{Ended, job};
use crate::stage::{PYTHON, V4, V6, policy_on, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet, fixture, installed};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

as_root_and_user_in_an_internet![
    python_waits_or_does_not,
    python_has_asyncio,
    python_over_ipv6_reaches_a_mapped_address,
    node_reaches_it_by_both_of_its_clients,
    node_tries_the_next_address_where_one_is_dead,
    java_reaches_it_by_both_of_its_clients,
    go_reaches_it_without_the_c_library,
    tokio_reaches_it,
    c_programs_are_told_by_poll_and_epoll,
    static_programs_of_another_c_library_are_too,
    signals_interrupt_a_connection_as_they_do,
];

const RULES: [&str; 1] = ["www.example.com:80"];

/// The arguments of a program that fetches: what is permitted, and what is not.
const HOSTS: [&str; 4] = ["www.example.com", "www.example.com:81", "other.example.com", "10.1.2.3"];

/// A server for what is permitted, and one for what is not.
struct Web {
    _names: NameServer,
    permitted: Server,
    other: Server,
}

impl Web {
    fn start() -> Self {
        let (permitted, other) = (Server::http("[::]:80", "here"), Server::http("[::]:81", "not here"));
        Self { _names: NameServer::start(&zone()), permitted, other }
    }

    /// Asserts that [`HOSTS`] were fetched by `ways` clients, of which each reached the first alone.
    #[track_caller]
    fn was_fetched(&self, ended: &Ended<'_>, ways: usize) {
        let expected = ["here", "refused", "refused", "refused"].map(|said| format!("{said}\n").repeat(ways)).concat();
        assert_eq!(ended.printed(), expected, "{}", ended.told());
        let visits = self.permitted.visits();
        // Whoever tries all addresses at once makes connections that it does not use.
        assert!(visits.len() >= ways && visits.iter().all(|at| [V4, V6].contains(&at.as_str())), "{visits:?}");
        assert_eq!(self.other.visits(), Vec::<String>::new());
    }
}

/// A directory of programs, not below /tmp, which is a job's own.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("our own");
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a compiler, found as `compiler` of the Debian package `package`. `false`, and a line that says so, without.
    fn compile(&self, compiler: &str, package: &str, arguments: &[&str], source: &str) -> bool {
        if !installed(&format!("/usr/bin/{compiler}"), package) {
            return false;
        }
        let mut command = Command::new(compiler);
        command.args(arguments).arg(fixture("network").join(source)).current_dir(self.0.path());
        // What is compiled once is not compiled again.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
        command.env("GOCACHE", cache).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod");
        let output = command.output().expect("the compiler can be started");
        assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
        true
    }
}

fn python_waits_or_does_not(runner: &Runner, _: &Internet) {
    let web = Web::start();
    let program = "
import socket, urllib.request, sys
for patience in (None, 5):
    socket.setdefaulttimeout(patience)
    print(urllib.request.urlopen('http://www.example.com/').read().decode())
for host in sys.argv[1:]:
    for patience in (None, 5):
        try: urllib.request.urlopen(f'http://{host}/', timeout=patience)
        except OSError: print('refused')
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).arguments(&HOSTS[1..]).run();

    web.was_fetched(&ended, 2);
}

fn python_has_asyncio(runner: &Runner, _: &Internet) {
    let web = Web::start();
    let program = "
import asyncio, sys
async def fetch(host):
    name, _, port = host.partition(':')
    try: reader, writer = await asyncio.open_connection(name, port or 80, happy_eyeballs_delay=0.25)
    except OSError: return 'refused'
    writer.write(b'GET / HTTP/1.0\\r\\n\\r\\n')
    return (await reader.read()).decode().rpartition('\\n')[2]
async def main():
    for said in await asyncio.gather(*map(fetch, sys.argv[1:])): print(said)
asyncio.run(main())
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).arguments(HOSTS).run();

    web.was_fetched(&ended, 1);
}

fn python_over_ipv6_reaches_a_mapped_address(runner: &Runner, _: &Internet) {
    let web = Web::start();
    let program = "
import socket
found = socket.getaddrinfo('www.example.com', 80, socket.AF_INET6, socket.SOCK_STREAM, flags=socket.AI_V4MAPPED | socket.AI_ALL)
for *_, address in sorted(found, key=str):
    sock = socket.socket(socket.AF_INET6)
    sock.settimeout(5)
    sock.connect(address)
    print(sock.getpeername()[0])
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), format!("{V6}\n::ffff:{V4}\n"), "{}", ended.told());
    assert_eq!(web.permitted.visits(), [V6, V4]);
}

fn node_reaches_it_by_both_of_its_clients(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/node", "nodejs") {
        return;
    }
    let web = Web::start();
    let text = policy_on("node", &RULES, Path::new("/usr"));
    let script = fs::read_to_string(fixture("network").join("fetch.mjs")).expect("it is there");
    let urls = HOSTS.map(|host| format!("http://{host}/"));

    let node = ["node", "--input-type=module", "-e", &script, "in place of a file"];
    let ended = job(runner).policy(&text).command(node).arguments(urls).run();

    web.was_fetched(&ended, 2);
}

fn node_tries_the_next_address_where_one_is_dead(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/node", "nodejs") {
        return;
    }
    let _names = NameServer::start(&[("www.example.com", Says::at(&[Internet::SILENT, V4, "2a00:1450:4001::94"]))]);
    // Nobody listens at the address of IPv6, and the first of IPv4 is silent.
    let web = Server::http("93.184.216.34:80", "here");
    let program = "
const net = require('net');
const socket = net.connect({ host: 'www.example.com', port: 80, autoSelectFamily: true }, () => {
    console.log(socket.remoteAddress);
    process.exit(0);
});
socket.on('error', (error) => { console.log(error.code ?? error.errors.map(String)); process.exit(1); });
";
    let text = policy_on("node", &RULES, Path::new("/usr"));

    let ended = job(runner).policy(&text).command(["node", "-e", program]).run();

    assert_eq!(ended.printed(), format!("{V4}\n"), "{}", ended.told());
    assert_eq!(web.visits(), [V4]);
}

fn java_reaches_it_by_both_of_its_clients(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    if !programs.compile("javac", "openjdk-17-jdk-headless", &["-d", "."], "Fetch.java") {
        return;
    }
    let web = Web::start();
    let text =
        policy_on("default", &RULES, programs.0.path()).replace("read = [", "read = [\"/etc/java-17-openjdk\", ");
    let job = job(runner).policy(&text).limit("processes=200").limit("memory=4GiB").limit("wall=60s");
    let java = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp"];
    let urls = HOSTS.map(|host| format!("http://{host}/"));

    let ended = job.command(java).argument(programs.0.path()).argument("Fetch").arguments(urls).run();

    web.was_fetched(&ended, 2);
}

fn go_reaches_it_without_the_c_library(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    if !programs.compile("go", "golang-go", &["build", "-o", "fetch"], "fetch.go") {
        return;
    }
    let web = Web::start();
    let text = policy_on("default", &RULES, programs.0.path());
    let urls = HOSTS.map(|host| format!("http://{host}/"));

    let ended = job(runner).policy(&text).command([programs.path("fetch")]).arguments(urls).run();

    web.was_fetched(&ended, 1);
}

fn tokio_reaches_it(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    fs::copy(env!("CARGO_BIN_EXE_fetch"), programs.path("fetch")).expect("it can be copied");
    let web = Web::start();
    let text = policy_on("default", &RULES, programs.0.path());
    let hosts = HOSTS.map(|host| if host.ends_with(":81") { host.to_owned() } else { format!("{host}:80") });

    let ended = job(runner).policy(&text).command([programs.path("fetch")]).arguments(hosts).run();

    web.was_fetched(&ended, 1);
}

/// Asserts that a program of tests/fixtures/network/events.c sees on the host and in a job what it should.
#[track_caller]
fn events_are_seen(runner: &Runner, programs: &Programs) {
    let _names = NameServer::start(&zone());
    let echo = Server::echo("[::]:7");
    let program = programs.path("events");
    let text = policy_on("default", &["www.example.com:7"], programs.0.path());
    let data = "1234567890abcdef";
    for (way, seen) in [
        ("poll", "poll 1 0 3 abc\n".to_owned()),
        ("epoll", format!("epoll 1 {data} 0 3 abc\n")),
        ("edge", format!("edge 1 {data} 0 3 abc\n")),
        ("early", format!("early 1 {data} 0 3 abc\n")),
    ] {
        let native = runner.bare(&program.to_string_lossy(), &[V4, "7", way]);
        let ended = job(runner).policy(&text).command([&program]).arguments(["www.example.com", "7", way]).run();

        assert_eq!((native.stdout(), ended.printed()), (seen.clone(), seen), "{}", ended.told());
    }
    assert_eq!(echo.visits().len(), 8);
}

fn c_programs_are_told_by_poll_and_epoll(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    if programs.compile("gcc", "gcc", &["-O1", "-o", "events"], "events.c") {
        events_are_seen(runner, &programs);
    }
}

fn static_programs_of_another_c_library_are_too(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    if programs.compile("musl-gcc", "musl-tools", &["-static", "-O1", "-o", "events"], "events.c") {
        events_are_seen(runner, &programs);
    }
}

fn signals_interrupt_a_connection_as_they_do(runner: &Runner, _: &Internet) {
    let programs = Programs::new();
    if !programs.compile("gcc", "gcc", &["-O1", "-o", "events"], "events.c") {
        return;
    }
    let text = policy_on("default", &[&format!("{}:7", Internet::SILENT)], programs.0.path());
    let program = programs.path("events");
    for (way, seen) in [("signal", "-1 4 signals\n"), ("restart", "-1 110 signals\n")] {
        let arguments = [Internet::SILENT, "7", way];
        let native = runner.bare(&program.to_string_lossy(), &arguments);
        assert_eq!(native.stdout(), seen, "{way}");
        for files in ["direct", "brokered"] {
            let text = format!("{text}mode = \"{files}\"\n");

            let ended = job(runner).policy(&text).command([&program]).arguments(arguments).run();

            assert_eq!(ended.printed(), seen, "{way}, files are {files}: {}", ended.told());
        }
    }
}
