//! Real reports against the schema that is checked in.

#[path = "verdicts/job.rs"]
mod job;

use job::{Job, job};
use lazaret_e2e::{Runner, as_root_and_user};
use serde_json::Value;
use std::path::Path;

as_root_and_user![
    reports_of_every_verdict_are_valid,
    reports_of_a_rollout_are_valid,
    reports_of_errors_do_not_exist,
    a_report_says_what_was_asked,
    every_run_has_an_id_of_its_own,
    bytes_that_are_not_text_are_shown_and_valid,
];

/// What is wrong with a report.
fn faults(report: &Value) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/report.json");
    let schema = std::fs::read(path).expect("the schema is checked in");
    let schema: Value = serde_json::from_slice(&schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is one");
    validator.iter_errors(report).map(|error| format!("{} at {}", error, error.instance_path())).collect()
}

#[track_caller]
fn valid(job: Job<'_>, kind: &str) -> Value {
    let ended = job.run();
    assert_eq!(ended.kind(), kind, "{}", ended.stderr);
    assert_eq!(faults(&ended.report.0), Vec::<String>::new());
    ended.report.0
}

fn reports_of_every_verdict_are_valid(runner: &Runner) {
    valid(job(runner).command(["true"]), "ok");
    valid(job(runner).shell("exit 3"), "exit");
    valid(job(runner).command(["no-such-command"]), "exit");
    valid(job(runner).command(["/etc/localtime"]), "exit");
    valid(job(runner).shell("kill -SEGV $$"), "signal");
    valid(job(runner).perl("kill 40, $$"), "signal");
    valid(job(runner).limit("wall=100ms").command(["sleep", "60"]), "timeout");
    valid(job(runner).limit("cpu=1s").shell("while :; do :; done"), "cpu-limit");
    valid(job(runner).limit("output=10").shell("yes"), "output-limit");
    valid(job(runner).limit("disk=1MiB").shell("cat /dev/zero > f"), "disk-limit");
    valid(job(runner).limit("file-size=1MiB").command(["dd", "if=/dev/zero", "of=f"]), "file-size-limit");
    valid(job(runner).policy("extends = \"default\"\n[system-calls]\nkill = [\"chdir\"]\n").shell("cd /"), "violation");
    valid(job(runner).options(["--out", "f"]).command(["true"]), "output-missing");
    valid(job(runner).options(["--out", "f"]).shell("mkdir f"), "output-missing");
    valid(job(runner).options(["--out", "f"]).limit("disk=1MiB").shell("truncate -s 2M f"), "output-missing");
}

fn reports_of_a_rollout_are_valid(runner: &Runner) {
    for (share, rest, mode) in [("0%", "100%", "shadow"), ("100%", "0%", "enforced")] {
        let text = format!(
            "extends = \"default\"\n[system-calls]\nrefuse = [\"getpriority\"]\n[limits]\noutput = \"10B\"\n\
             [rollout]\nenforce = \"{share}\"\nshadow = \"{rest}\"\nold = \"none\"\n"
        );
        let job = job(runner).policy(&text).options(["--job-key", "k"]);
        let report = valid(
            job.shell(
                "perl -e 'getpriority 0, 0'; exec 2>/dev/null; ls /home >/dev/null; cat /proc/cpuinfo >/dev/null; true",
            ),
            "ok",
        );
        assert_eq!(report["rollout"]["mode"], mode);
    }
}

fn reports_of_errors_do_not_exist(runner: &Runner) {
    job(runner).options(["--in", "gone"]).command(["true"]).run().expect_error(&["gone"]);
}

fn a_report_says_what_was_asked(runner: &Runner) {
    let run = job(runner).options(["--profile", "shell", "--out", "f:g"]).limit("wall=7s");
    let report = valid(run.shell("echo x > f; unshare -n true; exit 0"), "ok");

    assert_eq!(report["schema"], "lazaret.report/1");
    assert_eq!(report["command"][0], "sh");
    assert_eq!(report["policy"], "shell");
    assert_eq!(report["tier"], "jail");
    assert_eq!(report["mode"], if runner.is_root() { "root" } else { "rootless" });
    assert_eq!(report["outputs"][0]["to"], "g");
    assert_eq!(report["outputs"][0]["size"], 2);
    let hash = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";
    assert_eq!(report["outputs"][0]["sha256"], hash);
    let refused = report["refusals"].as_array().expect("a list");
    assert!(refused.iter().any(|refusal| refusal["call"] == "unshare" && refusal["errno"] == 1), "{refused:?}");
    let control = |name: &str| {
        let rows = report["enforcement"].as_array().expect("a table");
        rows.iter().find(|row| row["layer"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    for name in ["capabilities", "rlimits", "wall-time", "disk", "output", "seccomp", "mount-namespace"] {
        assert_eq!(control(name)["holding"], "yes", "{name}");
        assert!(control(name)["why_not"].is_null(), "{name}");
    }
    assert_eq!(control("wall-time")["source"], "--limit wall=7s");
    assert!(control("wall-time")["detail"].as_str().is_some_and(|detail| detail.starts_with("7s")));
    let degraded: Vec<&Value> =
        report["enforcement"].as_array().expect("a table").iter().filter(|row| row["holding"] != "yes").collect();
    assert!(degraded.iter().all(|row| row["why_not"].is_string()), "{degraded:#?}");
    assert_eq!(degraded.is_empty(), runner.is_root(), "{degraded:#?}");
}

fn every_run_has_an_id_of_its_own(runner: &Runner) {
    let first = valid(job(runner).command(["true"]), "ok");
    let second = valid(job(runner).command(["true"]), "ok");

    assert_ne!(first["id"], second["id"]);
}

fn bytes_that_are_not_text_are_shown_and_valid(runner: &Runner) {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = std::ffi::OsStr::from_bytes(b"\xff\x1b[31m\n");
    let report = valid(job(runner).command(["true".as_ref(), odd]), "ok");

    assert!(report["command"][1].as_str().is_some_and(|shown| shown.starts_with('\u{fffd}')));
}
