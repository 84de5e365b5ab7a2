//! Rollouts: a new policy for a share of the jobs, while the others run as before and tell what it would have refused.

mod none;
mod report;
#[cfg(test)]
mod tests;

pub use report::{PathAccess, PathNeed, RolloutReport, Shadow, Trial};

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::policy::Policy;
use crate::source::Sourced;

/// How a policy is introduced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// The share of jobs that run under the policy. All others run under `old`, and what the policy would have refused
    /// them is recorded.
    pub enforce: Sourced<Share>,
    /// What the others run under.
    pub old: Sourced<Old>,
    /// What a job's arm depends on.
    pub key: Sourced<KeyRule>,
    /// A file that holds the shares and is looked at before every job. `None`: they are the policy's.
    pub file: Option<Sourced<PathBuf>>,
}

/// What jobs in shadow run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// Nothing but the boundary itself: [`Policy::loosened`].
    None,
    /// Another policy.
    Policy(Box<Policy>),
}

impl Old {
    /// What reports and plans call it.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Policy(policy) => &policy.name,
        }
    }
}

impl Serialize for Old {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a job's arm depends on when a policy is rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRule {
    /// The key that the caller gives. A job without one is not run.
    Given,
    /// The key that the caller gives, or else the command, its arguments and the names of its inputs.
    Command,
}

impl KeyRule {
    /// Every rule.
    pub const ALL: &[Self] = &[Self::Given, Self::Command];

    /// The name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Command => "command",
        }
    }
}

/// A share of jobs, exact to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// All jobs, in the unit of [`Share`].
const WHOLE: u32 = 1_000_000;
/// How many digits a percentage may have behind its point.
const DIGITS: usize = 4;

impl Share {
    /// No job.
    pub const NONE: Self = Self(0);
    /// Every job.
    pub const ALL: Self = Self(WHOLE);

    /// What is left.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }
}

/// A text is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a share of jobs")]
pub struct ShareError {
    given: String,
}

impl ShareError {
    /// What to write instead.
    pub const HINT: &str = "write a percentage from \"0%\" to \"100%\", with four digits behind the point at most";
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let error = || ShareError { given: text.to_owned() };
        let number = text.strip_suffix('%').ok_or_else(error)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 3 || part.len() > DIGITS {
            return Err(error());
        }
        let millionths = format!("{whole}{part:0<DIGITS$}").parse::<u32>().map_err(|_too_large| error())?;
        if millionths > WHOLE { Err(error()) } else { Ok(Self(millionths)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u32.pow(4);
        write!(f, "{}", self.0 / unit)?;
        if !self.0.is_multiple_of(unit) {
            let part = format!("{:04}", self.0 % unit);
            write!(f, ".{}", part.trim_end_matches('0'))?;
        }
        f.write_str("%")
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which of the two ways a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// Under the new policy.
    Enforced,
    /// Under the old one, with the new one looking on.
    Shadow,
}

/// Where a job's key stands among all keys. It is the same on every host and in every version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of a key: the first 64 bits of the SHA-256 of `lazaret.rollout/1`, a NUL byte, and the key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(b"lazaret.rollout/1\0").chain_update(key).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// The hash of what a job runs: of several texts, which are told apart.
    #[must_use]
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut key = Vec::new();
        for part in parts {
            key.extend_from_slice(&(part.len() as u64).to_be_bytes());
            key.extend_from_slice(part);
        }
        Self::of(&key)
    }

    /// The arm of this key when `enforce` is the new policy's share.
    ///
    /// The keys stand in an order that never changes, and the share counts from its beginning: a larger share holds all
    /// the keys of a smaller one.
    #[must_use]
    pub fn arm(self, enforce: Share) -> Arm {
        let position = (u128::from(self.0) * u128::from(WHOLE)) >> 64;
        if position < u128::from(enforce.0) { Arm::Enforced } else { Arm::Shadow }
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
