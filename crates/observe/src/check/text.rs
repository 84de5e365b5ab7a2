//! The outcome for people.

use super::stale::{Stale, StaleKind};
use super::{Outcome, Run, RunResult};
use lazaret_policy::{NetworkAct, NetworkRefusal, PathNeed, Refusal};
use std::fmt::Write as _;

/// The outcome in lines. `allow_failures` says that what fails anyway is not held against the policy.
#[must_use]
pub fn summary(outcome: &Outcome, allow_failures: bool) -> String {
    let mut text = String::new();
    for run in &outcome.runs {
        if run.result != RunResult::Passed {
            line(&mut text, &format!("{}: {}", run.file, title(run, allow_failures)));
            for reason in reasons(run) {
                line(&mut text, &format!("  {reason}"));
            }
        }
    }
    did_without(&mut text, outcome);
    if let Some(stale) = &outcome.stale {
        line(&mut text, "");
        stale_lines(&mut text, stale);
    }
    let passed = outcome.runs.iter().filter(|run| run.result == RunResult::Passed).count();
    let verdict = if outcome.passed { "gives all that was needed" } else { "does not give all that is needed" };
    line(&mut text, &format!("{passed} of {} files pass: {} {verdict}", outcome.runs.len(), outcome.policy));
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn title(run: &Run, allow_failures: bool) -> String {
    match run.result {
        RunResult::Passed => "passed".to_owned(),
        RunResult::Needs => "needs what the policy does not give".to_owned(),
        RunResult::FailedUnderPolicy => "fails under the policy, and succeeds without it".to_owned(),
        RunResult::FailedAnyway if allow_failures => "fails, also without the policy (allowed)".to_owned(),
        RunResult::FailedAnyway => "fails, also without the policy".to_owned(),
        RunResult::Error => "could not be run".to_owned(),
    }
}

/// Why a run did not pass, one line each.
pub(super) fn reasons(run: &Run) -> Vec<String> {
    let mut lines: Vec<String> = run.error.iter().cloned().collect();
    lines.extend(run.calls.iter().map(refused));
    if run.calls_dropped > 0 {
        lines.push(format!("{} more refused calls were too many to be recorded", run.calls_dropped));
    }
    lines.extend(run.hosts.iter().map(host));
    lines.extend(run.limits.iter().map(|hit| format!("limit reached: {hit}")));
    lines.extend(run.paths.iter().map(path));
    if let Some(verdict) = run.verdict.as_ref().filter(|verdict| !verdict.is_ok()) {
        lines.push(format!("verdict: {verdict}"));
    }
    if let Some(stderr) = run.stderr.as_ref().filter(|stderr| !stderr.is_empty()) {
        lines.extend(stderr.lines().map(|line| format!("stderr: {line}")));
    }
    lines.extend(run.unseen.iter().map(|what| format!("not seen: {what}")));
    lines
}

fn refused(refusal: &Refusal) -> String {
    let Refusal { call, count, rule, suggestion, .. } = refusal;
    let mut text = format!("refused {count} time(s): {call}");
    let _written = match rule {
        Some(rule) => write!(text, " (by `{rule}`)"),
        None => write!(text, " (by the default)"),
    };
    if let Some(suggestion) = suggestion {
        let _written = write!(text, "; to allow it: {suggestion}");
    }
    text
}

fn host(refusal: &NetworkRefusal) -> String {
    let NetworkRefusal { act, name, address, port, request, reason, suggestion, count } = refusal;
    let act = match act {
        NetworkAct::Resolve => "the name",
        NetworkAct::Connect => "a connection to",
        NetworkAct::Bind => "an own address",
        NetworkAct::Listen => "a server at",
        NetworkAct::Request => "the request",
    };
    let place = request.as_ref().or(name.as_ref()).or(address.as_ref()).map_or("", String::as_str);
    let port = port.filter(|_| request.is_none()).map_or_else(String::new, |port| format!(", port {port}"));
    let hint = suggestion.as_ref().map(|line| format!("; to allow it: {line}")).unwrap_or_default();
    format!("refused {count} time(s): {act} {place}{port} ({reason}){hint}")
}

fn path(need: &PathNeed) -> String {
    let PathNeed { path, call, why, suggestion, .. } = need;
    let hint = suggestion.as_ref().map(|line| format!("; to give it: {line}")).unwrap_or_default();
    format!("path {path} ({call}): {why}{hint}")
}

/// How many of a kind are listed.
const LISTED: usize = 20;

/// What successful runs tried and did not get, over all of them.
fn did_without(text: &mut String, outcome: &Outcome) {
    let passed = || outcome.runs.iter().filter(|run| run.result == RunResult::Passed);
    let mut paths: Vec<(&str, &str)> =
        passed().flat_map(|run| &run.paths).map(|need| (need.path.as_str(), need.why.as_str())).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut silent: Vec<(&str, &str)> = outcome
        .runs
        .iter()
        .flat_map(|run| &run.silent)
        .map(|refusal| (refusal.call.as_str(), refusal.rule.as_deref().unwrap_or("the default")))
        .collect();
    silent.sort_unstable();
    silent.dedup();
    if !silent.is_empty() {
        let calls: Vec<String> = silent.iter().map(|(call, rule)| format!("{call} (`{rule}`)")).collect();
        line(text, &format!("refused in silence, as the policy intends: {}", calls.join(", ")));
    }
    if !paths.is_empty() {
        line(text, "paths that successful runs looked for and did without:");
        for (path, why) in paths.iter().take(LISTED) {
            line(text, &format!("  {path}: {why}"));
        }
        if paths.len() > LISTED {
            line(text, &format!("  and {} more; --json names them", paths.len() - LISTED));
        }
    }
}

fn stale_lines(text: &mut String, stale: &[Stale]) {
    let (groups, unused): (Vec<&Stale>, Vec<&Stale>) = stale.iter().partition(|stale| stale.kind == StaleKind::Group);
    if unused.is_empty() {
        line(text, "no rule is stale");
    } else {
        line(text, "no run used:");
    }
    for Stale { kind, what, source, .. } in unused {
        let kind = match kind {
            StaleKind::Allow => "allow",
            StaleKind::Silent => "silent",
            StaleKind::Group => "group",
            StaleKind::Read => "read",
            StaleKind::Cow => "cow",
            StaleKind::Device => "devices",
            StaleKind::Setting => "setting",
        };
        line(text, &format!("  {kind} {what} ({source})"));
    }
    for Stale { what, source, unused, .. } in groups {
        line(text, &format!("of {what} ({source}) no run used {}", unused.join(", ")));
    }
    line(text, "");
}
