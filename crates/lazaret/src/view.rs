//! What a policy shows at a path: asked about paths that a job used, after it is dead. For remarks alone: nothing is
//! decided with it.

#[cfg(test)]
mod tests;

use lazaret_policy::{Bind, EnvValue, PathAccess, Policy, ProcView, Root, Sourced, Tier};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// What is at a path in the tree that a policy makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Something of the job's own, which it may change.
    Own,
    /// Something of the jail's own or the kernel's, which it may use.
    Given,
    /// What lies at this path of the host; `writable` in a copy-on-write view.
    Host {
        /// The path on the host, without links but for the last component.
        path: PathBuf,
        /// Whether the job may change what it sees of it.
        writable: bool,
        /// The entry of the policy that shows it: its path in the jail.
        by: PathBuf,
    },
    /// Nothing: this is the first path on the way that is not shown.
    Nothing {
        /// The path, after the links on the way.
        at: PathBuf,
    },
}

/// As many links as the kernel follows: path_resolution(7).
const MOST_LINKS: usize = 40;

/// Files of the jail's own in /etc, unless a bind shows the host's.
const OWN_FILES: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"];
/// In every jail's /dev.
const DEVICES: [&str; 9] = ["null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr"];

/// What `policy` shows at the absolute path `path` of the jail. Links on the way are followed as the jail has them, and
/// the last one if `follow`.
#[must_use]
pub fn at(policy: &Policy, path: &Path, follow: bool) -> Shown {
    walk(policy, path, follow).0
}

/// The entries of `policy`, by their paths in the jail, through which `path` leads: several, when there are links.
#[must_use]
pub fn through(policy: &Policy, path: &Path, follow: bool) -> Vec<PathBuf> {
    walk(policy, path, follow).1
}

fn walk(policy: &Policy, path: &Path, follow: bool) -> (Shown, Vec<PathBuf>) {
    if policy.tier.value == Tier::Seccomp {
        return beneath(policy, path, follow);
    }
    let mut left = MOST_LINKS;
    let mut rest: Vec<OsString> = parts(path);
    rest.reverse();
    let mut reached = PathBuf::from("/");
    let mut through = Vec::new();
    while let Some(next) = rest.pop() {
        if next == ".." {
            reached.pop();
            continue;
        }
        reached.push(next);
        let (host, by) = match place(policy, &reached) {
            Place::Backed { host, by, .. } => (host, by),
            // No files of the host, and so no links of the host.
            Place::Way | Place::Own | Place::Given => continue,
            Place::Nothing => return (Shown::Nothing { at: reached }, through),
        };
        if !through.contains(&by) {
            through.push(by);
        }
        if let Ok(target) = std::fs::read_link(&host)
            && (follow || !rest.is_empty())
        {
            if left == 0 {
                return (Shown::Nothing { at: reached }, through);
            }
            left -= 1;
            if target.is_absolute() {
                reached = PathBuf::from("/");
            } else {
                reached.pop();
            }
            rest.extend(parts(&target).into_iter().rev());
        }
    }
    let shown = match place(policy, &reached) {
        Place::Own => Shown::Own,
        Place::Given | Place::Way => Shown::Given,
        Place::Backed { host, writable, by } => Shown::Host { path: host, writable, by },
        Place::Nothing => Shown::Nothing { at: reached },
    };
    (shown, through)
}

/// The same where the job has the host's file tree, and only what the policy names can be opened: links are followed
/// whatever shows them, and what counts is where they lead.
fn beneath(policy: &Policy, path: &Path, follow: bool) -> (Shown, Vec<PathBuf>) {
    let parent = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let whole = if follow { path.canonicalize().ok() } else { None };
    let found = whole.or_else(parent).unwrap_or_else(|| path.to_owned());
    if found.starts_with("/dev") || found.starts_with("/proc") {
        let shown = match place(policy, &found) {
            Place::Given | Place::Way => Shown::Given,
            Place::Own | Place::Backed { .. } | Place::Nothing => Shown::Nothing { at: found },
        };
        return (shown, Vec::new());
    }
    let is_own = found.strip_prefix("/tmp").is_ok_and(|within| within.to_string_lossy().starts_with(OWN_DIRECTORY));
    if is_own || found.starts_with("/job") {
        return (Shown::Own, Vec::new());
    }
    let names = |bind: &&Sourced<Bind>| bind.host.canonicalize().is_ok_and(|host| found.starts_with(host));
    let through: Vec<PathBuf> = policy.files.read.iter().filter(names).map(|bind| bind.guest.clone()).collect();
    match through.first().cloned() {
        Some(by) => (Shown::Host { path: found, writable: false, by }, through),
        None => (Shown::Nothing { at: found }, through),
    }
}

/// How the private directories of jobs begin that have the host's file tree.
const OWN_DIRECTORY: &str = "lazaret-";

fn parts(path: &Path) -> Vec<OsString> {
    let named = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(named).collect()
}

/// Where a path of the jail lies, links aside.
enum Place {
    Own,
    Given,
    /// A directory that is there because something below it is shown.
    Way,
    Backed {
        host: PathBuf,
        writable: bool,
        by: PathBuf,
    },
    Nothing,
}

fn place(policy: &Policy, path: &Path) -> Place {
    let files = &policy.files;
    let below = |directory: &str| path.starts_with(directory);
    if path == Path::new("/") || below("/job") || below("/tmp") || (files.shm.value && below("/dev/shm")) {
        return if path == Path::new("/") { Place::Way } else { Place::Own };
    }
    if let Ok(within) = path.strip_prefix("/proc") {
        return proc(files.proc.value, within);
    }
    if let Ok(within) = path.strip_prefix("/dev") {
        let standard = within.as_os_str().is_empty() || DEVICES.iter().any(|device| within.starts_with(device));
        let terminal = files.pts.value && (within.starts_with("pts") || within == Path::new("ptmx"));
        let device = files.devices.iter().any(|device| device.path == path || device.path.starts_with(path));
        return if standard || terminal || device { Place::Given } else { Place::Nothing };
    }
    let binds = files.read.iter().map(|bind| (&bind.guest, &bind.host, false));
    let views = files.cow.iter().map(|cow| (&cow.guest, &cow.host, true));
    let all: Vec<_> = binds.chain(views).collect();
    let deepest =
        all.iter().filter(|(guest, ..)| path.starts_with(guest)).max_by_key(|(guest, ..)| guest.components().count());
    if let Some((guest, host, writable)) = deepest {
        let within = path.strip_prefix(guest).unwrap_or(Path::new(""));
        let host = if within.as_os_str().is_empty() { (*host).clone() } else { host.join(within) };
        return Place::Backed { host, writable: *writable, by: (*guest).clone() };
    }
    let names = policy.network.has_rules() && path == Path::new("/etc/resolv.conf");
    if names || OWN_FILES.iter().any(|own| Path::new(own) == path) {
        return Place::Given;
    }
    if let Root::Directory(root) = &files.root.value
        && let Ok(within) = path.strip_prefix("/")
        && !below("/sys")
        && std::fs::symlink_metadata(root.join(within)).is_ok()
    {
        return Place::Backed { host: root.join(within), writable: false, by: PathBuf::from("/") };
    }
    let leads = all.iter().any(|(guest, ..)| guest.starts_with(path)) || path == Path::new("/etc");
    if leads { Place::Way } else { Place::Nothing }
}

fn proc(view: ProcView, within: &Path) -> Place {
    let first = within.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
    let is_process = first
        .as_deref()
        .is_none_or(|first| matches!(first, "self" | "thread-self") || first.bytes().all(|byte| byte.is_ascii_digit()));
    match view {
        ProcView::None => Place::Nothing,
        ProcView::Minimal if !is_process => Place::Nothing,
        ProcView::Minimal | ProcView::Full => Place::Given,
    }
}

/// A path as text, with what does not print as `\\xNN`.
#[must_use]
pub fn escape(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    lazaret_policy::escape(path.as_os_str().as_bytes())
}

/// How a path is used, as far as it matters to what a policy gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has to be there.
    See,
    /// It is to be changed, made or removed.
    Change,
}

/// What a policy does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The path that would have to be given: the one that was named, or where a link leads to.
    pub path: PathBuf,
    /// Why it is not given, for people.
    pub why: String,
}

/// Why `policy` does not give `path` for `need`, whether or not something is there. `None`: it does.
#[must_use]
pub fn refuses(policy: &Policy, path: &Path, follow: bool, need: Need) -> Option<Lack> {
    let lack = |place: &Path, why: String| Some(Lack { path: place.to_owned(), why });
    match at(policy, path, follow) {
        Shown::Own | Shown::Host { writable: true, .. } => None,
        Shown::Given if need == Need::Change && !path.starts_with("/dev") && !path.starts_with("/proc") => {
            lack(path, "it is the jail's own and cannot be changed".to_owned())
        }
        Shown::Host { by, .. } if need == Need::Change => lack(path, format!("`{}` is shown read-only", by.display())),
        Shown::Given | Shown::Host { .. } => None,
        Shown::Nothing { at } if path.starts_with(&at) => lack(path, "it is not shown".to_owned()),
        Shown::Nothing { at } => {
            let why = format!("it leads to `{}`, which is not shown", at.display());
            lack(&at, why)
        }
    }
}

/// As [`refuses`], for what the host has, looked at as this process's user; or where, to be changed, it could be made.
#[must_use]
pub fn lacks(policy: &Policy, path: &Path, follow: bool, need: Need) -> Option<Lack> {
    let lack = refuses(policy, path, follow, need)?;
    let host = match at(policy, path, follow) {
        Shown::Host { path, .. } => path,
        _ => lack.path.clone(),
    };
    let is_there = std::fs::symlink_metadata(&host).is_ok();
    let can_be_made = need == Need::Change && host.parent().is_some_and(Path::is_dir);
    (is_there || can_be_made).then_some(lack)
}

/// Whether the smaller view of /proc has it.
fn is_of_a_process(path: &Path) -> bool {
    path.strip_prefix("/proc")
        .is_ok_and(|within| !within.as_os_str().is_empty() && matches!(proc(ProcView::Minimal, within), Place::Given))
}

/// What to write into a policy to give `path` for `need`. `None`: it is not to be given.
#[must_use]
pub fn suggestion(path: &Path, need: Need) -> Option<String> {
    let text = path.to_str()?;
    let own = ["/job", "/tmp", "/sys", "/run"];
    if own.iter().any(|own| path.starts_with(own)) || text.contains(['"', '\\']) {
        return None;
    }
    let is_terminal = path.starts_with("/dev/pts") || matches!(text, "/dev/ptmx" | "/dev/tty");
    Some(match need {
        _ if is_of_a_process(path) => "[files] proc = \"minimal\"".to_owned(),
        _ if path.starts_with("/proc") => "[files] proc = \"full\"".to_owned(),
        _ if path.starts_with("/dev/shm") => "[files] shm = true".to_owned(),
        _ if is_terminal => "[files] pts = true".to_owned(),
        _ if path.starts_with("/dev") => format!("[files] devices = [\"{text}\"]"),
        Need::See => format!("[files] read = [\"{text}\"]"),
        Need::Change => format!("[files] cow = [\"{}\"]", path.parent()?.display()),
    })
}

/// What a path is used for, as it matters here and as reports say it. `None`: `policy` cannot refuse that, whatever the
/// path; a job that has the host's file tree can look at everything in it.
#[must_use]
pub fn need(policy: &Policy, access: lazaret_inspect::PathAccess) -> Option<(Need, PathAccess)> {
    use lazaret_inspect::PathAccess as Inspected;
    if policy.tier.value == Tier::Seccomp && access == Inspected::Metadata {
        return None;
    }
    Some(match access {
        Inspected::Read | Inspected::List | Inspected::Metadata => (Need::See, PathAccess::Read),
        Inspected::Execute => (Need::See, PathAccess::Execute),
        Inspected::Write | Inspected::Create | Inspected::Remove | Inspected::ChangeMetadata => {
            (Need::Change, PathAccess::Write)
        }
    })
}

/// Where `command` is under `policy`, which looks for it in its PATH unless there is a slash in it.
#[must_use]
pub fn program(policy: &Policy, command: &Path) -> Option<PathBuf> {
    if command.components().count() > 1 || command.is_absolute() {
        return Some(Path::new("/job").join(command));
    }
    let path = policy.environment.iter().find(|variable| variable.name == "PATH")?;
    let EnvValue::Set(path) = &path.value.value else { return None };
    let mut candidates = path.split(':').map(|directory| Path::new("/job").join(directory).join(command));
    candidates.find(|path| matches!(at(policy, path, true), Shown::Host { path, .. } if path.is_file()))
}
