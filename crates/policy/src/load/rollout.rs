//! The policy that a rollout replaces, and the file with its shares.

use std::path::Path;

use super::Loader;
use super::document::{Document, Origin};
use super::draft::DraftRollout;
use super::walk;
use crate::error::{PolicyError, Problem};
use crate::policy::Policy;
use crate::rollout::{Old, Rollout, Share};
use crate::source::Sourced;

impl Loader<'_> {
    pub(super) fn roll_out(
        &mut self,
        mut policy: Policy,
        draft: DraftRollout,
        origin: &Origin,
    ) -> Result<Policy, PolicyError> {
        let DraftRollout { enforce, old: written, place, key, file } = draft;
        let old = if written.value == "none" {
            Old::None
        } else {
            let base = origin.base(&written.value);
            if base == *origin {
                let problem =
                    Problem::new(format!("`{}` replaces itself", written.value), "name the policy that held before");
                return Err(problem.at(place).into());
            }
            let text = self.fetch(&base).map_err(|problem| problem.at(place.clone()))?;
            let (old, its_own) = self.load_alone(Document::new(base, text))?;
            if its_own.is_some() {
                let problem = Problem::new(
                    format!("`{}` is itself being rolled out", written.value),
                    "one policy replaces another: take [rollout] out of the old one",
                );
                return Err(problem.at(place).into());
            }
            if old.tier.value != policy.tier.value {
                let problem = Problem::new(
                    format!(
                        "`{}` is for the tier {}, and this policy for {}",
                        written.value, old.tier.value, policy.tier.value
                    ),
                    "both must be for the same tier",
                );
                return Err(problem.at(place).into());
            }
            Old::Policy(Box::new(old))
        };
        policy.rollout = Some(Rollout { enforce, old: Sourced::new(old, written.source), key, file });
        Ok(policy)
    }
}

impl Rollout {
    /// The new policy's share as `text`, which a rollout's `file` holds, says it: `enforce` and `shadow`, as in
    /// `[rollout]`. `path` names it in messages.
    ///
    /// # Errors
    ///
    /// It is not TOML, or its shares are none or are not 100 % together.
    pub fn share_in(path: &Path, text: &str) -> Result<Sourced<Share>, PolicyError> {
        let document = Document::new(Origin::File(path.to_owned()), text);
        walk::shares(&document).map_err(PolicyError::from)
    }
}
