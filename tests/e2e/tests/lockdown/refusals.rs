//! Lockdowns that fail: why is said, and nothing is changed.

use crate::scene;
use lazaret_e2e::{Runner, as_root_and_user};

fn an_open_ring_a_process_memory_file_and_a_shared_memory_are_refused_and_nothing_is_changed(runner: &Runner) {
    let ring = scene(runner, "ring", &[]);
    let memory = scene(runner, "memory-file", &[]);
    let shared = scene(runner, "vfork", &[]);

    // A host may have none.
    let none = ["ring: EPERM\n", "ring: ENOSYS\n"].contains(&ring.stdout().as_str());
    assert!(none || ring.stdout().contains("anon_inode:[io_uring]) is an io_uring instance"), "{ring}");
    assert!(none || ring.stdout().starts_with("answer 4") && ring.stdout().ends_with("open: done\n"), "{ring}");
    assert!(memory.stdout().starts_with("answer 4") && memory.stdout().ends_with("open: done\n"), "{memory}");
    assert!(memory.stdout().contains("/mem) writes to a process's memory"), "{memory}");
    assert!(shared.stdout().starts_with("answer 4"), "{shared}");
    assert!(shared.stdout().contains("has the very memory of this one"), "{shared}");
}

fn what_shares_memory_or_descriptors_without_being_a_relative_and_a_ring_without_a_descriptor_are_refused(
    runner: &Runner,
) {
    let ring = scene(runner, "hidden-ring", &[]);
    let scenes = [("orphan", "has the very memory of this one"), ("same-descriptors", "has the very descriptors")];

    // Linux 6.5 has such rings, and a host may have none.
    let none = ["ring: EPERM\n", "ring: ENOSYS\n", "ring: EINVAL\n"].contains(&ring.stdout().as_str());
    assert!(none || ring.stdout().contains("io_uring instance without a descriptor"), "{ring}");
    assert!(none || ring.stdout().starts_with("answer 4") && ring.stdout().ends_with("open: done\n"), "{ring}");
    for (name, says) in scenes {
        let shared = scene(runner, name, &[]);

        assert!(shared.stdout().starts_with("answer 4") && shared.stdout().contains(says), "{shared}");
        assert!(shared.stdout().ends_with("open: done\n"), "{shared}");
    }
}

fn what_widens_the_policy_is_an_error_of_the_strict_call_alone(runner: &Runner) {
    let ran = scene(runner, "strict", &[]);

    let stdout = ran.stdout();
    assert!(stdout.starts_with("answer 4") && stdout.contains("net:["), "{ran}");
    assert!(stdout.contains("open: done\nanswer 0 \nopen: EPERM\n"), "{ran}");
}

fn a_preflight_changes_nothing_and_its_report_is_that_of_the_call(runner: &Runner) {
    let ran = scene(runner, "preflight", &[]);

    let stdout = ran.stdout();
    assert!(stdout.contains("answer 0\n") && stdout.contains("report none\n"), "{ran}");
    assert!(stdout.contains("open: done\n") && stdout.contains("no_new_privs 0\n"), "{ran}");
    assert!(stdout.contains("beneath: EPERM\n"), "{ran}");
    let reports: Vec<serde_json::Value> = stdout
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [before, after] = reports.as_slice() else { panic!("{ran}") };
    assert_eq!(before["controls"], after["controls"], "{ran}");
    let holding = |layer: &str| {
        let controls = after["controls"].as_array().expect("a list").iter();
        controls.filter(|control| control["layer"] == layer).map(|control| control["holding"].clone()).next()
    };
    assert_eq!(holding("seccomp"), Some("yes".into()), "{ran}");
    assert_eq!(holding("notifier"), Some("no".into()), "{ran}");
    let directory = before["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|finding| finding["text"].as_str().is_some_and(|text| text.contains("(/) is a directory")));
    assert_eq!(directory.map(|finding| finding["severity"].clone()), Some("note".into()), "{ran}");
}

fn a_step_that_fails_says_what_was_changed_and_takes_the_timers_back(runner: &Runner) {
    let ran = scene(runner, "partial", &[]);

    let stdout = ran.stdout();
    assert!(
        stdout.starts_with("answer 6 cannot install the filter on all threads; the process is not locked down"),
        "{ran}"
    );
    assert!(stdout.contains("RLIMIT_FSIZE is 67108864") && stdout.contains("Landlock of the calling thread"), "{ran}");
    // It outlives the second that the policy gave it.
    assert!(stdout.ends_with("sleep: done\n"), "{ran}");
    assert_eq!(ran.status, Some(0), "{ran}");
}

fn bad_arguments_and_policies_are_errors_with_a_text_and_nothing_is_changed(runner: &Runner) {
    let ran = scene(runner, "arguments", &[]);

    let stdout = ran.stdout();
    assert!(stdout.contains("open: done\n"), "{ran}");
    let lines: Vec<&str> = stdout.lines().filter(|line| *line != "open: done").collect();
    let expected = [
        "1",
        "1",
        "1",
        "1",
        "there is no flag 0x2",
        "2 unkno",
        "2 x",
        "2 0",
        "2",
        "2",
        "cannot lock down under the tier `jail` (profile default:5): a process can give itself the tier `seccomp` alone",
        "hint: start from the profile `compute`, or set `tier = \"seccomp\"`",
        "2",
        "null",
        "1",
        "2",
        "the policy refuses `exit_group`, which a locked-down process needs, by its rule `exit_group`, kill (policy:3)",
    ];
    assert_eq!(lines[..expected.len()], expected, "{ran}");
    assert!(stdout.contains("\n3\n") && stdout.contains("mount-namespace: files.proc = full (policy:3)"), "{ran}");
}

as_root_and_user![
    an_open_ring_a_process_memory_file_and_a_shared_memory_are_refused_and_nothing_is_changed,
    what_shares_memory_or_descriptors_without_being_a_relative_and_a_ring_without_a_descriptor_are_refused,
    what_widens_the_policy_is_an_error_of_the_strict_call_alone,
    a_preflight_changes_nothing_and_its_report_is_that_of_the_call,
    a_step_that_fails_says_what_was_changed_and_takes_the_timers_back,
    bad_arguments_and_policies_are_errors_with_a_text_and_nothing_is_changed,
];

#[test]
fn a_thread_with_a_filter_of_its_own_is_named_and_nothing_is_changed() {
    let Some(runner) = Runner::user() else { return };

    let ran = scene(&runner, "diverging", &[]);

    let stdout = ran.stdout();
    assert!(
        stdout.starts_with("answer 4") && stdout.contains("(`diverging`) has system-call filters of its own"),
        "{ran}"
    );
    assert!(stdout.contains("open: done\nno_new_privs 0\n"), "{ran}");
}

#[test]
fn a_thread_that_only_the_kernel_can_tell_to_diverge_is_named_with_what_was_changed() {
    let Some(runner) = Runner::user() else { return };

    let ran = scene(&runner, "diverging-unseen", &[]);

    let stdout = ran.stdout();
    assert!(stdout.starts_with("answer 6 cannot install the filter on all threads"), "{ran}");
    assert!(stdout.contains("(`diverging`); the process is not locked down"), "{ran}");
    assert!(stdout.contains("no_new_privs of the calling thread"), "{ran}");
}

#[test]
fn threads_that_hold_capabilities_are_an_unmet_requirement_that_names_them() {
    let Some(runner) = Runner::root() else { return };

    let ran = scene(&runner, "threads", &[("THREADS", "1")]);

    let stdout = ran.stdout();
    assert!(stdout.starts_with("answer 3") && stdout.contains("capabilities"), "{ran}");
    assert!(stdout.contains("(`first`)") && stdout.contains("(`second`)"), "{ran}");
}

#[test]
fn the_first_process_of_a_pid_namespace_is_told_that_no_timer_would_end_it() {
    let Some(runner) = Runner::root() else { return };
    // The library and the program come with any scene.
    scene(&runner, "none", &[]);
    let mut command = runner.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "./scene", "single"]).env("LD_LIBRARY_PATH", runner.work());

    let ran = lazaret_e2e::finish(&mut command, b"work", lazaret_e2e::PATIENCE);

    assert!(ran.stdout().starts_with("answer 3") && ran.stdout().contains("wall-time: limits.wall = 10s"), "{ran}");
}
