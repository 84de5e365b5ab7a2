//! Why there is no sandboxed function, or no call.

use lazaret_policy::Layer;
use std::io;

/// Why a function cannot be sandboxed under a policy. Nothing has run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The policy is for another tier.
    #[error("a function call needs a policy of the tier `seccomp`; `{policy}` is of the tier `{tier}`")]
    Tier {
        /// The policy's name.
        policy: String,
        /// Its tier.
        tier: lazaret_policy::Tier,
    },
    /// The policy asks for something that a function call cannot have.
    #[error("`{key}` ({from}) cannot be had by a function call: {why}")]
    Beyond {
        /// The key of the policy.
        key: String,
        /// Where the policy asks for it.
        from: String,
        /// Why there is no such thing.
        why: &'static str,
    },
    /// The policy forbids what every call needs.
    #[error("the policy `{policy}` forbids `{call}`, which every function call needs: {why}")]
    Needed {
        /// The policy's name.
        policy: String,
        /// The system call.
        call: &'static str,
        /// A rule that allows as much as is needed.
        rule: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
    /// A rule cannot be enforced.
    #[error("the policy's system-call rules cannot be enforced: {problem}")]
    Filter {
        /// What is wrong.
        problem: String,
    },
    /// A path of the policy cannot be opened.
    #[error("cannot open `{}` ({from})", path.display())]
    Path {
        /// The path.
        path: std::path::PathBuf,
        /// Where the policy names it.
        from: String,
        /// Why.
        source: io::Error,
    },
    /// This host lacks a layer, and the policy does not agree to go without it.
    #[error("this host cannot enforce `{layer}`: {why}")]
    Missing {
        /// The layer.
        layer: Layer,
        /// What is missing.
        why: String,
    },
    /// The function's code is not in the spawner.
    #[error("the spawner was started before the code of this function was loaded")]
    LoadedLater,
    /// The host was out of something.
    #[error("cannot {what}")]
    Resource {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl SandboxError {
    /// What the user can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Tier { .. } => "take the profile `compute`, or a policy that extends it".to_owned(),
            Self::Beyond { key, .. } => format!("drop `{key}` from the policy, or run a command in the jail"),
            Self::Needed { rule, .. } => format!("add `{{ rule = \"{rule}\" }}` to `allow` under [system-calls]"),
            Self::Filter { .. } => "mend the rule that is named".to_owned(),
            Self::Path { .. } => "create it, mark it `optional = true`, or drop it from the policy".to_owned(),
            Self::Missing { layer, .. } if layer.degradable() => {
                format!("`lazaret doctor` tells how to get it; `degrade = [\"{layer}\"]` goes without")
            }
            Self::Missing { .. } => "`lazaret doctor` tells how to get it".to_owned(),
            Self::LoadedLater => "start the spawner after the library is loaded, or sandbox without it".to_owned(),
            Self::Resource { .. } => "see the cause".to_owned(),
        }
    }
}

/// Why a call could not be made, or not to its end. The function's own failures are data: [`super::Ending`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The child could not lock itself down. The function has not run.
    #[error("cannot lock the call's process down: {step}")]
    Setup {
        /// The step that failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The spawner is dead. The call, if it had begun, is dead too.
    #[error("the spawner is dead")]
    SpawnerDied,
    /// The input could not be put into its form for the way.
    #[error("the input cannot be encoded: {problem}")]
    Input {
        /// What the codec says.
        problem: String,
    },
    /// The runtime that an asynchronous call was on is shutting down.
    #[error("the asynchronous runtime is shutting down")]
    Runtime,
    /// The host was out of something. The call, if it had begun, is dead.
    #[error("cannot {what}")]
    Resource {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl CallError {
    pub(crate) fn resource(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Resource { what, source }
    }
}
