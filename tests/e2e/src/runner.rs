use crate::{ACCOUNT, Ran, Report, finish, program, skip};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a run may take: far more than any does, so that a busy machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Where the report of [`Runner::run`] lies, beside the work directory.
const REPORT: &str = "report.json";

/// Runs programs as root or as an ordinary user, in a directory of its own that is removed in the end.
#[derive(Debug)]
pub struct Runner {
    /// Holds `lazaret`, `work` and the report; everybody can enter it.
    scene: TempDir,
    who: Who,
    /// The network namespace of what it runs, where that is not the test's own.
    network: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Root.
    Root,
    /// The account [`ACCOUNT`], with these ids, changed to by root.
    Account { uid: u32, gid: u32 },
    /// Whoever runs the tests, who is not root.
    Myself,
}

impl Runner {
    /// As root. `None`, and a line that says so, when the tests do not run as root.
    pub fn root() -> Option<Self> {
        if !is_root() {
            skip("not root");
            return None;
        }
        Some(Self::new(Who::Root))
    }

    /// As an ordinary user: as the account `lazaret-test` when the tests run as root. `None`, and a line that says so,
    /// when there is no such account.
    pub fn user() -> Option<Self> {
        if !is_root() {
            return Some(Self::new(Who::Myself));
        }
        let Some((uid, gid)) = account() else {
            skip(&format!("there is no account {ACCOUNT}: run tests/escape/setup.sh"));
            return None;
        };
        Some(Self::new(Who::Account { uid, gid }))
    }

    fn new(who: Who) -> Self {
        let scene = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir().expect("a directory can be made");
        let runner = Self { scene, who, network: None };
        allow_everybody(runner.scene.path());
        // The program's own directory may be closed to others. A link, or a copy by another process: a descriptor that
        // one of our threads writes through, inherited by a child of another's, would make it "text file busy".
        let (from, to) = (program(), runner.program());
        if fs::hard_link(&from, &to).is_err() {
            let copied = Command::new("cp").arg(&from).arg(&to).status().expect("cp can be started");
            assert!(copied.success(), "cannot copy {}", from.display());
        }
        fs::create_dir(runner.work()).expect("a directory can be made");
        runner.give(&runner.work());
        runner
    }

    /// The same, for a host whose network namespace is `network`.
    pub(crate) fn within(self, network: PathBuf) -> Self {
        Self { network: Some(network), ..self }
    }

    /// Whether jobs are started by root.
    pub fn is_root(&self) -> bool {
        self.who == Who::Root
    }

    /// The program, where this user can run it.
    pub fn program(&self) -> PathBuf {
        self.scene.path().join("lazaret")
    }

    /// The directory in which everything runs. It is the user's.
    pub fn work(&self) -> PathBuf {
        self.scene.path().join("work")
    }

    /// A path in the work directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Makes a file of the user's in the work directory.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        self.give(&path);
        path
    }

    /// Copies a file into the work directory under its own name.
    pub fn bring(&self, from: &Path) -> PathBuf {
        let content = fs::read(from).unwrap_or_else(|error| panic!("cannot read {}: {error}", from.display()));
        self.put(from.file_name().and_then(OsStr::to_str).expect("fixtures have simple names"), content)
    }

    /// Reads a file of the work directory.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("cannot read {name}: {error}"))
    }

    /// `program` as this user, in the work directory, with an environment of `PATH` only.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(network) = &self.network {
            words.extend(["nsenter".into(), format!("--net={}", network.display()).into(), "--".into()]);
        }
        if let Who::Account { .. } = self.who {
            words.extend(
                ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--"].map(OsString::from),
            );
        }
        words.push(program.as_ref().to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.current_dir(self.work()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// `program` as this user with `args`, outside any jail, to its end.
    pub fn bare(&self, program: &str, args: &[&str]) -> Ran {
        finish(self.command(program).args(args), b"", PATIENCE)
    }

    /// `lazaret` with `args`, as they are, to its end.
    pub fn lazaret(&self, args: &[&str]) -> Ran {
        finish(self.command(self.program()).args(args), b"", PATIENCE)
    }

    /// The options that a run of this user's needs on this host: without a delegated cgroup an ordinary user's job goes
    /// without, and has to say so.
    pub fn options(&self) -> &'static [&'static str] {
        if self.is_root() { &[] } else { &["--degrade", "cgroup"] }
    }

    /// `lazaret run` with [`Runner::options`], a report, and `args`, without its end.
    pub fn job(&self, args: &[&str]) -> Command {
        let mut command = self.command(self.program());
        command.args(["run", "--report", &format!("../{REPORT}")]).args(self.options()).args(args);
        // For the report, which is written as this user.
        let report = self.scene.path().join(REPORT);
        fs::write(&report, "").expect("a file can be written");
        self.give(&report);
        command
    }

    /// [`Runner::job`], run to its end, with its report.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    /// [`Runner::run`] with something on standard input, which the job sees when `args` have `--stdin`.
    pub fn run_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        let mut ran = finish(&mut self.job(args), stdin, PATIENCE);
        ran.report = self.report();
        ran
    }

    /// The report of the last [`Runner::job`]. It reads as null when there is none.
    pub fn report(&self) -> Report {
        let text = fs::read(self.scene.path().join(REPORT)).unwrap_or_default();
        Report(serde_json::from_slice(&text).unwrap_or_default())
    }

    fn give(&self, path: &Path) {
        if let Who::Account { uid, gid } = self.who {
            chown(path, Some(uid), Some(gid)).expect("root can give files away");
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn allow_everybody(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an own directory's mode can be set");
}

/// The ids of [`ACCOUNT`].
fn account() -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.starts_with(&format!("{ACCOUNT}:")))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
