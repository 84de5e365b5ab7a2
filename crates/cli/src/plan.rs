//! `lazaret plan`.

use crate::args::Plan as Args;
use crate::choose;
use crate::message::{self, Failure};
use lazaret::steps::{self, List};

pub(crate) fn plan(args: &Args) -> Result<u8, Failure> {
    let policy = choose::policy(&args.job)?;
    let job = choose::job(&args.job, &policy)?;
    let data = job.data()?;
    let plan = lazaret::launcher()?.plan(&policy, data).map_err(lazaret::Error::Plan)?;
    if args.steps {
        let names: Vec<_> = data.inputs.iter().map(|input| input.name.clone()).collect();
        let steps = steps::preview(&plan, &names);
        let mut text = String::new();
        for (list, title) in [
            (List::Start, "outside of every namespace"),
            (List::Build, "process 1, in its namespaces"),
            (List::Enter, "the job's process"),
        ] {
            text.push_str(&format!("# {title}\n"));
            for step in steps.list(list) {
                text.push_str(&format!("{}\n", steps.show(step)));
            }
        }
        message::print(&text)?;
    }
    Ok(0)
}
