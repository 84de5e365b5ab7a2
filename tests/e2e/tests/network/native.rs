//! Sockets behave as they do without Lazaret: the same program is run on the host and in a job, and both print what they saw.

use crate::stage::{PYTHON, V4, V6, reaching};
use lazaret_e2e::{Internet, Runner, Server, as_root_and_user_in_an_internet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

as_root_and_user_in_an_internet![
    a_refused_connection_is_refused,
    a_host_to_which_there_is_no_way_is_unreachable,
    a_reset_arrives,
    a_silent_host_times_out,
    a_connection_without_waiting_is_in_progress_and_then_there,
    a_second_connect_says_that_it_is_on_its_way_or_there,
    both_ends_have_their_addresses,
    options_from_before_the_connection_are_kept,
    flags_of_descriptor_and_socket_are_kept,
    half_a_connection_is_closed,
    urgent_data_arrives,
    large_transfers_arrive_whole_in_both_directions,
    a_socket_is_shared_with_children,
    an_ipv6_socket_reaches_a_mapped_address_and_a_true_one,
    a_socket_that_failed_is_tried_again,
    a_bound_socket_is_connected,
    select_poll_and_epoll_tell_of_a_connection,
    bad_arguments_fail_as_they_do,
];

const PRELUDE: &str = "
import array, errno, fcntl, hashlib, os, select, signal, socket, struct, sys, time
V4, V6, SILENT, UNREACHABLE = sys.argv[1:5]
def attempt(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
def stream(family=socket.AF_INET, blocking=True):
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(blocking)
    return made
def ready(sock, events, wait=5000):
    poll = select.poll()
    poll.register(sock, events)
    return sorted((number == sock.fileno(), event) for number, event in poll.poll(wait))
def error(sock): return errno.errorcode.get(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
def whole(sock):
    parts = []
    while part := sock.recv(65536): parts.append(part)
    return b''.join(parts)
";
const ADDRESSES: [&str; 4] = [V4, V6, Internet::SILENT, Internet::UNREACHABLE];

/// Runs `program` on the host and in a job; asserts that both print the same, and returns it.
#[track_caller]
fn same(runner: &Runner, program: &str) -> String {
    let text = format!("{PRELUDE}{program}");
    let hosts = [V4, &format!("[{V6}]"), Internet::SILENT, Internet::UNREACHABLE];
    let rules = hosts.map(|host| format!("{host}:1-65535"));
    let rules = rules.each_ref().map(String::as_str);

    let native = runner.bare(PYTHON[0], &[&[PYTHON[1], PYTHON[2], &text][..], &ADDRESSES].concat());
    let ended = reaching(runner, &rules).command(PYTHON).argument(&text).arguments(ADDRESSES).run();

    assert_eq!(native.status, Some(0), "{native}");
    let (printed, expected) = (ended.printed(), native.stdout());
    for (line, native) in printed.lines().zip(expected.lines()) {
        assert_eq!(line, native, "in all:\n{printed}");
    }
    assert_eq!(printed, expected);
    expected
}

/// The same, and asserts what that is.
#[track_caller]
fn both_print(runner: &Runner, program: &str, expected: &str) {
    assert_eq!(same(runner, program), expected);
}

fn a_refused_connection_is_refused(runner: &Runner, _: &Internet) {
    let program = "
print(attempt(stream().connect, (V4, 9)), attempt(stream(socket.AF_INET6).connect, (V6, 9)))
sock = stream(blocking=False)
print(attempt(sock.connect, (V4, 9)), ready(sock, select.POLLOUT), error(sock), error(sock))
";
    let seen = format!("ECONNREFUSED ECONNREFUSED\nEINPROGRESS [(True, {})] ECONNREFUSED 0\n", 4 | 8 | 16);

    both_print(runner, program, &seen);
}

fn a_host_to_which_there_is_no_way_is_unreachable(runner: &Runner, _: &Internet) {
    let program = "
print(attempt(stream().connect, (UNREACHABLE, 80)))
print(attempt(stream(blocking=False).connect, (UNREACHABLE, 80)))
";
    both_print(runner, program, "EHOSTUNREACH\nEHOSTUNREACH\n");
}

fn a_reset_arrives(runner: &Runner, _: &Internet) {
    let _server = Server::start("[::]:80", |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the other end sends one");
        stream.write_all(b"last words").expect("it is taken");
        // Bytes that nobody read, and no time to linger, make a reset.
        rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).expect("it is set");
    });
    let program = "
sock = stream()
sock.connect((V4, 80))
sock.sendall(b'x')
time.sleep(0.3)
print(attempt(sock.recv, 4096), attempt(sock.recv, 4096), error(sock))
print(attempt(sock.send, b'x'))
";
    same(runner, program);
}

fn a_silent_host_times_out(runner: &Runner, _: &Internet) {
    let program = "
sock = stream()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 300000))
begun = time.monotonic()
print(attempt(sock.connect, (SILENT, 80)), 0.25 < time.monotonic() - begun < 2)
sock = stream()
sock.settimeout(0.3)
print(attempt(sock.connect, (SILENT, 80)))
sock = stream(blocking=False)
print(attempt(sock.connect, (SILENT, 80)), ready(sock, select.POLLOUT, 300), error(sock))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
print(attempt(socket.create_connection, (SILENT, 80), 0.2))
sock = stream()
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
print(attempt(sock.connect, (SILENT, 80)))
";
    let seen = same(runner, program);

    assert!(seen.starts_with("EINPROGRESS True\n"), "{seen}");
    assert!(seen.ends_with("ETIMEDOUT\n"), "{seen}");
}

fn a_connection_without_waiting_is_in_progress_and_then_there(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
for family, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
    sock = stream(family, blocking=False)
    print(sock.connect_ex((host, 80)) in (0, errno.EINPROGRESS), ready(sock, select.POLLOUT), error(sock))
    print(attempt(sock.connect, (host, 80)), sock.send(b'abc'), ready(sock, select.POLLIN), sock.recv(9))
";
    let once = "True [(True, 4)] 0\nEISCONN 3 [(True, 1)] b'abc'\n";

    // A connect after the first that succeeded says so once more: connect(2).
    assert_eq!(same(runner, program).replace("None 3", "EISCONN 3"), once.repeat(2));
}

fn a_second_connect_says_that_it_is_on_its_way_or_there(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
sock = stream(blocking=False)
print(attempt(sock.connect, (SILENT, 80)), attempt(sock.connect, (SILENT, 80)), attempt(sock.connect, (V4, 80)))
print(attempt(sock.getpeername), attempt(sock.send, b'x'), attempt(sock.recv, 1))
sock = stream()
print(attempt(sock.connect, (V4, 80)), attempt(sock.connect, (V4, 80)), attempt(sock.connect, (V4, 81)))
print(attempt(sock.connect, (SILENT, 80)), sock.send(b'abc'), sock.recv(9))
";
    both_print(
        runner,
        program,
        "EINPROGRESS EALREADY EALREADY\nENOTCONN EAGAIN EAGAIN\nNone EISCONN EISCONN\nEISCONN 3 b'abc'\n",
    );
}

fn both_ends_have_their_addresses(runner: &Runner, _: &Internet) {
    let _server = Server::start("[::]:80", |mut stream| {
        let text = stream.peer_addr().expect("its address").to_string();
        stream.write_all(text.as_bytes()).expect("it is taken");
    });
    let program = "
for family, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6), (socket.AF_INET6, '::ffff:' + V4)):
    sock = stream(family)
    print(sock.getsockname()[:2], attempt(sock.getpeername))
    sock.connect((host, 80))
    own, far = sock.getsockname(), whole(sock).decode().replace('[', '').replace(']', '').rpartition(':')
    print(sock.getpeername(), own[0], own[1] == int(far[2]), own[0] == far[0].replace('::ffff:', '') or far[0])
";
    same(runner, program);
}

fn options_from_before_the_connection_are_kept(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
SOCKET, TCP, IP, IPV6 = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.IPPROTO_IPV6
numbers = [(SOCKET, socket.SO_KEEPALIVE, 1), (SOCKET, socket.SO_OOBINLINE, 1), (SOCKET, socket.SO_PRIORITY, 3),
    (SOCKET, socket.SO_RCVLOWAT, 2), (SOCKET, socket.SO_REUSEADDR, 1), (SOCKET, socket.SO_SNDBUF, 30000),
    (SOCKET, socket.SO_RCVBUF, 40000), (TCP, socket.TCP_NODELAY, 1), (TCP, socket.TCP_KEEPIDLE, 33),
    (TCP, socket.TCP_KEEPINTVL, 7), (TCP, socket.TCP_KEEPCNT, 3), (TCP, socket.TCP_USER_TIMEOUT, 12345),
    (TCP, socket.TCP_SYNCNT, 2), (TCP, socket.TCP_NOTSENT_LOWAT, 16384),
    (TCP, socket.TCP_LINGER2, 11), (TCP, socket.TCP_CORK, 1),
    (IP, socket.IP_TOS, 0x10), (IP, socket.IP_TTL, 44), (IP, 10, 2)]
of_v6 = [(IPV6, socket.IPV6_TCLASS, 0x20), (IPV6, socket.IPV6_UNICAST_HOPS, 33), (IPV6, 23, 2)]
structures = [(SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)),
    (SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 7, 0)), (SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 9, 0))]
def value(sock, level, option, set): return attempt(sock.getsockopt, level, option, *[32] * isinstance(set, bytes))
for family, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
    for level, option, set in numbers + structures + (of_v6 if family == socket.AF_INET6 else []):
        if family == socket.AF_INET6 and level == IP: continue
        sock = stream(family)
        made = attempt(sock.setsockopt, level, option, set)
        before = value(sock, level, option, set)
        sock.connect((host, 80))
        print(family, level, option, made, before, value(sock, level, option, set))
    sock = stream(family)
    sock.connect((host, 80))
    for level, option, set in numbers + structures: print(level, option, level == IP or value(sock, level, option, set))
";
    same(runner, program);
}

fn flags_of_descriptor_and_socket_are_kept(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
for kind in (0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | kind)
    os.set_inheritable(sock.fileno(), not kind & socket.SOCK_CLOEXEC)
    attempt(sock.connect, (V4, 80))
    ready(sock, select.POLLOUT)
    flags = [fcntl.fcntl(sock, get) for get in (fcntl.F_GETFD, fcntl.F_GETFL)]
    child = os.spawnlp(os.P_WAIT, 'test', 'test', '-e', f'/proc/self/fd/{sock.fileno()}')
    fcntl.fcntl(sock, fcntl.F_SETFL, flags[1] ^ os.O_NONBLOCK)
    print(flags, child, fcntl.fcntl(sock, fcntl.F_GETFL))
";
    let seen = same(runner, program);

    assert_eq!(seen, "[0, 2] 0 2050\n[1, 2] 1 2050\n[0, 2050] 0 2\n[1, 2050] 1 2\n");
}

fn half_a_connection_is_closed(runner: &Runner, _: &Internet) {
    let _server = Server::start("[::]:80", |mut stream| {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("it ends");
        heard.reverse();
        stream.write_all(&heard).expect("it is taken");
        stream.shutdown(Shutdown::Write).expect("it is closed");
        // Still open the other way.
        let mut rest = [0; 1];
        assert_eq!(stream.read(&mut rest).expect("it ends"), 0);
    });
    let program = "
sock = stream()
sock.connect((V4, 80))
sock.sendall(b'abc')
sock.shutdown(socket.SHUT_WR)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
print(attempt(sock.send, b'x'), whole(sock), sock.recv(1), ready(sock, select.POLLIN | select.POLLOUT))
print(attempt(sock.shutdown, socket.SHUT_RDWR))
";
    same(runner, program);
}

fn urgent_data_arrives(runner: &Runner, _: &Internet) {
    let _server = Server::start("[::]:80", |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the other end sends one");
        stream.write_all(b"ab").expect("it is taken");
        rustix::net::send(&stream, b"!", rustix::net::SendFlags::OOB).expect("it is taken");
        stream.write_all(b"cd").expect("it is taken");
        drop(stream.read(&mut byte));
    });
    let program = "
heard = []
signal.signal(signal.SIGURG, lambda *_: heard.append('urgent'))
sock = stream()
sock.connect((V4, 80))
fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
sock.send(b'a')
time.sleep(0.3)
print(ready(sock, select.POLLPRI | select.POLLIN), heard)
print(sock.recv(1, socket.MSG_OOB), sock.recv(9), sock.recv(9))
print(sock.send(b'?', socket.MSG_OOB))
";
    same(runner, program);
}

fn large_transfers_arrive_whole_in_both_directions(runner: &Runner, _: &Internet) {
    let _server = Server::start("[::]:80", |stream| {
        let (mut to, mut from) = (stream.try_clone().expect("a copy"), stream);
        let write = std::thread::spawn(move || {
            let block: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
            (0..32).for_each(|_| to.write_all(&block).expect("it is taken"));
            to.shutdown(Shutdown::Write).expect("it is closed");
        });
        let mut sum = 0_u64;
        let mut block = vec![0; 1 << 16];
        while let Ok(len @ 1..) = from.read(&mut block) {
            sum = block[..len].iter().fold(sum, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_000_007);
        }
        write.join().expect("no panic");
        let _unread: TcpStream = from;
        std::fs::write("/dev/null", sum.to_string()).expect("it is written");
    });
    let program = "
import threading
sock = stream()
sock.connect((V4, 80))
block = bytes((n ^ n >> 3) & 255 for n in range(100003))
def send():
    for _ in range(300): sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
digest, total = hashlib.sha256(), 0
while part := sock.recv(1 << 16):
    digest.update(part)
    total += len(part)
thread.join()
print(total, digest.hexdigest())
";
    let seen = same(runner, program);

    assert!(seen.starts_with("32000096 "), "{seen}");
}

fn a_socket_is_shared_with_children(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
sock = stream()
sock.connect((V4, 80))
print(sock.getpeername(), flush=True)
if not (child := os.fork()):
    sock.sendall(b'from the child')
    os._exit(0)
os.waitpid(child, 0)
print(sock.recv(99), flush=True)
sock = stream()
if not (child := os.fork()):
    own = stream()
    own.connect((V4, 80))
    own.sendall(b'own')
    os.write(1, own.recv(9) + b'\\n')
    os._exit(0)
os.waitpid(child, 0)
print(attempt(sock.getpeername))
";
    both_print(runner, program, &format!("('{V4}', 80)\nb'from the child'\nown\nENOTCONN\n"));
}

fn an_ipv6_socket_reaches_a_mapped_address_and_a_true_one(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
for host in ('::ffff:' + V4, V6):
    sock = stream(socket.AF_INET6)
    sock.connect((host, 80))
    sock.sendall(b'abc')
    print(sock.getpeername(), sock.recv(9))
sock = stream(socket.AF_INET6)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
print(attempt(sock.connect, ('::ffff:' + V4, 80)), attempt(sock.connect, (V6, 80)))
";
    same(runner, program);
}

fn a_socket_that_failed_is_tried_again(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
sock = stream()
print(attempt(sock.connect, (V4, 9)), attempt(sock.connect, (V4, 9)), attempt(sock.connect, (V4, 80)))
sock.sendall(b'abc')
print(sock.recv(9))
sock = stream(blocking=False)
print(attempt(sock.connect, (V4, 9)), ready(sock, select.POLLOUT), error(sock))
attempt(sock.connect, (V4, 80)), attempt(sock.connect, (V4, 80))
print(ready(sock, select.POLLOUT), error(sock), sock.send(b'x'))
sock = stream()
print(attempt(sock.connect, (UNREACHABLE, 9)), attempt(sock.connect, (V4, 80)))
";
    same(runner, program);
}

fn a_bound_socket_is_connected(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
sock = stream()
sock.bind(('0.0.0.0', 0))
sock.connect((V4, 80))
sock.sendall(b'abc')
print(sock.recv(9), sock.getsockname()[0])
";
    same(runner, program);
}

fn select_poll_and_epoll_tell_of_a_connection(runner: &Runner, _: &Internet) {
    let _server = Server::echo("[::]:80");
    let program = "
IN, OUT, EDGE, ONCE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT
def events(epoll, wait=3): return sorted((number == sock.fileno(), event) for number, event in epoll.poll(wait))
for flags in (0, EDGE, ONCE, EDGE | ONCE):
    # Registered before the connection, as libuv, Java and Tokio do.
    epoll, sock = select.epoll(), stream(blocking=False)
    epoll.register(sock, IN | OUT | flags)
    before = events(epoll, 0)
    attempt(sock.connect, (V4, 80))
    time.sleep(0.05)
    print(flags, before and True, events(epoll) if not flags & ONCE else '')
    if flags & ONCE: epoll.modify(sock, IN | OUT | flags); print(events(epoll), events(epoll, 0))
    if flags & ONCE: epoll.modify(sock, IN | OUT | flags)
    sock.send(b'abc')
    time.sleep(0.1)
    print(events(epoll), sock.recv(9), attempt(epoll.register, sock, IN), attempt(epoll.modify, sock, OUT), events(epoll))
    print(attempt(epoll.unregister, sock), events(epoll, 0), attempt(epoll.unregister, sock))
sock = stream(blocking=False)
attempt(sock.connect, (V4, 80))
print([len(found) for found in select.select([sock], [sock], [], 3)])
epoll, sock = select.epoll(), stream(blocking=False)
epoll.register(sock, OUT)
attempt(sock.connect, (V4, 9))
time.sleep(0.05)
print(events(epoll), error(sock))
sock.close()
print(events(epoll, 0) if sock.fileno() >= 0 else epoll.poll(0))
# Many at once, in one instance.
epoll, socks = select.epoll(), {}
for _ in range(40):
    sock = stream(blocking=False)
    socks[sock.fileno()] = sock
    epoll.register(sock, OUT | EDGE)
for sock in socks.values(): attempt(sock.connect, (V4, 80))
seen, until = set(), time.monotonic() + 5
while len(seen) < 40 and time.monotonic() < until:
    seen |= {number for number, event in epoll.poll(0.5) if event == OUT and not error(socks[number])}
print(len(seen))
";
    same(runner, program);
}

fn bad_arguments_fail_as_they_do(runner: &Runner, _: &Internet) {
    let program = "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def raw(number, address, length):
    libc.connect(number, address, length)
    return errno.errorcode.get(ctypes.get_errno(), 0)
inet = struct.pack('=H', 2) + struct.pack('>H', 9) + socket.inet_aton(V4) + bytes(8)
inet6 = struct.pack('=H', 10) + struct.pack('>HI', 9, 0) + socket.inet_pton(10, V6) + bytes(4)
sock, six = stream(), stream(socket.AF_INET6)
print([raw(sock.fileno(), inet, length) for length in (-1, 0, 1, 2, 3, 8, 15, 16)])
print(raw(sock.fileno(), inet + bytes(112), 128), raw(sock.fileno(), inet + bytes(113), 129))
print([raw(six.fileno(), inet6, length) for length in (2, 16, 23, 24, 28)])
print(raw(sock.fileno(), inet6, 28), raw(six.fileno(), inet + bytes(12), 28), raw(sock.fileno(), struct.pack('=H', 77) + bytes(14), 16))
print(raw(sock.fileno(), None, 16), raw(sock.fileno(), ctypes.c_void_p(8), 16), raw(99, inet, 16), raw(-1, inet, 16))
print(raw(0, inet, 16), raw(os.open('/', 0), inet, 16), raw(os.pipe()[0], inet, 16))
print(attempt(stream().listen), attempt(stream().recv, 1), attempt(stream().send, b'x'))
";
    same(runner, program);
}
