//! What a job was refused of its files, where the supervisor opens them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was done of a job's calls that name files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilesReport {
    /// How many calls the supervisor made, or refused.
    pub calls: u64,
    /// The second phase. Null: the policy has none.
    pub work: Option<WorkReport>,
    /// What was refused, equal ones counted together.
    pub refused: Vec<FileRefusal>,
    /// Refusals that were too many to be recorded.
    pub refused_dropped: u64,
}

/// When a job's work began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkReport {
    /// Microseconds after the command's start. Null: it never did, and the job had the files of its first phase to its end.
    pub began_us: Option<u64>,
    /// What began it: `input-opened` or `told`. Null: it never did.
    pub by: Option<String>,
}

/// A call that the policy has refused: not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileRefusal {
    /// The call.
    pub call: String,
    /// Where it led, as far as it was followed; bytes that are no text are escaped.
    pub path: String,
    /// Why.
    pub reason: String,
    /// A line of a policy that would permit it. Null: nothing would, or nothing should.
    pub suggestion: Option<String>,
    /// How often.
    pub count: u64,
}
