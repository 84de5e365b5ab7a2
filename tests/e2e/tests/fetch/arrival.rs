//! What arrives.

use crate::job::job;
use crate::web::{Answer, Authority, Web, Worth};
use crate::{entry, fetching, policy};
use lazaret_e2e::{Internet, NameServer, Runner, Says, Server, as_root_and_user_in_an_internet};

as_root_and_user_in_an_internet![
    what_is_fetched_is_a_file_of_the_jobs_and_in_the_report,
    the_tier_seccomp_fetches_too,
    the_option_fetches,
    over_tls_the_policys_authorities_are_believed,
    redirects_are_followed_where_a_rule_permits_their_host,
    several_files_are_fetched,
    a_rule_that_names_the_address_has_a_private_one_fetched,
    the_job_itself_has_no_network,
    what_the_job_does_to_it_changes_nothing_outside,
    a_name_that_an_input_has_is_an_error,
];

const V4: &str = "93.184.216.34";

fn names() -> NameServer {
    NameServer::start(&[("files.example.com", Says::at(&[V4])), ("cdn.example.com", Says::at(&["93.184.216.35"]))])
}

fn what_is_fetched_is_a_file_of_the_jobs_and_in_the_report(runner: &Runner, _: &Internet) {
    let (_names, web) = (names(), Web::http("[::]:80", |_| Answer::of("content").header("Content-Type", "text/plain")));
    let url = "http://files.example.com/a/b?token=hidden-word";

    let ended = fetching(runner, url, "types = [\"text/*\"]").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"content");
    assert_eq!(web.asked(), ["GET /a/b?token=hidden-word files.example.com"]);
    let fetched = ended.report.at("/fetched/0");
    let part = |key: &str| fetched[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        [part("to"), part("url"), part("address"), part("media_type")],
        ["file", "http://files.example.com/a/b", V4, "text/plain"],
        "{:#}",
        ended.report.0
    );
    assert_eq!(fetched["bytes"], 7);
    assert!(!ended.report.0.to_string().contains("hidden-word"), "{:#}", ended.report.0);
}

fn the_tier_seccomp_fetches_too(runner: &Runner, _: &Internet) {
    let (_names, _web) = (names(), Web::http("[::]:80", |_| Answer::of("content")));

    let ended = fetching(runner, "http://files.example.com/", "").options(["--tier", "seccomp"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"content");
    assert_eq!(ended.report.at("/fetched/0/bytes"), 7);
}

fn the_option_fetches(runner: &Runner, _: &Internet) {
    let (_names, _web) = (names(), Web::http("[::]:80", |_| Answer::of("content")));
    let job = job(runner).policy(&policy("", "")).options(["--fetch", "name.txt=http://files.example.com/"]);

    let ended = job.shell("cat name.txt").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"content");
}

fn over_tls_the_policys_authorities_are_believed(runner: &Runner, _: &Internet) {
    let (_names, authority) = (names(), Authority::new());
    let _web = Web::https("[::]:443", (&authority, &["files.example.com"], Worth::Good), |_| Answer::of("content"));
    let policy = policy(&authority.trusted(runner), &entry("https://files.example.com/", ""));

    let ended = job(runner).policy(&policy).shell("cat file; ls -A").run();

    ended.expect("ok", 0);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "contentfile\n", "and the job gets no certificates");
}

fn redirects_are_followed_where_a_rule_permits_their_host(runner: &Runner, _: &Internet) {
    let _names = names();
    let web = Web::http("[::]:80", |target| match target {
        "/start" => Answer::to("/next?token=hidden-word"),
        "/next?token=hidden-word" => Answer::to("http://cdn.example.com/end"),
        _ => Answer::of("content"),
    });
    let url = "http://files.example.com/start";

    let with = fetching(runner, url, "allow = [\"cdn.example.com:80\"]").run();
    let without = fetching(runner, url, "").run();

    with.expect("ok", 0);
    assert_eq!(with.stdout, b"content");
    let fetched = with.report.at("/fetched/0");
    assert_eq!(fetched["url"], "http://cdn.example.com/end");
    assert_eq!(fetched["redirects"], serde_json::json!([url, "http://files.example.com/next"]));
    without.expect_error(&["`file`", "no rule permits `GET http://cdn.example.com/end`"]);
    assert_eq!(web.asked().iter().filter(|asked| asked.contains("cdn")).count(), 1, "{:?}", web.asked());
}

fn several_files_are_fetched(runner: &Runner, _: &Internet) {
    let (_names, _web) = (names(), Web::http("[::]:80", |target| Answer::of(target)));
    let one = entry("http://files.example.com/1", "");
    let two = entry("http://cdn.example.com/2", "").replace("\"file\"", "\"other\"");

    let ended = job(runner).policy(&policy("", &(one + &two))).shell("cat file other").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"/1/2");
    assert_eq!(ended.report["fetched"].as_array().map(Vec::len), Some(2));
}

fn a_rule_that_names_the_address_has_a_private_one_fetched(runner: &Runner, _: &Internet) {
    let _names = NameServer::start(&[("files.example.com", Says::at(&["10.1.2.3"]))]);
    let web = Web::http("[::]:80", |_| Answer::of("content"));

    let by_address = fetching(runner, "http://10.1.2.4/", "").run();
    let by_name = fetching(runner, "http://files.example.com/", "allow = [\"10.0.0.0/8:80\"]").run();

    by_address.expect("ok", 0);
    by_name.expect("ok", 0);
    assert_eq!(web.server.visits(), ["10.1.2.4", "10.1.2.3"]);
}

fn the_job_itself_has_no_network(runner: &Runner, _: &Internet) {
    let (_names, web) = (names(), Web::http("[::]:80", |_| Answer::of("content")));
    let script = format!("cat file; curl -s --max-time 3 http://{V4}/; curl -s http://files.example.com/; true");
    for tier in ["jail", "seccomp"] {
        let ended = fetching(runner, "http://files.example.com/", "").options(["--tier", tier]).shell(&script).run();

        assert_eq!(ended.stdout, b"content", "{tier}: {}", ended.stderr);
    }
    assert_eq!(web.server.visits().len(), 2, "once for each job, by Lazaret");
}

fn what_the_job_does_to_it_changes_nothing_outside(runner: &Runner, _: &Internet) {
    let (_names, _web) = (names(), Server::http("[::]:80", "content"));

    let ended = fetching(runner, "http://files.example.com/", "").shell("echo more >> file && cat file; rm file").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"contentmore\n");
    assert!(!runner.path("file").exists());
}

fn a_name_that_an_input_has_is_an_error(runner: &Runner, _: &Internet) {
    let (_names, _web) = (names(), Server::http("[::]:80", "content"));
    runner.put("file", "the input");

    let ended = fetching(runner, "http://files.example.com/", "").options(["--in", "file"]).run();

    ended.expect_error(&["`file`"]);
}
