//! `lazaret doctor` and `lazaret plan` on this host, and on hosts that lack something, simulated around the program.

#[path = "doctor/lack.rs"]
mod lack;

use lack::Lack;
use lazaret_e2e::{PATIENCE, Ran, Runner, as_root_and_user, finish};
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The JSON that a run printed.
fn json(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

/// What `doctor --json` found of a feature.
fn finding<'a>(examination: &'a Value, feature: &str) -> &'a Value {
    let findings = examination["findings"].as_array().expect("findings are a list");
    findings.iter().find(|finding| finding["feature"] == feature).unwrap_or_else(|| panic!("nothing about {feature}"))
}

fn works(examination: &Value, feature: &str) -> bool {
    finding(examination, feature)["state"] == "works"
}

/// The texts of a finding's fixes, one after another.
fn fixes(finding: &Value) -> String {
    let fixes = finding["fixes"].as_array().expect("fixes are a list");
    fixes.iter().filter_map(|fix| fix["text"].as_str()).collect::<Vec<_>>().join("\n")
}

fn under(lack: Lack, runner: &Runner, args: &[&str]) -> Ran {
    finish(&mut lack.around(runner, args), b"", PATIENCE)
}

/// What the process `id`, a leader of its process group that has ended, left: groups of its trials, and processes.
fn traces_of(id: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten().map(|process| process.path());
    let left = processes.filter(|process| group_of(process) == Some(id));
    let membership = fs::read_to_string("/proc/self/cgroup").expect("there is a /proc");
    let hierarchies: Vec<PathBuf> =
        fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let own = membership.lines().filter_map(|line| line.split(':').nth(2));
    let group = format!("lazaret-{id}-doctor");
    let groups = own.flat_map(|own| hierarchies.iter().map(move |place| place.join(own.trim_start_matches('/'))));
    let groups = groups.map(|own| own.join(&group)).filter(|path| path.exists());
    left.chain(groups).map(|path| path.display().to_string()).collect()
}

/// The process group of the process in /proc.
fn group_of(process: &Path) -> Option<u32> {
    // The fields behind the name: state, parent, group.
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn the_table_shows_every_group_and_ends_without_an_error(runner: &Runner) {
    let ran = runner.lazaret(&["doctor"]);

    let text = ran.stdout();
    assert_eq!(ran.status, Some(0), "{ran}");
    for group in ["launch", "namespaces", "mounts", "cgroups", "identity", "landlock", "filter", "devices"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(group)), "no {group}: {ran}");
    }
}

fn namespaces_are_found_as_unshare_finds_them(runner: &Runner) {
    let kinds = [("pid", "--pid"), ("mount", "--mount"), ("network", "--net"), ("ipc", "--ipc"), ("uts", "--uts")];

    let found = json(&runner.lazaret(&["doctor", "--json"]));

    assert_eq!(found["schema"], "lazaret.doctor/1");
    for (kind, option) in kinds {
        let made = runner.bare("unshare", &["--user", "--map-root-user", "--fork", option, "true"]).status == Some(0);
        assert_eq!(works(&found, &format!("{kind}-namespace")), made, "{kind}");
    }
}

fn devices_are_found_when_this_user_can_open_them(runner: &Runner) {
    let found = json(&runner.lazaret(&["doctor", "--json"]));

    for (feature, path) in [("kvm", "/dev/kvm"), ("tun", "/dev/net/tun"), ("fuse", "/dev/fuse")] {
        let opens = runner.bare("sh", &["-c", &format!("exec 3<>{path}")]).status == Some(0);
        assert_eq!(works(&found, feature), opens, "{}", finding(&found, feature));
    }
}

fn what_is_missing_has_a_reason_and_a_fix(runner: &Runner) {
    let found = json(&runner.lazaret(&["doctor", "--json"]));

    let findings = found["findings"].as_array().expect("findings are a list");
    let unexplained: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["state"] == "missing")
        .filter(|finding| finding["reason"].as_str().is_none_or(str::is_empty) || fixes(finding).is_empty())
        .collect();
    assert_eq!(unexplained, Vec::<&Value>::new());
}

fn an_examination_is_over_soon_and_leaves_nothing(runner: &Runner) {
    let mut command = runner.command(runner.program());
    command.arg("doctor").stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let begun = Instant::now();
    let mut doctor = command.spawn().expect("lazaret can be started");
    let id = doctor.id();

    let ended = doctor.wait().expect("an own child can be waited for");

    assert!(ended.success() && begun.elapsed() < Duration::from_secs(5), "{ended} after {:?}", begun.elapsed());
    assert_eq!(traces_of(id), Vec::<String>::new());
}

fn a_profile_is_judged_as_run_then_does(runner: &Runner) {
    let judged = runner.lazaret(&["doctor", "--profile", "default", "--json"]);
    let ran = runner.lazaret(&["run", "--", "true"]);

    let (judged_well, ran_well) = (judged.status == Some(0), ran.status == Some(0));
    assert!(matches!(judged.status, Some(0 | 1)), "{judged}");
    assert_eq!(json(&judged)["policy"]["enforceable"], judged_well);
    assert_eq!(judged_well, ran_well, "{judged}\n{ran}");
}

fn a_policy_that_asks_for_more_is_judged_by_that(runner: &Runner) {
    let policy = "extends = \"default\"\n[limits]\nio-rate = \"100MiB\"\ncpus = 1\n[net]\nloopback = true\n";
    runner.put("more.toml", policy);

    let judged = runner.lazaret(&["doctor", "--policy", "more.toml", "--json"]);
    let ran = runner.lazaret(&["run", "--policy", "more.toml", "--", "true"]);

    let found = json(&judged);
    let works = ["cgroup", "cgroup-io", "cgroup-cpu-bandwidth", "loopback"].map(|feature| works(&found, feature));
    assert_eq!(judged.status == Some(0), works.iter().all(|works| *works), "{judged}");
    assert_eq!(judged.status == Some(0), ran.status == Some(0), "{judged}\n{ran}");
}

fn a_policy_that_does_without_is_enforceable(runner: &Runner) {
    let policy = "extends = \"default\"\ndegrade = [\"cgroup\"]\n";
    runner.put("less.toml", policy);

    let judged = runner.lazaret(&["doctor", "--policy", "less.toml"]);

    assert_eq!(judged.status, Some(0), "{judged}");
    assert!(judged.stdout().ends_with("The policy `less.toml` can be enforced here.\n"), "{judged}");
}

fn an_unknown_profile_is_an_error_of_lazaret_s_own(runner: &Runner) {
    let ran = runner.lazaret(&["doctor", "--profile", "defualt"]);

    assert_eq!(ran.status, Some(125), "{ran}");
    assert!(ran.stderr().contains("default"), "{ran}");
}

fn landlock_behind_a_filter_is_told_with_the_filter(runner: &Runner) {
    let judged = under(Lack::Landlock, runner, &["doctor", "--profile", "default", "--json"]);

    let found = json(&judged);
    let landlock = finding(&found, "landlock");
    assert_eq!((judged.status, &landlock["cause"]), (Some(1), &Value::from("call-filter")), "{judged}");
    assert!(fixes(landlock).contains("seccomp=unconfined"), "{landlock:#}");
    assert_eq!(finding(&found, "landlock-scope")["behind"], "landlock");
}

fn run_without_landlock_fails_closed_unless_told_to_do_without(runner: &Runner) {
    let options = [&["run"], runner.options()].concat();

    let refused = under(Lack::Landlock, runner, &[&options[..], &["--", "true"]].concat());
    let degraded = under(Lack::Landlock, runner, &[&options[..], &["--degrade", "landlock", "--", "true"]].concat());

    assert_eq!(refused.status, Some(125), "{refused}");
    assert!(refused.stderr().contains("--degrade landlock"), "{refused}");
    assert!(refused.stderr().contains("lazaret doctor"), "a filter hides it, and doctor says so: {refused}");
    assert_eq!(degraded.status, Some(0), "{degraded}");
}

fn without_a_notifier_a_deadly_call_ends_as_a_signal_with_a_remark(runner: &Runner) {
    runner.put("deadly.toml", "extends = \"default\"\n[system-calls]\nkill = [\"chdir\"]\n");
    let options =
        [&["run", "--degrade", "notifier", "--report", "-", "--policy", "deadly.toml"], runner.options()].concat();

    let called = under(Lack::Notifier, runner, &[&options[..], &["--", "sh", "-c", "cd /usr; exit 0"]].concat());
    let signalled = under(Lack::Notifier, runner, &[&options[..], &["--", "sh", "-c", "kill -SYS $$"]].concat());
    let other = under(Lack::Notifier, runner, &[&options[..], &["--", "sh", "-c", "kill -ABRT $$"]].concat());

    for ran in [&called, &signalled] {
        let report = json(ran);
        assert_eq!((ran.status, &report["verdict"]["name"]), (Some(159), &Value::from("SIGSYS")), "{ran}");
        assert!(report["notes"].to_string().contains("cannot be told"), "{ran}");
    }
    assert_eq!(json(&other)["notes"].to_string(), "[]", "{other}");
}

fn mount_calls_behind_a_filter_are_told_with_the_filter(runner: &Runner) {
    let judged = under(Lack::MountCalls, runner, &["doctor", "--profile", "default", "--json"]);
    let ran = under(Lack::MountCalls, runner, &[&["run"], runner.options(), &["--", "true"]].concat());

    let found = json(&judged);
    let tmpfs = finding(&found, "tmpfs");
    assert_eq!((judged.status, &tmpfs["cause"]), (Some(1), &Value::from("call-filter")), "{judged}");
    assert!(fixes(tmpfs).contains("seccomp=unconfined"), "{tmpfs:#}");
    assert_eq!(ran.status, Some(125), "{ran}");
    assert!(ran.stderr().contains("lazaret doctor"), "{ran}");
}

fn a_plan_of_what_cannot_be_enforced_is_shown_before_the_error(runner: &Runner) {
    let text = under(Lack::Landlock, runner, &["plan", "--", "true"]);
    let data = under(Lack::Landlock, runner, &["plan", "--json", "--", "true"]);

    let missing =
        text.stdout().lines().any(|line| line.trim_start().starts_with("landlock ") && line.contains("MISSING"));
    assert_eq!((text.status, data.status), (Some(125), Some(125)), "{text}");
    assert!(missing && text.stderr().contains("cannot enforce"), "{text}");
    assert_eq!(json(&data)["enforceable"], false);
}

fn a_plan_names_the_source_of_each_value_and_runs_nothing(runner: &Runner) {
    runner.put("in.txt", "12345");
    let mut args =
        vec!["plan", "--json", "--in", "in.txt:a", "--out", "b:out.txt", "--env", "K=V", "--limit", "wall=7s"];
    args.extend(runner.options());
    args.extend(["--", "touch", "/job/b"]);

    let ran = runner.lazaret(&args);

    let plan = json(&ran);
    let named = |list: &str, key: &str, name: &str| {
        let list = plan[list].as_array().expect("a list");
        list.iter().find(|entry| entry[key] == name).unwrap_or_else(|| panic!("no {name}: {ran}")).clone()
    };
    assert_eq!(ran.status, Some(0), "{ran}");
    assert_eq!((&plan["schema"], &plan["enforceable"]), (&"lazaret.plan/1".into(), &true.into()));
    assert_eq!(named("limits", "key", "wall")["source"], "--limit wall=7s");
    assert_eq!(named("environment", "name", "K")["source"], "--env K=V");
    assert!(
        named("files", "guest", "/usr")["source"].as_str().is_some_and(|source| source.starts_with("profile default:"))
    );
    assert_eq!(named("inputs", "name", "a")["size"], 5);
    assert!(named("outputs", "name", "b")["to"].as_str().is_some_and(|to| to.ends_with("out.txt")));
    assert!(plan["program"]["candidates"].as_array().is_some_and(|paths| paths.contains(&"/usr/bin/touch".into())));
    assert!(!runner.path("out.txt").exists());
}

fn optional_paths_that_are_missing_are_counted_in_a_plan_and_named_in_its_data(runner: &Runner) {
    let policy = "extends = \"default\"\n[files]\nread = [{ path = \"/no/where\", optional = true }]\n";
    runner.put("optional.toml", policy);
    let plan = |option: &[&str]| {
        runner.lazaret(&[&["plan", "--policy", "optional.toml"], option, runner.options(), &["--", "true"]].concat())
    };

    let (text, data) = (plan(&[]), plan(&["--json"]));

    let left_out = json(&data)["left_out"].as_array().expect("a list").clone();
    let named = left_out.iter().find(|entry| entry["path"] == "/no/where").expect("it is named");
    assert_eq!(named["source"], "optional.toml:3");
    assert!(text.stdout().contains(&format!("{} optional paths", left_out.len())), "{text}");
    assert!(!text.stdout().contains("/no/where"), "{text}");
}

fn the_launch_steps_are_printed_as_sentences_and_calls(runner: &Runner) {
    let ran = runner.lazaret(&[&["plan", "--steps"], runner.options(), &["--", "true"]].concat());

    let text = ran.stdout();
    assert_eq!(ran.status, Some(0), "{ran}");
    assert!(text.contains("\nmake the directory \"usr\" in the root\n    mkdirat(<root>, \"usr\", 0755)\n"), "{ran}");
    assert!(text.contains("\n    umask(0022)\n"), "{ran}");
    assert!(!text.contains("MARK("), "{ran}");
}

as_root_and_user![
    the_table_shows_every_group_and_ends_without_an_error,
    namespaces_are_found_as_unshare_finds_them,
    devices_are_found_when_this_user_can_open_them,
    what_is_missing_has_a_reason_and_a_fix,
    an_examination_is_over_soon_and_leaves_nothing,
    a_profile_is_judged_as_run_then_does,
    a_policy_that_asks_for_more_is_judged_by_that,
    a_policy_that_does_without_is_enforceable,
    an_unknown_profile_is_an_error_of_lazaret_s_own,
    landlock_behind_a_filter_is_told_with_the_filter,
    run_without_landlock_fails_closed_unless_told_to_do_without,
    without_a_notifier_a_deadly_call_ends_as_a_signal_with_a_remark,
    mount_calls_behind_a_filter_are_told_with_the_filter,
    a_plan_of_what_cannot_be_enforced_is_shown_before_the_error,
    a_plan_names_the_source_of_each_value_and_runs_nothing,
    optional_paths_that_are_missing_are_counted_in_a_plan_and_named_in_its_data,
    the_launch_steps_are_printed_as_sentences_and_calls,
];

#[test]
fn a_run_under_a_covered_proc_names_the_file_system_and_what_to_do() {
    let Some(runner) = Runner::root() else { return };

    let refused = under(Lack::CoveredProc, &runner, &["run", "--", "true"]);
    runner.put("without.toml", "extends = \"default\"\n[files]\nproc = \"none\"\n");
    let without = under(Lack::CoveredProc, &runner, &["run", "--policy", "without.toml", "--", "true"]);

    assert_eq!(refused.status, Some(125), "{refused}");
    assert!(refused.stderr().contains("take a mount of the new proc"), "{refused}");
    assert!(
        refused.stderr().contains("systempaths=unconfined") && refused.stderr().contains("proc = \"none\""),
        "{refused}"
    );
    assert!(!refused.stderr().contains("user namespaces"), "{refused}");
    assert_eq!(without.status, Some(0), "{without}");
}

#[test]
fn without_user_namespaces_the_sysctl_is_named_and_nothing_runs() {
    let Some(runner) = Runner::user() else { return };

    let judged = under(Lack::UserNamespaces, &runner, &["doctor", "--profile", "default", "--json"]);
    let ran = under(Lack::UserNamespaces, &runner, &["run", "--degrade", "cgroup", "--", "true"]);

    let found = json(&judged);
    let user = finding(&found, "user-namespace");
    assert_eq!((judged.status, &user["cause"]), (Some(1), &Value::from("namespace-limit")), "{judged}");
    assert!(fixes(user).contains("user.max_user_namespaces=15000"), "{user:#}");
    assert_eq!(finding(&found, "tmpfs")["state"], "untried");
    assert_eq!(ran.status, Some(125), "{ran}");
    assert!(ran.stderr().contains("user.max_user_namespaces"), "{ran}");
}

#[test]
fn root_of_a_user_namespace_without_the_ids_of_jobs_is_told_so() {
    let Some(runner) = Runner::user() else { return };

    let judged = under(Lack::Ids, &runner, &["doctor", "--json"]);
    let plan = under(Lack::Ids, &runner, &["plan", "--", "true"]);

    let found = json(&judged);
    assert_eq!(finding(&found, "job-uid")["cause"], "ids-not-mapped", "{judged}");
    assert_eq!(plan.status, Some(125), "{plan}");
    assert!(plan.stderr().contains("job-uid"), "{plan}");
}

#[test]
fn without_a_cgroup_hierarchy_the_mount_is_named_and_run_needs_to_be_told() {
    let Some(runner) = Runner::root() else { return };

    let judged = under(Lack::Cgroups, &runner, &["doctor", "--profile", "default", "--json"]);
    let refused = under(Lack::Cgroups, &runner, &["run", "--", "true"]);
    let degraded = under(Lack::Cgroups, &runner, &["run", "--degrade", "cgroup", "--", "true"]);

    let found = json(&judged);
    let cgroup = finding(&found, "cgroup");
    assert_eq!((judged.status, &cgroup["cause"]), (Some(1), &Value::from("no-hierarchy")), "{judged}");
    assert!(fixes(cgroup).contains("degrade = [\"cgroup\"]"), "{cgroup:#}");
    assert_eq!(finding(&found, "cgroup-memory")["state"], "untried");
    assert_eq!(refused.status, Some(125), "{refused}");
    assert!(refused.stderr().contains("--degrade cgroup"), "{refused}");
    assert_eq!(degraded.status, Some(0), "{degraded}");
}
