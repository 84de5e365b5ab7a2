//! What of a policy no run used.

use super::call;
use lazaret::observe::Observed;
use lazaret::view;
use lazaret::{Job, Policy};
use lazaret_filter::{Filter, Rule};
use lazaret_policy::{CallAction, ProcView};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a run used of its policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Use {
    /// Calls by the number of the rule that decided about them.
    calls: BTreeMap<usize, BTreeSet<String>>,
    /// Binds, views and devices, by their paths in the jail.
    entries: BTreeSet<PathBuf>,
    proc: bool,
    pts: bool,
    shm: bool,
    loopback: bool,
}

/// Something of a policy that no run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// What it is.
    pub kind: StaleKind,
    /// The rule's text, the path, or the key.
    pub what: String,
    /// Where the policy says it.
    pub source: String,
    /// Of a group that was used: those of its calls that were not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
}

/// What of a policy can be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaleKind {
    /// A rule under `allow` or `log` that decided about no call.
    Allow,
    /// A rule under `silent` that nothing ran into.
    Silent,
    /// A group that was used in part; for information.
    Group,
    /// An entry of `read`.
    Read,
    /// An entry of `cow`.
    Cow,
    /// An entry of `devices`.
    Device,
    /// A setting under `[files]` or `[net]`.
    Setting,
}

impl Use {
    pub(super) fn of(policy: &Policy, filter: &Filter, job: &Job, observed: &Observed) -> Self {
        let mut used = Self { loopback: observed.loopback, ..Self::default() };
        for (rule, name) in observed.used.keys() {
            if let Some(rule) = rule {
                used.note(*rule, name);
            }
        }
        used.launch(filter);
        for key in observed.paths.keys() {
            used.path(policy, &key.path, key.follow);
        }
        if let Some(program) = job.data().ok().and_then(|data| view::program(policy, Path::new(&data.command))) {
            used.program(policy, &program);
        }
        used
    }

    /// The launch's own exec, which is not noted, is the job's.
    fn launch(&mut self, filter: &Filter) {
        let number = lazaret_filter::Arch::native().and_then(|arch| lazaret_filter::table::number(arch, "execve"));
        let decided = number.and_then(|number| call(number, [0; 6])).and_then(|call| filter.decide(&call).rule);
        if let Some(rule) = decided {
            self.note(rule, "execve");
        }
    }

    /// The rule of that number decided about `call`.
    pub(super) fn note(&mut self, rule: usize, call: &str) {
        self.calls.entry(rule).or_default().insert(call.to_owned());
    }

    /// The entry at `guest` was used.
    pub(super) fn show(&mut self, guest: &Path) {
        self.entries.insert(guest.to_owned());
    }

    pub(super) fn refused(&mut self, filter: &Filter, refusals: &[lazaret_policy::Refusal]) {
        for refusal in refusals {
            let decided = call(refusal.number, refusal.args).and_then(|call| filter.decide(&call).rule);
            if let Some(rule) = decided {
                self.note(rule, &refusal.call);
            }
        }
    }

    fn path(&mut self, policy: &Policy, path: &Path, follow: bool) {
        self.entries.extend(view::through(policy, path, follow));
        self.proc |= path.starts_with("/proc");
        self.shm |= path.starts_with("/dev/shm");
        self.pts |= path.starts_with("/dev/pts") || path == Path::new("/dev/ptmx");
        if path.starts_with("/dev") {
            self.show(path);
        }
    }

    /// What the kernel opens itself: the program, and what it names as its interpreter.
    fn program(&mut self, policy: &Policy, program: &Path) {
        let mut next = Some(program.to_owned());
        for _ in 0..4 {
            let Some(path) = next.take() else { break };
            self.path(policy, &path, true);
            if let view::Shown::Host { path, .. } = view::at(policy, &path, true) {
                next = interpreter(&path);
            }
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        let Self { calls, entries, proc, pts, shm, loopback } = other;
        for (rule, names) in calls {
            self.calls.entry(*rule).or_default().extend(names.iter().cloned());
        }
        self.entries.extend(entries.iter().cloned());
        self.proc |= proc;
        self.pts |= pts;
        self.shm |= shm;
        self.loopback |= loopback;
    }
}

/// What executes a file: the interpreter of a `#!` line, or that of an ELF file. Source: execve(2), elf(5).
fn interpreter(program: &Path) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let file = File::open(program).ok()?;
    let mut head = [0_u8; 256];
    let length = file.read_at(&mut head, 0).ok()?;
    let head = &head[..length];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let word = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
        return std::str::from_utf8(word).ok().map(PathBuf::from);
    }
    if head.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let number = |bytes: &[u8], at: usize, size: usize| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(bytes.get(at..at + size)?);
        Some(u64::from_le_bytes(word))
    };
    let (table, size, count) = (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?);
    for index in 0..count.min(64) {
        let mut header = [0_u8; 56];
        file.read_exact_at(&mut header, table.checked_add(index * size)?).ok()?;
        if number(&header, 0, 4)? == u64::from(PT_INTERP) {
            let length = usize::try_from(number(&header, 32, 8)?).ok().filter(|length| (1..4096).contains(length))?;
            let mut name = vec![0; length];
            file.read_exact_at(&mut name, number(&header, 8, 8)?).ok()?;
            return std::str::from_utf8(name.strip_suffix(b"\0")?).ok().map(PathBuf::from);
        }
    }
    None
}

/// What of `policy` is not in `used`.
pub(super) fn stale(policy: &Policy, used: &Use) -> Vec<Stale> {
    let mut found = Vec::new();
    // Two groups share calls, of which the later one has them decided: what any rule was used for is no news.
    let names: BTreeSet<&String> = used.calls.values().flatten().collect();
    for (number, rule) in policy.system_calls.rules.iter().enumerate() {
        let kind = match rule.value.action {
            CallAction::Allow | CallAction::Log => StaleKind::Allow,
            CallAction::Silent => StaleKind::Silent,
            // What these are for is not to be used.
            CallAction::Trap | CallAction::Kill | CallAction::Refuse => continue,
        };
        let (what, source) = (rule.value.rule.clone(), rule.source.to_string());
        match used.calls.get(&number) {
            None => found.push(Stale { kind, what, source, unused: Vec::new() }),
            Some(_) if kind == StaleKind::Allow => {
                let unused = unused(&what, &names);
                if !unused.is_empty() {
                    found.push(Stale { kind: StaleKind::Group, what, source, unused });
                }
            }
            Some(_) => {}
        }
    }
    let entry = |kind, what: &Path, source: &dyn std::fmt::Display| Stale {
        kind,
        what: view::escape(what),
        source: source.to_string(),
        unused: Vec::new(),
    };
    for bind in &policy.files.read {
        let is_here = !bind.value.optional || bind.value.host.exists();
        if is_here && !used.entries.contains(&bind.value.guest) {
            found.push(entry(StaleKind::Read, &bind.value.guest, &bind.source));
        }
    }
    for cow in policy.files.cow.iter().filter(|cow| !used.entries.contains(&cow.value.guest)) {
        found.push(entry(StaleKind::Cow, &cow.value.guest, &cow.source));
    }
    for device in policy.files.devices.iter().filter(|device| !used.entries.contains(&device.value.path)) {
        found.push(entry(StaleKind::Device, &device.value.path, &device.source));
    }
    let settings = [
        ("files.proc", policy.files.proc.value != ProcView::None && !used.proc, &policy.files.proc.source),
        ("files.pts", policy.files.pts.value && !used.pts, &policy.files.pts.source),
        ("files.shm", policy.files.shm.value && !used.shm, &policy.files.shm.source),
        ("net.loopback", policy.network.loopback.value && !used.loopback, &policy.network.loopback.source),
    ];
    for (name, _, source) in settings.into_iter().filter(|(_, unused, _)| *unused) {
        found.push(entry(StaleKind::Setting, Path::new(name), source));
    }
    found
}

/// The calls of a group that are not among `names`.
fn unused(rule: &str, names: &BTreeSet<&String>) -> Vec<String> {
    let Some(rule) = Rule::parse(rule).ok().filter(|rule| rule.group().is_some()) else { return Vec::new() };
    rule.calls().filter(|call| !names.iter().any(|name| name == call)).map(str::to_owned).collect()
}
