//! `lazaret seccomp` and `lazaret diff`, as they are typed.

use lazaret_e2e::{Ran, Runner, as_root_and_user, fixture, installed};
use serde_json::Value;

as_root_and_user![
    a_container_profile_becomes_a_policy_that_jobs_run_under,
    what_would_be_lost_is_listed_and_nothing_is_written,
    a_policy_goes_to_containers_and_systemd_and_back,
    a_file_that_is_no_profile_is_an_error_and_the_old_policy_stays,
    policies_that_differ_are_told_by_status_text_and_json,
    only_what_widens_fails_when_asked_so,
    a_policy_that_is_not_there_is_an_error_of_our_own,
];

#[track_caller]
fn assert_status(ran: &Ran, status: i32) {
    assert_eq!(ran.status, Some(status), "{ran}");
}

fn a_container_profile_becomes_a_policy_that_jobs_run_under(runner: &Runner) {
    if !installed("/usr/share/containers/seccomp.json", "golang-github-containers-common") {
        return;
    }
    let imported =
        runner.lazaret(&["seccomp", "import", "/usr/share/containers/seccomp.json", "--out", "podman.toml", "--lossy"]);
    assert_status(&imported, 0);

    let script = "echo it works; /usr/sbin/chroot / true 2>/dev/null && echo it escaped; exit 0";
    let ran = runner.run(&["--policy", "podman.toml", "--", "sh", "-c", script]);

    assert_eq!(ran.succeeded(), "it works\n");
    assert!(ran.report.refused().contains(&"chroot"), "{ran}");
}

fn what_would_be_lost_is_listed_and_nothing_is_written(runner: &Runner) {
    let profile = runner.bring(&fixture("seccomp").join("docker.json"));
    let profile = profile.to_str().expect("a simple path");

    let refused = runner.lazaret(&["seccomp", "import", profile, "--out", "policy.toml"]);
    assert_status(&refused, 125);
    for part in ["CAP_SYS_ADMIN", "SCMP_ARCH_X86", "kernel's version", "--lossy"] {
        assert!(refused.stderr().contains(part), "{part}: {refused}");
    }
    assert!(!runner.path("policy.toml").exists());

    let accepted =
        runner.lazaret(&["seccomp", "import", profile, "--out", "policy.toml", "--lossy", "--capability", "sys_admin"]);
    assert_status(&accepted, 0);
    let policy = String::from_utf8(runner.read("policy.toml")).expect("TOML is text");
    assert!(policy.contains("rule = \"mount\""), "{policy}");
    assert_status(
        &runner.lazaret(&["seccomp", "import", profile, "--out", "x", "--lossy", "--capability", "CAP_MOON"]),
        125,
    );
    assert_status(&runner.lazaret(&["seccomp", "import", profile, "--out", "x", "--lossy", "--kernel", "new"]), 125);
}

fn a_policy_goes_to_containers_and_systemd_and_back(runner: &Runner) {
    runner.put("own.toml", "extends = \"default\"\n[system-calls]\nallow = [\"read\", \"write\", \"exit_group\"]\nkill = [\"ptrace\"]\n[remove]\nallow = [\"*\"]\nsilent = [\"*\"]\n");

    for format in ["oci", "systemd"] {
        let exported =
            runner.lazaret(&["seccomp", "export", "--policy", "own.toml", "--format", format, "--out", "exported"]);
        assert_status(&exported, 0);
        let imported =
            runner.lazaret(&["seccomp", "import", "exported", "--format", format, "--out", "again.toml", "--lossy"]);
        assert_status(&imported, 0);
        let same = runner.lazaret(&["diff", "own.toml", "again.toml"]);
        assert_status(&same, 0);
    }
    let lost = runner.lazaret(&["seccomp", "export", "--profile", "compute", "--format", "systemd"]);
    assert_status(&lost, 125);
    assert!(lost.stdout.is_empty() && lost.stderr().contains("`mmap` is permitted for some arguments"), "{lost}");
}

fn a_file_that_is_no_profile_is_an_error_and_the_old_policy_stays(runner: &Runner) {
    runner.put("policy.toml", "old");
    for (text, part) in [
        ("{\"defaultAction\": \"SCMP_ACT_ERRNO\"", "the seccomp profile cannot be read"),
        ("{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}", "unsupported action `SCMP_ACT_NOTIFY`"),
        ("[Service]\nUser=nobody\n", "no `SystemCallFilter=`"),
        ("SystemCallFilter=@nonsense\n", "no set `@nonsense`"),
        ("", "no `SystemCallFilter=`"),
    ] {
        runner.put("source", text);
        let ran = runner.lazaret(&["seccomp", "import", "source", "--out", "policy.toml", "--lossy"]);
        assert_status(&ran, 125);
        assert!(ran.stderr().contains(part), "{part}: {ran}");
        assert_eq!(runner.read("policy.toml"), b"old");
    }
    runner.put("source", "SystemCallFilter=@basic-io\n");
    let ran =
        runner.lazaret(&["seccomp", "import", "source", "--out", "policy.toml", "--lossy", "--extends", "defualt"]);
    assert_status(&ran, 125);
    assert!(ran.stderr().contains("default"), "{ran}");
}

fn policies_that_differ_are_told_by_status_text_and_json(runner: &Runner) {
    runner.put("before.toml", "extends = \"default\"\n");
    runner.put("after.toml", "extends = \"default\"\n[system-calls]\nallow = [\"mount\"]\n[limits]\nwall = \"10s\"\n[files]\nread = [\"/usr/share\"]\n");

    assert_status(&runner.lazaret(&["diff", "before.toml", "default"]), 0);
    let text = runner.lazaret(&["diff", "before.toml", "after.toml"]);
    assert_status(&text, 1);
    assert!(
        text.stdout().starts_with("high   added    system-call mount\n       refuse → every call\n       @mount: "),
        "{text}"
    );
    assert!(
        text.stdout().contains("2 differences between before.toml and after.toml, of which 1 let a job do more"),
        "{text}"
    );
    let ran = runner.lazaret(&["diff", "--json", "before.toml", "after.toml"]);
    assert_status(&ran, 1);
    let json: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(
        (&json["schema"], &json["same"], &json["widened"]),
        (&"lazaret.diff/1".into(), &false.into(), &true.into())
    );
    assert_eq!(json["changes"][1]["what"], "wall");
    assert_eq!(json["changes"][1]["kind"], "narrowed");
}

fn only_what_widens_fails_when_asked_so(runner: &Runner) {
    runner.put("less.toml", "extends = \"default\"\n[system-calls]\nkill = [\"fsync\"]\n");

    assert_status(&runner.lazaret(&["diff", "default", "less.toml"]), 1);
    assert_status(&runner.lazaret(&["diff", "--fail-on", "widened", "default", "less.toml"]), 0);
    assert_status(&runner.lazaret(&["diff", "--fail-on", "widened", "less.toml", "default"]), 1);
}

fn a_policy_that_is_not_there_is_an_error_of_our_own(runner: &Runner) {
    let nearest = runner.lazaret(&["diff", "default", "shel"]);
    assert_status(&nearest, 125);
    assert!(nearest.stderr().contains("shell"), "{nearest}");
    assert_status(&runner.lazaret(&["diff", "default", "./missing.toml"]), 125);
    runner.put("broken.toml", "extends = \"default\"\n[system-calls]\nallow = [\"raed\"]\n");
    let broken = runner.lazaret(&["diff", "default", "broken.toml"]);
    assert_status(&broken, 125);
    assert!(broken.stderr().contains("broken.toml:3"), "{broken}");
}
