//! `lazaret plan`.

mod launch;
mod rollout;
mod text;
mod view;

use crate::args::Plan as Args;
use crate::choose;
use crate::message::{self, Failure};
use crate::profiles::json;
use lazaret::observe::Observe;
use lazaret::plan::{FilterPlan, OWN_RULES, Place, Plan};
use lazaret::probe::{PathFacts, Support};
use lazaret::{Policy, Source};
use rollout::RolloutView;
use std::borrow::Cow;
use std::sync::Arc;
use view::View;

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let new = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &new)?;
    let choice = lazaret::rollout::choose(&new, job.data()?, job.given_key());
    let rollout = RolloutView::new(&new, &choice);
    let (policy, observe) = match &choice {
        Ok(Some(choice)) => choice.policy(&new),
        Ok(None) | Err(_) => (Cow::Borrowed(&new), Observe::Nothing),
    };
    let policy = policy.into_owned();
    let job = job.data_under(&policy)?;
    let job = &*job;
    let support = Support::probe();
    let missing = support.missing(&policy);
    let filter =
        FilterPlan::bounded(&policy.system_calls, OWN_RULES, support.notifier, policy.limits.file_size.bytes())
            .and_then(|filter| filter.observed(&observe, OWN_RULES))
            .map_err(lazaret::Error::Plan)?;
    let filter = Arc::new(filter);
    let facts = PathFacts::gather(&policy);
    let make = |policy: &Policy| {
        let place = Place::new(policy, &support, &facts);
        let plan = place.and_then(|place| Plan::new(policy, job, &support, place, Arc::clone(&filter)));
        plan.map_err(|error| Failure::from(lazaret::Error::Plan(error)))
    };
    // What this host can do without the layers that it lacks, to be shown before the error.
    let mut without = policy.clone().builder();
    for lack in &missing {
        without.degrade(lack.layer.name(), Source::option("--degrade"))?;
    }
    let shown = make(&without.build())?;
    let text = if args.json {
        json(&View::new(&shown, &policy, job, &missing, args.steps).of_rollout(rollout))?
    } else if args.steps {
        launch::text(&shown, job)
    } else {
        text::text(&View::new(&shown, &policy, job, &missing, false).of_rollout(rollout))
    };
    message::print(&text)?;
    make(&policy)?;
    choice?;
    Ok(0)
}
