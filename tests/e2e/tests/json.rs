//! What is printed as JSON against the tables of docs/json.md.

use lazaret_e2e::{Runner, as_root_and_user};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

as_root_and_user![
    every_field_of_a_plan_is_documented_and_every_documented_one_is_there,
    the_other_tier_has_no_field_that_is_not_documented,
    every_field_of_a_comparison_is_documented_and_every_documented_one_is_there,
    every_field_of_a_rollouts_sums_is_documented_and_every_documented_one_is_there,
    what_is_learned_has_the_documented_fields,
    every_field_of_an_examination_is_documented_and_every_documented_one_is_there,
];

/// The fields that the table below the heading `schema` names.
fn documented(schema: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let page = fs::read_to_string(path).expect("the page is there");
    let section = page.split("\n## ").find(|section| section.starts_with(&format!("`{schema}`")));
    let rows = section.expect("each form has a section").lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

/// The fields of `value`: those with something else in them than objects.
fn fields(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let dot = if at.is_empty() { "" } else { "." };
            object.iter().for_each(|(key, value)| fields(value, &format!("{at}{dot}{key}"), found));
        }
        // A list of objects may be empty, one of texts is in the table by its own name.
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().for_each(|value| fields(value, &format!("{at}[]"), found));
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

/// The fields of everything that `runs` of lazaret print.
fn printed(runner: &Runner, runs: &[&[&str]]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for run in runs {
        let ran = runner.lazaret(run);
        let value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
        fields(&value, "", &mut found);
    }
    found
}

/// Compares, but for `absent`: fields that only hosts have which lack something.
fn compare(documented: &BTreeSet<String>, mut printed: BTreeSet<String>, absent: &BTreeSet<String>) {
    // A list of objects that is empty, or an object that is null.
    let inner = |path: &String| documented.iter().any(|field| field.strip_prefix(path.as_str()).is_some_and(deeper));
    printed.retain(|path| documented.contains(path) || !inner(path));
    let unknown: Vec<_> = printed.difference(documented).collect();
    let gone: Vec<_> = documented.difference(&printed).filter(|field| !absent.contains(*field)).collect();
    assert_eq!((unknown, gone), (Vec::new(), Vec::new()), "not in docs/json.md, or only there");
}

fn deeper(rest: &str) -> bool {
    rest.starts_with("[].") || rest.starts_with('.')
}

/// The fields of a table that is either degraded, and has a source, or has all its others.
fn of_the_other_kind(documented: &BTreeSet<String>, printed: &BTreeSet<String>, table: &str) -> BTreeSet<String> {
    let (kind, source) = (format!("{table}kind"), format!("{table}source"));
    let degraded = printed.contains(&source);
    let other = |field: &&String| field.starts_with(table) && **field != kind && (**field == source) != degraded;
    documented.iter().filter(other).cloned().collect()
}

fn every_field_of_a_plan_is_documented_and_every_documented_one_is_there(runner: &Runner) {
    runner.put("in.txt", "input");
    let optional =
        "extends = \"default\"\n[files]\nmode = \"brokered\"\nread = [{ path = \"/no/such/path\", optional = true }]\n";
    runner.put("policy.toml", optional);
    let plan = ["plan", "--json", "--steps", "--policy", "policy.toml", "--in", "in.txt", "--out", "out.txt"];
    let limited = [&plan[..], &["--", "true"]].concat();
    let degraded =
        [&plan[..], &["--degrade", "cgroup", "--degrade", "landlock", "--require", "seccomp", "--", "true"]].concat();

    runner.put("rollout.toml", ROLLOUT);
    let introduced = ["plan", "--json", "--degrade", "cgroup", "--policy", "rollout.toml", "--", "true"];

    let printed = printed(runner, &[&limited, &degraded, &introduced]);

    let documented = documented("lazaret.plan/1");
    let mut absent = of_the_other_kind(&documented, &printed, "cgroup.");
    absent.extend(of_the_other_kind(&documented, &printed, "landlock."));
    compare(&documented, printed, &absent);
}

/// A policy that is being introduced, for which the command is the key.
const ROLLOUT: &str =
    "extends = \"default\"\n[rollout]\nenforce = \"0%\"\nshadow = \"100%\"\nold = \"default\"\nkey = \"command\"\n";

fn the_other_tier_has_no_field_that_is_not_documented(runner: &Runner) {
    let plan = ["plan", "--json", "--steps", "--tier", "seccomp", "--profile", "default", "--", "true"];

    let printed = printed(runner, &[&plan]);

    let documented = documented("lazaret.plan/1");
    compare(&documented, printed, &documented);
}

fn every_field_of_a_comparison_is_documented_and_every_documented_one_is_there(runner: &Runner) {
    let printed = printed(runner, &[&["diff", "--json", "default", "pure"]]);

    compare(&documented("lazaret.diff/1"), printed, &BTreeSet::new());
}

fn every_field_of_a_rollouts_sums_is_documented_and_every_documented_one_is_there(runner: &Runner) {
    runner.put("P", ROLLOUT);
    let policy = runner.path("P");
    let policy = policy.to_str().expect("a simple path");
    let ran = runner.run(&["--policy", policy, "--", "true"]);
    std::fs::write(runner.path("one.json"), ran.report.0.to_string()).expect("it can be written");
    let sums = runner.lazaret(&["rollout", "--json", "one.json"]);
    let value: Value = serde_json::from_slice(&sums.stdout).unwrap_or_else(|error| panic!("{error}: {sums}"));

    let mut found = BTreeSet::new();
    fields(&value, "", &mut found);

    let found = found.iter().map(|field| field.replace(policy, "P")).collect();
    compare(&documented("lazaret.rollout/1"), found, &BTreeSet::new());
}

fn what_is_learned_has_the_documented_fields(runner: &Runner) {
    std::fs::create_dir(runner.path("corpus")).expect("it can be made");
    runner.put("corpus/a", "a");
    let learn = [
        "learn",
        "--json",
        "--quiet",
        "--accept-unsaturated",
        "--out",
        "p.toml",
        "--corpus",
        "corpus",
        "--",
        "cat",
        "{}",
    ];
    let ran = runner.lazaret(&learn);

    let value: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));

    let found: BTreeSet<String> = value.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(found, documented("lazaret.learn/1"));
}

fn every_field_of_an_examination_is_documented_and_every_documented_one_is_there(runner: &Runner) {
    let printed = printed(runner, &[&["doctor", "--json", "--profile", "default"], &["doctor", "--json"]]);

    // Of a host that lacks something.
    let documented = documented("lazaret.doctor/1");
    let of_fixes = |field: &&String| field.starts_with("findings[].fixes[].");
    let fixes: BTreeSet<String> = documented.iter().filter(of_fixes).cloned().collect();
    let absent = if printed.is_disjoint(&fixes) { fixes } else { BTreeSet::new() };
    compare(&documented, printed, &absent);
}
