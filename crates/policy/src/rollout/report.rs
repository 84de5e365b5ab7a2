//! What a report says of a rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::Refusal;
use crate::verdict::LimitHit;

/// In which mode a job ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum RolloutReport {
    /// The policy has no rollout: it was enforced.
    #[default]
    None,
    /// The job was among those for which the new policy is enforced.
    Enforced(Trial),
    /// The job ran under the old policy, and the new one looked on.
    Shadow(Shadow),
}

/// How a job came to its mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// The new policy's name.
    pub policy: String,
    /// The old policy's name; `none` when there is none.
    pub old: String,
    /// The hash of the job's key, which decided: 16 hexadecimal digits.
    pub key_hash: String,
    /// The share of jobs for which the new policy is enforced, such as `5%`.
    pub share: String,
    /// Where that share was set: the policy or the file that it names, with the line.
    pub share_from: String,
}

/// A job in shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shadow {
    /// How it came to its mode.
    #[serde(flatten)]
    pub trial: Trial,
    /// Whether everything was seen. If not, `unseen` says what was not.
    pub complete: bool,
    /// What could not be observed, for people.
    pub unseen: Vec<String>,
    /// System calls that were made and that the new policy would have refused, equal ones counted together.
    pub would_refuse: Vec<Refusal>,
    /// Such calls that were too many to be recorded.
    pub would_refuse_dropped: u64,
    /// Paths that the job used and that the new policy does not show, or not in that way.
    pub would_refuse_paths: Vec<PathNeed>,
    /// Such paths that were too many to be recorded.
    pub would_refuse_paths_dropped: u64,
    /// Limits of the new policy that the job would have run into.
    pub would_hit: Vec<LimitHit>,
    /// Settings in which the two policies differ otherwise, and which the job was seen to use.
    pub would_differ: Vec<String>,
}

/// A path that was named by a call and that a policy does not give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathNeed {
    /// The path in the jail; bytes that do not print are written `\xNN`.
    pub path: String,
    /// What for.
    pub access: PathAccess,
    /// The first call that named it.
    pub call: String,
    /// Why the policy does not give it.
    pub why: String,
    /// How many such calls there were.
    pub count: u64,
    /// What to write to give it. Null: nothing can, or it is not to be given.
    pub suggestion: Option<String>,
}

/// What a path is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathAccess {
    /// To be read or looked at.
    Read,
    /// To be changed, made or removed.
    Write,
    /// To be executed.
    Execute,
}
