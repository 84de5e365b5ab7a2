//! The file tree: which path of the host is seen where, and what may be changed.

use super::{Area, Change, Kind, Risk};
use lazaret_policy::{Files, ProcView, Root};
use std::path::{Path, PathBuf};

/// A path of the host that the job sees.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    host: PathBuf,
    guest: PathBuf,
    /// Whether the job may change it, for itself.
    changeable: bool,
}

impl View {
    fn shown(&self) -> String {
        let place = if self.host == self.guest { String::new() } else { format!(" at {}", self.guest.display()) };
        format!("{}{place}", self.host.display())
    }

    /// Whether this view shows all that `other` does, at the same place.
    fn contains(&self, other: &Self) -> bool {
        let within = other.guest.strip_prefix(&self.guest);
        within.is_ok_and(|rest| joined(&self.host, rest) == other.host) && (self.changeable || !other.changeable)
    }
}

fn joined(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) }
}

fn views(files: &Files) -> Vec<View> {
    let read =
        files.read.iter().map(|bind| View { host: bind.host.clone(), guest: bind.guest.clone(), changeable: false });
    let cow = files.cow.iter().map(|cow| View { host: cow.host.clone(), guest: cow.guest.clone(), changeable: true });
    read.chain(cow).collect()
}

/// The view that shows what lies at `guest`: the deepest at or above it.
fn deciding<'a>(views: &'a [View], guest: &Path) -> Option<&'a View> {
    views.iter().filter(|view| guest.starts_with(&view.guest)).max_by_key(|view| view.guest.components().count())
}

/// Whether all that `view` shows is seen in `views`: the view that decides about its place contains it, and none below
/// shows something else there than `view` would.
fn is_covered(view: &View, views: &[View], own: &[View]) -> bool {
    let above = deciding(views, &view.guest).is_some_and(|above| above.contains(view));
    let below = views.iter().filter(|other| other.guest != view.guest && other.guest.starts_with(&view.guest));
    // Below, `own` may show the same itself.
    let mut others = below.filter(|other| !own.iter().any(|same| same.guest == other.guest && same.host == other.host));
    above && others.all(|other| view.contains(other) || other.contains(view))
}

pub(super) fn changes(before: &Files, after: &Files) -> Vec<Change> {
    let mut changes = Vec::new();
    let (first, second) = (views(before), views(after));
    for view in &second {
        if !is_covered(view, &first, &second) {
            let had = deciding(&first, &view.guest);
            let widens = first.iter().any(|old| old.guest.starts_with(&view.guest));
            let (risk, why) = risk(view);
            let old = had.filter(|_| widens || had.is_some_and(|had| had.guest == view.guest));
            let before = old.map_or_else(|| "not seen".to_owned(), described);
            let kind = if widens { Kind::Widened } else { Kind::Added };
            changes.push(change(kind, risk, &view.shown(), &before, &described(view), why));
        }
    }
    for view in &first {
        if !is_covered(view, &second, &first) {
            // One that shows something else now is told above.
            if second.iter().any(|new| new.guest == view.guest && !is_covered(new, &first, &second)) {
                continue;
            }
            let rest = second.iter().any(|new| new.guest.starts_with(&view.guest));
            let kind = if rest { Kind::Narrowed } else { Kind::Removed };
            let after = if rest { "less of it" } else { "not seen" };
            changes.push(change(kind, Risk::None, &view.shown(), &described(view), after, ""));
        }
    }
    changes.extend(root(before, after));
    changes.extend(proc(before, after));
    changes.extend(devices(before, after));
    let switches = [
        ("pseudo-terminals", before.pts.value, after.pts.value, "the kernel's code for terminals is reachable"),
        ("/dev/shm", before.shm.value, after.shm.value, "memory that is shared by name among the job's processes"),
        ("the host's fonts", before.fonts.value, after.fonts.value, "the host's fonts can be read"),
    ];
    for (what, old, new, why) in switches {
        let kind = match (old, new) {
            (false, true) => Kind::Added,
            (true, false) => Kind::Removed,
            _ => continue,
        };
        let (risk, why) = if new { (Risk::Low, why) } else { (Risk::None, "") };
        changes.push(change(kind, risk, what, &old.to_string(), &new.to_string(), why));
    }
    if before.locale.value != after.locale.value {
        changes.push(change(Kind::Changed, Risk::None, "locale", &before.locale, &after.locale, ""));
    }
    // One with `optional` differs in what happens where the host lacks the path, and not in a right.
    changes
}

fn described(view: &View) -> String {
    if view.changeable { "copy-on-write".to_owned() } else { "readable".to_owned() }
}

fn root(before: &Files, after: &Files) -> Option<Change> {
    let (old, new) = (&before.root.value, &after.root.value);
    if old == new {
        return None;
    }
    let (kind, risk, why) = match (old, new) {
        (Root::Directory(_), Root::Host) => (Kind::Narrowed, Risk::None, ""),
        (Root::Host, Root::Directory(_)) => (Kind::Widened, Risk::Medium, "everything in that directory can be read"),
        (Root::Directory(old), Root::Directory(new)) if new.starts_with(old) && new != old => {
            (Kind::Moved, Risk::Medium, "other files lie at every place")
        }
        (Root::Directory(_), Root::Directory(_)) | (Root::Host, Root::Host) => {
            (Kind::Moved, Risk::Medium, "everything in that directory can be read")
        }
    };
    Some(change(kind, risk, "root", &old.to_string(), &new.to_string(), why))
}

fn proc(before: &Files, after: &Files) -> Option<Change> {
    let place = |view: ProcView| ProcView::ALL.iter().position(|known| *known == view);
    let (old, new) = (before.proc.value, after.proc.value);
    let (kind, risk, why) = match place(old).cmp(&place(new)) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => (Kind::Narrowed, Risk::None, ""),
        std::cmp::Ordering::Less if new == ProcView::Full => {
            (Kind::Widened, Risk::Medium, "much of /proc tells about the host")
        }
        std::cmp::Ordering::Less => (Kind::Widened, Risk::Low, "the job's own processes can be seen"),
    };
    Some(change(kind, risk, "/proc", old.name(), new.name(), why))
}

fn devices(before: &Files, after: &Files) -> Vec<Change> {
    let has = |files: &Files, path: &Path| files.devices.iter().any(|device| device.path == path);
    let device = |kind, risk, path: &Path, before: &str, after: &str, why: &str| Change {
        area: Area::Device,
        ..change(kind, risk, &path.display().to_string(), before, after, why)
    };
    let added = after.devices.iter().filter(|device| !has(before, &device.path)).map(|new| {
        device(
            Kind::Added,
            Risk::High,
            &new.path,
            "absent",
            "present",
            "its driver's code and its hardware are reachable",
        )
    });
    let removed = before.devices.iter().filter(|device| !has(after, &device.path));
    added.chain(removed.map(|old| device(Kind::Removed, Risk::None, &old.path, "present", "absent", ""))).collect()
}

/// What a path of the host is worth.
fn risk(view: &View) -> (Risk, &'static str) {
    const PUBLIC: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"];
    const ORDINARY: [&str; 6] =
        ["/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/fonts", "/etc/ssl/certs", "/etc/mime.types"];
    const PRIVATE: [&str; 12] = [
        "/root",
        "/home",
        "/var",
        "/run",
        "/boot",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/etc/sudoers.d",
        "/etc/ssh",
        "/etc/ssl/private",
        "/etc/kubernetes",
    ];
    let beneath = |places: &[&str]| places.iter().any(|place| view.host.starts_with(place));
    if view.changeable {
        (Risk::Medium, "files of the host are seen, and changed for the job")
    } else if beneath(&PUBLIC) || beneath(&ORDINARY) {
        (Risk::Low, "what the distribution installs for everybody")
    } else if [Path::new("/"), Path::new("/etc")].contains(&view.host.as_path()) || beneath(&PRIVATE) {
        (Risk::High, "a place where hosts keep secrets")
    } else {
        (Risk::Medium, "files of the host can be read")
    }
}

fn change(kind: Kind, risk: Risk, what: &str, before: &str, after: &str, why: &str) -> Change {
    Change {
        risk,
        kind,
        area: Area::File,
        what: what.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        why: why.to_owned(),
    }
}
