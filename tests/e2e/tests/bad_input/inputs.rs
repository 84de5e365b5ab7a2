//! Inputs that cannot be used.

use crate::job::{job, processes_with, token};
use lazaret_e2e::{Runner, as_root_and_user};
use std::process::Command;
use std::time::Duration;

as_root_and_user![
    a_missing_input_is_named,
    a_directory_is_no_input,
    a_fifo_is_no_input_and_nobody_waits_for_it,
    a_device_is_no_input,
    a_socket_is_no_input,
    an_input_larger_than_the_disk_is_named_with_the_limit,
    inputs_that_are_too_large_together_are_named,
    two_inputs_of_one_name_are_an_error,
    an_input_without_a_base_name_is_an_error,
    an_input_named_with_a_slash_is_an_error,
    an_input_named_with_nothing_is_an_error,
    an_oddly_named_input_arrives,
    a_link_to_a_file_is_an_input,
    an_input_is_a_copy_that_the_job_may_change,
    nothing_runs_when_an_input_is_missing,
];

fn a_missing_input_is_named(runner: &Runner) {
    let ended = job(runner).options(["--in", "gone.jpg"]).command(["true"]).run();

    ended.expect_error(&["`gone.jpg`", "No such file"]);
}

fn a_directory_is_no_input(runner: &Runner) {
    let ended = job(runner).options(["--in", "/usr"]).command(["true"]).run();

    ended.expect_error(&["`/usr`", "directory"]);
}

fn a_fifo_is_no_input_and_nobody_waits_for_it(runner: &Runner) {
    let made = Command::new("mkfifo").arg(runner.path("fifo")).args(["-m", "666"]).status();
    assert!(made.expect("mkfifo can be started").success());

    let ended = job(runner).options(["--in", "fifo"]).command(["true"]).run();

    ended.expect_error(&["`fifo`", "FIFO"]);
    assert!(ended.took < Duration::from_secs(10));
}

fn a_device_is_no_input(runner: &Runner) {
    let ended = job(runner).options(["--in", "/dev/zero"]).command(["true"]).run();

    ended.expect_error(&["`/dev/zero`", "character device"]);
}

fn a_socket_is_no_input(runner: &Runner) {
    let held = std::os::unix::net::UnixListener::bind(runner.path("socket")).expect("an own directory");

    let ended = job(runner).options(["--in", "socket"]).command(["true"]).run();

    ended.expect_error(&["`socket`"]);
    drop(held);
}

fn an_input_larger_than_the_disk_is_named_with_the_limit(runner: &Runner) {
    runner.put("large", vec![1; 2 << 20]);

    let ended = job(runner).options(["--in", "large"]).limit("disk=1MiB").command(["true"]).run();

    ended.expect_error(&["`large`", "1MiB", "--limit disk=", "2097152"]);
}

fn inputs_that_are_too_large_together_are_named(runner: &Runner) {
    runner.put("a", vec![1; 700_000]);
    runner.put("b", vec![1; 700_000]);

    let ended = job(runner).options(["--in", "a", "--in", "b"]).limit("disk=1MiB").command(["true"]).run();

    ended.expect_error(&["1MiB", "--limit disk="]);
}

fn two_inputs_of_one_name_are_an_error(runner: &Runner) {
    runner.put("a", "1");

    let ended = job(runner).options(["--in", "a", "--in", "/usr/bin/true:a"]).command(["true"]).run();

    ended.expect_error(&["two inputs are named `a`"]);
}

fn an_input_without_a_base_name_is_an_error(runner: &Runner) {
    let ended = job(runner).options(["--in", ".."]).command(["true"]).run();

    ended.expect_error(&["base name", "--in HOST:NAME"]);
}

fn an_input_named_with_a_slash_is_an_error(runner: &Runner) {
    runner.put("a", "1");

    let ended = job(runner).options(["--in", "a:../etc/b"]).command(["true"]).run();

    ended.expect_error(&["slash"]);
}

fn an_input_named_with_nothing_is_an_error(runner: &Runner) {
    runner.put("a", "1");

    let ended = job(runner).options(["--in", "a:"]).command(["true"]).run();

    ended.expect_error(&["empty"]);
}

fn an_oddly_named_input_arrives(runner: &Runner) {
    for name in ["-n", "a b", "new\nline", "'; rm -rf *", "*", "ü", "a:b", "\u{1b}[31m"] {
        runner.put(name, name);

        let ended = job(runner).options([format!("--in={name}")]).shell("cat -- ./*").run();

        ended.expect("ok", 0);
        assert_eq!(ended.stdout, name.as_bytes());
        std::fs::remove_file(runner.path(name)).expect("an own file");
    }
}

fn a_link_to_a_file_is_an_input(runner: &Runner) {
    let to = runner.put("a", "content");
    std::os::unix::fs::symlink(to, runner.path("link")).expect("an own directory");

    let ended = job(runner).options(["--in", "link"]).command(["cat", "link"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"content");
}

fn an_input_is_a_copy_that_the_job_may_change(runner: &Runner) {
    runner.put("a", "before");

    let ended = job(runner).options(["--in", "a"]).shell("echo after > a; cat a; rm a").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"after\n");
    assert_eq!(runner.read("a"), b"before");
}

fn nothing_runs_when_an_input_is_missing(runner: &Runner) {
    let token = token();

    let ended = job(runner).options(["--in", "gone"]).command(["sh", "-c", "echo ran; sleep 60", &token]).run();

    ended.expect_error(&["gone"]);
    assert_eq!(ended.stdout, b"");
    assert!(processes_with(&token).is_empty());
}
