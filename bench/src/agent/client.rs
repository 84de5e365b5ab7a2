//! The side that tells.

use super::{Measured, Reply, Request, Work};
use anyhow::{Context, Result, anyhow, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The variables that an agent keeps; all others of this process's could favour somebody.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR"];

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts an agent: this program, behind `prefix`, with `options`.
    pub(crate) fn start(prefix: &[&str], options: &[String]) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut words = prefix.iter().map(|word| (*word).into()).chain([program.into_os_string()]);
        let first = words.next().context("there is a program")?;
        let mut command = Command::new(first);
        command.args(words).arg("agent").args(options).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let mut child = command.spawn().context("cannot start an agent")?;
        let requests = child.stdin.take().context("the agent has a standard input")?;
        let replies = child.stdout.take().context("the agent has a standard output")?;
        Ok(Self { child, requests: Some(requests), replies: BufReader::new(replies) })
    }

    /// Has `jobs` jobs done, `parallel` at once. The first failure ends it.
    pub(crate) fn measure(&mut self, work: &Work, jobs: u32, parallel: u32) -> Result<Measured> {
        let request = serde_json::to_string(&Request { work: work.clone(), jobs, parallel })?;
        let Some(requests) = &mut self.requests else { bail!("the agent was ended") };
        writeln!(requests, "{request}").context("the agent has died")?;
        let mut reply = String::new();
        if self.replies.read_line(&mut reply).context("cannot read from the agent")? == 0 {
            bail!("the agent has died")
        }
        let reply: Reply = serde_json::from_str(&reply).context("the agent said something else")?;
        reply.map_err(|message| anyhow!(message))
    }

    /// How much of the agent's memory is resident, as the kernel writes it.
    pub(crate) fn resident(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Its standard input ends, and with it the agent.
        self.requests = None;
        drop(self.child.wait());
    }
}
