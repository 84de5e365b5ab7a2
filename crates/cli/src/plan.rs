//! `lazaret plan`.

mod launch;
mod text;
mod view;

use crate::args::Plan as Args;
use crate::choose;
use crate::message::{self, Failure};
use crate::profiles::json;
use launch::Launch;
use lazaret::plan::{FilterPlan, OWN_RULES, Place, Plan};
use lazaret::probe::{Missing, PathFacts, Support};
use lazaret::seccomp;
use lazaret::{Policy, Source, Tier};
use lazaret_policy::Job;
use std::path::Path;
use std::sync::Arc;
use view::View;

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let policy = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &policy)?;
    let job = job.data()?;
    match policy.tier.value {
        Tier::Jail => of_jail(args, &policy, job),
        Tier::Seccomp => of_filter(args, &policy, job),
    }
}

fn of_jail(args: &Args, policy: &Policy, job: &Job) -> Result<u8, Failure> {
    let support = Support::probe();
    let missing = support.missing(policy);
    let size = policy.limits.file_size.bytes();
    let filter =
        FilterPlan::bounded(&policy.system_calls, OWN_RULES, support.notifier, size).map_err(lazaret::Error::Plan)?;
    let filter = Arc::new(filter);
    let facts = PathFacts::gather(policy);
    let make = |policy: &Policy| {
        let place = Place::new(policy, &support, &facts);
        let plan = place.and_then(|place| Plan::new(policy, job, &support, place, Arc::clone(&filter)));
        plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
    };
    let shown = make(&without(policy, &missing)?)?;
    let view = |steps| View::new(&shown, policy, job, &missing, steps);
    print(args, view, Launch::Jail(&shown), job)?;
    make(policy).map(|_enforceable| 0)
}

fn of_filter(args: &Args, policy: &Policy, job: &Job) -> Result<u8, Failure> {
    let support = seccomp::probe::Support::probe();
    let missing = support.missing(policy);
    let (own, size) = (seccomp::plan::own_rules(support.mode), policy.limits.file_size.bytes());
    let filter =
        FilterPlan::bounded(&policy.system_calls, own, support.notifier, size).map_err(lazaret::Error::Plan)?;
    let filter = Arc::new(filter);
    let place = Path::new(seccomp::plan::BASE).join("lazaret-NAME");
    let tasks = seccomp::probe::tasks(&support);
    let make = |policy: &Policy| {
        let plan = seccomp::Plan::new(policy, job, &support, &place, tasks, Arc::clone(&filter));
        plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
    };
    let shown = make(&without(policy, &missing)?)?;
    let view = |steps| View::of_filter(&shown, policy, job, &missing, steps);
    print(args, view, Launch::Filter(&shown), job)?;
    make(policy).map(|_enforceable| 0)
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

fn print<'a>(args: &Args, view: impl Fn(bool) -> View<'a>, launch: Launch<'_>, job: &Job) -> Result<(), Failure> {
    let text = if args.json {
        json(&view(args.steps))?
    } else if args.steps {
        launch::text(launch, job)
    } else {
        text::text(&view(false))
    };
    message::print(&text)
}
