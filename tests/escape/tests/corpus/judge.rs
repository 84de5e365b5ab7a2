//! Whether an effect is to be seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::launch::{self, Ended};
use crate::probe::Effect;
use crate::stage::{Remains, Stage};

/// The files that must stay as they are, before.
pub(crate) struct Before(BTreeMap<&'static str, Option<Vec<u8>>>);

impl Before {
    /// Looks at the files that `effects` speak of.
    pub(crate) fn look(stage: &Stage<'_>, effects: &[Effect]) -> Self {
        let files = effects.iter().filter_map(|effect| match effect {
            Effect::Changed(file) | Effect::Cut(file) => Some(*file),
            _ => None,
        });
        Self(files.chain(ALWAYS).map(|file| (file, fs::read(stage.fill(file)).ok())).collect())
    }

    /// What `file` was and is.
    fn compare(&self, stage: &Stage<'_>, file: &str) -> (Vec<u8>, Vec<u8>) {
        let before = self.0.get(file).cloned().flatten().unwrap_or_default();
        (before, fs::read(stage.fill(file)).unwrap_or_default())
    }

    /// The files that no job may change, and that are changed.
    pub(crate) fn changes(&self, stage: &Stage<'_>, effects: &[Effect]) -> Vec<String> {
        // What is written to its end by right is looked at by its own effect.
        let appended = effects.contains(&Effect::Cut("{target}"));
        let files = ALWAYS.iter().filter(|file| !(appended && **file == "{target}"));
        let changed = files.filter(|file| {
            let (before, now) = self.compare(stage, file);
            before != now
        });
        changed.map(|file| format!("{} was changed", stage.fill(file))).collect()
    }
}

/// Files that every job is watched for.
const ALWAYS: [&str; 4] =
    ["{target}", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness"];

/// A run that is over, and what the outside looked like right after it.
pub(crate) struct Scenery<'s, 'g> {
    pub(crate) stage: &'s Stage<'g>,
    pub(crate) before: &'s Before,
    pub(crate) ended: &'s Ended,
    pub(crate) remains: &'s Remains,
    /// The processes that were alive.
    pub(crate) left: &'s [String],
    /// Whether the host came in.
    pub(crate) came_in: bool,
}

impl Scenery<'_, '_> {
    /// How `effect` shows, if it does.
    pub(crate) fn shows(&self, effect: Effect) -> Option<String> {
        let Self { stage, before, ended, remains, left, came_in } = self;
        let printed = |text: &str| ended.stdout.lines().find(|line| line.contains(text)).map(str::to_owned);
        match effect {
            Effect::Claimed => ended.stdout.lines().find(|line| line.contains("ESCAPED")).map(str::to_owned),
            Effect::SecretShown => (ended.stdout.contains(&stage.secret) || ended.stderr.contains(&stage.secret))
                .then(|| "the secret was printed".to_owned()),
            Effect::Changed(file) => {
                let (before, now) = before.compare(stage, file);
                (before != now).then(|| format!("{} was changed", stage.fill(file)))
            }
            Effect::Cut(file) => {
                let (before, now) = before.compare(stage, file);
                (!now.starts_with(&before)).then(|| format!("{} was cut off", stage.fill(file)))
            }
            Effect::Made(file) => {
                let path = stage.fill(file);
                Path::new(&path).exists().then(|| format!("{path} was made"))
            }
            Effect::OutsideHurt => remains.hurt.clone(),
            Effect::Heard(kind) => {
                remains.heard.iter().find(|line| line.starts_with(&format!("heard {kind} "))).cloned()
            }
            Effect::Printed(text) => printed(text),
            Effect::ProcessLeft => left.first().map(|process| format!("process {process} lives on")),
            Effect::Unending => ended.status.is_none().then(|| format!("it did not end in {:?}", ended.took)),
            Effect::SurroundingsKilled => ended.signal().map(|number| format!("killed by signal {number}")),
            Effect::Signalled(number) => (ended.signal() == Some(number)).then(|| format!("ended by signal {number}")),
            Effect::Exited(code) => (ended.code() == Some(code)).then(|| format!("exited with {code}")),
            Effect::OutputLeaks => output_leaks(stage).then(|| "the output is the secret".to_owned()),
            Effect::OutputBlocks => naive_reader(stage)
                .filter(|ended| ended.status.is_none())
                .map(|_| "whoever reads the output waits for ever".to_owned()),
            Effect::CameIn => came_in.then(|| "the host came in".to_owned()),
        }
    }
}

/// Takes the output as a script would: it reads the file of that name.
fn naive_reader(stage: &Stage<'_>) -> Option<Ended> {
    let output = stage.work().join("out");
    launch::run(Command::new("cat").arg(output), Duration::from_millis(700)).ok()
}

/// The output may change: it is read again and again.
fn output_leaks(stage: &Stage<'_>) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        if naive_reader(stage).is_some_and(|ended| ended.stdout.contains(&stage.secret)) {
            return true;
        }
    }
    false
}
