//! The machine that the figures are from.

use std::fs;

/// Facts about the machine, as name and value.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let or_unknown = |path: &str| read(path).unwrap_or_else(|error| format!("unknown ({error})"));
    let field = |path: &str, key: &str| {
        let text = read(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_once(':')).map_or_else(|| "unknown".to_owned(), |(_, v)| v.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or_else(|error| error.to_string(), |n| n.to_string());
    let build = if cfg!(debug_assertions) { "debug: these figures mean nothing" } else { "release" };
    vec![
        ("kernel", or_unknown("/proc/sys/kernel/osrelease")),
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", cores),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("governor", or_unknown("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        ("clock", or_unknown("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        ("huge pages", or_unknown("/sys/kernel/mm/transparent_hugepage/enabled")),
        ("user", rustix::process::geteuid().as_raw().to_string()),
        ("build", build.to_owned()),
    ]
}

/// What all processors together did since boot, in clock ticks: how long they were idle, and how long there was.
///
/// Source: proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ticks {
    pub(crate) idle: u64,
    pub(crate) all: u64,
}

impl Ticks {
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|tick| tick.parse().ok()).collect();
        Self { idle: ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0), all: ticks.iter().sum() }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { idle: self.idle.saturating_sub(before.idle), all: self.all.saturating_sub(before.all) }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.idle += more.idle;
        self.all += more.all;
    }
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_else(|error| format!("unknown ({error})"));
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The facts as a list in Markdown, with the load at the beginning and now.
pub(crate) fn markdown(load_before: &str) -> String {
    let lines = facts().into_iter().map(|(name, value)| format!("- {name}: {value}\n"));
    let load = format!("- load before: {load_before}, after: {}\n", load());
    lines.chain([load]).collect()
}
