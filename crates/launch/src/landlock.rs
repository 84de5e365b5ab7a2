//! Landlock's rules, as data.

use std::path::PathBuf;

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
        /// Scopes; signals and abstract sockets end at the job's border.
        scope: u64,
        /// What is granted, and where.
        rules: Vec<LandlockRule>,
    },
}

/// Rights beneath a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandlockRule {
    /// A path as the job sees it.
    pub path: PathBuf,
    /// The rights, as in `lazaret_sys::landlock::access`.
    pub rights: u64,
}
