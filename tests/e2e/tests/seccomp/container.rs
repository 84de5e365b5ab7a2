//! Inside of a container of Docker's defaults: its capabilities, its system-call filter, no flag.

use crate::confined;
use lazaret_e2e::{ACCOUNT, Runner, installed};
use std::ffi::OsString;
use std::process::{Command, Output};

const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// `words` in the container, by a root that is bounded as there, or by an ordinary user.
fn within(runner: &Runner, words: Vec<OsString>, as_user: bool) -> Output {
    let program = runner.path("container");
    std::fs::copy(env!("CARGO_BIN_EXE_container"), &program).expect("the program can be copied");
    let mut command = Command::new(program);
    if as_user {
        let id = |flag: &str| {
            let output = Command::new("id").args([flag, ACCOUNT]).output().expect("id can be started");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        command.args(["--user", &id("-u"), &id("-g")]);
    }
    // The words of a runner's user begin with setpriv(1), which the container's program does itself.
    let from = words.iter().position(|word| word == runner.program().as_os_str()).expect("the program is among them");
    command.arg(PROFILE).args(&words[from..]).current_dir(runner.work()).output().expect("it can be started")
}

/// As root in the container, and as an ordinary user there. Making the container takes root.
fn in_both(check: impl Fn(&Runner, bool)) {
    if !installed(PROFILE, "golang-github-containers-common") {
        return;
    }
    let Some(root) = Runner::root() else { return };
    check(&root, false);
    if let Some(user) = Runner::user() {
        check(&user, true);
    }
}

#[test]
fn a_jail_cannot_be_built_there() {
    in_both(|runner, as_user| {
        let words = crate::job::job(runner).command(["true"]).words();
        let output = within(runner, words, as_user);

        assert_eq!(output.status.code(), Some(125), "{output:?}");
    });
}

#[test]
fn a_job_with_inputs_and_outputs_runs_without_any_flag() {
    in_both(|runner, as_user| {
        runner.put("list.txt", "b\na\n");
        let words = confined(runner)
            .options(["--in", "list.txt", "--out", "sorted.txt"])
            .command(["sort", "-o", "sorted.txt", "list.txt"])
            .words();
        let output = within(runner, words, as_user);

        assert!(output.status.success(), "{output:?}");
        assert_eq!(runner.read("sorted.txt"), b"a\nb\n");
    });
}

#[test]
fn a_refused_call_is_recorded() {
    in_both(|runner, as_user| {
        let words = confined(runner).perl("syscall(41, 2, 1, 0); syscall(198, 2, 1, 0)").words();
        let output = within(runner, words, as_user);

        let report = runner.report();
        assert_eq!(report.at("/tier"), "seccomp", "{output:?}");
        assert_eq!(report.at("/mode"), if as_user { "rootless" } else { "root" });
        assert!(report.at("/refusals").to_string().contains("\"socket\""), "{}", report.at("/refusals"));
    });
}

#[test]
fn limits_hold_and_nothing_is_left() {
    in_both(|runner, as_user| {
        let mark = format!("{}7", 200_000 + std::process::id());
        let script = format!("setsid sleep {mark} & sleep {mark}");
        let words = confined(runner).limit("wall=500ms").shell(&script).words();
        let output = within(runner, words, as_user);

        assert_eq!(output.status.code(), Some(124), "{output:?}");
        let left = Command::new("pgrep").args(["-f", &format!("sleep {mark}")]).output().expect("pgrep can be started");
        assert!(left.stdout.is_empty());
    });
}

#[test]
fn files_outside_are_as_closed_as_elsewhere() {
    in_both(|runner, as_user| {
        let file = runner.put("mine", "secret");
        let script = format!("cat {0}; echo x > {0}; true", file.display());
        let output = within(runner, confined(runner).shell(&script).words(), as_user);

        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert_eq!(runner.read("mine"), b"secret");
    });
}

#[test]
fn calls_are_gone_when_main_begins_there_too() {
    let rules = r#"extends = "shell"
[system-calls]
refuse-after-start = ["execve", "execveat", "open", "openat", { rule = "mmap(prot & PROT_EXEC != 0)" }]
"#;
    // One that the loader has to open libraries for, and one without a loader.
    let programs = [(vec!["/bin/dash"], "dash"), (vec!["/bin/busybox", "sh"], "busybox-static")];
    for (program, _) in programs.into_iter().filter(|(program, package)| installed(program[0], package)) {
        in_both(|runner, as_user| {
            let script = "(read line < /etc/passwd) || echo open; (/bin/true) || echo execute";
            let words = confined(runner).policy(rules).command(program.iter().copied().chain(["-c", script])).words();
            let output = within(runner, words, as_user);

            assert_eq!(String::from_utf8_lossy(&output.stdout), "open\nexecute\n", "{program:?}: {output:?}");
        });
    }
}
