//! `lazaret diff`.

use crate::args::{Diff as Args, FailOn};
use crate::learn;
use crate::message::{self, Failure};
use crate::profiles::json;
use crate::seccomp;
use lazaret::Policy;
use lazaret_observe::diff::{self, Change};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Exit status when the policies differ.
const DIFFERENT: u8 = 1;

pub(crate) fn diff(args: &Args) -> Result<u8, Failure> {
    let (before, after) = (policy(&args.before)?, policy(&args.after)?);
    let arch = seccomp::arch(args.arch)?;
    let diff = diff::diff(&before, &after, arch).map_err(|error| Failure::new(&error, error.hint()))?;
    let view = View {
        schema: "lazaret.diff/1",
        before: &before.name,
        after: &after.name,
        arch: arch.to_string(),
        same: diff.changes.is_empty(),
        widened: diff.widens(),
        changes: &diff.changes,
    };
    message::print(&if args.json { json(&view)? } else { text(&view) })?;
    let fails = match args.fail_on {
        FailOn::Any => !diff.changes.is_empty(),
        FailOn::Widened => diff.widens(),
    };
    Ok(if fails { DIFFERENT } else { 0 })
}

/// What `lazaret diff --json` prints. A version adds fields at most; a field that changes or goes makes a new one.
#[derive(Debug, Serialize)]
struct View<'a> {
    /// `lazaret.diff/1`.
    schema: &'static str,
    /// The policies, by name or path.
    before: &'a str,
    after: &'a str,
    /// The architecture whose system calls were compared.
    arch: String,
    /// Whether they give the same rights.
    same: bool,
    /// Whether a job may do more under the second, or that cannot be ruled out.
    widened: bool,
    /// Every difference, the riskiest first.
    changes: &'a [Change],
}

/// A profile by its name, a policy file, or what was learned by a recording.
fn policy(name: &Path) -> Result<Policy, Failure> {
    let text = name.to_str().filter(|text| !text.contains('/'));
    match text.filter(|text| lazaret::profiles().any(|known| known == *text)) {
        Some(profile) => Ok(lazaret::profile(profile)?),
        None if text.is_some_and(|text| !text.contains('.')) && !name.exists() => {
            // For the error, with the nearest name.
            Ok(lazaret::profile(text.unwrap_or_default())?)
        }
        None if is_recording(name) => learn::recorded(name),
        None => Ok(lazaret::policy_file(name)?),
    }
}

/// Recordings are JSON objects; no policy begins as one does. What cannot be read is not told apart here.
fn is_recording(path: &Path) -> bool {
    let Ok(file) = fs::File::open(path) else { return false };
    let first = BufReader::new(file).bytes().map_while(Result::ok).find(|byte| !byte.is_ascii_whitespace());
    first == Some(b'{')
}

fn text(view: &View<'_>) -> String {
    if view.same {
        return format!("{} and {} give the same rights.\n", view.before, view.after);
    }
    let mut text = String::new();
    for change in view.changes {
        let Change { risk, kind, area, what, before, after, why } = change;
        line(&mut text, format_args!("{risk:<6} {:<8} {:<11} {what}", kind.name(), area.name()));
        line(&mut text, format_args!("       {before} → {after}"));
        if !why.is_empty() {
            line(&mut text, format_args!("       {why}"));
        }
    }
    let wider = view.changes.iter().filter(|change| change.kind.widens()).count();
    let count = view.changes.len();
    line(
        &mut text,
        format_args!(
            "\n{count} differences between {} and {}, of which {wider} let a job do more.",
            view.before, view.after
        ),
    );
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{arguments}");
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}
