//! Paths that exist outside: `lazaret run --explain`.

use lazaret_e2e::{Ran, Runner, as_root_and_user};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

as_root_and_user![
    a_file_that_the_jail_lacks_has_the_line_that_shows_it,
    a_file_on_a_read_only_mount_has_the_line_that_makes_it_writable,
    without_the_option_nobody_looks,
];

const READ: &str =
    "import sys\nfor path in sys.argv[1:]:\n    try: print(open(path).read())\n    except OSError as e: print(e.errno)";
const WRITE: &str =
    "import sys\ntry:\n    open(sys.argv[1], 'w').write('x'); print('written')\nexcept OSError as e: print(e.errno)";

pub(crate) fn refused<'a>(ran: &'a Ran, path: &str) -> Option<&'a Value> {
    ran.report["path_refusals"].as_array().into_iter().flatten().find(|refusal| refusal["path"] == path)
}

/// A directory that is nowhere below what the default profile shows or what a job has of its own.
pub(crate) fn outside() -> Option<tempfile::TempDir> {
    // The account's own places are below /tmp alone, which a job does not see.
    let made = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").ok()?;
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o755)).expect("an own directory's mode can be set");
    fs::write(made.path().join("data"), "seen").expect("a file can be written");
    Some(made)
}

fn a_file_that_the_jail_lacks_has_the_line_that_shows_it(runner: &Runner) {
    let Some(outside) = outside() else { return };
    let path = outside.path().join("data").display().to_string();
    let nowhere = outside.path().join("nothing").display().to_string();
    runner.put("policy.toml", "extends = \"default\"\n");
    let command = ["--policy", "policy.toml", "--explain", "--", "/usr/bin/python3", "-c", READ, &path, &nowhere];

    let ran = runner.run(&command);

    assert_eq!(ran.succeeded(), "2\n2\n");
    let refusal = refused(&ran, &path).unwrap_or_else(|| panic!("{:#}", ran.report.0));
    assert_eq!((&refusal["error"], &refusal["cause"]), (&"ENOENT".into(), &"not-shown".into()));
    assert_eq!(refused(&ran, &nowhere), None, "it exists nowhere");
    // The line is as good as it says.
    let line = refusal["allow"].as_str().unwrap_or_default();
    let (table, rest) = line.split_once("] ").expect("a table and a key");
    runner.put("policy.toml", format!("extends = \"default\"\n{table}]\n{rest}\n"));
    let shown = runner.run(&command);
    assert_eq!(shown.succeeded(), "seen\n2\n");
    assert_eq!(refused(&shown, &path), None, "{}", shown.report["path_refusals"]);
}

fn a_file_on_a_read_only_mount_has_the_line_that_makes_it_writable(runner: &Runner) {
    let Some(outside) = outside() else { return };
    let (directory, path) = (outside.path().display(), outside.path().join("new").display().to_string());
    runner.put("policy.toml", format!("extends = \"default\"\n[files]\nread = [\"{directory}\"]\n"));

    let ran = runner.run(&["--policy", "policy.toml", "--explain", "--", "/usr/bin/python3", "-c", WRITE, &path]);

    assert_eq!(ran.succeeded(), "30\n");
    let refusal = refused(&ran, &path).unwrap_or_else(|| panic!("{:#}", ran.report.0));
    assert_eq!((&refusal["error"], &refusal["cause"]), (&"EROFS".into(), &"read-only".into()));
    assert_eq!(refusal["allow"], format!("[files] cow = [\"{directory}\"]"));
}

fn without_the_option_nobody_looks(runner: &Runner) {
    let ran = runner.run(&["--", "true"]);

    ran.succeeded();
    assert_eq!(ran.report["path_refusals"], Value::Null);
}
