//! Jobs put together step by step, and what they leave behind.

#![allow(dead_code, reason = "each test program uses its own part")]

use lazaret_e2e::{PATIENCE, Report, Runner};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One run of the program, in its runner's work directory.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) runner: &'a Runner,
    options: Vec<OsString>,
    command: Vec<OsString>,
    stdin: Vec<u8>,
}

/// `lazaret run` as the runner's user, who accepts that there may be no cgroup for ordinary users.
pub(crate) fn job(runner: &Runner) -> Job<'_> {
    Job { runner, options: Vec::new(), command: Vec::new(), stdin: Vec::new() }
}

impl<'a> Job<'a> {
    /// Adds options.
    pub(crate) fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options.extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// Adds `--limit LIMIT`.
    pub(crate) fn limit(self, limit: &str) -> Self {
        self.options(["--limit", limit])
    }

    /// Writes `text` to a policy file and uses it.
    pub(crate) fn policy(self, text: &str) -> Self {
        let path = self.runner.put("policy.toml", text);
        self.options(["--policy".as_ref(), path.as_os_str()])
    }

    /// The command with its arguments.
    pub(crate) fn command<S: AsRef<OsStr>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.command = command.into_iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// One more argument of the command.
    pub(crate) fn argument(self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments([argument])
    }

    /// More arguments of the command.
    pub(crate) fn arguments<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// A shell script as the command.
    pub(crate) fn shell(self, script: &str) -> Self {
        self.command(["sh", "-c", script])
    }

    /// A Perl program as the command: it reaches system calls, and every Debian has it.
    pub(crate) fn perl(self, program: &str) -> Self {
        self.command(["perl", "-e", program])
    }

    /// Bytes for standard input, with `--stdin`.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self.options(["--stdin"])
    }

    /// Ready to be started with streams of the caller's choice.
    pub(crate) fn prepared(&self) -> Command {
        let mut command = self.runner.job(&[]);
        command.args(&self.options).arg("--").args(&self.command);
        command
    }

    /// The words of [`Job::prepared`], for programs that start it.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let prepared = self.prepared();
        std::iter::once(prepared.get_program()).chain(prepared.get_args()).map(OsStr::to_owned).collect()
    }

    /// Starts it with pipes on all three streams.
    pub(crate) fn start(self) -> Started<'a> {
        let mut command = self.prepared();
        let begun = Instant::now();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the program can be started");
        Started { child, runner: self.runner, begun }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ended<'a> {
        let stdin = std::mem::take(&mut self.stdin);
        let mut started = self.start();
        let mut pipe = started.child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || {
            // A job need not read its input.
            drop(pipe.write_all(&stdin));
        });
        let ended = started.finish();
        writer.join().expect("no panic");
        ended
    }
}

/// A run on its way.
#[derive(Debug)]
pub(crate) struct Started<'a> {
    pub(crate) child: Child,
    runner: &'a Runner,
    begun: Instant,
}

impl<'a> Started<'a> {
    /// Sends a signal to Lazaret itself.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill can be started").success(), "the process is there");
    }

    /// Waits for the end, reading what is still to come. What takes too long is killed, and the test fails.
    pub(crate) fn finish(mut self) -> Ended<'a> {
        let pid = self.child.id();
        drop(self.child.stdin.take());
        let stdout = self.child.stdout.take().map(read_on);
        let stderr = self.child.stderr.take().map(read_on);
        let in_time = eventually(PATIENCE, || self.child.try_wait().expect("an own child").is_some());
        if !in_time {
            self.child.kill().expect("an own child");
        }
        let status = self.child.wait().expect("an own child");
        let took = self.begun.elapsed();
        let [stdout, stderr] = [stdout, stderr].map(|reader| reader.map(read_up).unwrap_or_default());
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(in_time, "Lazaret did not end in time: {stderr}");
        Ended { pid, status, stdout, stderr, report: self.runner.report(), took, runner: self.runner }
    }
}

fn read_on(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

fn read_up(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().expect("no panic")
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) report: Report,
    pub(crate) took: Duration,
    runner: &'a Runner,
}

impl Ended<'_> {
    /// The exit status. Panics when Lazaret was killed.
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("Lazaret was ended by signal {:?}", self.status.signal()))
    }

    /// The verdict's name.
    pub(crate) fn kind(&self) -> &str {
        self.report.kind()
    }

    /// A number of the report.
    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.report.0.pointer(pointer).and_then(serde_json::Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} is no number in {:#}", self.report.0))
    }

    /// Whether a layer held wholly.
    pub(crate) fn holds(&self, layer: &str) -> bool {
        self.report.holding(layer) == "yes"
    }

    /// Asserts verdict and exit status.
    #[track_caller]
    pub(crate) fn expect(&self, kind: &str, status: i32) -> &Self {
        let verdict = &self.report["verdict"];
        assert_eq!(verdict["kind"], kind, "verdict {verdict}, standard error: {}", self.stderr);
        assert_eq!(self.code(), status, "verdict {verdict}");
        assert_eq!(self.report["exit_status"], status);
        self
    }

    /// Asserts a verdict that names its limit, with value, key and remedy.
    #[track_caller]
    pub(crate) fn expect_limit(&self, kind: &str, status: i32, key: &str, value: &str) -> &Self {
        self.expect(kind, status);
        let limit = &self.report["verdict"]["limit"];
        assert_eq!(limit["key"], key);
        assert_eq!(limit["value"], value);
        let raise = limit["raise"].as_str().expect("a text");
        assert!(raise.contains(&format!("--limit {key}=")) && raise.contains("[limits]"), "{raise}");
        assert!(self.report.limits_hit().contains(&key), "{:?}", self.report.limits_hit());
        self
    }

    /// As [`Ended::expect_limit`] where `layer` held. An ordinary user without a group gets some other failure, or
    /// none: nothing on such a host counts for the whole tree.
    #[track_caller]
    pub(crate) fn expect_limit_where(&self, layer: &str, kind: &str, key: &str, value: &str) -> &Self {
        if self.holds(layer) {
            return self.expect_limit(kind, 123, key, value);
        }
        assert!(!self.runner.is_root(), "root has every layer");
        assert_ne!(self.kind(), kind, "nothing here can tell");
        self
    }

    /// Asserts an error of Lazaret's own: status 125, no report, each of `parts` in the message, and a hint.
    #[track_caller]
    pub(crate) fn expect_error(&self, parts: &[&str]) -> &Self {
        assert_eq!(self.code(), 125, "{}", self.stderr);
        assert_eq!(self.kind(), "", "an error has no report");
        assert!(self.stderr.starts_with("lazaret: error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
        assert!(self.stderr.contains("hint: "), "no hint: {}", self.stderr);
        self
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// A word that no other process has in its arguments.
pub(crate) fn token() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("e2e-token-{}-{}-", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Processes, other than this one, whose arguments hold `token`.
pub(crate) fn processes_with(token: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_token = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(token)
    };
    pids.filter(|pid| *pid != std::process::id()).filter(has_token).collect()
}

/// Waits until `check` holds, for at most `most`. Returns whether it did.
pub(crate) fn eventually(most: Duration, mut check: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !check() {
        if begun.elapsed() > most {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Cgroup directories that the Lazaret process `pid` made.
pub(crate) fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), &format!("lazaret-{pid}-"), &mut found);
    found
}

fn look(directory: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.push(entry.path());
            }
            look(&entry.path(), prefix, found);
        }
    }
}

/// The mounts that this process sees, without their propagation groups.
pub(crate) fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("a /proc");
    text.lines().map(|line| line.split(' ').skip(2).collect::<Vec<_>>().join(" ")).collect()
}
