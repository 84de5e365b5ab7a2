//! All processes of a job, as /proc shows them: what they hold and have used. No group counts them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// What was seen of all processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Processes and threads.
    pub(crate) tasks: u64,
    /// Bytes of memory that is no file's: resident and swapped.
    pub(crate) memory: u64,
    /// Processor time of those that live, and of those that were waited for.
    pub(crate) cpu: Duration,
    /// Bytes of files that have no name any more and are open still, where that may be looked at.
    pub(crate) nameless: u64,
}

/// How many processes are looked at, at most.
const MOST: usize = 100_000;

impl Sum {
    /// Of everything that descends from process `reaper`, itself not counted. `files` says whether to look at open files.
    pub(crate) fn of(reaper: i32, files: bool) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let mut sum = Self::default();
        let mut used = Stat::of(reaper).map_or(0, |stat| stat.waited_for);
        let mut open = children(reaper);
        let mut seen = 0;
        let mut inodes = Vec::new();
        while let Some(pid) = open.pop() {
            seen += 1;
            if seen > MOST {
                break;
            }
            let Some(stat) = Stat::of(pid) else { continue };
            sum.tasks += stat.threads;
            used += stat.own + stat.waited_for;
            sum.memory += memory(pid);
            if files {
                sum.nameless += nameless(pid, &mut inodes);
            }
            open.extend(children(pid));
        }
        sum.cpu = Duration::from_millis(used.saturating_mul(1000) / ticks);
        sum
    }
}

/// proc(5), `/proc/PID/stat`: in clock ticks.
struct Stat {
    own: u64,
    waited_for: u64,
    threads: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, in parentheses, may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // Behind the name: state is field 3. utime is 14, stime, cutime, cstime follow, num_threads is 20.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { own: field(14)? + field(15)?, waited_for: field(16)? + field(17)?, threads: field(20)? })
    }
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// proc(5), `/proc/PID/status`. What processes share by having forked counts for each.
fn memory(pid: i32) -> u64 {
    // A first thread that has ended shows none of what the others hold.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let Some(status) = { statuses }.find(|status| status.contains("RssAnon:")) else { return 0 };
    let kib = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let counted = matches!(key, "RssAnon" | "RssShmem" | "VmSwap");
        counted.then(|| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).flatten()
    };
    status.lines().filter_map(kib).sum::<u64>() * 1024
}

/// The same without counting twice what processes share, where that may be looked at: `/proc/PID/smaps_rollup`.
pub(crate) fn shared_memory(reaper: i32) -> Option<u64> {
    let mut open = children(reaper);
    let mut total = 0;
    while let Some(pid) = open.pop() {
        open.extend(children(pid));
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            // Gone by now, or not to be looked at.
            if fs::metadata(format!("/proc/{pid}")).is_ok() && memory(pid) > 0 {
                return None;
            }
            continue;
        };
        let kib = |line: &str| {
            let (key, value) = line.split_once(':')?;
            let counted = matches!(key, "Pss_Anon" | "Pss_Shmem" | "SwapPss");
            counted.then(|| value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).flatten()
        };
        total += text.lines().filter_map(kib).sum::<u64>() * 1024;
    }
    Some(total)
}

/// Bytes of regular files that `pid` has open and that no directory names, each once.
fn nameless(pid: i32, inodes: &mut Vec<(u64, u64)>) -> u64 {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let mut bytes = 0;
    for descriptor in open.flatten() {
        if let Ok(found) = fs::metadata(descriptor.path())
            && found.is_file()
            && found.nlink() == 0
            && !inodes.contains(&(found.dev(), found.ino()))
        {
            inodes.push((found.dev(), found.ino()));
            bytes += found.blocks() * 512;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_numbers_does_not_shift_the_fields() {
        let text = "7 (a) 9 (b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 3 0 100 0 0";

        let stat = Stat::parse(text).expect("it is whole");

        assert_eq!((stat.own, stat.waited_for, stat.threads), (110, 150, 3));
    }
}
