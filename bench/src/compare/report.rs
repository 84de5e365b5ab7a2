//! The comparison in Markdown.

use super::{Blocks, Latencies};
use crate::host;
use crate::output::Table;
use crate::peers::{BWRAP, FORK, LIBRARY, LIBRARY_LARGE, Lineup, PROGRAM};
use crate::stats::{Summary, median, milliseconds, ratio};

/// A library job may take this much longer than bare fork+exec: 0.9 ms.
const LIBRARY_ADDS_NS: f64 = 0.9e6;
/// What `lazaret run` aims at, ahead of minijail: 2.2 ms.
const PROGRAM_AIM_NS: f64 = 2.2e6;
/// What a small caller may be ahead of a large one.
const SIZE_MATTERS: f64 = 1.1;
/// Up to this share of their time processors may wait with more jobs at once than there are of them.
const IDLE: f64 = 0.1;

/// All that the report is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) lineup: &'a Lineup,
    pub(super) latencies: &'a [Latencies],
    pub(super) blocks: &'a [Blocks],
    pub(super) rounds: u32,
    pub(super) settle_ms: u64,
    pub(super) load_before: &'a str,
    pub(super) large: &'a str,
}

impl Report<'_> {
    pub(super) fn markdown(&self) -> String {
        [
            "# One job, /bin/true, several sandboxes\n".to_owned(),
            host::markdown(self.load_before),
            format!("- large caller: {}\n", self.large),
            format!("\n## One at a time, ms ({} rounds, {} ms pause before each)\n", self.rounds, self.settle_ms),
            self.singles(),
            "\n`drift` is the median of the later half over that of the earlier half.\n".to_owned(),
            "\n## Several at once, without pauses\n".to_owned(),
            self.concurrent(),
            "\n`scaling` is jobs/s over those of the same contender at concurrency 1; `idle` is the share of time that processors \
             had nothing to do. The library prepares the next jail beside the running job, so that one at a time uses more \
             than one processor.\n"
                .to_owned(),
            "\n## Promises\n".to_owned(),
            self.promises(),
            "\n## Not measured\n".to_owned(),
            self.absent(),
            "\n## What exactly was run\n".to_owned(),
            self.commands(),
        ]
        .join("\n")
        .replace("\n\n\n", "\n\n")
    }

    fn summary(&self, name: &str) -> Option<Summary> {
        let found = self.latencies.iter().find(|latencies| latencies.name == name)?;
        Summary::of(&found.latencies_ns)
    }

    fn singles(&self) -> String {
        let (fork, bwrap) = (self.summary(FORK), self.summary(BWRAP));
        let mut table = Table::new(&[
            "contender",
            "n",
            "min",
            "median",
            "p95",
            "p99",
            "max",
            "− fork+exec",
            "× fork+exec",
            "× bwrap",
            "drift",
        ]);
        for Latencies { name, latencies_ns } in self.latencies {
            let Some(own) = Summary::of(latencies_ns) else { continue };
            let times = |other: &Option<Summary>| relative(own.median, other.as_ref().map(|other| other.median));
            table.row(vec![
                (*name).to_owned(),
                own.count.to_string(),
                milliseconds(own.min),
                milliseconds(own.median),
                milliseconds(own.p95),
                milliseconds(own.p99),
                milliseconds(own.max),
                fork.as_ref().map_or_else(none, |fork| milliseconds(own.median - fork.median)),
                times(&fork),
                times(&bwrap),
                format!("{:.2}", own.drift),
            ]);
        }
        table.to_markdown()
    }

    fn concurrent(&self) -> String {
        let head =
            ["contender", "at once", "jobs", "jobs/s", "scaling", "idle", "min ms", "median ms", "p95 ms", "p99 ms"];
        let mut table = Table::new(&head);
        for contender in self.latencies {
            for block in self.blocks.iter().filter(|block| block.name == contender.name) {
                let (Some(latency), Some(rate)) = (Summary::of(&block.latencies_ns), block.rate()) else { continue };
                table.row(vec![
                    block.name.to_owned(),
                    block.parallel.to_string(),
                    latency.count.to_string(),
                    format!("{rate:.0}"),
                    relative(rate, self.rate(block.name, 1)),
                    block.idle().map_or_else(none, two_places),
                    milliseconds(latency.min),
                    milliseconds(latency.median),
                    milliseconds(latency.p95),
                    milliseconds(latency.p99),
                ]);
            }
        }
        table.to_markdown()
    }

    fn rate(&self, name: &str, parallel: u32) -> Option<f64> {
        self.blocks.iter().find(|block| block.name == name && block.parallel == parallel)?.rate()
    }

    fn promises(&self) -> String {
        let middle = |name| self.summary(name).map(|summary| summary.median);
        let mut table = Table::new(&["promise", "bound", "measured", "verdict"]);
        let mut at_most = |promise: &str, bound: Option<f64>, measured: Option<f64>, show: fn(f64) -> String| {
            let verdict = match (bound, measured) {
                (Some(bound), Some(measured)) if measured <= bound => "met",
                (Some(_), Some(_)) => "MISSED",
                _ => "not measured",
            };
            let cell = |value: Option<f64>| value.map_or_else(none, show);
            table.row(vec![promise.to_owned(), cell(bound), cell(measured), verdict.to_owned()]);
        };
        at_most("`lazaret run` is no slower than bwrap, ms", middle(BWRAP), middle(PROGRAM), milliseconds);
        at_most("aim: `lazaret run`, ms", Some(PROGRAM_AIM_NS), middle(PROGRAM), milliseconds);
        let adds = middle(LIBRARY).zip(middle(FORK)).map(|(library, fork)| library - fork);
        at_most("a library job adds to fork+exec at most, ms", Some(LIBRARY_ADDS_NS), adds, milliseconds);
        let size = middle(LIBRARY_LARGE).zip(middle(LIBRARY)).map(|(large, small)| ratio(large, small));
        at_most("the caller's size makes no difference, large/small", Some(SIZE_MATTERS), size, two_places);
        let most = self.blocks.iter().filter(|block| block.name == LIBRARY).max_by_key(|block| block.parallel);
        let promise = "jobs/s grow until the processors are busy: their idle share with most library jobs at once";
        at_most(promise, Some(IDLE), most.and_then(Blocks::idle), two_places);
        table.to_markdown()
    }

    fn absent(&self) -> String {
        if self.lineup.absent.is_empty() {
            return "Nobody.\n".to_owned();
        }
        let lines = self.lineup.absent.iter().map(|absent| {
            let why = absent.why.trim_end().replace('\n', "\n  ");
            format!("- {}: {why}\n", absent.name)
        });
        lines.collect()
    }

    fn commands(&self) -> String {
        let lines =
            self.lineup.contenders.iter().map(|contender| {
                format!("- {}: {}.\n  `{}`\n", contender.name, contender.about, contender.command_line())
            });
        lines.collect()
    }
}

impl Blocks {
    /// Jobs per second, in the block in the middle.
    fn rate(&self) -> Option<f64> {
        median(&self.per_job_ns).map(|nanoseconds| 1e9 / nanoseconds)
    }

    /// The share of time that the processors waited.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a few minutes")]
    fn idle(&self) -> Option<f64> {
        (self.ticks.all > 0).then(|| self.ticks.idle as f64 / self.ticks.all as f64)
    }
}

fn relative(own: f64, other: Option<f64>) -> String {
    other.map_or_else(none, |other| two_places(ratio(own, other)))
}

fn two_places(value: f64) -> String {
    format!("{value:.2}")
}

fn none() -> String {
    "–".to_owned()
}
