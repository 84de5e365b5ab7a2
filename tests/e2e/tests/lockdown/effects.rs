//! What a locked-down process can still do: nothing that it was not given.

use crate::scene;
use lazaret_e2e::{Ran, Runner, as_root_and_user};

/// What a process tries, and what comes of it under `compute`.
const ATTEMPTS: [(&str, &str); 26] = [
    ("open", "EPERM"),
    ("create", "EPERM"),
    ("unlink", "EPERM"),
    ("memory-file", "EPERM"),
    ("execve", "EPERM"),
    ("fork", "EPERM"),
    ("vfork-process", "EPERM"),
    ("inet", "EPERM"),
    ("unix", "EPERM"),
    ("vsock", "EAFNOSUPPORT"),
    ("kill", "EPERM"),
    ("kill-all", "EPERM"),
    ("tgkill", "EPERM"),
    ("tkill", "EPERM"),
    ("pidfd", "EPERM"),
    ("ptrace", "EPERM"),
    ("limits-of-another", "EPERM"),
    ("lift-limits", "EPERM"),
    ("ring", "EPERM"),
    ("namespace", "EPERM"),
    ("disarm-0", "EPERM"),
    ("disarm-1", "EPERM"),
    ("dumpable", "EPERM"),
    ("owner", "EPERM"),
    ("code", "EPERM"),
    ("protect", "EPERM"),
];

/// Every attempt of `thread` failed, and it could work on.
#[track_caller]
fn assert_confined(ran: &Ran, thread: &str) {
    let stdout = ran.stdout();
    for (attempt, errno) in ATTEMPTS {
        let line = format!("{thread} {attempt}: {errno}\n");
        assert!(stdout.contains(&line), "no {line}{ran}");
    }
    assert!(stdout.contains(&format!("{thread} work: done\n")), "{ran}");
}

fn after_the_call_nothing_can_be_opened_started_sent_or_mapped_for_execution_while_work_goes_on(runner: &Runner) {
    let ran = scene(runner, "single", &[]);

    assert!(ran.stdout().starts_with("answer 0"), "{ran}");
    assert_confined(&ran, "main");
    assert!(runner.path("victim").exists() && !runner.path("made").exists(), "{ran}");
    assert_eq!(ran.status, Some(0), "{ran}");
}

fn it_works_the_same_under_a_containers_default_filter(runner: &Runner) {
    let ran = scene(runner, "container", &[]);

    assert!(ran.stdout().starts_with("answer 0"), "{ran}");
    assert_confined(&ran, "main");
}

fn a_second_lockdown_under_the_same_or_another_policy_is_a_clear_error_and_the_first_holds(runner: &Runner) {
    let ran = scene(runner, "twice", &[]);

    let stdout = ran.stdout();
    assert!(
        stdout.contains("answer 5 already locked down under the policy `policy`, which is the one asked for"),
        "{ran}"
    );
    assert!(stdout.contains("answer 5 already locked down under the policy `policy`, which refuses `prctl`"), "{ran}");
    assert_confined(&ran, "main");
}

fn under_a_policy_that_kills_for_the_rest_asking_again_is_an_error_and_no_death(runner: &Runner) {
    let ran = scene(runner, "killing", &[]);

    let stdout = ran.stdout();
    assert_eq!(stdout.matches("answer 5 already locked down").count(), 2, "{ran}");
    assert!(stdout.ends_with("alive: done\n"), "{ran}");
    // By SIGSYS, for a call that the policy does not name.
    assert_eq!(ran.status, None, "{ran}");
}

fn a_stricter_lockdown_within_one_that_allows_it_holds_with_its_own_time(runner: &Runner) {
    let ran = scene(runner, "stricter", &[]);

    let stdout = ran.stdout();
    assert!(stdout.contains("first socketpair: done\n") && stdout.contains("second socketpair: EPERM\n"), "{ran}");
    assert!(stdout.contains("answer 3 ") && stdout.contains("limits.memory = 256MiB (policy:3)"), "{ran}");
    assert_confined(&ran, "main");
    // By SIGKILL, in the ten seconds that it would sleep.
    assert_eq!(ran.status, None, "{ran}");
}

fn memory_files_and_their_sizes_are_bounded(runner: &Runner) {
    let mut command = runner.command("sh");
    // The library and the program come with any scene.
    scene(runner, "none", &[]);
    command.args(["-c", "LD_LIBRARY_PATH=. ./scene limits 3>written"]);

    let ran = lazaret_e2e::finish(&mut command, b"work", lazaret_e2e::PATIENCE);

    let stdout = ran.stdout();
    assert!(stdout.contains("16 MiB: done\n32 MiB more: ENOMEM\n32 MiB shared: ENOMEM\nwrote 1024\n"), "{ran}");
    assert_eq!(runner.read("written").len(), 1024, "{ran}");
}

fn time_and_processor_time_are_bounded_whatever_the_process_blocks(runner: &Runner) {
    let wall = scene(runner, "wall", &[]);
    let processor = scene(runner, "processor", &[]);

    // By SIGKILL, and not when it would have ended: after 30 s, or never.
    assert_eq!((wall.status, processor.status), (None, None), "{wall}\n{processor}");
    assert!(!wall.stdout().contains("sleep"), "{wall}");
    assert!(wall.took.as_secs() < 25, "{wall}");
}

fn landlock_bounds_the_paths_that_a_policy_lets_be_opened(runner: &Runner) {
    let ran = scene(runner, "paths", &[]);

    let opened = "usr: done\nnull: done\n";
    let refused = "etc: EACCES\netc-beneath: EACCES\nthrough-dots: EACCES\nmemory-file: EACCES\ncreate: EACCES\nwrite-usr: EACCES\n";
    assert!(ran.stdout().contains(&format!("{opened}{refused}")), "{ran}");
}

as_root_and_user![
    after_the_call_nothing_can_be_opened_started_sent_or_mapped_for_execution_while_work_goes_on,
    it_works_the_same_under_a_containers_default_filter,
    a_second_lockdown_under_the_same_or_another_policy_is_a_clear_error_and_the_first_holds,
    under_a_policy_that_kills_for_the_rest_asking_again_is_an_error_and_no_death,
    a_stricter_lockdown_within_one_that_allows_it_holds_with_its_own_time,
    memory_files_and_their_sizes_are_bounded,
    time_and_processor_time_are_bounded_whatever_the_process_blocks,
    landlock_bounds_the_paths_that_a_policy_lets_be_opened,
];

#[test]
fn threads_that_an_initialiser_started_are_locked_down_with_the_process() {
    let Some(runner) = Runner::user() else { return };

    let ran = scene(&runner, "threads", &[("THREADS", "1")]);

    assert!(ran.stdout().starts_with("answer 0"), "{ran}");
    assert_confined(&ran, "main");
    assert_confined(&ran, "first");
    assert_confined(&ran, "second");
}

#[test]
fn threads_that_start_threads_and_signals_that_arrive_during_the_call_find_no_way_past_it() {
    let Some(runner) = Runner::user() else { return };

    let ran = scene(&runner, "race", &[]);

    assert!(ran.stdout().ends_with("holes 0, refusals many, ticks many\n"), "{ran}");
}
