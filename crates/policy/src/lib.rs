//! Jobs, policies, profiles, verdicts and reports of Lazaret: pure data.
//!
//! This crate performs no I/O, reads no clock and no environment. Files that a policy extends are read by
//! a function that the caller hands to the [`Loader`]; the language of system-call rules is checked by
//! another, so that this crate depends on nothing of Lazaret's.
//!
//! Every value of a [`Policy`] is [`Sourced`]: it knows the profile, file and line, or command-line
//! option that it came from. Nothing has a hidden default: a policy that extends no other sets every scalar.
//!
//! # The policy language
//!
//! TOML with kebab-case keys. [`profiles`] holds complete examples.
//!
//! ```
//! # use std::path::Path;
//! # use lazaret_policy::{Loader, PolicyError};
//! let text = r#"
//! extends = "imagemagick"            # a profile's name, or a file: "./base.toml"
//! degrade = ["cgroup-io"]            # layers that may be missing
//!
//! [files]
//! read = ["/opt/icc", { path = "/srv/fonts", at = "/fonts", optional = true, why = "house style" }]
//! cow = [{ path = "/srv/site", at = "/data" }]
//!
//! [environment]
//! set = { MAGICK_THREAD_LIMIT = "2" }
//! pass = ["TZ"]                      # from the caller, when it is set there
//!
//! [system-calls]                     # the last rule that matches decides
//! silent = [{ rule = "sched_setaffinity", why = "a hint at most" }]
//!
//! [limits]
//! wall = "90s"
//! memory = "3GiB"
//!
//! [remove]                           # out of the base; "*" is all of a list
//! read = ["/etc/localtime"]
//! "#;
//! let policy = Loader::new().text(Path::new("thumbs.toml"), text)?;
//! assert_eq!(policy.chain, ["default", "imagemagick"]);
//! assert_eq!(policy.limits.wall.source.to_string(), "thumbs.toml:17");
//! # Ok::<(), PolicyError>(())
//! ```
//!
//! Scalars replace those of the base. Lists append; an entry of the same guest path, device, variable, layer, or of
//! the same rule and action, replaces the base's. Rules apply in order, the base's first, and within one policy the
//! lists `allow`, `log`, `trap`, `kill`, `refuse`, `silent` in this order, however they are written.
#![forbid(unsafe_code)]

mod builder;
mod check;
mod error;
mod job;
mod layer;
mod limits;
mod load;
mod phase;
mod policy;
pub mod profiles;
mod quantity;
mod report;
mod rollout;
mod source;
mod text;
mod verdict;

pub use builder::PolicyBuilder;
pub use error::{PolicyError, Problem};
pub use job::{FileName, FileNameError, Input, InputFrom, Job, JobError, Output, Stdin};
pub use layer::{Layer, Mode, Tier, UnknownName};
pub use limits::{LimitKey, Limits};
pub use load::{Loader, RuleCheck, RuleProblem};
pub use phase::{Begins, FilePhases, Work};
pub use policy::{
    Bind, Brokered, CallAction, CallRule, Cow, Device, EnvValue, EnvVar, Fetch, Files, FilesMode, HostRule, Network,
    Outside, Policy, ProcView, Root, SystemCalls, Until,
};
pub use quantity::{
    Bytes, ConnectionLimit, CountLimit, Cpus, DiskLimit, FileSizeLimit, IoRate, MemoryLimit, OpenFilesLimit,
    OutputLimit, ProcessLimit, QuantityError, SizeLimit, TimeLimit, TrafficLimit,
};
pub use report::{
    ArgumentText, CallPhase, Change, ChangeKind, Connection, ConnectionOutcome, Control, Explanation, FetchReport,
    FileRefusal, FilesReport, FrameText, GroupText, Holding, NameReport, NetworkAct, NetworkRefusal, NetworkReport,
    OutputReport, PathCause, PathRefusal, Phases, Refusal, Report, ReportVersion, RequestReport, StepTime,
    StreamReport, Streams, ThreadText, Usage, WorkReport,
};
pub use rollout::{
    Arm, KeyHash, KeyRule, Old, PathAccess, PathNeed, Rollout, RolloutReport, Shadow, Share, ShareError, Trial,
};
pub use source::{Source, Sourced};
pub use text::{escape, is_printable, printable};
pub use verdict::{LimitHit, OutputProblem, StartFailure, StartFailureKind, Verdict, signal_name, signal_number};
