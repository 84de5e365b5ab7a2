//! What recordings come to.

mod groups;

use super::calls::{self, LearnedRule};
use super::evidence::Evidence;
use super::limits::{LearnedLimit, limits};
use super::paths::{self, LearnedPaths};
use super::saturation::Saturation;
use super::session::{LOCALE, ORDINARY, filter};
use super::siblings::{Offer, offers};
use crate::record::{Answered, Peaks, Recording, Seen, Session};
use lazaret::Policy;
use lazaret_filter::{Action, Arch, Filter, Rule};
use lazaret_policy::CallAction;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// How the policy is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Whether groups replace rules that they cover, at the price of letting more through.
    pub groups: bool,
    /// Whether the siblings of what was seen are let through too.
    pub portable: bool,
    /// What becomes of calls that were not seen.
    pub strictness: Strictness,
}

/// What becomes of calls that were not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strictness {
    /// Of those that the code could make: `log`, `refuse` or `allow`.
    pub possible: CallAction,
    /// Of all others: `refuse` or `kill`. `None`: as the base has it, or `refuse`.
    pub neither: Option<CallAction>,
}

impl Default for Strictness {
    fn default() -> Self {
        Self { possible: CallAction::Log, neither: None }
    }
}

/// What a look into the files adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possibility {
    /// Calls that the code could make and that were not seen, sorted.
    pub calls: Vec<String>,
    /// How many files were looked into.
    pub files: usize,
    /// Files that could not be, with why.
    pub unread: Vec<(String, String)>,
    /// Places that make a call whose number could not be found.
    pub unknown: u64,
}

/// A policy, with what speaks for each part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The command, `{}` standing for a file.
    pub command: String,
    /// The base name of the program.
    pub main: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The locale, of a policy that extends nothing.
    pub locale: &'static str,
    /// The files that were learned from, over all sessions.
    pub files: Vec<String>,
    /// Files that were not learned from, and why.
    pub left_out: Vec<(String, String)>,
    /// Files that were learned from though the program failed.
    pub failed: Vec<(String, String)>,
    /// Rules for system calls.
    pub rules: Vec<LearnedRule>,
    /// What is shown.
    pub paths: LearnedPaths,
    /// Limits.
    pub limits: Vec<LearnedLimit>,
    /// The most that any run used.
    pub peaks: Peaks,
    /// Addresses: as text, what was done with them, names, and the runs.
    pub hosts: Vec<(String, String, Vec<String>, Seen)>,
    /// Names that the DNS was asked for.
    pub names: Vec<(String, Seen)>,
    /// When the last new things came, for each architecture.
    pub saturation: Vec<(String, Saturation)>,
    /// Siblings of what was seen.
    pub offers: Vec<Offer>,
    /// What could happen.
    pub possibility: Option<Possibility>,
    /// What is to be known beside.
    pub notes: Vec<String>,
    /// How it is to be written.
    pub shape: Shape,
    /// The runs of each session.
    pub(crate) sessions: Vec<Range<usize>>,
}

impl Learned {
    /// Whether enough was seen.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.saturation.iter().all(|(_, saturation)| saturation.is_ready())
    }

    /// Whether something was seen in every session, so that it is on every machine.
    pub(crate) fn is_everywhere(&self, seen: &Seen) -> bool {
        self.sessions.iter().all(|runs| seen.iter().any(|run| runs.contains(&run)))
    }
}

/// What `recording` comes to on top of `base`.
#[must_use]
pub fn learned(recording: &Recording, base: Option<&Policy>, shape: Shape) -> Learned {
    let sessions: Vec<&Session> = recording.sessions.iter().collect();
    let covered = base.map_or_else(|| Filter::new(Action::Refuse(1)), filter);
    let seen = Everything::of(&sessions);
    let mut rules = calls::rules(&seen.calls, &covered);
    start(&mut rules, &covered);
    let paths = paths::learned(&seen.paths, base);
    let offers = offers(&rules);
    if shape.groups {
        rules = groups::fold(rules, &seen.calls);
    }
    let peaks = sessions.iter().fold(Peaks::default(), |peaks, session| peaks.max(session.peaks));
    let first = sessions.first();
    let command = first.map_or_else(String::new, |session| session.command.join(" "));
    let program = first.and_then(|session| session.programs.first());
    Learned {
        main: program.map_or_else(String::new, |program| base_name(&program.path)),
        command,
        environment: environment(&sessions, base),
        locale: LOCALE,
        files: sessions.iter().flat_map(|session| session.files.iter().cloned()).collect(),
        left_out: about(&sessions, |session| &session.left_out),
        failed: about(&sessions, |session| &session.failed),
        saturation: saturation(&sessions, &covered, base),
        possibility: possibility(&sessions, &seen, &covered),
        notes: notes(&sessions, &seen),
        limits: limits(&peaks, base),
        hosts: hosts(&sessions),
        names: names(&sessions),
        sessions: ranges(&sessions),
        rules,
        paths,
        peaks,
        offers,
        shape,
    }
}

/// The launch itself: the filter is in force when the command is executed.
fn start(rules: &mut Vec<LearnedRule>, covered: &Filter) {
    let Some(arch) = Arch::native() else { return };
    let Some(nr) = lazaret_filter::table::number(arch, "execve") else { return };
    let call = lazaret_filter::Call { audit_arch: arch.audit(), nr, args: [0; 6] };
    if !covered.decide(&call).action.permits() && !rules.iter().any(|rule| rule.rule == "execve") {
        rules.push(LearnedRule { rule: "execve".to_owned(), evidence: Evidence::default() });
        rules.sort_by(|a, b| a.rule.cmp(&b.rule));
    }
}

/// What was seen in some sessions, with runs counted over all of them.
struct Everything<'a> {
    calls: Vec<calls::Sighting<'a>>,
    paths: Vec<paths::Sighting<'a>>,
}

impl<'a> Everything<'a> {
    fn of(sessions: &[&'a Session]) -> Self {
        let mut everything = Self { calls: Vec::new(), paths: Vec::new() };
        for (session, runs) in sessions.iter().zip(ranges(sessions)) {
            let arch = if session.machine.arch == "aarch64" { Arch::Aarch64 } else { Arch::X86_64 };
            let name = |program: usize| session.programs.get(program).map_or_else(String::new, |p| base_name(&p.path));
            everything.calls.extend(session.calls.iter().map(|fact| {
                let evidence = Evidence::new(shifted(&fact.files, runs.start), fact.by, &name(fact.program));
                calls::Sighting { arch, fact, evidence }
            }));
            everything.paths.extend(session.paths.iter().map(|fact| {
                let evidence = Evidence::new(shifted(&fact.files, runs.start), fact.by, &name(fact.program));
                paths::Sighting { fact, evidence }
            }));
        }
        everything
    }
}

fn ranges(sessions: &[&Session]) -> Vec<Range<usize>> {
    let mut start = 0;
    sessions
        .iter()
        .map(|session| {
            let runs = start..start + session.files.len();
            start = runs.end;
            runs
        })
        .collect()
}

fn shifted(seen: &Seen, by: usize) -> Seen {
    let mut shifted = Seen::default();
    shifted.add(seen, by);
    shifted
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Each architecture by itself: what is new there says nothing about another.
fn saturation(sessions: &[&Session], covered: &Filter, base: Option<&Policy>) -> Vec<(String, Saturation)> {
    let architectures: BTreeSet<&str> = sessions.iter().map(|session| session.machine.arch.as_str()).collect();
    let of = |arch: &str| {
        let sessions: Vec<&Session> = sessions.iter().copied().filter(|session| session.machine.arch == arch).collect();
        let seen = Everything::of(&sessions);
        let files = sessions.iter().map(|session| session.files.len()).sum();
        let rules = calls::rules(&seen.calls, covered);
        let paths = paths::learned(&seen.paths, base);
        let keys = [&paths.pts, &paths.shm, &paths.fonts, &paths.locale].into_iter().flatten();
        let evidence = keys.chain(paths.read.iter().chain(&paths.devices).map(|path| &path.evidence));
        let evidence = evidence.chain(paths.proc.as_ref().map(|(_, evidence)| evidence));
        let nth = |run: usize| run + 1;
        Saturation {
            files,
            last_call: calls::settled(rules.iter().map(|rule| &rule.evidence)).map(nth),
            last_path: calls::settled(evidence).map(nth),
        }
    };
    architectures.into_iter().map(|arch| (arch.to_owned(), of(arch))).collect()
}

fn about(sessions: &[&Session], list: impl Fn(&Session) -> &Vec<crate::record::LeftOut>) -> Vec<(String, String)> {
    sessions.iter().flat_map(|session| list(session).iter().map(|of| (of.file.clone(), of.why.clone()))).collect()
}

/// Variables that the base does not set. The locale's is set by the key `locale`.
fn environment(sessions: &[&Session], base: Option<&Policy>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if base.is_none() {
        all.extend(ORDINARY.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    for session in sessions.iter().rev() {
        all.extend(session.environment.clone());
    }
    match base {
        None => all.retain(|name, value| name != "LANG" || value != LOCALE),
        Some(base) => {
            all.retain(|name, _| !base.environment.iter().any(|variable| variable.value.name == *name));
        }
    }
    all
}

fn possibility(sessions: &[&Session], seen: &Everything<'_>, covered: &Filter) -> Option<Possibility> {
    let all: Vec<_> = sessions.iter().filter_map(|session| session.possible.as_ref()).collect();
    if all.is_empty() {
        return None;
    }
    let made: BTreeSet<&str> = seen.calls.iter().map(|sighting| sighting.fact.call.as_str()).collect();
    let given = |call: &str| {
        let examples = Arch::ALL.into_iter().filter_map(|arch| {
            let nr = lazaret_filter::table::number(arch, call)?;
            Some(lazaret_filter::Call { audit_arch: arch.audit(), nr, args: [0; 6] })
        });
        let rules = covered.rules().iter().filter(|(_, action)| action.permits());
        let bare = rules.filter(|(rule, _)| !rule.is_conditional()).any(|(rule, _)| rule.calls().any(|of| of == call));
        bare && examples.into_iter().all(|example| covered.decide(&example).action.permits())
    };
    let calls: BTreeSet<&String> = all.iter().flat_map(|possible| &possible.calls).collect();
    // What no policy lets through is not a matter of choice.
    let never = |call: &str| call == "clone3" || call.starts_with("io_uring_");
    Some(Possibility {
        calls: calls
            .into_iter()
            .filter(|call| !made.contains(call.as_str()) && !given(call) && !never(call) && call.as_str() != "execve")
            .cloned()
            .collect(),
        files: all.iter().map(|possible| possible.files.len()).sum(),
        unread: all.iter().flat_map(|p| p.unread.iter().map(|of| (of.file.clone(), of.why.clone()))).collect(),
        unknown: all.iter().map(|possible| possible.unknown).sum(),
    })
}

fn notes(sessions: &[&Session], seen: &Everything<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if sessions.iter().any(|session| !session.machine.confined) {
        notes.push("the runs could write wherever this user can: the kernel has no Landlock".to_owned());
    }
    let calls = |answer: Answered| -> Vec<&str> {
        let of = seen.calls.iter().filter(|sighting| sighting.fact.answer == answer);
        of.map(|sighting| sighting.fact.call.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let never = calls(Answered::Never);
    if !never.is_empty() {
        notes.push(format!("tried, and refused as under every policy: {}", never.join(", ")));
    }
    let silenced = calls(Answered::Silenced);
    if !silenced.is_empty() {
        notes.push(format!("tried, and failed silently as the base has it: {}", silenced.join(", ")));
    }
    notes
}

fn hosts(sessions: &[&Session]) -> Vec<(String, String, Vec<String>, Seen)> {
    let mut all: BTreeMap<(String, String), (BTreeSet<String>, Seen)> = BTreeMap::new();
    for (session, runs) in sessions.iter().zip(ranges(sessions)) {
        for fact in &session.hosts {
            let (names, seen) = all.entry((fact.address.clone(), fact.role.clone())).or_default();
            names.extend(fact.names.iter().cloned());
            seen.add(&fact.files, runs.start);
        }
    }
    all.into_iter().map(|((address, role), (names, seen))| (address, role, names.into_iter().collect(), seen)).collect()
}

fn names(sessions: &[&Session]) -> Vec<(String, Seen)> {
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for (session, runs) in sessions.iter().zip(ranges(sessions)) {
        for fact in &session.names {
            all.entry(fact.name.clone()).or_default().add(&fact.files, runs.start);
        }
    }
    all.into_iter().collect()
}

/// Whether `text` lets the call of `sighting` through.
pub(crate) fn lets_through(text: &str, sighting: &calls::Sighting<'_>) -> bool {
    let Ok(rule) = Rule::parse(text) else { return false };
    let filter = Filter::new(Action::Kill).rule(rule, Action::Allow);
    sighting.example().is_some_and(|call| filter.decide(&call).action.permits())
}
