//! `lazaret explain`.

mod text;

pub(crate) use text::{file_text, frame_text, network_failures, network_text, work_text};

use crate::args::Explain;
use crate::message::{self, Failure};
use lazaret_policy::{Control, FilesReport, Holding, LimitHit, NetworkReport, PathRefusal, Refusal, Report, Verdict};
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;

/// A report is some kilobytes; this is no report.
const LARGEST: u64 = 64 << 20;
/// What the form of a report is called, without its version.
const FORM: &str = "lazaret.report/";
/// The newest version that this program reads.
const VERSION: u64 = 1;

/// The part of a report that is explained.
#[derive(Serialize)]
struct Part<'a> {
    id: &'a str,
    command: &'a [String],
    policy: &'a str,
    verdict: &'a Verdict,
    limits_hit: &'a [LimitHit],
    /// The layers that did not wholly hold.
    degraded: Vec<&'a Control>,
    refusals: &'a [Refusal],
    refusals_dropped: u64,
    network: Option<&'a NetworkReport>,
    files: Option<&'a FilesReport>,
    path_refusals: Option<&'a [PathRefusal]>,
    notes: &'a [String],
}

pub(crate) fn explain(args: &Explain) -> Result<u8, Failure> {
    let report = read(&args.report, !args.json)?;
    let part = Part {
        id: &report.id,
        command: &report.command,
        policy: &report.policy,
        verdict: &report.verdict,
        limits_hit: &report.limits_hit,
        degraded: report.enforcement.iter().filter(|control| control.holding != Holding::Yes).collect(),
        refusals: &report.refusals,
        refusals_dropped: report.refusals_dropped,
        network: report.network.as_ref(),
        files: report.files.as_ref(),
        path_refusals: report.path_refusals.as_deref(),
        notes: &report.notes,
    };
    let text = if args.json {
        let json = serde_json::to_string_pretty(&part);
        json.map_err(|e| Failure::message(format!("cannot write it: {e}"), "this is a defect of Lazaret"))? + "\n"
    } else {
        text::text(&part)
    };
    message::print(&text)?;
    Ok(0)
}

/// The report at `path`; `shown`: its texts are for a terminal.
fn read(path: &Path, shown: bool) -> Result<Report, Failure> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let cannot = |error: &std::io::Error| {
        Failure::message(
            format!("cannot read the report from {name}: {error}"),
            "name a file that `lazaret run --report` wrote",
        )
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
    };
    read.map_err(|e| cannot(&e))?;
    parse(&text, &name, shown)
}

/// Reads a report of this version, with whatever fields a later program added to it.
fn parse(text: &str, name: &str, shown: bool) -> Result<Report, Failure> {
    let no_report = |what: String| {
        Failure::message(
            format!("{name} is not a report: {what}"),
            "give a file that `lazaret run --report` wrote, whole",
        )
    };
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|e| no_report(e.to_string()))?;
    let form = value.get("schema").and_then(serde_json::Value::as_str).and_then(|schema| schema.strip_prefix(FORM));
    match form.and_then(|version| version.parse::<u64>().ok()) {
        None => return Err(no_report(format!("its field `schema` is not `{FORM}` and a number"))),
        Some(version) if version > VERSION => {
            return Err(Failure::message(
                format!("{name} is a report of version {version}, and this program reads version {VERSION}"),
                "use the `lazaret` that wrote it, or a newer one",
            ));
        }
        Some(_) => {}
    }
    if shown {
        text::on_one_line(&mut value);
    }
    serde_json::from_value(value).map_err(|e| no_report(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_report_is_told_from_what_is_none() {
        let says = |text: &str| format!("{:?}", parse(text, "`r`", false).expect_err("no report of this version"));

        assert!(says(r#"{"schema":"lazaret.report/2"}"#).contains("version 2, and this program reads version 1"));
        for text in ["", "{", "[]", "{}", r#"{"schema":"oci/1"}"#, r#"{"schema":1}"#] {
            assert!(says(text).contains("not a report"), "{text}");
        }
        assert!(says(r#"{"schema":"lazaret.report/1"}"#).contains("missing field"));
    }
}
