//! Policies that forbid what the launch itself calls under their filter, where nobody answers it yet.

use crate::job::{Job, job};
use lazaret_e2e::{Runner, as_root_and_user};
use std::time::{Duration, Instant};

as_root_and_user![
    a_policy_that_refuses_execve_is_an_error_that_names_the_rule,
    a_policy_that_kills_for_execve_is_an_error,
    a_default_that_leaves_out_what_the_launch_calls_is_an_error,
    a_condition_that_leaves_execve_open_is_an_error,
    plan_and_check_say_the_same,
    a_policy_that_records_execve_starts_its_command,
    a_command_that_is_missing_is_told_where_nobody_may_look_for_it,
];

const TIERS: [&str; 2] = ["jail", "seccomp"];

/// The rest of every policy here; a wait that nobody ends is over after this time.
const WAIT: &str = "[limits]\nwall = \"20s\"\n";

fn with<'a>(runner: &'a Runner, tier: &str, rules: &str) -> Job<'a> {
    let policy = format!("extends = \"default\"\ntier = \"{tier}\"\n{WAIT}[system-calls]\n{rules}\n");
    job(runner).policy(&policy)
}

/// The same with no rules but these.
fn bare<'a>(runner: &'a Runner, tier: &str, rules: &str) -> Job<'a> {
    let none = "[remove]\nallow = [\"*\"]\nsilent = [\"*\"]\n";
    let policy = format!("extends = \"default\"\ntier = \"{tier}\"\n{none}{WAIT}[system-calls]\n{rules}\n");
    job(runner).policy(&policy)
}

fn a_policy_that_refuses_execve_is_an_error_that_names_the_rule(runner: &Runner) {
    for tier in TIERS {
        for rules in
            ["refuse = [\"execve\"]", "silent = [\"@process\", \"execve\"]", "refuse = [\"execve(arg0 != 7)\"]"]
        {
            let ended = with(runner, tier, rules).command(["true"]).run();

            ended.expect_error(&["`execve`", "policy.toml:6", "allow = [\"execve\"]"]);
        }
    }
}

fn a_policy_that_kills_for_execve_is_an_error(runner: &Runner) {
    for tier in TIERS {
        let ended = with(runner, tier, "kill = [\"execve\"]").command(["true"]).run();

        ended.expect_error(&["`execve`", "kills for it", "policy.toml:6"]);
    }
}

fn a_default_that_leaves_out_what_the_launch_calls_is_an_error(runner: &Runner) {
    for tier in TIERS {
        let ended = bare(runner, tier, "default = \"kill\"").command(["true"]).run();
        ended.expect_error(&["`execve`", "the default kills for it", "policy.toml:9"]);

        let ended = bare(runner, tier, "default = \"kill\"\nallow = [\"execve\"]").command(["true"]).run();
        ended.expect_error(&["`exit_group`", "policy.toml:9", "allow = [\"exit_group\"]"]);
    }
}

fn a_condition_that_leaves_execve_open_is_an_error(runner: &Runner) {
    for tier in TIERS {
        let rules = "allow = [\"execve(arg0 == 4096)\", \"exit_group\"]";
        let ended = bare(runner, tier, &format!("default = \"refuse\"\n{rules}")).command(["true"]).run();

        ended.expect_error(&["`execve`", "the default refuses it", "policy.toml:9", "without conditions"]);
    }
}

fn plan_and_check_say_the_same(runner: &Runner) {
    std::fs::create_dir(runner.path("corpus")).expect("it can be made");
    runner.put("corpus/a", "a");
    runner.put("p.toml", format!("extends = \"default\"\n{WAIT}[system-calls]\nkill = [\"execve\"]\n"));
    for tier in TIERS {
        let options = [&["--tier", tier, "--policy", "p.toml"], runner.options()].concat();
        for command in [&["plan"][..], &["check", "--corpus", "corpus"]] {
            let ran = runner.lazaret(&[command, &options, &["--", "cat", "{}"]].concat());

            assert_eq!(ran.status, Some(125), "{ran}");
            assert!(ran.stderr().contains("the rule `execve` kills for it, p.toml:5"), "{ran}");
        }
    }
}

fn a_policy_that_records_execve_starts_its_command(runner: &Runner) {
    for tier in TIERS {
        let ended = with(runner, tier, "log = [\"execve\", \"exit_group\"]").shell("/bin/true; exit 0").run();

        ended.expect("ok", 0);
    }
}

fn a_command_that_is_missing_is_told_where_nobody_may_look_for_it(runner: &Runner) {
    for tier in TIERS {
        for rules in
            ["refuse = [\"faccessat\"]", "kill = [\"faccessat\"]", "log = [\"faccessat\"]", "trap = [\"faccessat\"]"]
        {
            let begun = Instant::now();
            let ended = with(runner, tier, rules).command(["/nowhere/at-all"]).run();

            ended.expect("exit", 127);
            assert!(begun.elapsed() < Duration::from_secs(10), "{tier}, {rules}: nobody waits");
        }
    }
}
