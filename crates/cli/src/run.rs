//! `lazaret run`.

use crate::args::Run;
use crate::choose;
use crate::explain;
use crate::message::{self, Failure};
use lazaret::uid::Uids;
use lazaret::{Ahead, Cancel, Launcher, Report, Sink, Tier};
use lazaret_policy::FileRefusal;
use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

/// SIGHUP, SIGINT and SIGTERM: signal(7).
const ENDING_SIGNALS: [i32; 3] = [1, 2, 15];

pub(crate) fn run(args: &Run) -> Result<u8, Failure> {
    // First of all: from here on such a signal ends the job, and with it this process, in good order.
    let signals = lazaret_sys::signal::descriptor(&ENDING_SIGNALS)
        .map_err(|e| Failure::message(format!("cannot watch for signals: {e}"), "raise the limit of open files"))?;
    let cancel = Cancel::when_readable(signals);
    // Before the policy is read: what takes longest is prepared beside.
    let launcher = Launcher::when_asked(Uids::default(), Ahead::Once);
    if args.job.tier.as_deref().is_none_or(|tier| tier == Tier::Jail.name()) {
        launcher.jails().map_err(lazaret::Error::Run)?;
    }
    let policy = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &policy)?.cancelled_by(&cancel).explain_paths(args.explain);
    let (stdout, stderr, stdin) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
    let sink = Sink::Forward { stdout: stdout.as_fd(), stderr: stderr.as_fd(), stdin: stdin.as_fd() };
    let destination = args.report.as_deref().map(Destination::open).transpose()?;
    let report = job.run_with(&launcher, &policy, &sink)?;
    if let Some(destination) = destination {
        destination.write(&report)?;
    }
    if !args.quiet && !report.verdict.is_ok() && stderr.is_terminal() {
        message::line(&summary(&report));
    }
    Ok(report.exit_status)
}

/// Where the report goes, opened before the job runs: a job whose report cannot be written shall not be run.
enum Destination<'a> {
    Stdout,
    File { file: File, path: &'a Path, made: bool },
}

impl<'a> Destination<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let made = !path.exists();
        // What is there stays until there is a report.
        let file = File::options().write(true).create(true).truncate(false).open(path);
        Ok(Self::File { file: file.map_err(|e| cannot_write(path, &e))?, path, made })
    }

    fn write(mut self, report: &Report) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(report.data())
            .map_err(|e| Failure::message(format!("cannot write the report: {e}"), "this is a defect of Lazaret"))?;
        let text = text + "\n";
        match &mut self {
            Self::Stdout => message::print(&text),
            Self::File { file, path, made } => {
                *made = false;
                let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let emptied = if regular { file.set_len(0) } else { Ok(()) };
                emptied.and_then(|()| file.write_all(text.as_bytes())).map_err(|e| cannot_write(path, &e))
            }
        }
    }
}

impl Drop for Destination<'_> {
    fn drop(&mut self) {
        if let Self::File { path, made: true, .. } = self {
            // Made for a report that there is none of.
            drop(std::fs::remove_file(path));
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("cannot write the report to `{}`: {error}", path.display()), "name another file")
}

/// How many refusals a summary names.
const REFUSALS_SHOWN: usize = 5;

/// The verdict, and what may have led to it.
fn summary(report: &Report) -> String {
    let mut text = format!("lazaret: {}", report.verdict);
    let mut add = |line: std::fmt::Arguments<'_>| {
        text.push_str(&format!("\n  {line}"));
    };
    for hit in report.limits_hit.iter().filter(|hit| report.verdict.limit() != Some(hit)) {
        add(format_args!("limit reached: {hit}"));
    }
    for refusal in report.refusals.iter().filter(|refusal| refusal.errno != 0).take(REFUSALS_SHOWN) {
        add(format_args!("refused {} time(s): {}", refusal.count, refusal.call));
        let explanation = refusal.explanation.as_deref();
        if let Some(frame) = explanation.and_then(|explanation| explanation.stack.iter().find(|f| is_telling(f))) {
            add(format_args!("  from {}", lazaret_policy::printable(explain::frame_text(frame))));
        }
        if let Some(line) =
            explanation.and_then(|explanation| explanation.allow.as_ref()).or(refusal.suggestion.as_ref())
        {
            add(format_args!("  to allow it: {line}"));
        }
    }
    let hidden = report.refusals.len().saturating_sub(REFUSALS_SHOWN);
    if hidden > 0 {
        add(format_args!("and {hidden} more refused calls"));
    }
    let network = report.network.iter();
    for refusal in network.clone().flat_map(|network| &network.refused).take(REFUSALS_SHOWN) {
        add(format_args!("refused {} time(s): {}", refusal.count, explain::network_text(refusal)));
        if let Some(line) = &refusal.suggestion {
            add(format_args!("  to allow it: {line}"));
        }
    }
    for failure in network.flat_map(explain::network_failures).take(REFUSALS_SHOWN) {
        add(format_args!("failed: {failure}"));
    }
    if let Some(files) = &report.files {
        if let Some(text) = explain::work_text(files) {
            add(format_args!("{text}"));
        }
        // Programs look for many files that need not be there. What is refused otherwise is worth a line.
        let telling = files.refused.iter().filter(|refusal| !is_mere_absence(report, refusal));
        for refusal in telling.take(REFUSALS_SHOWN) {
            add(format_args!("refused {} time(s): {}", refusal.count, explain::file_text(refusal)));
            if let Some(line) = &refusal.suggestion {
                add(format_args!("  to allow it: {line}"));
            }
        }
    }
    for refusal in report.path_refusals.iter().flatten().take(REFUSALS_SHOWN) {
        add(format_args!("{} ({}) exists outside", refusal.path, refusal.error));
        if let Some(line) = &refusal.allow {
            add(format_args!("  to allow it: {line}"));
        }
    }
    if report.refusals.iter().any(|refusal| refusal.errno != 0) {
        add(format_args!("--report FILE and `lazaret explain FILE` tell all of it"));
    }
    for note in &report.notes {
        add(format_args!("note: {note}"));
    }
    text
}

/// Whether a call named a file that does not exist for the job, of one that has all of its files to its end.
fn is_mere_absence(report: &Report, refusal: &FileRefusal) -> bool {
    let has_phases = report.files.as_ref().is_some_and(|files| files.work.is_some());
    let suggests_showing = refusal.suggestion.as_ref().is_some_and(|line| line.starts_with("[files] read"));
    !has_phases && suggests_showing
}

/// Whether a frame says more than which function of the C library makes the call.
fn is_telling(frame: &lazaret_policy::FrameText) -> bool {
    let name = frame.module.as_deref().and_then(|module| module.rsplit('/').next()).unwrap_or_default();
    !name.starts_with("libc.so")
}
