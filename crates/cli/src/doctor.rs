//! `lazaret doctor`.

use crate::args::Doctor as Args;
use crate::message::{self, Failure};
use crate::profiles::json;
use lazaret::probe::doctor::{self, Examination, Feature, Finding, Fix, Group, Lack, State};
use lazaret::{Policy, Tier, seccomp};
use serde::Serialize;
use std::fmt::Write as _;

/// Exit status when a policy cannot be enforced here.
const UNENFORCEABLE: u8 = 1;

pub(crate) fn doctor(args: &Args) -> Result<u8, Failure> {
    let policy = match (&args.profile, &args.policy) {
        (Some(name), _) => Some(lazaret::profile(name)?),
        (None, Some(path)) => Some(lazaret::policy_file(path)?),
        (None, None) => None,
    };
    let program = std::env::current_exe().unwrap_or_else(|_unknown| "/usr/local/bin/lazaret".into());
    let examination = doctor::examine(&program);
    let text =
        if args.json { json(&View::new(&examination, policy.as_ref()))? } else { text(&examination, policy.as_ref()) };
    message::print(&text)?;
    let enforceable = policy.is_none_or(|policy| missing(&examination, &policy).is_empty());
    Ok(if enforceable { 0 } else { UNENFORCEABLE })
}

/// What `policy` needs in its tier and this host, or the tier, has not: features of a jail, or layers of tier seccomp.
fn missing(examination: &Examination, policy: &Policy) -> Vec<&'static str> {
    match policy.tier.value {
        Tier::Jail => examination.missing(policy).iter().map(|finding| finding.feature.name()).collect(),
        Tier::Seccomp => {
            let lacks = seccomp::probe::Support::probe().missing(policy);
            let names = lacks.iter().map(|lack| lack.layer.name());
            names.chain(seccomp::plan::unmet(policy).is_err().then_some("tier")).collect()
        }
    }
}

/// Whether the tier that needs no namespace works here.
fn without_namespaces() -> String {
    let policy = lazaret::profile("default").map(|policy| {
        let mut builder = policy.builder();
        builder.tier(Tier::Seccomp, lazaret::Source::option("--tier"));
        builder.build()
    });
    let lacks = policy.map(|policy| seccomp::probe::Support::probe().missing(&policy)).unwrap_or_default();
    if lacks.is_empty() {
        return "\nTier seccomp, which makes no namespaces and needs no rights, works here.\n".to_owned();
    }
    let lacks = lacks.iter().map(|lack| format!("  {}: {}\n  - {}\n", lack.layer, lack.why, lack.fix));
    format!(
        "\nTier seccomp, which makes no namespaces and needs no rights, does not work here:\n{}",
        lacks.collect::<String>()
    )
}

/// What `lazaret doctor --json` prints. A version adds fields at most; a field that changes or goes makes a new one.
///
/// Names of features, groups, layers, states, causes and kinds are in kebab-case; more of them may come.
#[derive(Debug, Serialize)]
struct View<'a> {
    /// `lazaret.doctor/1`.
    schema: &'static str,
    /// Effective ids of this process.
    user: u32,
    group: u32,
    /// Whose ids jobs would have: `root`, each its own, or `rootless`, the caller's.
    mode: lazaret::Mode,
    /// Every feature, in a fixed order.
    findings: Vec<FindingView<'a>>,
    /// Whether the given profile or policy can be enforced. Null: none was given.
    policy: Option<PolicyView<'a>>,
}

/// One feature of the host.
#[derive(Debug, Serialize)]
struct FindingView<'a> {
    feature: &'static str,
    group: &'static str,
    /// The layer of a jail that needs it. Null: none does, or only what some policies ask for.
    layer: Option<&'static str>,
    summary: &'static str,
    /// `works`, `missing`, `untried` (another feature, `behind`, is missing) or `not-applicable`.
    state: &'static str,
    /// An ABI, a place or the like. Empty: nothing beyond the state.
    detail: &'a str,
    /// For `untried`: the feature that is missing.
    behind: Option<&'static str>,
    /// For `missing`: which of the usual causes it has, such as `apparmor`, `call-filter`, `kernel`, `unknown`.
    cause: Option<&'static str>,
    /// For `missing`: the kernel's answer, where it gave one.
    errno: Option<i32>,
    /// For `missing`: what was found and what it means.
    reason: Option<&'a str>,
    /// For `missing`: ways to have it, the best first.
    fixes: Vec<FixView<'a>>,
}

#[derive(Debug, Serialize)]
struct FixView<'a> {
    /// What is changed: `sysctl`, `apparmor`, `boot`, `kernel`, `container`, `service`, `command` or `policy`.
    kind: &'static str,
    /// What to do with `text`.
    how: &'a str,
    /// The exact command, flag, setting or content of a file.
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct PolicyView<'a> {
    name: &'a str,
    enforceable: bool,
    /// The features that it needs and this host lacks; in tier seccomp the layers, and `tier` for what the tier has not.
    missing: Vec<&'static str>,
}

impl<'a> View<'a> {
    fn new(examination: &'a Examination, policy: Option<&'a Policy>) -> Self {
        let policy = policy.map(|policy| {
            let missing = missing(examination, policy);
            PolicyView { name: &policy.name, enforceable: missing.is_empty(), missing }
        });
        let (user, group) = examination.support.ids;
        let findings = examination.findings.iter().map(FindingView::new).collect();
        Self { schema: "lazaret.doctor/1", user, group, mode: examination.support.mode, findings, policy }
    }
}

impl<'a> FindingView<'a> {
    fn new(finding: &'a Finding) -> Self {
        let Finding { feature, state, detail } = finding;
        let lack = lack(finding);
        let fixes = lack.map_or(&[][..], |lack| &lack.fixes);
        Self {
            feature: feature.name(),
            group: feature.group().name(),
            layer: feature.layer().map(|layer| layer.name()),
            summary: feature.summary(),
            state: match state {
                State::Works => "works",
                State::Missing(_) => "missing",
                State::Behind(_) => "untried",
                State::NotApplicable => "not-applicable",
            },
            detail,
            behind: match state {
                State::Behind(other) => Some(other.name()),
                State::Works | State::Missing(_) | State::NotApplicable => None,
            },
            cause: lack.map(|lack| lack.cause.name()),
            errno: lack.and_then(|lack| lack.errno),
            reason: lack.map(|lack| lack.reason.as_str()),
            fixes: fixes.iter().map(|Fix { kind, how, text }| FixView { kind: kind.name(), how, text }).collect(),
        }
    }
}

fn lack(finding: &Finding) -> Option<&Lack> {
    match &finding.state {
        State::Missing(lack) => Some(lack),
        State::Works | State::Behind(_) | State::NotApplicable => None,
    }
}

fn text(examination: &Examination, policy: Option<&Policy>) -> String {
    let mut text = table(examination);
    // What has one explanation is told once.
    let mut lacks: Vec<(Vec<Feature>, &Lack)> = Vec::new();
    for finding in &examination.findings {
        let Some(lack) = lack(finding) else { continue };
        match lacks.iter_mut().find(|(_, known)| *known == lack) {
            Some((features, _)) => features.push(finding.feature),
            None => lacks.push((vec![finding.feature], lack)),
        }
    }
    for (features, lack) in lacks {
        explain(&mut text, &features, lack, examination);
    }
    text.push_str(&without_namespaces());
    if let Some(policy) = policy {
        text.push_str(&judgement(policy, &missing(examination, policy)));
    }
    text
}

fn table(examination: &Examination) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["GROUP", "FEATURE", "HERE", "WHAT"]);
    for group in Group::ALL {
        let mut title = group.name();
        for finding in examination.findings.iter().filter(|finding| finding.feature.group() == *group) {
            let summary = finding.feature.summary();
            let (here, what) = match &finding.state {
                State::Works if finding.detail.is_empty() => ("yes", summary.to_owned()),
                State::Works => ("yes", format!("{summary} ({})", finding.detail)),
                State::Missing(_) => ("NO", summary.to_owned()),
                State::Behind(other) => ("?", format!("{summary} (not tried without {other})")),
                State::NotApplicable => ("-", format!("{summary} ({})", finding.detail)),
            };
            table.add_row([title, finding.feature.name(), here, &what]);
            title = "";
        }
    }
    lines_without_trailing_space(&table.to_string())
}

/// Tables fill their columns to the end.
fn lines_without_trailing_space(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn explain(text: &mut String, features: &[Feature], lack: &Lack, examination: &Examination) {
    let mut add = |line: std::fmt::Arguments<'_>| {
        let written = writeln!(text, "{line}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    };
    let names: Vec<&str> = features.iter().map(|feature| feature.name()).collect();
    add(format_args!("\nmissing: {}", names.join(", ")));
    add(format_args!("  {}", lack.reason));
    let behind: Vec<&str> = examination
        .findings
        .iter()
        .filter(|finding| features.iter().any(|feature| finding.state == State::Behind(*feature)))
        .map(|finding| finding.feature.name())
        .collect();
    if !behind.is_empty() {
        add(format_args!("  not tried without it: {}", behind.join(", ")));
    }
    for Fix { kind: _, how, text } in &lack.fixes {
        add(format_args!("  - {how}:"));
        for line in text.lines() {
            add(format_args!("{}", format!("      {line}").trim_end()));
        }
    }
}

fn judgement(policy: &Policy, missing: &[&str]) -> String {
    match missing {
        [] => format!("\nThe policy `{}` can be enforced here.\n", policy.name),
        names => format!("\nThe policy `{}` cannot be enforced here: {} missing.\n", policy.name, names.join(", ")),
    }
}
