//! What a policy shows at a path: asked about paths that a job used, after it is dead. For remarks alone: nothing is
//! decided with it.

#[cfg(test)]
mod tests;

use lazaret_policy::{Policy, ProcView, Root};
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
    let mut left = MOST_LINKS;
    let mut rest: Vec<OsString> = parts(path);
    rest.reverse();
    let mut reached = PathBuf::from("/");
    while let Some(next) = rest.pop() {
        if next == ".." {
            reached.pop();
            continue;
        }
        reached.push(next);
        let host = match place(policy, &reached) {
            Place::Backed { host, .. } => host,
            // No files of the host, and so no links of the host.
            Place::Way | Place::Own | Place::Given => continue,
            Place::Nothing => return Shown::Nothing { at: reached },
        };
        if let Ok(target) = std::fs::read_link(&host)
            && (follow || !rest.is_empty())
        {
            if left == 0 {
                return Shown::Nothing { at: reached };
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
    match place(policy, &reached) {
        Place::Own => Shown::Own,
        Place::Given | Place::Way => Shown::Given,
        Place::Backed { host, writable, by } => Shown::Host { path: host, writable, by },
        Place::Nothing => Shown::Nothing { at: reached },
    }
}

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
    if OWN_FILES.iter().any(|own| Path::new(own) == path) {
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

/// Why `policy` does not give `path` for `need`. `None`: it does, or nothing is there either way.
///
/// Something counts as there when the host has it, looked at as this process's user.
#[must_use]
pub fn lacks(policy: &Policy, path: &Path, follow: bool, need: Need) -> Option<String> {
    match at(policy, path, follow) {
        Shown::Own | Shown::Host { writable: true, .. } => None,
        Shown::Given if need == Need::Change && !path.starts_with("/dev") && !path.starts_with("/proc") => {
            Some("it is the jail's own and cannot be changed".to_owned())
        }
        Shown::Given => None,
        Shown::Host { path: host, by, .. } if need == Need::Change => {
            // What is to be made need not be there; the directory around it has to be.
            let is_there = std::fs::symlink_metadata(&host).is_ok() || host.parent().is_some_and(Path::is_dir);
            is_there.then(|| format!("`{}` is shown read-only", by.display()))
        }
        Shown::Host { .. } => None,
        Shown::Nothing { at: place } => {
            let around = place.parent().unwrap_or(Path::new("/"));
            let is_there = match need {
                Need::See => std::fs::symlink_metadata(&place).is_ok(),
                Need::Change => std::fs::symlink_metadata(&place).is_ok() || around.is_dir(),
            };
            is_there.then(|| {
                if place == path {
                    "it is not shown".to_owned()
                } else {
                    format!("it leads to `{}`, which is not shown", place.display())
                }
            })
        }
    }
}
