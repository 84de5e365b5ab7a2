//! `[net] until = "input-complete"`: a job that says that its input is complete has no network from then on.

use crate::job::{Job, eventually, job};
use crate::stage::{PYTHON, Told as _, V4, policy, zone};
use crate::web::{Answer, Web};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet, installed};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

as_root_and_user_in_an_internet![
    until_then_it_has_its_network_and_from_then_on_none,
    its_own_loopback_goes_on,
    connections_on_their_way_do_not_come_about,
    children_and_copies_of_descriptors_have_none_either,
    a_job_that_never_says_so_keeps_its_network,
    without_the_key_saying_so_changes_nothing,
    requests_that_are_looked_at_end_too,
    a_program_in_rust_says_so,
    a_program_in_c_says_so,
];

/// For Python programs: `complete()`, and `reach(place)`, which tells whether a connection echoes.
const TOOLS: &str = "
import ctypes, errno, os, platform, socket, sys
def complete():
    number = {'x86_64': 110, 'aarch64': 173}[platform.machine()]
    call = ctypes.CDLL(None, use_errno=True).syscall
    word = ctypes.c_ulong
    got = call(ctypes.c_long(number), word(0x4c617a6172657421), word(0x7374617274656421), word(3), word(0), word(0), word(0))
    return 'said' if got == -1 and ctypes.get_errno() == errno.ENOTUNIQ else 'not heard'
def echo(tcp):
    try:
        tcp.settimeout(10)
        tcp.sendall(b'x')
        return 'there' if tcp.recv(1) == b'x' else 'cut'
    except OSError as error: return 'cut'
def reach(place):
    try:
        with socket.create_connection(place, 10) as tcp: return echo(tcp)
    except OSError as error: return errno.errorcode.get(error.errno, error.errno)
HOST = ('www.example.com', 80)
";

fn python<'a>(runner: &'a Runner, program: &str) -> Job<'a> {
    let policy = policy(&["www.example.com:80"], "until = \"input-complete\"\n");
    job(runner).policy(&policy).command(PYTHON).argument(format!("{TOOLS}{program}"))
}

fn until_then_it_has_its_network_and_from_then_on_none(runner: &Runner, _: &Internet) {
    for tier in ["jail", "seccomp"] {
        from_then_on_none(runner, tier);
    }
}

fn from_then_on_none(runner: &Runner, tier: &str) {
    let (names, web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
first = socket.create_connection(HOST)
print(echo(first), reach(HOST))
print(complete())
print(echo(first), reach(HOST), reach(('93.184.216.34', 80)), reach(('93.184.216.35', 80)), complete())
try: socket.getaddrinfo('www.example.com', 80); print('resolved')
except socket.gaierror as error: print('no name')
";
    let ended = python(runner, program).options(["--tier", tier]).run();

    let printed = ended.printed();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["there there", "said"], "{}", ended.told());
    let words: Vec<&str> = lines[2].split(' ').collect();
    assert_eq!(words[0], "cut", "{}", ended.told());
    assert!(words[1..4].iter().all(|word| !["there", "cut"].contains(word)), "{}", ended.told());
    assert_eq!(lines[3], "no name", "{}", ended.told());
    assert_eq!(web.visits().len(), 2, "and none later");
    assert!(eventually(Duration::from_secs(5), || web.open() == 0), "the server sees the end");
    assert_eq!(names.names_asked(), ["www.example.com"]);
}

fn its_own_loopback_goes_on(runner: &Runner, _: &Internet) {
    let (_names, _web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
import threading
def serve(listener):
    while True:
        tcp, _ = listener.accept()
        tcp.sendall(tcp.recv(1))
        tcp.close()
old = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=serve, args=(old,), daemon=True).start()
held = socket.create_connection(old.getsockname())
print(reach(HOST), complete())
new = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=serve, args=(new,), daemon=True).start()
print(echo(held), reach(new.getsockname()), reach(old.getsockname()))
";
    let ended = python(runner, program).run();

    assert_eq!(ended.printed(), "there said\nthere there there\n", "{}", ended.told());
}

fn connections_on_their_way_do_not_come_about(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let policy = policy(&["203.0.113.9:80"], "until = \"input-complete\"\n");

    let ended = job(runner).policy(&policy).command(PYTHON).argument(format!("{TOOLS}{WAITING}")).run();

    assert_eq!(ended.printed(), "said\nFalse True\nTrue\n", "{}", ended.told());
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
}

const WAITING: &str = "
import select, threading, time
ended = []
waiting = threading.Thread(target=lambda: ended.append(reach(('203.0.113.9', 80))))
waiting.start()
polled = socket.socket()
polled.setblocking(False)
polled.connect_ex(('203.0.113.9', 80))
time.sleep(0.5)
print(complete())
waiting.join(3)
print(waiting.is_alive(), ended[0] not in ('there', 'cut'))
print(bool(select.select([], [polled], [], 3)[1]))
sys.stdout.flush()
os._exit(0)
";

fn children_and_copies_of_descriptors_have_none_either(runner: &Runner, _: &Internet) {
    let (_names, web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
first = socket.create_connection(HOST)
copy = first.dup()
told, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    os.read(told, 1)
    print('child', echo(first), reach(HOST) in ('there', 'cut'))
    sys.stdout.flush()
    os._exit(0)
other = os.fork()
if other == 0:
    # Any process of the job may say so.
    print(complete())
    sys.stdout.flush()
    os._exit(0)
os.waitpid(other, 0)
os.close(tell)
os.waitpid(child, 0)
print('copy', echo(copy))
";
    let ended = python(runner, program).run();

    assert_eq!(ended.printed(), "said\nchild cut False\ncopy cut\n", "{}", ended.told());
    assert_eq!(web.visits().len(), 1);
}

fn requests_that_are_looked_at_end_too(runner: &Runner, _: &Internet) {
    let (_names, web) = (NameServer::start(&zone()), Web::http("[::]:80", |_| Answer::of("x")));
    let policy = policy(&["GET http://www.example.com/*"], "until = \"input-complete\"\n");
    let program = "
def ask(tcp, path):
    try:
        tcp.settimeout(10)
        tcp.sendall(f'GET {path} HTTP/1.1\\r\\nHost: www.example.com\\r\\n\\r\\n'.encode())
        return tcp.recv(12)[9:12].decode() or 'cut'
    except OSError: return 'cut'
kept, unused = socket.create_connection(HOST), socket.create_connection(HOST)
print(ask(kept, '/before'), complete())
kept.settimeout(1)
try:
    while kept.recv(100): pass
except OSError: pass
print(ask(kept, '/after'), ask(unused, '/after'), reach(HOST) in ('there', 'cut'))
";
    let job = job(runner).policy(&policy).command(PYTHON);

    let ended = job.argument(format!("{TOOLS}{program}")).run();

    assert_eq!(ended.printed(), "200 said\ncut cut False\n", "{}", ended.told());
    assert_eq!(web.asked(), ["GET /before www.example.com"]);
    assert_eq!(ended.report.at("/network/requests/0/status"), 200, "{}", ended.told());
}

fn a_job_that_never_says_so_keeps_its_network(runner: &Runner, _: &Internet) {
    let (_names, web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let program = "
import time
first = socket.create_connection(HOST)
# It is the three arguments that say so.
os.getppid(); time.sleep(0.3)
ctypes.CDLL(None).syscall(ctypes.c_long(110 if platform.machine() == 'x86_64' else 173), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(3))
print(echo(first), reach(HOST))
";
    let ended = python(runner, program).run();

    assert_eq!(ended.printed(), "there there\n", "{}", ended.told());
    assert_eq!((web.visits().len(), ended.report.connections().len()), (2, 2));
}

fn without_the_key_saying_so_changes_nothing(runner: &Runner, _: &Internet) {
    let (_names, _web) = (NameServer::start(&zone()), Server::echo("[::]:80"));
    let job = job(runner).policy(&policy(&["www.example.com:80"], "")).command(PYTHON);

    let ended = job.argument(format!("{TOOLS}print(complete(), reach(HOST))")).run();

    assert_eq!(ended.printed(), "not heard there\n", "{}", ended.told());
}

fn says_so(runner: &Runner, program: &Path, web: &Server) {
    let policy = policy(&["93.184.216.34:80"], "until = \"input-complete\"\n");
    let words = ["--in".into(), program.display().to_string()];
    let name = program.file_name().and_then(|name| name.to_str()).expect("a simple name");

    let ended = job(runner).policy(&policy).options(words).command([format!("./{name}"), format!("{V4}:80")]).run();

    let printed = ended.printed();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["true", "cut"], "{}", ended.told());
    assert_ne!(lines[2], "there", "{}", ended.told());
    // The server may have it still to take.
    let until = Instant::now() + Duration::from_secs(5);
    while web.visits().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(web.visits().len(), 1);
}

fn a_program_in_rust_says_so(runner: &Runner, _: &Internet) {
    // target/debug/deps/transfers-0123456789abcdef, and target/debug/examples.
    let test = std::env::current_exe().expect("the test's own path is known");
    let directory = test.ancestors().nth(2).expect("tests are built two directories deep");
    let example = directory.join("examples/input-complete");
    if !example.exists() {
        let target = directory.parent().expect("a profile's directory lies in the target directory");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--locked", "-p", "lazaret-e2e", "--example", "input-complete", "--target-dir"])
            .arg(target);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
        assert!(built.success(), "{built}");
    }
    let program = runner.path("input-complete");
    let copied = Command::new("cp").arg(&example).arg(&program).status().expect("cp can be started");
    assert!(copied.success(), "{copied}");
    let web = Server::echo("[::]:80");

    says_so(runner, &program, &web);
}

fn a_program_in_c_says_so(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/cc", "gcc") {
        return;
    }
    // What `lazaret_input_complete` does, without a library that has to be found: the call itself.
    let source = runner.put("complete.c", C);
    let program = runner.path("complete");
    let built = Command::new("cc").args(["-static", "-O1", "-o"]).args([&program, &source]).status();
    assert!(built.expect("cc can be started").success());
    let web = Server::echo("[::]:80");

    says_so(runner, &program, &web);
}

const C: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int reach(char *place) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    char *colon = strchr(place, ':');
    int tcp = socket(AF_INET, SOCK_STREAM, 0), port;
    sscanf(colon, ":%d", &port);
    to.sin_port = htons(port);
    *colon = 0;
    inet_pton(AF_INET, place, &to.sin_addr);
    *colon = ':';
    return connect(tcp, (struct sockaddr *)&to, sizeof to) ? -1 : tcp;
}

int main(int count, char **words) {
    char byte;
    int tcp = reach(words[count - 1]);
    if (tcp < 0) return 1;
    long said = syscall(SYS_getppid, 0x4c617a6172657421, 0x7374617274656421, 3);
    puts(said == -1 && errno == ENOTUNIQ ? "true" : "false");
    puts(send(tcp, "x", 1, MSG_NOSIGNAL) == 1 && recv(tcp, &byte, 1, 0) == 1 ? "there" : "cut");
    puts(reach(words[count - 1]) >= 0 ? "there" : "refused");
    return 0;
}
"#;
