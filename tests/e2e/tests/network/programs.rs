//! Programs as they are, by name.

use crate::stage::{PYTHON, Told as _, V4, V6, reaching, zone};
use lazaret_e2e::{Internet, NameServer, Runner, Server, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![
    curl_reaches_the_host_and_port_that_a_rule_names_and_nothing_else,
    curl_reaches_it_by_either_kind_of_address,
    wget_reaches_it,
    python_reaches_it,
];

fn curl_reaches_the_host_and_port_that_a_rule_names_and_nothing_else(runner: &Runner, _: &Internet) {
    let names = NameServer::start(&zone());
    let (web, other) = (Server::http("[::]:80", "here"), Server::http("[::]:81", "not here"));
    let script = "curl -sS http://www.example.com/ && echo && \
                  for url in www.example.com:81 other.example.com 93.184.216.35 169.254.169.254 10.1.2.3 1.1.1.1 \
                  127.0.0.1 [::1] [2606:2800:220:1::249]; do curl -sS --max-time 5 http://$url/ 2>&1 && exit 9; done; exit 0";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert!(ended.printed().starts_with("here\n"), "{}", ended.told());
    assert_eq!((web.visits().len(), other.visits().len()), (1, 0), "{}", ended.told());
    assert_eq!(names.names_asked(), ["www.example.com"]);
    assert_eq!(ended.report.connections().len(), 1, "{}", ended.told());
}

fn curl_reaches_it_by_either_kind_of_address(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let script = "curl -4 -sS http://www.example.com/ && curl -6 -sS http://www.example.com/";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "herehere", "{}", ended.told());
    assert_eq!(web.visits(), [V4, V6]);
}

fn wget_reaches_it(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let web = Server::http("[::]:80", "here");
    let script = "wget -q -O - http://www.example.com/x; wget -q -T 5 -t 1 -O - http://other.example.com/; echo $?";

    let ended = reaching(runner, &["www.example.com:80"]).shell(script).run();

    assert_eq!(ended.printed(), "here4\n", "{}", ended.told());
    assert_eq!(web.visits().len(), 1);
}

fn python_reaches_it(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&zone());
    let _web = Server::http("[::]:80", "here");
    let program = "import urllib.request; print(urllib.request.urlopen('http://www.example.com/').read())";

    let ended = reaching(runner, &["www.example.com:80"]).command(PYTHON).argument(program).run();

    assert_eq!(ended.printed(), "b'here'\n", "{}", ended.told());
}
