//! What a job did by its network, and what it was refused there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a job did by its network. Empty where the policy gives none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NetworkReport {
    /// The connections that the policy permitted, in the order in which they were asked for.
    pub connections: Vec<Connection>,
    /// Those that were too many to be recorded.
    pub connections_dropped: u64,
    /// The requests that were permitted, in the order of their end: where a rule is about requests.
    pub requests: Vec<RequestReport>,
    /// Those that were too many to be recorded.
    pub requests_dropped: u64,
    /// The permitted names that the job asked for, in alphabetical order.
    pub names: Vec<NameReport>,
    /// What was refused, equal ones counted together.
    pub refused: Vec<NetworkRefusal>,
    /// Refusals that were too many to be recorded.
    pub refused_dropped: u64,
}

/// One request that was permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestReport {
    /// What was asked for: method and URL, without its query, in which credentials stand.
    pub request: String,
    /// The rule that permitted it.
    pub rule: String,
    /// Where it was sent. Null: it was not sent, or that is not known.
    pub address: Option<String>,
    /// The status of the answer. Null: there was none.
    pub status: Option<u16>,
    /// Why it failed, or broke off. Null: it did not.
    pub error: Option<String>,
    /// Bytes of its body that were sent on.
    pub sent: u64,
    /// Bytes of the answer's body that the job got.
    pub received: u64,
    /// How long it took, microseconds.
    pub duration_us: u64,
}

/// A permitted name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameReport {
    /// The name.
    pub name: String,
    /// What the job was told: these, for the whole of its life.
    pub addresses: Vec<String>,
    /// Why it could not be resolved, or not wholly. Null: it was, or nothing was found.
    pub error: Option<String>,
}

/// One connection that was permitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The name by which the job found the address. Null: it connected to the address itself.
    pub name: Option<String>,
    /// The address that was connected to.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The rule that permitted it.
    pub rule: String,
    /// What became of it.
    pub outcome: ConnectionOutcome,
    /// Why it failed. Null: it did not, or that is not known.
    pub error: Option<String>,
    /// Bytes that the job sent and the other end confirmed. Null: this host could not tell.
    pub sent: Option<u64>,
    /// Bytes that came for the job. Null: this host could not tell.
    pub received: Option<u64>,
    /// Whether both numbers are of its end. Otherwise they are those of a moment before, and it may have carried more.
    pub exact: bool,
    /// When it was asked for, microseconds after the command's start.
    pub start_us: u64,
    /// How long it lasted, from then on, microseconds. Null: its end is not known.
    pub duration_us: Option<u64>,
}

/// What became of a permitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionOutcome {
    /// It was made.
    Connected,
    /// It was tried, and could not be made.
    Failed,
    /// It was begun by a job that did not wait for it, and what became of it is not known.
    Begun,
}

/// Something that was refused: never tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkRefusal {
    /// What was asked for.
    pub act: NetworkAct,
    /// The name that was asked for, or by which the address was found. Null: none.
    pub name: Option<String>,
    /// The address. Null: none was named.
    pub address: Option<String>,
    /// The port. Null: none was named.
    pub port: Option<u16>,
    /// The request: method and URL, without its query. Null: it was no request.
    #[serde(default)]
    pub request: Option<String>,
    /// Why.
    pub reason: String,
    /// A line of a policy that would permit it. Null: nothing would, or nothing should.
    pub suggestion: Option<String>,
    /// How often.
    pub count: u64,
}

/// What a job asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkAct {
    /// The addresses of a name.
    Resolve,
    /// A connection.
    Connect,
    /// An address of its own for a socket.
    Bind,
    /// To be connected to.
    Listen,
    /// An answer to a request.
    Request,
}
