//! `lazaret plan`.

mod launch;
mod text;
mod view;

use crate::args::Plan as Args;
use crate::choose;
use crate::message::{self, Failure};
use crate::profiles::json;
use lazaret::plan::{FilterPlan, OWN_RULES, Place, Plan};
use lazaret::probe::{PathFacts, Support};
use lazaret::{Policy, Source};
use std::sync::Arc;
use view::View;

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let policy = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &policy)?;
    let job = job.data()?;
    let support = Support::probe();
    let missing = support.missing(&policy);
    let filter =
        FilterPlan::bounded(&policy.system_calls, OWN_RULES, support.notifier, policy.limits.file_size.bytes())
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
        json(&View::new(&shown, &policy, job, &missing, args.steps))?
    } else if args.steps {
        launch::text(&shown, job)
    } else {
        text::text(&View::new(&shown, &policy, job, &missing, false))
    };
    message::print(&text)?;
    make(&policy).map(|_enforceable| 0)
}
