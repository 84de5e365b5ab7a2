//! Refused calls of programs that mean no harm.

use crate::program::{arguments, compile, functions, policy, refusal, run};
use lazaret_e2e::{PATIENCE, Ran, Runner, as_root_and_user, finish};

as_root_and_user![
    a_dynamic_program_is_followed_into_its_functions,
    a_static_program_is_followed_into_its_functions,
    a_thread_is_told_by_its_name_and_number,
    names_of_cxx_are_readable,
    the_phase_tells_the_loader_and_initialisers_from_main,
    an_uploaded_program_is_shown_by_its_places_alone,
    a_killed_job_is_explained_too,
    the_line_that_is_suggested_allows_the_call,
    an_interpreter_is_followed_too,
    a_policy_with_userfaultfd_has_its_calls_explained_without_a_look,
    where_no_thread_may_be_stopped_the_stack_is_followed_from_what_is_known,
];

#[track_caller]
fn is_explained(ran: &Ran, phase: &str) {
    assert_eq!(ran.succeeded(), "errno 1\n", "{ran}");
    let refusal = refusal(ran, "mount");
    let explanation = &refusal["explanation"];
    assert_eq!((&refusal["count"], &refusal["errno"]), (&3.into(), &1.into()), "{ran}");
    let expected = ["source=\"none\"", "target=\"/tmp/a b\"", "type=\"tmpfs\"", "flags=MS_NODEV | MS_NOSUID"];
    assert_eq!(arguments(explanation)[..4], expected);
    let functions = functions(explanation);
    assert_eq!(functions[..3], ["mount", "ask", "middle"], "{explanation:#}");
    assert_eq!(explanation["phase"], phase, "{explanation:#}");
    let frame = &explanation["stack"][1];
    assert!(frame["file"].as_str().is_some_and(|file| file.ends_with("refused.c")), "{frame}");
    assert!(frame["line"].as_u64().is_some_and(|line| (10..14).contains(&line)), "{frame}");
    assert_eq!(explanation["library"], frame["module"], "{explanation:#}");
    assert_eq!(explanation["since_kernel"], "before 2.6");
    assert_eq!(explanation["groups"][0]["name"], "@mount");
    assert!(explanation["source"].as_str().is_some_and(|source| source.starts_with("profile default:")));
    assert_eq!(explanation["allow"], "[system-calls] allow = [\"mount\"]");
}

fn a_dynamic_program_is_followed_into_its_functions(runner: &Runner) {
    if compile(runner, "refused.c", "dynamic", &[]) {
        is_explained(&run(runner, "", &["/programs/dynamic"]), "main");
    }
}

fn a_static_program_is_followed_into_its_functions(runner: &Runner) {
    if compile(runner, "refused.c", "static", &["-static"]) {
        is_explained(&run(runner, "", &["/programs/static"]), "main");
    }
}

fn a_thread_is_told_by_its_name_and_number(runner: &Runner) {
    if !compile(runner, "refused.c", "dynamic", &[]) {
        return;
    }

    let ran = run(runner, "", &["/programs/dynamic", "thread"]);

    is_explained(&ran, "thread");
    let thread = &refusal(&ran, "mount")["explanation"]["thread"];
    assert_eq!(thread["name"], "worker");
    assert!(thread["tid"].as_u64() > thread["pid"].as_u64(), "{thread}");
    assert!(thread["tid"].as_u64() < Some(100), "numbers are the job's own: {thread}");
}

fn names_of_cxx_are_readable(runner: &Runner) {
    if !compile(runner, "shop.cc", "shop", &[]) {
        return;
    }

    let ran = run(runner, "", &["/programs/shop"]);

    let explanation = &refusal(&ran, "umount2")["explanation"];
    assert_eq!(functions(explanation)[1], "shop::Cart::pay(int, char const*)", "{explanation:#}");
    assert_eq!(arguments(explanation), ["path=\"/shop\"", "flags=MNT_DETACH"]);
}

fn the_phase_tells_the_loader_and_initialisers_from_main(runner: &Runner) {
    if !compile(runner, "early.c", "early", &[]) {
        return;
    }

    let ran = run(runner, "[system-calls]\nrefuse = [\"set_robust_list\"]\n", &["/programs/early"]);

    let phase = |call: &str| refusal(&ran, call)["explanation"]["phase"].as_str().unwrap_or_default().to_owned();
    assert_eq!(phase("set_robust_list"), "loader", "{}", refusal(&ran, "set_robust_list"));
    assert_eq!(phase("swapoff"), "initialisers", "{}", refusal(&ran, "swapoff"));
    assert_eq!(phase("umount2"), "main", "{}", refusal(&ran, "umount2"));
    assert_eq!(phase("sethostname"), "exit", "{}", refusal(&ran, "sethostname"));
    let rule = &refusal(&ran, "set_robust_list")["explanation"]["source"];
    assert!(rule.as_str().is_some_and(|source| source.starts_with("policy.toml:")), "{rule}");
}

fn an_uploaded_program_is_shown_by_its_places_alone(runner: &Runner) {
    if !compile(runner, "refused.c", "static", &["-static"]) {
        return;
    }

    let uploaded = "programs/static:mine";
    let ran = runner.run(&["--in", uploaded, "--", "sh", "-c", "chmod +x mine; ./mine"]);

    let explanation = &refusal(&ran, "mount")["explanation"];
    let frame = &explanation["stack"][0];
    assert_eq!((&frame["module"], &frame["function"]), (&"/job/mine".into(), &serde_json::Value::Null), "{ran}");
    assert!(frame["offset"].as_u64().is_some(), "{frame}");
    assert_eq!(arguments(explanation)[1], "target=\"/tmp/a b\"");
}

fn a_killed_job_is_explained_too(runner: &Runner) {
    if !compile(runner, "refused.c", "dynamic", &[]) {
        return;
    }

    let ran = run(runner, "[system-calls]\nkill = [\"mount\"]\n", &["/programs/dynamic"]);

    assert_eq!((ran.report.kind(), ran.stdout().as_str()), ("violation", ""), "{ran}");
    let explanation = &ran.report["verdict"]["explanation"];
    assert_eq!(functions(explanation)[..3], ["mount", "ask", "middle"], "{explanation:#}");
    assert!(explanation["source"].as_str().is_some_and(|source| source.starts_with("policy.toml:")));
}

fn the_line_that_is_suggested_allows_the_call(runner: &Runner) {
    let python = "import ctypes; print(ctypes.CDLL(None).prctl(22, 0, 0, 0, 0))";
    let command = ["--policy", "narrow.toml", "--", "/usr/bin/python3", "-c", python];
    let base = "extends = \"default\"\n[system-calls]\nrefuse = [\"prctl(option == PR_SET_SECCOMP)\"]\n";
    runner.put("narrow.toml", base);
    let refused = runner.run(&command);
    let line = refusal(&refused, "prctl")["explanation"]["allow"].as_str().unwrap_or_default().to_owned();

    assert_eq!(line, "[system-calls] allow = [\"prctl(option == PR_SET_SECCOMP)\"]");
    runner.put("base.toml", base);
    let (table, rest) = line.split_once("] ").expect("a table and a key");
    runner.put("narrow.toml", format!("extends = \"./base.toml\"\n{table}]\n{rest}\n"));
    let allowed = runner.run(&command);
    assert!(!allowed.report.refused().contains(&"prctl"), "{allowed}");
}

fn an_interpreter_is_followed_too(runner: &Runner) {
    let script = "import ctypes; ctypes.CDLL(None).unshare(0x10000000)";

    let ran = runner.run(&["--", "/usr/bin/python3", "-c", script]);

    let explanation = &refusal(&ran, "unshare")["explanation"];
    assert_eq!(arguments(explanation), ["flags=CLONE_NEWUSER"]);
    let functions = functions(explanation);
    assert!(functions.contains(&"Py_BytesMain") && functions.len() > 8, "{functions:?}");
    assert_eq!(explanation["phase"], "main");
}

fn a_policy_with_userfaultfd_has_its_calls_explained_without_a_look(runner: &Runner) {
    if !compile(runner, "refused.c", "dynamic", &[]) {
        return;
    }

    let ran = run(runner, "[system-calls]\nallow = [\"userfaultfd\"]\n", &["/programs/dynamic"]);

    let explanation = &refusal(&ran, "mount")["explanation"];
    assert!(explanation["stack_note"].as_str().is_some_and(|note| note.contains("userfaultfd")), "{explanation:#}");
    assert_eq!(arguments(explanation)[3], "flags=MS_NODEV | MS_NOSUID");
    assert_eq!(refusal(&ran, "mount")["count"], 3);
}

fn where_no_thread_may_be_stopped_the_stack_is_followed_from_what_is_known(runner: &Runner) {
    if !compile(runner, "refused.c", "dynamic", &[]) || !compile(runner, "without.c", "without", &[]) {
        return;
    }
    let policy = policy(runner, "");
    let mut command = runner.command(runner.path("programs/without"));
    command.arg(runner.program()).args(["run", "--report", "report.json", "--policy", &policy]);

    let ran = finish(command.args(runner.options()).args(["--", "/programs/dynamic"]), b"", PATIENCE);

    assert_eq!((ran.stdout().as_str(), ran.status), ("errno 1\n", Some(0)), "{ran}");
    let report: serde_json::Value = serde_json::from_slice(&runner.read("report.json")).expect("a report");
    let explanation = &report["refusals"][0]["explanation"];
    assert_eq!(report["refusals"][0]["count"], 3);
    assert!(explanation["stack_note"].as_str().is_some_and(|note| note.contains("not be stopped")), "{explanation:#}");
    assert_eq!(functions(explanation)[..2], ["mount", "ask"], "{explanation:#}");
    assert_eq!(arguments(explanation)[1], "target=\"/tmp/a b\"");
}
