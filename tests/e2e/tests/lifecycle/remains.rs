//! Jobs that try to outlive their end.

use crate::job::{Ended, Job, cgroups_of, job, mounts, names, processes_with, token};
use lazaret_e2e::{PATIENCE, Runner, as_root_and_user, finish};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

as_root_and_user![
    nothing_is_left_of_a_success,
    nothing_is_left_of_a_failure,
    nothing_is_left_of_a_signal,
    nothing_is_left_of_a_timeout,
    nothing_is_left_of_a_violation,
    nothing_is_left_of_an_output_that_is_missing,
    nothing_is_left_of_a_command_that_cannot_start,
    nothing_is_left_of_too_much_output,
    nothing_is_left_of_a_full_disk,
    nothing_is_left_of_too_much_memory,
    nothing_is_left_of_an_input_that_does_not_fit,
    double_forked_daemons_that_ignore_signals_die,
    a_child_that_holds_standard_output_open_dies_and_the_run_ends,
    stopped_children_die,
    a_job_that_fills_the_process_limit_dies,
    a_fork_bomb_dies,
    a_zombie_farm_is_reaped,
    orphans_are_reaped_while_the_job_runs,
    a_caller_that_ignores_its_childrens_ends_gets_the_right_verdicts,
    a_deep_tree_of_directories_goes,
    files_of_one_job_are_not_seen_by_the_next,
    shared_memory_and_queues_of_one_job_are_not_seen_by_the_next,
];

/// Executes its arguments with SIGCHLD ignored, which outlives an execve.
const IGNORE: [&str; 3] = ["perl", "-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV or die"];

fn a_caller_that_ignores_its_childrens_ends_gets_the_right_verdicts(runner: &Runner) {
    for (script, limit, kind, status) in [
        ("exit 0", "wall=20s", "ok", 0),
        ("(exit 3) & wait $!; exit $?", "wall=20s", "exit", 3),
        ("kill -SEGV $$", "wall=20s", "signal", 139),
        ("trap '' TERM; sleep 100 & sleep 100", "wall=300ms", "timeout", 124),
        ("cat /dev/zero", "output=10", "output-limit", 123),
    ] {
        let token = token();
        let words = shell(runner, script, &token).limit(limit).words();
        // The command is run as this user already: only what follows it is wrapped.
        let mut command = runner.command(IGNORE[0]);
        let own = words.iter().position(|word| *word == *runner.program()).expect("the program");
        command.args(&IGNORE[1..]).args(&words[own..]);
        let ran = finish(&mut command, b"", PATIENCE);

        assert_eq!((runner.report().kind(), ran.status), (kind, Some(status)), "{ran}");
        assert_eq!(processes_with(&token), Vec::<u32>::new(), "a process was left");
    }
}

/// Runs `job`, whose command line holds `token`, and asserts that nothing is left.
#[track_caller]
fn run_and_look<'a>(job: Job<'a>, token: &str) -> Ended<'a> {
    let before = (mounts(), names(&job.runner.work()));
    let runner = job.runner;

    let ended = job.run();

    // Dead when the run returns, not some time after.
    assert_eq!(processes_with(token), Vec::<u32>::new(), "a process was left");
    assert!(cgroups_of(ended.pid).is_empty(), "a group was left");
    assert_eq!(mounts(), before.0, "a mount was left");
    assert_eq!(names(&runner.work()), before.1, "a file was left");
    assert!(leftovers(ended.pid).is_empty(), "files were left: {:?}", leftovers(ended.pid));
    ended
}

/// Names that the Lazaret process `pid` could have given, where temporary files lie.
fn leftovers(pid: u32) -> Vec<PathBuf> {
    let places = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/run/lazaret"];
    let found = places.iter().flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten());
    let of_process = format!("lazaret-{pid}");
    found.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(&of_process)).collect()
}

fn shell<'a>(runner: &'a Runner, script: &str, token: &str) -> Job<'a> {
    job(runner).command(["sh", "-c", script, token])
}

fn perl<'a>(runner: &'a Runner, program: &str, token: &str) -> Job<'a> {
    job(runner).command(["perl", "-e", program, token])
}

fn nothing_is_left_of_a_success(runner: &Runner) {
    let token = token();

    run_and_look(shell(runner, "sleep 1000 & exit 0", &token), &token).expect("ok", 0);
}

fn nothing_is_left_of_a_failure(runner: &Runner) {
    let token = token();

    run_and_look(shell(runner, "sh -c 'sleep 1000' $0 & exit 3", &token), &token).expect("exit", 3);
}

fn nothing_is_left_of_a_signal(runner: &Runner) {
    let token = token();

    run_and_look(shell(runner, "sh -c 'sleep 1000' $0 & kill -SEGV $$", &token), &token).expect("signal", 139);
}

fn nothing_is_left_of_a_timeout(runner: &Runner) {
    let token = token();
    let job = shell(runner, "trap '' TERM; sh -c 'sleep 1000' $0 & sleep 1000", &token).limit("wall=300ms");

    run_and_look(job, &token).expect("timeout", 124);
}

fn nothing_is_left_of_a_violation(runner: &Runner) {
    let token = token();
    let policy = "extends = \"default\"\n[system-calls]\nkill = [\"chdir\"]\n";
    let job = shell(runner, "sh -c 'sleep 1000' $0 & cd /usr; sleep 1000", &token).policy(policy);

    run_and_look(job, &token).expect("violation", 123);
}

fn nothing_is_left_of_an_output_that_is_missing(runner: &Runner) {
    let token = token();

    run_and_look(shell(runner, "true", &token).options(["--out", "f"]), &token).expect("output-missing", 123);
}

fn nothing_is_left_of_a_command_that_cannot_start(runner: &Runner) {
    let token = token();

    run_and_look(job(runner).command(["no-such-command", &token]), &token).expect("exit", 127);
}

fn nothing_is_left_of_too_much_output(runner: &Runner) {
    let token = token();

    run_and_look(shell(runner, "yes & yes", &token).limit("output=1KiB"), &token).expect("output-limit", 123);
}

fn nothing_is_left_of_a_full_disk(runner: &Runner) {
    let token = token();
    let job = shell(runner, "cat /dev/zero > f; exit 1", &token).limit("disk=1MiB");

    run_and_look(job, &token).expect("disk-limit", 123);
}

fn nothing_is_left_of_too_much_memory(runner: &Runner) {
    let token = token();

    let ended = run_and_look(perl(runner, "my $x = 'a' x (200 << 20)", &token).limit("memory=16MiB"), &token);

    assert_ne!(ended.kind(), "ok");
}

fn nothing_is_left_of_an_input_that_does_not_fit(runner: &Runner) {
    let token = token();
    runner.put("large", vec![0; 2 << 20]);
    let job = shell(runner, "true", &token).options(["--in", "large"]).limit("disk=1MiB");

    run_and_look(job, &token).expect_error(&["large"]);
}

fn double_forked_daemons_that_ignore_signals_die(runner: &Runner) {
    let token = token();
    let program = "use POSIX; $SIG{$_} = 'IGNORE' for keys %SIG; \
                   for (1..5) { if (!fork) { setsid(); if (!fork) { close STDIN; close STDOUT; close STDERR; \
                   sleep 1 while 1 } exit } } select undef, undef, undef, 0.2; exit 0";

    let ended = run_and_look(perl(runner, program, &token), &token);

    ended.expect("ok", 0);
    assert!(ended.took < Duration::from_secs(8));
}

fn a_child_that_holds_standard_output_open_dies_and_the_run_ends(runner: &Runner) {
    let token = token();
    let program = "use POSIX; $| = 1; if (!fork) { setsid(); sleep 1 while 1 } print 'done'; exit 0";

    let ended = run_and_look(perl(runner, program, &token), &token);

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"done");
    assert!(ended.took < Duration::from_secs(8));
}

fn stopped_children_die(runner: &Runner) {
    let token = token();
    let program =
        "for (1..5) { if (!fork) { kill 'STOP', $$; sleep 1 while 1 } } select undef, undef, undef, 0.2; exit 0";

    run_and_look(perl(runner, program, &token), &token).expect("ok", 0);
}

fn a_job_that_fills_the_process_limit_dies(runner: &Runner) {
    let token = token();
    let program = "while (defined(my $p = fork)) { if (!$p) { sleep 1 while 1 } } exit 7";

    let ended = run_and_look(perl(runner, program, &token).limit("processes=64"), &token);

    ended.expect_limit_where("cgroup-pids", "process-limit", "processes", "64");
    assert!(ended.took < Duration::from_secs(20));
}

fn a_fork_bomb_dies(runner: &Runner) {
    let token = token();

    let ended = run_and_look(perl(runner, "fork while 1", &token).limit("wall=2s").limit("processes=48"), &token);

    assert!(matches!(ended.kind(), "timeout" | "cpu-limit"), "{}", ended.kind());
    assert!(ended.took < Duration::from_secs(20));
}

fn a_zombie_farm_is_reaped(runner: &Runner) {
    let token = token();
    let program = "for (1..40) { fork or exit } select undef, undef, undef, 0.3; exit 0";

    run_and_look(perl(runner, program, &token), &token).expect("ok", 0);
}

fn orphans_are_reaped_while_the_job_runs(runner: &Runner) {
    let token = token();
    // Each child leaves an orphan that ends at once: more of them than the limit would hold as zombies.
    let program = "for (1..200) { my $p = fork; die 'fork' unless defined $p; if (!$p) { fork; exit } waitpid $p, 0; \
                   select undef, undef, undef, 0.002 } exit 0";

    run_and_look(perl(runner, program, &token).limit("processes=24"), &token).expect("ok", 0);
}

fn a_deep_tree_of_directories_goes(runner: &Runner) {
    let token = token();
    let program = "for (1..2000) { mkdir 'd'; chdir 'd' } open F, '>', 'f'; exit 3";

    run_and_look(perl(runner, program, &token), &token).expect("exit", 3);
}

fn files_of_one_job_are_not_seen_by_the_next(runner: &Runner) {
    job(runner).shell("echo x > /tmp/left; echo x > /job/left").run().expect("ok", 0);

    let ended = job(runner).shell("ls -A /tmp /job").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"/job:\n\n/tmp:\n");
}

fn shared_memory_and_queues_of_one_job_are_not_seen_by_the_next(runner: &Runner) {
    let policy = "extends = \"default\"\n[system-calls]\nallow = [\"shmget\", \"msgget\", \"semget\"]\n";
    let make = "use IPC::SysV qw(IPC_CREAT); shmget(7, 4096, IPC_CREAT | 0666) // exit 9; exit 0";
    job(runner).policy(policy).perl(make).run().expect("ok", 0);

    let ended = job(runner).policy(policy).perl("defined shmget(7, 4096, 0) and exit 9; exit 0").run();

    ended.expect("ok", 0);
}
