//! Limits of time, memory and processes.

use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};
use std::time::Duration;

as_root_and_user![
    a_sleeping_job_runs_into_its_wall_time,
    a_job_that_stops_itself_runs_into_its_wall_time,
    a_job_that_stops_every_process_runs_into_its_wall_time,
    a_job_that_ignores_every_signal_runs_into_its_wall_time,
    wall_time_counts_while_processes_wait,
    a_job_that_leaves_process_1_no_processor_runs_into_its_wall_time,
    a_busy_loop_uses_up_its_processor_time,
    a_busy_loop_is_stopped_near_its_processor_time,
    a_loop_that_ignores_sigxcpu_uses_up_its_processor_time,
    processor_time_counts_for_the_whole_tree_at_once,
    processor_time_of_many_short_processes_adds_up,
    wall_time_is_told_from_processor_time,
    memory_is_limited,
    memory_taken_bit_by_bit_is_limited,
    memory_that_is_reserved_alone_is_not_limited,
    memory_in_files_counts,
    memory_of_many_small_processes_adds_up,
    a_job_that_survives_within_its_memory_is_ok,
    processes_are_limited,
    threads_and_zombies_count_as_processes,
    a_job_that_succeeds_although_a_fork_failed_is_ok,
];

fn a_sleeping_job_runs_into_its_wall_time(runner: &Runner) {
    let ended = job(runner).limit("wall=300ms").command(["sleep", "60"]).run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
    assert!((250_000..10_000_000).contains(&ended.number("/usage/wall_us")));
    assert!(ended.took < Duration::from_secs(10));
}

fn a_job_that_stops_itself_runs_into_its_wall_time(runner: &Runner) {
    let ended = job(runner).limit("wall=300ms").shell("kill -STOP $$").run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
}

fn a_job_that_stops_every_process_runs_into_its_wall_time(runner: &Runner) {
    let ended = job(runner).limit("wall=300ms").shell("sleep 60 & sleep 60 & kill -STOP -1; kill -STOP $$").run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
}

fn a_job_that_ignores_every_signal_runs_into_its_wall_time(runner: &Runner) {
    let program = "$SIG{$_} = 'IGNORE' for keys %SIG; sleep 1 while 1";
    let ended = job(runner).limit("wall=300ms").perl(program).run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
}

fn wall_time_counts_while_processes_wait(runner: &Runner) {
    let ended = job(runner).limit("wall=300ms").shell("sleep 60 & wait").run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
}

fn a_job_that_leaves_process_1_no_processor_runs_into_its_wall_time(runner: &Runner) {
    // setpriority(2), x86-64 and arm64: of process 1, then of its user.
    let program = "syscall(141, 0, 1, 19); syscall(140, 0, 1, 19); syscall(141, 2, 0, 19); syscall(140, 2, 0, 19); \
                   for (1..60) { fork or do { 1 while 1 } } 1 while 1";
    // Without a cgroup there is no bound on bandwidth to be used up, and the plan says so.
    let bound = ["--limit", "cpus=0.05"];
    let ended = job(runner).options(bound).limit("wall=1s").perl(program).run();

    ended.expect_limit("timeout", 124, "wall", "1s");
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

fn a_busy_loop_uses_up_its_processor_time(runner: &Runner) {
    let ended = job(runner).limit("cpu=1s").shell("while :; do :; done").run();

    ended.expect_limit("cpu-limit", 124, "cpu", "1s");
}

fn a_busy_loop_is_stopped_near_its_processor_time(runner: &Runner) {
    let ended = job(runner).limit("cpu=200ms").shell("while :; do :; done").run();

    ended.expect_limit("cpu-limit", 124, "cpu", "200ms");
    let used = ended.number("/usage/user_us") + ended.number("/usage/system_us");
    // Without a group the kernel's own limit counts in whole seconds.
    let most = if ended.holds("cgroup-cpu") { 600_000 } else { 1_500_000 };
    assert!((190_000..most).contains(&used), "{used}");
}

fn a_loop_that_ignores_sigxcpu_uses_up_its_processor_time(runner: &Runner) {
    let ended = job(runner).limit("cpu=1s").shell("trap '' XCPU; while :; do :; done").run();

    ended.expect_limit("cpu-limit", 124, "cpu", "1s");
}

fn processor_time_counts_for_the_whole_tree_at_once(runner: &Runner) {
    let script = "for i in 1 2 3 4; do sh -c 'while :; do :; done' & done; wait";
    let ended = job(runner).limit("cpu=600ms").limit("wall=8s").shell(script).run();

    if ended.holds("cgroup-cpu") {
        ended.expect_limit("cpu-limit", 124, "cpu", "600ms");
        let used = ended.number("/usage/user_us") + ended.number("/usage/system_us");
        assert!((590_000..1_500_000).contains(&used), "{used}");
    } else {
        // Each process alone is bounded; the shell then ends with what it waited for.
        assert_ne!(ended.kind(), "memory-limit");
    }
}

fn processor_time_of_many_short_processes_adds_up(runner: &Runner) {
    let script = "while :; do sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done'; done";
    let ended = job(runner).limit("cpu=500ms").limit("wall=6s").shell(script).run();

    if ended.holds("cgroup-cpu") {
        ended.expect_limit("cpu-limit", 124, "cpu", "500ms");
    } else {
        ended.expect_limit("timeout", 124, "wall", "6s");
    }
}

fn wall_time_is_told_from_processor_time(runner: &Runner) {
    let ended = job(runner).limit("cpu=500ms").limit("wall=700ms").shell("sleep 60").run();

    ended.expect_limit("timeout", 124, "wall", "700ms");
    assert_eq!(ended.report.limits_hit(), ["wall"]);
}

fn memory_is_limited(runner: &Runner) {
    let ended = job(runner).limit("memory=32MiB").perl("my $x = 'a' x (200 << 20); exit 0").run();

    ended.expect_limit_where("cgroup-memory", "memory-limit", "memory", "32MiB");
    let peak = ended.report["usage"]["peak_memory"].as_u64();
    assert!(peak.is_none_or(|peak| (24 << 20..=32 << 20).contains(&peak)), "{peak:?}");
    assert_ne!(ended.kind(), "ok", "200 MiB do not fit into 32 MiB");
}

fn memory_taken_bit_by_bit_is_limited(runner: &Runner) {
    let program = "$| = 1; my @x; for (1..500) { push @x, 'a' x (1 << 20); print \"$_\\n\" }";
    let ended = job(runner).limit("memory=64MiB").perl(program).run();

    ended.expect_limit_where("cgroup-memory", "memory-limit", "memory", "64MiB");
    assert!(ended.stdout.len() < 64 * 3, "no more than 63 MiB were had");
    if !ended.holds("cgroup-memory") {
        ended.expect("exit", 1);
        assert!(ended.stderr.contains("Out of memory"), "{}", ended.stderr);
    }
}

fn memory_that_is_reserved_alone_is_not_limited(runner: &Runner) {
    // mmap(NULL, 8 GiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    let number = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
    let program = format!("exit(syscall({number}, 0, 8 << 30, 0, 0x4022, -1, 0) == -1 ? 1 : 0)");
    let ended = job(runner).limit("memory=64MiB").perl(&program).run();

    ended.expect("ok", 0);
}

fn memory_in_files_counts(runner: &Runner) {
    let script = "head -c 100M /dev/zero > /tmp/f; exit 4";
    let ended = job(runner).limit("memory=32MiB").limit("disk=200MiB").shell(script).run();

    ended.expect_limit_where("cgroup-memory", "memory-limit", "memory", "32MiB");
}

fn memory_of_many_small_processes_adds_up(runner: &Runner) {
    let program = "for (1..12) { if (!fork) { my $x = 'a' x (8 << 20); sleep 2; exit } } 1 while wait > 0";
    let ended = job(runner).limit("memory=48MiB").perl(program).run();

    ended.expect_limit_where("cgroup-memory", "memory-limit", "memory", "48MiB");
}

fn a_job_that_survives_within_its_memory_is_ok(runner: &Runner) {
    let ended = job(runner).limit("memory=64MiB").perl("my $x = 'a' x (16 << 20); exit 0").run();

    ended.expect("ok", 0);
}

fn processes_are_limited(runner: &Runner) {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait";
    let ended = job(runner).limit("processes=8").shell(script).run();

    ended.expect_limit_where("cgroup-pids", "process-limit", "processes", "8");
    let peak = ended.report["usage"]["processes"].as_u64();
    assert!(peak.is_none_or(|peak| peak == 8), "{peak:?}");
    assert_ne!(ended.kind(), "ok", "the shell fails at its ninth process");
}

fn threads_and_zombies_count_as_processes(runner: &Runner) {
    let program = "for (1..20) { my $p = fork; die 'fork' unless defined $p; exit unless $p } sleep 1";
    let ended = job(runner).limit("processes=8").perl(program).run();

    ended.expect_limit_where("cgroup-pids", "process-limit", "processes", "8");
}

fn a_job_that_succeeds_although_a_fork_failed_is_ok(runner: &Runner) {
    let program =
        "for (1..20) { my $p = fork; last unless defined $p; if (!$p) { sleep 5; exit } } kill 'KILL', -1; exit 0";
    let ended = job(runner).limit("processes=8").perl(program).run();

    ended.expect("ok", 0);
    assert_eq!(ended.report.limits_hit().contains(&"processes"), ended.holds("cgroup-pids"));
}
