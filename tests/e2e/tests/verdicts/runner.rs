//! Runs the built program as root or as an ordinary user, and looks for what a run left behind.

#![allow(dead_code, reason = "each test program uses its own part")]

use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The account that ordinary runs use.
const ACCOUNT: &str = "lazaret-test";

/// Who starts Lazaret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Root,
    Ordinary,
}

/// Makes `as_root::NAME` and `as_an_ordinary_user::NAME` of each function that takes a [`User`].
#[macro_export]
macro_rules! for_each_user {
    ($($name:ident),* $(,)?) => {
        mod as_root {
            $(#[test] fn $name() { $crate::runner::when_possible($crate::runner::User::Root, super::$name); })*
        }
        mod as_an_ordinary_user {
            $(#[test] fn $name() { $crate::runner::when_possible($crate::runner::User::Ordinary, super::$name); })*
        }
    };
}

/// Runs `test`, unless this process cannot act as `user`.
pub fn when_possible(user: User, test: fn(User)) {
    let missing = match user {
        _ if !am_root() => Some("these tests start Lazaret as root and as an ordinary user: run them as root"),
        User::Ordinary if account().is_none() => Some("there is no account `lazaret-test`: useradd -m lazaret-test"),
        _ => None,
    };
    match missing {
        None => test(user),
        Some(why) => skip(why),
    }
}

/// Says that a test is left out; fails where nothing may be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("LAZARET_TEST_STRICT").is_none_or(|strict| strict != "1"), "cannot test: {why}");
    let told = writeln!(std::io::stderr(), "skipped: {why}");
    drop(told);
}

pub fn am_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// User id of the ordinary account.
pub fn account() -> Option<u32> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts.lines().find(|line| line.split(':').next() == Some(ACCOUNT))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The built program, where every user can execute it.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = match std::env::var_os("LAZARET_PROGRAM") {
            Some(path) => PathBuf::from(path),
            None => {
                let own = std::env::current_exe().expect("a test has a path");
                own.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("lazaret")
            }
        };
        assert!(built.exists(), "{} is missing: cargo build -p lazaret-cli", built.display());
        let open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
        if built.ancestors().all(open) {
            return built;
        }
        let copy = std::env::temp_dir().join("e2e-program");
        let partial = copy.with_extension(std::process::id().to_string());
        fs::copy(&built, &partial).expect("the program can be copied");
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).expect("an own file");
        fs::rename(&partial, &copy).expect("an own file");
        copy
    })
}

/// One start of the program, in a directory of its own that its user may write to.
#[derive(Debug)]
pub struct Lazaret {
    user: User,
    directory: tempfile::TempDir,
    options: Vec<OsString>,
    command: Vec<OsString>,
    stdin: Option<Vec<u8>>,
}

/// `lazaret run` as `user`, who accepts that there may be no cgroup for ordinary users.
pub fn lazaret(user: User) -> Lazaret {
    let directory = tempfile::Builder::new().prefix("e2e-").tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("an own directory");
    let run = Lazaret { user, directory, options: Vec::new(), command: Vec::new(), stdin: None };
    match user {
        User::Root => run,
        User::Ordinary => run.options(["--degrade", "cgroup"]),
    }
}

impl Lazaret {
    /// Adds options.
    pub fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options.extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// Adds `--limit LIMIT`.
    pub fn limit(self, limit: &str) -> Self {
        self.options(["--limit", limit])
    }

    /// The command with its arguments.
    pub fn command<S: AsRef<OsStr>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.command = command.into_iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// A shell script as the command.
    pub fn shell(self, script: &str) -> Self {
        self.command(["sh", "-c", script])
    }

    /// A Perl program as the command: it reaches system calls, and every Debian has it.
    pub fn perl(self, program: &str) -> Self {
        self.command(["perl", "-e", program])
    }

    /// Bytes for standard input, with `--stdin`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self.options(["--stdin"])
    }

    /// Puts a file beside the run.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::write(&path, content).expect("an own directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("an own file");
        self
    }

    /// A path in the directory where the run takes place.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The words that start it.
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if self.user == User::Ordinary {
            words.extend(["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--"].map(Into::into));
        }
        words.push(program().into());
        words.extend(["run", "--report"].map(Into::into));
        words.push(self.path("report.json").into());
        words.extend(self.options.iter().cloned());
        words.push("--".into());
        words.extend(self.command.iter().cloned());
        words
    }

    /// The same, ready to be started with streams of the caller's choice.
    pub fn prepared(&self) -> Command {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.directory.path());
        command
    }

    /// Starts it with pipes on all three streams.
    pub fn start(self) -> Started {
        let mut command = self.prepared();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Started { child: child.expect("the program can be started"), run: self, begun: Instant::now() }
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Ended {
        let stdin = self.stdin.take().unwrap_or_default();
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
pub struct Started {
    pub child: Child,
    run: Lazaret,
    begun: Instant,
}

impl Started {
    /// Sends a signal to Lazaret itself.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill can be started").success(), "the process is there");
    }

    /// A path in the directory where the run takes place.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.run.path(name)
    }

    /// Waits for the end, reading what is still to come.
    pub fn finish(self) -> Ended {
        let pid = self.child.id();
        let output = self.child.wait_with_output().expect("an own child");
        let report = fs::read(self.run.path("report.json")).ok();
        let report = report.map(|text| serde_json::from_slice(&text).expect("a report is JSON"));
        Ended {
            pid,
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            report,
            took: self.begun.elapsed(),
            run: self.run,
        }
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Ended {
    pub pid: u32,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub report: Option<Value>,
    pub took: Duration,
    run: Lazaret,
}

impl Ended {
    /// The exit status. Panics when Lazaret was killed.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("Lazaret was ended by signal {:?}", self.status.signal()))
    }

    /// The report. Panics without one.
    pub fn report(&self) -> &Value {
        self.report.as_ref().unwrap_or_else(|| panic!("no report; standard error: {}", self.stderr))
    }

    /// The verdict's name.
    pub fn kind(&self) -> &str {
        self.report()["verdict"]["kind"].as_str().expect("a verdict has a kind")
    }

    /// A number of the report.
    pub fn number(&self, pointer: &str) -> u64 {
        let value = self.report().pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} is no number in {:#}", self.report()))
    }

    /// Whether a layer held wholly.
    pub fn holds(&self, layer: &str) -> bool {
        let layers = self.report()["enforcement"].as_array().expect("a table");
        layers.iter().any(|control| control["layer"] == layer && control["holding"] == "yes")
    }

    /// Asserts verdict and exit status.
    #[track_caller]
    pub fn expect(&self, kind: &str, status: i32) -> &Self {
        let verdict = &self.report()["verdict"];
        assert_eq!(verdict["kind"], kind, "verdict {verdict}, standard error: {}", self.stderr);
        assert_eq!(self.code(), status, "verdict {verdict}");
        assert_eq!(self.report()["exit_status"], status);
        self
    }

    /// Asserts a verdict that names its limit, with value and key, on standard error's terms too.
    #[track_caller]
    pub fn expect_limit(&self, kind: &str, status: i32, key: &str, value: &str) -> &Self {
        self.expect(kind, status);
        let limit = &self.report()["verdict"]["limit"];
        assert_eq!(limit["key"], key);
        assert_eq!(limit["value"], value);
        let raise = limit["raise"].as_str().expect("a text");
        assert!(raise.contains(&format!("--limit {key}=")) && raise.contains("[limits]"), "{raise}");
        let hit = self.report()["limits_hit"].as_array().expect("a list");
        assert!(hit.iter().any(|hit| hit["key"] == key), "{hit:?}");
        self
    }

    /// As [`Ended::expect_limit`] where `layer` held, otherwise only that the job failed or ran on.
    #[track_caller]
    pub fn expect_limit_where(&self, layer: &str, kind: &str, key: &str, value: &str) -> &Self {
        if self.holds(layer) {
            self.expect_limit(kind, 123, key, value);
        } else {
            assert_eq!(self.run.user, User::Ordinary, "root has every layer");
            assert_ne!(self.kind(), kind, "nothing on this host can tell");
        }
        self
    }

    /// Asserts an error of Lazaret's own: status 125, no report, each of `parts` in the message, and a hint.
    #[track_caller]
    pub fn expect_error(&self, parts: &[&str]) -> &Self {
        assert_eq!(self.code(), 125, "{}", self.stderr);
        assert!(self.report.is_none(), "an error has no report");
        assert!(self.stderr.starts_with("lazaret: error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
        assert!(self.stderr.contains("hint: "), "no hint: {}", self.stderr);
        self
    }

    /// A path in the directory where the run took place.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.run.path(name)
    }

    /// The names in that directory, without the report's.
    pub fn names(&self) -> Vec<String> {
        names(self.run.directory.path())
    }
}

/// The names in a directory, sorted, without the report's.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "report.json").collect();
    names.sort();
    names
}

/// A word that no other process has in its arguments.
pub fn token() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("e2e-token-{}-{}-", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Processes, other than this one, whose arguments hold `token`.
pub fn processes_with(token: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(token)
        })
        .collect()
}

/// Waits until `check` holds, for at most `most`. Returns whether it did.
pub fn eventually(most: Duration, mut check: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !check() {
        if begun.elapsed() > most {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Cgroup directories that the Lazaret process `pid` made.
pub fn cgroups_of(pid: u32) -> Vec<PathBuf> {
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
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), &format!("lazaret-{pid}-"), &mut found);
    found
}

/// The mounts that this process sees.
pub fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("a /proc")
}
