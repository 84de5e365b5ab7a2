//! Puts a job into a jail: group, streams, inputs, and the steps up to its exec.

use super::scratch::Gauge;
use super::shell;
use super::walls::Walls;
use super::{Launcher, Sink};
use crate::cgroup::JobGroup;
use crate::error::RunError;
use crate::plan::{Group, Place, Plan};
use crate::steps;
use lazaret_launch::inputs::OpenInput;
use lazaret_launch::running::{self, Given, Moment, Running};
use lazaret_launch::shell::Shell;
use lazaret_launch::start;
use lazaret_policy::Job;

/// A jail with a job, from its launch to its end.
#[derive(Debug)]
pub(crate) struct Jail {
    pub(crate) running: Running,
    pub(crate) walls: Walls,
}

/// Begins with what needs no job, unless a jail was prepared that fits.
pub(crate) fn begin(launcher: &Launcher, place: &Place) -> Result<Shell, RunError> {
    let (mut shell, furnished) = match launcher.housekeeper.take(place.shell, &place.room) {
        Some(prepared) => prepared,
        None => (shell::start(&launcher.tools, place.shell)?, false),
    };
    if !furnished {
        shell::furnish(&mut shell, &place.room)?;
    }
    Ok(shell)
}

/// The same once more, with nothing that was prepared.
pub(crate) fn begin_anew(launcher: &Launcher, plan: &Plan) -> Result<Shell, RunError> {
    let mut shell = shell::start(&launcher.tools, plan.shell)?;
    shell::furnish(&mut shell, &plan.room)?;
    Ok(shell)
}

/// Has a jail take the job in. On an error nothing is left.
pub(crate) fn launch(
    plan: &Plan,
    shell: Shell,
    number: u64,
    inputs: &[OpenInput],
    job: &Job,
    sink: &Sink<'_>,
) -> Result<Jail, RunError> {
    let since = Moment::now();
    let group = match &plan.group {
        Group::Limited { groups, limits } => {
            let name = format!("lazaret-{}-{number}", std::process::id());
            Some(JobGroup::create(groups, &name, limits)?)
        }
        Group::Degraded => None,
    };
    let (doors, own_doors) = group.as_ref().map_or_else(|| Ok((Vec::new(), Vec::new())), JobGroup::doors)?;
    let make = |settings: &_| steps::job(plan, settings);
    let library = plan.program.library.map(|_| start::library()).transpose()?;
    let given = Given { doors: &doors, own_doors: &own_doors, library: library.as_ref() };
    let running = running::admit(since, shell, job, sink, inputs, given, make)?;
    Ok(Jail { running, walls: Walls { group, gauge: Gauge::new(plan), file_size: plan.limits.file_size.bytes() } })
}
