//! The seccomp JSON of the OCI runtime specification, and of Docker's and Podman's profiles.
//!
//! That format has no order: a rule without conditions prevails over those with, and among the latter at most one
//! should match. Reading puts the rules into an order that means the same; writing splits a call's decision into
//! conditions that exclude each other.
//!
//! Source: config-linux.md of the OCI runtime specification 1.2, and the behaviour of runc, moby and libseccomp.

mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use read::{Environment, Ignored, Imported, ReadError, read};
pub use write::{WriteError, write};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    names: Vec<String>,
    /// The form before there was `names`.
    #[serde(default, skip_serializing)]
    name: Option<String>,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg>,
    #[serde(default, deserialize_with = "or_default", skip_serializing)]
    includes: Circumstances,
    #[serde(default, deserialize_with = "or_default", skip_serializing)]
    excludes: Circumstances,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// When an entry counts. An unknown circumstance is an error: ignoring it could permit more than the profile does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Circumstances {
    #[serde(default, deserialize_with = "or_default")]
    caps: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    arches: Vec<String>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// Profiles write `null` for an empty list.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
