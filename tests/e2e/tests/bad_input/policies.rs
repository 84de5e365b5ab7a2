//! Profiles, policies and options that are wrong.

use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    an_unknown_profile_names_the_nearest,
    a_profile_that_is_a_file_name_says_so,
    an_unknown_key_names_the_nearest_and_its_line,
    a_wrong_type_is_shown_where_it_stands,
    a_wrong_unit_is_shown_with_the_right_ones,
    an_unknown_limit_in_a_policy_names_the_nearest,
    several_mistakes_are_shown_at_once,
    a_policy_that_is_not_toml_is_shown_where_it_breaks,
    a_policy_that_is_not_there_is_named,
    a_policy_that_is_not_text_is_named,
    a_policy_that_extends_nothing_known_is_shown,
    a_policy_that_extends_itself_is_shown,
    an_unknown_system_call_names_the_nearest,
    a_path_of_the_policy_that_is_missing_is_named,
    an_unknown_limit_option_names_the_nearest,
    a_limit_option_without_a_value_is_shown,
    a_limit_option_with_a_bad_unit_is_shown,
    a_limit_option_out_of_range_is_shown,
    an_unknown_layer_names_the_nearest,
    a_layer_that_cannot_be_degraded_says_so,
    an_unknown_tier_is_shown,
    a_bad_variable_is_shown,
    an_unknown_option_is_125,
    no_command_is_125,
];

fn an_unknown_profile_names_the_nearest(runner: &Runner) {
    let ended = job(runner).options(["--profile", "imagemagik"]).command(["true"]).run();

    ended.expect_error(&["unknown profile `imagemagik`", "imagemagick"]);
}

fn a_profile_that_is_a_file_name_says_so(runner: &Runner) {
    let ended = job(runner).options(["--profile", "./mine.toml"]).command(["true"]).run();

    ended.expect_error(&["./mine.toml", "--policy"]);
}

fn an_unknown_key_names_the_nearest_and_its_line(runner: &Runner) {
    let ended = job(runner).policy("extends = \"default\"\n[limits]\nmemmory = \"1GiB\"\n").command(["true"]).run();

    ended.expect_error(&["memmory", "`memory`", "policy.toml:3:1", "^^^^^^^"]);
}

fn a_wrong_type_is_shown_where_it_stands(runner: &Runner) {
    let ended = job(runner).policy("extends = \"default\"\n[limits]\nprocesses = true\n").command(["true"]).run();

    ended.expect_error(&["policy.toml:3:13", "processes = true", "^^^^"]);
}

fn a_wrong_unit_is_shown_with_the_right_ones(runner: &Runner) {
    let ended = job(runner).policy("extends = \"default\"\n[limits]\nmemory = \"1 gigs\"\n").command(["true"]).run();

    ended.expect_error(&["gigs", "policy.toml:3:10", "GiB"]);
}

fn an_unknown_limit_in_a_policy_names_the_nearest(runner: &Runner) {
    let ended = job(runner).policy("extends = \"default\"\n[limits]\nfilesize = 1\n").command(["true"]).run();

    ended.expect_error(&["filesize", "`file-size`", "policy.toml:3"]);
}

fn several_mistakes_are_shown_at_once(runner: &Runner) {
    let policy = "extends = \"default\"\n[limits]\nwal = \"1s\"\ncpu = \"1 fortnight\"\n";
    let ended = job(runner).policy(policy).command(["true"]).run();

    ended.expect_error(&["policy.toml:3", "policy.toml:4", "wal", "fortnight"]);
}

fn a_policy_that_is_not_toml_is_shown_where_it_breaks(runner: &Runner) {
    let ended = job(runner).policy("extends = \"default\"\n[limits\n").command(["true"]).run();

    ended.expect_error(&["policy.toml:2"]);
}

fn a_policy_that_is_not_there_is_named(runner: &Runner) {
    let ended = job(runner).options(["--policy", "gone.toml"]).command(["true"]).run();

    ended.expect_error(&["gone.toml", "No such file"]);
}

fn a_policy_that_is_not_text_is_named(runner: &Runner) {
    runner.put("bytes.toml", [0xff, 0xfe, 0]);
    let ended = job(runner).options(["--policy", "bytes.toml"]).command(["true"]).run();

    ended.expect_error(&["bytes.toml"]);
}

fn a_policy_that_extends_nothing_known_is_shown(runner: &Runner) {
    let ended = job(runner).policy("extends = \"defualt\"\n").command(["true"]).run();

    ended.expect_error(&["defualt", "`default`", "policy.toml:1:11"]);
}

fn a_policy_that_extends_itself_is_shown(runner: &Runner) {
    let ended = job(runner).policy("extends = \"./policy.toml\"\n").command(["true"]).run();

    ended.expect_error(&["extends itself", "policy.toml:1"]);
}

fn an_unknown_system_call_names_the_nearest(runner: &Runner) {
    let policy = "extends = \"default\"\n[system-calls]\nallow = [\"mknot\"]\n";
    let ended = job(runner).policy(policy).command(["true"]).run();

    ended.expect_error(&["mknot", "mknod", "policy.toml:3"]);
}

fn a_path_of_the_policy_that_is_missing_is_named(runner: &Runner) {
    let policy = "extends = \"default\"\n[files]\nread = [{ path = \"/no/such/place\", why = \"test\" }]\n";
    let ended = job(runner).policy(policy).command(["true"]).run();

    ended.expect_error(&["/no/such/place", "policy.toml:3"]);
}

fn an_unknown_limit_option_names_the_nearest(runner: &Runner) {
    let ended = job(runner).limit("memry=1GiB").command(["true"]).run();

    ended.expect_error(&["memry", "`memory`"]);
}

fn a_limit_option_without_a_value_is_shown(runner: &Runner) {
    let ended = job(runner).limit("memory").command(["true"]).run();

    ended.expect_error(&["memory", "KEY=VALUE"]);
}

fn a_limit_option_with_a_bad_unit_is_shown(runner: &Runner) {
    let ended = job(runner).limit("wall=10").command(["true"]).run();

    ended.expect_error(&["`10` has no unit", "10s"]);
}

fn a_limit_option_out_of_range_is_shown(runner: &Runner) {
    let ended = job(runner).limit("processes=0").command(["true"]).run();

    ended.expect_error(&["out of range", "1", "32768"]);
}

fn an_unknown_layer_names_the_nearest(runner: &Runner) {
    let ended = job(runner).options(["--degrade", "cgruop"]).command(["true"]).run();

    ended.expect_error(&["cgruop", "`cgroup`"]);
}

fn a_layer_that_cannot_be_degraded_says_so(runner: &Runner) {
    let ended = job(runner).options(["--degrade", "user-namespace"]).command(["true"]).run();

    ended.expect_error(&["user-namespace"]);
}

fn an_unknown_tier_is_shown(runner: &Runner) {
    let ended = job(runner).options(["--tier", "jial"]).command(["true"]).run();

    ended.expect_error(&["jial", "`jail`"]);
}

fn a_bad_variable_is_shown(runner: &Runner) {
    let ended = job(runner).options(["--env", "=x"]).command(["true"]).run();

    ended.expect_error(&["environment variable"]);
}

fn an_unknown_option_is_125(runner: &Runner) {
    let ran = runner.lazaret(&["run", "--no-such-option", "--", "true"]);

    assert_eq!(ran.status, Some(125));
    assert!(ran.stderr().contains("--no-such-option"), "{ran}");
}

fn no_command_is_125(runner: &Runner) {
    let ran = runner.lazaret(&["run"]);

    assert_eq!(ran.status, Some(125));
    assert!(ran.stderr().contains("COMMAND"), "{ran}");
}
