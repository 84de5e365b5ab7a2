//! Why a job could not be planned or run. A job's own fate is no error: it is in the report.

use crate::steps::Part;
use lazaret_connector::fetch::FetchError;
use lazaret_policy::{FileName, JobError, Layer, Source};
use std::io;
use std::path::PathBuf;

/// Why no plan could be made. Nothing has been started or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The job itself is wrong.
    #[error("the job is not valid: {0}")]
    Job(JobError),
    /// A path that the policy needs is not there.
    #[error("cannot show `{}` to the job ({asked_by}): it does not exist", path.display())]
    MissingPath {
        /// The host path.
        path: PathBuf,
        /// Where the policy asks for it.
        asked_by: Source,
    },
    /// A path that the policy names cannot be used as it asks.
    #[error("cannot show `{}` to the job ({asked_by}): {problem}", path.display())]
    BadPath {
        /// The host path.
        path: PathBuf,
        /// Where the policy asks for it.
        asked_by: Source,
        /// What is wrong.
        problem: &'static str,
    },
    /// A system-call rule cannot be compiled.
    #[error("the system-call rules cannot be enforced: {problem}")]
    Filter {
        /// What the compiler says.
        problem: String,
    },
    /// A call is forbidden that the launch itself makes under the policy's filter.
    #[error("no command can be started: the policy does not permit `{call}`, {what}: {decided_by}")]
    Forbidden {
        /// The call.
        call: &'static str,
        /// What it is for.
        what: &'static str,
        /// The rule or the default that decides, and where it stands.
        decided_by: String,
    },
    /// An input cannot be used.
    #[error("cannot use `{}` as input: {problem}", path.display())]
    Input {
        /// The host path.
        path: PathBuf,
        /// What is wrong with it.
        problem: InputProblem,
    },
    /// What the policy asks for, this tier has not, on any host.
    #[error("{tier} cannot give {what} ({asked_by})")]
    Unmet {
        /// The tier, as `tier seccomp`.
        tier: &'static str,
        /// What is asked for.
        what: String,
        /// Where the policy asks for it.
        asked_by: Source,
    },
    /// What the policy refuses after the start cannot be refused then.
    #[error("`refuse-after-start` ({asked_by}) cannot be enforced: {problem}")]
    AfterStart {
        /// Where the policy has the first such rule.
        asked_by: Source,
        /// Why not.
        problem: String,
        /// What can be done.
        fix: String,
    },
    /// A file cannot be fetched as the policy asks.
    #[error("`[[fetch]]` ({asked_by}) cannot be had: {problem}")]
    Fetch {
        /// Where the policy asks for it.
        asked_by: Source,
        /// Why not.
        problem: String,
    },
    /// The job cannot have the network that the policy gives it.
    #[error("`[net] allow` ({asked_by}) cannot be had: {problem}")]
    Network {
        /// Where the policy has the rule.
        asked_by: Source,
        /// Why not.
        problem: String,
        /// What can be done.
        fix: &'static str,
    },
    /// The job's calls on files cannot be made for it, or not as the policy has its phases.
    #[error("the job's files ({asked_by}) cannot be had: {problem}")]
    Files {
        /// Where the policy asks for it.
        asked_by: Source,
        /// Why not.
        problem: String,
        /// What can be done.
        fix: &'static str,
    },
    /// A layer that the policy requires by name does not hold.
    #[error("what the policy requires does not hold: {}", list(.0))]
    Required(Vec<Missing>),
    /// This host lacks a layer that the policy requires; no weaker jail is tried.
    #[error("this host cannot enforce {}", list(.0))]
    Unenforceable(Vec<Missing>),
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputProblem {
    /// It cannot be opened.
    #[error("{0}")]
    Open(io::Error),
    /// It is no regular file.
    #[error("it is a {0}, not a regular file")]
    Kind(&'static str),
    /// It does not fit.
    #[error("its {size} bytes are more than the disk limit of {disk} ({asked_by}) leaves")]
    Size {
        /// Bytes.
        size: u64,
        /// The limit, as written.
        disk: String,
        /// Where it was written.
        asked_by: Source,
    },
}

/// A layer that is required and missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The layer.
    pub layer: Layer,
    /// Why it is missing here.
    pub why: String,
    /// What would make it available.
    pub fix: String,
}

fn list(missing: &[Missing]) -> String {
    let layers: Vec<String> = missing.iter().map(|m| format!("{} ({})", m.layer, m.why)).collect();
    layers.join(", ")
}

impl PlanError {
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Job(error) => error.hint(),
            Self::MissingPath { .. } => "create it, mark it `optional = true`, or take it out with [remove]".to_owned(),
            Self::BadPath { .. } => "name another path with `at`, or take it out with [remove]".to_owned(),
            Self::Filter { .. } => {
                "change the rules that it names: an order or a mask in place of a long list, or the call without conditions"
                    .to_owned()
            },
            Self::Forbidden { call, .. } => format!(
                "add it without conditions: [system-calls] allow = [\"{call}\"]; a rule of the same policy that refuses \
                 it prevails, and has to go"
            ),
            Self::Input { problem: InputProblem::Size { size, .. }, .. } => {
                let mib = (size >> 20) + 64;
                format!("raise it: --limit disk={mib}MiB (and memory, which holds the files of a job)")
            }
            Self::Input { .. } => "name a regular file that this user may read".to_owned(),
            Self::Unmet { .. } => "use the tier that has it (`--tier jail`), or take it out of the policy".to_owned(),
            Self::AfterStart { fix, .. } => fix.clone(),
            Self::Fetch { .. } => "change `max-bytes` or `disk`, or take it out: [remove] fetch = [\"NAME\"]".to_owned(),
            Self::Network { fix, .. } | Self::Files { fix, .. } => (*fix).to_owned(),
            Self::Required(missing) => {
                let fixes: Vec<&str> = missing.iter().map(|m| m.fix.as_str()).collect();
                fixes.join("; ")
            }
            Self::Unenforceable(missing) => {
                let fixes: Vec<&str> = missing.iter().map(|m| m.fix.as_str()).collect();
                let layers: Vec<&str> =
                    missing.iter().filter(|m| m.layer.degradable()).map(|m| m.layer.name()).collect();
                match layers.as_slice() {
                    [] => fixes.join("; "),
                    layers => format!(
                        "{}; or accept the weaker jail by name: --degrade {}",
                        fixes.join("; "),
                        layers.join(" --degrade ")
                    ),
                }
            }
        }
    }
}

/// Why a job could not be run. If the job had started, it is dead; what it left is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A step of the launch failed, before anything of the job ran.
    #[error("cannot set the job's boundary up: {}: {step}", part.name())]
    Step {
        /// What the step serves.
        part: Part,
        /// What it does, and its call: see [`Steps::tell`](crate::steps::Steps::tell).
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The launching process could not be started or ended without a word.
    #[error("cannot start the process above the job: {what}")]
    Launch {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The job's cgroup could not be made or read.
    #[error("cannot {what} the cgroup `{}`", path.display())]
    Cgroup {
        /// "make", "set", …
        what: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No unused user id could be had.
    #[error("cannot take an unused user id for the job: {what}")]
    Uid {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A descriptor, pipe or memory could not be had.
    #[error("cannot {what}")]
    Resource {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file that was to be fetched for the job was not.
    #[error("cannot fetch the input `{to}`")]
    Fetch {
        /// Its name in the job.
        to: FileName,
        /// Why.
        source: Box<FetchError>,
    },
    /// An input changed between plan and run.
    #[error("cannot use the input `{name}`")]
    Input {
        /// Its name in the job.
        name: FileName,
        /// What happened.
        source: io::Error,
    },
    /// A good output could not be put where it belongs.
    #[error("cannot write the output to `{}`", path.display())]
    Deliver {
        /// The destination.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Processes of the job may be alive still.
    #[error("cannot end every process of the job: {what}")]
    Remains {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The private directory of a job could not be made or removed.
    #[error("cannot {what} the job's private directory `{}`", path.display())]
    Directory {
        /// "make", "remove".
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The launch does not fit its block.
    #[error("cannot lay the launch out: {problem}")]
    Layout {
        /// What is too much.
        problem: String,
    },
}

impl RunError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Step { part, source, .. } => step_hint(*part, source),
            Self::Launch { source, .. } if source.raw_os_error() == Some(libc::EACCES) => {
                Some("memory files may not be executed here: sysctl vm.memfd_noexec must not be 2".to_owned())
            }
            Self::Cgroup { .. } => Some(
                "delegate a cgroup subtree to this user (`lazaret doctor` tells how), or --degrade cgroup".to_owned(),
            ),
            Self::Directory { what: "make", .. } => Some(
                "the directory above must be writable: in a container with a read-only root mount one at /tmp"
                    .to_owned(),
            ),
            Self::Remains { .. } => Some(
                "look for processes of this user whose parent is 1 and whose /proc/PID/status says `Seccomp: 2`, and end \
                 them; the filter, Landlock and the limits are still on them. As root they are ended by the job's user id"
                    .to_owned(),
            ),
            Self::Fetch { source, .. } => Some(fetch_hint(source)),
            Self::Deliver { .. } => Some("the file that was there before, if any, is untouched".to_owned()),
            _ => None,
        }
    }
}

fn fetch_hint(error: &FetchError) -> String {
    let hint = match error {
        FetchError::NotPermitted { .. } => {
            "where it may be led to is said by `allow = [\"host:port\"]` in its [[fetch]]"
        }
        FetchError::Address { .. } => {
            "a private address has to be named, `allow = [\"10.1.2.3:443\"]` in its [[fetch]]; a metadata service is never \
             asked"
        }
        FetchError::Resolve { .. } => "names are asked of this host's name servers, or of those of [net] name-servers",
        FetchError::Exchange { .. } => {
            "its server has to answer, with a certificate of an authority that this host or [net] trust knows"
        }
        FetchError::Answer { .. } => {
            "look at what the server answers; what it may be is said by `types` in its [[fetch]]"
        }
        FetchError::TooLarge { .. } => "raise `max-bytes` in its [[fetch]]; for --fetch it is --limit disk=…",
        FetchError::Deadline { .. } => "fetching may take as long as the job: raise that, --limit wall=…",
        FetchError::Url { .. } | FetchError::Redirect { .. } => "name the URL at which the file is to be had",
        _ => "nothing was run",
    };
    hint.to_owned()
}

fn step_hint(part: Part, source: &io::Error) -> Option<String> {
    let errno = source.raw_os_error();
    match (part, errno) {
        (Part::Namespaces | Part::IdMaps | Part::Root | Part::Pivot, Some(libc::EPERM | libc::EACCES)) => Some(
            "this user may not make user namespaces or mount inside them: `lazaret doctor` names the sysctl, \
             AppArmor profile or container flag"
                .to_owned(),
        ),
        (Part::Proc, Some(libc::EPERM)) => Some(
            "parts of the /proc that is mounted here are covered by other mounts, as container engines do, so that the \
             kernel refuses a new one: start the container with its /proc uncovered (Docker: --security-opt \
             systempaths=unconfined; Podman: --security-opt unmask=ALL; Kubernetes: procMount: Unmasked), or use a \
             policy with `proc = \"none\"` under [files]; `lazaret doctor` names what covers it"
                .to_owned(),
        ),
        (Part::Namespaces, Some(libc::ENOSPC | libc::EUSERS)) => {
            Some("raise user.max_user_namespaces and its siblings under /proc/sys/user".to_owned())
        }
        (Part::Inputs, Some(libc::ENOSPC)) => Some("raise it: --limit disk=…".to_owned()),
        _ => None,
    }
}
