//! Function calls, taking turns: in the process, in a bare fork, sandboxed; and 64 MiB through one.

use crate::agent::{Agent, Function, Work};
use crate::args;
use crate::host;
use crate::order::order;
use crate::output::{Results, Table, progress};
use crate::stats::{Summary, microseconds, milliseconds, ratio};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// Turns before any that counts.
const WARM_UP: u32 = 10;
/// What a sandboxed call may take beyond a bare fork, from a small process.
const ADDS_NS: f64 = 250_000.0;
/// How much the caller's size may matter.
const SIZE_MATTERS: f64 = 1.15;
/// How much longer than two copies 64 MiB may take.
const COPIES: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Small,
    Large,
}

/// One way to make a call.
#[derive(Debug, serde::Serialize)]
struct Contender {
    name: &'static str,
    #[serde(skip)]
    caller: Caller,
    #[serde(skip)]
    work: Function,
    latencies_ns: Vec<u64>,
}

impl Contender {
    fn new(name: &'static str, caller: Caller, work: Function) -> Self {
        Self { name, caller, work, latencies_ns: Vec::new() }
    }

    fn summary(&self) -> Result<Summary> {
        Summary::of(&self.latencies_ns).context("there is a round")
    }
}

const IN_PROCESS: &str = "in the process";
const FORK: &str = "fork+wait";
const FORK_LARGE: &str = "fork+wait, large caller";
const SPAWNER: &str = "sandboxed, spawner";
const SPAWNER_LARGE: &str = "sandboxed, spawner, large caller";
const CALLER: &str = "sandboxed, no spawner";
const CALLER_LARGE: &str = "sandboxed, no spawner, large caller";
const WARM: &str = "two copies, memory used before";
const FRESH: &str = "two copies, new memory";
const BULK_SPAWNER: &str = "64 MiB through it, spawner";
const BULK_CALLER: &str = "64 MiB through it, no spawner";

pub(crate) fn functions(args: &args::Functions) -> Result<()> {
    let results = Results::prepare(&args.common.results, "functions")?;
    let load_before = host::load();
    let large = [format!("--resident-mib={}", args.large_mib), format!("--threads={}", args.large_threads)];
    let spawner = "--spawner".to_owned();
    let mut small = Agent::start(&[], std::slice::from_ref(&spawner))?;
    let mut large = Agent::start(&[], &[&large[..], &[spawner]].concat())?;
    let mut calls = vec![
        Contender::new(IN_PROCESS, Caller::Small, Function::InProcess),
        Contender::new(FORK, Caller::Small, Function::Fork),
        Contender::new(SPAWNER, Caller::Small, Function::Spawner),
        Contender::new(CALLER, Caller::Small, Function::Caller),
        Contender::new(FORK_LARGE, Caller::Large, Function::Fork),
        Contender::new(SPAWNER_LARGE, Caller::Large, Function::Spawner),
        Contender::new(CALLER_LARGE, Caller::Large, Function::Caller),
    ];
    let mut bulk = vec![
        Contender::new(WARM, Caller::Small, Function::CopiesWarm),
        Contender::new(FRESH, Caller::Small, Function::CopiesFresh),
        Contender::new(BULK_SPAWNER, Caller::Small, Function::BulkSpawner),
        Contender::new(BULK_CALLER, Caller::Small, Function::BulkCaller),
    ];
    let settle = Duration::from_millis(args.settle);
    for (contenders, rounds, warm_up) in [(&mut calls, args.rounds, WARM_UP), (&mut bulk, args.bulk_rounds, 2)] {
        progress(&format!("{} contenders, {rounds} rounds", contenders.len()));
        for round in 0..rounds + warm_up {
            for turn in order(contenders.len(), usize::try_from(round)?) {
                thread::sleep(settle);
                let contender = &mut contenders[turn];
                let agent = if contender.caller == Caller::Small { &mut small } else { &mut large };
                // The first call of a turn finds caches cold that no busy caller would; two, of which the second counts.
                let measured = agent.measure(&Work::Function(contender.work), 2, 1)?;
                if round >= warm_up {
                    contender.latencies_ns.extend(measured.latencies_ns.last());
                }
            }
        }
    }
    let markdown = format!(
        "# Function calls\n\n{}- large caller: {} resident, {} more threads\n\n## Calls\n\n{}\n## 64 MiB\n\n{}\n## Promises\n\n{}",
        host::markdown(&load_before),
        large.resident(),
        args.large_threads,
        table("call, µs", &calls, microseconds)?,
        table("way, ms", &bulk, milliseconds)?,
        promises(&calls, &bulk)?,
    );
    results.publish(&markdown, &serde_json::json!({ "calls": calls, "bulk": bulk }))
}

fn table(head: &str, contenders: &[Contender], show: fn(f64) -> String) -> Result<String> {
    let mut table = Table::new(&[head, "n", "min", "median", "p95", "p99", "drift"]);
    for contender in contenders {
        let own = contender.summary()?;
        let [min, median, p95, p99] = [own.min, own.median, own.p95, own.p99].map(show);
        let drift = format!("{:.2}", own.drift);
        table.row(vec![contender.name.to_owned(), own.count.to_string(), min, median, p95, p99, drift]);
    }
    Ok(table.to_markdown())
}

fn promises(calls: &[Contender], bulk: &[Contender]) -> Result<String> {
    let median = |name: &str| -> Result<f64> {
        let contender = calls.iter().chain(bulk).find(|contender| contender.name == name);
        Ok(contender.context("it took part")?.summary()?.median)
    };
    let two_places = |value: f64| format!("{value:.2}");
    let mut table = Table::new(&["promise", "bound", "measured", "verdict"]);
    let mut at_most = |promise: &str, bound: f64, measured: f64, show: &dyn Fn(f64) -> String| {
        let verdict = if measured <= bound { "met" } else { "MISSED" };
        table.row(vec![promise.to_owned(), show(bound), show(measured), verdict.to_owned()]);
    };
    let adds = |name| Ok::<_, anyhow::Error>(median(name)? - median(FORK)?);
    at_most("a call by a spawner adds to fork+wait at most, µs", ADDS_NS, adds(SPAWNER)?, &microseconds);
    at_most("a call without a spawner adds to fork+wait at most, µs", ADDS_NS, adds(CALLER)?, &microseconds);
    let size = ratio(median(SPAWNER_LARGE)?, median(SPAWNER)?);
    at_most("with a spawner the caller's size makes no difference, large/small", SIZE_MATTERS, size, &two_places);
    for (name, copies) in [(BULK_SPAWNER, FRESH), (BULK_SPAWNER, WARM), (BULK_CALLER, FRESH), (BULK_CALLER, WARM)] {
        let promise = format!("{name}: at most so many times {copies}");
        at_most(&promise, COPIES, ratio(median(name)?, median(copies)?), &two_places);
    }
    Ok(table.to_markdown())
}
