//! Programs that are compiled for a test, and shown to jobs read-only.

use lazaret_e2e::{Ran, Runner, fixture, installed};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Compiles `source` of `tests/fixtures/explain` as `name`, with `flags`, into the directory `programs`. `false`, and a
/// line that says so, without a compiler.
pub(crate) fn compile(runner: &Runner, source: &str, name: &str, flags: &[&str]) -> bool {
    let compiler = if source.ends_with(".cc") { "g++" } else { "gcc" };
    if !installed(&format!("/usr/bin/{compiler}"), compiler) {
        return false;
    }
    let programs = runner.path("programs");
    fs::create_dir_all(&programs).expect("a directory can be made");
    fs::set_permissions(&programs, fs::Permissions::from_mode(0o755)).expect("an own directory's mode can be set");
    let (from, to) = (fixture("explain").join(source), programs.join(name));
    let mut command = std::process::Command::new(compiler);
    let compiled = command.args(["-g", "-O1", "-pthread", "-w", "-o"]).arg(&to).arg(from).args(flags).status();
    assert!(compiled.expect("the compiler can be started").success(), "cannot compile {source}");
    true
}

/// A policy that shows the programs as `/programs`, with more lines behind.
pub(crate) fn policy(runner: &Runner, more: &str) -> String {
    let programs = runner.path("programs");
    let text = format!(
        "extends = \"default\"\n[files]\nread = [{{ path = \"{}\", at = \"/programs\" }}]\n{more}",
        programs.display()
    );
    runner.put("policy.toml", text);
    "policy.toml".to_owned()
}

/// Runs `/programs/NAME ARGS` under [`policy`].
pub(crate) fn run(runner: &Runner, more: &str, command: &[&str]) -> Ran {
    let policy = policy(runner, more);
    let mut args = vec!["--policy", &policy, "--"];
    args.extend(command);
    runner.run(&args)
}

/// The refusal of `call` in a report.
#[track_caller]
pub(crate) fn refusal<'a>(ran: &'a Ran, call: &str) -> &'a Value {
    let found = ran.report["refusals"].as_array().into_iter().flatten().find(|refusal| refusal["call"] == call);
    found.unwrap_or_else(|| panic!("{call} was not refused: {ran}"))
}

/// The names of the functions on a stack, innermost first; empty ones for those without.
pub(crate) fn functions(explanation: &Value) -> Vec<&str> {
    let stack = explanation["stack"].as_array().into_iter().flatten();
    stack.map(|frame| frame["function"].as_str().unwrap_or_default()).collect()
}

/// The arguments as `name=value`.
pub(crate) fn arguments(explanation: &Value) -> Vec<String> {
    let arguments = explanation["arguments"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    arguments.map(|argument| format!("{}={}", text(&argument["name"]), text(&argument["value"]))).collect()
}
