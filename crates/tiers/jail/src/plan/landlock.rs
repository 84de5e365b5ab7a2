//! Landlock's rules: the mounts' rights once more, at another place in the kernel.

use super::tree::{Entry, Tree};
use lazaret_launch::landlock::{LandlockPlan, LandlockRule};
use lazaret_sys::landlock::{NETWORK_KNOWN, SCOPE_KNOWN, access};
use std::path::Path;

const READ: u64 = access::READ_FILE | access::READ_DIR | access::EXECUTE;
const FILE: u64 = access::EXECUTE | access::WRITE_FILE | access::READ_FILE | access::TRUNCATE | access::IOCTL_DEV;

pub(crate) fn decide(tree: &Tree, abi: u32) -> LandlockPlan {
    if abi == 0 {
        return LandlockPlan::Degraded;
    }
    let files = access::known(abi);
    let rule = |path: &Path, rights: u64| LandlockRule { path: path.to_owned(), rights: rights & files };
    let write = files & !(access::MAKE_CHAR | access::MAKE_BLOCK | access::IOCTL_DEV);
    let mut rules = vec![rule(Path::new("/"), READ)];
    for entry in &tree.entries {
        match entry {
            Entry::Scratch { guest, .. } | Entry::Cow { guest, .. } => rules.push(rule(guest, write)),
            Entry::Device { guest, .. } => {
                rules.push(rule(guest, FILE & !access::EXECUTE));
            }
            Entry::Pts { guest } => rules.push(rule(guest, READ | access::WRITE_FILE | access::IOCTL_DEV)),
            Entry::Directory { .. }
            | Entry::Bind { .. }
            | Entry::Symlink { .. }
            | Entry::File { .. }
            | Entry::Proc { .. }
            | Entry::Mask { .. } => {}
        }
    }
    let network = if abi >= 4 { NETWORK_KNOWN } else { 0 };
    let scope = if abi >= 6 { SCOPE_KNOWN } else { 0 };
    // With a loopback interface the job may be its own server: there TCP is bounded by the namespace alone. Unless the
    // supervisor makes these calls for the job, who then has none to make.
    let network = if tree.loopback && !tree.names { 0 } else { network };
    LandlockPlan::Rules { abi, files, network, scope, rules }
}
