//! `lazaret learn`: what is learned runs in the jail without a refusal, and nothing else does.

use lazaret_e2e::{Ran, Runner, as_root_and_user, installed};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

as_root_and_user![
    a_learned_policy_runs_the_whole_corpus_without_a_refusal,
    a_learned_policy_refuses_what_the_program_did_not_do,
    too_few_files_make_a_policy_that_says_so_and_status_1,
    on_top_of_a_profile_only_what_it_lacks_is_learned,
    a_program_that_looks_for_a_tracer_finds_none,
    a_run_that_fails_is_named_and_not_learned_from_unless_asked,
    a_run_that_takes_too_long_is_ended_and_named,
    a_run_cannot_write_outside_of_its_own_directories,
    what_a_child_program_needs_is_told_apart,
    a_file_that_no_argument_names_is_standard_input,
    recordings_are_joined_and_their_differences_named,
    what_is_no_whole_recording_is_an_error_and_nothing_is_written,
    what_files_and_paths_are_called_stays_on_its_line_and_adds_no_rule,
    recordings_of_two_versions_are_compared_as_what_is_learned_from_them,
    without_anything_to_learn_from_nothing_is_written,
    calls_that_the_code_could_make_have_an_action_of_their_own,
    hosts_become_rules_and_what_is_no_rule_is_listed,
    a_program_that_downloads_runs_under_what_was_learned,
    a_server_of_its_own_is_its_loopback_interface,
    nothing_of_a_run_is_left,
];

/// Files that are enough for a policy to be ready.
const ENOUGH: usize = 24;

/// A corpus of `count` texts in the directory `corpus`.
fn texts(runner: &Runner, count: usize) {
    corpus(runner);
    for at in 0..count {
        runner.put(&format!("corpus/{at}.txt"), format!("{at}\n"));
    }
}

fn corpus(runner: &Runner) {
    let made = runner.bare("mkdir", &["-p", "corpus"]);
    assert_eq!(made.status, Some(0), "{made}");
}

/// `lazaret learn --out policy.toml --corpus corpus` with `args`.
fn learn(runner: &Runner, args: &[&str]) -> Ran {
    let all: Vec<&str> = ["learn", "--out", "policy.toml", "--corpus", "corpus"].iter().chain(args).copied().collect();
    runner.lazaret(&all)
}

fn policy(runner: &Runner) -> String {
    String::from_utf8(runner.read("policy.toml")).expect("policies are text")
}

/// A shell script as the program.
fn shell(script: &str) -> [&str; 5] {
    ["--", "/bin/sh", "-c", script, "sh"]
}

fn a_learned_policy_runs_the_whole_corpus_without_a_refusal(runner: &Runner) {
    if !installed("/usr/bin/convert", "imagemagick") {
        return;
    }
    corpus(runner);
    for at in 0..ENOUGH {
        // A portable pixmap of one row.
        let pixels: Vec<u8> = (0..3 * (at + 1)).map(|value| u8::try_from(value).expect("there are few")).collect();
        let name = format!("corpus/p{at}.ppm");
        runner.put(&name, [format!("P6 {} 1 255\n", at + 1).as_bytes(), &pixels].concat());
        if at % 6 == 0 {
            let made = runner.bare("/usr/bin/convert", &[&name, &format!("corpus/q{at}.gif")]);
            assert_eq!(made.status, Some(0), "{made}");
        }
    }

    let learned = learn(runner, &["--", "convert", "{}", "-resize", "50%", "out.png"]);

    assert_eq!(learned.status, Some(0), "{learned}");
    let mut ran = 0;
    for entry in fs::read_dir(runner.path("corpus")).expect("it was just made") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("they have simple names");
        let input = format!("corpus/{name}");
        let args = ["--policy", "policy.toml", "--in", &input, "--out", "out.png", "--"];
        let job = runner.run(&[&args[..], &["convert", name, "-resize", "50%", "out.png"]].concat());
        assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}\n{}", policy(runner));
        assert!(runner.read("out.png").starts_with(b"\x89PNG"));
        ran += 1;
    }
    assert_eq!(ran, ENOUGH + ENOUGH / 6);
}

fn a_learned_policy_refuses_what_the_program_did_not_do(runner: &Runner) {
    texts(runner, ENOUGH);
    let learned = learn(runner, &[&shell("read x < \"$1\"; echo \"$x\" > out")[..], &["{}"]].concat());
    assert_eq!(learned.status, Some(0), "{learned}");
    let run =
        |script: &str| runner.run(&["--policy", "policy.toml", "--in", "corpus/1.txt", "--", "/bin/sh", "-c", script]);

    let same = run("read x < 1.txt; echo \"$x\" > out");
    let signal = run("kill -STOP $$; exit 7");
    let other_program = run("/bin/cat 1.txt");

    assert_eq!((same.report.kind(), same.report.refusals()), ("ok", vec![]), "{same}");
    assert_eq!((signal.status, signal.report.refused()), (Some(7), vec!["kill"]), "{signal}");
    assert_ne!(other_program.status, Some(0), "{other_program}");
}

fn too_few_files_make_a_policy_that_says_so_and_status_1(runner: &Runner) {
    texts(runner, 3);
    let command = ["--", "cat", "{}"];

    let learned = learn(runner, &command);

    assert_eq!(learned.status, Some(1), "{learned}");
    assert!(learned.stderr().contains("NO:"), "{learned}");
    assert!(policy(runner).starts_with("# NOT READY"), "{}", policy(runner));
    let accepted = learn(runner, &[&["--accept-unsaturated"][..], &command].concat());
    assert_eq!(accepted.status, Some(0), "{accepted}");
    assert!(policy(runner).starts_with("# NOT READY"), "accepting makes it no readier");
    texts(runner, ENOUGH);
    let enough = learn(runner, &command);
    assert_eq!(enough.status, Some(0), "{enough}");
    assert!(!policy(runner).contains("NOT READY"));
}

fn on_top_of_a_profile_only_what_it_lacks_is_learned(runner: &Runner) {
    texts(runner, ENOUGH);

    let learned = learn(runner, &["--profile", "default", "--record", "base.json", "--", "cat", "{}"]);

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains("extends = \"default\"") && !text.contains("allow = ["), "{text}");
    let again = runner.lazaret(&["learn", "--out", "again.toml", "--merge", "base.json"]);
    assert_eq!((again.status, runner.read("again.toml")), (Some(0), text.into_bytes()), "{again}");
    let job = runner.run(&["--policy", "policy.toml", "--in", "corpus/1.txt", "--", "cat", "1.txt"]);
    assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}");
}

fn a_program_that_looks_for_a_tracer_finds_none(runner: &Runner) {
    texts(runner, 2);
    let script =
        "while read -r key value; do case $key in TracerPid:) exit $value;; esac; done < /proc/self/status; exit 9";

    let learned = learn(runner, &[&["--accept-unsaturated"][..], &shell(script)].concat());

    assert_eq!(learned.status, Some(0), "{learned}");
    assert!(learned.stderr().contains("2 learned from, 0 left out"), "{learned}");
}

fn a_run_that_fails_is_named_and_not_learned_from_unless_asked(runner: &Runner) {
    texts(runner, ENOUGH);
    runner.put("corpus/bad.txt", "bad\n");
    runner.put("corpus/worse.txt", "worse\n");
    // `umask` is a call that the good files do not bring about.
    let script = "read x < \"$1\"; case $x in bad) umask 7; exit 3;; worse) kill -9 $$;; esac";
    let command = [&shell(script)[..], &["{}"]].concat();

    let learned = learn(runner, &command);

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains("left out: bad.txt: exit status 3"), "{text}");
    assert!(text.contains("left out: worse.txt: ended by signal 9"), "{text}");
    assert!(learned.stderr().contains("bad.txt") && learned.stderr().contains("worse.txt"), "{learned}");
    assert!(!text.contains("rule = \"umask\"") && !text.contains("rule = \"kill"), "{text}");
    let asked = learn(runner, &[&["--learn-from-failures", "--accept-unsaturated"][..], &command].concat());
    assert_eq!(asked.status, Some(0), "{asked}");
    let text = policy(runner);
    assert!(text.contains("rule = \"umask\"") && text.contains("rule = \"kill(sig == SIGKILL)\""), "{text}");
    assert!(text.contains("failed, and learned from: bad.txt"), "{text}");
}

fn a_run_that_takes_too_long_is_ended_and_named(runner: &Runner) {
    texts(runner, 1);
    runner.put("corpus/slow.txt", "slow\n");
    let script = "read x < \"$1\"; case $x in slow) sleep 1000 & wait;; esac";
    let args = [&["--accept-unsaturated", "--limit", "wall=3s"][..], &shell(script), &["{}"]].concat();

    let learned = learn(runner, &args);

    assert_eq!(learned.status, Some(0), "{learned}");
    assert!(policy(runner).contains("left out: slow.txt: took longer than 3s"), "{}", policy(runner));
}

fn a_run_cannot_write_outside_of_its_own_directories(runner: &Runner) {
    texts(runner, 2);
    let outside = runner.path("outside").display().to_string();
    let script = format!("echo here > own; echo tmp > \"$TMPDIR/own\"; (echo x > {outside}) 2> error; exit 0");

    let learned = learn(runner, &[&["--accept-unsaturated"][..], &shell(&script)].concat());

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains(&outside) && text.contains("only /job and /tmp can be written"), "{text}");
    let confined = !text.contains("the kernel has no Landlock");
    assert_ne!(confined, runner.path("outside").exists(), "{text}");
}

fn what_a_child_program_needs_is_told_apart(runner: &Runner) {
    texts(runner, ENOUGH);

    let learned = learn(runner, &[&shell("wc -c < \"$1\" > out; head -c 1 \"$1\" >> out")[..], &["{}"]].concat());

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(line("rule = \"wait4\"").contains("; program\""), "{text}");
    assert!(line("path = \"/usr/bin/head\"").contains("program"), "{text}");
    assert!(line("rule = \"lseek\"").contains(" in ") || line("rule = \"fadvise64").contains(" in wc"), "{text}");
    assert!(line("rule = \"pread64\"").contains("loader, also in head, wc"), "{text}");
    let job = ["--policy", "policy.toml", "--in", "corpus/1.txt", "--", "/bin/sh", "-c"];
    let job = runner.run(&[&job[..], &["wc -c < 1.txt > out; head -c 1 1.txt >> out"]].concat());
    assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}\n{text}");
}

fn a_file_that_no_argument_names_is_standard_input(runner: &Runner) {
    texts(runner, 2);

    let learned = learn(runner, &["--accept-unsaturated", "--", "/bin/sh", "-c", "read x && [ ${#x} = 1 ]"]);

    assert!(learned.stderr().contains("2 learned from, 0 left out"), "{learned}");
}

fn recordings_are_joined_and_their_differences_named(runner: &Runner) {
    texts(runner, 13);
    let record = |name: &str, program: &[&str]| {
        let args = [&["--accept-unsaturated", "--record", name][..], program].concat();
        let learned = learn(runner, &args);
        assert_eq!(learned.status, Some(0), "{learned}");
    };
    record("a.json", &["--", "cat", "{}"]);
    record("b.json", &["--", "head", "-c", "1", "{}"]);

    let joined = runner.lazaret(&[
        "learn",
        "--out",
        "policy.toml",
        "--json",
        "--record",
        "ab.json",
        "--merge",
        "a.json",
        "b.json",
    ]);

    assert!(joined.stderr().contains("conflict: different commands"), "{joined}");
    let json: serde_json::Value = serde_json::from_str(&joined.stdout()).expect("--json prints JSON");
    assert_eq!(json["files"], 26, "{joined}");
    // The second program was new with file 14, and 13 files are not enough after that.
    assert_eq!((joined.status, &json["ready"]), (Some(1), &serde_json::Value::Bool(false)), "{joined}");
    let text = policy(runner);
    assert!(text.contains("/usr/bin/cat") && text.contains("/usr/bin/head"), "{text}");
    let again = runner.lazaret(&["learn", "--out", "again.toml", "--accept-unsaturated", "--merge", "ab.json"]);
    assert_eq!(again.status, Some(0), "{again}");
    assert_eq!(runner.read("again.toml"), runner.read("policy.toml"));
}

fn what_is_no_whole_recording_is_an_error_and_nothing_is_written(runner: &Runner) {
    texts(runner, 2);
    let learned = learn(runner, &["--accept-unsaturated", "--record", "whole.json", "--", "cat", "{}"]);
    assert_eq!(learned.status, Some(0), "{learned}");
    let whole = runner.read("whole.json");
    let before = policy(runner);
    runner.put("half.json", &whole[..whole.len() / 2]);
    runner.put("newer.json", r#"{"format": "lazaret recording", "version": 99}"#);
    runner.put("other.json", "{}");
    for (name, says) in [
        ("half.json", "is cut off"),
        ("newer.json", "is of version 99"),
        ("other.json", "is not a recording"),
        ("policy.toml", "is not a recording"),
        ("missing.json", "cannot read"),
    ] {
        let joined = runner.lazaret(&["learn", "--out", "policy.toml", "--merge", "whole.json", name]);

        assert_eq!(joined.status, Some(125), "{joined}");
        assert!(joined.stderr().contains(says) && joined.stderr().contains("hint:"), "{joined}");
        assert_eq!(policy(runner), before, "what was there is still there");
    }
    assert_eq!(runner.read("whole.json"), whole);
}

fn what_files_and_paths_are_called_stays_on_its_line_and_adds_no_rule(runner: &Runner) {
    const LINES: &str =
        "\" },\n    { rule = \"@all\" },\n[system-calls]\rallow = [\"@all\"]\n#\u{1b}[31m\u{202e}\u{2028}";
    corpus(runner);
    runner.put(&format!("corpus/{LINES}"), "x\n");
    let program = ["--", "/bin/sh", "-c", "cat \"$0\"; cat \"/$1\"; cat \"$0\" > \"/$1\"; exit $2", "{}", LINES];
    let args = ["--accept-unsaturated", "--env", "LINES=\n[limits]"];

    let learned = learn(runner, &[&args[..], &program, &["0"]].concat());
    let nothing = learn(runner, &[&args[..], &program, &["1"]].concat());

    assert_eq!((learned.status, nothing.status), (Some(0), Some(125)), "{learned}{nothing}");
    assert!(!nothing.stderr().contains("\n[system-calls]") && !nothing.stderr().contains('\u{1b}'), "{nothing}");
    let text = policy(runner);
    let begins = |line: &str| ["{ rule = \"@all", "allow = [\"@all", "[limits"].iter().any(|it| line.starts_with(it));
    let said = learned.stderr();
    let lines = text.lines().chain(text.split('\r')).chain(said.lines());
    let forged: Vec<_> = lines.map(str::trim_start).filter(|line| begins(line)).map(str::to_owned).collect();
    assert_eq!(forged, ["[limits]"], "the policy's own: {text}\n{learned}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{2028}']), "{text}");
    assert!(!learned.stderr().contains(['\u{1b}', '\u{202e}', '\u{2028}']), "{learned}");
}

fn recordings_of_two_versions_are_compared_as_what_is_learned_from_them(runner: &Runner) {
    texts(runner, 2);
    let record = |name: &str, script: &str| {
        let args = [&["--accept-unsaturated", "--record", name][..], &shell(script), &["{}"]].concat();
        let learned = learn(runner, &args);
        assert_eq!(learned.status, Some(0), "{learned}");
    };
    record("new.json", "cat \"$1\"; perl -e 'getpriority 0, 0'");
    record("old.json", "cat \"$1\"; perl -e 0");

    let wider = runner.lazaret(&["diff", "old.json", "new.json"]);
    assert_eq!(wider.status, Some(1), "{wider}");
    assert!(wider.stdout().contains("added    system-call getpriority"), "{wider}");
    // The policy that was written last is that of the old one.
    let same = runner.lazaret(&["diff", "--fail-on", "widened", "old.json", "policy.toml"]);
    assert_eq!(same.status, Some(0), "{same}");
    assert!(!same.stdout().contains("system-call"), "{same}");

    let whole = runner.read("new.json");
    runner.put("half.json", &whole[..whole.len() / 2]);
    runner.put("newer.json", r#"{"format": "lazaret recording", "version": 99}"#);
    runner.put("other.json", "{}");
    for (name, says) in
        [("half.json", "is cut off"), ("newer.json", "is of version 99"), ("other.json", "is not a recording")]
    {
        let compared = runner.lazaret(&["diff", "policy.toml", name]);

        assert_eq!(compared.status, Some(125), "{compared}");
        assert!(compared.stderr().contains(says) && compared.stderr().contains("hint:"), "{compared}");
    }
}

fn without_anything_to_learn_from_nothing_is_written(runner: &Runner) {
    corpus(runner);
    let empty = learn(runner, &["--", "cat", "{}"]);
    texts(runner, 2);
    let failing = learn(runner, &["--", "/bin/sh", "-c", "echo why >&2; exit 4"]);
    let missing = learn(runner, &["--", "no-such-program", "{}"]);
    runner.put("script", "no program\n");
    let script = runner.path("script").display().to_string();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("root may, and so may its owner");
    let unstarted = learn(runner, &["--", &script]);
    let no_corpus = runner.lazaret(&["learn", "--out", "policy.toml", "--corpus", "nowhere", "--", "cat", "{}"]);

    for (ran, says) in [
        (&empty, "has no file"),
        (&failing, "exit status 4: why"),
        (&missing, "there is no program `no-such-program`"),
        (&unstarted, "cannot execute"),
        (&no_corpus, "cannot read the corpus"),
    ] {
        assert_eq!(ran.status, Some(125), "{ran}");
        assert!(ran.stderr().contains(says) && ran.stderr().contains("hint:"), "{says}: {ran}");
    }
    assert!(!runner.path("policy.toml").exists());
    let linked = runner.bare("ln", &["-s", "nowhere", "corpus/gone.txt"]);
    assert_eq!(linked.status, Some(0), "{linked}");
    let learned = learn(runner, &["--accept-unsaturated", "--", "cat", "{}"]);
    assert_eq!(learned.status, Some(0), "{learned}");
    assert!(policy(runner).contains("left out: gone.txt: cannot be read"), "{}", policy(runner));
    if !runner.is_root() {
        let closed = runner.bare("chmod", &["0", "corpus/1.txt"]);
        assert_eq!(closed.status, Some(0), "{closed}");
        let learned = learn(runner, &["--accept-unsaturated", "--", "cat", "{}"]);
        assert_eq!(learned.status, Some(0), "{learned}");
        assert!(policy(runner).contains("left out: 1.txt: cannot be read"), "{}", policy(runner));
    }
}

fn calls_that_the_code_could_make_have_an_action_of_their_own(runner: &Runner) {
    texts(runner, ENOUGH);

    let learned = learn(runner, &["--static", "--neither", "kill", "--", "cat", "{}"]);

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains("default = \"kill\"") && text.contains("log = ["), "{text}");
    let log = text.split("log = [").nth(1).and_then(|rest| rest.split("\n]").next()).expect("it is a list");
    // cat's C library could, and cat did not.
    assert!(log.contains("rule = \"socket\"") && !log.contains("rule = \"read\""), "{log}");
    let job = runner.run(&["--policy", "policy.toml", "--in", "corpus/1.txt", "--", "cat", "1.txt"]);
    assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}");
}

fn hosts_become_rules_and_what_is_no_rule_is_listed(runner: &Runner) {
    if !installed("/usr/bin/python3", "python3") {
        return;
    }
    texts(runner, 2);
    let script = "\
import socket
tcp = socket.socket(); tcp.settimeout(1)
try: tcp.connect(('127.0.0.1', 9))
except OSError: pass
ask = b'\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x03www\\x07example\\x03org\\0\\0\\x01\\0\\x01'
socket.socket(type=socket.SOCK_DGRAM).sendto(ask, ('127.0.0.1', 53))
udp = socket.socket(type=socket.SOCK_DGRAM); udp.connect(('127.0.0.1', 10))
";

    let learned = learn(runner, &["--accept-unsaturated", "--", "python3", "-c", script]);

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains("{ host = \"127.0.0.1:9\", why = \"by 2 of 2 files\" }"), "{text}");
    assert!(text.contains("send 127.0.0.1:53") && text.contains("send 127.0.0.1:10: 2 of 2 files"), "{text}");
    assert!(text.contains("asked for www.example.org: 2 of 2 files"), "{text}");
    assert!(text.contains("socket(domain == AF_INET, type & 0xf == SOCK_STREAM, protocol == 0)"), "{text}");
}

fn a_program_that_downloads_runs_under_what_was_learned(runner: &Runner) {
    if !installed("/usr/bin/curl", "curl") {
        return;
    }
    corpus(runner);
    for at in 0..ENOUGH {
        runner.put(&format!("corpus/{at}.txt"), format!("{at}\n"));
    }
    let web = lazaret_e2e::Server::http("127.0.0.1:0", "content");
    let url = format!("http://{}/", web.address());
    let command = ["curl", "-sSf", "--data-binary", "@{}", "-o", "out", &url];

    let learned = learn(runner, &[&["--"][..], &command].concat());

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains(&format!("host = \"{}\"", web.address())), "{text}");
    for at in 0..ENOUGH {
        let (name, input) = (format!("{at}.txt"), format!("corpus/{at}.txt"));
        let data = format!("@{name}");
        let args = ["--policy", "policy.toml", "--in", &input, "--out", "out", "--"];
        let job = runner.run(&[&args[..], &["curl", "-sSf", "--data-binary", &data, "-o", "out", &url]].concat());
        assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}\n{text}");
        assert_eq!(job.report.at("/network/refused"), &serde_json::json!([]), "{job}\n{text}");
        assert_eq!(runner.read("out"), b"content");
    }
    assert_eq!(web.visits().len(), 2 * ENOUGH);
}

fn a_server_of_its_own_is_its_loopback_interface(runner: &Runner) {
    if !installed("/usr/bin/python3", "python3") {
        return;
    }
    texts(runner, 2);
    let script = "\
import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
client.sendall(b'x'); assert peer.recv(1) == b'x'
";
    let command = ["--", "/usr/bin/python3", "-I", "-c", script];

    let learned = learn(runner, &[&["--accept-unsaturated"][..], &command].concat());

    assert_eq!(learned.status, Some(0), "{learned}");
    let text = policy(runner);
    assert!(text.contains("loopback = true # servers of its own; by 2 of 2 files"), "{text}");
    assert!(!text.contains("host = \""), "{text}");
    let job = runner.run(&[&["--policy", "policy.toml"][..], &command].concat());
    assert_eq!((job.report.kind(), job.report.refusals()), ("ok", vec![]), "{job}\n{text}");
}

fn nothing_of_a_run_is_left(runner: &Runner) {
    texts(runner, 1);
    let places = runner.path("places");
    fs::create_dir(&places).expect("root may, and so may its owner");
    fs::set_permissions(&places, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let marker = format!("86{}", std::process::id());
    // A child that leaves the session and goes on, and a directory that cannot be entered.
    let script = format!("setsid sleep {marker} & mkdir closed; chmod 0 closed; exit 0");
    let mut command = runner.command(runner.program());
    command.env("TMPDIR", &places).args([
        "learn",
        "--out",
        "policy.toml",
        "--accept-unsaturated",
        "--corpus",
        "corpus",
    ]);

    let learned = lazaret_e2e::finish(command.args(shell(&script)), b"", lazaret_e2e::PATIENCE);

    assert_eq!(learned.status, Some(0), "{learned}");
    assert_eq!(fs::read_dir(&places).expect("it is there").count(), 0);
    let command = format!("sleep\0{marker}\0").into_bytes();
    let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
    let mut commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    assert!(!commands.any(|running| running == command), "a child goes on");
}
