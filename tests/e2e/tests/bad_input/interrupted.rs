//! Signals to Lazaret in each phase. Wherever one arrives, the job dies and nothing is left.

use crate::job::{Ended, cgroups_of, eventually, job, mounts, names, processes_with, token};
use lazaret_e2e::{Runner, as_root_and_user};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

as_root_and_user![
    sigterm_at_any_moment_of_the_set_up_leaves_nothing,
    sigint_at_any_moment_of_the_set_up_leaves_nothing,
    sigkill_at_any_moment_leaves_no_process,
    sigkill_while_the_job_runs_ends_even_daemons,
    sigterm_while_outputs_are_collected_cancels,
    sigterm_at_any_moment_leaves_the_old_output_or_the_new_one,
    sighup_cancels,
    a_second_signal_does_no_harm,
];

/// The job dies, and everything of it is gone, soon after Lazaret has ended.
const SOON: Duration = Duration::from_secs(2);

/// How many moments are tried: `LAZARET_TEST_MOMENTS`, else enough for a few hundred microseconds between them.
fn moments() -> u32 {
    std::env::var("LAZARET_TEST_MOMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(120)
}

/// A moment in the first `most` of a run, spread evenly by the golden ratio.
fn moment(index: u32, most: Duration) -> Duration {
    most.mul_f64((f64::from(index) * 0.618_033_988_75).fract())
}

/// The time from the start of a run to the first line of its job.
fn time_to_first_line(runner: &Runner) -> Duration {
    let begun = Instant::now();
    let mut started = job(runner).command(["echo", "ready"]).start();
    let mut line = String::new();
    BufReader::new(started.child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let took = begun.elapsed();
    started.finish().expect("ok", 0);
    took
}

/// Runs a job that never ends by itself and signals Lazaret after a while.
fn interrupted<'a>(runner: &'a Runner, signal: &str, after: Duration, token: &str) -> Ended<'a> {
    let script = "trap '' TERM INT HUP; while :; do sleep 1; done";
    let started = job(runner).command(["sh", "-c", script, token]).start();
    sleep(after);
    started.signal(signal);
    started.finish()
}

fn at_any_moment(runner: &Runner, signal: &str, number: i32) {
    let span = time_to_first_line(runner).mul_f64(1.3);
    let before = mounts();
    for index in 0..moments() {
        let (token, after) = (token(), moment(index, span));

        let ended = interrupted(runner, signal, after, &token);

        // Before its first instruction nothing of ours can catch the signal.
        let untouched = ended.status.signal() == Some(number) && ended.kind().is_empty();
        let cancelled = ended.status.code() == Some(123) && ended.kind() == "cancelled";
        assert!(untouched || cancelled, "after {after:?}: {:?} {}", ended.status, ended.stderr);
        assert!(processes_with(&token).is_empty(), "after {after:?} a process was left");
        assert!(cgroups_of(ended.pid).is_empty(), "after {after:?} a group was left");
        assert!(ended.took < after + Duration::from_secs(8), "after {after:?} it took {:?}", ended.took);
    }
    assert_eq!(mounts(), before);
    assert!(names(&runner.work()).is_empty());
}

fn sigterm_at_any_moment_of_the_set_up_leaves_nothing(runner: &Runner) {
    at_any_moment(runner, "TERM", 15);
}

fn sigint_at_any_moment_of_the_set_up_leaves_nothing(runner: &Runner) {
    at_any_moment(runner, "INT", 2);
}

fn sigkill_at_any_moment_leaves_no_process(runner: &Runner) {
    let span = time_to_first_line(runner).mul_f64(1.5);
    for index in 0..moments() {
        let (token, after) = (token(), moment(index, span));

        let ended = interrupted(runner, "KILL", after, &token);

        assert_eq!(ended.status.signal(), Some(9));
        let gone = eventually(SOON, || processes_with(&token).is_empty());
        assert!(gone, "after {after:?} a process was left: {:?}", processes_with(&token));
    }
}

fn sigkill_while_the_job_runs_ends_even_daemons(runner: &Runner) {
    let token = token();
    let daemon = "use POSIX; $SIG{$_} = 'IGNORE' for keys %SIG; if (!fork) { setsid(); if (!fork) { sleep 1 while 1 } exit } \
                  $| = 1; print \"ready\\n\"; kill 'STOP', $$";
    let mut started = job(runner).command(["perl", "-e", daemon, &token]).start();
    let mut line = String::new();
    BufReader::new(started.child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    sleep(Duration::from_millis(200));
    let alive = processes_with(&token).len();

    started.signal("KILL");
    let ended = started.finish();

    assert_eq!(ended.status.signal(), Some(9));
    assert!(alive >= 3, "Lazaret, the job and its daemon were there: {alive}");
    assert!(eventually(SOON, || processes_with(&token).is_empty()));
}

fn sigterm_while_outputs_are_collected_cancels(runner: &Runner) {
    runner.put("out", "old");
    let run = job(runner).options(["--out", "f:out"]).limit("disk=450MiB").limit("memory=600MiB");
    let mut started = run.shell("truncate -s 440M f; echo ready").start();
    let mut line = String::new();
    BufReader::new(started.child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    // The job's last word: the copy of 440 MiB begins when it has ended, and takes longer than this.
    let copying = || names(&runner.work()).len() > 1;
    assert!(eventually(Duration::from_secs(10), copying), "a copy is being made");

    started.signal("TERM");
    let ended = started.finish();

    ended.expect("cancelled", 123);
    assert_eq!(names(&runner.work()), ["out"], "no temporary file is left");
    assert_eq!(runner.read("out"), b"old");
}

fn sigterm_at_any_moment_leaves_the_old_output_or_the_new_one(runner: &Runner) {
    let span = time_to_first_line(runner).mul_f64(2.0);
    for index in 0..moments() / 2 {
        runner.put("out", "old");
        let after = moment(index, span);
        let started = job(runner).options(["--out", "f:out"]).shell("head -c 1000000 /dev/zero > f").start();
        sleep(after);
        started.signal("TERM");

        let ended = started.finish();

        assert_eq!(names(&runner.work()), ["out"], "after {after:?}: {:?}", ended.status);
        let length = runner.read("out").len();
        let expected = if ended.status.code() == Some(0) { 1_000_000 } else { 3 };
        assert_eq!(length, expected, "after {after:?}: {:?}", ended.status);
    }
}

fn sighup_cancels(runner: &Runner) {
    let token = token();

    let ended = interrupted(runner, "HUP", Duration::from_secs(1), &token);

    ended.expect("cancelled", 123);
    assert!(processes_with(&token).is_empty());
}

fn a_second_signal_does_no_harm(runner: &Runner) {
    let token = token();
    let started = job(runner).command(["sh", "-c", "trap '' TERM; while :; do sleep 1; done", &token]).start();
    sleep(Duration::from_secs(1));
    started.signal("TERM");
    started.signal("TERM");
    started.signal("INT");

    let ended = started.finish();

    ended.expect("cancelled", 123);
    assert!(processes_with(&token).is_empty());
}
