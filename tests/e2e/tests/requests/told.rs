//! What the report and the terminal say of requests.

use crate::job::job;
use crate::stage::{Told as _, V4, policy};
use crate::web::{Answer, Authority, Web, Worth};
use lazaret_e2e::{Internet, NameServer, Report, Runner, Says, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![
    each_request_is_told_with_its_rule_and_without_its_query,
    each_refusal_is_told_without_its_query,
    a_server_whose_certificate_is_bad_is_502_and_told,
    a_server_that_is_down_is_502_and_told,
];

const RULE: &str = "GET,POST https://api.example.com/v1/*";

fn names() -> NameServer {
    NameServer::start(&[("api.example.com", Says::at(&[V4]))])
}

/// Each request: `GET https://api.example.com/v1/a 200 93.184.216.34`.
fn requests(report: &Report) -> Vec<String> {
    let requests = report.at("/network/requests").as_array();
    let text = |request: &serde_json::Value| {
        let text = |key: &str| request[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("request"), request["status"], text("address"))
    };
    requests.into_iter().flatten().map(text).collect()
}

fn each_request_is_told_with_its_rule_and_without_its_query(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let _web = Web::https("[::]:443", (&authority, &["api.example.com"], Worth::Good), |target| match target {
        "/v1/none" => Answer::status("404 Not Found"),
        _ => Answer::of([b'x'; 5000]),
    });
    let script = "curl -sS 'https://api.example.com/v1/a?token=hidden-word' | wc -c; \
                  curl -s https://api.example.com/v1/none; curl -sS -d 12345 https://api.example.com/v1/b | wc -c";

    let ended = job(runner).policy(&policy(&[RULE], &authority.trusted(runner))).shell(script).run();

    assert_eq!(ended.printed(), "5000\n5000\n", "{}", ended.told());
    let url = "https://api.example.com/v1";
    assert_eq!(
        requests(&ended.report),
        [format!("GET {url}/a 200 {V4}"), format!("GET {url}/none 404 {V4}"), format!("POST {url}/b 200 {V4}"),],
        "{}",
        ended.told()
    );
    let last = ended.report.at("/network/requests/2");
    assert_eq!((&last["rule"], &last["sent"], &last["received"]), (&RULE.into(), &5.into(), &5000.into()), "{last}");
    assert!(last["error"].is_null(), "{last}");
    // The command, which the report has too, is the caller's own.
    let told = ended.report["network"].to_string() + &ended.stderr;
    assert!(!told.contains("hidden-word"), "{told}");
}

fn each_refusal_is_told_without_its_query(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let script = "for i in 1 2; do curl -s -o /dev/null 'https://api.example.com/v2/x?token=hidden-word'; done; \
                  curl -s -o /dev/null -X DELETE https://api.example.com/v1/x; exit 3";

    let ended = job(runner).policy(&policy(&[RULE], &authority.trusted(runner))).shell(script).run();

    ended.expect("exit", 3);
    let refused = ended.report.at("/network/refused").as_array().cloned().unwrap_or_default();
    let told: Vec<String> = refused
        .iter()
        .map(|refused| format!("{} {} ×{}", refused["act"], refused["request"], refused["count"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        ["request GET https://api.example.com/v2/x ×2", "request DELETE https://api.example.com/v1/x ×1"],
        "{}",
        ended.told()
    );
    // The command, which the report has too, is the caller's own.
    let explained = runner.lazaret(&["explain", "../report.json"]);
    assert!(explained.stdout().contains("the request DELETE https://api.example.com/v1/x"), "{explained}");
    let told = ended.report["network"].to_string();
    assert!(!told.contains("hidden-word"), "{told}");
}

fn a_server_whose_certificate_is_bad_is_502_and_told(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let stranger = Authority::new();
    let bad = [
        ("81", (&authority, ["api.example.com"], Worth::Expired)),
        ("82", (&authority, ["other.example.com"], Worth::Good)),
        ("83", (&authority, ["api.example.com"], Worth::SelfSigned)),
        ("84", (&stranger, ["api.example.com"], Worth::Good)),
    ];
    let servers: Vec<Web> = bad
        .iter()
        .map(|(port, (authority, names, worth))| {
            Web::https(&format!("[::]:{port}"), (authority, &names[..], *worth), |_| Answer::of("here\n"))
        })
        .collect();
    let rules: Vec<String> = bad.iter().map(|(port, _)| format!("GET https://api.example.com:{port}/")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let script = "for port in 81 82 83 84; do \
                  curl -s -o /dev/null -w '%{http_code}\\n' https://api.example.com:$port/; done";

    let ended = job(runner).policy(&policy(&rules, &authority.trusted(runner))).shell(script).run();

    assert_eq!(ended.printed(), "502\n502\n502\n502\n", "{}", ended.told());
    assert!(servers.iter().all(|server| server.asked().is_empty()));
    let errors: Vec<String> = (0..4)
        .map(|at| ended.report.at(&format!("/network/requests/{at}/error")).as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(errors.iter().all(|error| error.contains("certificate")), "{errors:?}");
    assert!(errors[0].contains("expired"), "{errors:?}");
}

fn a_server_that_is_down_is_502_and_told(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let script = "curl -s -o /dev/null -w '%{http_code}\\n' https://api.example.com/v1/a";

    let ended = job(runner).policy(&policy(&[RULE], &authority.trusted(runner))).shell(script).run();

    assert_eq!(ended.printed(), "502\n", "{}", ended.told());
    let request = ended.report.at("/network/requests/0");
    assert!(request["status"].is_null() && request["error"].as_str().is_some_and(|why| why.contains("refused")));
    assert_eq!(ended.report.refused_hosts(), Vec::<String>::new());
}
