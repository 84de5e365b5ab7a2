//! Jobs of a caller that is bounded itself.

use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    a_caller_whose_hard_limit_of_core_dumps_is_0_runs_jobs_that_have_none,
    a_job_keeps_bounds_of_its_caller_that_are_lower_than_the_policys,
];

/// `lazaret run` of a shell with `script`, from a shell that first takes `bound` on itself.
fn bounded(runner: &Runner, bound: &str, script: &str) -> String {
    let program = runner.program();
    let program = program.to_str().expect("a path");
    let start = format!("{bound}; exec \"$@\"");
    let mut args = vec!["-c", &start, "sh", program, "run"];
    args.extend(runner.options());
    args.extend(["--profile", "shell", "--", "sh", "-c", script]);
    let ran = runner.bare("sh", &args);
    assert_eq!(ran.status, Some(0), "{ran}");
    ran.stdout()
}

/// Whether this process may raise hard limits: bit 24 of its capabilities, CAP_SYS_RESOURCE. Containers take it away.
fn may_raise() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("a /proc");
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("the kernel tells them");
    u64::from_str_radix(held.trim(), 16).expect("a number") & (1 << 24) != 0
}

fn a_caller_whose_hard_limit_of_core_dumps_is_0_runs_jobs_that_have_none(runner: &Runner) {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("every kernel has one");
    let raised = runner.is_root() && may_raise();
    if !raised && pattern.starts_with(['|', '@']) {
        // There it is refused: `plan/tests.rs` of the jail has that.
        return;
    }

    let limits = bounded(runner, "ulimit -Hc 0", "grep core /proc/self/limits");

    let wanted = if raised { "1" } else { "0" };
    let words: Vec<&str> = limits.split_whitespace().collect();
    assert_eq!(words[..6], ["Max", "core", "file", "size", wanted, wanted], "{limits}");
}

fn a_job_keeps_bounds_of_its_caller_that_are_lower_than_the_policys(runner: &Runner) {
    let limits = bounded(runner, "ulimit -n 60", "grep 'open files' /proc/self/limits");

    let words: Vec<&str> = limits.split_whitespace().collect();
    assert_eq!(words[..5], ["Max", "open", "files", "60", "60"], "{limits}");
}
