//! What `lazaret plan --json` prints.

use super::super::launch::ListView;
use super::super::rollout::RolloutView;
use lazaret::{Control, LimitKey, Mode};
use lazaret_policy::CallAction;
use serde::Serialize;

/// What `lazaret plan --json` prints. A version adds fields at most; a field that changes or goes makes a new one.
///
/// Sizes are in bytes. `source` is the profile, file and line, or the option that a value comes from, or `every job`.
/// Names are in kebab-case. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Serialize)]
pub(crate) struct View<'a> {
    /// `lazaret.plan/1`.
    pub(crate) schema: &'static str,
    /// Whether `lazaret run` would run it on this host.
    pub(crate) enforceable: bool,
    pub(crate) policy: PolicyView<'a>,
    pub(crate) identity: Identity,
    pub(crate) namespaces: Vec<Namespace>,
    /// The file tree, in the order in which it is made. Nothing else of the host is in it.
    pub(crate) files: Vec<File>,
    /// Optional paths of the policy that this host does not have.
    pub(crate) left_out: Vec<LeftOut>,
    /// How files are used, where the supervisor makes the calls that name them. Empty: the job makes them itself.
    pub(crate) file_calls: Vec<Setting>,
    pub(crate) network: Vec<Setting>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) cgroup: Cgroup,
    pub(crate) filter: Filter<'a>,
    pub(crate) landlock: Landlock,
    pub(crate) environment: Vec<Setting>,
    pub(crate) program: Program,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    /// `empty`, `bytes` or `inherit`.
    pub(crate) stdin: &'static str,
    /// Each control: asked against holding.
    pub(crate) enforcement: Vec<Enforced>,
    /// With `--steps`: every system call of the launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<ListView>>,
    pub(crate) notes: &'a [String],
    /// When the policy is being introduced: which way the job would go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollout: Option<RolloutView>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PolicyView<'a> {
    pub(crate) name: &'a str,
    /// What it extends, base first.
    pub(crate) chain: &'a [String],
    pub(crate) tier: Setting,
    /// The layers that may be missing.
    pub(crate) degrade: Vec<Setting>,
    /// The layers that must hold, whatever the tier.
    pub(crate) require: Vec<Setting>,
}

/// An optional path that is not there.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) path: String,
    pub(crate) source: String,
}

/// A name, a value, and where it comes from.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: String,
}

/// Whose ids the job has.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    pub(crate) mode: Mode,
    /// Ids of the user and group as the job sees them.
    pub(crate) inside: u32,
    /// First and last id of the range out of which the job gets an unused one on the host; as a rootless job it has the
    /// caller's, both are the same.
    pub(crate) outside: [u32; 2],
}

#[derive(Debug, Serialize)]
pub(crate) struct Namespace {
    pub(crate) name: &'static str,
    pub(crate) made: bool,
}

/// Something in the file tree.
#[derive(Debug, Serialize)]
pub(crate) struct File {
    pub(crate) guest: String,
    /// `directory`, `read-only`, `link`, `file`, `device`, `proc`, `masked`, `scratch`, `pts` or `copy-on-write`.
    pub(crate) kind: &'static str,
    /// The host's path, the link's text, the view of /proc, or the size. Empty: nothing.
    pub(crate) of: String,
    pub(crate) source: String,
    /// The policy's reason.
    pub(crate) why: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) key: LimitKey,
    pub(crate) value: String,
    /// What it bounds.
    pub(crate) bounds: &'static str,
    /// Null: no policy sets it.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Rlimit {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) source: String,
}

/// The job's group.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Cgroup {
    /// There is none.
    Degraded { source: String },
    /// A group below each of these directories.
    Limited { version: u8, directories: Vec<GroupDirectory>, settings: Vec<Setting> },
}

#[derive(Debug, Serialize)]
pub(crate) struct GroupDirectory {
    pub(crate) path: String,
    pub(crate) controllers: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Filter<'a> {
    pub(crate) default: CallAction,
    pub(crate) default_source: String,
    /// Instructions of the compiled program.
    pub(crate) instructions: u16,
    /// Whether refused calls are reported to the supervisor.
    pub(crate) supervised: bool,
    /// In order: the last that matches a call decides.
    pub(crate) rules: Vec<Rule<'a>>,
    /// What is refused from the start of the program on, whatever the rules permit.
    pub(crate) refuse_after_start: Vec<Rule<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Rule<'a> {
    pub(crate) rule: &'a str,
    pub(crate) action: CallAction,
    pub(crate) source: String,
    pub(crate) why: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Landlock {
    /// There is none.
    Degraded { source: String },
    /// Whatever no rule grants is refused.
    Rules {
        abi: u32,
        /// Rights over files that need a rule.
        handled: Vec<&'static str>,
        /// Whether TCP bind and connect are refused.
        tcp_refused: bool,
        /// Whether signals and abstract sockets end at the jail's border.
        scoped: bool,
        rules: Vec<LandlockRule>,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct LandlockRule {
    pub(crate) path: String,
    pub(crate) rights: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Program {
    /// Paths in the jail, tried in turn.
    pub(crate) candidates: Vec<String>,
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Input {
    /// Its name in /job.
    pub(crate) name: String,
    /// The host's path. Null: bytes of the caller.
    pub(crate) from: Option<String>,
    /// Null: it cannot be looked at.
    pub(crate) size: Option<u64>,
    pub(crate) problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Output {
    /// Its name in /job.
    pub(crate) name: String,
    /// Where it is put.
    pub(crate) to: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Enforced {
    #[serde(flatten)]
    pub(crate) control: Control,
    /// Whether its absence keeps the job from running.
    pub(crate) refused: bool,
    /// What would make it available. Null: it holds, or the policy goes without.
    pub(crate) fix: Option<String>,
}
