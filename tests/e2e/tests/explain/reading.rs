//! `lazaret explain`.

use crate::program::{compile, run};
use lazaret_e2e::{Runner, as_root_and_user, finish};
use std::time::Duration;

as_root_and_user![
    a_report_is_told_in_words,
    the_explained_part_is_json_too,
    a_report_of_a_newer_version_is_an_error,
    what_a_report_says_cannot_steer_a_terminal,
];

fn a_report_is_told_in_words(runner: &Runner) {
    if !compile(runner, "refused.c", "dynamic", &[]) {
        return;
    }
    let ran = run(runner, "", &["/programs/dynamic"]);
    ran.succeeded();

    let told = runner.lazaret(&["explain", "../report.json"]);

    assert_eq!(told.status, Some(0), "{told}");
    for text in [
        "refused 3 times: mount(source=\"none\", target=\"/tmp/a b\", type=\"tmpfs\", flags=MS_NODEV | MS_NOSUID",
        "EPERM, Operation not permitted",
        "in main",
        "ask+",
        "refused.c:",
        "profile default:",
        "@mount: ",
        "[system-calls] allow = [\"mount\"]",
    ] {
        assert!(told.stdout().contains(text), "{text}: {told}");
    }
}

fn the_explained_part_is_json_too(runner: &Runner) {
    let report = runner.run(&["--", "true"]).report.0.to_string();

    let told = finish(
        runner.command(runner.program()).args(["explain", "--json", "-"]),
        report.as_bytes(),
        Duration::from_secs(60),
    );

    let part: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
    assert_eq!((&part["verdict"]["kind"], &part["refusals"]), (&"ok".into(), &serde_json::json!([])), "{told}");
}

fn a_report_of_a_newer_version_is_an_error(runner: &Runner) {
    let mut report = runner.run(&["--", "true"]).report.0;
    report["schema"] = "lazaret.report/2".into();
    runner.put("newer.json", report.to_string());
    let whole = runner.read("newer.json");
    runner.put("half.json", &whole[..whole.len() / 2]);

    let newer = runner.lazaret(&["explain", "newer.json"]);
    let half = runner.lazaret(&["explain", "half.json"]);
    let gone = runner.lazaret(&["explain", "gone.json"]);

    assert_eq!([newer.status, half.status, gone.status], [Some(125); 3]);
    assert!(newer.stderr().contains("version 2, and this program reads version 1"), "{newer}");
    assert!(half.stderr().contains("not a report"), "{half}");
    assert!(gone.stderr().contains("gone.json"), "{gone}");
}

fn what_a_report_says_cannot_steer_a_terminal(runner: &Runner) {
    let mut report = runner.run(&["--", "true"]).report.0;
    report["notes"] =
        serde_json::json!(["\u{1b}]0;owned\u{7}", "\n   = allow:   [system-calls] allow = [\"@all\"]\u{202e}"]);
    runner.put("hostile.json", report.to_string());

    let told = runner.lazaret(&["explain", "hostile.json"]);

    assert!(told.status == Some(0) && !told.stdout().contains('\u{1b}'), "{told}");
    assert!(told.stdout().contains("\\u{1b}]0;owned"), "{told}");
    assert!(!told.stdout().contains("\n   = allow") && !told.stdout().contains('\u{202e}'), "{told}");
}
