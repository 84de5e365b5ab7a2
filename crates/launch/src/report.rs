//! Writes the report.

use crate::collect::Collected;
use crate::judge::{self, Fate};
use crate::outcome::{Finished, micros};
use crate::program::Program;
use crate::running::Running;
use crate::shell::Mark;
use crate::steps::Part;
use crate::watch::Watched;
use lazaret_policy::{
    Change, Control, FetchReport, Mode, Phases, Report, ReportVersion, StepTime, StreamReport, Streams, Tier, Usage,
};
use std::time::{Duration, Instant};

/// How long what took, as far as it is known before the end.
pub struct Times {
    /// Deciding.
    pub planned: Duration,
    /// Taking the outputs.
    pub collecting: Duration,
    /// When taking down began.
    pub teardown: Instant,
}

/// What a tier says of itself and of the job in its report.
pub struct Account<'a> {
    /// The policy's name.
    pub policy: String,
    /// The tier.
    pub tier: Tier,
    /// Whose user id the job had.
    pub mode: Mode,
    /// What was executed.
    pub program: &'a Program,
    /// Every control.
    pub controls: Vec<Control>,
    /// The plan's remarks.
    pub notes: Vec<String>,
    /// What was fetched for the job.
    pub fetched: Vec<FetchReport>,
    /// What the job changed in copy-on-write views.
    pub changes: Vec<Change>,
    /// How many of the counted tasks are Lazaret's own.
    pub own_tasks: u64,
}

/// The report of a job that is dead, with its outputs.
pub fn finish(
    account: Account<'_>,
    running: &mut Running,
    watched: Watched,
    fate: Fate,
    collected: Collected,
    times: &Times,
) -> Finished {
    let (user_us, system_us) = judge::cpu_split_us(running, &fate.measured);
    let (read_bytes, written_bytes) = judge::io_bytes(running, &fate.measured);
    let marks = running.shell.marks();
    let setup_us = setup_us(&marks, running.launched_ns);
    let wall = watched.ended.saturating_duration_since(running.launched);
    let run_us = micros(wall).saturating_sub(setup_us);
    let setup_steps = setup_steps(&marks, running.launched_ns);
    let streams = &mut running.streams;
    let (stdout, stderr) = (std::mem::take(&mut streams.stdout.captured), std::mem::take(&mut streams.stderr.captured));
    let streams = Streams {
        stdout: StreamReport { bytes: streams.stdout.taken, truncated: streams.stdout.truncated },
        stderr: StreamReport { bytes: streams.stderr.taken, truncated: streams.stderr.truncated },
    };
    let verdict = collected.verdict.unwrap_or(fate.verdict);
    let mut notes = account.notes;
    notes.extend(fate.notes);
    let mut controls = account.controls;
    if let Some(told) = watched.refusals.start {
        told.enter(&mut controls);
        notes.push(told.text);
    }
    let report = Report {
        schema: ReportVersion::V1,
        id: id(),
        command: account.program.arguments.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        policy: account.policy,
        tier: account.tier,
        mode: account.mode,
        exit_status: verdict.exit_status(),
        verdict,
        limits_hit: fate.limits_hit,
        usage: Usage {
            wall_us: run_us,
            user_us,
            system_us,
            peak_memory: fate.measured.peak_memory,
            processes: fate.measured.peak_tasks.map(|tasks| tasks.saturating_sub(account.own_tasks)),
            read_bytes: Some(read_bytes),
            written_bytes: Some(written_bytes),
        },
        phases: Phases {
            plan_us: micros(times.planned),
            setup_us,
            setup_steps,
            run_us,
            collect_us: micros(times.collecting),
            teardown_us: micros(times.teardown.elapsed()),
        },
        enforcement: controls,
        streams,
        outputs: collected.reports,
        changes: account.changes,
        refusals: watched.refusals.kept,
        refusals_dropped: watched.refusals.dropped,
        fetched: account.fetched,
        network: watched.network.map(|network| network.report),
        files: watched.files,
        path_refusals: None,
        rollout: lazaret_policy::RolloutReport::None,
        notes,
        stdout,
        stderr,
    };
    Finished { report, outputs: collected.held, observed: watched.refusals.observed }
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
