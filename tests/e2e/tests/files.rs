//! Files that the supervisor opens for a job, and jobs with two phases: in the jail and without namespaces.

#[path = "files/attacks.rs"]
mod attacks;
#[path = "files/brokered.rs"]
mod brokered;
#[path = "files/fetched.rs"]
mod fetched;
#[path = "files/imagemagick.rs"]
mod imagemagick;
#[path = "verdicts/job.rs"]
mod job;
#[path = "files/phases.rs"]
mod phases;
#[path = "files/policies.rs"]
mod policies;
#[path = "files/renderer.rs"]
mod renderer;
#[path = "requests/web.rs"]
mod web;

use job::{Ended, Job};
use lazaret_e2e::{Runner, fixture, installed};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// Where jobs are kept.
const TIERS: [&str; 2] = ["jail", "seccomp"];

/// A job in `tier` under the profile `profile` with `more` lines of a policy, whose files the supervisor opens.
fn brokered<'a>(runner: &'a Runner, tier: &str, (profile, more): (&str, &str)) -> Job<'a> {
    let text = format!("extends = \"{profile}\"\n[files]\nmode = \"brokered\"\n{more}");
    job::job(runner).options(["--tier", tier]).policy(&text)
}

/// A script of `tests/fixtures/files`.
fn script(name: &str) -> String {
    let path = fixture("files").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn has_python() -> bool {
    installed("/usr/bin/python3", "python3")
}

/// A directory of programs and data that jobs are shown for reading: not in `/tmp`, which is a job's own.
struct Programs {
    place: TempDir,
}

impl Programs {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp");
        let place = place.expect("a directory can be made");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))
            .expect("an own directory's mode can be set");
        Self { place }
    }

    /// The path of something in it.
    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// The line of `[files]` that shows it.
    fn shown(&self) -> String {
        format!("read = [\"{}\"]\n", self.place.path().display())
    }

    /// Compiles `source` of `tests/fixtures/files`. `None`, and a line that says so, without a compiler.
    fn compile(&self, source: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
        let compiler = if source.ends_with(".cc") { "g++" } else { "gcc" };
        if !installed(&format!("/usr/bin/{compiler}"), compiler) {
            return None;
        }
        let (from, to) = (fixture("files").join(source), self.path(name));
        let mut command = std::process::Command::new(compiler);
        let compiled = command.args(["-g", "-O1", "-pthread", "-Wall", "-o"]).arg(&to).arg(from).args(flags).status();
        assert!(compiled.expect("the compiler can be started").success(), "cannot compile {source}");
        Some(to)
    }
}

/// Standard output of a job that succeeded.
#[track_caller]
fn text(ended: &Ended<'_>) -> String {
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    let verdict = &ended.report["verdict"];
    assert_eq!(ended.kind(), "ok", "{verdict}\nstandard output: {out}\nstandard error: {}", ended.stderr);
    out
}
