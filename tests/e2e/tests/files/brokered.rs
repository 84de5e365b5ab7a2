//! Files by effect: what is not the job's is not there, and what is works as ever.

use crate::{Programs, TIERS, brokered, has_python, script, text};
use lazaret_e2e::{Runner, as_root_and_user, installed};
use std::fs;

as_root_and_user![
    no_call_reaches_a_file_outside,
    a_refusal_can_be_told_apart_where_the_policy_says_so,
    neither_links_nor_descriptors_nor_proc_lead_out,
    what_is_shown_for_reading_is_not_changed,
    ordinary_programs_do_their_work,
    modes_and_times_are_set,
    python_does_its_work_in_eight_threads,
    a_job_runs_on_all_processors_and_so_do_its_children,
    a_database_is_kept,
    a_program_is_compiled_and_run,
    signals_make_no_call_twice,
    the_report_counts_and_names,
    no_line_of_a_policy_is_made_of_a_path_that_would_say_more,
];

/// What every call on files outside is answered.
fn outside(runner: &Runner, tier: &str, more: &str) -> Vec<(String, String)> {
    let secret = runner.put("secret", "of the host");
    let directory = runner.path("closed");
    fs::create_dir_all(&directory).expect("a directory can be made");
    let ended = brokered(runner, tier, ("python", more))
        .command(["python3", "-c", &script("outside.py")])
        .arguments([&secret, &directory])
        .run();

    let text = text(&ended);
    assert_eq!(fs::read(&secret).expect("it is there"), b"of the host");
    assert_eq!(fs::read_dir(&directory).expect("it is there").count(), 0);
    assert!(text.lines().count() > 25, "{text}");
    let pairs = text.lines().map(|line| line.split_once(' ').expect("two words"));
    let settable = may_set_modes(runner, tier);
    let kept = pairs.filter(|(call, _)| settable || !matches!(*call, "chmod" | "utimens"));
    kept.map(|(call, answer)| (call.to_owned(), answer.to_owned())).collect()
}

fn no_call_reaches_a_file_outside(runner: &Runner) {
    if !has_python() {
        return;
    }
    for tier in TIERS {
        for (call, answer) in outside(runner, tier, "") {
            assert_eq!(answer, "ENOENT", "{call} in {tier}");
        }
    }
}

/// In the jail there is nothing outside: what is not shown is not there.
fn a_refusal_can_be_told_apart_where_the_policy_says_so(runner: &Runner) {
    if !has_python() {
        return;
    }
    for (tier, expected) in [("jail", "ENOENT"), ("seccomp", "EACCES")] {
        for (call, answer) in outside(runner, tier, "outside = \"refused\"\n") {
            assert_eq!(answer, expected, "{call} in {tier}");
        }
    }
}

fn neither_links_nor_descriptors_nor_proc_lead_out(runner: &Runner) {
    if !has_python() {
        return;
    }
    let secret = runner.put("secret", "of the host");
    for (tier, views) in [("jail", &["none", "minimal", "full"][..]), ("seccomp", &["none", "minimal"])] {
        for proc in views {
            let ended = brokered(runner, tier, ("python", &format!("proc = \"{proc}\"\n")))
                .command(["python3", "-c", &script("escapes.py")])
                .argument(&secret)
                .argument("of the host")
                .run();

            assert_eq!(text(&ended), "nothing\n", "{tier} {proc}");
        }
    }
}

fn what_is_shown_for_reading_is_not_changed(runner: &Runner) {
    let programs = Programs::new();
    let data = programs.put("data", "shown");
    let place = programs.path("");
    let place = place.display();
    for tier in TIERS {
        let script = format!(
            "cat {place}/data; for call in 'mkdir {place}/d' 'rm {place}/data' 'mv {place}/data x' 'ln {place}/data x' \
         'touch {place}/data' 'chmod 777 {place}/data' 'ln -s x {place}/l' 'cp {place}/data {place}/e' \
         'mv {place} x' 'truncate -s 0 {place}/data'; do $call 2>/dev/null && echo done: $call; done; true"
        );
        let ended = brokered(runner, tier, ("default", &programs.shown())).shell(&script).run();

        assert_eq!(text(&ended), "shown", "{tier}");
        assert_eq!(fs::read(&data).expect("it is there"), b"shown");
    }
}

const DONE: &str = "2
one
two
copy/a/one copy/b/two 
6
ONE
10
1
tree/a/b
all.tar copy tree twin 
temporary
a b 
3
removed
";

fn ordinary_programs_do_their_work(runner: &Runner) {
    for tier in TIERS {
        let ended = brokered(runner, tier, ("shell", "")).shell(&script("programs.sh")).run();

        assert_eq!(text(&ended), DONE, "{tier}: {}", ended.stderr);
    }
}

fn modes_and_times_are_set(runner: &Runner) {
    for tier in TIERS.into_iter().filter(|tier| may_set_modes(runner, tier)) {
        let ended = brokered(runner, tier, ("shell", "")).shell(&script("modes.sh")).run();

        assert_eq!(text(&ended), "640\n640\nONE\n640\n2001\n711\n750\n", "{tier}: {}", ended.stderr);
    }
}

/// Without namespaces an ordinary user's job has the user's id, and sets no modes or times.
fn may_set_modes(runner: &Runner, tier: &str) -> bool {
    runner.is_root() || tier == "jail"
}

fn python_does_its_work_in_eight_threads(runner: &Runner) {
    if !has_python() {
        return;
    }
    let expected = "temporary ['x']\nONE\n(4950,)\nTrue\nwrong 0\n\
                    ['f0', 'f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7']\n";
    for tier in TIERS {
        let ended = brokered(runner, tier, ("python", "")).command(["python3", "-c", &script("everything.py")]).run();

        assert_eq!(text(&ended), expected, "{tier}: {}", ended.stderr);
    }
}

/// Those that open one file after the other are kept to one processor meanwhile. Nobody sees it, and nobody inherits it.
fn a_job_runs_on_all_processors_and_so_do_its_children(runner: &Runner) {
    if !has_python() {
        return;
    }
    let processors = std::thread::available_parallelism().expect("they can be counted").to_string();
    for tier in TIERS {
        let ended = brokered(runner, tier, ("python", ""))
            .command(["python3", "-c", &script("processors.py"), &processors])
            .run();

        assert_eq!(text(&ended), "0 0 0 100 True\n", "{tier}: {}", ended.stderr);
    }
}

fn a_database_is_kept(runner: &Runner) {
    if !installed("/usr/bin/sqlite3", "sqlite3") {
        return;
    }
    let script = "sqlite3 d 'pragma journal_mode=delete; create table t(n); begin; insert into t values (1),(2); commit' \
                  && sqlite3 d 'pragma integrity_check; select sum(n) from t; vacuum' && ls";
    for tier in TIERS {
        let ended = brokered(runner, tier, ("shell", "")).shell(script).run();

        assert_eq!(text(&ended), "delete\nok\n3\nd\n", "{tier}: {}", ended.stderr);
    }
}

/// Without namespaces a job executes nothing that it made.
fn a_program_is_compiled_and_run(runner: &Runner) {
    if !installed("/usr/bin/gcc", "gcc") {
        return;
    }
    runner.put("hello.c", "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }\n");
    let ended = brokered(runner, "jail", ("shell", ""))
        .options(["--in", "hello.c"])
        .shell("gcc -o hello hello.c && ./hello")
        .run();

    assert_eq!(text(&ended), "compiled\n", "{}", ended.stderr);
}

fn signals_make_no_call_twice(runner: &Runner) {
    let programs = Programs::new();
    let Some(program) = programs.compile("signals.c", "signals", &[]) else { return };
    for tier in TIERS {
        for again in ["restart", "interrupt"] {
            let ended =
                brokered(runner, tier, ("default", &programs.shown())).command([&program]).argument(again).run();

            assert_eq!(text(&ended), "wrong 0 left 500\n", "{tier} {again}: {}", ended.stderr);
        }
    }
}

fn the_report_counts_and_names(runner: &Runner) {
    for tier in TIERS {
        let script = "mkdir /usr/here 2>/dev/null; cat /usr/../root/x /usr/../root/x 2>/dev/null; true";
        let ended = brokered(runner, tier, ("default", "")).shell(script).run();

        text(&ended);
        let files = &ended.report["files"];
        assert!(ended.number("/files/calls") > 10, "{tier}: {files}");
        assert!(files["work"].is_null(), "{tier}: {files}");
        let refused = |path: &str| {
            let list = files["refused"].as_array().expect("a list");
            let found = list.iter().find(|refused| refused["path"] == path)?;
            Some((found["call"].as_str()?.to_owned(), found["count"].as_u64()?))
        };
        assert_eq!(refused("/usr/here"), Some(("mkdir".to_owned(), 1)), "{tier}: {files}");
        // The jail has no /root to refuse.
        let expected = (tier == "seccomp").then(|| ("openat".to_owned(), 2));
        assert_eq!(refused("/root"), expected, "{tier}: {files}");
    }
}

fn no_line_of_a_policy_is_made_of_a_path_that_would_say_more(runner: &Runner) {
    let script = "cat '/hostile\", \"/root' '/hostile\\back' /usr/../plain 2>/dev/null; true";
    let ended = brokered(runner, "seccomp", ("default", "")).shell(script).run();

    text(&ended);
    let refused = ended.report["files"]["refused"].as_array().expect("a list");
    let of =
        |part: &str| refused.iter().find(|refused| refused["path"].as_str().is_some_and(|path| path.contains(part)));
    assert!(
        refused.iter().filter(|refused| refused["path"].to_string().contains("hostile")).count() == 2,
        "{refused:?}"
    );
    assert!(of("hostile").is_some_and(|refused| refused["suggestion"].is_null()), "{refused:?}");
    assert_eq!(of("/plain").expect("it was refused")["suggestion"], "[files] read = [\"/plain\"]");
}
