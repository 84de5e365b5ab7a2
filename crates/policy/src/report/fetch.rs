//! What was fetched for a job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::FileName;

/// A file that was fetched for the job before it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FetchReport {
    /// Its name in `/job`.
    pub to: FileName,
    /// Where it came from in the end, without the query, in which credentials stand.
    pub url: String,
    /// The address of the server.
    pub address: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its type, as the server said it. Null: it said none.
    pub media_type: Option<String>,
    /// The URLs that led there, without their queries, first one first.
    pub redirects: Vec<String>,
    /// How long it took, microseconds.
    pub duration_us: u64,
}
