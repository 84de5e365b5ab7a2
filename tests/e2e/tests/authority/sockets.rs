//! Agents and buses that listen on Unix sockets of the host.

use crate::job::token;
use crate::probe::{Probe, kinds, shown};
use lazaret_e2e::{Runner, as_root_and_user};
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;

as_root_and_user![
    agents_and_buses_on_unix_sockets_hear_nobody,
    an_agent_in_a_directory_that_is_shown_hears_no_job_of_default
];

const LOOK: &str = r"
directory, token, caller = sys.argv[1:]
def said(address, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.connect(address)
        return sock.send(b'request identities')
reach('ssh-agent', said, f'{directory}/agent.1')
reach('gpg-agent', said, f'{directory}/S.gpg-agent')
reach('bus', said, f'\0{token}bus')
reach('datagrams', said, f'{directory}/log', socket.SOCK_DGRAM)
reach('abstract datagrams', said, f'\0{token}log', socket.SOCK_DGRAM)
reach('root of the caller', said, f'/proc/{caller}/root{directory}/agent.1')
reach('directory of the caller', said, f'/proc/{caller}/cwd/../' + '../' * 12 + f'{directory}/agent.1')
";

const ALL: [&str; 7] = [
    "ssh-agent",
    "gpg-agent",
    "bus",
    "datagrams",
    "abstract datagrams",
    "root of the caller",
    "directory of the caller",
];

/// Listeners of the test's, which everybody may use.
#[derive(Debug)]
struct Agents {
    listeners: Vec<UnixListener>,
    sockets: Vec<UnixDatagram>,
}

impl Agents {
    fn listen(directory: &Path, token: &str) -> Self {
        let address = |name: &str| SocketAddr::from_abstract_name(format!("{token}{name}")).expect("a short name");
        let (ssh, gpg, log) = (directory.join("agent.1"), directory.join("S.gpg-agent"), directory.join("log"));
        let agents = Self {
            listeners: vec![
                UnixListener::bind(&ssh).expect("a new path"),
                UnixListener::bind(&gpg).expect("a new path"),
                UnixListener::bind_addr(&address("bus")).expect("a new name"),
            ],
            sockets: vec![
                UnixDatagram::bind(&log).expect("a new path"),
                UnixDatagram::bind_addr(&address("log")).expect("a new name"),
            ],
        };
        for path in [ssh, gpg, log] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("our own");
        }
        agents
    }

    /// How many connections and datagrams have come since the last time.
    fn heard(&self) -> usize {
        let come = |listener: &UnixListener| {
            listener.set_nonblocking(true).expect("it is set");
            std::iter::from_fn(|| listener.accept().ok()).count()
        };
        let sent = |socket: &UnixDatagram| {
            socket.set_nonblocking(true).expect("it is set");
            std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count()
        };
        self.listeners.iter().map(come).sum::<usize>() + self.sockets.iter().map(sent).sum::<usize>()
    }
}

fn agents_and_buses_on_unix_sockets_hear_nobody(runner: &Runner) {
    let token = token();
    let agents = Agents::listen(&runner.work(), &token);
    let directory = runner.work().display().to_string();
    let arguments = [directory.as_str(), &token, "CALLER"];
    let probe = Probe::new(runner, LOOK, &arguments);

    probe.reaches_outside(&ALL);
    assert_eq!(agents.heard(), ALL.len());
    for (kind, job) in kinds(runner) {
        probe.reaches_nothing_as(kind, job);
        assert_eq!(agents.heard(), 0, "{kind}");
    }
}

/// A policy that shows a directory shows what lies in it; talking to it is another matter.
fn an_agent_in_a_directory_that_is_shown_hears_no_job_of_default(runner: &Runner) {
    let token = token();
    let shown = shown();
    let agents = Agents::listen(shown.path(), &token);
    let directory = shown.path().display().to_string();
    let arguments = [directory.as_str(), &token, "CALLER"];
    let probe = Probe::new(runner, LOOK, &arguments);
    // In the seccomp tier no call is left that could, whatever the policy says.
    let policies = [("jail", ""), ("seccomp", ""), ("seccomp", "[system-calls]\ndefault = \"allow\"\n")];

    probe.reaches_outside(&ALL);
    assert_eq!(agents.heard(), ALL.len());
    for (tier, more) in policies {
        let read = format!("[files]\nread = [{directory:?}]\n");
        let policy = format!("extends = \"default\"\ntier = {tier:?}\n{read}{more}");
        probe.reaches_nothing_as(tier, crate::job::job(runner).policy(&policy));
        assert_eq!(agents.heard(), 0, "{tier}");
    }
}
