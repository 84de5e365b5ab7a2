//! What a run did not get.

use super::call;
use lazaret::observe::{Observed, PathKey, PathNote};
use lazaret::plan::FilterPlan;
use lazaret::view;
use lazaret::{Error, Job, Launcher, Policy, Report};
use lazaret_filter::{Action, Filter};
use lazaret_policy::{LimitHit, NetworkRefusal, PathNeed, Refusal};
use std::path::Path;

/// What a run did not get, by kind.
#[derive(Debug, Default)]
pub(super) struct Classified {
    pub(super) calls: Vec<Refusal>,
    pub(super) calls_dropped: u64,
    pub(super) silent: Vec<Refusal>,
    pub(super) hosts: Vec<NetworkRefusal>,
    pub(super) limits: Vec<LimitHit>,
    pub(super) paths: Vec<PathNeed>,
    pub(super) unseen: Vec<String>,
}

/// The rules of `policy` and those of its tier, under which a command can be started.
pub(super) fn filter(launcher: &Launcher, policy: &Policy) -> Result<Filter, Error> {
    let own = launcher.own_rules(policy).map_err(Error::Run)?;
    let plan = FilterPlan::new(&policy.system_calls, own, true).map_err(Error::Plan)?;
    plan.check_exec().map_err(Error::Plan)?;
    Ok(plan.filter)
}

impl Classified {
    pub(super) fn of(policy: &Policy, filter: &Filter, job: &Job, report: &Report, observed: &Observed) -> Self {
        let mut found = Self { calls_dropped: report.refusals_dropped, ..Self::default() };
        for refusal in report.refusals.iter().filter(|refusal| refusal.errno != 0) {
            // The job ran with what is silent told: only the policy's own filter knows which it was.
            let decided = call(refusal.number, refusal.args).map(|call| filter.decide(&call).action);
            match decided {
                Some(Action::Errno(_)) => found.silent.push(Refusal { suggestion: None, ..refusal.clone() }),
                _ => found.calls.push(refusal.clone()),
            }
        }
        if let lazaret::Verdict::Violation { call, number, args, rule, explanation, .. } = &report.verdict {
            let (call, rule, args, number) = (call.clone(), rule.clone(), *args, *number);
            found.calls.push(Refusal {
                call,
                number,
                args,
                errno: 0,
                count: 1,
                rule,
                suggestion: None,
                explanation: explanation.clone(),
            });
        }
        found.hosts = report.network.iter().flat_map(|network| network.refused.clone()).collect();
        found.limits.clone_from(&report.limits_hit);
        found.paths = paths(policy, job, observed);
        found.unseen.extend(observed.problem.iter().map(|why| format!("paths: {why}")));
        if observed.unread > 0 {
            found.unseen.push(format!("the paths of {} calls could not be read", observed.unread));
        }
        if observed.paths_dropped > 0 {
            found.unseen.push(format!("{} paths were too many to be kept", observed.paths_dropped));
        }
        found
    }
}

/// Paths that the host has, and the policy does not give in the way they were used.
fn paths(policy: &Policy, job: &Job, observed: &Observed) -> Vec<PathNeed> {
    let command = job.data().ok().map(|data| Path::new(&data.command).to_owned());
    let program = command.filter(|command| command.is_absolute()).map(|path| {
        let key = PathKey { path, access: lazaret_inspect::PathAccess::Execute, follow: true };
        (key, PathNote::new("execve"))
    });
    let seen = observed.paths.iter().map(|(key, note)| (key.clone(), note.clone()));
    let mut needs: Vec<PathNeed> = Vec::new();
    for (key, note) in program.into_iter().chain(seen) {
        let Some((need, access)) = view::need(policy, key.access) else { continue };
        let Some(lack) = view::lacks(policy, &key.path, key.follow, need) else { continue };
        let path = view::escape(&key.path);
        match needs.iter_mut().find(|known| known.path == path && known.access == access) {
            Some(known) => known.count += note.count,
            None => {
                let suggestion = view::suggestion(&lack.path, need);
                needs.push(PathNeed { path, access, call: note.call, why: lack.why, count: note.count, suggestion });
            }
        }
    }
    needs
}
