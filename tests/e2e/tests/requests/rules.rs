//! What is permitted, and what comes around that does not pass.

use crate::job::{Job, job};
use crate::stage::{PYTHON, Told as _, V4, policy};
use crate::web::{Answer, Authority, ORGANIZATION, Web, Worth};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![
    method_host_and_path_decide,
    the_host_header_of_another_host_is_refused,
    tls_for_another_name_is_refused,
    connect_trace_and_other_framings_are_refused,
    what_is_not_http_is_not_sent_on,
    a_job_cannot_speak_tls_past_a_rule_in_the_clear,
    a_rule_on_a_host_beside_is_not_looked_into,
    the_port_that_serves_requests_gives_nothing_to_whoever_comes_by_itself,
    a_rule_on_an_address_reaches_the_hosts_own_loopback,
    a_name_that_is_private_is_not_reached_by_its_requests,
    the_certificates_are_named_by_variables_unless_the_policy_does,
    the_jobs_authority_speaks_for_its_hosts_alone,
    a_rule_that_a_rule_on_hosts_covers_is_an_error_that_names_both,
];

const TWO: [&str; 2] = ["api.example.com", "www.example.com"];

fn names() -> NameServer {
    NameServer::start(&[("api.example.com", Says::at(&[V4])), ("www.example.com", Says::at(&["93.184.216.35"]))])
}

fn secure(authority: &Authority) -> Web {
    Web::https("[::]:443", (authority, &TWO, Worth::Good), |target| Answer::of(format!("here is {target}\n")))
}

fn reaching<'a>(runner: &'a Runner, authority: &Authority, allow: &[&str]) -> Job<'a> {
    job(runner).policy(&policy(allow, &authority.trusted(runner)))
}

/// Prints the status of what curl gets with each line of arguments.
fn statuses(arguments: &[&str]) -> String {
    let one = |arguments: &&str| format!("curl -s -o /dev/null --max-time 10 -w '%{{http_code}}\\n' {arguments}; ");
    arguments.iter().map(one).collect::<String>() + "true"
}

fn method_host_and_path_decide(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let (web, plain) = (secure(&authority), Web::http("[::]:80", |_| Answer::of("here\n")));
    let script = statuses(&[
        "https://api.example.com/v1/a",
        "https://api.example.com/v1/",
        "-X POST -d x https://api.example.com/v1/a",
        "-I https://api.example.com/v1/a",
        "https://api.example.com/v10",
        "https://api.example.com/",
        "--path-as-is https://api.example.com/v1/../admin",
        "--path-as-is https://api.example.com/v1/%2e%2e/admin",
        "https://api.example.com/v1%2fadmin",
        "-X PUT -d x https://www.example.com/items/7",
        "-X PUT -d x https://www.example.com/items/7/more",
        "http://api.example.com/status",
        "http://api.example.com/v1/a",
    ]);
    let allow =
        ["GET https://api.example.com/v1/*", "PUT https://www.example.com/items/7", "* http://api.example.com/status"];

    let ended = reaching(runner, &authority, &allow).shell(&script).run();

    let printed = ended.printed();
    let got: Vec<&str> = printed.lines().collect();
    let expected = ["200", "200", "403", "403", "403", "403", "403", "403", "403", "200", "403", "200", "403"];
    assert_eq!(got, expected, "{}", ended.told());
    assert_eq!(web.asked(), ["GET /v1/a api.example.com", "GET /v1/ api.example.com", "PUT /items/7 www.example.com"]);
    assert_eq!(plain.asked(), ["GET /status api.example.com"]);
}

fn the_host_header_of_another_host_is_refused(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = secure(&authority);
    let script = statuses(&[
        "-H 'Host: www.example.com' https://api.example.com/v1/a",
        "-H 'Host: internal' https://api.example.com/v1/a",
        "-H 'Host: api.example.com:8443' https://api.example.com/v1/a",
        "-H 'Host: API.example.com.' https://api.example.com/v1/a",
    ]);
    let allow = ["GET https://api.example.com/v1/*", "GET https://www.example.com/*"];

    let ended = reaching(runner, &authority, &allow).shell(&script).run();

    assert_eq!(ended.printed(), "403\n403\n403\n200\n", "{}", ended.told());
    assert_eq!(web.asked(), ["GET /v1/a api.example.com"], "the host is the rule's");
}

fn tls_for_another_name_is_refused(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = secure(&authority);
    // To the one host's address with the other's name, and with none.
    let program = "
import socket, ssl
def shake(name):
    context = ssl.create_default_context()
    context.check_hostname = False
    try:
        with socket.create_connection(('api.example.com', 443)) as tcp, context.wrap_socket(tcp, server_hostname=name) as tls:
            return 'spoke'
    except ssl.SSLError as error: return 'alert'
print(shake('www.example.com'), shake(None), shake('internal'), shake('api.example.com'))
";
    let allow = ["GET https://api.example.com/v1/*", "GET https://www.example.com/*"];

    let ended = reaching(runner, &authority, &allow).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "alert alert alert spoke\n", "{}", ended.told());
    assert_eq!(web.server.visits(), Vec::<String>::new(), "nothing was asked for");
    let refused = ended.report.refused_hosts();
    let told = |part: &str| refused.iter().any(|refused| refused.starts_with("request ") && refused.contains(part));
    assert!(told("TLS is asked for `www.example.com`") && told("without a server's name"), "{refused:?}");
}

fn connect_trace_and_other_framings_are_refused(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let plain = Web::http("[::]:80", |_| Answer::of("here\n"));
    let program = r#"
import socket
def say(text):
    with socket.create_connection(('api.example.com', 80)) as tcp:
        tcp.settimeout(10)
        tcp.sendall(text.replace('\n', '\r\n').encode())
        answer = b''
        while got := tcp.recv(4096): answer += got
        return [line.split()[1].decode() for line in answer.split(b'\r\n') if line.startswith(b'HTTP/')]
host = 'Host: api.example.com\nConnection: close\n'
print(say('CONNECT internal:22 HTTP/1.1\nHost: internal:22\nConnection: close\n\n'))
print(say('TRACE / HTTP/1.1\n' + host + '\n'))
print(say('GET http://internal/ HTTP/1.1\n' + host + '\n'))
print(say('POST / HTTP/1.1\n' + host + 'Content-Length: 3\nTransfer-Encoding: chunked\n\n0\n\nGET /x HTTP/1.1\n' + host + '\n'))
print(say('GET / HTTP/1.1\n' + host + '\n'))
"#;
    let ended = reaching(runner, &authority, &["* http://api.example.com/*"]).command(PYTHON).argument(program).run();

    let printed = ended.printed();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines[1], lines[2], lines[4]), ("['403']", "['403']", "['403']", "['200']"), "{printed}");
    assert!(["['403']", "['400']"].contains(&lines[3]), "one answer, and it is no: {printed}");
    assert_eq!(plain.asked(), ["GET / api.example.com"]);
}

fn what_is_not_http_is_not_sent_on(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let plain = Server::echo("[::]:80");
    let program = "
import socket
with socket.create_connection(('api.example.com', 80)) as tcp:
    tcp.settimeout(10)
    tcp.sendall(b'SSH-2.0-anything at all\\r\\n')
    print(b'SSH' in tcp.recv(4096))
";
    let ended = reaching(runner, &authority, &["* http://api.example.com/*"]).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "False\n", "{}", ended.told());
    assert_eq!(plain.visits(), Vec::<String>::new());
}

fn a_job_cannot_speak_tls_past_a_rule_in_the_clear(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = Web::https("[::]:80", (&authority, &TWO, Worth::Good), |_| Answer::of("here\n"));
    let script = statuses(&["-k https://api.example.com:80/"]);

    let ended = reaching(runner, &authority, &["* http://api.example.com/*"]).shell(&script).run();

    assert_eq!(ended.printed(), "000\n", "{}", ended.told());
    assert_eq!(web.server.visits(), Vec::<String>::new());
}

fn a_rule_on_a_host_beside_is_not_looked_into(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = secure(&authority);
    let program = "
import http.client, ssl
for host in ('api.example.com', 'www.example.com'):
    connection = http.client.HTTPSConnection(host)
    connection.request('DELETE' if host.startswith('www') else 'GET', '/v1/a')
    issuer = dict(part for parts in connection.sock.getpeercert()['issuer'] for part in parts)['organizationName']
    print(host, issuer, connection.getresponse().status)
";
    let allow = ["GET https://api.example.com/v1/*", "www.example.com:443"];

    let ended = reaching(runner, &authority, &allow).command(PYTHON).argument(program).run();

    let expected = format!("api.example.com Lazaret: this job's requests 200\nwww.example.com {ORGANIZATION} 200\n");
    assert_eq!(ended.printed(), expected, "{}", ended.told());
    assert_eq!(web.asked(), ["GET /v1/a api.example.com", "DELETE /v1/a www.example.com"]);
    let requests = ended.report.at("/network/requests").as_array().map(Vec::len);
    assert_eq!((requests, ended.report.connections().len()), (Some(1), 2), "{}", ended.told());
}

fn the_port_that_serves_requests_gives_nothing_to_whoever_comes_by_itself(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let web = secure(&authority);
    let plain = Web::http("[::]:80", |_| Answer::of("here\n"));
    // The other end of a request's connection, as the job sees it, or as /proc tells it; then all that listens.
    let program = "
import socket
one = socket.create_connection(('api.example.com', 80))
places = {one.getpeername()[:2]}
for file in ('/proc/net/tcp', '/proc/net/tcp6'):
    try: lines = open(file).read().splitlines()[1:]
    except OSError: continue
    places |= {('127.0.0.1', int(line.split()[2].split(':')[1], 16)) for line in lines}
    places |= {('127.0.0.1', int(line.split()[1].split(':')[1], 16)) for line in lines}
places |= {('127.0.0.1', port) for port in range(32768, 61000)} if len(places) == 1 else set()
got = []
for place in places:
    try:
        with socket.create_connection(place, 5) as tcp:
            if tcp.getsockname()[1] == one.getsockname()[1]: continue
            tcp.settimeout(5)
            tcp.sendall(b'GET / HTTP/1.1\\r\\nHost: api.example.com\\r\\nConnection: close\\r\\n\\r\\n')
            got.append(tcp.recv(100))
    except OSError: pass
print([answer for answer in got if answer])
one.sendall(b'GET / HTTP/1.1\\r\\nHost: api.example.com\\r\\nConnection: close\\r\\n\\r\\n')
print(one.recv(12))
";
    let allow = ["* http://api.example.com/", "GET https://api.example.com/"];

    let ended = reaching(runner, &authority, &allow).limit("wall=60s").command(PYTHON).argument(program).run();

    // The first answer may be that of the permitted address itself, connected to once more, which is no way around.
    let printed = ended.printed();
    assert!(printed.ends_with("b'HTTP/1.1 200'\n"), "{}", ended.told());
    assert!(plain.asked().iter().all(|asked| asked == "GET / api.example.com"), "{:?}", plain.asked());
    assert!(plain.asked().len() <= 2 && web.asked().is_empty(), "{:?} {}", plain.asked(), ended.told());
}

fn a_rule_on_an_address_reaches_the_hosts_own_loopback(runner: &Runner, internet: &Internet) {
    let authority = Authority::new();
    let own = internet.on_the_host(|| {
        [
            Web::http("127.0.0.1:8080", |target| Answer::of(format!("own {target}\n"))),
            Web::https("127.0.0.1:8443", (&authority, &["127.0.0.1"], Worth::Good), |_| Answer::of("own tls\n")),
        ]
    });
    let script = "curl -sS http://127.0.0.1:8080/a https://127.0.0.1:8443/b; ".to_owned()
        + &statuses(&["http://127.0.0.1:8080/b", "http://127.0.0.1:8081/a"]);
    let allow = ["GET http://127.0.0.1:8080/a", "GET https://127.0.0.1:8443/*"];

    let ended = reaching(runner, &authority, &allow).shell(&script).run();

    assert_eq!(ended.printed(), "own /a\nown tls\n403\n000\n", "{}", ended.told());
    assert_eq!(own[0].asked(), ["GET /a 127.0.0.1:8080"]);
}

fn a_name_that_is_private_is_not_reached_by_its_requests(runner: &Runner, internet: &Internet) {
    let zone = [("api.example.com", Says::at(&["127.0.0.1"])), ("www.example.com", Says::at(&["10.1.2.3"]))];
    let (_names, authority) = (NameServer::start(&zone), Authority::new());
    let web = Web::http("[::]:80", |_| Answer::of("here\n"));
    let own = internet.on_the_host(|| Web::http("127.0.0.1:80", |_| Answer::of("own\n")));
    let script = statuses(&["http://api.example.com/", "http://www.example.com/", "http://169.254.169.254/"]);
    let allow = ["* http://api.example.com/*", "* http://www.example.com/*"];

    let ended = reaching(runner, &authority, &allow).shell(&script).run();

    assert_eq!(ended.printed(), "000\n000\n000\n", "{}", ended.told());
    assert_eq!([web.server.visits(), own.server.visits()], [Vec::<String>::new(), Vec::new()]);
}

fn the_certificates_are_named_by_variables_unless_the_policy_does(runner: &Runner, _: &Internet) {
    let authority = Authority::new();
    let more = authority.trusted(runner) + "[environment]\nset = { CURL_CA_BUNDLE = \"/job/own.pem\" }\n";
    let script =
        "grep -c BEGIN /job/.lazaret-certificates.pem; echo $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS $CURL_CA_BUNDLE";

    let with = job(runner).policy(&policy(&["GET https://api.example.com/"], &more)).shell(script).run();
    let without = job(runner).policy(&policy(&["api.example.com:443"], "")).shell("env; ls -a /job").run();

    let printed = with.printed();
    let (count, variables) = printed.split_once('\n').expect("two lines");
    let of_host = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    assert_eq!(count.parse(), Ok(of_host.matches("BEGIN").count() + 2), "the host's, the policy's and the job's own");
    let own = "/job/.lazaret-certificates.pem";
    assert_eq!(variables, format!("{own} {own} /job/own.pem\n"));
    let printed = without.printed();
    assert!(!printed.contains("CERT") && !printed.contains(".lazaret"), "{printed}");
}

fn the_jobs_authority_speaks_for_its_hosts_alone(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let _web = secure(&authority);
    let script = "cat /job/.lazaret-certificates.pem > all; csplit -s -z -n 4 all '/BEGIN/' '{*}'; \
                  openssl x509 -noout -ext nameConstraints,basicConstraints -in $(ls xx* | tail -n 1); ls -a | grep -c key";

    let ended = reaching(runner, &authority, &["GET https://api.example.com/"]).shell(script).run();

    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(printed.contains("DNS:api.example.com") && printed.contains("IP:0.0.0.0/0.0.0.0"), "{}", ended.told());
    assert!(printed.contains("pathlen:0") && printed.ends_with("0\n"), "{}", ended.told());
}

fn a_rule_that_a_rule_on_hosts_covers_is_an_error_that_names_both(runner: &Runner, _: &Internet) {
    let allow = ["*.example.com:443", "GET https://api.example.com/v1/*"];

    let ended = job(runner).policy(&policy(&allow, "")).shell("true").run();

    ended.expect_error(&["`GET https://api.example.com/v1/*`", "`*.example.com:443`", "policy.toml:"]);
}
