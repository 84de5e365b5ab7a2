//! Names: what is asked outside, what the job is told, and what it may do with that.

use crate::job::job;
use crate::stage::{PYTHON, Told as _, V4, V6, policy, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

as_root_and_user_in_an_internet![
    no_question_leaves_for_a_name_that_no_rule_names,
    whatever_else_is_asked_stays_inside,
    a_wildcard_is_for_names_below_and_not_for_the_parent,
    what_a_name_resolved_to_first_holds_for_the_whole_job,
    a_name_that_becomes_private_is_not_reached,
    a_name_that_is_private_loopback_or_metadata_is_refused,
    a_rule_that_names_range_and_port_permits_a_private_name,
    of_mixed_answers_the_public_ones_count,
    a_mapped_address_is_the_address_that_it_maps,
    an_alias_leads_to_its_addresses_whatever_its_name_is,
    records_of_another_name_do_not_count,
    an_answer_too_long_for_a_datagram_is_asked_for_by_tcp,
    a_hundred_addresses_are_told,
    a_name_with_one_kind_of_address_is_reached,
    a_forged_answer_is_not_believed,
    a_late_answer_is_waited_for,
    a_name_that_does_not_exist_is_told_so,
    a_name_server_that_fails_is_in_the_report,
    a_name_server_that_is_down_is_in_the_report,
    a_name_server_that_is_silent_is_in_the_report_and_waited_for_a_bounded_time,
    the_second_name_server_is_asked_where_the_first_is_down,
    the_job_asks_by_tcp_too,
    spelled_variants_of_a_host_are_that_host,
    the_files_of_names_are_ours,
    the_hosts_own_files_of_names_are_used,
    a_root_without_files_of_names_asks_us_too,
    a_root_with_files_of_names_keeps_them_and_resolves_nothing,
    a_bind_of_etc_keeps_the_hosts_files_of_names_and_resolves_nothing,
];

/// What getaddrinfo says of each argument, sorted.
const LOOK_UP: &str = "
import socket, sys
for name in sys.argv[1:]:
    try:
        print(name, *sorted({found[4][0] for found in socket.getaddrinfo(name, 80)}))
    except OSError as error:
        print(name, error.args[0])
";
/// EAI_NONAME.
const NO_NAME: &str = "-2";

/// Looks www.example.com up, and exits with the positive error.
const FAIL: &str = "
import socket, sys
try:
    socket.getaddrinfo('www.example.com', 80)
except OSError as error:
    sys.exit(-error.args[0])
";
const EXIT_NO_NAME: i32 = 2;
/// EAI_AGAIN.
const EXIT_AGAIN: i32 = 3;

fn no_question_leaves_for_a_name_that_no_rule_names(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let job = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(LOOK_UP);

    let ended = job.arguments(["secret.evil.example", "example.com", "a.www.example.com", "www.example.com"]).run();

    let expected = format!(
        "secret.evil.example {NO_NAME}\nexample.com {NO_NAME}\na.www.example.com {NO_NAME}\nwww.example.com {V6} {V4}\n"
    );
    assert_eq!(ended.printed(), expected);
    let mut asked = names.asked();
    asked.sort();
    assert_eq!(asked, ["www.example.com A udp", "www.example.com AAAA udp"]);
    assert!(ended.took < Duration::from_secs(5), "it says so at once");
    let refused = ended.report.refused_hosts();
    assert!(refused.contains(&"resolve secret.evil.example: no rule names it ×2".to_owned()), "{refused:?}");
}

fn whatever_else_is_asked_stays_inside(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    // Questions by hand: other types of a permitted name, other classes, several at once, no name, an update.
    let program = "
import socket, struct
def name(text): return b''.join(bytes([len(part)]) + part.encode() for part in text.split('.')) + b'\\0'
def ask(text, kind, kind_of=1, flags=0x100, count=1):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(5)
    question = name(text) + struct.pack('>HH', kind, kind_of)
    server.sendto(struct.pack('>6H', 7, flags, count, 0, 0, 0) + question * count, ('127.0.0.1', 53))
    answer = server.recv(4096)
    return answer[3] & 15, struct.unpack('>H', answer[6:8])[0]
for kind in (16, 15, 33, 12, 65, 255): print(kind, ask('www.example.com', kind))
print('of another', ask('carries.data.out.example.com', 16))
print('chaos', ask('version.bind', 16, 3))
print('two', ask('www.example.com', 1, count=2))
print('update', ask('www.example.com', 6, flags=0x2800))
print('reverse', ask('34.216.184.93.in-addr.arpa', 12))
";
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    let kinds: String = ["16", "15", "33", "12", "65", "255"].map(|kind| format!("{kind} (0, 0)\n")).concat();
    let others = "of another (3, 0)\nchaos (1, 0)\ntwo (1, 0)\nupdate (4, 0)\nreverse (3, 0)\n";
    assert_eq!(ended.printed(), kinds + others, "{}", ended.told());
    assert_eq!(names.asked(), Vec::<String>::new());
}

fn a_wildcard_is_for_names_below_and_not_for_the_parent(runner: &Runner, _: &Internet) {
    let says = |address| Says::at(&[address]);
    let names = NameServer::start(&[
        ("example.com", says("93.184.216.1")),
        ("a.example.com", says("93.184.216.2")),
        ("a.b.example.com", says("93.184.216.3")),
        ("notexample.com", says("93.184.216.4")),
    ]);
    let web = Server::http("[::]:80", "here");
    let script = "for host in example.com notexample.com a.example.com a.b.example.com 93.184.216.1; do \
                  curl -sS --max-time 5 http://$host/ 2>&1 | head -c 9; echo; done";

    let ended = reaching(runner, &["*.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "curl: (6)\ncurl: (6)\nhere\nhere\ncurl: (7)\n", "{}", ended.told());
    assert_eq!(web.visits(), ["93.184.216.2", "93.184.216.3"]);
    assert_eq!(names.names_asked(), ["a.b.example.com", "a.example.com"]);
}

fn what_a_name_resolved_to_first_holds_for_the_whole_job(runner: &Runner, _: &Internet) {
    let turns = ["93.184.216.1", "93.184.216.2"].map(|address| address.parse().expect("an address"));
    let names = NameServer::start(&[("www.example.com", Says::InTurn(turns.to_vec()))]);
    let web = Server::http("[::]:80", "here");
    let script = "for i in 1 2 3; do curl -4 -sS http://www.example.com/; done; curl -sS http://93.184.216.2/; echo $?";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "hereherehere7\n", "{}", ended.told());
    assert_eq!(web.visits(), ["93.184.216.1"; 3]);
    assert_eq!(names.asked().iter().filter(|asked| asked.contains(" A ")).count(), 1, "{:?}", names.asked());
}

fn a_name_that_becomes_private_is_not_reached(runner: &Runner, internet: &Internet) {
    let turns = ["93.184.216.1", "127.0.0.1", "10.0.0.1", "169.254.169.254"];
    let turns = turns.map(|address| address.parse().expect("an address"));
    let _names = NameServer::start(&[("www.example.com", Says::InTurn(turns.to_vec()))]);
    let web = Server::http("[::]:80", "here");
    let inside = internet.on_the_host(|| Server::http("127.0.0.1:80", "the host's own"));
    let script = "for i in 1 2 3 4 5; do curl -4 -sS http://www.example.com/; done";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "here".repeat(5), "{}", ended.told());
    assert_eq!((web.visits(), inside.visits().len()), (vec!["93.184.216.1".to_owned(); 5], 0));
}

fn a_name_that_is_private_loopback_or_metadata_is_refused(runner: &Runner, internet: &Internet) {
    let addresses = [
        ("private.example.com", "10.0.0.1"),
        ("loopback.example.com", "127.0.0.1"),
        ("any.example.com", "0.0.0.0"),
        ("metadata.example.com", "169.254.169.254"),
        ("metadata6.example.com", "fd00:ec2::254"),
        ("unique.example.com", "fd12::1"),
        ("link.example.com", "fe80::1"),
        ("mapped.example.com", "::ffff:10.0.0.1"),
        ("translated.example.com", "64:ff9b::a00:1"),
        ("host.example.com", Internet::HOST[0]),
        ("host6.example.com", Internet::HOST[1]),
    ];
    let zone = addresses.map(|(name, address)| (name, Says::at(&[address])));
    let _names = NameServer::start(&zone);
    let web = Server::http("[::]:80", "outside");
    let host = internet.on_the_host(|| Server::http("[::]:80", "the host's own"));
    let hosts: Vec<&str> = addresses.iter().map(|(name, _)| *name).collect();
    let script = format!(
        "for host in {}; do curl -s -S --max-time 5 http://$host/ 2>&1 && exit 9; done; exit 0",
        hosts.join(" ")
    );

    let ended = reaching(runner, &["*.example.com:80"]).shell(&script).run();

    let _printed = ended.printed();
    assert_eq!((web.visits(), host.visits()), (vec![], vec![]), "{}", ended.told());
    for (name, address) in addresses {
        let refused = ended.report.refused_hosts();
        let canonical = address.strip_prefix("::ffff:").unwrap_or(address);
        let told =
            refused.iter().any(|line| line.starts_with("resolve ") && line.contains(name) && line.contains(canonical));
        assert!(told, "{name} {address}: {refused:#?}");
    }
}

fn a_rule_that_names_range_and_port_permits_a_private_name(runner: &Runner, internet: &Internet) {
    let _names = NameServer::start(&[
        ("db.example.com", Says::at(&["10.1.2.3"])),
        ("host.example.com", Says::at(&["127.0.0.1"])),
    ]);
    let (web, other) = (Server::http("[::]:80", "db"), Server::http("[::]:81", "not"));
    let host = internet.on_the_host(|| Server::http("127.0.0.1:82", "host"));
    let script = "curl -sS http://db.example.com/ && curl -sS http://host.example.com:82/; \
                  curl -sS http://db.example.com:81/; curl -sS http://10.2.0.1/; curl -sS http://10.1.0.1/";
    let rules = ["db.example.com:80-81", "10.1.0.0/16:80", "host.example.com:82", "127.0.0.1:82"];

    let ended = reaching(runner, &rules).shell(script).run();

    assert_eq!(ended.printed(), "dbhostdb", "{}", ended.told());
    assert_eq!((web.visits(), other.visits().len()), (vec!["10.1.2.3".to_owned(), "10.1.0.1".to_owned()], 0));
    assert_eq!(host.visits().len(), 1);
}

fn of_mixed_answers_the_public_ones_count(runner: &Runner, _: &Internet) {
    let mixed = ["10.0.0.1", "93.184.216.1", "169.254.169.254", "127.0.0.1", "fd00::7", V6];
    let _names = NameServer::start(&[("www.example.com", Says::at(&mixed))]);
    let web = Server::http("[::]:80", "here");
    let job = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(LOOK_UP);

    let told = job.arguments(["www.example.com"]).run();
    let ended = reaching(runner, &["www.example.com:80"]).shell("curl -4 -sS http://www.example.com/").run();

    assert_eq!(told.printed(), format!("www.example.com {V6} 93.184.216.1\n"));
    assert_eq!((ended.printed().as_str(), web.visits()), ("here", vec!["93.184.216.1".to_owned()]));
}

fn a_mapped_address_is_the_address_that_it_maps(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[
        ("good.example.com", Says::at(&["::ffff:93.184.216.1"])),
        ("bad.example.com", Says::at(&["::ffff:169.254.169.254"])),
    ]);
    let web = Server::http("[::]:80", "here");
    let script =
        "curl -sS --max-time 5 http://good.example.com/; curl -sS --max-time 5 http://bad.example.com/; exit 0";

    let ended = reaching(runner, &["*.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "here", "{}", ended.told());
    assert_eq!(web.visits(), ["93.184.216.1"]);
    assert_eq!(ended.report.connections(), ["good.example.com 93.184.216.1:80 connected"]);
}

fn an_alias_leads_to_its_addresses_whatever_its_name_is(runner: &Runner, _: &Internet) {
    let public = vec!["93.184.216.1".parse().expect("an address")];
    let private = vec!["10.0.0.1".parse().expect("an address")];
    let names = NameServer::start(&[
        ("www.example.com", Says::Aliases(vec!["a.cdn.example", "b.cdn.example", "c.cdn.example"], public)),
        ("evil.example.com", Says::Aliases(vec!["localhost", "intern.example"], private)),
        ("circle.example.com", Says::Aliases(vec!["a.example", "b.example", "a.example"], vec![])),
    ]);
    let web = Server::http("[::]:80", "here");
    let script = "curl -4 -sS http://www.example.com/; for host in evil.example.com circle.example.com a.cdn.example; do \
                  curl -4 -sS --max-time 5 http://$host/ 2>/dev/null; echo $?; done";

    let ended = reaching(runner, &["*.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "here6\n6\n6\n", "{}", ended.told());
    assert_eq!(web.visits(), ["93.184.216.1"]);
    assert_eq!(names.names_asked(), ["circle.example.com", "evil.example.com", "www.example.com"]);
    assert_eq!(ended.report.connections(), ["www.example.com 93.184.216.1:80 connected"]);
}

fn records_of_another_name_do_not_count(runner: &Runner, _: &Internet) {
    let address = vec!["93.184.216.1".parse().expect("an address")];
    let _names = NameServer::start(&[("www.example.com", Says::OfAnother(address))]);
    let web = Server::http("[::]:80", "here");
    let script = "curl -sS --max-time 5 http://www.example.com/; curl -sS http://93.184.216.1/; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!((ended.printed().as_str(), web.visits().len()), ("", 0), "{}", ended.told());
}

fn an_answer_too_long_for_a_datagram_is_asked_for_by_tcp(runner: &Runner, _: &Internet) {
    let address = vec!["93.184.216.1".parse().expect("an address")];
    let names = NameServer::start(&[("www.example.com", Says::Truncated(address))]);
    let _web = Server::http("[::]:80", "here");

    let ended = reaching(runner, &["www.example.com:80"]).shell("curl -4 -sS http://www.example.com/").run();

    assert_eq!(ended.printed(), "here", "{}", ended.told());
    assert!(names.asked().contains(&"www.example.com A tcp".to_owned()), "{:?}", names.asked());
}

fn a_hundred_addresses_are_told(runner: &Runner, _: &Internet) {
    let addresses: Vec<String> = (1..=100).map(|last| format!("93.184.216.{last}")).collect();
    let texts: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let _names = NameServer::start(&[("www.example.com", Says::at(&texts))]);
    let web = Server::http("[::]:80", "here");
    let program = "import socket, urllib.request; \
                   print(len(socket.getaddrinfo('www.example.com', 80, type=socket.SOCK_STREAM))); \
                   print(urllib.request.urlopen('http://93.184.216.77/').read())";
    // By address only after it was told.
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "100\nb'here'\n", "{}", ended.told());
    assert_eq!(web.visits(), ["93.184.216.77"]);
}

fn a_name_with_one_kind_of_address_is_reached(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("four.example.com", Says::at(&[V4])), ("six.example.com", Says::at(&[V6]))]);
    let web = Server::http("[::]:80", "here");
    let script = "curl -sS http://four.example.com/; curl -sS http://six.example.com/; \
                  curl -4 -sS http://six.example.com/ 2>/dev/null; echo $?";

    let ended = reaching(runner, &["*.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "herehere6\n", "{}", ended.told());
    assert_eq!(web.visits(), [V4, V6]);
}

fn a_forged_answer_is_not_believed(runner: &Runner, _: &Internet) {
    let forged = "93.184.216.66".parse().expect("an address");
    let real = vec!["93.184.216.1".parse().expect("an address")];
    let _names = NameServer::start(&[("www.example.com", Says::Forged(forged, real))]);
    let web = Server::http("[::]:80", "here");

    let ended = reaching(runner, &["www.example.com:80"]).shell("curl -4 -sS http://www.example.com/").run();

    assert_eq!((ended.printed().as_str(), web.visits()), ("here", vec!["93.184.216.1".to_owned()]));
}

fn a_late_answer_is_waited_for(runner: &Runner, _: &Internet) {
    let address = vec!["93.184.216.1".parse().expect("an address")];
    let _names = NameServer::start(&[("www.example.com", Says::Late(Duration::from_millis(1500), address))]);
    let _web = Server::http("[::]:80", "here");

    let ended = reaching(runner, &["www.example.com:80"]).shell("curl -4 -sS http://www.example.com/").run();

    assert_eq!(ended.printed(), "here", "{}", ended.told());
    assert!(ended.took >= Duration::from_millis(1400));
}

fn a_name_that_does_not_exist_is_told_so(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[]);
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(FAIL).run();

    ended.expect("exit", EXIT_NO_NAME);
    assert_eq!(ended.report.names(), ["www.example.com  there is no `www.example.com`"]);
}

fn a_name_server_that_fails_is_in_the_report(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("www.example.com", Says::Failed)]);
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(FAIL).run();

    ended.expect("exit", EXIT_AGAIN);
    let told = "no name server could say where `www.example.com` is: 9.9.9.9 refused or failed";
    assert_eq!(ended.report.names(), [format!("www.example.com  {told}")]);
}

fn a_name_server_that_is_down_is_in_the_report(runner: &Runner, _: &Internet) {
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(FAIL).run();

    ended.expect("exit", EXIT_AGAIN);
    let told = &ended.report.names()[0];
    assert!(told.contains("9.9.9.9") && told.contains("Connection refused"), "{told}");
    assert!(ended.took < Duration::from_secs(10), "it took {:?}", ended.took);
}

fn a_name_server_that_is_silent_is_in_the_report_and_waited_for_a_bounded_time(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("www.example.com", Says::Nothing)]);
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(FAIL).run();

    ended.expect("exit", EXIT_AGAIN);
    assert_eq!(ended.report.names(), ["www.example.com  no name server answered for `www.example.com` in time"]);
    // Two attempts of five seconds each.
    assert!(ended.took < Duration::from_secs(15), "it took {:?}", ended.took);
}

fn the_second_name_server_is_asked_where_the_first_is_down(runner: &Runner, _: &Internet) {
    let second = NameServer::at("9.9.9.10:5353", &zone());
    let _web = Server::http("[::]:80", "here");
    let text = "extends = \"default\"\n[net]\nallow = [\"www.example.com:80\"]\n\
                name-servers = [\"9.9.9.9\", \"9.9.9.10:5353\"]\n";

    let ended = job(runner).policy(text).shell("curl -4 -sS http://www.example.com/").run();

    assert_eq!(ended.printed(), "here", "{}", ended.told());
    assert_eq!(second.names_asked(), ["www.example.com"]);
}

fn the_job_asks_by_tcp_too(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let program = "
import socket, struct
name = b'\\3www\\7example\\3com\\0'
question = struct.pack('>6H', 9, 0x100, 1, 0, 0, 0) + name + struct.pack('>HH', 1, 1)
server = socket.create_connection(('127.0.0.1', 53))
for _ in range(3):
    server.sendall(struct.pack('>H', len(question)) + question)
    length = struct.unpack('>H', server.recv(2))[0]
    answer = server.recv(length)
    print(length == len(answer), socket.inet_ntoa(answer[-4:]))
";
    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), format!("True {V4}\n").repeat(3), "{}", ended.told());
}

fn spelled_variants_of_a_host_are_that_host(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "+");
    let variants = ["www.example.com.", "WWW.EXAMPLE.COM", "wWw.ExAmPlE.cOm."];
    // 10.1.2.3 by curl and by the C library.
    let numbers = ["10.1.2.3", "10.1.515", "10.66051", "0xa010203", "167838211", "0012.1.2.3", "0xa.0x1.0x2.0x3"];
    let others =
        ["10.1.2.4", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "127.1", "0x7f000001", "2130706433", "0"];
    let script = format!(
        "for host in {} {}; do curl -4 -sS http://$host/; done; echo; \
         for host in {}; do curl -sS --max-time 5 http://$host/ 2>/dev/null; done; exit 0",
        variants.join(" "),
        numbers.join(" "),
        others.join(" ")
    );
    let program = "
import socket, sys
for host in sys.argv[1:]:
    try: socket.create_connection((host, 80), 5).close(); print('+', end='')
    except OSError: print('-', end='')
";
    let rules = ["www.example.com:80", "10.1.2.3:80"];

    let by_curl = reaching(runner, &rules).shell(&script).run();
    let by_c = reaching(runner, &rules).command(PYTHON).argument(program).arguments(numbers).arguments(others).run();

    assert_eq!(by_curl.printed(), "++++++++++\n", "{}", by_curl.told());
    assert_eq!(by_c.printed(), "+++++++--------", "{}", by_c.told());
    let expected = [vec![V4; 3], vec!["10.1.2.3"; 14]].concat();
    assert_eq!(web.visits(), expected);
    assert_eq!(names.names_asked(), ["www.example.com"]);
}

fn the_files_of_names_are_ours(runner: &Runner, _: &Internet) {
    let script = "cat /etc/resolv.conf /etc/hosts /etc/nsswitch.conf; for file in resolv.conf hosts nsswitch.conf; do \
                  echo x >> /etc/$file; done 2>/dev/null; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    let expected = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n127.0.0.1 localhost job\n::1 localhost\n\
                    passwd: files\ngroup: files\nhosts: files dns\n";
    assert_eq!(ended.printed().replace('\t', " "), expected);
}

/// Without servers of the policy's, those of the host's resolv.conf(5) are asked, after its hosts(5).
fn the_hosts_own_files_of_names_are_used(runner: &Runner, _: &Internet) {
    let names = NameServer::at("9.9.9.11:53", &zone());
    let web = Server::http("[::]:80", "here");
    runner.put("resolv.conf", "nameserver 9.9.9.11\n");
    runner.put("hosts", "93.184.216.99 known.example.com\n10.0.0.1 private.example.com\n");
    let script = "curl -4 -sS http://www.example.com/; curl -sS http://known.example.com/; \
                  curl -s http://private.example.com/; echo $?; cat /etc/hosts";
    let job = job(runner).options(["--net", "*.example.com:80"]).shell(script);
    let words: Vec<String> = job.words().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = std::process::Command::new("unshare");
    let bind = "mount --bind resolv.conf /etc/resolv.conf && mount --bind hosts /etc/hosts && exec \"$@\"";
    command.current_dir(runner.work()).args(["--mount", "sh", "-c", bind, "sh"]).args(words);

    let ran = lazaret_e2e::finish(&mut command, b"", lazaret_e2e::PATIENCE);

    assert!(ran.stdout().starts_with("herehere6\n127.0.0.1"), "{ran}");
    assert!(!ran.stdout().contains("known"), "{ran}");
    assert_eq!(
        (web.visits(), names.names_asked()),
        (vec![V4.into(), "93.184.216.99".into()], vec!["www.example.com".into()])
    );
}

/// A root directory that shows the host's programs, and a policy with it.
fn root(runner: &Runner, allow: &[&str]) -> (PathBuf, String) {
    let root = runner.path("root");
    for directory in ["usr", "etc/ssl/certs", "job", "tmp", "proc", "dev"] {
        fs::create_dir_all(root.join(directory)).expect("a directory can be made");
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).expect("a link can be made");
    }
    // What others are mounted on.
    for file in ["ssl/openssl.cnf", "services", "gai.conf"] {
        fs::write(root.join("etc").join(file), "").expect("a file can be written");
    }
    let more = format!(
        "[files]\nroot = {{ directory = {root:?} }}\n\
         [remove]\nread = [\"/etc/localtime\", \"/etc/ld.so.cache\", \"/etc/alternatives\"]\n"
    );
    (root, policy(allow, &more))
}

fn a_root_without_files_of_names_asks_us_too(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let (_, text) = root(runner, &["www.example.com:80"]);

    let ended = job(runner).policy(&text).shell("ls /etc/resolv.conf 2>&1; curl -4 -sS http://www.example.com/").run();

    assert!(ended.printed().ends_with("here"), "{}", ended.told());
    assert_eq!(web.visits(), [V4]);
}

/// That is what counts then; and its name servers are out of reach.
fn a_root_with_files_of_names_keeps_them_and_resolves_nothing(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let (root, text) = root(runner, &["www.example.com:80"]);
    fs::write(root.join("etc/resolv.conf"), format!("nameserver {}\n", NameServer::ADDRESS.trim_end_matches(":53")))
        .expect("a file can be written");

    let ended = job(runner).policy(&text).shell("cat /etc/resolv.conf; curl -s http://www.example.com/; echo $?").run();

    assert_eq!(ended.printed(), "nameserver 9.9.9.9\n6\n", "{}", ended.told());
    assert_eq!(names.asked(), Vec::<String>::new());
}

fn a_bind_of_etc_keeps_the_hosts_files_of_names_and_resolves_nothing(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let text = policy(&["www.example.com:80"], "[files]\nread = [\"/etc\"]\n");
    let script = "cmp /etc/resolv.conf /job/resolv.conf; curl -s --max-time 5 http://www.example.com/; echo $?";

    let ended = job(runner).policy(&text).options(["--in", "/etc/resolv.conf"]).shell(script).run();

    assert!(["6\n", "28\n"].contains(&ended.printed().as_str()), "{}", ended.told());
    assert_eq!(names.asked(), Vec::<String>::new());
}
