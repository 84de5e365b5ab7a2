//! From paths that were seen to what a policy shows.

mod fold;
#[cfg(test)]
mod tests;

use super::evidence::Evidence;
use crate::record::{Access, PathFact, PathKind};
use lazaret_policy::{Policy, ProcView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use fold::{FOLD_AT, RULE};

/// A path, of whatever session, with what speaks for it.
#[derive(Debug, Clone)]
pub(crate) struct Sighting<'a> {
    pub(crate) fact: &'a PathFact,
    pub(crate) evidence: Evidence,
}

/// What is to be shown, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LearnedPaths {
    /// Host paths to read, in order.
    pub read: Vec<LearnedPath>,
    /// Devices beside those that are always there.
    pub devices: Vec<LearnedPath>,
    /// What was needed of `/proc`; none when nothing was.
    pub proc: Option<(ProcView, Evidence)>,
    /// Whether pseudo-terminals were.
    pub pts: Option<Evidence>,
    /// Whether shared memory files were.
    pub shm: Option<Evidence>,
    /// Whether fonts were.
    pub fonts: Option<Evidence>,
    /// Whether `/usr/lib/locale` was.
    pub locale: Option<Evidence>,
    /// What was needed and cannot be given, with why not.
    pub refused: Vec<Refused>,
    /// Paths that were looked for and are not there, in order.
    pub absent: Vec<LearnedPath>,
}

/// A path with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedPath {
    /// The path.
    pub path: PathBuf,
    /// How many of its children were used, when they were folded into it.
    pub folded: Option<usize>,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// A path that the policy cannot give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The path.
    pub path: PathBuf,
    /// Why it cannot, and what can be done.
    pub why: &'static str,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// Shown always, or made of the jail's own: docs/policy.md, `[files]`.
const JAILS_OWN: [&str; 14] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/fd",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    // Where there is a network; the host's would name servers that are not reached.
    "/etc/resolv.conf",
];

/// What `fonts = true` shows: docs/policy.md.
const FONTS: [&str; 6] = [
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/fontconfig",
    "/etc/fonts",
    "/var/cache/fontconfig",
    "/var/lib/ghostscript/fonts",
];

/// What becomes of a path.
enum Place {
    /// Nothing need be done.
    Own,
    Proc(ProcView),
    Pts,
    Shm,
    Fonts,
    Locale,
    Device,
    Refused(&'static str),
    Shown,
}

/// What `sightings` need beyond what `base` shows.
pub(crate) fn learned(sightings: &[Sighting<'_>], base: Option<&Policy>) -> LearnedPaths {
    let mut learned = LearnedPaths::default();
    let mut shown: BTreeMap<PathBuf, fold::Leaf> = BTreeMap::new();
    let mut refused: BTreeMap<PathBuf, (&'static str, Evidence)> = BTreeMap::new();
    let mut devices: BTreeMap<PathBuf, Evidence> = BTreeMap::new();
    let mut absent: BTreeMap<PathBuf, Evidence> = BTreeMap::new();
    for sighting in sightings {
        if sighting.fact.kind == PathKind::Absent {
            note(&mut absent, Path::new(&sighting.fact.path), &sighting.evidence);
        }
        for (path, kind, access) in steps(sighting.fact) {
            match place(path, kind, access) {
                Place::Own => {}
                Place::Proc(view) => {
                    let known = learned.proc.get_or_insert_with(|| (view, Evidence::default()));
                    if known.0 != view && view == ProcView::Full {
                        *known = (view, known.1.clone());
                    }
                    known.1.join_same(&sighting.evidence);
                }
                Place::Pts => learned.pts.get_or_insert_default().join_same(&sighting.evidence),
                Place::Shm => learned.shm.get_or_insert_default().join_same(&sighting.evidence),
                Place::Fonts => learned.fonts.get_or_insert_default().join_same(&sighting.evidence),
                Place::Locale => learned.locale.get_or_insert_default().join_same(&sighting.evidence),
                Place::Device => note(&mut devices, path, &sighting.evidence),
                Place::Refused(why) => {
                    refused
                        .entry(path.to_owned())
                        .or_insert_with(|| (why, Evidence::default()))
                        .1
                        .join_same(&sighting.evidence);
                }
                Place::Shown => {
                    let leaf = shown.entry(path.to_owned()).or_default();
                    leaf.whole |= kind == PathKind::Directory && access != Access::Look;
                    leaf.looked &= kind == PathKind::Directory && access == Access::Look;
                    leaf.evidence.join_same(&sighting.evidence);
                }
            }
        }
    }
    let covered = |path: &Path| base.is_some_and(|base| shows(base, path));
    shown.retain(|path, _| !covered(path));
    devices.retain(|path, _| !base.is_some_and(|base| base.files.devices.iter().any(|d| d.value.path == *path)));
    let folded = fold::fold(shown);
    learned.read = folded.shown;
    for (path, evidence) in folded.too_wide {
        let why = "a directory that holds more than the program's own is not shown as a whole";
        refused.entry(path).or_insert((why, evidence));
    }
    learned.refused = refused.into_iter().map(|(path, (why, evidence))| Refused { path, why, evidence }).collect();
    learned.devices = plain(devices);
    learned.absent = plain(absent);
    without_base(&mut learned, base);
    learned
}

fn note(into: &mut BTreeMap<PathBuf, Evidence>, path: &Path, evidence: &Evidence) {
    into.entry(path.to_owned()).or_default().join_same(evidence);
}

fn plain(paths: BTreeMap<PathBuf, Evidence>) -> Vec<LearnedPath> {
    paths.into_iter().map(|(path, evidence)| LearnedPath { path, folded: None, evidence }).collect()
}

/// The path itself and everything that it leads through: each link, and what is behind the last.
fn steps(fact: &PathFact) -> impl Iterator<Item = (&Path, PathKind, Access)> {
    let last = fact.leads.len().saturating_sub(1);
    fact.leads.iter().enumerate().map(move |(at, path)| {
        // A link is shown as a link, whatever is done behind it.
        let (kind, access) = if at == last { (fact.kind, fact.access) } else { (PathKind::File, Access::Read) };
        (Path::new(path.as_str()), kind, access)
    })
}

fn place(path: &Path, kind: PathKind, access: Access) -> Place {
    let below = |root: &str| path.starts_with(root);
    let is = |whole: &[&str]| whole.iter().any(|root| path == Path::new(root));
    if is(&JAILS_OWN) || is(&["/", "/tmp", "/dev", "/job"]) && access == Access::Look {
        return Place::Own;
    }
    if below("/proc") {
        return process(path);
    }
    if below("/sys") {
        return Place::Refused("nothing of /sys can be shown");
    }
    if below("/dev/shm") {
        return Place::Shm;
    }
    if below("/dev/pts") || is(&["/dev/ptmx"]) {
        return Place::Pts;
    }
    if below("/dev") {
        return match kind {
            PathKind::Device if !is(&["/dev/tty", "/dev/console"]) => Place::Device,
            _ => Place::Refused("of /dev only character devices can be shown; a job has no controlling terminal"),
        };
    }
    if access == Access::Write {
        return Place::Refused(
            "only /job and /tmp can be written; name a directory under `cow` to let it change a copy",
        );
    }
    if kind == PathKind::Other {
        return Place::Refused("a socket or FIFO of the host leads out of the jail");
    }
    if FONTS.iter().any(|root| below(root)) {
        return Place::Fonts;
    }
    if below("/usr/lib/locale") {
        return Place::Locale;
    }
    if below("/tmp") || below("/job") {
        return Place::Refused("/tmp and /job are the jail's own; give the file as an input");
    }
    Place::Shown
}

/// `/proc` itself and what is about processes is in the minimal view; all else in the full one.
fn process(path: &Path) -> Place {
    let about = path.components().nth(2).map(|part| part.as_os_str().to_string_lossy().into_owned());
    let minimal = match about.as_deref() {
        None | Some("self" | "thread-self") => true,
        Some(name) => name.bytes().all(|byte| byte.is_ascii_digit()),
    };
    Place::Proc(if minimal { ProcView::Minimal } else { ProcView::Full })
}

/// Whether `base` shows the host's `path` at the same place.
fn shows(base: &Policy, path: &Path) -> bool {
    base.files.read.iter().any(|bind| {
        let (host, guest) = (&bind.value.host, &bind.value.guest);
        path.starts_with(guest) && path.strip_prefix(guest).is_ok_and(|rest| host.join(rest) == path)
    })
}

/// Leaves out what the base gives by its keys.
fn without_base(learned: &mut LearnedPaths, base: Option<&Policy>) {
    let Some(files) = base.map(|base| &base.files) else { return };
    let rank = |view: ProcView| ProcView::ALL.iter().position(|known| *known == view);
    if learned.proc.as_ref().is_some_and(|(view, _)| rank(files.proc.value) >= rank(*view)) {
        learned.proc = None;
    }
    for (given, need) in [
        (files.pts.value, &mut learned.pts),
        (files.shm.value, &mut learned.shm),
        (files.fonts.value, &mut learned.fonts),
        (!matches!(files.locale.value.as_str(), "C" | "POSIX"), &mut learned.locale),
    ] {
        if given {
            *need = None;
        }
    }
}
