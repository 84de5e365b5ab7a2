//! Ends of the job's own making, and those that an outsider makes.

use crate::job::{eventually, job, processes_with, token};
use lazaret_e2e::{Runner, as_root_and_user};
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

as_root_and_user![
    a_job_that_succeeds_is_ok,
    an_exit_code_is_the_jobs_own,
    every_exit_code_passes_through,
    an_exit_code_of_137_is_an_exit,
    a_signal_to_itself_is_reported_as_that_signal,
    abort_is_reported_as_sigabrt,
    a_real_fault_is_reported_as_sigsegv,
    the_signal_of_a_child_is_no_verdict,
    a_job_that_kills_itself_with_sigkill_near_its_limits_is_a_signal,
    a_job_that_signals_every_process_it_sees_ends_by_its_own_signal,
    a_command_that_is_not_there_is_127,
    a_killed_call_is_a_violation_that_names_call_and_rule,
    a_violation_in_a_child_ends_the_job,
    sigint_cancels,
    sigterm_cancels_a_job_that_ignores_it,
    the_reports_numbers_are_plausible,
];

fn a_job_that_succeeds_is_ok(runner: &Runner) {
    let ended = job(runner).command(["true"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stderr, "");
}

fn an_exit_code_is_the_jobs_own(runner: &Runner) {
    let ended = job(runner).shell("exit 3").run();

    ended.expect("exit", 3);
    assert_eq!(ended.report["verdict"]["code"], 3);
    assert!(ended.report["verdict"]["start_failure"].is_null());
}

fn every_exit_code_passes_through(runner: &Runner) {
    for code in [1, 2, 122, 123, 124, 125, 126, 127, 128, 130, 255] {
        let ended = job(runner).shell(&format!("exit {code}")).run();

        ended.expect("exit", code);
        assert!(ended.report["verdict"]["start_failure"].is_null());
    }
}

fn an_exit_code_of_137_is_an_exit(runner: &Runner) {
    let ended = job(runner).shell("exit 137").run();

    ended.expect("exit", 137);
    assert_eq!(ended.report["verdict"]["code"], 137);
}

fn a_signal_to_itself_is_reported_as_that_signal(runner: &Runner) {
    let signals = [("KILL", 9), ("SEGV", 11), ("TERM", 15), ("XCPU", 24), ("XFSZ", 25), ("SYS", 31), ("INT", 2)];
    for (name, number) in signals {
        let ended = job(runner).shell(&format!("kill -{name} $$")).run();

        ended.expect("signal", 128 + number);
        assert_eq!(ended.report["verdict"]["name"], format!("SIG{name}"));
        assert_eq!(ended.report["verdict"]["number"], number);
        assert!(ended.report.limits_hit().is_empty());
    }
}

fn abort_is_reported_as_sigabrt(runner: &Runner) {
    let ended = job(runner).perl("use POSIX; POSIX::abort()").run();

    ended.expect("signal", 134);
    assert_eq!(ended.report["verdict"]["name"], "SIGABRT");
}

fn a_real_fault_is_reported_as_sigsegv(runner: &Runner) {
    // unpack "p" reads the string at an address.
    let ended = job(runner).perl("print unpack 'p', pack 'Q', 16").run();

    ended.expect("signal", 139);
}

fn the_signal_of_a_child_is_no_verdict(runner: &Runner) {
    let ended = job(runner).shell("sh -c 'kill -KILL $$'; exit 0").run();

    ended.expect("ok", 0);
}

fn a_job_that_kills_itself_with_sigkill_near_its_limits_is_a_signal(runner: &Runner) {
    let ended = job(runner).limit("wall=10s").limit("cpu=5s").limit("memory=64MiB").shell("kill -KILL $$").run();

    ended.expect("signal", 137);
}

fn a_job_that_signals_every_process_it_sees_ends_by_its_own_signal(runner: &Runner) {
    let ended = job(runner).shell("kill -KILL 1; kill -KILL -1; kill -TERM 1; kill -ABRT $$").run();

    ended.expect("signal", 134);
}

fn a_command_that_is_not_there_is_127(runner: &Runner) {
    let ended = job(runner).command(["no-such-command"]).run();

    ended.expect("exit", 127);
    assert_eq!(ended.report["verdict"]["start_failure"]["kind"], "not-found");
}

/// `chdir` is deadly.
const DEADLY: &str = "extends = \"default\"\n[system-calls]\nkill = [\"chdir\"]\n";

fn a_killed_call_is_a_violation_that_names_call_and_rule(runner: &Runner) {
    let ended = job(runner).policy(DEADLY).shell("cd /usr; exit 0").run();

    ended.expect("violation", 123);
    assert_eq!(ended.report["verdict"]["call"], "chdir");
    assert_eq!(ended.report["verdict"]["rule"], "chdir");
}

fn a_violation_in_a_child_ends_the_job(runner: &Runner) {
    let script = "(cd /usr; :) ; sleep 60; exit 0";
    let ended = job(runner).policy(DEADLY).shell(script).run();

    ended.expect("violation", 123);
    assert!(ended.took < Duration::from_secs(20));
}

fn sigint_cancels(runner: &Runner) {
    cancelled_by("INT", runner);
}

fn sigterm_cancels_a_job_that_ignores_it(runner: &Runner) {
    cancelled_by("TERM", runner);
}

fn cancelled_by(signal: &str, runner: &Runner) {
    let token = token();
    let script = "trap '' INT TERM HUP QUIT; echo ready; while :; do sleep 1; done";
    let mut started = job(runner).command(["sh", "-c", script, &token]).start();
    let stdout = started.child.stdout.take().expect("a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the job writes");

    started.signal(signal);
    let ended = started.finish();

    assert_eq!(line, "ready\n");
    ended.expect("cancelled", 123);
    assert!(eventually(Duration::from_secs(1), || processes_with(&token).is_empty()));
}

fn the_reports_numbers_are_plausible(runner: &Runner) {
    // 64 MiB held, about half a second of work, four processes beside the first, 100,000 bytes out.
    let program = "my $x = 'a' x (64 << 20); my @c; for (1..4) { my $p = fork; if (!$p) { sleep 1; exit } push @c, $p } \
                   my $t = 0; while ($t < 0.5) { for (1..100000) {} my @t = times; $t = $t[0] + $t[1] } \
                   print 'o' x 100000; print STDERR 'e' x 1000; waitpid $_, 0 for @c";
    let ended = job(runner).perl(program).run();

    ended.expect("ok", 0);
    let cpu = ended.number("/usage/user_us") + ended.number("/usage/system_us");
    assert!((400_000..5_000_000).contains(&cpu), "{cpu}");
    let wall = ended.number("/usage/wall_us");
    assert!(wall >= 500_000 && u128::from(wall) <= ended.took.as_micros(), "{wall}");
    assert_eq!(ended.number("/streams/stdout/bytes"), 100_000);
    assert_eq!(ended.number("/streams/stderr/bytes"), 1000);
    let phases = ["plan_us", "setup_us", "run_us", "collect_us", "teardown_us"];
    let sum: u64 = phases.iter().map(|phase| ended.number(&format!("/phases/{phase}"))).sum();
    assert!(u128::from(sum) <= ended.took.as_micros(), "the phases are parts of the whole");
    let peak = ended.report["usage"]["peak_memory"].as_u64();
    let processes = ended.report["usage"]["processes"].as_u64();
    assert_eq!(peak.is_some(), ended.holds("cgroup-memory"));
    assert_eq!(processes.is_some(), ended.holds("cgroup-pids"));
    assert!(peak.is_none_or(|peak| (64 << 20..256 << 20).contains(&peak)), "{peak:?}");
    assert!(processes.is_none_or(|count| count == 5), "{processes:?}");
}
