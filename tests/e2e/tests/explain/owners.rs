//! Paths that exist outside, and that are another's or marked: EPERM, and why no line of a policy helps. Moving between
//! mounts: EXDEV.

use crate::paths::{outside, refused};
use lazaret_e2e::{Ran, Runner, as_root_and_user, finish};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

as_root_and_user![
    what_only_the_owner_may_is_told_of_in_a_copy_on_write_view,
    names_in_a_directory_of_anothers_are_told_of_in_a_view,
    reading_without_a_trace_is_told_of_where_a_file_is_shown,
    the_seccomp_tier_tells_of_owners_too,
    moving_to_another_mount_is_told_of,
    what_the_job_may_and_does_is_no_refusal,
];

/// Does what each argument names to the first one, and prints what came of it.
const TRY: &str = "\
import errno, os, sys
path = sys.argv[1]
acts = {
    'chmod': lambda: os.chmod(path, 0o600),
    'times': lambda: os.utime(path, (1, 1)),
    'touch': lambda: os.utime(path),
    'noatime': lambda: os.open(path, os.O_RDONLY | os.O_NOATIME),
    'read': lambda: os.open(path, os.O_RDONLY),
    'write': lambda: os.open(path, os.O_WRONLY),
    'link': lambda: os.link(path, path + '-linked'),
    'remove': lambda: os.unlink(path),
    'move': lambda: os.rename(path, '/tmp/moved'),
    'replace': lambda: (open(path + '-new', 'w').close(), os.rename(path + '-new', path)),
}
for name in sys.argv[2:]:
    try:
        acts[name]()
        print(name, 'done')
    except OSError as e:
        print(name, errno.errorcode[e.errno])
";

/// A file of root's that everybody may read, in a directory outside. `None`, where no such file can be made.
fn of_roots(runner: &Runner) -> Option<(tempfile::TempDir, String)> {
    let outside = outside()?;
    let path = outside.path().join("data");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our own");
    // Tests that an ordinary user runs can make none that is another's.
    let is_anothers = runner.is_root() || Runner::root().is_some();
    is_anothers.then(|| (outside, path.display().to_string()))
}

fn tried(runner: &Runner, list: &str, directory: &Path, more: &[&str], path: &str, acts: &[&str]) -> Ran {
    runner.put("policy.toml", format!("extends = \"default\"\n[files]\n{list} = [\"{}\"]\n", directory.display()));
    let command = ["--policy", "policy.toml", "--explain", "--", "/usr/bin/python3", "-c", TRY, path];
    runner.run(&[more, &command, acts].concat())
}

#[track_caller]
fn is_refused(ran: &Ran, path: &str, call: &str, error: &str, cause: &str) {
    let all = ran.report["path_refusals"].as_array().into_iter().flatten();
    let found = all.filter(|refusal| refusal["path"] == path && refusal["error"] == error);
    let calls: Vec<&Value> = found.clone().map(|refusal| &refusal["call"]).collect();
    let refusal = found.into_iter().find(|refusal| refusal["call"] == call);
    let refusal = refusal.unwrap_or_else(|| panic!("{calls:?}\n{ran}\n{:#}", ran.report["path_refusals"]));
    assert_eq!(refusal["cause"], cause, "{refusal:#}");
    assert_eq!(refusal["allow"], Value::Null, "{refusal:#}");
    assert!(refusal["why_not"].as_str().is_some_and(|why| why.len() > 20), "{refusal:#}");
}

fn what_only_the_owner_may_is_told_of_in_a_copy_on_write_view(runner: &Runner) {
    let Some((outside, path)) = of_roots(runner) else { return };
    for (act, call) in [("chmod", "chmod"), ("times", "utimensat"), ("link", "link"), ("noatime", "openat")] {
        let ran = tried(runner, "cow", outside.path(), &[], &path, &[act]);

        assert_eq!(ran.succeeded(), format!("{act} EPERM\n"));
        is_refused(&ran, &path, call, "EPERM", "owner");
    }
    let told = runner.lazaret(&["explain", "../report.json"]);
    for text in ["got:     EPERM", "only its owner may", "not possible: the job's user id does not own it", "--in"] {
        assert!(told.stdout().contains(text), "{text}: {told}");
    }
    let ran = tried(runner, "cow", outside.path(), &[], &path, &["write", "touch"]);
    assert_eq!(ran.succeeded(), "write EACCES\ntouch EACCES\n");
    is_refused(&ran, &path, "openat", "EACCES", "permissions");
}

fn names_in_a_directory_of_anothers_are_told_of_in_a_view(runner: &Runner) {
    let Some((outside, _)) = of_roots(runner) else { return };
    let make = |name: &str, mode: u32| {
        let directory = outside.path().join(name);
        fs::create_dir(&directory).expect("a new directory");
        fs::write(directory.join("data"), "seen").expect("a new file");
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("our own");
        directory.join("data").display().to_string()
    };
    let (closed, sticky) = (make("closed", 0o755), make("sticky", 0o1777));

    let in_closed = tried(runner, "cow", outside.path(), &[], &closed, &["remove"]);
    is_refused(&in_closed, &closed, "unlink", "EACCES", "permissions");
    let in_sticky = tried(runner, "cow", outside.path(), &[], &sticky, &["remove"]);

    assert_eq!((in_closed.succeeded(), in_sticky.succeeded()), ("remove EACCES\n".into(), "remove EPERM\n".into()));
    is_refused(&in_sticky, &sticky, "unlink", "EPERM", "owner");
    // The view's topmost directory is the job's own, and so is what it puts there.
    let path = outside.path().join("data").display().to_string();
    let own = tried(runner, "cow", outside.path(), &[], &path, &["replace", "chmod", "write", "remove"]);
    assert_eq!(own.succeeded(), "replace done\nchmod done\nwrite done\nremove done\n");
    assert_eq!(refused(&own, &path), None, "{:#}", own.report["path_refusals"]);
}

fn reading_without_a_trace_is_told_of_where_a_file_is_shown(runner: &Runner) {
    let Some((outside, path)) = of_roots(runner) else { return };

    let ran = tried(runner, "read", outside.path(), &[], &path, &["read", "noatime"]);

    assert_eq!(ran.succeeded(), "read done\nnoatime EPERM\n");
    is_refused(&ran, &path, "openat", "EPERM", "owner");
}

fn the_seccomp_tier_tells_of_owners_too(runner: &Runner) {
    let Some((outside, path)) = of_roots(runner) else { return };

    let ran = tried_without_a_jail(runner, outside.path(), &path, &["read", "noatime", "link"]);

    assert_eq!((ran.stdout().as_str(), ran.status), ("read done\nnoatime EPERM\nlink EPERM\n", Some(0)), "{ran}");
    is_refused(&ran, &path, "openat", "EPERM", "owner");
}

/// As [`tried`], in the seccomp tier, whose options are the same for everybody.
fn tried_without_a_jail(runner: &Runner, directory: &Path, path: &str, acts: &[&str]) -> Ran {
    runner.put(
        "policy.toml",
        format!("extends = \"default\"\n[files]\nread = [\"{}\"]\nmode = \"direct\"\n", directory.display()),
    );
    let mut command = runner.command(runner.program());
    command.args(["run", "--report", "report.json", "--policy", "policy.toml", "--explain", "--tier", "seccomp", "--"]);
    command.args(["/usr/bin/python3", "-c", TRY, path]).args(acts);
    let mut ran = finish(&mut command, b"", lazaret_e2e::PATIENCE);
    ran.report = lazaret_e2e::Report(serde_json::from_slice(&runner.read("report.json")).unwrap_or_default());
    ran
}

fn moving_to_another_mount_is_told_of(runner: &Runner) {
    let Some((outside, path)) = of_roots(runner) else { return };

    let ran = tried(runner, "cow", outside.path(), &[], &path, &["move"]);

    assert_eq!(ran.succeeded(), "move EXDEV\n");
    is_refused(&ran, &path, "rename", "EXDEV", "other-mount");
}

fn what_the_job_may_and_does_is_no_refusal(runner: &Runner) {
    // The user's own, in a view; and for root, whose jobs own nothing, what everybody may read.
    let Some(outside) = outside() else { return };
    let path = outside.path().join("data");
    let acts: &[&str] = if runner.is_root() { &["read"] } else { &["chmod", "times", "touch", "noatime", "write"] };
    if !runner.is_root() {
        let given =
            Command::new("chown").args(["-R", &format!("{}:", lazaret_e2e::ACCOUNT)]).arg(outside.path()).status();
        assert!(Runner::root().is_none() || given.is_ok_and(|given| given.success()), "chown");
    }

    let ran = tried(runner, "cow", outside.path(), &[], &path.display().to_string(), acts);

    let done: String = acts.iter().map(|act| format!("{act} done\n")).collect();
    assert_eq!(ran.succeeded(), done);
    assert_eq!(refused(&ran, &path.display().to_string()), None, "{:#}", ran.report["path_refusals"]);
}

#[test]
fn what_is_marked_as_immutable_is_told_of() {
    let Some(runner) = Runner::user() else { return };
    let Some(outside) = outside().filter(|_| Runner::root().is_some()) else { return };
    let path = outside.path().join("data");
    let text = path.display().to_string();
    Command::new("chown")
        .args(["-R", &format!("{}:", lazaret_e2e::ACCOUNT)])
        .arg(outside.path())
        .status()
        .expect("chown");
    let mark = |how: &str| Command::new("chattr").arg(how).arg(&path).status().is_ok_and(|marked| marked.success());
    if !mark("+i") {
        lazaret_e2e::skip("this file system has no marks");
        return;
    }

    let ran = tried(&runner, "cow", outside.path(), &[], &text, &["write", "chmod"]);
    let in_tier = tried_without_a_jail(&runner, outside.path(), &text, &["write"]);

    assert!(mark("-i"), "{text} stays behind");
    assert_eq!(in_tier.stdout(), "write EPERM\n", "{in_tier}");
    is_refused(&in_tier, &text, "openat", "EPERM", "attributes");
    assert_eq!(ran.succeeded(), "write EPERM\nchmod EPERM\n");
    is_refused(&ran, &text, "openat", "EPERM", "attributes");
}
