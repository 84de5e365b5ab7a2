//! Many jobs in a row: nothing is left behind, and the last are as fast as the first.

mod leaks;

use crate::agent::Choice;
use crate::args;
use crate::host;
use crate::output::{Results, Table, progress};
use crate::stats::{Summary, milliseconds, ratio};
use anyhow::{Context, Result, bail};
use lazaret::Job;
use leaks::{Kind, Snapshot};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Jobs before the first look: allocators, caches and the kernel take their standing share.
const WARM_UP: u32 = 200;
/// After how many jobs a bare process is timed, which shows what the machine does by itself.
const CONTROL: usize = 10;
/// How many jobs the beginning and the end are.
const WINDOW: usize = 1000;
/// Lazaret closes some things a moment after a job, and the kernel lets go of some later still.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn soak(args: &args::Soak) -> Result<()> {
    let results = Results::prepare(&args.common.results, "soak")?;
    let load_before = host::load();
    // Orphans of jobs become children of this process, where they are seen.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let policy = Choice::new("default", &args.common.degrade).policy()?;
    let job = Job::new("/bin/true");
    let run = || -> Result<u64> {
        let begun = Instant::now();
        let report = job.run(&policy)?;
        let latency = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if !report.verdict.is_ok() {
            bail!("a job failed: {}\n{}", report.verdict, String::from_utf8_lossy(&report.stderr));
        }
        Ok(latency)
    };
    for _ in 0..WARM_UP {
        run()?;
    }
    let count = usize::try_from(args.jobs)?;
    // Written to, so that it is resident before the first look.
    let mut latencies = vec![u64::MAX; count];
    let mut control = vec![u64::MAX; count.div_ceil(CONTROL)];
    bare()?;
    thread::sleep(LOOK_AGAIN * 5);
    let before = Snapshot::take()?;
    progress(&format!("{count} jobs in a row"));
    for (done, latency) in latencies.iter_mut().enumerate() {
        *latency = run().with_context(|| format!("job {} of {count}", done + 1))?;
        if done % CONTROL == 0 {
            control[done / CONTROL] = bare()?;
        }
        if (done + 1) % WINDOW == 0 {
            progress(&format!("{} done", done + 1));
        }
    }
    let after = Snapshot::settled(&before, PATIENCE, LOOK_AGAIN)?;
    let window = WINDOW.min(count / 2);
    let (Some(first), Some(last)) = (Summary::of(&latencies[..window]), Summary::of(&latencies[count - window..]))
    else {
        bail!("there are too few jobs");
    };
    let control_window = window.div_ceil(CONTROL);
    let ends = (
        Summary::of(&control[..control_window]).context("there is a control")?,
        Summary::of(&control[control.len() - control_window..]).context("there is a control")?,
    );
    let control_slower = 100.0 * (ratio(ends.1.median, ends.0.median) - 1.0);
    let slower = 100.0 * (ratio(last.median, first.median) - 1.0);
    // Of a machine whose speed changes, what counts is how jobs changed beside bare processes at the same time.
    let by_jobs = 100.0 * ((1.0 + slower / 100.0) / (1.0 + control_slower / 100.0) - 1.0);
    let leaks = after.leaks(&before);
    let markdown = format!(
        "# {count} jobs in a row\n\n{}\n{}\nThe last {window} were {slower:+.1} % slower than the first. Bare processes, one after \
         every {CONTROL} jobs, were {control_slower:+.1} % slower: what the machine did by itself.\nSo jobs became \
         {by_jobs:+.1} % slower (bound {:+.1} %).\n\n{}\n{}",
        host::markdown(&load_before),
        windows(&latencies, window),
        args.slower,
        counts(&before, &after),
        listed(&leaks),
    );
    results
        .publish(&markdown, &serde_json::json!({ "latencies_ns": latencies, "control_ns": control, "leaks": leaks }))?;
    if !leaks.is_empty() {
        bail!("{count} jobs left {} thing(s) behind", leaks.len());
    }
    if by_jobs > args.slower {
        bail!("the last {window} jobs were {by_jobs:.1} % slower than the first, beside bare processes");
    }
    Ok(())
}

/// A process without a sandbox.
fn bare() -> Result<u64> {
    let begun = Instant::now();
    let status = Command::new("/bin/true").stdin(Stdio::null()).status().context("cannot start /bin/true")?;
    let latency = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if !status.success() {
        bail!("/bin/true failed: {status}");
    }
    Ok(latency)
}

fn windows(latencies: &[u64], window: usize) -> String {
    let mut table = Table::new(&["jobs, ms", "min", "median", "p95", "p99", "max"]);
    for (number, part) in latencies.chunks(window).enumerate() {
        let Some(own) = Summary::of(part) else { continue };
        let first = number * window;
        table.row(vec![
            format!("{} to {}", first + 1, first + own.count),
            milliseconds(own.min),
            milliseconds(own.median),
            milliseconds(own.p95),
            milliseconds(own.p99),
            milliseconds(own.max),
        ]);
    }
    table.to_markdown()
}

fn counts(before: &Snapshot, after: &Snapshot) -> String {
    let mut table = Table::new(&["what", "before", "after"]);
    for kind in Kind::ALL {
        table.row(vec![kind.to_string(), before.count(kind).to_string(), after.count(kind).to_string()]);
    }
    for (name, (old, new)) in [before.resident(after)].into_iter().chain(before.informational(after)) {
        table.row(vec![name, old, new]);
    }
    table.to_markdown()
}

fn listed(leaks: &[String]) -> String {
    if leaks.is_empty() {
        return "Nothing was left behind.\n".to_owned();
    }
    let lines = leaks.iter().map(|leak| format!("- left behind: {leak}\n"));
    lines.collect()
}
