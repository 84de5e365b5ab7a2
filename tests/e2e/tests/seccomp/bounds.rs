//! Limits, each with its verdict.

use crate::confined;
use lazaret_e2e::{Runner, as_root_and_user};
use std::time::Duration;

as_root_and_user![
    wall_time_is_limited,
    processor_time_of_all_processes_together_is_limited,
    memory_of_one_process_is_limited,
    memory_of_all_processes_together_is_limited,
    processes_are_limited,
    a_file_is_limited,
    the_private_directory_is_limited,
    files_without_a_name_count_to_the_private_directory,
    output_is_limited,
    descriptors_are_limited,
];

fn wall_time_is_limited(runner: &Runner) {
    let ended = confined(runner).limit("wall=300ms").command(["sleep", "60"]).run();

    ended.expect_limit("timeout", 124, "wall", "300ms");
    assert!(ended.took < Duration::from_secs(10));
}

fn processor_time_of_all_processes_together_is_limited(runner: &Runner) {
    let script = "for i in 1 2 3 4; do sh -c 'while :; do :; done' & done; wait";
    let ended = confined(runner).limit("cpu=600ms").limit("wall=20s").shell(script).run();

    ended.expect_limit("cpu-limit", 124, "cpu", "600ms");
}

fn memory_of_one_process_is_limited(runner: &Runner) {
    let ended = confined(runner).limit("memory=64MiB").perl("my $x = 'a' x (256 << 20); print length $x").run();

    assert_ne!(ended.kind(), "ok");
    assert!(ended.stdout.is_empty());
}

fn memory_of_all_processes_together_is_limited(runner: &Runner) {
    let program = "for (1..6) { fork or do { my $x = 'a' x (30 << 20); sleep 60 } } sleep 60";
    let ended = confined(runner).limit("memory=64MiB").limit("wall=20s").perl(program).run();

    ended.expect_limit("memory-limit", 123, "memory", "64MiB");
}

fn processes_are_limited(runner: &Runner) {
    let program = "my $n = 0; for (1..40) { my $p = fork; last if !defined $p; if (!$p) { sleep 60 } $n++ } select undef, undef, \
                   undef, 0.3; print $n; exit 1";
    let ended = confined(runner).limit("processes=20").perl(program).run();

    let made: u32 = String::from_utf8_lossy(&ended.stdout).parse().unwrap_or(0);
    assert!(made < 25, "{made}");
    // As an ordinary user the others of the user count too, and come and go.
    if runner.is_root() {
        ended.expect_limit("process-limit", 123, "processes", "20");
        assert_eq!(made, 19);
    }
}

fn a_file_is_limited(runner: &Runner) {
    let ended = confined(runner).limit("file-size=1MiB").shell("head -c 4000000 /dev/zero > file").run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn the_private_directory_is_limited(runner: &Runner) {
    let script = "i=0; while :; do head -c 1000000 /dev/zero > \"$TMPDIR/$i\"; i=$((i+1)); done";
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

fn files_without_a_name_count_to_the_private_directory(runner: &Runner) {
    let program = "for (1..100) { open my $f, '>', 'f' or exit 1; unlink 'f'; print $f 'a' x 1000000; $f->flush; push @f, $f } \
                   sleep 10";
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").perl(program).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

fn output_is_limited(runner: &Runner) {
    let ended = confined(runner).limit("output=1MiB").command(["yes"]).run();

    assert_eq!(ended.kind(), "output-limit");
    assert_eq!(ended.stdout.len(), 1 << 20);
}

fn descriptors_are_limited(runner: &Runner) {
    let program = "my $n = 0; while (open my $f, '<', '/dev/null') { push @f, $f; $n++ } print $n";
    let ended = confined(runner).limit("open-files=32").perl(program).run();

    assert_eq!(String::from_utf8_lossy(&ended.stdout), "29");
}
