//! Who makes the calls on files, and what is left of the files when the work begins.

use super::settings::change;
use super::{Area, Change, Kind, Risk};
use lazaret_policy::{FilesMode, Outside, Policy, Work};
use std::collections::BTreeSet;

pub(super) fn changes(before: &Policy, after: &Policy) -> Vec<Change> {
    let mut changes = Vec::new();
    changes.extend(mode(before, after));
    changes.extend(outside(before, after));
    changes.extend(begins(before, after));
    changes.extend(left(before, after, "read in work", |work| &work.read));
    changes.extend(left(before, after, "write in work", |work| &work.write));
    changes
}

fn mode(before: &Policy, after: &Policy) -> Option<Change> {
    let mode = |policy: &Policy| policy.files.mode.as_ref().map(|mode| mode.value);
    let (old, new) = (mode(before), mode(after));
    if old == new {
        return None;
    }
    let name = |mode: Option<FilesMode>| mode.map_or("the tier's", FilesMode::name);
    let (kind, risk, why) = match new {
        Some(FilesMode::Brokered) => (Kind::Narrowed, Risk::None, ""),
        Some(FilesMode::Direct) | None => {
            (Kind::Widened, Risk::Medium, "mounts and Landlock alone hold what the job names")
        }
    };
    Some(change(Area::File, kind, risk, "mode", name(old), name(new), why))
}

fn outside(before: &Policy, after: &Policy) -> Option<Change> {
    let outside = |policy: &Policy| policy.files.outside.as_ref().map_or(Outside::Absent, |outside| outside.value);
    let (old, new) = (outside(before), outside(after));
    (old != new).then(|| change(Area::File, Kind::Changed, Risk::None, "outside", old.name(), new.name(), ""))
}

fn begins(before: &Policy, after: &Policy) -> Option<Change> {
    let begins = |policy: &Policy| policy.phases.as_ref().map(|phases| phases.work.begins.value.name());
    let (old, new) = (begins(before), begins(after));
    if old == new {
        return None;
    }
    let (kind, risk, why) = match (old, new) {
        (None, _) => (Kind::Narrowed, Risk::None, ""),
        (_, None) => (Kind::Widened, Risk::Medium, "the job has all of its files while it looks at its input"),
        (_, Some(_)) => (Kind::Changed, Risk::Low, "it is another moment from which on the job has less"),
    };
    let name = |begins: Option<&'static str>| begins.unwrap_or("never");
    Some(change(Area::File, kind, risk, "work begins", name(old), name(new), why))
}

fn left<'a>(
    before: &'a Policy,
    after: &'a Policy,
    name: &'static str,
    of: impl Fn(&'a Work) -> &'a [lazaret_policy::Sourced<std::path::PathBuf>] + Copy,
) -> Vec<Change> {
    // Without phases everything is left: there is nothing to compare with.
    let (Some(before), Some(after)) = (&before.phases, &after.phases) else { return Vec::new() };
    let texts = |work: &'a Work| of(work).iter().map(|path| path.display().to_string()).collect::<BTreeSet<_>>();
    let (old, new) = (texts(&before.work), texts(&after.work));
    let why = "it can be opened while the job looks at its input";
    let added = new.difference(&old).map(|path| change(Area::File, Kind::Added, Risk::Low, name, "", path, why));
    let removed = old.difference(&new).map(|path| change(Area::File, Kind::Removed, Risk::None, name, path, "", ""));
    added.chain(removed).collect()
}
