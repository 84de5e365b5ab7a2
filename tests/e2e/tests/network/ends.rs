//! The ends of connections and of jobs, and what is left of them.

use crate::job::{eventually, processes_with, token};
use crate::stage::{PYTHON, Told as _, V4, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet};
use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

as_root_and_user_in_an_internet![
    a_closed_connection_ends_at_the_server_at_once,
    the_end_of_a_job_ends_its_connections,
    a_killed_job_ends_its_connections,
    wall_ends_a_job_that_waits_for_a_connection,
    wall_ends_a_job_that_waits_for_a_name,
    what_was_sent_last_arrives_whole,
    five_hundred_connections_at_once_are_made,
    a_descriptor_duplicated_before_stands_for_the_old_socket,
    a_descriptor_duplicated_after_stands_for_the_new_one,
    a_full_backlog_delays_and_does_not_break,
    a_program_that_executes_another_hands_its_connection_on,
    nothing_is_left_of_jobs_however_they_end,
];

/// A server that tells when each connection ended.
fn watching(address: &str) -> (Server, mpsc::Receiver<(Instant, Vec<u8>)>) {
    let (tell, told) = mpsc::channel();
    let server = Server::start(address, move |mut stream| {
        stream.write_all(b"!").expect("it is taken");
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard));
        drop(tell.send((Instant::now(), heard)));
    });
    (server, told)
}

const PATIENCE: Duration = Duration::from_secs(20);

fn a_closed_connection_ends_at_the_server_at_once(runner: &Runner, _: &Internet) {
    let (_server, ended) = watching("[::]:80");
    let (_second, asked) = watching("[::]:81");
    // When the first is closed while the job lives on, the server sees its end before the job asks the second.
    let program = "
import socket, sys, time
first = socket.create_connection((sys.argv[1], 80))
first.recv(1)
first.close()
time.sleep(1)
second = socket.create_connection((sys.argv[1], 81))
second.recv(1)
";
    let job = reaching(runner, &[&format!("{V4}:80-81")]).command(PYTHON).argument(program).argument(V4);

    job.run().expect("ok", 0);

    let (first, second) = (ended.recv_timeout(PATIENCE), asked.recv_timeout(PATIENCE));
    let (first, second) = (first.expect("it ends").0, second.expect("it ends").0);
    assert!(second.saturating_duration_since(first) > Duration::from_millis(500));
}

fn the_end_of_a_job_ends_its_connections(runner: &Runner, _: &Internet) {
    let (server, ended) = watching("[::]:80");
    let script = format!("exec 3<>/dev/tcp/{V4}/80; read -n 1 -u 3; sleep 1000 & exit 0");

    reaching(runner, &[&format!("{V4}:80")]).command(["bash", "-c", &script]).run().expect("ok", 0);

    ended.recv_timeout(Duration::from_secs(5)).expect("it ends with its job");
    assert_eq!(server.open(), 0);
}

fn a_killed_job_ends_its_connections(runner: &Runner, _: &Internet) {
    for (limit, kind) in [("wall=1s", "timeout"), ("output=10", "output-limit")] {
        let (_server, ended) = watching("[::]:80");
        let script = format!("exec 3<>/dev/tcp/{V4}/80; read -n 1 -u 3; yes; sleep 1000");
        let script = if kind == "timeout" { script.replace("yes; ", "") } else { script };

        let job = reaching(runner, &[&format!("{V4}:80")]).limit(limit).command(["bash", "-c", &script]).run();

        assert_eq!(job.kind(), kind, "{}", job.told());
        ended.recv_timeout(Duration::from_secs(5)).expect("it ends with its job");
    }
}

fn wall_ends_a_job_that_waits_for_a_connection(runner: &Runner, _: &Internet) {
    let program = "import socket, sys; socket.socket().connect((sys.argv[1], 80))";
    let job = reaching(runner, &[&format!("{}:80", Internet::SILENT)]).limit("wall=1s");

    let ended = job.command(PYTHON).argument(program).argument(Internet::SILENT).run();

    ended.expect_limit("timeout", 124, "wall", "1s");
    assert!(ended.took < Duration::from_secs(6), "{:?}", ended.took);
    let told = ended.report.connections();
    assert!(told.len() == 1 && !told[0].contains("connected"), "{told:?}");
}

fn wall_ends_a_job_that_waits_for_a_name(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("www.example.com", lazaret_e2e::Says::Nothing)]);
    let job = reaching(runner, &["www.example.com:80"]).limit("wall=1s");

    let ended = job.shell("curl -s http://www.example.com/").run();

    ended.expect_limit("timeout", 124, "wall", "1s");
    assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
}

fn what_was_sent_last_arrives_whole(runner: &Runner, _: &Internet) {
    let (_server, ended) = watching("[::]:80");
    let program = "import socket, sys; socket.create_connection((sys.argv[1], 80)).sendall(b'x' * 3000000)";

    let job = reaching(runner, &[&format!("{V4}:80")]).command(PYTHON).argument(program).argument(V4).run();

    job.expect("ok", 0);
    let (_, heard) = ended.recv_timeout(PATIENCE).expect("it ends");
    // Its process ends with a byte unread, which resets the connection as anywhere: what arrived is in order.
    assert!(heard.iter().all(|byte| *byte == b'x'));
}

fn five_hundred_connections_at_once_are_made(runner: &Runner, _: &Internet) {
    let server = Server::echo("[::]:80");
    let program = "
import select, socket, sys
socks = [socket.socket() for _ in range(500)]
poll = select.poll()
for sock in socks:
    sock.setblocking(False)
    sock.connect_ex((sys.argv[1], 80))
    poll.register(sock, select.POLLOUT)
left = {sock.fileno(): sock for sock in socks}
while left:
    for number, event in poll.poll(10000):
        sock = left.pop(number)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        sock.send(number.to_bytes(2, 'big'))
        poll.unregister(number)
for sock in socks:
    sock.setblocking(True)
    assert sock.recv(2) == sock.fileno().to_bytes(2, 'big')
print('all')
";
    let job = reaching(runner, &[&format!("{V4}:80")]).limit("net-connections=500").limit("open-files=1024");

    let ended = job.command(PYTHON).argument(program).argument(V4).run();

    assert_eq!(ended.printed(), "all\n", "{}", ended.told());
    assert_eq!((server.visits().len(), ended.report.connections().len()), (500, 500));
}

/// What differs: docs/network.md.
fn a_descriptor_duplicated_before_stands_for_the_old_socket(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
import errno, os, socket, sys
first = socket.socket()
second = first.dup()
second.connect((sys.argv[1], 80))
def peer(sock):
    try: return sock.getpeername()[1]
    except OSError as error: return errno.errorcode[error.errno]
print(peer(second), peer(first))
first.connect((sys.argv[1], 80))
print(peer(first))
";
    let ended = reaching(runner, &[&format!("{V4}:80")]).command(PYTHON).argument(program).argument(V4).run();

    assert_eq!(ended.printed(), "80 ENOTCONN\n80\n", "{}", ended.told());
}

fn a_descriptor_duplicated_after_stands_for_the_new_one(runner: &Runner, _: &Internet) {
    let server = Server::echo("[::]:80");
    let program = "
import array, os, socket, sys
made = socket.create_connection((sys.argv[1], 80))
os.dup2(made.fileno(), 99)
here, there = socket.socketpair()
socket.send_fds(here, [b'x'], [made.fileno()])
passed = socket.recv_fds(there, 1, 1)[1][0]
for number in (99, passed):
    os.write(number, b'abc')
    print(os.read(made.fileno(), 9))
";
    let ended = reaching(runner, &[&format!("{V4}:80")]).command(PYTHON).argument(program).argument(V4).run();

    assert_eq!(ended.printed(), "b'abc'\nb'abc'\n", "{}", ended.told());
    assert_eq!(server.visits().len(), 1);
}

fn a_full_backlog_delays_and_does_not_break(runner: &Runner, _: &Internet) {
    let listener = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
    let listener = listener.expect("a socket");
    let address: std::net::SocketAddr = format!("{V4}:80").parse().expect("an address");
    rustix::net::bind(&listener, &address).expect("a port");
    rustix::net::listen(&listener, 0).expect("it listens");
    let program = "
import errno, socket, struct, sys
made = []
for _ in range(4):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 300000))
    try: sock.connect((sys.argv[1], 80)); made.append('made')
    except OSError as error: made.append(errno.errorcode[error.errno])
    globals()[f'keep{len(made)}'] = sock
print(*made)
";
    let job = || reaching(runner, &[&format!("{V4}:80")]).command(PYTHON).argument(program).argument(V4);

    let ended = job().run();

    assert_eq!(ended.printed(), "made EINPROGRESS EINPROGRESS EINPROGRESS\n", "{}", ended.told());
}

fn a_program_that_executes_another_hands_its_connection_on(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let script = format!("exec 3<>/dev/tcp/{V4}/80; exec sh -c 'echo line >&3; head -n 1 <&3'");

    let ended = reaching(runner, &[&format!("{V4}:80")]).command(["bash", "-c", &script]).run();

    assert_eq!(ended.printed(), "line\n", "{}", ended.told());
}

fn nothing_is_left_of_jobs_however_they_end(runner: &Runner, internet: &Internet) {
    let _names = NameServer::start(&zone());
    let (server, _ended) = watching("[::]:80");
    for end in ["exit 0", "exit 3", "kill -SEGV $$", "sleep 1000", "yes"] {
        let token = token();
        let script = format!("exec 3<>/dev/tcp/www.example.com/80; read -n 1 -u 3; sh -c 'sleep 1000' $0 & {end}");
        let job = reaching(runner, &["www.example.com:80"]).limit("wall=1s").limit("output=10KiB");

        let ended = job.command(["bash", "-c", &script, &token]).run();

        assert_eq!(processes_with(&token), Vec::<u32>::new(), "a process was left of {end}");
        assert_eq!(ended.report.connections().len(), 1, "{}", ended.told());
    }
    assert!(eventually(PATIENCE, || server.open() == 0), "a connection was left open");
    let sockets = internet.on_the_host(|| std::fs::read_to_string("/proc/thread-self/net/tcp").expect("a /proc"));
    // What waits for late packets (state 06) is nobody's.
    let held = sockets.lines().skip(1).filter(|line| line.split_whitespace().nth(3) != Some("06")).count();
    assert_eq!(held, 0, "{sockets}");
}
