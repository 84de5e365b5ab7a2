//! All processes of a job, as /proc shows them: what they hold and have used. No group counts them.

use super::nameless::Nameless;
use std::fs;
use std::path::Path;
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
    /// Bytes of files that have no name any more and are open or mapped still, where that may be looked at.
    pub(crate) nameless: u64,
    /// Whether there is a process that could have such files, and cannot be looked into.
    pub(crate) hides: bool,
}

/// How many processes are looked at, at most.
const MOST: usize = 100_000;

impl Sum {
    /// Of everything that descends from process `reaper`, itself not counted. `files` is where those are that are
    /// looked for, if they are.
    pub(crate) fn of(reaper: i32, files: Option<&Path>) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let mut sum = Self::default();
        let mut used = Stat::of(reaper).map_or(0, |stat| stat.waited_for);
        let mut open = children(reaper);
        let mut seen = 0;
        let mut nameless = files.map(Nameless::below);
        while let Some(pid) = open.pop() {
            seen += 1;
            if seen > MOST {
                break;
            }
            let Some(stat) = Stat::of(pid) else { continue };
            sum.tasks += stat.threads;
            used += stat.own + stat.waited_for;
            sum.memory += memory(pid);
            // Who is dead and waits to be waited for cannot be looked into, and has nothing open.
            if let Some(nameless) = nameless.as_mut().filter(|_| !stat.is_dead) {
                nameless.of_process(pid);
            }
            open.extend(children(pid));
        }
        if let Some(nameless) = nameless {
            (sum.nameless, sum.hides) = nameless.bytes();
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
    is_dead: bool,
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
        let (own, waited_for, threads) = (field(14)? + field(15)?, field(16)? + field(17)?, field(20)?);
        // A first thread that has ended is told as dead, beside those of its process that live.
        let is_dead = matches!(fields.first(), Some(&("Z" | "X"))) && threads <= 1;
        Some(Self { own, waited_for, threads, is_dead })
    }
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// What processes share by having forked counts for each.
fn memory(pid: i32) -> u64 {
    status(pid, &["RssAnon", "RssShmem", "VmSwap", "VmPTE"])
}

/// proc(5), `/proc/PID/status`: the sum of the lines `keys`, in bytes. Tables of pages (`VmPTE`) are memory too: reading a
/// page that nobody wrote costs nothing else.
fn status(pid: i32, keys: &[&str]) -> u64 {
    // A first thread that has ended shows none of what the others hold.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let Some(status) = { statuses }.find(|status| status.contains("RssAnon:")) else { return 0 };
    status.lines().filter_map(|line| kib(line, keys)).sum::<u64>() * 1024
}

fn kib(line: &str, keys: &[&str]) -> Option<u64> {
    let (key, value) = line.split_once(':')?;
    keys.contains(&key).then(|| value.trim().strip_suffix(" kB")?.trim().parse().ok()).flatten()
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
        let shares = text.lines().filter_map(|line| kib(line, &["Pss_Anon", "Pss_Shmem", "SwapPss"]));
        total += shares.sum::<u64>() * 1024 + status(pid, &["VmPTE"]);
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_numbers_does_not_shift_the_fields() {
        let text = "7 (a) 9 (b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 3 0 100 0 0";

        let stat = Stat::parse(text).expect("it is whole");

        assert_eq!((stat.own, stat.waited_for, stat.threads, stat.is_dead), (110, 150, 3, false));
    }

    #[test]
    fn who_is_dead_is_told_from_a_first_thread_that_is() {
        let stat = |state: &str, threads: u32| {
            let text = format!("7 (a) {state} 1 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 {threads} 0 100 0 0");
            Stat::parse(&text).expect("it is whole").is_dead
        };

        assert!(stat("Z", 1) && !stat("Z", 2) && !stat("S", 1));
    }
}
