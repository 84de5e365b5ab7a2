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
use lazaret::plan::{FilterPlan, OWN_RULES, Place, Plan};
use lazaret::probe::{Missing, PathFacts, Support};
use lazaret::seccomp;
use lazaret::{Policy, Source, Tier};
use lazaret_policy::Job;
use rollout::RolloutView;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use view::View;

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let new = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &new)?;
    let choice = lazaret::rollout::choose(&new, job.data()?, job.given_key());
    let (policy, observe) = match &choice {
        Ok(Some(choice)) => choice.policy(&new),
        Ok(None) | Err(_) => (Cow::Borrowed(&new), Observe::Nothing),
    };
    let job = job.data_under(&policy)?;
    let asked = Asked { args, policy: &policy, job: &job, observe, rollout: RolloutView::new(&new, &choice) };
    match policy.tier.value {
        Tier::Jail => of_jail(asked),
        Tier::Seccomp => of_filter(asked),
    }?;
    choice?;
    Ok(0)
}

/// What a plan is asked for.
struct Asked<'a> {
    args: &'a Args,
    /// What the job would run under.
    policy: &'a Policy,
    job: &'a Job,
    observe: Observe,
    rollout: Option<RolloutView>,
}

fn of_jail(asked: Asked<'_>) -> Result<(), Failure> {
    let Asked { args, policy, job, observe, rollout } = asked;
    let support = Support::probe();
    let missing = support.missing(policy);
    let size = policy.limits.file_size.bytes();
    let filter = FilterPlan::bounded(&policy.system_calls, OWN_RULES, support.notifier, size)
        .and_then(|filter| filter.observed(&observe, OWN_RULES))
        .map_err(lazaret::Error::Plan)?;
    let filter = Arc::new(filter);
    let facts = PathFacts::gather(policy);
    let make = |policy: &Policy| {
        let place = Place::new(policy, &support, &facts);
        let plan = place.and_then(|place| Plan::new(policy, job, &support, place, Arc::clone(&filter)));
        plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
    };
    let shown = make(&without(policy, &missing)?)?;
    let view = |steps| View::new(&shown, policy, job, &missing, steps).of_rollout(rollout);
    print(args, view, Launch::Jail(&shown), job)?;
    make(policy).map(|_enforceable| ())
}

fn of_filter(asked: Asked<'_>) -> Result<(), Failure> {
    let Asked { args, policy, job, observe, rollout } = asked;
    let support = seccomp::probe::Support::probe();
    let missing = support.missing(policy);
    let (own, size) = (seccomp::plan::own_rules(support.mode), policy.limits.file_size.bytes());
    let filter = FilterPlan::bounded(&policy.system_calls, own, support.notifier, size)
        .and_then(|filter| filter.observed(&observe, own))
        .map_err(lazaret::Error::Plan)?;
    let filter = Arc::new(filter);
    let place = Path::new(seccomp::plan::BASE).join("lazaret-NAME");
    let tasks = seccomp::probe::tasks(&support);
    let make = |policy: &Policy| {
        let plan = seccomp::Plan::new(policy, job, &support, &place, tasks, Arc::clone(&filter));
        plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
    };
    let shown = make(&without(policy, &missing)?)?;
    let view = |steps| View::of_filter(&shown, policy, job, &missing, steps).of_rollout(rollout);
    print(args, view, Launch::Filter(&shown), job)?;
    make(policy).map(|_enforceable| ())
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

fn print<'a>(args: &Args, view: impl FnOnce(bool) -> View<'a>, launch: Launch<'_>, job: &Job) -> Result<(), Failure> {
    let text = if args.json {
        json(&view(args.steps))?
    } else if args.steps {
        launch::text(launch, job)
    } else {
        text::text(&view(false))
    };
    message::print(&text)
}
