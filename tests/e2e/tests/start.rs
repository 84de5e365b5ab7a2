//! `refuse-after-start`: what is refused from the moment on at which a program's `main` begins, in both tiers.

#[path = "verdicts/job.rs"]
mod job;

use job::{Ended, Job, job};
use lazaret_e2e::{Runner, as_root_and_user, fixture, installed};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tempfile::TempDir;

as_root_and_user![
    a_dynamic_program_opens_maps_and_executes_before_main_alone,
    a_static_program_is_refused_from_its_exec_on,
    a_library_that_starts_threads_and_opens_files_does_so_before_main,
    a_program_of_another_c_library_is_told_too,
    a_program_without_a_main_is_refused_from_its_entry_on,
    a_child_that_was_executed_before_the_start_starts_the_job,
    an_interpreter_lives_without_execve,
    the_users_own_preloaded_library_stays,
    the_token_of_a_launch_is_not_guessed,
    a_forged_start_only_refuses_earlier,
    what_cannot_be_enforced_is_an_error_that_says_why,
    a_base_s_rules_are_inherited_and_removed,
    a_plan_shows_the_rules,
];

const RULES: &str =
    r#"["execve", "execveat", "open", "openat", { rule = "mmap(prot & PROT_EXEC != 0)", why = "no new code" }]"#;

/// Programs that are compiled for a test, not below /tmp, which is a job's own.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("our own");
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Compiles `source` of the fixtures as `name`. `false`, and a line that says so, without a compiler.
    fn compile(&self, compiler: &str, source: &str, name: &str, flags: &[&str]) -> bool {
        let package = if compiler == "gcc" { "gcc" } else { "musl-tools" };
        if !installed(&format!("/usr/bin/{compiler}"), package) {
            return false;
        }
        let mut command = Command::new(compiler);
        command.args(["-O1", "-w", "-o"]).arg(self.path(name)).arg(fixture("start").join(source)).args(flags);
        assert!(command.status().expect("the compiler can be started").success(), "cannot compile {source}");
        true
    }

    /// A job of `tier` that sees the programs and is refused what `rules` name.
    fn refusing<'a>(&self, runner: &'a Runner, tier: &str, rules: &str) -> Job<'a> {
        let text = format!(
            "extends = \"python\"\n[files]\nread = [\"{}\"]\n[system-calls]\nrefuse-after-start = {rules}\n",
            self.0.path().display()
        );
        job(runner).options(["--tier", tier]).policy(&text)
    }

    /// Runs the program `name`, in both tiers.
    fn both<'a>(&self, runner: &'a Runner, name: &str, options: &[&str]) -> [Ended<'a>; 2] {
        let program = self.path(name);
        ["jail", "seccomp"].map(|tier| self.refusing(runner, tier, RULES).options(options).command([&program]).run())
    }
}

/// The report's words about the start.
fn told(ended: &Ended<'_>) -> String {
    let notes = ended.report["notes"].as_array().into_iter().flatten();
    let mut about = notes.filter_map(|note| note.as_str()).filter(|note| note.contains("start"));
    about.next().unwrap_or_default().to_owned()
}

fn a_dynamic_program_opens_maps_and_executes_before_main_alone(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "early.c", "early", &[]) {
        return;
    }
    for ended in programs.both(runner, "early", &[]) {
        ended.expect("ok", 0);
        // No trace of the library either: no variable and no descriptor.
        let expected = "initialiser: open done, map done, execute left\n\
                        main: open refused, map refused, execute refused\n\
                        child: open refused, map refused, execute refused\n";
        assert_eq!(String::from_utf8_lossy(&ended.stdout), expected);
        assert!(told(&ended).starts_with("refuse-after-start held from `main` on; "), "{}", told(&ended));
        let refusals = ended.report["refusals"].as_array().cloned().unwrap_or_default();
        let of = |call: &str| refusals.iter().find(|refusal| refusal["call"] == call).expect("it was refused").clone();
        assert_eq!((&of("execve")["count"], &of("execve")["errno"]), (&2.into(), &1.into()));
        assert_eq!(of("mmap")["rule"], "mmap(prot & PROT_EXEC != 0)");
        assert_eq!(of("openat")["suggestion"], "[remove] refuse-after-start = [\"openat\"]");
        let explanation = &of("openat")["explanation"];
        assert_eq!(explanation["phase"], "main", "{explanation:#}");
        assert!(
            explanation["source"].as_str().is_some_and(|source| source.ends_with("policy.toml:5")),
            "{explanation}"
        );
        let controls = ended.report["enforcement"].as_array().cloned().unwrap_or_default();
        let filter = controls.iter().find(|control| control["layer"] == "seccomp").expect("a control");
        assert!(filter["detail"].as_str().is_some_and(|detail| detail.contains("held from `main` on")), "{filter}");
    }
}

fn a_static_program_is_refused_from_its_exec_on(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "early.c", "early", &["-static"]) {
        return;
    }
    for ended in programs.both(runner, "early", &[]) {
        ended.expect("ok", 0);
        let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(
            stdout.starts_with("initialiser: open refused, map refused, execute left\nmain: open refused"),
            "{stdout}"
        );
        assert_eq!(told(&ended), "refuse-after-start held from the exec on: a program of the job's is static");
    }
}

fn a_library_that_starts_threads_and_opens_files_does_so_before_main(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "library.c", "libearly.so", &["-shared", "-fPIC", "-pthread"]) {
        return;
    }
    let (search, find) = (format!("-L{}", programs.path("")), format!("-Wl,-rpath,{}", programs.path("")));
    programs.compile("gcc", "user.c", "user", &[&search, &find, "-learly", "-pthread"]);

    for ended in programs.both(runner, "user", &[]) {
        ended.expect("ok", 0);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "early 100, main -1\nthread -1\n");
    }
}

fn a_program_of_another_c_library_is_told_too(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("musl-gcc", "early.c", "early", &[]) {
        return;
    }
    for ended in programs.both(runner, "early", &[]) {
        ended.expect("ok", 0);
        // Its mmap makes ENOMEM of EPERM.
        let expected = "initialiser: open done, map done, execute left\n\
                        main: open refused, map failed, execute refused\n\
                        child: open refused, map failed, execute refused\n";
        assert_eq!(String::from_utf8_lossy(&ended.stdout), expected);
    }
}

fn a_program_without_a_main_is_refused_from_its_entry_on(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "bare.c", "bare", &["-nostartfiles"]) {
        return;
    }
    for ended in programs.both(runner, "bare", &[]) {
        ended.expect("ok", 0);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "refused\n");
        assert!(told(&ended).contains("the program has no `main`"), "{}", told(&ended));
    }
}

fn a_child_that_was_executed_before_the_start_starts_the_job(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "early.c", "early", &[]) {
        return;
    }
    for ended in programs.both(runner, "early", &["--env", "EARLY_RUN=1"]) {
        ended.expect("ok", 0);
        let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(stdout.starts_with("initialiser: open done, map done, execute done\nmain: open refused"), "{stdout}");
    }
}

fn an_interpreter_lives_without_execve(runner: &Runner) {
    let programs = Programs::new();
    let script = "import json, subprocess\nprint(json.dumps([1]))\ntry: subprocess.run(['/bin/true'])\nexcept PermissionError: print('refused')";
    for tier in ["jail", "seccomp"] {
        let rules = "[\"execve\", \"execveat\"]";
        let ended = programs.refusing(runner, tier, rules).command(["python3", "-c", script]).run();
        let without =
            programs.refusing(runner, tier, "[\"open\", \"openat\"]").command(["python3", "-c", script]).run();

        ended.expect("ok", 0);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "[1]\nrefused\n");
        // It reads its modules from `main` on.
        assert_ne!(without.kind(), "ok", "{}", String::from_utf8_lossy(&without.stdout));
    }
}

fn the_users_own_preloaded_library_stays(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "library.c", "libearly.so", &["-shared", "-fPIC", "-pthread"]) {
        return;
    }
    programs.compile("gcc", "early.c", "early", &[]);
    let own = format!("LD_PRELOAD={}", programs.path("libearly.so"));

    for ended in programs.both(runner, "early", &["--env", &own]) {
        ended.expect("ok", 0);
        let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(stdout.ends_with(&format!("environment: {own}\n")), "{stdout}");
        assert!(stdout.contains("main: open refused"), "{stdout}");
    }
}

fn the_token_of_a_launch_is_not_guessed(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "hostile.c", "hostile", &[]) {
        return;
    }
    for ended in programs.both(runner, "hostile", &[]) {
        ended.expect("ok", 0);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "before done, behind done\nrefused 2003\n");
    }
}

fn a_forged_start_only_refuses_earlier(runner: &Runner) {
    let programs = Programs::new();
    if !programs.compile("gcc", "hostile.c", "hostile", &[]) {
        return;
    }
    for ended in programs.both(runner, "hostile", &["--env", "FORGE=1"]) {
        ended.expect("ok", 0);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "before done, behind refused\nrefused 2003\n");
    }
}

fn what_cannot_be_enforced_is_an_error_that_says_why(runner: &Runner) {
    let policy =
        |more: &str| format!("extends = \"default\"\n{more}\n[system-calls]\nrefuse-after-start = [\"execve\"]\n");
    let blind = job(runner).policy(&policy("[files]\nproc = \"none\"")).command(["true"]).run();
    let few = job(runner).policy(&policy("[limits]\nopen-files = 20")).command(["true"]).run();
    let wrong = job(runner)
        .policy("extends = \"default\"\n[system-calls]\nrefuse-after-start = [\"exec\"]\n")
        .command(["true"])
        .run();

    blind.expect_error(&["`refuse-after-start` (", "policy.toml:5", "/proc", "proc = \"minimal\""]);
    few.expect_error(&["`refuse-after-start` (", "`open-files` is 20", "--limit open-files=64"]);
    wrong.expect_error(&["`exec`", "policy.toml:3"]);
}

fn a_base_s_rules_are_inherited_and_removed(runner: &Runner) {
    runner.put("base.toml", "extends = \"default\"\n[system-calls]\nrefuse-after-start = [\"execve\", \"execveat\"]\n");
    let run = |more: &str| {
        let text = format!("extends = \"./base.toml\"\n{more}");
        job(runner).policy(&text).shell("/bin/true && echo ran").run()
    };
    let kept = run("");
    let removed = run("[remove]\nrefuse-after-start = [\"execve\"]\n");
    let unknown = run("[remove]\nrefuse-after-start = [\"openat\"]\n");

    assert_ne!(kept.kind(), "ok");
    removed.expect("ok", 0);
    assert_eq!(removed.stdout, b"ran\n");
    unknown.expect_error(&["the base has no `openat` in `refuse-after-start`"]);
}

fn a_plan_shows_the_rules(runner: &Runner) {
    runner.put("policy.toml", format!("extends = \"default\"\n[system-calls]\nrefuse-after-start = {RULES}\n"));
    let planned = runner.lazaret(&["plan", "--policy", "policy.toml", "--", "true"]);

    let text = planned.stdout();
    assert!(text.contains("REFUSED FROM THE START OF THE PROGRAM ON"), "{text}");
    assert!(text.contains("mmap(prot & PROT_EXEC != 0)") && text.contains("no new code"), "{text}");
}
