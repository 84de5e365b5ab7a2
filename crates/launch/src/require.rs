//! Layers that a policy requires by name.

use crate::error::{Missing, PlanError};
use lazaret_policy::{Control, Holding, Policy};

/// Whether every layer that `policy` requires is among `controls` and holds wholly.
///
/// # Errors
///
/// Those that do not.
pub fn check(policy: &Policy, controls: &[Control]) -> Result<(), PlanError> {
    let lack = |entry: &lazaret_policy::Sourced<lazaret_policy::Layer>| {
        let control = controls.iter().find(|control| control.layer == entry.value);
        let why = match control {
            Some(control) if control.holding == Holding::Yes => return None,
            Some(control) => control.why_not.clone().unwrap_or_else(|| "it holds in part".to_owned()),
            None => "the policy asks for nothing of it".to_owned(),
        };
        let fix = format!(
            "take `{}` out of `require` ({}), or use a tier and a host that have it",
            entry.value, entry.source
        );
        Some(Missing { layer: entry.value, why, fix })
    };
    let missing: Vec<Missing> = policy.require.iter().filter_map(lack).collect();
    if missing.is_empty() { Ok(()) } else { Err(PlanError::Required(missing)) }
}
