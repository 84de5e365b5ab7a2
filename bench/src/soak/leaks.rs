//! What jobs could leave behind, counted.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Kinds of things that could be left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Open descriptors of this process, memory files included.
    Descriptors,
    /// Its threads.
    Threads,
    /// Its children and theirs; orphans come to it.
    Processes,
    /// The mounts that it sees.
    Mounts,
    /// Groups of jobs of this process, in every hierarchy.
    Groups,
    /// Files in `/dev/shm`, and Lazaret's in the directory for temporary files.
    Files,
    /// Shared memory, queues and semaphores of System V.
    Ipc,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Descriptors, Self::Threads, Self::Processes, Self::Mounts, Self::Groups, Self::Files, Self::Ipc];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Mounts => "mounts",
            Self::Groups => "cgroup directories",
            Self::Files => "temporary files",
            Self::Ipc => "System V objects",
        })
    }
}

/// How much a process's memory may grow: what allocators do to it, not a leak of 400 bytes in each of 10,000 jobs.
const GROWTH_KIB: u64 = 4096;

/// What there is at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    things: BTreeMap<Kind, Vec<String>>,
    resident_kib: u64,
    slab: BTreeMap<String, u64>,
}

impl Snapshot {
    pub(super) fn take() -> Result<Self> {
        let lines = |path: &str| -> Result<Vec<String>> {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let mut ipc = Vec::new();
        for path in ["/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"] {
            // Kernels without System V IPC have no such files; the first line is a head.
            ipc.extend(lines(path).unwrap_or_default().into_iter().skip(1));
        }
        let things = BTreeMap::from([
            (Kind::Descriptors, descriptors()?),
            (Kind::Threads, names(Path::new("/proc/self/task"))?),
            (Kind::Processes, descendants()?),
            (Kind::Mounts, lines("/proc/self/mountinfo")?),
            (Kind::Groups, groups()),
            (Kind::Files, files()?),
            (Kind::Ipc, ipc),
        ]);
        let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let resident_kib =
            resident.trim().trim_end_matches(" kB").parse().context("cannot tell the resident memory")?;
        Ok(Self { things, resident_kib, slab: slab() })
    }

    /// Looks until nothing is left that was not there `before`, or patience ends.
    pub(super) fn settled(before: &Self, patience: Duration, pause: Duration) -> Result<Self> {
        let begun = Instant::now();
        loop {
            let now = Self::take()?;
            if now.leaks(before).is_empty() || begun.elapsed() > patience {
                return Ok(now);
            }
            thread::sleep(pause);
        }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.things.get(&kind).map_or(0, Vec::len)
    }

    /// What there is more of than `before`, one line each.
    pub(super) fn leaks(&self, before: &Self) -> Vec<String> {
        let mut leaks = Vec::new();
        for kind in Kind::ALL {
            let (old, new) = (before.count(kind), self.count(kind));
            if new > old {
                let known: BTreeSet<&String> = before.things.get(&kind).into_iter().flatten().collect();
                let unknown = self.things.get(&kind).into_iter().flatten().filter(|thing| !known.contains(thing));
                let examples: Vec<&str> = unknown.take(5).map(String::as_str).collect();
                leaks.push(format!("{kind}: {old} before, {new} after, such as {}", examples.join("; ")));
            }
        }
        let growth = self.resident_kib.saturating_sub(before.resident_kib);
        if growth > GROWTH_KIB {
            leaks.push(format!("resident memory grew by {growth} KiB, of which {GROWTH_KIB} are allowed"));
        }
        leaks
    }

    /// Figures that other programs on the machine change too.
    pub(super) fn informational(&self, after: &Self) -> BTreeMap<String, (String, String)> {
        self.slab
            .iter()
            .map(|(name, old)| {
                let new = after.slab.get(name).map_or_else(|| "?".to_owned(), u64::to_string);
                (format!("slab {name}, for information"), (old.to_string(), new))
            })
            .collect()
    }

    /// Resident memory of this process, before and after.
    pub(super) fn resident(&self, after: &Self) -> (String, (String, String)) {
        let kib = |snapshot: &Self| format!("{} KiB", snapshot.resident_kib);
        (format!("resident memory, {GROWTH_KIB} KiB more allowed"), (kib(self), kib(after)))
    }
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn descriptors() -> Result<Vec<String>> {
    let directory = Path::new("/proc/self/fd");
    let named = names(directory)?.into_iter().map(|number| {
        // The descriptor of the listing itself is gone by now.
        let target = fs::read_link(directory.join(&number)).map(|target| target.display().to_string());
        format!("{number} → {}", target.unwrap_or_else(|_gone| "the listing".to_owned()))
    });
    Ok(named.collect())
}

/// All processes whose line of parents leads here.
fn descendants() -> Result<Vec<String>> {
    let mut parents: BTreeMap<u32, (u32, String)> = BTreeMap::new();
    for pid in names(Path::new("/proc"))?.iter().filter_map(|name| name.parse::<u32>().ok()) {
        // It may have ended since.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // `pid (name) state parent …`; the name may have anything in it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.insert(pid, (parent.unwrap_or(0), stat.chars().take(60).collect()));
    }
    let own = std::process::id();
    let leads_here = |mut pid: u32| {
        // A line of parents is no longer than there are processes.
        for _ in 0..parents.len() {
            match parents.get(&pid) {
                Some((parent, _)) if *parent == own => return true,
                Some((parent, _)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    Ok(parents.iter().filter(|(pid, _)| leads_here(**pid)).map(|(_, (_, stat))| stat.clone()).collect())
}

/// Directories named `lazaret-<this process>-…` in any hierarchy.
fn groups() -> Vec<String> {
    let prefix = format!("lazaret-{}-", std::process::id());
    let mut found = Vec::new();
    let mut left = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(directory) = left.pop() {
        // Groups of others come and go.
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path().display().to_string());
            }
            left.push(entry.path());
        }
    }
    found
}

fn files() -> Result<Vec<String>> {
    let temporary = std::env::temp_dir();
    let ours = names(&temporary)?.into_iter().filter(|name| name.contains("lazaret"));
    let mut files: Vec<String> = ours.map(|name| temporary.join(name).display().to_string()).collect();
    files.extend(names(Path::new("/dev/shm")).unwrap_or_default().into_iter().map(|name| format!("/dev/shm/{name}")));
    Ok(files)
}

/// Objects in use in the kernel's caches that jails take from. Empty where this user may not know.
fn slab() -> BTreeMap<String, u64> {
    const CACHES: [&str; 8] =
        ["mnt_cache", "net_namespace", "pid_namespace", "user_namespace", "cred_jar", "task_struct", "dentry", "filp"];
    let text = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().filter(|name| CACHES.contains(name))?;
            Some((name.to_owned(), words.next()?.parse().ok()?))
        })
        .collect()
}
