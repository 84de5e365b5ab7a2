//! A program that looks for what is the caller's, without the sandbox and as a job of each kind.

use crate::job::{Job, job};
use lazaret_e2e::{PATIENCE, Ran, Runner, finish};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

/// No file of this host's Python but the distribution's.
pub(crate) const PYTHON: [&str; 3] = ["/usr/bin/python3", "-I", "-c"];

/// What probes, and programs that plant, begin with.
///
/// `reach` prints a name on standard output where `call` gave something that is true, and why not on standard error.
pub(crate) const PRELUDE: &str = "
import ctypes, os, platform, signal, socket, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
INTEL = platform.machine() == 'x86_64'
def reach(name, call, *args):
    try: got = call(*args)
    except (OSError, ValueError) as error: print(name, error, file=sys.stderr)
    else:
        if got: print(name, flush=True)
def checked(result):
    if result in (-1, 2**64 - 1): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def contents(path):
    with open(path, 'rb') as file: return file.read()
";

/// What every probe ends with: it did look for everything.
const END: &str = "\nprint('end')\n";

/// The caller: plants something of its own, starts the rest of its arguments as a child, and waits. The word CALLER among
/// them becomes its process id.
const CALLER: &str = "
words = [str(os.getpid()) if word == 'CALLER' else word for word in sys.argv[1:]]
child = os.fork()
if child == 0: os.execvp(words[0], words)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

/// A probe and its caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) runner: &'a Runner,
    /// What the caller has in its environment, beside `PATH`.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Python that the caller begins with, behind [`PRELUDE`].
    pub(crate) plant: &'a str,
    /// Python that looks, behind [`PRELUDE`].
    pub(crate) look: &'a str,
    pub(crate) arguments: &'a [&'a str],
}

impl<'a> Probe<'a> {
    /// One whose caller has nothing but what the host has.
    pub(crate) fn new(runner: &'a Runner, look: &'a str, arguments: &'a [&'a str]) -> Self {
        Self { runner, environment: &[], plant: "", look, arguments }
    }

    /// Asserts that the probe reaches `all` without the sandbox, and nothing as a job of any kind.
    #[track_caller]
    pub(crate) fn reaches_outside_only(&self, all: &[&str]) {
        self.reaches_outside(all);
        for (kind, job) in kinds(self.runner) {
            self.reaches_nothing_as(kind, job);
        }
    }

    /// Asserts that the probe reaches `all`, and perhaps more, without the sandbox.
    #[track_caller]
    pub(crate) fn reaches_outside(&self, all: &[&str]) {
        let ran = self.caller(self.command());
        let stdout = ran.stdout().replace('\r', "");
        let reached: BTreeSet<&str> = stdout.lines().collect();
        let missing: Vec<&&str> = all.iter().filter(|name| !reached.contains(**name)).collect();
        assert!(missing.is_empty() && reached.contains("end"), "not there to be found: {missing:?}\n{ran}");
    }

    /// Asserts that the probe comes to its end as `job`, of the kind `kind`, and reaches nothing.
    #[track_caller]
    pub(crate) fn reaches_nothing_as(&self, kind: &str, job: Job<'_>) {
        let ran = self.run_as(job);
        assert_eq!((ran.report.kind(), ran.stdout().replace('\r', "").as_str()), ("ok", "end\n"), "{kind}: {ran}");
    }

    /// Runs it as `job`.
    pub(crate) fn run_as(&self, job: Job<'_>) -> Ran {
        let words = job.command(self.command()).words();
        let mut ran = self.caller(words);
        ran.report = self.runner.report();
        ran
    }

    /// The probe as a command.
    fn command(&self) -> Vec<OsString> {
        let program = [PRELUDE, self.look, END].concat();
        PYTHON.iter().chain([&program.as_str()]).chain(self.arguments).map(OsString::from).collect()
    }

    /// Runs `words` to their end as a child of the caller.
    fn caller(&self, words: Vec<OsString>) -> Ran {
        let program = [PRELUDE, self.plant, CALLER].concat();
        let mut command = self.runner.command(PYTHON[0]);
        command.args(&PYTHON[1..]).arg(program).args(self.without_prefix(words));
        command.envs(self.environment.iter().copied());
        // Where the caller plants a standard input, it is this.
        finish(&mut command, STDIN.as_bytes(), PATIENCE)
    }

    /// `words` without what makes them the runner's user and network: the caller is that already.
    fn without_prefix(&self, words: Vec<OsString>) -> Vec<OsString> {
        let program = self.runner.program();
        let at = words.iter().position(|word| Path::new(word) == program).unwrap_or_default();
        words.into_iter().skip(at).collect()
    }
}

/// What callers have on their standard input.
pub(crate) const STDIN: &str = "standard input of the caller";

/// Jobs of every kind that a caller could think harmless, and of some that permit every system call, so that what lies
/// behind the filter is tried too.
pub(crate) fn kinds(runner: &Runner) -> Vec<(&'static str, Job<'_>)> {
    let net = "[net]\nallow = [\"www.example.com:80\"]\n";
    let local = "[system-calls]\nallow = [\"@network-local\"]\n";
    let all = "[system-calls]\ndefault = \"allow\"\n";
    let seccomp = "tier = \"seccomp\"\n";
    let kinds = [
        ("jail", String::new()),
        ("jail with a network", net.to_owned()),
        ("jail with a network and Unix sockets", format!("{net}{local}")),
        ("jail with brokered files", "[files]\nmode = \"brokered\"\n".to_owned()),
        ("jail with all of proc", "[files]\nproc = \"full\"\n".to_owned()),
        (WIDE_JAIL, all.to_owned()),
        ("seccomp", seccomp.to_owned()),
        ("seccomp with direct files", format!("{seccomp}[files]\nmode = \"direct\"\n")),
        ("seccomp with all calls", format!("{seccomp}{all}")),
        ("seccomp with a network", format!("{seccomp}{net}")),
        ("seccomp with a network and Unix sockets", format!("{seccomp}{net}{local}")),
        ("seccomp with a network and all calls", format!("{seccomp}{net}{all}")),
    ];
    let one = |(number, (kind, policy)): (usize, (&'static str, String))| {
        let path = runner.put(&format!("policy-{number}.toml"), format!("extends = \"default\"\n{policy}"));
        (kind, job(runner).options(["--policy".as_ref(), path.as_os_str()]))
    };
    kinds.into_iter().enumerate().map(one).collect()
}

/// The kind of jail that permits every system call which a policy can permit.
pub(crate) const WIDE_JAIL: &str = "jail with all calls";

/// A directory that a policy can show: `/tmp` is the jail's own.
pub(crate) fn shown() -> TempDir {
    let shown =
        tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory can be made");
    fs::set_permissions(shown.path(), fs::Permissions::from_mode(0o755)).expect("our own");
    shown
}
