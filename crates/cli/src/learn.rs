//! `lazaret learn`.

mod summary;

use crate::message::{self, Failure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use lazaret::Policy;
use lazaret_observe::corpus::Corpus;
use lazaret_observe::learn::{self, LearnError, Learned, Progress, Setup, Shape, Strictness};
use lazaret_observe::record::{self, Conflict, RecordError, Recording, Session};
use lazaret_policy::{CallAction, TimeLimit, is_printable};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// SIGHUP, SIGINT and SIGTERM: signal(7).
const ENDING_SIGNALS: [i32; 3] = [1, 2, 15];
/// Too little was seen.
const UNREADY: u8 = 1;
/// How long a run may take unless the user says otherwise.
const WALL: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Learn {
    /// Where to write the policy; `-` is standard output
    #[arg(long, value_name = "FILE|-", required_unless_present = "record")]
    pub(crate) out: Option<PathBuf>,
    /// Learn on top of this: a built-in profile, or a policy file (with a slash). Only what it lacks is written
    #[arg(long, value_name = "BASE")]
    pub(crate) profile: Option<String>,
    /// The directory of files to run the command over
    #[arg(long, value_name = "DIR", required_unless_present = "merge", conflicts_with = "merge")]
    pub(crate) corpus: Option<PathBuf>,
    /// Keep what was seen, for --merge
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Learn from recordings instead, also of other machines and versions
    #[arg(long, value_name = "RECORDING", num_args = 1.., conflicts_with_all = ["command", "static_pass"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Write groups for rules where that is shorter; lets more through
    #[arg(long)]
    pub(crate) groups: bool,
    /// Allow the same calls of other architectures and C libraries too
    #[arg(long)]
    pub(crate) portable: bool,
    /// Look into the program and its libraries for calls that were not seen
    #[arg(long = "static")]
    pub(crate) static_pass: bool,
    /// What becomes of calls that the code could make and that were not seen
    #[arg(long, value_name = "ACTION", default_value = "log")]
    pub(crate) possible: Possible,
    /// What becomes of all other calls [default: refuse, or the base's]
    #[arg(long, value_name = "ACTION")]
    pub(crate) neither: Option<Neither>,
    /// Learn from runs too in which the program failed
    #[arg(long)]
    pub(crate) learn_from_failures: bool,
    /// Exit with status 0 although too little was seen
    #[arg(long)]
    pub(crate) accept_unsaturated: bool,
    /// How long a run may take: wall=TIME
    #[arg(long = "limit", value_name = "KEY=VALUE")]
    pub(crate) limits: Vec<String>,
    /// Set an environment variable, in the runs and in the policy
    #[arg(long = "env", value_name = "K=V")]
    pub(crate) environment: Vec<String>,
    /// Shuffles the corpus
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print what was learned as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress and no summary
    #[arg(long)]
    pub(crate) quiet: bool,
    /// The command; `{}` in its arguments stands for the file, which is standard input where there is none
    #[arg(last = true, required_unless_present = "merge", value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Possible {
    Log,
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Neither {
    Kill,
    Refuse,
}

impl From<LearnError> for Failure {
    fn from(error: LearnError) -> Self {
        let hint = error.hint();
        Self::new(&error, Some(hint))
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let hint = error.hint();
        Self::new(&error, Some(hint))
    }
}

pub(crate) fn learn(args: &Learn) -> Result<u8, Failure> {
    let (recording, conflicts, base) = if args.merge.is_empty() {
        let base = args.profile.as_deref().map(load).transpose()?;
        (Recording::new(observe(args, base.as_ref())?), Vec::new(), base)
    } else {
        let (recording, conflicts) = merge(&args.merge)?;
        let base = base_name(args, &recording).map(load).transpose()?;
        (recording, conflicts, base)
    };
    let learned = learn::learned(&recording, base.as_ref(), shape(args));
    let name = args.out.as_deref().filter(|path| *path != Path::new("-")).unwrap_or(Path::new("learned.toml"));
    let (text, _) = policy(name, &learned, base_name(args, &recording))?;
    if let Some(path) = &args.record {
        record::write(path, &recording)?;
    }
    write(args, &text)?;
    say(args, &learned, &conflicts)?;
    Ok(if learned.is_ready() || args.accept_unsaturated { 0 } else { UNREADY })
}

/// The base that was asked for, or else the one that all of the recording's sessions were learned on top of.
fn base_name<'a>(args: &'a Learn, recording: &'a Recording) -> Option<&'a str> {
    args.profile.as_deref().or_else(|| common_base(recording))
}

fn common_base(recording: &Recording) -> Option<&str> {
    let mut bases = recording.sessions.iter().map(|session| session.base.as_deref());
    let first = bases.next().flatten();
    first.filter(|_| bases.all(|base| base == first))
}

fn load(base: &str) -> Result<Policy, Failure> {
    Ok(if base.contains('/') { lazaret::policy_file(base)? } else { lazaret::profile(base)? })
}

/// What the policy extends: a profile by its name, a file by its whole path.
fn extends(base: &str) -> Result<String, Failure> {
    if !base.contains('/') {
        return Ok(base.to_owned());
    }
    let absolute = std::path::absolute(base)
        .map_err(|e| Failure::message(format!("cannot find `{base}`: {e}"), "give its whole path"))?;
    Ok(absolute.display().to_string())
}

fn shape(args: &Learn) -> Shape {
    let possible = match args.possible {
        Possible::Log => CallAction::Log,
        Possible::Refuse => CallAction::Refuse,
        Possible::Allow => CallAction::Allow,
    };
    let neither = args.neither.map(|neither| match neither {
        Neither::Kill => CallAction::Kill,
        Neither::Refuse => CallAction::Refuse,
    });
    Shape { groups: args.groups, portable: args.portable, strictness: Strictness { possible, neither } }
}

/// Runs the command over the corpus.
fn observe(args: &Learn, base: Option<&Policy>) -> Result<Session, Failure> {
    let signals = lazaret_sys::signal::descriptor(&ENDING_SIGNALS)
        .map_err(|e| Failure::message(format!("cannot watch for signals: {e}"), "raise the limit of open files"))?;
    let corpus = Corpus::open(args.corpus.as_deref().unwrap_or(Path::new(".")))?.shuffled(args.seed);
    let own: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let setup = Setup {
        command: &args.command,
        base,
        environment: &environment(args)?,
        own_environment: &own,
        scratch: &std::env::temp_dir(),
        wall: wall(args)?,
        from_failures: args.learn_from_failures,
        cancel: Some(signals.as_fd()),
    };
    let bar = bar(args, corpus.files.len() + corpus.unreadable.len());
    let mut session = learn::learn(&setup, &corpus, &mut |progress| show(args, bar.as_ref(), progress))?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if args.static_pass {
        session.possible = Some(lazaret_observe::elf::possible(&session));
    }
    Ok(session)
}

fn environment(args: &Learn) -> Result<BTreeMap<String, String>, Failure> {
    let split = |variable: &String| {
        let (name, value) = variable.split_once('=')?;
        (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    };
    let parsed = args.environment.iter().map(|variable| {
        split(variable).ok_or_else(|| Failure::message(format!("`{variable}` sets no variable"), "write NAME=VALUE"))
    });
    parsed.collect()
}

fn wall(args: &Learn) -> Result<Duration, Failure> {
    let mut wall = WALL;
    for limit in &args.limits {
        let Some(text) = limit.strip_prefix("wall=") else {
            let hint = "learning measures the others: write --limit wall=TIME";
            return Err(Failure::message(format!("`{limit}` is no limit of a learning run"), hint));
        };
        let time: TimeLimit = text
            .parse()
            .map_err(|e: lazaret_policy::QuantityError| Failure::message(e.to_string(), "write wall=90s"))?;
        wall = time.duration();
    }
    Ok(wall)
}

fn bar(args: &Learn, files: usize) -> Option<ProgressBar> {
    if args.quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(files as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} files, {eta} left  {wide_msg}") {
        bar.set_style(style);
    }
    Some(bar)
}

fn show(args: &Learn, bar: Option<&ProgressBar>, progress: Progress<'_>) {
    let plain = |text: &str| -> String { text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect() };
    let file = plain(progress.file);
    let left_out = progress.left_out.map(|why| format!("lazaret: left out `{file}`: {}", plain(why)));
    match (bar, left_out) {
        (Some(bar), Some(line)) => bar.suspend(|| message::line(&line)),
        (None, Some(line)) if !args.quiet => message::line(&line),
        _ => {}
    }
    if let Some(bar) = bar {
        bar.set_position(progress.done as u64);
        bar.set_message(file);
    }
}

fn merge(paths: &[PathBuf]) -> Result<(Recording, Vec<Conflict>), Failure> {
    let recordings: Result<Vec<Recording>, RecordError> = paths.iter().map(|path| record::read(path)).collect();
    Ok(record::join(recordings?))
}

/// What was learned as a policy of that name: its text, and what it says. One that does not load is none.
fn policy(name: &Path, learned: &Learned, base: Option<&str>) -> Result<(String, Policy), Failure> {
    let text = learn::render(learned, base.map(extends).transpose()?.as_deref());
    let policy = lazaret::policy_text(&name.display().to_string(), &text)?;
    Ok((text, policy))
}

/// The policy that `lazaret learn --merge FILE` makes of the recording in `path`, unless it is told otherwise.
pub(crate) fn recorded(path: &Path) -> Result<Policy, Failure> {
    let recording = record::read(path)?;
    let base = common_base(&recording);
    let strictness = Strictness { possible: CallAction::Log, neither: None };
    let shape = Shape { groups: false, portable: false, strictness };
    let learned = learn::learned(&recording, base.map(load).transpose()?.as_ref(), shape);
    Ok(policy(path, &learned, base)?.1)
}

fn write(args: &Learn, text: &str) -> Result<(), Failure> {
    match args.out.as_deref() {
        None => Ok(()),
        Some(path) if path == Path::new("-") => message::print(text),
        Some(path) => record::replace(path, text.as_bytes()).map_err(|e| {
            let hint = "name another file; what was there before is still there";
            Failure::message(format!("cannot write `{}`: {e}", path.display()), hint)
        }),
    }
}

fn say(args: &Learn, learned: &Learned, conflicts: &[Conflict]) -> Result<(), Failure> {
    if !args.quiet {
        message::line(&summary::summary(learned, conflicts));
    }
    if !args.json {
        return Ok(());
    }
    let mut value = learn::json(learned);
    value["conflicts"] = conflicts.iter().map(ToString::to_string).collect();
    let text = serde_json::to_string_pretty(&value)
        .map_err(|e| Failure::message(format!("cannot write JSON: {e}"), "this is a defect of Lazaret"))?;
    message::print(&(text + "\n"))
}
