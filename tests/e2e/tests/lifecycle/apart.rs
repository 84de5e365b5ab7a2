//! Jobs that run at once do not meet.

use crate::job::{Started, job, processes_with, token};
use lazaret_e2e::{Runner, as_root_and_user};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};

as_root_and_user![jobs_at_once_do_not_see_each_other, many_jobs_at_once_each_get_their_own_answer];

/// Starts `count` jobs that wait for a line, and waits until all are there.
fn waiting<'a>(runners: &'a [Runner], tokens: &[String]) -> Vec<Started<'a>> {
    let script = "echo ready; read line; ls -d /proc/[0-9]*";
    let start = |(runner, token): (&'a Runner, &String)| {
        let mut started = job(runner).options(["--stdin"]).command(["sh", "-c", script, token]).start();
        let mut line = String::new();
        let mut stdout = BufReader::with_capacity(1, started.child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        started.child.stdout = Some(stdout.into_inner());
        started
    };
    runners.iter().zip(tokens).map(start).collect()
}

/// The user id of the process with `token` that is no Lazaret of ours.
fn uid_of_job(token: &str) -> u32 {
    let mut uids = processes_with(token).into_iter().filter_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let name = status.lines().next()?.to_owned();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()?;
        (name == "Name:\tsh").then_some(uid)
    });
    uids.next_back().expect("the job is there")
}

#[test]
fn jobs_of_root_at_once_get_different_host_uids() {
    let Some(_root) = Runner::root() else { return };
    let runners: Vec<Runner> = (0..6).filter_map(|_| Runner::root()).collect();
    let tokens: Vec<String> = runners.iter().map(|_| token()).collect();
    let mut jobs = waiting(&runners, &tokens);

    let uids: BTreeSet<u32> = tokens.iter().map(|token| uid_of_job(token)).collect();

    for started in &mut jobs {
        started.child.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("a pipe");
    }
    for started in jobs {
        started.finish().expect("ok", 0);
    }
    assert_eq!(uids.len(), runners.len(), "{uids:?}");
    assert!(uids.iter().all(|uid| *uid >= 2_000_000_000), "{uids:?}");
}

fn jobs_at_once_do_not_see_each_other(runner: &Runner) {
    let same = || if runner.is_root() { Runner::root() } else { Runner::user() };
    let runners: Vec<Runner> = (0..2).filter_map(|_| same()).collect();
    let tokens: Vec<String> = runners.iter().map(|_| token()).collect();
    let mut jobs = waiting(&runners, &tokens);

    for started in &mut jobs {
        started.child.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("a pipe");
    }

    for started in jobs {
        let ended = started.finish();
        ended.expect("ok", 0);
        let seen = String::from_utf8_lossy(&ended.stdout).lines().count();
        // Process 1 where it shows, the shell, and ls.
        assert!(seen <= 3, "{}", String::from_utf8_lossy(&ended.stdout));
    }
}

fn many_jobs_at_once_each_get_their_own_answer(runner: &Runner) {
    let same = || if runner.is_root() { Runner::root() } else { Runner::user() };
    let runners: Vec<Runner> = (0..4).filter_map(|_| same()).collect();
    std::thread::scope(|scope| {
        for (number, runner) in runners.iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..20 {
                    let text = format!("{number}-{turn}");

                    let ended = job(runner).stdin(text.clone()).command(["cat"]).run();

                    ended.expect("ok", 0);
                    assert_eq!(ended.stdout, text.as_bytes());
                }
            });
        }
    });
}
