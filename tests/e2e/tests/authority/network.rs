//! Services that trust whoever reaches them: metadata services of clouds, and those of the host itself.

use crate::job::{Job, job};
use crate::probe::{Probe, kinds};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};
use std::net::UdpSocket;
use std::process::Command;

as_root_and_user_in_an_internet![
    metadata_services_beyond_the_host_see_no_job,
    metadata_services_on_the_host_itself_see_no_job,
    services_of_the_host_see_no_job,
];

/// Each argument is a host and a port. What is sent as a datagram is seen by who gets it.
const LOOK: &str = "
for at in sys.argv[1:]:
    host, port = at.rsplit('|', 1)
    def stream():
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')
            return sock.recv(100)
    def datagram():
        for family, kind, _, _, to in socket.getaddrinfo(host, 4433, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind) as sock: sock.sendto(b'x', to)
    reach(at, stream)
    reach(at, datagram)
";

/// Of AWS, also for its containers, of Oracle, Alibaba, Azure and Google.
const METADATA: [&str; 8] = [
    "169.254.169.254|80",
    "fd00:ec2::254|80",
    "169.254.170.2|80",
    "fd00:ec2::23|80",
    "192.0.0.192|80",
    "100.100.100.200|80",
    "168.63.129.16|80",
    "fd20:ce::254|80",
];

const WEB: &str = "93.184.216.34";

/// Names that a rule permits, whose owner has them resolve as he likes.
const NAMES: [&str; 4] = ["metadata.google.internal", "v6.example", "local.example", "own.example"];

fn zone() -> [(&'static str, Says); 5] {
    [
        ("www.example.com", Says::at(&[WEB])),
        (NAMES[0], Says::at(&["169.254.169.254"])),
        (NAMES[1], Says::at(&["fd00:ec2::254", "::ffff:169.254.169.254"])),
        (NAMES[2], Says::at(&["127.0.0.1", "::1"])),
        (NAMES[3], Says::at(&Internet::HOST)),
    ]
}

/// Jobs that may reach one host, those names, and as many addresses as a rule can name.
fn with_rules(runner: &Runner) -> Job<'_> {
    let mut rules = vec!["0.0.0.0/0:1-65535", "[::]/0:1-65535", "169.254.0.0/16:1-65535", "www.example.com:81"];
    let names: Vec<String> = NAMES.iter().map(|name| format!("{name}:1-65535")).collect();
    rules.extend(names.iter().map(String::as_str));
    let servers = [NameServer::ADDRESS];
    job(runner).policy(&format!("extends = \"default\"\n[net]\nallow = {rules:?}\nname-servers = {servers:?}\n"))
}

/// Who must hear of no job.
#[derive(Debug)]
struct Services {
    streams: Server,
    datagrams: UdpSocket,
}

impl Services {
    /// At every address of this thread's network.
    fn listen(port: u16) -> Self {
        let datagrams = UdpSocket::bind("[::]:4433").expect("a port");
        datagrams.set_nonblocking(true).expect("it is set");
        Self { streams: Server::http(&format!("[::]:{port}"), "credentials"), datagrams }
    }

    /// Connections and datagrams so far.
    fn heard(&self) -> (usize, usize) {
        let datagrams = std::iter::from_fn(|| self.datagrams.recv(&mut [0; 8]).ok()).count();
        (self.streams.visits().len(), datagrams)
    }
}

/// Asserts that the probe reaches all of `hosts` without the sandbox, and that `services` hear of no job.
#[track_caller]
fn none_is_reached(runner: &Runner, hosts: &[&str], services: &Services) {
    let probe = Probe::new(runner, LOOK, hosts);
    probe.reaches_outside(hosts);
    let (streams, datagrams) = services.heard();
    assert!(streams == hosts.len() && datagrams >= hosts.len(), "{streams} connections, {datagrams} datagrams");
    for (kind, job) in kinds(runner) {
        probe.reaches_nothing_as(kind, job);
        assert_eq!(services.heard(), (streams, 0), "{kind}");
    }

    // Where there is a network that works, it works for what a rule names.
    let more: Vec<String> = NAMES.iter().map(|name| format!("{name}|{}", services.streams.port())).collect();
    let web = Server::http(&format!("{WEB}:81"), "web");
    let mut all = hosts.to_vec();
    all.extend(more.iter().map(String::as_str));
    all.push("www.example.com|81");
    let ran = Probe::new(runner, LOOK, &all).run_as(with_rules(runner));
    assert_eq!(ran.succeeded(), "www.example.com|81\nend\n", "{ran} {:#}", ran.report["network"]);
    assert_eq!((services.heard(), web.visits().len()), ((streams, 0), 1));
}

fn metadata_services_beyond_the_host_see_no_job(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let services = Services::listen(80);

    none_is_reached(runner, &METADATA, &services);
    for at in METADATA {
        let host = at.trim_end_matches("|80");
        let rule = if host.contains(':') { format!("[{host}]:80") } else { format!("{host}:80") };
        let ended = job(runner).options(["--net", &rule]).command(["true"]).run();

        ended.expect_error(&["can never be met", "metadata"]);
    }
}

/// As agents of clusters and developers' machines have them.
fn metadata_services_on_the_host_itself_see_no_job(runner: &Runner, internet: &Internet) {
    let _names = NameServer::start(&zone());
    let services = internet.on_the_host(|| {
        for at in METADATA {
            let address = at.trim_end_matches("|80");
            let mut command = Command::new("ip");
            command.args(["address", "add", address, "dev", "lo"]);
            if address.contains(':') {
                command.arg("nodad");
            }
            assert!(command.status().is_ok_and(|status| status.success()), "an address of the host's");
        }
        Services::listen(80)
    });

    none_is_reached(runner, &METADATA, &services);
}

fn services_of_the_host_see_no_job(runner: &Runner, internet: &Internet) {
    let _names = NameServer::start(&zone());
    let services = internet.on_the_host(|| Services::listen(8080));
    let [four, six] = Internet::HOST.map(|address| format!("{address}|8080"));
    let hosts = ["127.0.0.1|8080", "::1|8080", "127.8.9.10|8080", "0.0.0.0|8080", &four, &six];

    none_is_reached(runner, &hosts, &services);
}
