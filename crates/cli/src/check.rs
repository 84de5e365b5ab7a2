//! `lazaret check`.

use crate::args::{Check as Args, JobArgs};
use crate::choose;
use crate::message::{self, Failure};
use crate::profiles::json;
use lazaret::uid::Uids;
use lazaret::{Ahead, Job, Launcher, Policy};
use lazaret_observe::check::{self, CheckError, Outcome, Settings};
use lazaret_observe::corpus::{self, Corpus, CorpusError};
use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::Path;

/// Exit status when a run needs something that the policy does not give.
const NEEDS: u8 = 1;

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        let hint = error.hint().to_owned();
        Self::new(&error, Some(hint))
    }
}

pub(crate) fn check(args: &Args) -> Result<u8, Failure> {
    refuse_what_has_no_meaning(&args.job)?;
    let policy = choose::policy(&args.job)?;
    let corpus = Corpus::open(&args.corpus)?;
    // For errors in the arguments, before anything is run.
    let make = |file: &Path| job(&args.job, &policy, file);
    for file in &corpus.files {
        make(&file.path)?.data()?;
    }
    let make = |file: &Path| make(file).unwrap_or_else(|_checked| Job::new(OsStr::new("")));
    let launcher = Launcher::with(Uids::default(), Ahead::Always).map_err(lazaret::Error::Run)?;
    let settings = Settings {
        parallel: args.parallel.unwrap_or_else(processors),
        stale: args.stale,
        allow_failures: args.allow_failures,
        strict: args.strict,
    };
    let outcome = check::check(&launcher, &policy, &corpus, settings, &make)
        .map_err(|CheckError::Lazaret(error)| Failure::from(error))?;
    if let Some(path) = &args.junit {
        write_junit(path, &outcome)?;
    }
    let text = if args.json { json(&outcome)? } else { check::summary(&outcome, args.allow_failures) };
    message::print(&text)?;
    Ok(if outcome.passed { 0 } else { NEEDS })
}

fn processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn refuse_what_has_no_meaning(args: &JobArgs) -> Result<(), Failure> {
    let given = [
        ("--stdin", args.stdin),
        ("--export-changes", args.export_changes.is_some()),
        ("--job-key", args.job_key.is_some()),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(Failure::message(format!("{option} has no meaning for a check"), "leave it out"));
    }
    if corpus::has_place(&args.command) {
        return Ok(());
    }
    Err(Failure::message(
        "the command does not say where the corpus's file goes",
        "write {} in its place, such as: lazaret check --corpus DIR -- convert {} out.png",
    ))
}

/// The job for one file. Its outputs are taken, and put nowhere.
fn job(args: &JobArgs, policy: &Policy, file: &Path) -> Result<Job, Failure> {
    let name = file.file_name().unwrap_or_default();
    let command = args.command.iter().map(|arg| corpus::fill(arg, name)).collect();
    let outputs = args.outputs.clone();
    let job = choose::job(&JobArgs { command, outputs: Vec::new(), ..args.clone() }, policy)?.input(file);
    Ok(outputs.iter().fold(job, |job, output| job.output(choose::split_first(output).0)))
}

fn write_junit(path: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let written = check::junit(outcome).and_then(|text| std::fs::write(path, text));
    written.map_err(|e| Failure::message(format!("cannot write `{}`: {e}", path.display()), "name another file"))
}
