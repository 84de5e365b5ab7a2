//! What a cause means and what to do about it: one table, all wording in it.

mod table;

use super::cause::{Cause, Circumstances, Container};
use super::feature::{Feature, Group};
use super::trial::Trouble;
use super::{Fix, FixKind, Lack};
use lazaret_policy::signal_name;
use std::io;
use table::TABLE;

/// For which features a row holds. The first row that fits is taken.
enum Of {
    Any,
    In(Group),
    These(&'static [Feature]),
}

/// On which hosts a remedy helps.
enum Where {
    Anywhere,
    /// Outside of containers.
    Host,
    Docker,
    Podman,
    Kubernetes,
    /// Where systemd starts services.
    Systemd,
}

struct Row {
    cause: Cause,
    of: Of,
    /// Why it is missing, behind what was tried.
    means: &'static str,
    remedies: &'static [Remedy],
}

/// `text` is to be typed, or written where `how` says. See [`fill`] for the words in braces.
struct Remedy {
    on: Where,
    kind: FixKind,
    how: &'static str,
    text: &'static str,
}

const fn fix(on: Where, kind: FixKind, how: &'static str, text: &'static str) -> Remedy {
    Remedy { on, kind, how, text }
}

/// Facts that the table's texts name.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// The program for which an AppArmor profile is made.
    pub(super) program: String,
    /// This user's id.
    pub(super) user: String,
    /// The directories in which this user could be given groups.
    pub(super) groups: String,
    /// The command that starts another in a scope.
    pub(super) scope: String,
    /// The name of the controller that is missing.
    pub(super) controller: String,
    /// The group from which it would be handed down.
    pub(super) above: String,
}

/// What is known of the missing `feature`: what was found when it was tried, and what the table says about the cause.
pub(super) fn lack(
    feature: Feature,
    (cause, found, errno): (Cause, String, Option<i32>),
    circumstances: &Circumstances,
    words: &Words,
) -> Lack {
    let row = TABLE.iter().find(|row| row.cause == cause && row.of.holds(feature));
    let fill = |text: &str| fill(text, feature, circumstances, words);
    let fits = |remedy: &&Remedy| remedy.on.fits(circumstances);
    let fixes = row.map_or(&[][..], |row| row.remedies).iter().filter(fits).map(|remedy| Fix {
        kind: remedy.kind,
        how: fill(remedy.how),
        text: fill(remedy.text),
    });
    let means = row.map_or_else(String::new, |row| fill(row.means));
    Lack { cause, errno, reason: format!("{found}: {means}"), fixes: fixes.collect() }
}

/// What was found, in words.
pub(super) fn found(trouble: &Trouble) -> (String, Option<i32>) {
    let words = |errno: &i32| io::Error::from_raw_os_error(*errno).to_string();
    match trouble {
        Trouble::Refused { call, errno } => (format!("{call} fails with `{}`", words(errno)), Some(*errno)),
        Trouble::NotStarted(errno) => (format!("starting a process fails with `{}`", words(errno)), Some(*errno)),
        Trouble::Killed(signal) => {
            let name = signal_name(*signal);
            (format!("whoever tries it is killed by {name}"), None)
        }
        Trouble::Late => ("the kernel did not answer in time".to_owned(), None),
        Trouble::NoEffect => ("the kernel takes it and does not act on it".to_owned(), None),
    }
}

impl Of {
    fn holds(&self, feature: Feature) -> bool {
        match self {
            Self::Any => true,
            Self::In(group) => feature.group() == *group,
            Self::These(features) => features.contains(&feature),
        }
    }
}

impl Where {
    fn fits(&self, circumstances: &Circumstances) -> bool {
        let container = circumstances.container;
        match self {
            Self::Anywhere => true,
            Self::Host => container == Container::None,
            Self::Docker => container == Container::Docker,
            Self::Podman => container == Container::Podman,
            Self::Kubernetes => container == Container::Kubernetes,
            Self::Systemd => container == Container::None && circumstances.systemd,
        }
    }
}

/// Puts facts in place of the words in braces.
fn fill(text: &str, feature: Feature, circumstances: &Circumstances, words: &Words) -> String {
    let modules = circumstances.security_modules.as_deref().unwrap_or("lockdown,yama,integrity,apparmor");
    let facts = [
        ("{program}", words.program.as_str()),
        ("{user}", &words.user),
        ("{groups}", &words.groups),
        ("{scope}", &words.scope),
        ("{controller}", &words.controller),
        ("{above}", &words.above),
        ("{sysctl}", feature.sysctl().unwrap_or_default()),
        ("{device}", feature.device().unwrap_or_default()),
        ("{module}", feature.module()),
        ("{layer}", feature.layer().map_or("", |layer| layer.name())),
        ("{kernel}", &kernel(feature)),
        ("{covered}", &circumstances.covered_proc.join(", ")),
        ("{modules}", modules),
    ];
    facts.iter().fold(text.to_owned(), |text, (word, fact)| text.replace(word, fact))
}

fn kernel(feature: Feature) -> String {
    let since = feature.since();
    match feature.kernel_options() {
        "" => format!("Linux {since} or later"),
        options => format!("Linux {since} or later, built with {options}"),
    }
}

#[cfg(test)]
mod tests;
