//! Programs under a filter that puts their calls on files to the broker of this test.

use lazaret_broker::Caller;
use lazaret_broker::files::{
    Access, Exec, Files, FilesError, Identity, Memory, Outcome, Outside, Processes, Refused, Root, Setting, calls,
};
use lazaret_filter::{Action, Arch, Backend, Call, Filter, Rule, table};
use lazaret_inspect::Reader;
use lazaret_sys::observed::{self, Command};
use lazaret_sys::seccomp::{self, Answer};
use lazaret_sys::wait::{Ended, reap};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) const READ: Access = Access { read: true, write: false, execute: false };
pub(crate) const RUN: Access = Access { read: true, write: false, execute: true };
pub(crate) const CHANGE: Access = Access { read: true, write: true, execute: false };

/// What a program is run with.
pub(crate) struct Job {
    pub(crate) roots: Vec<(PathBuf, Access)>,
    pub(crate) outside: Outside,
    pub(crate) exec: Exec,
    pub(crate) identity: Identity,
    pub(crate) memory: Memory,
    pub(crate) directory: PathBuf,
    /// What it has as standard input.
    pub(crate) input: Option<OwnedFd>,
    /// Whether anybody decides; without, the calls happen as they are, put to the supervisor all the same.
    pub(crate) native: bool,
    /// Has the roots of these directories taken away when the job opens this file.
    pub(crate) phase: Option<(PathBuf, Vec<PathBuf>)>,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Option<Ended>,
    pub(crate) output: String,
    pub(crate) error: String,
    pub(crate) refused: Vec<Refused>,
    /// How many calls were made for it.
    pub(crate) made: usize,
    /// Why the supervisor gave up, if it did.
    pub(crate) failure: Option<FilesError>,
}

impl Ran {
    #[track_caller]
    pub(crate) fn went_well(self) -> Self {
        assert_eq!(self.ended, Some(Ended::Exited(0)), "{self:#?}");
        self
    }
}

/// Directories without which no program of this machine starts.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"];

pub(crate) fn open_path(path: &Path) -> OwnedFd {
    let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    opened.unwrap_or_else(|errno| panic!("{}: {errno}", path.display()))
}

impl Job {
    /// With the machine's programs, and `directory` to change.
    pub(crate) fn new(directory: &Path) -> Self {
        let system = SYSTEM.iter().map(PathBuf::from).filter(|path| path.exists());
        let mut roots: Vec<(PathBuf, Access)> = system.map(|path| (path, RUN)).collect();
        for device in ["/dev/null", "/dev/zero", "/dev/urandom"] {
            roots.push((PathBuf::from(device), CHANGE));
        }
        roots.push((directory.to_path_buf(), CHANGE));
        Self {
            roots,
            outside: Outside::Absent,
            exec: Exec::Held,
            identity: Identity::Own,
            memory: Memory::Direct,
            directory: directory.to_path_buf(),
            input: None,
            native: false,
            phase: None,
        }
    }

    pub(crate) fn with(mut self, path: impl Into<PathBuf>, access: Access) -> Self {
        self.roots.push((path.into(), access));
        self
    }

    fn roots(&self, without: &[PathBuf]) -> Vec<Root> {
        let kept = self.roots.iter().filter(|(path, _)| !without.contains(path));
        kept.map(|(path, access)| Root { guest: path.clone(), place: open_path(path), access: *access }).collect()
    }

    fn files(&self) -> Files {
        let setting = Setting {
            tree: open_path(Path::new("/")),
            roots: self.roots(&[]),
            outside: self.outside,
            exec: self.exec,
            identity: self.identity.clone(),
            processes: Processes::Own,
            memory: self.memory,
        };
        Files::new(setting).expect("the roots can be used")
    }

    /// Runs the command, to its end.
    pub(crate) fn run(&self, command: &[&str]) -> Ran {
        self.run_while(command, || {})
    }

    /// Runs the command; `between` is called before each of its calls is made.
    pub(crate) fn run_while(&self, command: &[&str], mut between: impl FnMut()) -> Ran {
        let texts: Vec<CString> = command.iter().map(|text| CString::new(*text).expect("no zeroes")).collect();
        let arguments: Vec<&std::ffi::CStr> = texts.iter().map(CString::as_c_str).collect();
        let directory = open_path(&self.directory);
        let null = File::open("/dev/null").expect("it is there");
        let stream = || tempfile::tempfile().expect("there is room for a file");
        let (mut output, mut error) = (stream(), stream());
        let input = self.input.as_ref().map_or(null.as_fd(), |input| input.as_fd());
        let started = observed::start(&Command {
            program: arguments[0],
            arguments: &arguments,
            environment: &[c"PATH=/usr/bin:/bin", c"LC_ALL=C"],
            directory: directory.as_fd(),
            streams: [input, output.as_fd(), error.as_fd()],
            filter: program(),
            ruleset: None,
        });
        let started = started.expect("an unprivileged filter can be had");
        seccomp::wake_in_place(started.listener.as_fd());
        let mut supervisor =
            Supervisor { job: self, files: self.files(), reader: Reader::default(), begun: false, ran: Ran::new() };
        loop {
            let mut events =
                [PollFd::new(&started.listener, PollFlags::IN), PollFd::new(&started.process, PollFlags::IN)];
            poll(&mut events, None).expect("two descriptors can be awaited");
            if events[0].revents().contains(PollFlags::IN) {
                between();
                supervisor.answer(&started.listener);
                if supervisor.ran.failure.is_some() {
                    rustix::process::pidfd_send_signal(&started.process, rustix::process::Signal::KILL)
                        .expect("it is a child");
                    break;
                }
            } else {
                break;
            }
        }
        let mut ran = supervisor.ran;
        ran.ended = reap(started.pid).expect("it is a child");
        for (file, text) in [(&mut output, &mut ran.output), (&mut error, &mut ran.error)] {
            file.rewind().expect("it is a file");
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("it can be read");
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        ran
    }
}

impl Ran {
    fn new() -> Self {
        Self { ended: None, output: String::new(), error: String::new(), refused: Vec::new(), made: 0, failure: None }
    }
}

struct Supervisor<'a> {
    job: &'a Job,
    files: Files,
    reader: Reader,
    /// Whether the command was executed: what comes before is the start's.
    begun: bool,
    ran: Ran,
}

impl Supervisor<'_> {
    fn answer(&mut self, listener: &OwnedFd) {
        let Some(notification) = seccomp::receive(listener.as_fd()).expect("a call waits") else { return };
        let go_on = || seccomp::answer(listener.as_fd(), notification.id, Answer::Continue).expect("it waits");
        let call = Call { audit_arch: notification.arch, nr: notification.number, args: notification.args };
        let name = table::name(native(), call.nr);
        if !self.begun || self.job.native || name == Some("fchdir") {
            self.begun |= name == Some("execve");
            return go_on();
        }
        assert!(self.files.takes(call.nr), "{name:?}");
        let caller = Caller::new(listener.as_fd(), &notification);
        let made = self.files.make(&caller, &mut self.reader, &call);
        self.files.rest().expect("the ids come back");
        let made = match made {
            Ok(made) => made,
            Err(FilesError::Gone) => return,
            Err(error) => {
                self.ran.failure = Some(error);
                return;
            }
        };
        self.ran.made += 1;
        self.ran.refused.extend(made.refused);
        match made.outcome {
            Outcome::GoOn => go_on(),
            Outcome::Reply(reply) => {
                let opened = matches!(reply, lazaret_broker::Reply::Descriptor { .. });
                if let Some((path, without)) = self.job.phase.as_ref().filter(|_| opened)
                    && path.exists()
                {
                    self.files.restrict(self.job.roots(without)).expect("these are fewer");
                }
                caller.answer(reply).expect("the kernel takes the answer");
            }
        }
    }
}

fn native() -> Arch {
    Arch::native().expect("the tests run where there is a table")
}

/// Puts the broker's calls to the supervisor, and fchdir(2), with which the start begins.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut filter = Filter::new(Action::Allow);
        for name in calls().chain(["fchdir"]) {
            if table::number(native(), name).is_some() {
                filter = filter.rule(Rule::parse(name).expect("a call is a rule"), Action::Refuse(1));
            }
        }
        filter.compile(native(), Backend::Supervised).expect("it is short").as_bytes()
    })
}

/// Compiles one of the programs beside this file; `None` without a compiler.
pub(crate) fn compiled(source: &str, into: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(source);
    let program = into.join(source.file_stem().expect("it has a name"));
    let mut command = std::process::Command::new("cc");
    command.args(["-O1", "-Wall", "-Werror", "-pthread", "-o"]).arg(&program).arg(source);
    match command.status() {
        Ok(status) => {
            assert!(status.success(), "it does not compile");
            Some(program)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && std::env::var_os("LAZARET_TEST_STRICT").is_none() => None,
        Err(e) => panic!("cc: {e}"),
    }
}
