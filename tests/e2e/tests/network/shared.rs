//! The network in tier seccomp, whose jobs have no network namespace of their own.

use crate::job::{Job, job};
use crate::stage::{PYTHON, Told as _, V4, V6, policy, policy_on, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet, installed};
use std::path::Path;

as_root_and_user_in_an_internet![
    programs_reach_what_a_rule_names_and_nothing_else,
    node_reaches_it_too,
    nothing_is_sent_to_an_address,
    there_are_no_servers_and_no_services,
    names_are_asked_for_by_streams_and_no_others_leave,
    the_files_of_names_are_its_own_also_where_all_of_etc_is_shown,
    bounds_hold,
];

const RULES: [&str; 1] = ["www.example.com:80"];

fn here<'a>(runner: &'a Runner, text: &str) -> Job<'a> {
    job(runner).policy(&format!("tier = \"seccomp\"\n{text}"))
}

fn programs_reach_what_a_rule_names_and_nothing_else(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let (web, other) = (Server::http("[::]:80", "here"), Server::http("[::]:81", "not here"));
    // Of a curl that is asked for IPv6 alone a socket for datagrams says whether there is any.
    let script = "curl -4 -sS http://www.example.com/ && wget -6 -q -O - http://www.example.com/ && \
                  wget -q -O - http://www.example.com/x && echo && \
                  for url in www.example.com:81 other.example.com 93.184.216.35 169.254.169.254 10.1.2.3 1.1.1.1 \
                  127.0.0.1 [::1] [2606:2800:220:1::249]; do curl -sS --max-time 5 http://$url/ 2>&1 && exit 9; done; exit 0";

    let ended = here(runner, &policy(&RULES, "")).shell(script).run();

    assert!(ended.printed().starts_with("hereherehere\n"), "{}", ended.told());
    let visits = web.visits();
    assert!(visits.len() == 3 && visits[..2] == [V4, V6], "{visits:?}");
    assert_eq!(other.visits(), Vec::<String>::new());
    assert!(names.names_asked().iter().all(|name| name == "www.example.com"), "{:?}", names.names_asked());
    assert_eq!(ended.report.connections().len(), 3, "{}", ended.told());
}

fn node_reaches_it_too(runner: &Runner, _: &Internet) {
    if !installed("/usr/bin/node", "nodejs") {
        return;
    }
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let program = "require('http').get('http://www.example.com/', answer => answer.pipe(process.stdout))";
    let text = policy_on("node", &RULES, Path::new("/usr"));

    let ended = here(runner, &text).command(["/usr/bin/node", "-e", program]).run();

    assert_eq!(ended.printed(), "here", "{}", ended.told());
    assert_eq!(web.visits().len(), 1);
}

/// A Python program that prints what each of its attempts came to.
const ATTEMPTS: &str = r#"
import errno, os, socket, struct, sys
V4, V6 = sys.argv[1:]
def attempt(call, *arguments):
    try: return call(*arguments) and 'done' or 'done'
    except OSError as error: return errno.errorcode[error.errno]
def stream(family=socket.AF_INET): return socket.socket(family, socket.SOCK_STREAM)
"#;

fn attempts<'a>(runner: &'a Runner, program: &str) -> Job<'a> {
    let text = policy(&[&format!("{V4}:80"), &format!("[{V6}]:80")], "");
    here(runner, &text).command(PYTHON).argument(format!("{ATTEMPTS}{program}")).argument(V4).argument(V6)
}

fn nothing_is_sent_to_an_address(runner: &Runner, _: &Internet) {
    let _web = Server::http("[::]:80", "here");
    let program = r#"
for family, address in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
    one = stream(family)
    print(attempt(one.sendto, b'x', (address, 80)), attempt(one.sendmsg, [b'x'], [], 0, (address, 80)),
          attempt(one.sendto, b'x', 0x20000000, (address, 80)), attempt(one.send, b'x', 0x4000), one.getsockname()[1])
for domain, kind, protocol in (
    (2, 2, 0), (10, 2, 17), (2, 3, 17), (2, 2, 1), (2, 1, 262), (2, 5, 132), (17, 3, 0), (16, 3, 0), (1, 1, 0), (1, 2, 0), (40, 1, 0)):
    print(attempt(socket.socket, domain, kind, protocol), end=' ')
"#;
    let ended = attempts(runner, program).run();

    let printed = ended.printed();
    let sent = "EPERM EPERM ENOTSUP EPIPE 0\n";
    assert!(printed.starts_with(&sent.repeat(2)), "{}", ended.told());
    let others = printed.lines().nth(2).unwrap_or_default();
    let refused = ["EPERM", "EAFNOSUPPORT", "EPROTONOSUPPORT"];
    assert_eq!(others.split(' ').filter(|made| refused.contains(made)).count(), 11, "{others}");
}

fn there_are_no_servers_and_no_services(runner: &Runner, _: &Internet) {
    let _web = Server::http("[::]:80", "here");
    let host = Server::http("127.0.0.1:8080", "of the host");
    let program = r#"
one, other = socket.socketpair()
print(attempt(stream().bind, ('127.0.0.1', 0)), attempt(stream().bind, ('0.0.0.0', 8081)), attempt(stream().listen),
      attempt(one.listen), attempt(one.bind, '/job/socket'), attempt(one.connect, '/run/dbus/system_bus_socket'),
      attempt(stream().connect, ('127.0.0.1', 8080)), attempt(stream(socket.AF_INET6).connect, ('::1', 8080)))
made = socket.create_connection((V4, 80))
print(attempt(made.connect, (V4, 81)), attempt(made.bind, ('0.0.0.0', 0)), attempt(made.listen), attempt(made.connect_ex, (V4, 80)))
"#;
    let ended = attempts(runner, program).run();

    let expected = "EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES\nEISCONN EACCES EACCES done\n";
    let printed = ended.printed();
    assert_eq!(printed.replace("EINVAL", "EACCES"), expected, "{}", ended.told());
    assert_eq!(host.visits(), Vec::<String>::new());
}

fn names_are_asked_for_by_streams_and_no_others_leave(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let script = "cat /etc/resolv.conf /etc/nsswitch.conf; getent ahostsv4 www.example.com | grep -c STREAM; \
                  getent ahostsv6 www.example.com | grep -c STREAM; getent hosts other.example.com; echo $?";

    let ended = here(runner, &policy(&RULES, "")).shell(script).run();

    let own =
        "nameserver 127.0.0.1\noptions use-vc timeout:30 attempts:1\npasswd: files\ngroup: files\nhosts: files dns\n";
    assert_eq!(ended.printed(), format!("{own}1\n1\n2\n"), "{}", ended.told());
    assert!(names.names_asked().iter().all(|name| name == "www.example.com"), "{:?}", names.names_asked());
    assert!(ended.report.refused_hosts().iter().any(|line| line.contains("other.example.com")), "{}", ended.told());
}

/// A policy that shows all of /etc shows these files of the job's own there. One that names such a file means it.
fn the_files_of_names_are_its_own_also_where_all_of_etc_is_shown(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let script = "cat /etc/resolv.conf; for way in /etc/../etc/resolv.conf /proc/self/root/etc/resolv.conf; do cat $way; done; \
                  cd /etc && cat resolv.conf; echo x 2>&1 >> /etc/resolv.conf; true";
    let around = here(runner, &policy(&RULES, "[files]\nread = [\"/etc\"]\n")).shell(script).run();

    let printed = around.printed();
    assert!(printed.matches("use-vc").count() >= 3, "{}", around.told());
    assert_eq!(printed.matches("nameserver").count(), printed.matches("nameserver 127.0.0.1\n").count());
}

fn bounds_hold(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::http("[::]:80", "here");
    let twice =
        "curl -sS http://www.example.com/; curl -sS --max-time 5 http://www.example.com/ 2>/dev/null || echo no";

    let ended = here(runner, &policy(&RULES, "")).limit("net-connections=1").shell(twice).run();

    assert_eq!(ended.printed(), "hereno\n", "{}", ended.told());
}
