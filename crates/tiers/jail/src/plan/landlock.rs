//! Landlock's rules: the mounts' rights once more, at another place in the kernel.

use super::tree::{Entry, Tree};
use lazaret_sys::landlock::{NETWORK_KNOWN, SCOPE_KNOWN, access};
use std::path::{Path, PathBuf};

/// What Landlock will enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LandlockPlan {
    /// This kernel has none, and the policy degrades the layer.
    Degraded,
    /// A ruleset of this ABI.
    Rules {
        /// The kernel's ABI.
        abi: u32,
        /// Rights that need a rule.
        files: u64,
        /// TCP rights; no rule grants any.
        network: u64,
        /// Scopes; signals and abstract sockets end at the jail's border.
        scope: u64,
        /// What is granted, and where.
        rules: Vec<LandlockRule>,
    },
}

/// Rights beneath a path of the jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandlockRule {
    /// A path in the jail.
    pub path: PathBuf,
    /// The rights, as in `lazaret_sys::landlock::access`.
    pub rights: u64,
}

const READ: u64 = access::READ_FILE | access::READ_DIR | access::EXECUTE;
const FILE: u64 = access::EXECUTE | access::WRITE_FILE | access::READ_FILE | access::TRUNCATE | access::IOCTL_DEV;

impl LandlockPlan {
    pub(crate) fn new(tree: &Tree, abi: u32) -> Self {
        if abi == 0 {
            return Self::Degraded;
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
        // With a loopback interface the job may be its own server: there TCP is bounded by the namespace alone.
        let network = if tree.loopback { 0 } else { network };
        Self::Rules { abi, files, network, scope, rules }
    }
}
