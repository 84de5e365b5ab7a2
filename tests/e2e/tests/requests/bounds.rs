//! A job's bounds hold over its requests.

use crate::job::{Ended, job};
use crate::stage::{V4, policy};
use crate::web::{Answer, Authority, Web, Worth};
use lazaret_e2e::{Internet, NameServer, Runner, Says, as_root_and_user_in_an_internet};
use std::time::Duration;

as_root_and_user_in_an_internet![
    what_requests_receive_is_bounded,
    what_requests_send_is_bounded,
    many_small_answers_count_together,
    connections_for_requests_are_bounded,
    a_connection_for_requests_that_lasts_too_long_is_cut,
];

fn run<'a>(runner: &'a Runner, limit: &str, script: &str, most: usize) -> Ended<'a> {
    let _names = NameServer::start(&[("api.example.com", Says::at(&[V4]))]);
    let authority = Authority::new();
    let web = Web::https("[::]:443", (&authority, &["api.example.com"], Worth::Good), |target| {
        if target == "/late" {
            std::thread::sleep(Duration::from_secs(8));
        }
        let count = target.trim_start_matches('/').parse().unwrap_or(0);
        Answer::of(vec![b'x'; count])
    });
    let policy = policy(&["GET,POST https://api.example.com/*"], &authority.trusted(runner));
    let ended = job(runner).policy(&policy).limit(limit).shell(script).run();
    assert!(web.asked().len() <= most, "{:?}", web.asked());
    ended
}

fn what_requests_receive_is_bounded(runner: &Runner, _: &Internet) {
    let script = "curl -s https://api.example.com/1000 | wc -c; curl -s https://api.example.com/8000000 | wc -c; \
                  sleep 5; curl -s https://api.example.com/1000; sleep 60";

    let ended = run(runner, "net-received=1MiB", script, 2);

    ended.expect_limit("network-limit", 123, "net-received", "1MiB");
    assert!(String::from_utf8_lossy(&ended.stdout).starts_with("1000\n"), "{}", ended.told());
}

fn what_requests_send_is_bounded(runner: &Runner, _: &Internet) {
    let script = "head -c 4000000 /dev/zero > all; curl -s -T all -X POST https://api.example.com/1; sleep 60";

    let ended = run(runner, "net-sent=1MiB", script, 1);

    ended.expect_limit("network-limit", 123, "net-sent", "1MiB");
}

fn many_small_answers_count_together(runner: &Runner, _: &Internet) {
    let script = "for i in 1 2 3 4 5 6; do curl -s https://api.example.com/200000 > /dev/null; done; sleep 60";

    let ended = run(runner, "net-received=500KiB", script, 4);

    ended.expect_limit("network-limit", 123, "net-received", "500KiB");
}

fn connections_for_requests_are_bounded(runner: &Runner, _: &Internet) {
    let script = "for i in 1 2 3 4; do curl -s https://api.example.com/1; done; true";

    let ended = run(runner, "net-connections=2", script, 2);

    assert_eq!(String::from_utf8_lossy(&ended.stdout), "xx", "{}", ended.told());
}

fn a_connection_for_requests_that_lasts_too_long_is_cut(runner: &Runner, _: &Internet) {
    let script = "curl -s https://api.example.com/1; curl -s https://api.example.com/late; echo $?";

    let ended = run(runner, "net-time=1s", script, 2);

    let printed = ended.printed();
    assert!(printed.starts_with('x') && printed.len() > 3 && !printed.ends_with("x0\n"), "{}", ended.told());
    assert!(ended.took < Duration::from_secs(6), "{:?}", ended.took);
    let errors = ended.report["network"]["requests"].to_string();
    assert!(errors.contains("lasted 1s"), "{errors}");
}
