//! A process of the caller's user that holds what a test plants, until the test is over.

use crate::probe::{PRELUDE, PYTHON};
use lazaret_e2e::Runner;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

/// It ends, and cleans up, when its standard input does: also when the test was killed.
#[derive(Debug)]
pub(crate) struct Holder {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The words that it said of what it holds.
    pub(crate) facts: Vec<String>,
}

impl Holder {
    /// Runs the Python `program`, which prints one line of facts and goes on when its standard input is at its end.
    pub(crate) fn start(runner: &Runner, program: &str, arguments: &[&str]) -> Self {
        let mut command = runner.command(PYTHON[0]);
        command.args(&PYTHON[1..]).arg([PRELUDE, program].concat()).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        let facts = line.split_whitespace().map(str::to_owned).collect();
        Self { child, stdout, facts }
    }

    /// Ends it, and returns what it said in the end.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).expect("text");
        said
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
