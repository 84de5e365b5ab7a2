//! What is said to policies and options that ask for a network which cannot be.

use crate::job::job;
use crate::stage::Told as _;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    a_rule_that_is_none_is_shown_where_it_stands,
    a_rule_of_the_command_line_is_shown_there,
    a_rule_that_is_named_twice_is_shown,
    rules_that_overlap_are_all_taken,
    a_rule_that_no_address_can_meet_is_an_error,
    a_name_server_that_is_none_is_shown,
    keys_and_types_that_are_wrong_are_shown,
    limits_that_are_wrong_are_shown,
    tier_seccomp_says_what_it_cannot_give,
    rings_beside_a_network_are_an_error,
    nothing_is_started_where_a_rule_is_wrong,
];

fn policy(net: &str) -> String {
    format!("extends = \"default\"\n[net]\n{net}\n")
}

/// Rules that are none, the part that is marked, and what is written instead.
const NONE: [(&str, &str, &str); 14] = [
    ("a.example", "a rule names a port", "`a.example:443`"),
    ("a.example:", "a rule names a port", "`a.example:443`"),
    ("a.example:0", "1 to 65535", "host:port"),
    ("a.example:65536", "1 to 65535", "host:port"),
    ("a.example:+80", "1 to 65535", "host:port"),
    ("a.example:80-70", "1 to 65535", "host:port"),
    ("https://a.example/x", "without a scheme or path", "`a.example:443`"),
    ("a.*.example:443", "whole beginning of a name", "host:port"),
    ("*.1.2.3.4:443", "whole beginning of a name", "host:port"),
    ("10.1.2.3/16:80", "begins at 10.1.0.0", "`10.1.0.0/16:80`"),
    ("10.1.0.0/33:80", "a range of addresses", "host:port"),
    ("fe80::1", "a rule names a port", "`[fe80::1]:443`"),
    ("[fe80::1%eth0]:80", "zone", "host:port"),
    ("1.2.3.4.5:80", "neither a name nor an address", "host:port"),
];

fn a_rule_that_is_none_is_shown_where_it_stands(runner: &Runner) {
    for (rule, problem, hint) in NONE {
        let ended = job(runner).policy(&policy(&format!("allow = [\"good.example:1\", {rule:?}]"))).shell("true").run();

        ended.expect_error(&[problem, hint, "policy.toml:3:", rule, "^"]);
    }
}

fn a_rule_of_the_command_line_is_shown_there(runner: &Runner) {
    for (rule, problem, hint) in NONE {
        let ended = job(runner).options(["--net", rule]).shell("true").run();

        ended.expect_error(&[problem, hint, "command line:1:", rule, "^"]);
    }
}

fn a_rule_that_is_named_twice_is_shown(runner: &Runner) {
    let ended = job(runner).policy(&policy("allow = [\"a.example:80\", \"a.example:80\"]")).shell("true").run();

    ended.expect_error(&["`a.example:80` is named twice", "policy.toml:3:26"]);
}

fn rules_that_overlap_are_all_taken(runner: &Runner) {
    let rules =
        "allow = [\"a.example:80\", \"*.example:1-100\", \"10.0.0.0/8:80\", \"10.1.0.0/16:80\", \"10.1.2.3:80\"]";

    let ended = job(runner).policy(&policy(rules)).shell("true").run();

    ended.expect("ok", 0);
    assert_eq!(ended.report.connections(), Vec::<String>::new());
}

fn a_rule_that_no_address_can_meet_is_an_error(runner: &Runner) {
    for rule in ["169.254.169.254:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80", "0xa9fea9fe:80"] {
        let ended = job(runner).options(["--net", rule]).shell("true").run();

        ended.expect_error(&["can never be met", "metadata"]);
    }
}

fn a_name_server_that_is_none_is_shown(runner: &Runner) {
    for server in ["dns.example", "1.2.3", "[::1", "1.2.3.4:99999", "::1:53:x", ""] {
        let text = policy(&format!("allow = [\"a.example:80\"]\nname-servers = [\"10.0.0.2\", {server:?}]"));

        let ended = job(runner).policy(&text).shell("true").run();

        ended.expect_error(&["name server", "policy.toml:4:", "[::1]:5353"]);
    }
}

fn keys_and_types_that_are_wrong_are_shown(runner: &Runner) {
    for (net, parts) in [
        ("alow = [\"a.example:80\"]", ["unknown key `alow`", "`allow`", "policy.toml:3:1"]),
        ("allow = \"a.example:80\"", ["must be a list", "a string", "policy.toml:3:9"]),
        ("allow = [80]", ["net.allow", "integer", "policy.toml:3:10"]),
        ("allow = [{ host = \"a.example:80\", port = 1 }]", ["unknown key `port`", "`host`", "policy.toml:3:"]),
        ("allow = [{ why = \"x\" }]", ["net.allow", "`host`", "policy.toml:3:"]),
    ] {
        let ended = job(runner).policy(&policy(net)).shell("true").run();

        ended.expect_error(&parts);
    }
}

fn limits_that_are_wrong_are_shown(runner: &Runner) {
    for (limit, part) in [
        ("net-connections=0", "from 1 to"),
        ("net-connections=many", "many"),
        ("net-sent=10 bytes or so", "units are B, KiB"),
        ("net-received=lots", "lots"),
        ("net-time=5", "unit"),
    ] {
        let ended = job(runner).options(["--net", "a.example:80"]).limit(limit).shell("true").run();

        ended.expect_error(&[part]);
    }
}

fn tier_seccomp_says_what_it_cannot_give(runner: &Runner) {
    let requests = "GET http://a.example/*";
    let by_option = job(runner).options(["--tier", "seccomp", "--net", requests]).shell("true").run();
    let text = format!("tier = \"seccomp\"\n{}", policy(&format!("allow = [\"{requests}\"]")));
    let by_policy = job(runner).policy(&text).shell("true").run();
    let text = format!("tier = \"seccomp\"\n{}[files]\nmode = \"direct\"\n", policy("allow = [\"a.example:80\"]"));
    let direct = job(runner).policy(&text).shell("true").run();

    by_option.expect_error(&["tier seccomp", requests, "--net", "--tier jail"]);
    by_policy.expect_error(&["tier seccomp", requests, "policy.toml:4", "--tier jail"]);
    direct.expect_error(&["tier seccomp", "the supervisor to open the job's files", "policy.toml:4", "--tier jail"]);
}

fn rings_beside_a_network_are_an_error(runner: &Runner) {
    let text = policy("allow = [\"a.example:80\"]\n[system-calls]\nallow = [\"io_uring_setup\"]");

    let ended = job(runner).policy(&text).shell("true").run();

    ended.expect_error(&["io_uring_setup", "go around"]);
}

fn nothing_is_started_where_a_rule_is_wrong(runner: &Runner) {
    let script = "echo ran > /job/ran; echo ran >&2";

    let ended = job(runner).options(["--net", "a.example", "--out", "ran"]).shell(script).run();

    ended.expect_error(&["a rule names a port"]);
    assert!(!runner.path("ran").exists() && !ended.stderr.contains("ran\n"), "{}", ended.stderr);
}
