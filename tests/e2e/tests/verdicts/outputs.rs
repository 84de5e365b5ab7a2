//! Outputs that cannot be taken, each with its reason.

use crate::job::{Ended, job, names};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    an_output_that_was_not_written_is_missing,
    a_symbolic_link_is_not_followed,
    a_link_to_a_good_file_of_the_job_is_not_followed_either,
    a_directory_is_no_output,
    a_fifo_is_no_output,
    a_socket_is_no_output,
    a_hard_linked_file_is_no_output,
    a_sparse_file_beyond_the_bound_is_too_large,
    a_sparse_file_within_the_bound_is_taken_with_its_holes,
    a_file_that_the_job_made_unreadable_is_taken_or_named,
    the_first_missing_output_is_the_verdict_and_good_ones_are_delivered,
    a_failing_jobs_output_is_delivered_under_its_own_verdict,
    a_stopped_jobs_output_is_not_delivered,
];

/// The job ends with 0 after `script`; `f` is wanted, and an old `f` is there.
fn wanted<'a>(runner: &'a Runner, script: &str) -> Ended<'a> {
    runner.put("f", "old");
    job(runner).options(["--out", "f"]).shell(script).run()
}

#[track_caller]
fn expect_reason(runner: &Runner, ended: &Ended<'_>, reason: &str) {
    ended.expect("output-missing", 123);
    assert_eq!(ended.report["verdict"]["name"], "f");
    assert_eq!(ended.report["verdict"]["reason"]["kind"], reason);
    assert_eq!(ended.report["outputs"][0]["problem"]["kind"], reason);
    assert!(ended.report["outputs"][0]["sha256"].is_null());
    assert_eq!(runner.read("f"), b"old");
    assert_eq!(names(&runner.work()), ["f"], "nothing is left beside it");
}

fn an_output_that_was_not_written_is_missing(runner: &Runner) {
    expect_reason(runner, &wanted(runner, "true"), "missing");
}

fn a_symbolic_link_is_not_followed(runner: &Runner) {
    expect_reason(runner, &wanted(runner, "ln -s /etc/passwd f"), "symlink");
}

fn a_link_to_a_good_file_of_the_job_is_not_followed_either(runner: &Runner) {
    expect_reason(runner, &wanted(runner, "echo x > g; ln -s g f"), "symlink");
}

fn a_directory_is_no_output(runner: &Runner) {
    expect_reason(runner, &wanted(runner, "mkdir f"), "directory");
}

fn a_fifo_is_no_output(runner: &Runner) {
    let policy = "extends = \"default\"\n[system-calls]\nallow = [\"mknod\", \"mknodat\"]\n";
    runner.put("f", "old");
    let ended = job(runner).options(["--out", "f"]).policy(policy).shell("mkfifo f").run();

    ended.expect("output-missing", 123);
    assert_eq!(ended.report["verdict"]["reason"]["kind"], "fifo");
    assert_eq!(runner.read("f"), b"old");
}

fn a_socket_is_no_output(runner: &Runner) {
    let policy = "extends = \"default\"\n[system-calls]\nallow = [\"socket\", \"bind\"]\n";
    let program = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die; bind(S, sockaddr_un('f')) or die";
    let ended = job(runner).options(["--out", "f"]).policy(policy).perl(program).run();

    ended.expect("output-missing", 123);
    assert_eq!(ended.report["verdict"]["reason"]["kind"], "socket");
}

fn a_hard_linked_file_is_no_output(runner: &Runner) {
    expect_reason(runner, &wanted(runner, "echo x > g; ln g f"), "hard-linked");
}

fn a_sparse_file_beyond_the_bound_is_too_large(runner: &Runner) {
    runner.put("f", "old");
    let ended = job(runner).options(["--out", "f"]).limit("disk=8MiB").shell("truncate -s 100M f").run();

    expect_reason(runner, &ended, "too-large");
    assert_eq!(ended.report["verdict"]["reason"]["bound"], 8 << 20);
}

fn a_sparse_file_within_the_bound_is_taken_with_its_holes(runner: &Runner) {
    let run = job(runner).options(["--out", "f"]).limit("disk=8MiB");
    let ended = run.shell("truncate -s 4M f; echo end >> f").run();

    ended.expect("ok", 0);
    let taken = runner.read("f");
    assert_eq!(taken.len(), (4 << 20) + 4);
    assert!(taken.ends_with(b"\0end\n"));
}

fn a_file_that_the_job_made_unreadable_is_taken_or_named(runner: &Runner) {
    let ended = wanted(runner, "echo new > f; chmod 000 f");

    let expected = match ended.kind() {
        "ok" => "new\n",
        _ => "old",
    };
    assert!(matches!(ended.kind(), "ok" | "output-missing"), "{}", ended.report["verdict"]);
    assert_eq!(runner.read("f"), expected.as_bytes());
}

fn the_first_missing_output_is_the_verdict_and_good_ones_are_delivered(runner: &Runner) {
    let run = job(runner).options(["--out", "a", "--out", "b", "--out", "c"]);
    let ended = run.shell("echo A > a; mkdir c").run();

    ended.expect("output-missing", 123);
    assert_eq!(ended.report["verdict"]["name"], "b");
    assert_eq!(ended.report["outputs"][2]["problem"]["kind"], "directory");
    assert_eq!(ended.report["outputs"][0]["size"], 2);
    assert_eq!(runner.read("a"), b"A\n");
}

fn a_failing_jobs_output_is_delivered_under_its_own_verdict(runner: &Runner) {
    let ended = wanted(runner, "echo new > f; exit 3");

    ended.expect("exit", 3);
    assert_eq!(runner.read("f"), b"new\n");
}

fn a_stopped_jobs_output_is_not_delivered(runner: &Runner) {
    runner.put("f", "old");
    let run = job(runner).options(["--out", "f"]).limit("wall=400ms");
    let ended = run.shell("echo half > f; sleep 60").run();

    ended.expect("timeout", 124);
    assert_eq!(runner.read("f"), b"old");
}
