//! `lazaret run`.

use crate::args::Run;
use crate::choose;
use crate::message::{self, Failure};
use lazaret::uid::Uids;
use lazaret::{Ahead, Cancel, Launcher, Report, Sink};
use std::fmt::Write as _;
use std::io::IsTerminal;
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
    let launcher = Launcher::with(Uids::default(), Ahead::Once).map_err(lazaret::Error::Run)?;
    let policy = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &policy)?.cancelled_by(&cancel);
    let (stdout, stderr, stdin) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
    let sink = Sink::Forward { stdout: stdout.as_fd(), stderr: stderr.as_fd(), stdin: stdin.as_fd() };
    let report = job.run_with(&launcher, &policy, &sink)?;
    if let Some(path) = &args.report {
        write_report(path, &report)?;
    }
    if !args.quiet && !report.verdict.is_ok() && stderr.is_terminal() {
        message::line(&summary(&report));
    }
    Ok(report.exit_status)
}

fn write_report(path: &Path, report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report.data())
        .map_err(|e| Failure::message(format!("cannot write the report: {e}"), "this is a defect of Lazaret"))?;
    if path == Path::new("-") {
        return message::print(&format!("{text}\n"));
    }
    std::fs::write(path, text + "\n").map_err(|e| {
        Failure::message(format!("cannot write the report to `{}`: {e}", path.display()), "name another file")
    })
}

/// How many refusals a summary names.
const REFUSALS_SHOWN: usize = 5;

/// The verdict, and what may have led to it.
fn summary(report: &Report) -> String {
    let mut text = format!("lazaret: {}", report.verdict);
    let mut add = |line: std::fmt::Arguments<'_>| {
        let written = write!(text, "\n  {line}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    };
    for hit in report.limits_hit.iter().filter(|hit| report.verdict.limit() != Some(hit)) {
        add(format_args!("limit reached: {hit}"));
    }
    for refusal in report.refusals.iter().filter(|refusal| refusal.errno != 0).take(REFUSALS_SHOWN) {
        add(format_args!("refused {} time(s): {}", refusal.count, refusal.call));
        if let Some(suggestion) = &refusal.suggestion {
            add(format_args!("  to allow it: {suggestion}"));
        }
    }
    let hidden = report.refusals.len().saturating_sub(REFUSALS_SHOWN);
    if hidden > 0 {
        add(format_args!("and {hidden} more refused calls; --report - shows all"));
    }
    text
}
