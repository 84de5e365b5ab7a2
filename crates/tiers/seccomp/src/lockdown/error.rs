//! Why a process is not locked down.

use super::findings::Finding;
use lazaret_policy::{Layer, Source, Tier};
use std::io;
use std::path::PathBuf;

/// Why the process could not be locked down. Unless it is [`LockdownError::Partial`], nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockdownError {
    /// The policy is for another kind of boundary.
    #[error(
        "cannot lock down under the tier `{tier}` ({asked_by}): a process can give itself the tier `seccomp` alone"
    )]
    Tier {
        /// What the policy asks for.
        tier: Tier,
        /// Where.
        asked_by: Source,
    },
    /// The rules cannot be compiled.
    #[error("the system-call rules cannot be enforced: {problem}")]
    Filter {
        /// What the compiler says.
        problem: String,
    },
    /// The policy forbids what no locked-down process can do without.
    #[error("the policy refuses `{call}`, which a locked-down process needs, by {by}")]
    Needed {
        /// The call.
        call: &'static str,
        /// What refuses it, and where it is written.
        by: String,
    },
    /// A path that the policy names cannot be used.
    #[error("cannot allow `{}` ({asked_by})", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Where the policy asks for it.
        asked_by: Source,
        /// Why not.
        source: io::Error,
    },
    /// The policy requires what a process cannot give itself here.
    #[error("a process cannot give itself what the policy requires: {}", list(.0))]
    Unmet(Vec<Unmet>),
    /// The pre-flight found what keeps the lockdown from holding.
    #[error("this process cannot be locked down as it is: {}", findings(.0))]
    Findings(Vec<Finding>),
    /// It is locked down already, and that cannot be changed from inside.
    #[error("already locked down under the policy `{policy}`{}", again(*.is_same, *.refused))]
    Already {
        /// The policy that is in force.
        policy: String,
        /// Whether it is the one that was asked for now.
        is_same: bool,
        /// The call that it refuses and that a second lockdown needs.
        refused: Option<&'static str>,
    },
    /// What the process is could not be found out.
    #[error("cannot look at this process through {path}")]
    Look {
        /// The file.
        path: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something that is made before anything is changed could not be made.
    #[error("cannot make {what}")]
    Prepare {
        /// What.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A step failed. The process is **not** locked down; what was changed before cannot be taken back.
    #[error("cannot {step}{}; the process is not locked down, and this was changed already: {}", of(.thread.as_ref()), changes(.changed))]
    Partial {
        /// What was tried.
        step: &'static str,
        /// The thread that cannot take the filter, with its name.
        thread: Option<(u32, String)>,
        /// Why not.
        source: io::Error,
        /// What was changed, in order.
        changed: Vec<String>,
    },
}

/// A requirement that a process cannot meet for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The layer that would do it.
    pub layer: Layer,
    /// What the policy asks, by its key.
    pub what: String,
    /// Why that cannot be.
    pub why: String,
    /// Where the policy asks for it.
    pub asked_by: Source,
}

impl LockdownError {
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Tier { .. } => "start from the profile `compute`, or set `tier = \"seccomp\"`".to_owned(),
            Self::Filter { .. } => "use fewer argument conditions, or groups".to_owned(),
            Self::Needed { call, .. } => {
                format!("add an `allow` of `{call}` behind it, or take the rule out with [remove]")
            }
            Self::Path { .. } => "create it, mark it `optional = true`, or take it out with [remove]".to_owned(),
            Self::Unmet(unmet) => {
                let degradable: Vec<_> = unmet.iter().filter(|unmet| unmet.layer.degradable()).collect();
                let rest = "take it out of the policy, or run a command in the tier `jail`";
                if degradable.is_empty() {
                    rest.to_owned()
                } else {
                    let mut names: Vec<_> = degradable.iter().map(|unmet| format!("\"{}\"", unmet.layer)).collect();
                    names.dedup();
                    format!("{rest}; or accept the weaker lockdown by name: degrade = [{}]", names.join(", "))
                }
            }
            Self::Findings(findings) => {
                let todo: Vec<_> = findings.iter().map(|finding| finding.todo.as_str()).collect();
                todo.join("; ")
            }
            Self::Already { is_same: true, .. } => "it holds: call it once".to_owned(),
            Self::Already { .. } => {
                "a second lockdown works if the first policy allows @sandbox, @timer, @resources and @file-read"
                    .to_owned()
            }
            Self::Look { .. } => {
                "mount a /proc; if a filter or Landlock is in force here already, it has to allow reading it".to_owned()
            }
            Self::Prepare { .. } => "see the cause".to_owned(),
            Self::Partial { thread: Some(_), .. } => {
                "lock down before that thread sets a filter of its own, or before it is started; end this process"
                    .to_owned()
            }
            Self::Partial { .. } => "end this process".to_owned(),
        }
    }
}

fn list(unmet: &[Unmet]) -> String {
    let one = |Unmet { layer, what, why, asked_by }: &Unmet| format!("{layer}: {what} ({asked_by}): {why}");
    unmet.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn findings(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>().join("; ")
}

fn again(is_same: bool, refused: Option<&str>) -> String {
    match (is_same, refused) {
        (true, _) => ", which is the one asked for: nothing was changed".to_owned(),
        (false, Some(call)) => format!(", which refuses `{call}` that another lockdown needs: nothing was changed"),
        (false, None) => ": nothing was changed".to_owned(),
    }
}

fn of(thread: Option<&(u32, String)>) -> String {
    thread.map(|(id, name)| format!(" of thread {id} (`{name}`)")).unwrap_or_default()
}

fn changes(changed: &[String]) -> String {
    if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") }
}
