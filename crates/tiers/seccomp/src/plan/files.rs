//! The policy's files, as Landlock's rules: the same paths, and nothing is put anywhere.

use crate::probe::{SCOPE_ABI, Support};
use lazaret_launch::error::PlanError;
use lazaret_launch::files::{Access, Exec, Processes, RootPlan, Tree};
use lazaret_launch::landlock::{LandlockPlan, LandlockRule};
use lazaret_launch::network::names_by_tcp;
use lazaret_policy::{Policy, ProcView, Source};
use lazaret_sys::landlock::{NETWORK_KNOWN, SCOPE_KNOWN, access};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

const READ: u64 = access::READ_FILE | access::READ_DIR | access::EXECUTE;
const READ_ONE: u64 = access::READ_FILE | access::EXECUTE;
const DEVICE: u64 = access::WRITE_FILE | access::READ_FILE | access::TRUNCATE | access::IOCTL_DEV;

/// Devices that every job may use.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What a job may do with a device. /dev/zero is only read: shared memory without a name is made by a mapping of it that can
/// be written, and nobody could count that.
fn device_rights(device: &Metadata) -> u64 {
    let zero = rustix::fs::makedev(1, 5);
    if device.rdev() == zero { DEVICE & !(access::WRITE_FILE | access::TRUNCATE) } else { DEVICE }
}

type LeftOut = Vec<(PathBuf, Source)>;
type Decided = (LandlockPlan, LeftOut, Vec<RootPlan>);

/// The same, as places that the supervisor opens for the job.
pub(super) fn tree(policy: &Policy, mut roots: Vec<RootPlan>, landlock: &LandlockPlan, place: &Path) -> Tree {
    if policy.files.proc.value == ProcView::Minimal {
        let access = Access { read: true, ..Access::default() };
        roots.push(RootPlan { guest: PathBuf::from("/proc"), access });
    }
    let exec = match landlock {
        LandlockPlan::Rules { .. } => Exec::Held,
        LandlockPlan::Degraded => Exec::Refused,
    };
    let own = [("/job", place.join("job")), ("/tmp", place.join("tmp"))];
    let files = if policy.network.has_rules() { names(&mut roots) } else { Vec::new() };
    Tree { roots, exec, processes: Processes::Alone, own, files }
}

/// Where a job with a network asks for names, unless the policy names these files themselves.
fn names(roots: &mut Vec<RootPlan>) -> Vec<(PathBuf, String)> {
    let services = "passwd: files\ngroup: files\nhosts: files dns\n".to_owned();
    let files = [("/etc/resolv.conf", names_by_tcp()), ("/etc/nsswitch.conf", services)];
    let mut own = Vec::new();
    for (guest, content) in files.map(|(guest, content)| (PathBuf::from(guest), content)) {
        if !roots.iter().any(|root| root.guest == guest) {
            roots.push(RootPlan { guest: guest.clone(), access: Access { read: true, ..Access::default() } });
            own.push((guest, content));
        }
    }
    own
}

/// Each path with rights of Landlock, once.
fn roots(rules: &[LandlockRule]) -> Vec<RootPlan> {
    let mut roots: Vec<RootPlan> = Vec::with_capacity(rules.len());
    for LandlockRule { path, rights } in rules {
        let has = |right: u64| rights & right != 0;
        let access =
            Access { read: has(access::READ_FILE), write: has(access::WRITE_FILE), execute: has(access::EXECUTE) };
        if !roots.iter().any(|root| root.guest == *path) {
            roots.push(RootPlan { guest: path.clone(), access });
        }
    }
    roots
}

/// The rules, the optional paths that are not there, and the rules as places.
pub(super) fn decide(policy: &Policy, support: &Support, place: &Path) -> Result<Decided, PlanError> {
    let abi = support.landlock.as_ref().copied().unwrap_or(0);
    // Without Landlock the same is decided on, for whoever opens files.
    let files = access::known(abi.max(1));
    let mut left_out = Vec::new();
    let mut rules = Vec::new();
    let mut grant =
        |path: &Path, rights: u64| rules.push(LandlockRule { path: path.to_owned(), rights: rights & files });
    for bind in &policy.files.read {
        let (path, source) = (&bind.host, &bind.source);
        let bad = |problem| PlanError::BadPath { path: path.clone(), asked_by: source.clone(), problem };
        if path == Path::new("/") || ["/proc", "/sys", "/dev"].iter().any(|kernel| path.starts_with(kernel)) {
            return Err(bad("without a file tree of the job's own it cannot be shown"));
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => grant(path, READ),
            Ok(found) if found.is_file() => grant(path, READ_ONE),
            Ok(_) => return Err(bad("it is neither a directory nor a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere shows nothing in a jail either.
                let is_link = path.symlink_metadata().is_ok();
                if !bind.optional && !is_link {
                    return Err(PlanError::MissingPath { path: path.clone(), asked_by: source.clone() });
                }
                left_out.push((path.clone(), source.clone()));
            }
            Err(_) if bind.optional => left_out.push((path.clone(), source.clone())),
            Err(_) => return Err(bad("it cannot be looked at by this user")),
        }
    }
    for device in DEVICES {
        if let Ok(found) = fs::metadata(device) {
            grant(Path::new(device), device_rights(&found));
        }
    }
    for device in &policy.files.devices {
        let path = &device.path;
        match fs::metadata(path) {
            Ok(found) if found.file_type().is_char_device() => grant(path, device_rights(&found)),
            Ok(_) => {
                let problem = "it is no character device";
                return Err(PlanError::BadPath { path: path.clone(), asked_by: device.source.clone(), problem });
            }
            Err(_) => {
                return Err(PlanError::MissingPath { path: path.clone(), asked_by: device.source.clone() });
            }
        }
    }
    let write = files & !(access::MAKE_CHAR | access::MAKE_BLOCK | access::MAKE_SOCK | access::IOCTL_DEV);
    for directory in ["job", "tmp"] {
        grant(&place.join(directory), write);
    }
    let roots = roots(&rules);
    if abi == 0 {
        return Ok((LandlockPlan::Degraded, left_out, roots));
    }
    let network = if abi >= 4 { NETWORK_KNOWN } else { 0 };
    let scope = if abi >= SCOPE_ABI { SCOPE_KNOWN } else { 0 };
    Ok((LandlockPlan::Rules { abi, files, network, scope, rules }, left_out, roots))
}
