//! The side that does.

use super::launch::Launch;
use super::{Measured, Reply, Request};
use crate::args;
use anyhow::{Context, Result};
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

/// The smallest page on the processors that Lazaret runs on.
const PAGE: usize = 4096;

/// Answers requests until standard input ends.
pub(crate) fn serve(size: &args::Agent) -> Result<()> {
    if size.spawner {
        super::function::start_spawner()?;
    }
    let mut ballast = vec![0_u8; size.resident_mib << 20];
    // One byte of every page, so that each is there; different bytes, so that none is merged.
    for (number, page) in ballast.chunks_mut(PAGE).enumerate() {
        page[0] = number.to_le_bytes()[0] | 1;
    }
    black_box(&mut ballast);
    for _ in 0..size.threads {
        thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(|| {
                loop {
                    thread::park();
                }
            })
            .context("cannot start the threads of a large caller")?;
    }
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line.context("cannot read requests")?)?;
        let reply: Reply = measure(&request).map_err(|error| format!("{error:#}"));
        let reply = serde_json::to_string(&reply)?;
        writeln!(stdout, "{reply}").and_then(|()| stdout.flush()).context("cannot answer")?;
    }
    black_box(&ballast);
    Ok(())
}

fn measure(request: &Request) -> Result<Measured> {
    let left = AtomicU32::new(request.jobs);
    if request.parallel <= 1 {
        let mut launch = Launch::prepare(&request.work)?;
        let begun = Instant::now();
        let latencies_ns = work(&left, &mut launch)?;
        return Ok(Measured { latencies_ns, elapsed_ns: nanoseconds(begun) });
    }
    let ready = Barrier::new(usize::try_from(request.parallel)? + 1);
    thread::scope(|scope| {
        let (left, ready) = (&left, &ready);
        let workers: Vec<_> = (0..request.parallel)
            .map(|_| {
                scope.spawn(move || {
                    let launch = Launch::prepare(&request.work);
                    ready.wait();
                    work(left, &mut launch?)
                })
            })
            .collect();
        ready.wait();
        let begun = Instant::now();
        let mut latencies_ns = Vec::new();
        for worker in workers {
            // A panic was printed where it happened.
            let part = worker.join().map_err(|_panic| anyhow::anyhow!("a worker of the agent panicked"))??;
            latencies_ns.extend(part);
        }
        Ok(Measured { latencies_ns, elapsed_ns: nanoseconds(begun) })
    })
}

/// Takes jobs while there are some; a failure leaves none for the others.
fn work(left: &AtomicU32, launch: &mut Launch<'_>) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |jobs| jobs.checked_sub(1)).is_ok() {
        match launch.once() {
            Ok(latency) => latencies.push(latency),
            Err(error) => {
                left.store(0, Ordering::Relaxed);
                return Err(error);
            }
        }
    }
    Ok(latencies)
}

pub(super) fn nanoseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
