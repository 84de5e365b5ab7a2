//! Jobs with a network, run by a program for a long time.

use crate::{alone, on_this_host, processes_with};
use lazaret::{Job, Policy, Verdict};
use lazaret_e2e::{NameServer, Says, Server};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// A policy whose jobs reach `web` by name, as `names` has it.
fn reaching(web: &Server, names: &NameServer) -> Policy {
    let (port, names) = (web.port(), names.address());
    let rules = format!("\"www.example.com:{port}\", \"127.0.0.1:{port}\"");
    let text = format!("extends = \"default\"\n[net]\nallow = [{rules}]\nname-servers = [\"{names}\"]\n");
    on_this_host(lazaret::policy_text("network.toml", &text).expect("a policy"))
}

/// What this process holds: the kinds of its descriptors, and how many threads have which name.
fn held() -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    let descriptors = fs::read_dir("/proc/self/fd").expect("a /proc").flatten();
    let kind =
        |target: String| target.split(':').next().unwrap_or_default().trim_end_matches(char::is_numeric).to_owned();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    for link in links {
        *held.entry(kind(link.to_string_lossy().into_owned())).or_insert(0) += 1;
    }
    for thread in fs::read_dir("/proc/self/task").expect("a /proc").flatten() {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        if name.starts_with("lazaret") {
            *held.entry(format!("thread {}", name.trim())).or_insert(0) += 1;
        }
    }
    held
}

/// What is held when as little as `least` is, or after a while.
fn held_in_the_end(least: usize) -> BTreeMap<String, usize> {
    let begun = Instant::now();
    loop {
        let now = held();
        if now.values().sum::<usize>() <= least || begun.elapsed() > Duration::from_secs(5) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_hundred_jobs_with_a_network_leave_nothing() {
    let _alone = alone();
    let web = Server::saying("127.0.0.1:0", "here");
    let names = NameServer::at("127.0.0.1:0", &[("www.example.com", Says::at(&["127.0.0.1"]))]);
    let policy = reaching(&web, &names);
    let token = format!("library-network-{}", std::process::id());
    let script = format!("exec 3<>/dev/tcp/www.example.com/{}; read -r -N 4 -u 3 said; echo $said", web.port());
    let run = || {
        let report = Job::new("bash").args(["-c", &script, &token]).run(&policy).expect("it runs");
        assert_eq!((&report.verdict, &report.stdout[..]), (&Verdict::Ok, &b"here\n"[..]), "{report:#?}");
    };
    for _ in 0..3 {
        run();
    }
    let before = held();

    for _ in 0..200 {
        run();
    }

    let after = held_in_the_end(before.values().sum());
    assert!(after.values().sum::<usize>() <= before.values().sum(), "{before:#?} became {after:#?}");
    assert_eq!((processes_with(&token), web.visits().len()), (0, 203));
}

#[test]
fn a_name_that_is_being_resolved_holds_no_job_up() {
    let _alone = alone();
    let web = Server::saying("127.0.0.1:0", "here");
    let names = NameServer::at("127.0.0.1:0", &[("www.example.com", Says::Nothing)]);
    let policy = lazaret::change(reaching(&web, &names)).limit("wall=500ms").expect("a limit").build();
    let begun = Instant::now();

    let report = Job::new("bash").args(["-c", "exec 3<>/dev/tcp/www.example.com/80"]).run(&policy).expect("it runs");

    assert!(matches!(report.verdict, Verdict::Timeout { .. }), "{report:#?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
}
