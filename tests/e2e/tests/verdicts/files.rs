//! Limits of what is written: file size, disk, output.

use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    a_file_that_grows_too_large_is_named,
    a_child_whose_file_grows_too_large_is_named,
    efbig_with_the_signal_ignored_is_named,
    a_file_that_grew_too_large_is_named_although_the_program_removes_it,
    a_write_beyond_the_bound_of_a_file_is_named,
    a_file_that_is_to_be_made_too_large_is_named,
    a_call_that_fails_for_another_reason_is_not_taken_for_one_beyond_the_bound,
    a_file_that_stays_within_its_bound_and_is_removed_is_not_named,
    an_input_larger_than_the_file_size_limit_is_no_fault_of_the_job,
    a_full_job_directory_is_named,
    a_full_tmp_is_named,
    a_full_disk_is_named_although_the_program_cleans_up_later,
    a_full_disk_is_named_although_the_program_cleans_up_soon,
    a_full_disk_of_ordinary_size_is_named_although_the_program_cleans_up_soon,
    a_full_disk_is_named_wherever_its_file_was,
    a_disk_that_was_never_full_is_not_named,
    too_many_files_are_named,
    a_job_that_stays_within_its_disk_fails_with_its_own_code,
    too_much_standard_output_ends_the_job_and_what_came_is_kept,
    too_much_standard_error_ends_the_job_and_what_came_is_kept,
    output_of_exactly_the_limit_is_ok,
    no_output_is_allowed_with_a_limit_of_zero,
];

fn a_file_that_grows_too_large_is_named(runner: &Runner) {
    let ended = job(runner).limit("file-size=1MiB").command(["dd", "if=/dev/zero", "of=f", "bs=64k", "count=99"]).run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn a_child_whose_file_grows_too_large_is_named(runner: &Runner) {
    let ended = job(runner).limit("file-size=1MiB").shell("head -c 2M /dev/zero > /tmp/f").run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn efbig_with_the_signal_ignored_is_named(runner: &Runner) {
    let script = "trap '' XFSZ; mkdir d; dd if=/dev/zero of=d/f bs=64k count=99";
    let ended = job(runner).limit("file-size=1MiB").shell(script).run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn an_input_larger_than_the_file_size_limit_is_no_fault_of_the_job(runner: &Runner) {
    runner.put("large", vec![7; 100_000]);
    let ended = job(runner).options(["--in", "large"]).limit("file-size=64KiB").shell("exit 3").run();

    ended.expect("exit", 3);
}

fn a_full_job_directory_is_named(runner: &Runner) {
    let ended = job(runner).limit("disk=1MiB").command(["dd", "if=/dev/zero", "of=f", "bs=64k", "count=99"]).run();

    ended.expect_limit("disk-limit", 123, "disk", "1MiB");
    assert!(ended.stderr.contains("No space left"), "the job sees ENOSPC");
}

fn a_full_tmp_is_named(runner: &Runner) {
    let ended = job(runner).limit("disk=1MiB").shell("dd if=/dev/zero of=/tmp/f bs=64k count=99 || exit 9").run();

    ended.expect_limit("disk-limit", 123, "disk", "1MiB");
}

fn a_full_disk_is_named_although_the_program_cleans_up_later(runner: &Runner) {
    let script = "dd if=/dev/zero of=/tmp/f bs=64k count=99; sleep 0.5; rm /tmp/f; exit 9";
    let ended = job(runner).limit("disk=1MiB").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "1MiB");
}

fn a_full_disk_is_named_although_the_program_cleans_up_soon(runner: &Runner) {
    let script = "dd if=/dev/zero of=/tmp/f bs=4k count=999; sleep 0.05; rm /tmp/f; exit 9";
    let ended = job(runner).limit("disk=1MiB").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "1MiB");
}

fn a_full_disk_of_ordinary_size_is_named_although_the_program_cleans_up_soon(runner: &Runner) {
    let script = "dd if=/dev/zero of=/tmp/f bs=64k; sleep 0.05; rm /tmp/f; exit 9";
    let ended = job(runner).limit("disk=200MiB").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "200MiB");
}

fn a_full_disk_is_named_wherever_its_file_was(runner: &Runner) {
    let script = "d=$(mktemp -d); mkdir $d/below; dd if=/dev/zero of=$d/below/f bs=4k; sleep 0.05; rm -r $d; exit 9";
    let ended = job(runner).limit("disk=2MiB").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "2MiB");
}

fn a_disk_that_was_never_full_is_not_named(runner: &Runner) {
    let script = "for i in 1 2 3 4 5; do head -c 900K /dev/zero > /tmp/f; rm /tmp/f; done; exit 9";
    let ended = job(runner).limit("disk=1MiB").shell(script).run();

    ended.expect("exit", 9);
    assert!(ended.report.limits_hit().is_empty());
}

fn a_file_that_grew_too_large_is_named_although_the_program_removes_it(runner: &Runner) {
    let script = "trap '' XFSZ; dd if=/dev/zero of=/tmp/f bs=4k; sleep 0.05; rm /tmp/f; exit 9";
    let ended = job(runner).limit("file-size=1MiB").shell(script).run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn a_write_beyond_the_bound_of_a_file_is_named(runner: &Runner) {
    let program = "import os, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); f = os.open('/tmp/f', 66)\n\
                   try: os.pwrite(f, b'x', 1 << 20)\nexcept OSError as e: os.unlink('/tmp/f'); os._exit(e.errno)";
    let ended = job(runner).limit("file-size=1MiB").command(["python3", "-c", program]).run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
    assert!(ended.report.refused().is_empty());
}

fn a_file_that_is_to_be_made_too_large_is_named(runner: &Runner) {
    let script =
        "trap '' XFSZ; truncate -s 2M /tmp/f && exit 8; rm /tmp/f; truncate -s 1M /tmp/g || exit 7; rm /tmp/g; exit 9";
    let ended = job(runner).limit("file-size=1MiB").shell(script).run();

    ended.expect_limit("file-size-limit", 123, "file-size", "1MiB");
}

fn a_call_that_fails_for_another_reason_is_not_taken_for_one_beyond_the_bound(runner: &Runner) {
    let program = "import os\nfor f in (os.open('/etc/passwd', 0), os.open('/dev/null', 2), 99):\n\
                   \ttry: os.pwrite(f, b'x', 1 << 20)\n\texcept OSError: pass\nos._exit(9)";
    let ended = job(runner).limit("file-size=1MiB").command(["python3", "-c", program]).run();

    ended.expect("exit", 9);
}

fn a_file_that_stays_within_its_bound_and_is_removed_is_not_named(runner: &Runner) {
    let script = "for i in 1 2 3 4 5; do head -c 900K /dev/zero > /tmp/f; rm /tmp/f; done; exit 9";
    let ended = job(runner).limit("file-size=1MiB").shell(script).run();

    ended.expect("exit", 9);
    assert!(ended.report.limits_hit().is_empty());
}

fn too_many_files_are_named(runner: &Runner) {
    let program = "for (1..2000000) { open my $f, '>', \"/tmp/$_\" or do { print STDERR \"$!\"; exit 9 } }";
    let ended = job(runner).limit("disk=1MiB").perl(program).run();

    ended.expect_limit("disk-limit", 123, "disk", "1MiB");
}

fn a_job_that_stays_within_its_disk_fails_with_its_own_code(runner: &Runner) {
    let ended = job(runner).limit("disk=4MiB").shell("head -c 3M /dev/zero > f; exit 9").run();

    ended.expect("exit", 9);
}

fn too_much_standard_output_ends_the_job_and_what_came_is_kept(runner: &Runner) {
    let ended = job(runner).limit("output=64KiB").command(["yes", "line"]).run();

    ended.expect_limit("output-limit", 123, "output", "64KiB");
    assert_eq!(ended.stdout, "line\n".repeat(20_000).as_bytes()[..65_536]);
    assert_eq!(ended.number("/streams/stdout/bytes"), 65_536);
    assert_eq!(ended.report["streams"]["stdout"]["truncated"], true);
    assert_eq!(ended.report["streams"]["stderr"]["truncated"], false);
}

fn too_much_standard_error_ends_the_job_and_what_came_is_kept(runner: &Runner) {
    let ended = job(runner).limit("output=64KiB").shell("yes line >&2").run();

    ended.expect_limit("output-limit", 123, "output", "64KiB");
    assert_eq!(ended.stderr.as_bytes(), &"line\n".repeat(20_000).as_bytes()[..65_536]);
    assert_eq!(ended.number("/streams/stderr/bytes"), 65_536);
    assert_eq!(ended.report["streams"]["stderr"]["truncated"], true);
}

fn output_of_exactly_the_limit_is_ok(runner: &Runner) {
    let ended = job(runner).limit("output=64KiB").command(["head", "-c", "65536", "/dev/zero"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout.len(), 65_536);
    assert_eq!(ended.report["streams"]["stdout"]["truncated"], false);
}

fn no_output_is_allowed_with_a_limit_of_zero(runner: &Runner) {
    let ended = job(runner).limit("output=0").shell("echo x").run();

    ended.expect_limit("output-limit", 123, "output", "0");
    assert_eq!(ended.stdout, b"");
}
