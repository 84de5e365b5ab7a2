//! What policies ask of the tier.

use crate::confined;
use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};
use std::process::Stdio;

as_root_and_user![
    the_report_names_the_tier_and_what_it_has_not,
    what_the_tier_cannot_give_is_an_error_before_anything_runs,
    a_required_layer_that_does_not_hold_is_an_error_in_this_tier,
    requiring_and_giving_up_a_layer_is_an_error_that_points_at_both,
    profiles_run_without_any_flag,
    a_terminal_of_the_callers_is_out_of_reach,
    a_plan_tells_the_tiers_controls_and_steps,
];

fn the_report_names_the_tier_and_what_it_has_not(runner: &Runner) {
    let ended = confined(runner).command(["true"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.report.at("/tier"), "seccomp");
    let controls = ended.report.at("/enforcement").as_array().cloned().unwrap_or_default();
    let of = |layer: &str| controls.iter().find(|control| control["layer"] == layer).cloned().unwrap_or_default();
    assert_eq!((&of("pid-namespace")["holding"], &of("seccomp")["holding"]), (&"no".into(), &"yes".into()));
    assert_eq!(of("pid-namespace")["why_not"], "tier seccomp has none");
    assert!(ended.report.at("/notes").to_string().contains("/job is /tmp/lazaret-"));
}

fn what_the_tier_cannot_give_is_an_error_before_anything_runs(runner: &Runner) {
    let policy = "extends = \"default\"\ntier = \"seccomp\"\n[net]\nloopback = true";
    let ended = confined(runner).policy(policy).command(["true"]).run();

    ended.expect_error(&["tier seccomp cannot give a loopback interface", "policy.toml:4", "--tier jail"]);
}

fn a_required_layer_that_does_not_hold_is_an_error_in_this_tier(runner: &Runner) {
    let ended = confined(runner).options(["--require", "mount-namespace"]).command(["true"]).run();
    let held = job(runner).options(["--require", "mount-namespace"]).command(["true"]).run();

    ended.expect_error(&["mount-namespace (tier seccomp has none)", "--require mount-namespace"]);
    held.expect("ok", 0);
}

fn requiring_and_giving_up_a_layer_is_an_error_that_points_at_both(runner: &Runner) {
    let policy = "extends = \"default\"\ndegrade = [\"cgroup\"]\nrequire = [\"cgroup-memory\"]";
    let ended = job(runner).policy(policy).command(["true"]).run();

    ended.expect_error(&[
        "`cgroup-memory` is required (",
        "policy.toml:3) and given up with `cgroup` (",
        "policy.toml:2)",
    ]);
}

fn profiles_run_without_any_flag(runner: &Runner) {
    let runs: [(&str, &[&str]); 4] = [
        ("default", &["sh", "-c", "seq 3 | sort -r > out && cat out"]),
        ("shell", &["bash", "-c", "echo $((1+1)) | tee out"]),
        (
            "python",
            &["python3", "-c", "import json, tempfile, hashlib; tempfile.TemporaryFile().write(b'x'); print(1)"],
        ),
        ("node", &["node", "-e", "require('fs').writeFileSync('out', 'x'); console.log(1)"]),
    ];
    for (profile, command) in runs {
        let ended = confined(runner).options(["--profile", profile]).command(command).run();

        assert_eq!(ended.kind(), "ok", "{profile}: {}", ended.stderr);
    }
}

fn a_terminal_of_the_callers_is_out_of_reach(runner: &Runner) {
    // In a session of script(1), whose terminal is the caller's.
    let words: Vec<String> = confined(runner)
        .shell("exec 3<>/dev/tty && echo REACHED; exec 3<>/dev/pts/0 && echo REACHED; tty")
        .words()
        .iter()
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
        .collect();
    let mut command = runner.command("script");
    let output =
        command.args(["-qec", &words.join(" "), "/dev/null"]).stdin(Stdio::null()).output().expect("script starts");

    assert!(!String::from_utf8_lossy(&output.stdout).contains("REACHED"));
}

fn a_plan_tells_the_tiers_controls_and_steps(runner: &Runner) {
    let text = runner.lazaret(&["plan", "--tier", "seccomp", "--steps", "--", "true"]);
    let json = runner.lazaret(&["plan", "--tier", "seccomp", "--json", "--", "true"]);

    assert!(String::from_utf8_lossy(&text.stdout).contains("KEEP_CHILDREN"));
    assert!(!String::from_utf8_lossy(&text.stdout).contains("CLONE_NEW"));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!((&json["policy"]["tier"]["value"], &json["enforceable"]), (&"seccomp".into(), &true.into()));
}
