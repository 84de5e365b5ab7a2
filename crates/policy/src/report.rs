mod fetch;
mod files;
mod network;
mod refusal;

pub use fetch::FetchReport;
pub use files::{FileRefusal, FilesReport, WorkReport};
pub use network::{
    Connection, ConnectionOutcome, NameReport, NetworkAct, NetworkRefusal, NetworkReport, RequestReport,
};
pub use refusal::{
    ArgumentText, CallPhase, Explanation, FrameText, GroupText, PathCause, PathRefusal, Refusal, ThreadText,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::FileName;
use crate::layer::{Layer, Mode, Tier};
use crate::rollout::RolloutReport;
use crate::verdict::{LimitHit, OutputProblem, Verdict};

/// The version of the report's form. A version adds fields at most; a field that changes or goes makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ReportVersion {
    /// The first.
    #[default]
    #[serde(rename = "lazaret.report/1")]
    V1,
}

/// What became of a job: the verdict, what was enforced, what was used, what came out.
///
/// Times are in microseconds and sizes in bytes. A null number means that this host could not tell. Fields are
/// written in snake_case, names of verdicts, layers, limits and the like in kebab-case as in policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this form.
    pub schema: ReportVersion,
    /// The run's name, unique on this host, also part of its cgroup's name.
    pub id: String,
    /// The command and its arguments. Bytes that are not UTF-8 are replaced.
    pub command: Vec<String>,
    /// The policy's name.
    pub policy: String,
    /// The tier that ran it.
    pub tier: Tier,
    /// Who started the jail.
    pub mode: Mode,
    /// How the job ended.
    pub verdict: Verdict,
    /// The exit status of `lazaret run` for this verdict.
    pub exit_status: u8,
    /// Every limit that the job ran into, also those that did not end it.
    pub limits_hit: Vec<LimitHit>,
    /// What the job used.
    pub usage: Usage,
    /// Where Lazaret's own time went.
    pub phases: Phases,
    /// Each control: what the policy asked for and what held.
    pub enforcement: Vec<Control>,
    /// What came through standard output and standard error.
    pub streams: Streams,
    /// The wanted outputs, in the order of the job.
    pub outputs: Vec<OutputReport>,
    /// What the job changed in copy-on-write views.
    pub changes: Vec<Change>,
    /// System calls that were refused, equal ones counted together.
    pub refusals: Vec<Refusal>,
    /// Refusals that were too many to be recorded.
    pub refusals_dropped: u64,
    /// The files that were fetched for the job before it started.
    #[serde(default)]
    pub fetched: Vec<FetchReport>,
    /// What the job did by its network. Null: the policy gives it none.
    #[serde(default)]
    pub network: Option<NetworkReport>,
    /// What became of the job's calls on files, where the supervisor makes them. Null: the job made them itself.
    #[serde(default)]
    pub files: Option<FilesReport>,
    /// Paths that exist outside and that the job asked for in vain. Null: nobody looked (`lazaret run --explain` does).
    #[serde(default)]
    pub path_refusals: Option<Vec<PathRefusal>>,
    /// In which mode the job ran, where a policy is introduced step by step.
    #[serde(default)]
    pub rollout: RolloutReport,
    /// Remarks for people.
    pub notes: Vec<String>,
    /// Captured standard output. Not part of the JSON form.
    #[serde(skip)]
    pub stdout: Vec<u8>,
    /// Captured standard error. Not part of the JSON form.
    #[serde(skip)]
    pub stderr: Vec<u8>,
}

impl Report {
    /// The JSON Schema (draft 2020-12) of the JSON form, checked in as `schema/report.json`.
    pub fn json_schema() -> schemars::Schema {
        let mut settings = schemars::generate::SchemaSettings::draft2020_12();
        settings.contract = schemars::generate::Contract::Serialize;
        let mut schema = settings.into_generator().into_root_schema_for::<Self>();
        schema.insert("title".to_owned(), "Lazaret job report, version 1".into());
        schema
    }

    /// The pretty-printed text of [`Report::json_schema`], with a newline at its end.
    pub fn json_schema_text() -> String {
        format!("{:#}\n", Self::json_schema().to_value())
    }
}

/// What the job used. Null: this host could not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Wall-clock time from the start of the command to its end, microseconds.
    pub wall_us: u64,
    /// Processor time in user mode of all processes, microseconds.
    pub user_us: u64,
    /// Processor time in the kernel of all processes, microseconds.
    pub system_us: u64,
    /// The most memory held at once, bytes.
    pub peak_memory: Option<u64>,
    /// The most processes and threads alive at once.
    pub processes: Option<u64>,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
}

/// Where Lazaret's own time went, microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// Resolving the policy to a plan.
    pub plan_us: u64,
    /// Building the jail, up to the command's `execve`, as far as it was not built ahead.
    pub setup_us: u64,
    /// The steps of the set-up.
    pub setup_steps: Vec<StepTime>,
    /// From the command's `execve` to its end.
    pub run_us: u64,
    /// Taking the outputs.
    pub collect_us: u64,
    /// Throwing the jail away.
    pub teardown_us: u64,
}

/// How long one step of the set-up took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepTime {
    /// The step.
    pub name: String,
    /// Microseconds.
    pub us: u64,
    /// Whether it was done before there was a job, and so is no part of `setup_us`.
    pub ahead: bool,
}

/// One control: asked against holding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// The control.
    pub layer: Layer,
    /// What the policy asks of it.
    pub asked: String,
    /// Whether it held.
    pub holding: Holding,
    /// What is done, exactly.
    pub detail: String,
    /// Why it does not hold, or not wholly. Null: it holds.
    pub why_not: Option<String>,
    /// Where the policy asked for it, or asked to go without.
    pub source: String,
}

/// Whether a control holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Holding {
    /// All that was asked.
    Yes,
    /// Nothing of it; the policy agreed to that by name.
    No,
    /// Some of it; the policy agreed to that by name.
    Partly,
}

/// What came through the standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Streams {
    /// Standard output.
    pub stdout: StreamReport,
    /// Standard error.
    pub stderr: StreamReport,
}

/// One standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StreamReport {
    /// Bytes passed on or kept.
    pub bytes: u64,
    /// Whether there was more, cut off at the output limit.
    pub truncated: bool,
}

/// One wanted output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputReport {
    /// Its name in `/job`.
    pub name: FileName,
    /// Where it was put. Null: it was not put anywhere.
    pub to: Option<String>,
    /// Its size in bytes. Null: it was not taken.
    pub size: Option<u64>,
    /// The SHA-256 of its content in lower-case hexadecimal. Null: it was not taken.
    pub sha256: Option<String>,
    /// Why it was not taken. Null: it was.
    pub problem: Option<OutputProblem>,
}

/// One change in a copy-on-write view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The path in the jail; bytes that do not print are written `\xNN`.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// The ways in which a path can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// New.
    Added,
    /// Other content or metadata than before.
    Modified,
    /// Gone.
    Deleted,
}

#[cfg(test)]
mod tests;
