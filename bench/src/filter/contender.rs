//! The same rules in several programs.

use anyhow::{Context, Result, bail};
use lazaret_filter::{Action, Arch, Backend, Filter, Rule, oci, table};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How often a program is built, for the time of that.
const BUILDS: usize = 9;

/// A program, in a file.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) instructions: usize,
    pub(super) build_ns: Vec<u64>,
}

/// Rules that everybody gets, by name.
#[derive(Debug)]
pub(super) struct Sources(Vec<(&'static str, Filter)>);

/// The rules that put conditions on what is measured.
const CONDITIONAL: [&str; 3] = [
    "read(fd & 0xfffffc00 == 0)",
    "openat(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)",
    "write(fd & 0xfffffc00 == 0)",
];

impl Sources {
    pub(super) fn all() -> Result<Self> {
        let policy = lazaret::profile("default").context("a built-in profile")?;
        let mut unconditional = Filter::new(Action::Refuse(1));
        for rule in &policy.system_calls.rules {
            let action =
                if matches!(rule.action, lazaret_policy::CallAction::Allow) { Action::Allow } else { Action::Errno(1) };
            unconditional.push(Rule::parse(&rule.rule).context("rules of profiles are rules")?, action);
        }
        let mut conditional = unconditional.clone();
        for text in CONDITIONAL {
            let rule = Rule::parse(text).context("a rule of the benchmark")?;
            let call = rule.call().context("a call")?;
            conditional.push(Rule::parse(call).context("a call is a rule")?, Action::Refuse(1));
            conditional.push(rule, Action::Allow);
        }
        Ok(Self(vec![("default", unconditional), ("conditional", conditional)]))
    }

    /// None, ours, and libseccomp's for each source; and ours made long by rules about other calls.
    pub(super) fn contenders(&self, helper: &Path, directory: &Path) -> Result<Vec<Contender>> {
        let arch = Arch::native().context("there is no table for this architecture")?;
        let mut all = vec![Contender::of_bytes("none", directory, &[], Vec::new())?];
        for (source, filter) in &self.0 {
            all.push(ours(&format!("{source}: lazaret"), filter, arch, directory)?);
            for (name, optimize) in [("libseccomp", "1"), ("libseccomp, binary tree", "2")] {
                all.push(theirs(&format!("{source}: {name}"), filter, arch, optimize, helper, directory)?);
            }
        }
        let mut long = self.0[0].1.clone();
        for call in ["bpf", "semget", "quotactl", "syslog", "kcmp", "reboot"] {
            let values: Vec<_> = (0..300).map(|value| (3 * value).to_string()).collect();
            let rule = format!("{call}(arg0 in [{}])", values.join(", "));
            long.push(Rule::parse(&rule).context("a rule of the benchmark")?, Action::Errno(2));
            long.push(Rule::parse(&format!("{call}(arg2 == 77)")).context("a rule of the benchmark")?, Action::Allow);
        }
        all.push(ours("default, made long: lazaret", &long, arch, directory)?);
        Ok(all)
    }
}

impl Contender {
    fn of_bytes(name: &str, directory: &Path, bytes: &[u8], build_ns: Vec<u64>) -> Result<Self> {
        let program = directory.join(name.replace([' ', ',', ':'], "-"));
        std::fs::write(&program, bytes).context("cannot write to the temporary directory")?;
        Ok(Self { name: name.to_owned(), program, instructions: bytes.len() / 8, build_ns })
    }
}

fn ours(name: &str, filter: &Filter, arch: Arch, directory: &Path) -> Result<Contender> {
    let mut build_ns = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..BUILDS {
        let begin = Instant::now();
        bytes = filter.compile(arch, Backend::Alone).context("the rules compile")?.as_bytes();
        build_ns.push(u64::try_from(begin.elapsed().as_nanos())?);
    }
    Contender::of_bytes(name, directory, &bytes, build_ns)
}

fn theirs(
    name: &str,
    filter: &Filter,
    arch: Arch,
    optimize: &str,
    helper: &Path,
    directory: &Path,
) -> Result<Contender> {
    let rules = rules(filter, arch)?;
    let mut build_ns = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..BUILDS {
        let mut child = Command::new(helper)
            .args(["export", optimize])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the helper")?;
        child.stdin.take().context("a pipe")?.write_all(rules.as_bytes()).context("the helper reads")?;
        let output = child.wait_with_output().context("cannot wait for the helper")?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("libseccomp does not take the rules: {told}");
        }
        build_ns.push(told.trim().parse().context("the helper tells its time")?);
        bytes = output.stdout;
    }
    Contender::of_bytes(name, directory, &bytes, build_ns)
}

/// The filter in the words of the helper: what the OCI profile says that means the same.
fn rules(filter: &Filter, arch: Arch) -> Result<String> {
    let json: serde_json::Value =
        serde_json::from_str(&oci::write(filter, arch).context("the rules can be written as a profile")?)?;
    let mut text = format!("default {}\n", action(&json, "defaultAction", "defaultErrnoRet")?);
    for entry in json["syscalls"].as_array().context("entries")? {
        let action = action(entry, "action", "errnoRet")?;
        for name in entry["names"].as_array().into_iter().flatten().filter_map(|name| name.as_str()) {
            let nr = table::number(arch, name).context("a call of this architecture")?;
            let args: Vec<_> = entry["args"].as_array().into_iter().flatten().collect();
            write!(text, "rule {action} {nr} {}", args.len())?;
            for arg in args {
                let number = |key: &str| arg[key].as_u64().with_context(|| format!("{key} of an argument"));
                let (mask, value) = match arg["op"].as_str() {
                    Some("SCMP_CMP_EQ") => (u64::MAX, number("value")?),
                    Some("SCMP_CMP_MASKED_EQ") => (number("value")?, number("valueTwo")?),
                    other => bail!("unexpected operator {other:?}"),
                };
                write!(text, " {} {mask} {value}", number("index")?)?;
            }
            text.push('\n');
        }
    }
    Ok(text)
}

/// `SCMP_ACT_*` as a number: seccomp.h.
fn action(entry: &serde_json::Value, key: &str, errno: &str) -> Result<u64> {
    match entry[key].as_str() {
        Some("SCMP_ACT_ALLOW") => Ok(0x7fff_0000),
        Some("SCMP_ACT_ERRNO") => Ok(0x0005_0000 | entry[errno].as_u64().unwrap_or(1)),
        other => bail!("unexpected action {other:?}"),
    }
}
