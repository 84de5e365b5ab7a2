//! One job, timed.

use super::serve::nanoseconds;
use super::{FILTER, UNIQUE, Work};
use anyhow::{Context, Result, bail};
use lazaret::{Job, Policy};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Launches the jobs of one thread. What can be prepared ahead of a job is not part of its time.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    way: Way<'a>,
}

#[derive(Debug)]
enum Way<'a> {
    Process { argv: &'a [String], filter: Option<&'a Path>, forks: bool, said: File },
    Library { job: Box<Job>, policy: Box<Policy> },
}

impl<'a> Launch<'a> {
    pub(super) fn prepare(work: &'a Work) -> Result<Self> {
        let process = |argv, filter, forks| -> Result<Way<'a>> {
            let said = tempfile::tempfile().context("cannot make a file for what commands say")?;
            Ok(Way::Process { argv, filter, forks, said })
        };
        let way = match work {
            Work::Fork { argv } => process(argv, None, true)?,
            Work::Spawn { argv, filter } => process(argv, filter.as_deref(), false)?,
            Work::Library { policy, argv } => {
                let (command, args) = argv.split_first().context("there is no command")?;
                let policy = Box::new(policy.policy()?);
                // The launcher looks at the host once in a process's life.
                lazaret::launcher()?;
                Way::Library { job: Box::new(Job::new(command).args(args)), policy }
            }
        };
        Ok(Self { way })
    }

    /// Runs one job and returns its nanoseconds.
    ///
    /// # Errors
    ///
    /// When it does not end well, with what it said.
    pub(super) fn once(&mut self) -> Result<u64> {
        match &mut self.way {
            Way::Process { argv, filter, forks, said } => process(argv, *filter, *forks, said),
            Way::Library { job, policy } => library(job, policy),
        }
    }
}

fn process(argv: &[String], filter: Option<&Path>, forks: bool, said: &mut File) -> Result<u64> {
    let filter = filter.map(inheritable).transpose()?;
    let argv: Vec<String> = argv.iter().map(|word| fill_in(word, filter.as_ref())).collect();
    let (program, args) = argv.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    if forks {
        // The standard library uses posix_spawn(3) except where that cannot do what is asked. Setting the group to what it
        // is changes nothing, costs one system call and makes it fork.
        command.gid(rustix::process::getegid().as_raw());
    }
    let begun = Instant::now();
    let status = command.spawn().with_context(|| format!("cannot start `{program}`"))?.wait()?;
    let latency = nanoseconds(begun);
    if !status.success() {
        let mut words = String::new();
        said.rewind()?;
        said.read_to_string(&mut words)?;
        bail!("`{}` failed: {status}\n{}", argv.join(" "), words.trim_end());
    }
    Ok(latency)
}

fn library(job: &Job, policy: &Policy) -> Result<u64> {
    let begun = Instant::now();
    let report = job.run(policy)?;
    let latency = nanoseconds(begun);
    if !report.verdict.is_ok() {
        bail!("a library job failed: {}\n{}", report.verdict, String::from_utf8_lossy(&report.stderr));
    }
    Ok(latency)
}

/// A descriptor that programs inherit. Jobs of other threads may inherit it too; it can only be read.
fn inheritable(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
}

fn fill_in(word: &str, filter: Option<&OwnedFd>) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let word = match filter {
        Some(filter) if word == FILTER => filter.as_raw_fd().to_string(),
        _ => word.to_owned(),
    };
    if !word.contains(UNIQUE) {
        return word;
    }
    let id = format!("lazaret-bench-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
    word.replace(UNIQUE, &id)
}
