//! The tier seccomp: commands without namespaces or privileges.

#[path = "seccomp/bounds.rs"]
mod bounds;
#[path = "seccomp/container.rs"]
mod container;
#[path = "seccomp/ends.rs"]
mod ends;
#[path = "seccomp/files.rs"]
mod files;
#[path = "verdicts/job.rs"]
mod job;
#[path = "seccomp/policies.rs"]
mod policies;

use job::Job;
use lazaret_e2e::Runner;

/// The same, where the job makes its calls on files itself.
fn direct(runner: &Runner) -> Job<'_> {
    runner.put("direct.toml", "extends = \"default\"\n[files]\nmode = \"direct\"\n");
    confined(runner).options(["--policy", "direct.toml"])
}

/// `lazaret run --tier seccomp`.
fn confined(runner: &Runner) -> Job<'_> {
    job::job(runner).options(["--tier", "seccomp"])
}
