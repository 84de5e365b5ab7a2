//! Policies' system calls in the words of others: the OCI's seccomp profiles, systemd's `SystemCallFilter=`.
//!
//! What one side cannot say is an error or a [`Loss`] that is listed, and every loss permits less: what is imported or
//! exported never permits what its source does not.

mod export;
mod import;
#[cfg(test)]
mod tests;

pub use export::export;
pub use import::{Import, import};

use lazaret_filter::Action;
use lazaret_policy::CallAction;
use std::fmt;

/// The language of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The JSON of the OCI runtime specification, and of Docker's, containerd's and Podman's profiles.
    Oci,
    /// Lines of a systemd unit.
    Systemd,
}

/// Something that the other side cannot say, as a sentence without its stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss(pub String);

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text in the other language, and what it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// The text.
    pub text: String,
    /// What was lost. Every loss permits less, never more.
    pub losses: Vec<Loss>,
}

/// Nothing can be exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A rule of the policy is none.
    #[error(transparent)]
    Rule(#[from] lazaret_launch::error::PlanError),
    /// The other format cannot say it.
    #[error("the policy cannot be written as a seccomp profile")]
    Write(#[from] lazaret_filter::oci::WriteError),
    /// The text is not what it should be.
    #[error("the seccomp profile cannot be read")]
    Oci(#[from] lazaret_filter::oci::ReadError),
    /// The text is not what it should be.
    #[error("the system-call list cannot be read")]
    Systemd(#[from] lazaret_filter::systemd::ReadError),
}

impl ExchangeError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Oci(lazaret_filter::oci::ReadError::Action { action }) => Some(match action.as_str() {
                "SCMP_ACT_NOTIFY" | "SCMP_ACT_TRACE" => {
                    "the action leaves the decision to another program: change it to SCMP_ACT_ERRNO, or SCMP_ACT_LOG"
                        .to_owned()
                }
                _ => {
                    "actions are SCMP_ACT_ALLOW, _LOG, _ERRNO, _TRAP, _KILL, _KILL_THREAD and _KILL_PROCESS".to_owned()
                }
            }),
            Self::Oci(_) => Some(
                "a profile is the JSON of the OCI's `linux.seccomp`, or of Docker's --security-opt seccomp=".to_owned(),
            ),
            Self::Systemd(_) => Some(
                "write it as in systemd.exec(5): SystemCallFilter=@system-service ~@resources chown:EPERM".to_owned(),
            ),
            Self::Write(_) => Some("compare with fewer values: one `&` or `==` in place of orders and `!=`".to_owned()),
            Self::Rule(_) => None,
        }
    }
}

/// The action of the language that comes nearest; another errno becomes EPERM.
fn nearest(action: Action) -> CallAction {
    match action {
        Action::Allow => CallAction::Allow,
        Action::Log => CallAction::Log,
        Action::Trap => CallAction::Trap,
        Action::Kill => CallAction::Kill,
        Action::Refuse(_) => CallAction::Refuse,
        Action::Errno(_) => CallAction::Silent,
    }
}
