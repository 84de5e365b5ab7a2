//! Everybody takes turns, in one run, on one machine.

mod report;

use crate::agent::{Agent, Measured, Work};
use crate::args;
use crate::host::{self, Ticks};
use crate::order::order;
use crate::output::{Results, progress};
use crate::peers::{Absent, Caller, Contender, LIBRARY, LIBRARY_LARGE, Lineup, PROGRAM};
use anyhow::{Context, Result, bail};
use std::thread;
use std::time::Duration;

const ROUNDS: u32 = 200;
const QUICK_ROUNDS: u32 = 20;
/// Turns before any that counts.
const WARM_UP: u32 = 5;
/// Rounds of single timings for one round of blocks.
const ROUNDS_PER_BLOCK: u32 = 20;
/// Jobs in a block, for each that runs at once; few would mostly measure the block's end, where fewer run at once.
const JOBS_PER_BLOCK: u32 = 8;

/// Timings of one contender.
#[derive(Debug, serde::Serialize)]
struct Latencies {
    name: &'static str,
    latencies_ns: Vec<u64>,
}

/// Blocks of jobs of one contender at one concurrency.
#[derive(Debug, serde::Serialize)]
struct Blocks {
    name: &'static str,
    parallel: u32,
    latencies_ns: Vec<u64>,
    /// Nanoseconds of wall-clock time per job, one for each block.
    per_job_ns: Vec<u64>,
    /// What the processors did meanwhile.
    #[serde(skip)]
    ticks: Ticks,
}

/// The agents that contenders need.
#[derive(Debug)]
struct Callers {
    small: Agent,
    large: Agent,
    without_unified: Option<Agent>,
}

impl Callers {
    fn start(args: &args::Compare, contenders: &[Contender]) -> Result<Self> {
        let needs = |caller| contenders.iter().any(|contender| contender.caller == caller);
        let size = |mib: usize, threads: usize| vec![format!("--resident-mib={mib}"), format!("--threads={threads}")];
        let hide = "umount /sys/fs/cgroup/unified && exec \"$0\" \"$@\"";
        let prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide];
        Ok(Self {
            small: Agent::start(&[], &[])?,
            large: match needs(Caller::Large) {
                true => Agent::start(&[], &size(args.large_mib, args.large_threads))?,
                false => Agent::start(&[], &[])?,
            },
            without_unified: needs(Caller::WithoutUnified).then(|| Agent::start(&prefix, &[])).transpose()?,
        })
    }

    fn measure(&mut self, contender: &Contender, jobs: u32, parallel: u32) -> Result<Measured> {
        let agent = match contender.caller {
            Caller::Small => &mut self.small,
            Caller::Large => &mut self.large,
            Caller::WithoutUnified => self.without_unified.as_mut().context("the agent was started")?,
        };
        agent.measure(&contender.work, jobs, parallel).with_context(|| format!("`{}` failed", contender.name))
    }
}

pub(crate) fn compare(args: &args::Compare) -> Result<()> {
    let results = Results::prepare(&args.common.results, "compare")?;
    let load_before = host::load();
    let mut lineup = Lineup::assemble(args.common.lazaret.as_deref(), &args.common.degrade)?;
    lineup.select(&args.only, &args.skip)?;
    let mut callers = Callers::start(args, &lineup.contenders)?;
    try_each(&mut lineup, &mut callers)?;
    if lineup.contenders.is_empty() {
        bail!("there is nobody to measure");
    }
    let rounds = args.rounds.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS });
    let latencies = singles(&lineup.contenders, &mut callers, rounds, Duration::from_millis(args.settle))?;
    let blocks = blocks(&lineup.contenders, &mut callers, &args.concurrency, rounds.div_ceil(ROUNDS_PER_BLOCK).max(2))?;
    let report = report::Report {
        lineup: &lineup,
        latencies: &latencies,
        blocks: &blocks,
        rounds,
        settle_ms: args.settle,
        load_before: &load_before,
        large: &format!("{} resident, {} more threads", callers.large.resident(), args.large_threads),
    };
    let data = serde_json::json!({
        "facts": host::facts().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "single": latencies,
        "blocks": blocks,
    });
    results.publish(&report.markdown(), &data)
}

/// Runs everybody once. A peer that cannot run on this host at all is listed with what it said; where Lazaret or the bare
/// job cannot, there is nothing to compare.
fn try_each(lineup: &mut Lineup, callers: &mut Callers) -> Result<()> {
    let mut able = Vec::new();
    for contender in std::mem::take(&mut lineup.contenders) {
        let is_peer = ![PROGRAM, LIBRARY, LIBRARY_LARGE].contains(&contender.name)
            && matches!(&contender.work, Work::Spawn { argv, .. } if argv.len() > 1);
        match callers.measure(&contender, 1, 1) {
            Ok(_) => able.push(contender),
            Err(error) if is_peer => {
                let why = format!("does not run here: {}", error.root_cause());
                progress(&format!("{}: {why}", contender.name));
                lineup.absent.push(Absent { name: contender.name, why });
            }
            Err(error) => return Err(error),
        }
    }
    lineup.contenders = able;
    Ok(())
}

/// One job at a time, everybody once in each round.
fn singles(contenders: &[Contender], callers: &mut Callers, rounds: u32, settle: Duration) -> Result<Vec<Latencies>> {
    progress(&format!("{} contenders, {rounds} rounds of one job each", contenders.len()));
    let mut all: Vec<_> =
        contenders.iter().map(|contender| Latencies { name: contender.name, latencies_ns: Vec::new() }).collect();
    for contender in contenders {
        callers.measure(contender, WARM_UP, 1)?;
    }
    for round in 0..rounds {
        for turn in order(contenders.len(), usize::try_from(round)?) {
            thread::sleep(settle);
            let measured = callers.measure(&contenders[turn], 1, 1)?;
            all[turn].latencies_ns.extend(measured.latencies_ns);
        }
    }
    Ok(all)
}

/// Blocks of jobs, several at once, everybody at every concurrency once in each round, without pauses.
fn blocks(contenders: &[Contender], callers: &mut Callers, levels: &[u32], rounds: u32) -> Result<Vec<Blocks>> {
    let mut all: Vec<(usize, Blocks)> = Vec::new();
    for parallel in levels {
        let ticks = Ticks::default();
        let block =
            |name| Blocks { name, parallel: *parallel, latencies_ns: Vec::new(), per_job_ns: Vec::new(), ticks };
        all.extend(contenders.iter().enumerate().map(|(who, contender)| (who, block(contender.name))));
    }
    progress(&format!("{rounds} rounds of blocks at concurrency {levels:?}"));
    for round in 0..rounds {
        for turn in order(all.len(), usize::try_from(round)?) {
            let (who, block) = &mut all[turn];
            let jobs = JOBS_PER_BLOCK * block.parallel;
            let before = Ticks::now();
            let measured = callers.measure(&contenders[*who], jobs, block.parallel)?;
            block.ticks.add(Ticks::now().since(before));
            block.latencies_ns.extend(measured.latencies_ns);
            block.per_job_ns.push(measured.elapsed_ns / u64::from(jobs));
        }
    }
    Ok(all.into_iter().map(|(_, block)| block).collect())
}
