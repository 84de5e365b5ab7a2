//! Commands that cannot be started.

use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    a_command_that_is_nowhere_in_path_is_127,
    a_path_that_is_not_there_is_127,
    a_file_that_may_not_be_executed_is_126,
    a_directory_is_126,
    a_file_without_a_format_is_126,
    a_script_whose_interpreter_is_missing_is_126_and_says_so,
    a_script_whose_interpreter_may_not_be_executed_is_126,
    a_script_without_an_interpreter_in_its_first_line_is_126,
    an_empty_command_is_an_error,
    a_command_with_a_terminal_sequence_is_shown_without_it,
    arguments_that_are_too_long_are_126_or_an_error,
];

fn a_command_that_is_nowhere_in_path_is_127(runner: &Runner) {
    let ended = job(runner).command(["no-such-command"]).run();

    ended.expect("exit", 127);
    let failure = &ended.report["verdict"]["start_failure"];
    assert_eq!(failure["kind"], "not-found");
    assert_eq!(failure["command"], "no-such-command");
    assert_eq!(failure["detail"], "it is in no directory of PATH for the job");
}

fn a_path_that_is_not_there_is_127(runner: &Runner) {
    let ended = job(runner).command(["/usr/bin/no-such-command"]).run();

    ended.expect("exit", 127);
    assert_eq!(ended.report["verdict"]["start_failure"]["kind"], "not-found");
}

fn a_file_that_may_not_be_executed_is_126(runner: &Runner) {
    runner.put("data", "x");
    let ended = job(runner).options(["--in", "data"]).command(["./data"]).run();

    ended.expect("exit", 126);
    assert_eq!(ended.report["verdict"]["start_failure"]["kind"], "not-executable");
}

fn a_directory_is_126(runner: &Runner) {
    let ended = job(runner).command(["/usr"]).run();

    ended.expect("exit", 126);
    assert_eq!(ended.report["verdict"]["start_failure"]["kind"], "not-executable");
}

/// The start failure of an executable file with this content, which a job of the `shell` profile makes itself.
fn of_script(runner: &Runner, content: &str) -> (i32, String) {
    // The job's own exec is reported only for its first process, so a directory of the policy holds the script.
    let directory = runner.path("scripts");
    std::fs::create_dir(&directory).expect("an own directory");
    std::fs::write(directory.join("script"), content).expect("an own file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.join("script"), executable).expect("an own file");
    let shown = directory.display();
    let policy = format!(
        "extends = \"default\"\n[files]\nread = [{{ path = \"{shown}\", at = \"/scripts\", why = \"test\" }}]\n"
    );
    let ended = job(runner).policy(&policy).command(["/scripts/script"]).run();
    assert_eq!(ended.kind(), "exit", "{}", ended.stderr);
    let kind = ended.report["verdict"]["start_failure"]["kind"].as_str().unwrap_or("started");
    (ended.code(), kind.to_owned())
}

fn a_file_without_a_format_is_126(runner: &Runner) {
    assert_eq!(of_script(runner, "\x7fELF nonsense"), (126, "not-executable".to_owned()));
}

fn a_script_whose_interpreter_is_missing_is_126_and_says_so(runner: &Runner) {
    assert_eq!(of_script(runner, "#!/no/such/interpreter\n"), (126, "bad-interpreter".to_owned()));
}

fn a_script_whose_interpreter_may_not_be_executed_is_126(runner: &Runner) {
    assert_eq!(of_script(runner, "#!/etc/ld.so.cache\n").0, 126);
}

fn a_script_without_an_interpreter_in_its_first_line_is_126(runner: &Runner) {
    assert_eq!(of_script(runner, "echo x\n"), (126, "not-executable".to_owned()));
}

fn an_empty_command_is_an_error(runner: &Runner) {
    let ended = job(runner).command([""]).run();

    ended.expect_error(&["the command is empty"]);
}

fn a_command_with_a_terminal_sequence_is_shown_without_it(runner: &Runner) {
    let ended = job(runner).options(["--profile", "\u{1b}[31mred"]).command(["true"]).run();

    ended.expect_error(&["unknown profile"]);
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

fn arguments_that_are_too_long_are_126_or_an_error(runner: &Runner) {
    // More than MAX_ARG_STRLEN for one argument cannot even reach Lazaret; many that fit can.
    let arguments = std::iter::once("true".to_owned()).chain((0..12).map(|_| "x".repeat(120_000)));
    let ended = job(runner).command(arguments).run();

    assert!(matches!(ended.code(), 0 | 125 | 126), "{:?}: {}", ended.status, ended.stderr);
}
