//! The rule by which files become directories.

use super::LearnedPath;
use crate::learn::evidence::Evidence;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// A directory of which so many children are used is shown as a whole.
pub const FOLD_AT: usize = 8;

/// The rule in words.
pub const RULE: &str = "shown as a whole are: a package's own directory (right in share, lib or libexec of /usr or \
    /usr/local, or in lib's directory of the architecture) when anything in it is used; a directory that was listed; a \
    directory of which 8 children or more are used. Never: /, what lies right in it, /usr/share, /usr/local and what \
    lies right in it, /var/lib, /var/cache, /var/log, /var/spool, /var/tmp, /var/mail, and homes";

/// A path that is to be shown.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// It is a directory that was listed.
    pub(super) whole: bool,
    /// It is a directory that was looked at alone, which exists in the jail when anything in it is shown.
    pub(super) looked: bool,
    pub(super) evidence: Evidence,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { whole: false, looked: true, evidence: Evidence::default() }
    }
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) shown: Vec<LearnedPath>,
    /// Directories that were listed and are never shown whole.
    pub(super) too_wide: Vec<(PathBuf, Evidence)>,
}

/// Folds `leaves`. A directory that was only looked at is left out: it is there when anything in it is, and to show all of
/// it for that would be too much.
pub(super) fn fold(leaves: BTreeMap<PathBuf, Leaf>) -> Folded {
    let mut folded = Folded::default();
    let mut shown: BTreeMap<PathBuf, LearnedPath> = BTreeMap::new();
    for (path, leaf) in leaves {
        let root = package(&path);
        if leaf.whole && is_wide(&path) {
            folded.too_wide.push((path, leaf.evidence));
        } else if root.is_some() || !leaf.looked {
            let at = root.unwrap_or_else(|| path.clone());
            let whole = leaf.whole || at != path;
            let new = || LearnedPath { path: at.clone(), folded: None, evidence: Evidence::default() };
            let entry = shown.entry(at.clone()).or_insert_with(new);
            if whole {
                *entry.folded.get_or_insert(0) += 1;
            }
            entry.evidence.join_same(&leaf.evidence);
        }
    }
    while fold_once(&mut shown) {}
    drop_covered(&mut shown);
    folded.shown = shown.into_values().collect();
    folded
}

/// Folds the deepest directory that has enough children. Whether there was one.
fn fold_once(shown: &mut BTreeMap<PathBuf, LearnedPath>) -> bool {
    let mut children: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for path in shown.keys() {
        if let Some(parent) = path.parent().filter(|parent| !is_wide(parent) && !shown.contains_key(*parent)) {
            children.entry(parent).or_default().insert(path);
        }
    }
    let full = children.iter().filter(|(_, of)| of.len() >= FOLD_AT);
    let deepest = full.map(|(parent, _)| parent.to_path_buf()).max_by_key(|parent| parent.components().count());
    let Some(parent) = deepest else { return false };
    let parts = take_inside(shown, &parent);
    let mut evidence = Evidence::of(parts.iter().map(|part| &part.evidence));
    let mut settled: Vec<usize> = parts.iter().map(|part| part.evidence.settled).collect();
    settled.sort_unstable();
    // With the eighth it is folded, and the ninth changes nothing.
    evidence.settled = settled.get(FOLD_AT - 1).copied().unwrap_or(evidence.settled);
    shown.insert(parent.clone(), LearnedPath { path: parent, folded: Some(parts.len()), evidence });
    true
}

/// Leaves out what lies in a directory that is shown whole.
fn drop_covered(shown: &mut BTreeMap<PathBuf, LearnedPath>) {
    let whole: Vec<PathBuf> =
        shown.values().filter(|entry| entry.folded.is_some()).map(|entry| entry.path.clone()).collect();
    for root in whole {
        let Some(mut entry) = shown.remove(&root) else { continue };
        let settled = entry.evidence.settled;
        for part in take_inside(shown, &root) {
            entry.evidence.join(&part.evidence);
        }
        entry.evidence.settled = settled;
        shown.insert(root, entry);
    }
}

fn take_inside(shown: &mut BTreeMap<PathBuf, LearnedPath>, root: &Path) -> Vec<LearnedPath> {
    let inside: Vec<PathBuf> = shown.keys().filter(|path| path.starts_with(root)).cloned().collect();
    inside.iter().filter_map(|path| shown.remove(path)).collect()
}

/// The directory of a package of its own that `path` lies in.
fn package(path: &Path) -> Option<PathBuf> {
    let parts: Vec<&str> = path.components().map(|part| part.as_os_str().to_str().unwrap_or("\u{fffd}")).collect();
    let prefix = match parts.as_slice() {
        ["/", "usr", "local", ..] => 3,
        ["/", "usr", ..] => 2,
        _ => return None,
    };
    let rest = &parts[prefix..];
    let depth = match rest {
        ["lib" | "lib64", architecture, _, ..] if architecture.contains("-linux-") => 3,
        ["share" | "libexec" | "lib" | "lib64", _, ..] => 2,
        _ => return None,
    };
    // A file right there is in no package's directory.
    (rest.len() > depth).then(|| parts[..prefix + depth].iter().collect())
}

/// Whether a directory holds more than one package's own, or somebody's own, and is never shown whole.
fn is_wide(path: &Path) -> bool {
    let parts: Vec<&str> = path
        .components()
        .filter(|part| *part != Component::RootDir)
        .map(|part| part.as_os_str().to_str().unwrap_or("\u{fffd}"))
        .collect();
    matches!(
        parts.as_slice(),
        [] | [_]
            | ["usr", "share" | "local"]
            | ["usr", "local", _]
            | ["var", "lib" | "cache" | "log" | "spool" | "tmp" | "mail"]
            | ["home", _]
    )
}
