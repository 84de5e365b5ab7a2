//! Where Lazaret's own time goes, by the reports of many runs.

use crate::agent::Choice;
use crate::args;
use crate::host;
use crate::output::{Results, Table, progress};
use crate::peers;
use crate::stats::{Summary, microseconds, ratio};
use anyhow::{Context, Result, bail};
use lazaret::{Job, Policy};
use lazaret_policy::Report;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs before any that counts.
const WARM_UP: u32 = 10;

/// One part of a run's time, over all runs.
#[derive(Debug, serde::Serialize)]
struct Part {
    name: String,
    /// Whether it is a part of the part before it.
    inner: bool,
    us: Vec<u64>,
}

/// The parts of many runs, in the order in which they first came up.
#[derive(Debug, Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn add(&mut self, name: &str, inner: bool, us: u64) {
        match self.0.iter_mut().find(|part| part.name == name && part.inner == inner) {
            Some(part) => part.us.push(us),
            None => self.0.push(Part { name: name.to_owned(), inner, us: vec![us] }),
        }
    }

    /// Adds a run that took `whole_us` as its caller saw it.
    fn run(&mut self, report: &Report, whole_us: u64) {
        let phases = &report.phases;
        self.add("plan", false, phases.plan_us);
        self.add("set-up", false, phases.setup_us);
        for step in &phases.setup_steps {
            self.add(&step.name, true, step.us);
        }
        self.add("run", false, phases.run_us);
        self.add("collect", false, phases.collect_us);
        self.add("tear-down", false, phases.teardown_us);
        let told = phases.plan_us + phases.setup_us + phases.run_us + phases.collect_us + phases.teardown_us;
        self.add("outside of these", false, whole_us.saturating_sub(told));
        self.add("whole", false, whole_us);
    }

    fn markdown(&self) -> String {
        let whole = self.0.iter().find(|part| part.name == "whole").and_then(Part::summary).map(|whole| whole.median);
        let mut table = Table::new(&["phase, µs", "n", "min", "median", "p95", "p99", "% of whole"]);
        for part in &self.0 {
            let Some(own) = part.summary() else { continue };
            table.row(vec![
                if part.inner { format!("· {}", part.name) } else { part.name.clone() },
                own.count.to_string(),
                microseconds(own.min),
                microseconds(own.median),
                microseconds(own.p95),
                microseconds(own.p99),
                whole.map_or_else(String::new, |whole| format!("{:.0}", 100.0 * ratio(own.median, whole))),
            ]);
        }
        table.to_markdown()
    }
}

impl Part {
    fn summary(&self) -> Option<Summary> {
        let nanoseconds: Vec<u64> = self.us.iter().map(|us| us * 1000).collect();
        Summary::of(&nanoseconds)
    }
}

pub(crate) fn phases(args: &args::Phases) -> Result<()> {
    let results = Results::prepare(&args.common.results, "phases")?;
    let load_before = host::load();
    let program = peers::program(args.common.lazaret.as_deref())?;
    let choice = Choice::new(&args.profile, &args.common.degrade);
    let policy = choice.policy()?;
    let (command, rest) = args.command.split_first().context("there is no command")?;
    let job = Job::new(command).args(rest);
    progress(&format!("{} runs of the library and of the program, taking turns", args.runs));
    let (mut library, mut by_program) = (Parts::default(), Parts::default());
    for run in 0..WARM_UP + args.runs {
        let (report, whole) = library_run(&job, &policy)?;
        let (told, told_whole) = program_run(&program, &choice, &args.command)?;
        if run >= WARM_UP {
            library.run(&report, whole);
            by_program.run(&told, told_whole);
        }
    }
    let markdown = format!(
        "# Where the time goes: {}\n\n{}\n## The library, small caller\n\n{}\n## The program\n\n{}\n\
         `outside of these` is what the caller saw and the report does not have: for the program its own start, the policy \
         and the look at the host. Steps are shares of the set-up; medians do not add up exactly.\n",
        args.command.join(" "),
        host::markdown(&load_before),
        library.markdown(),
        by_program.markdown(),
    );
    results.publish(&markdown, &serde_json::json!({ "library": library.0, "program": by_program.0 }))
}

fn library_run(job: &Job, policy: &Policy) -> Result<(Report, u64)> {
    let begun = Instant::now();
    let report = job.run(policy)?;
    let whole = microseconds_since(begun);
    if !report.verdict.is_ok() {
        bail!("the job failed: {}\n{}", report.verdict, String::from_utf8_lossy(&report.stderr));
    }
    Ok((report.data().clone(), whole))
}

/// The report goes to a file, because standard output is the job's.
fn program_run(program: &Path, choice: &Choice, job: &[String]) -> Result<(Report, u64)> {
    let file = tempfile::NamedTempFile::new().context("cannot make a file for the report")?;
    let mut command = Command::new(program);
    command.args(["run", "--quiet"]).args(choice.options()).arg("--report").arg(file.path()).arg("--").args(job);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let output = command.spawn().context("cannot start lazaret")?.wait_with_output()?;
    let whole = microseconds_since(begun);
    if !output.status.success() {
        bail!("`{}` failed: {}\n{}", program.display(), output.status, String::from_utf8_lossy(&output.stderr));
    }
    let report = std::fs::read_to_string(file.path()).context("cannot read the report")?;
    Ok((serde_json::from_str(&report).context("cannot understand the report")?, whole))
}

fn microseconds_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
