//! How a plan tells of a rollout: which way the job would go, and under what.

use lazaret::rollout::Choice;
use lazaret_policy::{Arm, Policy};
use serde::Serialize;

/// A rollout, and what it means for this job.
#[derive(Debug, Serialize)]
pub(crate) struct RolloutView {
    /// `enforced` or `shadow`: the plan is that of the new policy, or of the old one. Null: nobody can say, and `problem`
    /// says why; the plan is that of the new policy.
    pub(crate) mode: Option<&'static str>,
    /// The policy that is introduced.
    pub(crate) policy: String,
    /// What it replaces.
    pub(crate) old: String,
    /// The hash of the job's key. Null: it has none.
    pub(crate) key_hash: Option<String>,
    /// The share of jobs for which the new policy is enforced. Null: it could not be read.
    pub(crate) share: Option<String>,
    pub(crate) share_from: Option<String>,
    /// Why the job would not be run. Null: it would be.
    pub(crate) problem: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl RolloutView {
    /// `None`: the policy has no rollout.
    pub(crate) fn new(policy: &Policy, choice: &Result<Option<Choice>, lazaret::Error>) -> Option<Self> {
        let rollout = policy.rollout.as_ref()?;
        let (old, name) = (rollout.old.name().to_owned(), policy.name.clone());
        let unknown = |problem: Option<String>| Self {
            mode: None,
            policy: name.clone(),
            old: old.clone(),
            key_hash: None,
            share: None,
            share_from: None,
            problem,
            notes: Vec::new(),
        };
        Some(match choice {
            Ok(None) => unknown(None),
            Err(error) => unknown(Some(error.to_string())),
            Ok(Some(choice)) => Self {
                mode: Some(match choice.arm {
                    Arm::Enforced => "enforced",
                    Arm::Shadow => "shadow",
                }),
                key_hash: Some(choice.trial.key_hash.clone()),
                share: Some(choice.trial.share.clone()),
                share_from: Some(choice.trial.share_from.clone()),
                notes: choice.notes.clone(),
                ..unknown(None)
            },
        })
    }

    /// The same in lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { mode, policy, old, key_hash, share, share_from, problem, notes } = self;
        let mut lines = vec![format!("rollout of {policy}, which replaces {old}")];
        if let (Some(share), Some(from)) = (share, share_from) {
            lines.push(format!("  {share} of jobs run under it ({from})"));
        }
        if let (Some(mode), Some(hash)) = (mode, key_hash) {
            let meaning = match *mode {
                "shadow" => format!("in shadow: it runs under {old}, and what {policy} would refuse is recorded"),
                _ => format!("enforced: it runs under {policy}"),
            };
            lines.push(format!("  this job (key {hash}) is {meaning}"));
        }
        lines.extend(problem.iter().map(|problem| format!("  this job would not be run: {problem}")));
        lines.extend(notes.iter().map(|note| format!("  note: {note}")));
        lines
    }
}
