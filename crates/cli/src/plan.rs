//! `lazaret plan`.

mod launch;
mod rollout;
mod text;
mod view;

use crate::args::Plan as Args;
use crate::choose;
use crate::message::{self, Failure};
use crate::profiles::json;
use launch::Launch;
use lazaret::observe::Observe;
use lazaret::plan::{FilterPlan, Place, Plan};
use lazaret::probe::{Missing, PathFacts, Support};
use lazaret::seccomp;
use lazaret::{Mode, Policy, Source, Tier};
use lazaret_policy::{Job, SystemCalls};
use rollout::RolloutView;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use view::View;

/// What was asked for: the policy that the job would run under, and what of it would be observed.
struct Asked<'a> {
    args: &'a Args,
    policy: &'a Policy,
    job: &'a Job,
    observe: &'a Observe,
    rollout: Option<RolloutView>,
}

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let new = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &new)?;
    let choice = lazaret::rollout::choose(&new, job.data()?, job.given_key());
    let rollout = RolloutView::new(&new, &choice);
    let (policy, observe) = match &choice {
        Ok(Some(choice)) => choice.policy(&new),
        Ok(None) | Err(_) => (Cow::Borrowed(&new), Observe::Nothing),
    };
    let job = job.data_under(&policy)?;
    let asked = Asked { args, policy: &policy, job: &job, observe: &observe, rollout };
    match policy.tier.value {
        Tier::Jail => asked.of_jail()?,
        Tier::Seccomp => asked.of_filter()?,
    }
    choice?;
    Ok(0)
}

impl Asked<'_> {
    fn of_jail(self) -> Result<(), Failure> {
        let (policy, job) = (self.policy, self.job);
        let support = Support::probe();
        let missing = support.missing(policy);
        let filter = self.filter(&policy.system_calls, support.mode, support.notifier)?;
        let facts = PathFacts::gather(policy);
        let make = |policy: &Policy| {
            let place = Place::new(policy, &support, &facts);
            let plan = place.and_then(|place| Plan::new(policy, job, &support, place, Arc::clone(&filter)));
            plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
        };
        let shown = make(&without(policy, &missing)?)?;
        let view = |steps| View::new(&shown, policy, job, &missing, steps);
        self.print(view, Launch::Jail(&shown))?;
        make(policy).map(drop)
    }

    fn of_filter(self) -> Result<(), Failure> {
        let (policy, job) = (self.policy, self.job);
        let support = seccomp::probe::Support::probe();
        let missing = support.missing(policy);
        let mut calls = policy.system_calls.clone();
        calls.brokered.files = support.brokers_files(policy);
        let filter = self.filter(&calls, support.mode, support.notifier)?;
        let place = Path::new(seccomp::plan::BASE).join("lazaret-NAME");
        let tasks = seccomp::probe::tasks(&support);
        let make = |policy: &Policy| {
            let plan = seccomp::Plan::new(policy, job, &support, &place, tasks, Arc::clone(&filter));
            plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
        };
        let shown = make(&without(policy, &missing)?)?;
        let view = |steps| View::of_filter(&shown, policy, job, &missing, steps);
        self.print(view, Launch::Filter(&shown))?;
        make(policy).map(drop)
    }

    fn filter(&self, calls: &SystemCalls, mode: Mode, notifier: bool) -> Result<Arc<FilterPlan>, Failure> {
        let own = lazaret::own_rules(self.policy.tier.value, mode, calls.brokered);
        let size = self.policy.limits.file_size.bytes();
        let filter = FilterPlan::bounded(calls, own, notifier, size)
            .and_then(|filter| filter.observed(self.observe, own))
            .map_err(lazaret::Error::Plan)?;
        Ok(Arc::new(filter))
    }

    fn print<'b>(self, view: impl Fn(bool) -> View<'b>, launch: Launch<'_>) -> Result<(), Failure> {
        let text = if self.args.json {
            json(&view(self.args.steps).of_rollout(self.rollout))?
        } else if self.args.steps {
            launch::text(launch, self.job)
        } else {
            text::text(&view(false).of_rollout(self.rollout))
        };
        message::print(&text)
    }
}

/// What this host can do without the layers that it lacks, to be shown before the error.
fn without(policy: &Policy, missing: &[Missing]) -> Result<Policy, Failure> {
    let mut lenient = policy.clone();
    lenient.require.clear();
    let mut builder = lenient.builder();
    for lack in missing {
        builder.degrade(lack.layer.name(), Source::option("--degrade"))?;
    }
    Ok(builder.build())
}
