//! What a person at a terminal sees.

use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

as_root_and_user![
    a_failing_job_ends_in_a_summary,
    a_successful_job_says_nothing,
    quiet_says_nothing,
    without_a_terminal_nothing_is_said,
    a_limit_is_named_with_value_and_key,
    a_refused_call_is_named_with_its_remedy,
    a_missing_output_is_named,
    a_violation_is_named,
    a_job_gets_no_terminal,
];

/// Everything that a terminal shows when `options` and `script` are run on it, and the exit status.
fn on_a_terminal(runner: &Runner, options: &[&str], script: &str) -> (String, Option<i32>) {
    let deadly = "extends = \"default\"\n[system-calls]\nkill = [\"chdir\"]\n";
    runner.put("kill.toml", deadly);
    let run = job(runner).options(options).shell(script);
    let quoted = run.words().iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    // script(1) starts the command on a new terminal, and copies what is shown there.
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &quoted, "/dev/null"]).current_dir(runner.work()).env("SHELL", "/bin/sh");
    let output = terminal.stdin(Stdio::null()).output().expect("script(1) of util-linux or bsdutils");
    (String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"), output.status.code())
}

fn quote(word: &OsStr) -> String {
    let text = String::from_utf8_lossy(word.as_bytes());
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn a_failing_job_ends_in_a_summary(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &[], "echo out; exit 3");

    assert_eq!(shown, "out\nlazaret: the command exited with 3\n");
    assert_eq!(status, Some(3));
}

fn a_successful_job_says_nothing(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &[], "echo out");

    assert_eq!(shown, "out\n");
    assert_eq!(status, Some(0));
}

fn quiet_says_nothing(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &["--quiet"], "exit 3");

    assert_eq!(shown, "");
    assert_eq!(status, Some(3));
}

fn without_a_terminal_nothing_is_said(runner: &Runner) {
    let ended = job(runner).shell("exit 3").run();

    assert_eq!(ended.stderr, "");
}

fn a_limit_is_named_with_value_and_key(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &["--limit", "wall=200ms"], "sleep 60");

    assert!(shown.contains("wall limit of 200ms"), "{shown}");
    assert!(shown.contains("--limit wall="), "{shown}");
    assert!(shown.contains("[limits] wall"), "{shown}");
    assert_eq!(status, Some(124));
}

fn a_refused_call_is_named_with_its_remedy(runner: &Runner) {
    let (shown, _) = on_a_terminal(runner, &[], "mkfifo /tmp/f; unshare -U true; exit 3");

    assert!(shown.contains("unshare"), "{shown}");
    assert!(shown.contains("[system-calls] allow = ["), "{shown}");
}

fn a_missing_output_is_named(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &["--out", "gone.png"], "true");

    assert!(shown.contains("lazaret: the output `gone.png` was not written"), "{shown}");
    assert_eq!(status, Some(123));
}

fn a_violation_is_named(runner: &Runner) {
    let (shown, status) = on_a_terminal(runner, &["--policy", "kill.toml"], "cd /usr");

    assert!(shown.contains("killed for the system call `chdir`"), "{shown}");
    assert_eq!(status, Some(123));
}

fn a_job_gets_no_terminal(runner: &Runner) {
    let (shown, _) = on_a_terminal(runner, &["--stdin"], "test -t 0; echo $?; test -t 1; echo $?; tty; : < /dev/tty");

    assert!(shown.starts_with("1\n1\n"), "{shown}");
    assert!(shown.contains("not a tty"), "{shown}");
}
