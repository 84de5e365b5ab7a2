//! All runs over a corpus.

use super::host::{hosts_file, identify, machine, read_hosts_file};
use super::recorder::Recorder;
use super::resolve::Resolver;
use super::run::{self, End, Outcome};
use super::scene::Scene;
use super::watch::{Fixed, Watch, numbered};
use crate::corpus::{Corpus, Sample, fill, has_place};
use crate::record::{LeftOut, Peaks, Session};
use lazaret::Policy;
use lazaret_filter::{Arch, Filter};
use lazaret_launch::filter::{action, policy_rules};
use lazaret_policy::{EnvValue, is_printable, printable};
use lazaret_sys::wait::Ended;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// What is to be learned.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The program and its arguments. `{}` in an argument stands for the file's name; where there is none the file is
    /// standard input.
    pub command: &'a [OsString],
    /// The policy to learn on top of.
    pub base: Option<&'a Policy>,
    /// Variables on top of the base's, or of the ordinary ones.
    pub environment: &'a BTreeMap<String, String>,
    /// Variables of this process, for those that the base passes.
    pub own_environment: &'a BTreeMap<String, String>,
    /// Where the runs' own directories are made.
    pub scratch: &'a Path,
    /// How long a run may take.
    pub wall: Duration,
    /// Whether to learn from runs that failed.
    pub from_failures: bool,
    /// Ends the learning when it is readable.
    pub cancel: Option<BorrowedFd<'a>>,
}

/// Where the learning is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// How many files are done.
    pub done: usize,
    /// How many there are.
    pub all: usize,
    /// The file that was just done.
    pub file: &'a str,
    /// Why it was left out, if it was.
    pub left_out: Option<&'a str>,
}

/// Why nothing could be learned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// There is no such program.
    #[error("there is no program `{name}`")]
    NoProgram {
        /// As it was given.
        name: String,
        /// Where it was looked for; empty for a path.
        path: String,
    },
    /// The program cannot be executed.
    #[error("cannot execute `{program}`")]
    Unstarted {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This machine is of an architecture without tables.
    #[error("this machine's architecture has no system-call table")]
    Architecture,
    /// The runs' own directories cannot be made.
    #[error("cannot prepare a directory for the runs")]
    Directory(#[source] io::Error),
    /// A run could not be watched.
    #[error("cannot watch the run over `{file}`")]
    Watch {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// An argument, variable or path holds a zero byte.
    #[error("{what} holds a zero byte")]
    ZeroByte {
        /// What does.
        what: String,
    },
    /// The program failed on every file, or none could be read.
    #[error("there is nothing to learn from: {count} of {count} files were left out; `{}`: {why}", printable(file.clone()))]
    Nothing {
        /// How many files.
        count: usize,
        /// The first of them.
        file: String,
        /// What happened there.
        why: String,
    },
    /// The user ended it.
    #[error("cancelled")]
    Cancelled,
}

impl LearnError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoProgram { path, .. } if path.is_empty() => "check the path".to_owned(),
            Self::NoProgram { path, .. } => format!("the policy's PATH is {path}; give the path of the program"),
            Self::Unstarted { .. } => "check its mode, and the interpreter that it names".to_owned(),
            Self::Architecture => "learn on x86-64 or aarch64".to_owned(),
            Self::Directory(_) => "set TMPDIR to a directory that can be written".to_owned(),
            Self::Watch { .. } => {
                "learning needs a kernel with user notification (Linux 5.9), and no filter around it \
                that refuses seccomp(2) or process_vm_readv(2)"
                    .to_owned()
            }
            Self::ZeroByte { .. } => "leave it out".to_owned(),
            Self::Nothing { .. } => {
                "run the command by hand on that file; --learn-from-failures learns all the same".to_owned()
            }
            Self::Cancelled => "nothing was written".to_owned(),
        }
    }
}

/// What a policy that extends nothing sets: learned runs have it too.
pub(crate) const ORDINARY: [(&str, &str); 4] =
    [("PATH", "/usr/bin:/bin:/usr/local/bin"), ("HOME", "/job"), ("TMPDIR", "/tmp"), ("LANG", LOCALE)];
/// The locale of learned runs, unless the base says otherwise.
pub(crate) const LOCALE: &str = "C.UTF-8";

/// Runs the program over `corpus` and returns what it did. `report` is told of each file.
///
/// # Errors
///
/// When the program cannot be run or watched at all, or no file is left to learn from.
pub fn learn(setup: &Setup<'_>, corpus: &Corpus, report: &mut dyn FnMut(Progress<'_>)) -> Result<Session, LearnError> {
    let arch = Arch::native().ok_or(LearnError::Architecture)?;
    let scene = Scene::new(setup.scratch).map_err(LearnError::Directory)?;
    let environment = environment(setup);
    let program = find(setup, &environment)?;
    let main = fs::canonicalize(&program).unwrap_or_else(|_unreadable| program.clone());
    let ruleset = scene.ruleset().map_err(LearnError::Directory)?;
    let base = setup.base.map(filter);
    let numbered = numbered(arch);
    let mut learning = Learning {
        setup,
        scene: &scene,
        fixed: Fixed { arch, numbered: &numbered, base: base.as_ref(), scene: &scene.root },
        program: c_string(program.as_os_str(), || "the program's path".to_owned())?,
        path: &program,
        main: &main,
        environment: variables(&environment, &scene)?,
        ruleset: ruleset.as_ref().map(|ruleset| ruleset.as_fd()),
        null: fs::File::open("/dev/null").map_err(LearnError::Directory)?,
        recorder: Recorder::default(),
        resolver: Resolver::default(),
        files: Vec::new(),
        left_out: Vec::new(),
        failed: Vec::new(),
        peaks: Peaks::default(),
    };
    let all = corpus.unreadable.len() + corpus.files.len();
    let mut done = 1..=all;
    let mut tell = |file: &str, left_out: Option<&str>| {
        report(Progress { done: done.next().unwrap_or(all), all, file, left_out });
    };
    for unreadable in &corpus.unreadable {
        let why = format!("cannot be read: {}", unreadable.why);
        tell(&unreadable.name, Some(&why));
        learning.left_out.push(LeftOut { file: unreadable.name.clone(), why });
    }
    for sample in &corpus.files {
        let left_out = learning.sample(sample)?;
        tell(&sample.name, left_out.as_deref());
    }
    let Learning { recorder, files, left_out, failed, peaks, .. } = learning;
    if files.is_empty() {
        let (file, why) =
            left_out.first().map_or_else(Default::default, |first| (first.file.clone(), first.why.clone()));
        return Err(LearnError::Nothing { count: all, file, why });
    }
    let facts = recorder.finish(&hosts_file());
    Ok(Session {
        lazaret: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine(arch, ruleset.is_some()),
        command: setup.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        base: setup.base.map(|base| base.name.clone()),
        environment,
        files,
        left_out,
        failed,
        programs: facts.programs.iter().map(|path| identify(path)).collect(),
        hosts: if read_hosts_file(&facts.paths) {
            facts.hosts
        } else {
            facts.hosts.into_iter().map(|host| crate::record::HostFact { names: Vec::new(), ..host }).collect()
        },
        calls: facts.calls,
        paths: facts.paths,
        names: facts.names,
        peaks,
        possible: None,
    })
}

/// Everything that the runs share.
struct Learning<'a> {
    setup: &'a Setup<'a>,
    scene: &'a Scene,
    fixed: Fixed<'a>,
    program: CString,
    /// The program as it is executed, and without links.
    path: &'a Path,
    main: &'a Path,
    environment: Vec<CString>,
    ruleset: Option<BorrowedFd<'a>>,
    null: File,
    recorder: Recorder,
    resolver: Resolver,
    files: Vec<String>,
    left_out: Vec<LeftOut>,
    failed: Vec<LeftOut>,
    peaks: Peaks,
}

impl Learning<'_> {
    /// Runs over one file. Returns why it was left out, if it was.
    fn sample(&mut self, sample: &Sample) -> Result<Option<String>, LearnError> {
        self.scene.clear().map_err(LearnError::Directory)?;
        let name = sample.path.file_name().unwrap_or(OsStr::new("input"));
        let copy = self.scene.job().join(name);
        let leave_out = |why: String| LeftOut { file: sample.name.clone(), why };
        if let Err(error) = copy_in(&sample.path, &copy) {
            let why = format!("cannot be read: {error}");
            self.left_out.push(leave_out(why.clone()));
            return Ok(Some(why));
        }
        self.recorder.begin();
        let ran = self.run(name, &copy).map_err(|source| match source {
            Failed::Own(error) => error,
            Failed::Io(source) => LearnError::Watch { file: sample.name.clone(), source },
        })?;
        let (outcome, peaks) = ran;
        let failure = match &outcome.end {
            End::Unstarted(error) => {
                let source = io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0));
                return Err(LearnError::Unstarted { program: self.path.to_owned(), source });
            }
            End::Cancelled => return Err(LearnError::Cancelled),
            End::Unread => Some("its memory could not be read in time, so that what it did is not known".to_owned()),
            End::Late => Some(format!("took longer than {:?}", self.setup.wall)),
            End::Ended(Ended::Exited(0)) => None,
            End::Ended(Ended::Exited(code)) => Some(format!("exit status {code}{}", said(&outcome.said))),
            End::Ended(Ended::Signalled(signal)) => Some(format!("ended by signal {signal}{}", said(&outcome.said))),
        };
        match failure {
            Some(why) if !self.setup.from_failures => {
                self.recorder.settle(None);
                self.left_out.push(leave_out(why.clone()));
                Ok(Some(why))
            }
            failure => {
                self.recorder.settle(Some(self.files.len()));
                self.files.push(sample.name.clone());
                self.failed.extend(failure.map(leave_out));
                self.peaks = self.peaks.max(peaks);
                Ok(None)
            }
        }
    }

    fn run(&mut self, name: &OsStr, copy: &Path) -> Result<(Outcome, Peaks), Failed> {
        let (job, tmp) = (self.scene.job(), self.scene.tmp());
        let directory = open_directory(&job)?;
        let arguments = arguments(self.setup.command, name)?;
        let opened =
            if has_place(self.setup.command.get(1..).unwrap_or_default()) { None } else { Some(File::open(copy)?) };
        let setup = run::Setup {
            program: &self.program,
            arguments,
            environment: &self.environment,
            directory: directory.as_fd(),
            input: opened.as_ref().unwrap_or(&self.null).as_fd(),
            ruleset: self.ruleset,
            wall: self.setup.wall,
            cancel: self.setup.cancel,
        };
        let (observed, pipes) = run::start(&setup)?;
        let first = u32::try_from(observed.pid).unwrap_or(0);
        let mut watch = Watch::new(&self.fixed, &mut self.recorder, &mut self.resolver, first);
        watch.launched(self.path, self.main);
        let mut outcome = run::follow(&setup, observed, &pipes, &mut watch)?;
        if watch.memory.late && !matches!(outcome.end, End::Cancelled | End::Unstarted(_)) {
            outcome.end = End::Unread;
        }
        if watch.unread > 0 {
            let what = "the kernel does not let its memory be read (process_vm_readv(2))";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what).into());
        }
        let usage = watch.usage;
        let (file_size, disk) = usage.files(&[&job, &tmp]);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let peaks = Peaks {
            wall_ms: millis(outcome.wall),
            cpu_ms: (outcome.used.user_us + outcome.used.system_us).div_ceil(1000),
            memory: usage.resident().max(outcome.used.peak_memory),
            processes: usage.most_threads(),
            file_size,
            disk,
            output: outcome.output[0].max(outcome.output[1]),
            open_files: usage.descriptors(),
        };
        Ok((outcome, peaks))
    }
}

/// Why a run gave nothing.
enum Failed {
    Own(LearnError),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LearnError> for Failed {
    fn from(error: LearnError) -> Self {
        Self::Own(error)
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn copy_in(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::options().write(true).create_new(true).open(to)?;
    io::copy(&mut from, &mut to)?;
    // An input is read-only in no jail, and its own mode may be anything.
    to.set_permissions(fs::Permissions::from_mode(0o644))
}

/// The command's words with `{}` replaced.
fn arguments(command: &[OsString], name: &OsStr) -> Result<Vec<CString>, LearnError> {
    let words = command.iter().enumerate().map(|(at, word)| if at == 0 { word.clone() } else { fill(word, name) });
    words.map(|word| c_string(&word, || "an argument".to_owned())).collect()
}

fn c_string(text: &OsStr, what: impl FnOnce() -> String) -> Result<CString, LearnError> {
    CString::new(text.as_bytes()).map_err(|_zero| LearnError::ZeroByte { what: what() })
}

/// The beginning of what the program said, on one line.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").chars().take(200).collect();
    let plain: String = line.chars().filter(|c| is_printable(*c)).collect();
    if plain.is_empty() { String::new() } else { format!(": {plain}") }
}

/// The variables of the runs, as the policy sets them.
fn environment(setup: &Setup<'_>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = match setup.base {
        None => ORDINARY.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        Some(base) => base
            .environment
            .iter()
            .filter_map(|variable| {
                let name = &variable.value.name;
                let value = match &variable.value.value {
                    EnvValue::Set(value) => Some(value.clone()),
                    EnvValue::FromCaller => setup.own_environment.get(name).cloned(),
                };
                Some((name.clone(), value?))
            })
            .collect(),
    };
    all.extend(setup.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}

fn variables(environment: &BTreeMap<String, String>, scene: &Scene) -> Result<Vec<CString>, LearnError> {
    environment
        .iter()
        .map(|(name, value)| {
            let text = format!("{name}={}", scene.place(value));
            c_string(OsStr::new(&text), || format!("the variable {name}"))
        })
        .collect()
}

/// The program, looked for as in the jail: in the policy's PATH, unless it has a slash.
fn find(setup: &Setup<'_>, environment: &BTreeMap<String, String>) -> Result<PathBuf, LearnError> {
    let name = setup.command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let missing =
        |path: &str| LearnError::NoProgram { name: name.to_string_lossy().into_owned(), path: path.to_owned() };
    let is_program = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if name.as_bytes().contains(&b'/') {
        let path = std::path::absolute(name).map_err(|_no_directory| missing(""))?;
        return if path.exists() { Ok(path) } else { Err(missing("")) };
    }
    let path = environment.get("PATH").map_or("", String::as_str);
    let mut candidates = path.split(':').map(|directory| Path::new(directory).join(name));
    candidates.find(|candidate| is_program(candidate)).ok_or_else(|| missing(path))
}

/// The base's rules as a filter.
pub(crate) fn filter(policy: &Policy) -> Filter {
    // Every rule of a policy was parsed when it was loaded.
    policy_rules(&policy.system_calls).unwrap_or_else(|_no_rule| Filter::new(action(policy.system_calls.default.value)))
}
