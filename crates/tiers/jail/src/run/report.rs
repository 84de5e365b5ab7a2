//! Takes the jail down and writes the report.

use super::collect::Collected;
use super::judge::{self, Fate};
use super::launch::Jail;
use super::shell::Mark;
use super::watch::Watched;
use super::{Finished, Launcher, micros};
use crate::error::RunError;
use crate::plan::{OWN_TASKS, Plan};
use crate::steps::Part;
use lazaret_policy::{Holding, Layer, Phases, Report, ReportVersion, StepTime, StreamReport, Streams, Tier, Usage};
use std::time::{Duration, Instant};

/// How long what took, as far as it is known before the end.
pub(crate) struct Times {
    pub(crate) planned: Duration,
    pub(crate) collecting: Duration,
    pub(crate) begun: Instant,
}

pub(crate) fn finish(
    mut plan: Plan,
    launcher: &Launcher,
    mut jail: Jail,
    watched: Watched,
    fate: Fate,
    collected: Collected,
    times: &Times,
) -> Result<Finished, RunError> {
    let teardown = Instant::now();
    let (user_us, system_us) = judge::cpu_split_us(&jail, &fate.measured);
    let (read_bytes, written_bytes) = judge::io_bytes(&jail, &fate.measured);
    let marks = jail.shell.marks();
    let setup_us = setup_us(&marks, jail.launched_ns);
    let wall = watched.ended.saturating_duration_since(jail.launched);
    let run_us = micros(wall).saturating_sub(setup_us);
    let setup_steps = setup_steps(&marks, jail.launched_ns);
    if let Some(group) = jail.group.take() {
        if !group.swap_bounded()
            && let Some(control) = plan.controls.iter_mut().find(|control| control.layer == Layer::CgroupSwap)
            && control.holding == Holding::Yes
        {
            control.detail = "there is no swap".to_owned();
        }
        group.remove()?;
    }
    let streams = Streams {
        stdout: StreamReport { bytes: jail.streams.stdout.taken, truncated: jail.streams.stdout.truncated },
        stderr: StreamReport { bytes: jail.streams.stderr.taken, truncated: jail.streams.stderr.truncated },
    };
    let (stdout, stderr) =
        (std::mem::take(&mut jail.streams.stdout.captured), std::mem::take(&mut jail.streams.stderr.captured));
    launcher.housekeeper.dispose(jail, watched.gauge.into_descriptor());

    let verdict = collected.verdict.unwrap_or(fate.verdict);
    let mut notes = plan.notes;
    notes.extend(fate.notes);
    if collected.changes.cut {
        notes.push("there are more changes than were looked at".to_owned());
    }
    if collected.changes.unread > 0 {
        let count = collected.changes.unread;
        notes.push(format!(
            "{count} changed files or directories could not be read, and so not be looked into or exported"
        ));
    }
    let report = Report {
        schema: ReportVersion::V1,
        id: id(),
        command: plan.program.arguments.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        policy: plan.policy,
        tier: Tier::Jail,
        mode: plan.shell.mode,
        exit_status: verdict.exit_status(),
        verdict,
        limits_hit: fate.limits_hit,
        usage: Usage {
            wall_us: run_us,
            user_us,
            system_us,
            peak_memory: fate.measured.peak_memory,
            processes: fate.measured.peak_tasks.map(|tasks| tasks.saturating_sub(OWN_TASKS)),
            read_bytes: Some(read_bytes),
            written_bytes: Some(written_bytes),
        },
        phases: Phases {
            plan_us: micros(times.planned),
            setup_us,
            setup_steps,
            run_us,
            collect_us: micros(times.collecting),
            teardown_us: micros(teardown.elapsed()),
        },
        enforcement: plan.controls,
        streams,
        outputs: collected.reports,
        changes: collected.changes.list,
        refusals: watched.refusals.kept,
        refusals_dropped: watched.refusals.dropped,
        path_refusals: None,
        notes,
        stdout,
        stderr,
    };
    debug_assert!(times.begun <= teardown, "time goes on");
    Ok(Finished { report, outputs: collected.held })
}

/// From the launch to the last mark, which is before the filter, the job's last step but its exec.
fn setup_us(marks: &[Mark], launched_ns: u64) -> u64 {
    marks.last().map_or(0, |last| last.at_ns.saturating_sub(launched_ns) / 1000)
}

/// The time from each mark to the next, but for the waiting.
fn setup_steps(marks: &[Mark], launched_ns: u64) -> Vec<StepTime> {
    let steps = marks.windows(2).filter(|pair| pair[0].part != Part::Waiting);
    steps
        .map(|pair| StepTime {
            name: pair[0].part.name().to_owned(),
            us: pair[1].at_ns.saturating_sub(pair[0].at_ns) / 1000,
            ahead: pair[1].at_ns <= launched_ns,
        })
        .collect()
}

fn id() -> String {
    let mut bytes = [0_u8; 16];
    // The kernel's generator answers at once after boot; an id is a name, not a secret.
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    debug_assert!(filled.is_ok(), "getrandom answers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
