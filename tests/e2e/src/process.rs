use crate::Report;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line.
    pub command: String,
    /// The exit status. `None`: it was ended by a signal.
    pub status: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
    /// From its start to its end.
    pub took: Duration,
    /// The report, if it was `lazaret run` and wrote one; empty otherwise.
    pub report: Report,
}

impl Ran {
    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output of a job that succeeded.
    ///
    /// # Panics
    ///
    /// When the verdict is not `ok`.
    #[track_caller]
    pub fn succeeded(&self) -> String {
        assert_eq!((self.report.kind(), self.status), ("ok", Some(0)), "{self}");
        self.stdout()
    }
}

/// Everything that helps to see why a test failed.
impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout: _, stderr: _, took, report } = self;
        writeln!(f, "{command}\nstatus {status:?} after {took:?}")?;
        for (name, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let shown: String = text.chars().take(2000).collect();
            writeln!(f, "--- {name}\n{shown}")?;
        }
        write!(f, "--- verdict {}\n--- refusals {:#?}", report["verdict"], report.refusals())
    }
}

/// Runs `command` with `stdin` to its end, and kills it, with its process group, when that is not within `patience`.
///
/// # Panics
///
/// When it cannot be started, or did not end in time.
pub fn finish(command: &mut Command, stdin: &[u8], patience: Duration) -> Ran {
    // Files, not pipes: nobody has to read them while the program runs.
    let (mut stdout, mut stderr) = (temporary(b""), temporary(b""));
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a descriptor can be duplicated"));
    command.stdin(temporary(stdin)).stdout(copy(&stdout)).stderr(copy(&stderr)).process_group(0);
    let shown = format!("{command:?}");
    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let status = loop {
        let status = child.try_wait().expect("an own child can be waited for");
        if status.is_some() || start.elapsed() > patience {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    if status.is_none() {
        // The group is the child's, which has not been waited for: its number cannot be another's.
        let group = format!("-{}", child.id());
        let killed = Command::new("/usr/bin/kill").args(["-KILL", "--", &group]).status();
        let waited = child.wait();
        drop((killed, waited));
    }
    let ran = Ran {
        command: shown,
        status: status.and_then(|status| status.code()),
        stdout: content(&mut stdout),
        stderr: content(&mut stderr),
        took,
        report: Report::default(),
    };
    assert!(status.is_some(), "not done in time: {ran}");
    ran
}

fn temporary(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("there is room for a temporary file");
    std::io::Write::write_all(&mut file, content).expect("there is room for a temporary file");
    file.rewind().expect("a file has a beginning");
    file
}

fn content(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file has a beginning");
    file.read_to_end(&mut bytes).expect("an own file can be read");
    bytes
}
