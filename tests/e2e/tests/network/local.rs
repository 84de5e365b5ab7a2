//! Servers of the job's own, inside.

use crate::job::job;
use crate::stage::{PYTHON, Told as _, V4, policy, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![
    a_server_and_its_client_in_one_job_reach_each_other,
    streams_and_datagrams_pass_over_both_loopback_addresses,
    the_jobs_loopback_is_not_the_hosts,
    the_hosts_loopback_is_reached_where_a_rule_names_it,
    ports_of_the_privileged_are_refused,
    datagrams_reach_nobody_outside,
    unix_sockets_need_a_line_of_their_own,
    an_accepted_socket_is_the_jobs_own,
];

const RULES: [&str; 1] = ["www.example.com:80"];

fn a_server_and_its_client_in_one_job_reach_each_other(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "outside");
    let program = "
import http.server, threading, urllib.request
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'inside')
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
for host in ('127.0.0.1', 'localhost', 'job'):
    print(urllib.request.urlopen(f'http://{host}:{server.server_port}/').read())
print(urllib.request.urlopen('http://www.example.com/').read())
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "b'inside'\nb'inside'\nb'inside'\nb'outside'\n", "{}", ended.told());
    assert_eq!((web.visits().len(), ended.report.connections().len()), (1, 1));
}

fn streams_and_datagrams_pass_over_both_loopback_addresses(runner: &Runner, _: &Internet) {
    let program = "
import socket
for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'), (socket.AF_INET6, '::ffff:127.0.0.1')):
    server = socket.socket(family)
    server.bind((host, 0))
    server.listen()
    client = socket.create_connection(server.getsockname()[:2])
    accepted, peer = server.accept()
    client.sendall(b'abc')
    print(accepted.recv(9), peer == client.getsockname(), accepted.getsockname() == client.getpeername())
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((host, 0))
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.sendto(b'one', server.getsockname())
    client.connect(server.getsockname())
    client.send(b'two')
    client.sendmsg([b'three'])
    print(server.recv(9), server.recv(9), server.recvfrom(9) == (b'three', client.getsockname()))
listening = socket.create_server(('', 0), family=socket.AF_INET6, dualstack_ipv6=True)
for host in ('127.0.0.1', '::1', '127.8.9.10'):
    print(socket.create_connection((host, listening.getsockname()[1])).getpeername()[0])
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).run();

    let each = "b'abc' True True\nb'one' b'two' True\n";
    assert_eq!(ended.printed(), format!("{}127.0.0.1\n::1\n127.8.9.10\n", each.repeat(3)), "{}", ended.told());
    assert_eq!(ended.report.refused_hosts(), Vec::<String>::new());
}

fn the_jobs_loopback_is_not_the_hosts(runner: &Runner, internet: &Internet) {
    let host = internet.on_the_host(|| Server::echo("[::]:8080"));
    let script = "for at in 127.0.0.1 [::1] localhost 0.0.0.0 [::] 192.0.2.2 [fd00::2]; do \
                  curl -sS --max-time 5 http://$at:8080/ 2>/dev/null; echo $?; done";

    let ended = reaching(runner, &RULES).shell(script).run();

    assert_eq!(ended.printed(), "7\n".repeat(7), "{}", ended.told());
    assert_eq!(host.visits(), Vec::<String>::new());
}

fn the_hosts_loopback_is_reached_where_a_rule_names_it(runner: &Runner, internet: &Internet) {
    let (four, six) =
        internet.on_the_host(|| (Server::http("127.0.0.1:8080", "four"), Server::http("[::1]:8080", "six")));
    let script = "curl -sS http://127.0.0.1:8080/; curl -sS http://[::1]:8080/ 2>/dev/null; echo $?";

    let first = reaching(runner, &["127.0.0.1:8080"]).shell(script).run();
    let second = reaching(runner, &["127.0.0.1:8080", "[::1]:8080"]).shell(script).run();

    assert_eq!((first.printed().as_str(), second.printed().as_str()), ("four7\n", "foursix0\n"));
    assert_eq!((four.visits().len(), six.visits().len()), (2, 1));
}

fn ports_of_the_privileged_are_refused(runner: &Runner, _: &Internet) {
    let program = "
import errno, socket
for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'), (socket.AF_INET, '')):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for port in (1, 53, 80, 1023, 1024):
            try: socket.socket(family, kind).bind((host, port)); print('bound', end=' ')
            except OSError as error: print(errno.errorcode[error.errno], end=' ')
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "EACCES EACCES EACCES EACCES bound ".repeat(6), "{}", ended.told());
}

fn datagrams_reach_nobody_outside(runner: &Runner, internet: &Internet) {
    let bind = || std::net::UdpSocket::bind("[::]:4433").expect("a port");
    let sockets = [bind(), internet.on_the_host(bind)];
    let program = "
import errno, socket, sys
for host in sys.argv[1:]:
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    for send in (lambda: sock.sendto(b'x', (host, 4433)), lambda: sock.sendmsg([b'x'], [], 0, (host, 4433)),
                 lambda: sock.connect((host, 4433)) or sock.send(b'x')):
        try: print(send(), end=' ')
        except OSError as error: print(errno.errorcode[error.errno], end=' ')
";
    let job = reaching(runner, &[&format!("{V4}:1-65535"), "127.0.0.1:4433"]).command(PYTHON).argument(program);

    let ended = job.arguments([V4, "192.0.2.2", "127.0.0.1", "2a00:1450:4001::93", "::1"]).run();

    assert!(ended.printed().starts_with("ENETUNREACH ENETUNREACH ENETUNREACH "), "{}", ended.told());
    for socket in sockets {
        socket.set_nonblocking(true).expect("it is set");
        assert!(socket.recv(&mut [0; 8]).is_err(), "a datagram arrived: {}", ended.told());
    }
}

fn unix_sockets_need_a_line_of_their_own(runner: &Runner, _: &Internet) {
    let program = "
import errno, socket
try:
    server = socket.socket(socket.AF_UNIX)
    server.bind('/job/socket')
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect('/job/socket')
    client.sendall(b'abc')
    print(server.accept()[0].recv(9))
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind('\\0abstract')
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0abstract')
    print(server.recv(9))
except OSError as error:
    print(errno.errorcode[error.errno])
a, b = socket.socketpair()
a.sendall(b'pair')
print(b.recv(9))
";
    let with = policy(&RULES, "[system-calls]\nallow = [\"@network-local\"]\n");

    let without = reaching(runner, &RULES).command(PYTHON).argument(program).run();
    let with = job(runner).policy(&with).command(PYTHON).argument(program).run();

    assert_eq!(without.printed(), "EPERM\nb'pair'\n", "{}", without.told());
    assert_eq!(with.printed(), "b'abc'\nb'x'\nb'pair'\n", "{}", with.told());
}

fn an_accepted_socket_is_the_jobs_own(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::echo("[::]:80");
    let program = "
import errno, socket, struct
def attempt(call, *args):
    try: return call(*args)
    except OSError as error: return errno.errorcode[error.errno]
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
accepted = server.accept()[0]
# What is connected is connected; undone by AF_UNSPEC, which the job's own sockets may be, it is connected anew.
print(attempt(accepted.connect, ('93.184.216.34', 80)), attempt(accepted.connect, ('127.0.0.1', 9)))
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.connect(accepted.fileno(), struct.pack('=H', 0) + bytes(14), 16))
socket.getaddrinfo('www.example.com', 80)
print(attempt(accepted.connect, ('93.184.216.35', 80)), attempt(accepted.connect, ('93.184.216.34', 80)))
print(attempt(accepted.send, b'abc'), attempt(accepted.recv, 9), attempt(accepted.listen))
";
    let ended = reaching(runner, &RULES).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "EISCONN EISCONN\n0\nEACCES None\n3 b'abc' EINVAL\n", "{}", ended.told());
    assert_eq!(web.visits(), [V4]);
}
