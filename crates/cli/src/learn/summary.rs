//! What was learned, in a few lines.

use comfy_table::{Table, TableStyle};
use lazaret_observe::learn::{self, Learned, LearnedPath};
use lazaret_observe::record::{Conflict, Origin};
use lazaret_policy::is_printable;

/// So many left-out files are named.
const NAMED: usize = 5;

pub(super) fn summary(learned: &Learned, conflicts: &[Conflict]) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    let files = learned.files.len();
    let mut row = |what: &str, text: String| {
        table.add_row([what.to_owned(), text]);
    };
    row("files", format!("{files} learned from, {} left out", learned.left_out.len()));
    row("system calls", calls(learned));
    row("paths", paths(learned));
    row(
        "addresses",
        format!("{} used, {} names asked for: not in the policy", learned.hosts.len(), learned.names.len()),
    );
    let limits: Vec<String> =
        learned.limits.iter().map(|limit| format!("{} {}", limit.key.name(), limit.value)).collect();
    row("limits", if limits.is_empty() { "as the base has them".to_owned() } else { limits.join(", ") });
    if let Some(possibility) = &learned.possibility {
        let (calls, unknown) = (possibility.calls.len(), possibility.unknown);
        row("possible", format!("{calls} more calls in {} files; {unknown} places unknown", possibility.files));
    }
    for line in learn::saturation_lines(learned) {
        row("saturation", line);
    }
    row("ready", if learned.is_ready() { "yes".to_owned() } else { format!("NO: {}", learn::SATURATION_RULE) });
    let mut text = table.trim_fmt();
    // Names of files and paths are of anybody's choice, and stay on their line.
    let mut add = |line: String| {
        text.push('\n');
        text.extend(line.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }));
    };
    for (file, why) in learned.left_out.iter().take(NAMED) {
        add(format!("left out: {file}: {why}"));
    }
    for (file, why) in learned.failed.iter().take(NAMED) {
        add(format!("failed, and learned from: {file}: {why}"));
    }
    for refused in learned.paths.refused.iter().take(NAMED) {
        add(format!("not to be had: {}: {}", refused.path.display(), refused.why));
    }
    for note in &learned.notes {
        add(format!("note: {note}"));
    }
    for conflict in conflicts {
        add(format!("conflict: {conflict}"));
    }
    text.chars().map(|c| if is_printable(c) || c == '\n' { c } else { '\u{fffd}' }).collect()
}

fn calls(learned: &Learned) -> String {
    let by = |origin: Origin| learned.rules.iter().filter(|rule| rule.evidence.by.contains(&origin)).count();
    format!(
        "{} rules: {} for the program, {} for the loader",
        learned.rules.len(),
        by(Origin::Program),
        by(Origin::Loader)
    )
}

fn paths(learned: &Learned) -> String {
    let folded = |paths: &[LearnedPath]| paths.iter().filter(|path| path.folded.is_some()).count();
    let read = &learned.paths.read;
    format!(
        "{} to read, {} of them folded directories; {} devices; {} not to be had; {} looked for and not there",
        read.len(),
        folded(read),
        learned.paths.devices.len(),
        learned.paths.refused.len(),
        learned.paths.absent.len()
    )
}
