//! `lazaret check`: a program, a policy, a directory of files.

use lazaret_e2e::{Ran, Runner, as_root_and_user};
use serde_json::Value;
use std::path::Path;

as_root_and_user![
    a_policy_that_gives_everything_passes,
    a_refused_call_fails_the_check_and_a_silent_one_does_not,
    a_path_that_the_policy_does_not_show_is_named_when_the_run_fails,
    a_host_that_is_refused_fails_the_check_and_the_rule_for_it_is_named,
    a_limit_that_is_hit_fails_the_check,
    a_wanted_output_that_is_missing_fails_the_check,
    a_program_that_fails_anyway_is_told_from_one_that_fails_under_the_policy,
    files_that_cannot_be_read_are_errors,
    a_corpus_that_is_empty_or_absent_is_an_error_of_our_own,
    arguments_without_a_meaning_are_errors,
    junit_is_read_by_an_xml_parser,
    rules_that_no_run_used_are_named,
    both_tiers_are_checked,
    runs_beside_each_other_come_out_as_one_after_the_other,
];

/// Makes a corpus of files with these names; the content is the name.
fn corpus(runner: &Runner, names: &[&str]) {
    std::fs::create_dir_all(runner.path("corpus")).expect("it can be made");
    for name in names {
        runner.put(&format!("corpus/{name}"), name);
    }
}

fn check(runner: &Runner, args: &[&str]) -> Ran {
    runner.lazaret(&[&["check", "--corpus", "corpus"], runner.options(), args].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn a_policy_that_gives_everything_passes(runner: &Runner) {
    corpus(runner, &["b", "a c.txt"]);
    std::fs::create_dir(runner.path("corpus/below")).expect("it can be made");
    runner.put("corpus/below/d", "d");
    let ran = check(runner, &["--json", "--out", "o", "--", "sh", "-c", "cat \"$0\" > o", "{}"]);

    let outcome = json(&ran);
    assert_eq!(
        (ran.status, &outcome["passed"], &outcome["schema"]),
        (Some(0), &true.into(), &"lazaret.check/1".into())
    );
    let files: Vec<_> = outcome["runs"].as_array().expect("a list").iter().map(|run| run["file"].clone()).collect();
    assert_eq!(files, ["a c.txt", "b", "below/d"]);
    assert!(!runner.path("o").exists(), "outputs of a check are put nowhere");
}

fn a_refused_call_fails_the_check_and_a_silent_one_does_not(runner: &Runner) {
    corpus(runner, &["a"]);
    runner.put("p.toml", "extends = \"default\"\n[system-calls]\nrefuse = [\"getpriority\"]\nsilent = [\"sync\"]\n");
    let run = |script: &str| check(runner, &["--policy", "p.toml", "--json", "--", "sh", "-c", script, "{}"]);

    let refused = run("perl -e 'getpriority 0, 0; exit 0'; sync; exit 0");
    let silent = run("sync; exit 0");

    assert_eq!((refused.status, silent.status), (Some(1), Some(0)), "{refused}\n{silent}");
    let outcome = json(&refused);
    assert_eq!(outcome["runs"][0]["result"], "needs");
    assert_eq!(outcome["runs"][0]["calls"][0]["call"], "getpriority");
    assert_eq!(outcome["runs"][0]["calls"].as_array().expect("a list").len(), 1);
    assert_eq!(json(&silent)["runs"][0]["silent"][0]["call"], "sync");
}

fn a_path_that_the_policy_does_not_show_is_named_when_the_run_fails(runner: &Runner) {
    corpus(runner, &["a"]);
    let run = |args: &[&str]| check(runner, &[&["--json"], args].concat());

    let needed = run(&["--", "ls", "/var/lib", "{}"]);
    let tried = run(&["--", "sh", "-c", "ls /var/lib; exit 0", "{}"]);
    let strict = run(&["--strict", "--", "sh", "-c", "ls /var/lib; exit 0", "{}"]);
    let absent =
        run(&["--strict", "--", "sh", "-c", "exec 2>/dev/null; [ -e /var/lib-that-is-nowhere ]; exit 0", "{}"]);

    assert_eq!(
        [needed.status, tried.status, strict.status, absent.status],
        [Some(1), Some(0), Some(1), Some(0)],
        "{needed}\n{strict}\n{absent}"
    );
    let paths = json(&needed)["runs"][0]["paths"].clone();
    let path = paths.as_array().expect("a list").iter().find(|path| path["path"] == "/var/lib").expect("it is named");
    assert_eq!(path["suggestion"], "[files] read = [\"/var/lib\"]");
}

fn a_host_that_is_refused_fails_the_check_and_the_rule_for_it_is_named(runner: &Runner) {
    corpus(runner, &["a"]);
    runner.put("p.toml", "extends = \"default\"\n[net]\nallow = [\"127.0.0.1:9\"]\n");
    let script = "curl -s http://10.1.2.3:10/; curl -s http://other.example/; exit 0";
    let command = ["--policy", "p.toml", "--", "sh", "-c", script, "{}"];

    let told = check(runner, &command);
    let outcome = json(&check(runner, &[&["--json"][..], &command].concat()));

    assert_eq!((told.status, &outcome["passed"]), (Some(1), &false.into()), "{told}");
    assert!(told.stdout().contains("to allow it: [net] allow = [\"10.1.2.3:10\"]"), "{told}");
    assert!(told.stdout().contains("the name other.example"), "{told}");
    let hosts = outcome["runs"][0]["hosts"].as_array().expect("a list");
    assert!(hosts.iter().any(|host| host["act"] == "connect" && host["port"] == 10), "{hosts:?}");
}

fn a_limit_that_is_hit_fails_the_check(runner: &Runner) {
    corpus(runner, &["a"]);

    let ran = check(runner, &["--json", "--limit", "wall=300ms", "--", "sh", "-c", "sleep 5", "{}"]);

    assert_eq!(ran.status, Some(1), "{ran}");
    let run = json(&ran)["runs"][0].clone();
    assert_eq!((&run["result"], &run["limits"][0]["key"]), (&"needs".into(), &"wall".into()));
}

fn a_wanted_output_that_is_missing_fails_the_check(runner: &Runner) {
    corpus(runner, &["a"]);

    let ran = check(runner, &["--json", "--out", "o", "--", "cat", "{}"]);

    assert_eq!(ran.status, Some(1), "{ran}");
    assert_eq!(json(&ran)["runs"][0]["verdict"]["kind"], "output-missing");
}

fn a_program_that_fails_anyway_is_told_from_one_that_fails_under_the_policy(runner: &Runner) {
    corpus(runner, &["a", "b"]);
    let script = "[ \"$(cat \"$0\")\" = a ]";

    let ran = check(runner, &["--json", "--", "sh", "-c", script, "{}"]);
    let allowed = check(runner, &["--allow-failures", "--", "sh", "-c", script, "{}"]);
    // The policy makes the difference, and nobody sees how: no call is refused, no path is looked for.
    runner.put("p.toml", "extends = \"default\"\n[files]\nshm = false\n");
    let pts = "perl -e 'open my $f, \"<\", \"/proc/self/mountinfo\"; exit !grep { / \\/dev\\/shm / } <$f>'";
    // Programs look for their language's files, which the policy need not show.
    let args = ["--json", "--policy", "p.toml", "--env", "LC_ALL=C", "--", "sh", "-c", pts, "{}"];
    let under = check(runner, &args);

    assert_eq!((ran.status, allowed.status, under.status), (Some(1), Some(0), Some(1)), "{ran}\n{allowed}\n{under}");
    assert_eq!([&json(&ran)["runs"][0]["result"], &json(&ran)["runs"][1]["result"]], ["passed", "failed-anyway"]);
    assert_eq!(json(&under)["runs"][0]["result"], "failed-under-policy");
}

fn files_that_cannot_be_read_are_errors(runner: &Runner) {
    corpus(runner, &["a"]);
    std::os::unix::fs::symlink("nowhere", runner.path("corpus/dangling")).expect("it can be made");

    let ran = check(runner, &["--json", "--allow-failures", "--", "cat", "{}"]);

    assert_eq!(ran.status, Some(1), "{ran}");
    let runs = json(&ran)["runs"].clone();
    assert_eq!([&runs[0]["result"], &runs[1]["result"], &runs[1]["file"]], ["passed", "error", "dangling"]);
}

fn a_corpus_that_is_empty_or_absent_is_an_error_of_our_own(runner: &Runner) {
    let absent = check(runner, &["--", "cat", "{}"]);
    corpus(runner, &[]);
    let empty = check(runner, &["--", "cat", "{}"]);

    assert_eq!((absent.status, empty.status), (Some(125), Some(125)));
    assert!(absent.stderr().contains("cannot read the corpus") && empty.stderr().contains("has no file"), "{empty}");
}

fn arguments_without_a_meaning_are_errors(runner: &Runner) {
    corpus(runner, &["a"]);
    for args in [&["--", "cat"][..], &["--stdin", "--", "cat", "{}"], &["--job-key", "k", "--", "cat", "{}"]] {
        assert_eq!(check(runner, args).status, Some(125), "{args:?}");
    }
    let twice = check(runner, &["--in", "corpus/a", "--json", "--", "cat", "{}"]);
    let error = json(&twice)["runs"][0]["error"].as_str().unwrap_or_default().to_owned();
    assert!(twice.status == Some(1) && error.contains("two inputs are named `a`"), "{twice}");
}

/// Prints a summary of a JUnit file: the counts, and for each case its name and what it holds.
const PARSE: &str = "import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(root.tag, root.get('tests'), root.get('failures'), root.get('errors'))
for case in root.iter('testcase'): print(case.get('name'), [child.tag for child in case], float(case.get('time')) > 0)";

fn junit_is_read_by_an_xml_parser(runner: &Runner) {
    corpus(runner, &["a & <b>", "c"]);
    std::os::unix::fs::symlink("nowhere", runner.path("corpus/dangling")).expect("it can be made");
    let script =
        "[ \"$(cat \"$0\")\" = c ] || { printf '\\033[31m<&]]>\\001' >&2; perl -e 'getpriority 0, 0'; exit 1; }";
    runner.put("p.toml", "extends = \"default\"\n[system-calls]\nrefuse = [\"getpriority\"]\n");

    let ran = check(runner, &["--policy", "p.toml", "--junit", "out.xml", "--", "sh", "-c", script, "{}"]);
    let parsed = runner.bare("python3", &["-c", PARSE, "out.xml"]);

    assert_eq!(ran.status, Some(1), "{ran}");
    let expected = "testsuites 3 1 1\na & <b> ['failure'] True\nc [] True\ndangling ['error'] False\n";
    assert_eq!(parsed.stdout(), expected, "{parsed}");
}

fn rules_that_no_run_used_are_named(runner: &Runner) {
    corpus(runner, &["a"]);
    let text = "extends = \"default\"\n[files]\nread = [\"/var/lib\", \"/var/cache\"]\n[system-calls]\n\
                allow = [\"ptrace\", \"sync\"]";
    runner.put("p.toml", text);

    let args = ["--policy", "p.toml", "--json", "--stale", "--", "sh", "-c", "sync; ls /var/cache >/dev/null; cat {}"];
    let ran = check(runner, &args);

    assert_eq!(ran.status, Some(0), "{ran}");
    let stale = json(&ran)["stale"].clone();
    let named: Vec<&str> = stale
        .as_array()
        .expect("a list")
        .iter()
        .filter(|stale| stale["source"].as_str().is_some_and(|source| source.starts_with("p.toml")))
        .filter_map(|stale| stale["what"].as_str())
        .collect();
    assert_eq!(named, ["ptrace", "/var/lib"]);
    let group = |name: &str| stale.as_array().expect("a list").iter().find(|stale| stale["what"] == name).cloned();
    let read = group("@file-read").expect("it is used in part");
    assert_eq!(read["kind"], "group");
    let unused = read["unused"].as_array().expect("a list");
    assert!(unused.contains(&"name_to_handle_at".into()) && !unused.contains(&"getdents64".into()), "{unused:?}");
}

fn runs_beside_each_other_come_out_as_one_after_the_other(runner: &Runner) {
    let names: Vec<String> = (0..6).map(|number| format!("f{number}")).collect();
    corpus(runner, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let run = |parallel: &str| {
        check(runner, &["--json", "--parallel", parallel, "--", "sh", "-c", "sleep 1; [ \"$(cat {})\" != f3 ]"])
    };

    let (one, many) = (run("1"), run("6"));

    let results = |ran: &Ran| {
        let runs = json(ran)["runs"].as_array().expect("a list").clone();
        runs.iter().map(|run| (run["file"].clone(), run["result"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(results(&one), results(&many));
    let of_runs: u64 =
        json(&many)["runs"].as_array().expect("a list").iter().filter_map(|run| run["wall_us"].as_u64()).sum();
    assert!(many.took.as_micros() < of_runs.into(), "they were not beside each other: {:?} of {of_runs}", many.took);
    assert!(Path::new(&runner.path("corpus/f0")).exists());
}

fn both_tiers_are_checked(runner: &Runner) {
    corpus(runner, &["a"]);
    let run = |tier: &str, command: &[&str]| check(runner, &[&["--tier", tier, "--json", "--"], command].concat());

    for tier in ["jail", "seccomp"] {
        let good = run(tier, &["cat", "{}"]);
        let path = run(tier, &["sh", "-c", "cat {} /etc/fstab"]);
        let call = run(tier, &["unshare", "-U", "cat", "{}"]);

        assert_eq!((good.status, path.status, call.status), (Some(0), Some(1), Some(1)), "{good}\n{path}\n{call}");
        let needs = json(&path)["runs"][0]["paths"].clone();
        assert!(needs.as_array().expect("a list").iter().any(|need| need["path"] == "/etc/fstab"), "{path}");
        let calls = json(&call)["runs"][0]["calls"].clone();
        assert!(calls.as_array().expect("a list").iter().any(|one| one["call"] == "unshare"), "{call}");
    }
}
