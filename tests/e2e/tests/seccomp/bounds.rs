//! Limits, each with its verdict.

use crate::{confined, direct};
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
    a_file_of_several_names_counts_once,
    files_without_a_name_count_to_the_private_directory,
    files_that_are_only_mapped_count_to_the_private_directory,
    a_child_that_nobody_waits_for_counts_for_nothing,
    files_of_a_program_that_cannot_be_read_count_to_the_private_directory,
    tables_of_pages_count_to_memory,
    what_nobody_could_count_is_refused_whatever_the_policy_allows,
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

fn a_file_of_several_names_counts_once(runner: &Runner) {
    let script = "head -c 10000000 /dev/zero > file && ln file second && ln file third && sleep 0.5";
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").shell(script).run();

    ended.expect("ok", 0);
}

fn files_without_a_name_count_to_the_private_directory(runner: &Runner) {
    let program = "for (1..100) { open my $f, '>', 'f' or exit 1; unlink 'f'; print $f 'a' x 1000000; $f->flush; push @f, $f } \
                   sleep 10";
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").perl(program).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

/// mmap(2) on x86-64 and arm64, as perl's `m`.
const MMAP: &str = "use POSIX; my $mmap = (POSIX::uname())[4] eq 'aarch64' ? 222 : 9; \
                    sub m_ { my ($size, $rights, $flags, $file) = @_; syscall($mmap, 0, $size, $rights, $flags, $file, 0) } ";

fn files_that_are_only_mapped_count_to_the_private_directory(runner: &Runner) {
    let program = format!(
        "{MMAP} for (1..100) {{ open my $f, '+>', 'f' or exit 1; unlink 'f'; print $f 'a' x 1000000; $f->flush; \
         m_(1000000, 1, 1, fileno $f) != -1 or exit 2; close $f }} sleep 10"
    );
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").perl(&program).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

/// Who is dead and not waited for cannot be looked into, and holds nothing.
fn a_child_that_nobody_waits_for_counts_for_nothing(runner: &Runner) {
    let ended = confined(runner).perl("exit 0 if fork == 0; sleep 2; print 'over'").run();

    ended.expect("ok", 0);
}

/// Nobody but root looks into a process of a program that may only be executed.
fn files_of_a_program_that_cannot_be_read_count_to_the_private_directory(runner: &Runner) {
    let fill = "for (1..100) { open my $f, \">\", \"f\" or exit 1; unlink \"f\"; print $f \"a\" x 1000000; $f->flush; \
                push @f, $f } sleep 10";
    let program = format!(
        "use Fcntl; umask 0; sysopen(my $p, 'p', O_CREAT | O_WRONLY, 0111) or exit 1; open my $q, '<', $^X or exit 2; \
         local $/; print $p scalar <$q>; close $p; exec './p', '-e', '{fill}'"
    );
    let ended = direct(runner).limit("disk=16MiB").limit("wall=20s").perl(&program).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

fn tables_of_pages_count_to_memory(runner: &Runner) {
    // 200 GiB that are read, one byte in every 2 MiB: 400 MiB of tables. MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE.
    let program = format!(
        "{MMAP} my $at = m_(200 << 30, 1, 0x4022, -1); exit 1 if $at == -1; \
         for (0..102399) {{ unpack 'P1', pack 'Q', $at + $_ * (2 << 20) }} sleep 10"
    );
    let ended = confined(runner).limit("memory=64MiB").limit("wall=20s").perl(&program).run();

    ended.expect_limit("memory-limit", 123, "memory", "64MiB");
}

fn what_nobody_could_count_is_refused_whatever_the_policy_allows(runner: &Runner) {
    let policy = "extends = \"default\"\ntier = \"seccomp\"\n[system-calls]\ndefault = \"allow\"\n";
    // Shared memory without a name, a message that can hold descriptors (sendmsg(2), sendmmsg(2) without any message), and a
    // table of descriptors of a thread's own: CLONE_VM, CLONE_SIGHAND and CLONE_THREAD; CLOSE_RANGE_UNSHARE.
    let program = format!(
        "{MMAP} use Socket; exit 1 if m_(4096, 3, 0x21, -1) != -1 || $! != EPERM; \
         exit 2 if open my $zero, '+<', '/dev/zero'; \
         socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or exit 3; my $arm = $mmap == 222; my $none = \"\\0\" x 64; \
         exit 4 if syscall($arm ? 211 : 46, fileno A, $none, 0) != -1 || $! != EPERM; \
         exit 5 if syscall($arm ? 269 : 307, fileno A, $none, 0, 0) != -1 || $! != EPERM; \
         exit 6 if syscall($arm ? 220 : 56, 0x10900, 0, 0, 0, 0) != -1 || $! != EPERM; \
         exit 7 if syscall(436, 200, 201, 2) != -1 || $! != EPERM"
    );
    let ended = confined(runner).policy(policy).perl(&program).run();

    ended.expect("ok", 0);
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
