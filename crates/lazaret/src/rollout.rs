//! Which policy a job runs under while a new one is introduced, and what the new one would have refused.

mod shadow;
mod shares;

pub(crate) use shares::Shares;

use crate::error::Error;
use crate::launcher::Launcher;
use crate::vain;
use lazaret_launch::observe::{Observe, Other};
use lazaret_launch::{Cancel, Finished, Sink};
use lazaret_policy::{
    Arm, InputFrom, Job, KeyHash, KeyRule, Old, Policy, Rollout, RolloutReport, Share, Sourced, Trial,
};
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;

/// What was decided for one job of a policy that is being introduced.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Which way the job goes.
    pub arm: Arm,
    /// What decided.
    pub trial: Trial,
    /// Remarks for people.
    pub notes: Vec<String>,
}

impl Choice {
    /// The policy that the job runs under when `policy` is being rolled out, and what is observed.
    #[must_use]
    pub fn policy<'a>(&self, policy: &'a Policy) -> (Cow<'a, Policy>, Observe) {
        match (self.arm, &policy.rollout) {
            (Arm::Shadow, Some(rollout)) => {
                let against = Other::new(&policy.system_calls, &policy.limits);
                (old_policy(policy, rollout), Observe::Against(Box::new(against)))
            }
            (Arm::Enforced | Arm::Shadow, _) => (Cow::Borrowed(policy), Observe::Nothing),
        }
    }
}

/// Decides for `job` under `policy`, with the share that holds now. `None`: the policy has no rollout.
///
/// # Errors
///
/// When there is no key and the policy wants one, or the file with the shares was never read and cannot be.
pub fn choose(policy: &Policy, job: &Job, key: Option<&[u8]>) -> Result<Option<Choice>, Error> {
    let Some(rollout) = &policy.rollout else { return Ok(None) };
    let hash = hash(rollout, job, key)?;
    let (share, notes) = Shares::of_process().current(rollout)?;
    Ok(Some(Choice { arm: hash.arm(share.value), trial: trial(policy, rollout, hash, &share), notes }))
}

fn trial(policy: &Policy, rollout: &Rollout, hash: KeyHash, share: &Sourced<Share>) -> Trial {
    Trial {
        policy: policy.name.clone(),
        old: rollout.old.name().to_owned(),
        key_hash: hash.to_string(),
        share: share.value.to_string(),
        share_from: share.source.to_string(),
    }
}

fn hash(rollout: &Rollout, job: &Job, key: Option<&[u8]>) -> Result<KeyHash, Error> {
    match (key, rollout.key.value) {
        (Some([]), _) => Err(Error::EmptyKey),
        (Some(key), _) => Ok(KeyHash::of(key)),
        (None, KeyRule::Given) => Err(Error::NoKey { source_of: rollout.key.source.to_string() }),
        (None, KeyRule::Command) => {
            let arguments = std::iter::once(&job.command).chain(&job.args).map(|part| part.as_bytes());
            Ok(KeyHash::of_parts(arguments.chain(job.inputs.iter().map(|input| match &input.from {
                InputFrom::File(_) | InputFrom::Bytes(_) => input.name.as_bytes(),
            }))))
        }
    }
}

/// The policy that is replaced.
fn old_policy<'a>(policy: &Policy, rollout: &'a Rollout) -> Cow<'a, Policy> {
    match &rollout.old.value {
        Old::None => Cow::Owned(policy.loosened(&rollout.old.source)),
        Old::Policy(old) => Cow::Borrowed(old),
    }
}

/// Runs `job` under `policy` or what it replaces, as the rollout says.
pub(crate) fn run(
    launcher: &Launcher,
    policy: &Policy,
    job: &crate::Job,
    sink: &Sink<'_>,
    cancels: &[Cancel],
) -> Result<Finished, Error> {
    let asked = if job.explains_paths() { Observe::Paths } else { Observe::Nothing };
    let explain = |under: &Policy, mut finished: Finished| {
        if job.explains_paths() {
            vain::explain(under, &mut finished);
        }
        finished
    };
    let Some(choice) = choose(policy, job.data()?, job.given_key())? else {
        let data = job.data_under(policy)?;
        return Ok(explain(policy, launcher.run_observed(policy, &data, &asked, sink, cancels)?));
    };
    let (under, observe) = choice.policy(policy);
    let observe = if observe == Observe::Nothing { asked } else { observe };
    let data = job.data_under(&under)?;
    let mut finished = explain(&under, launcher.run_observed(&under, &data, &observe, sink, cancels)?);
    let job = data;
    finished.report.rollout = match choice.arm {
        Arm::Enforced => RolloutReport::Enforced(choice.trial),
        Arm::Shadow => {
            let missing = launcher.missing(policy).map_err(Error::Run)?;
            let seen = shadow::Seen { old: &under, new: policy, job: &job, missing: &missing };
            RolloutReport::Shadow(seen.tell(choice.trial, &finished))
        }
    };
    finished.report.notes.extend(choice.notes);
    Ok(finished)
}
