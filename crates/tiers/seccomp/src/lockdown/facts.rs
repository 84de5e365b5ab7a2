//! What this process is and holds, as /proc/self tells it. Nothing here changes anything.

use super::descriptors::{self, Descriptor};
use super::error::LockdownError;
use rustix::thread::CapabilitySet;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

/// What matters of this process and its kernel.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) pid: u32,
    pub(crate) is_root: bool,
    /// Landlock's ABI, or why it cannot be used.
    pub(crate) landlock: Result<u32, String>,
    pub(crate) seen: Seen,
}

/// What an earlier lockdown of this process knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) pid: u32,
    pub(crate) is_root: bool,
    /// How much more than was mapped then may be mapped, bytes.
    pub(crate) memory: u64,
}

/// What /proc/self tells.
#[derive(Debug)]
pub(crate) enum Seen {
    /// All of it.
    All(Box<Own>),
    /// Nothing: behind an earlier lockdown of this process nobody looks. What that one established holds: every thread
    /// is under its filter, and none has a capability.
    Nothing {
        /// How much more than was mapped then may be mapped, bytes.
        memory: u64,
    },
}

/// The process, from the outside.
#[derive(Debug)]
pub(crate) struct Own {
    /// The calling thread first.
    pub(crate) threads: Vec<Thread>,
    pub(crate) descriptors: Vec<Descriptor>,
    pub(crate) mappings: Vec<Mapping>,
    /// The files of which code is mapped.
    pub(crate) code: Vec<String>,
    /// Mapped addresses, and those of them that count to RLIMIT_DATA, bytes.
    pub(crate) mapped: u64,
    pub(crate) data: u64,
    /// Locked memory, bytes.
    pub(crate) locked: u64,
    pub(crate) tracer: u32,
    pub(crate) children: Vec<u32>,
    /// The processes that have the very memory of this process.
    pub(crate) within: Vec<u32>,
    /// Those that have its table of descriptors.
    pub(crate) beside: Vec<u32>,
    /// Whether the calling thread has an io_uring instance without a descriptor, where that can be asked.
    pub(crate) has_ring: bool,
    /// Whether everything that can be read can be executed: personality(2), `READ_IMPLIES_EXEC`.
    pub(crate) reading_executes: bool,
    pub(crate) timers: usize,
    /// Processor time that was used, whole seconds rounded up.
    pub(crate) used_seconds: u64,
}

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// 0: none, 1: strict, 2: filters.
    pub(crate) mode: u32,
    /// How many filters it has, where the kernel tells (Linux 5.9).
    pub(crate) filters: Option<u32>,
    /// Whether it has a capability in any set but the bounding set.
    pub(crate) is_capable: bool,
    /// The call that it waits in, when it does and may be told.
    pub(crate) waits_in: Option<u32>,
}

/// A mapping that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) range: String,
    pub(crate) name: String,
    pub(crate) kind: MappingKind,
}

/// What is remarkable about a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MappingKind {
    /// Of an io_uring instance.
    IoUring,
    /// Writable and executable.
    WritableCode,
    /// Writable and shared, with whoever else maps it.
    Shared,
}

impl Facts {
    /// Looks. `locked` is what an earlier lockdown of this process knows, when there was one.
    pub(crate) fn look(locked: Option<Before>) -> Result<Self, LockdownError> {
        let landlock = lazaret_sys::landlock::abi().map_err(|e| format!("landlock_create_ruleset is refused: {e}"));
        let landlock = landlock.and_then(|abi| match abi {
            0 => Err("this kernel has no Landlock, or does not enable it".to_owned()),
            abi => Ok(abi),
        });
        // Nothing here takes for granted that a call is made: a filter may be in force.
        let (pid, is_root, seen) = match locked {
            // Every call that a look takes could be the death of the process, if the earlier policy says so.
            Some(before) => (before.pid, before.is_root, Seen::Nothing { memory: before.memory }),
            None => {
                let (own, is_root) = Own::look().map_err(|(path, source)| LockdownError::Look { path, source })?;
                let pid = lazaret_sys::limit::process_id()
                    .map_err(|source| LockdownError::Look { path: "getpid", source })?;
                (pid, is_root, Seen::All(Box::new(own)))
            }
        };
        Ok(Self { pid, is_root, landlock, seen })
    }

    /// The other threads, when they can be seen.
    pub(crate) fn others(&self) -> &[Thread] {
        match &self.seen {
            Seen::All(own) => own.threads.get(1..).unwrap_or_default(),
            Seen::Nothing { .. } => &[],
        }
    }

    /// Whether it is certain that there is no other thread.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.seen, Seen::All(_)) && self.others().is_empty()
    }
}

const READ_IMPLIES_EXEC: u64 = 0x040_0000;

type Failed = (&'static str, io::Error);

fn read(path: &'static str) -> Result<String, Failed> {
    // Names of threads and paths of mappings are bytes of anybody's choice.
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|error| (path, error))
}

impl Own {
    /// The process, and whether it is root's.
    fn look() -> Result<(Self, bool), Failed> {
        let status = read("/proc/self/status")?;
        let status = Status::parse(&status);
        let descriptors = descriptors::look().map_err(|error| ("/proc/self/fd", error))?;
        let threads = threads().map_err(|error| ("/proc/self/task", error))?;
        let children: Vec<u32> = threads.iter().flat_map(|thread| children(thread.id)).collect();
        let parent = status.number("PPid").filter(|parent| *parent != 0);
        // Not only relatives: clone(2) with CLONE_PARENT makes siblings, and who loses its parent is given to another.
        let known: BTreeSet<u32> = children.iter().copied().chain(parent).chain(processes()).collect();
        let others = || known.iter().copied().filter(|other| Some(*other) != status.number("Pid"));
        let within = |other: &u32| lazaret_sys::limit::shares_memory_with(*other).unwrap_or(false);
        let beside = |other: &u32| lazaret_sys::limit::shares_descriptors_with(*other).unwrap_or(false);
        // A filter that is in force already could answer the question with death.
        let may_ask = threads.first().is_some_and(|caller| caller.mode == 0);
        let personality = fs::read_to_string("/proc/self/personality").unwrap_or_default();
        let personality = u64::from_str_radix(personality.trim(), 16).unwrap_or(0);
        let (mappings, code) = mappings(&read("/proc/self/maps")?);
        let clock = rustix::time::DynamicClockId::Known(rustix::time::ClockId::ProcessCPUTime);
        let used = rustix::time::clock_gettime_dynamic(clock).map_err(|errno| ("clock_gettime", errno.into()))?;
        let is_root = status.0.get("Uid").is_none_or(|ids| ids.split_whitespace().any(|id| id == "0"));
        let own = Self {
            threads,
            descriptors,
            mappings,
            code,
            mapped: status.kib("VmSize") << 10,
            data: status.kib("VmData") << 10,
            locked: status.kib("VmLck") << 10,
            tracer: status.number("TracerPid").unwrap_or(0),
            within: others().filter(within).collect(),
            beside: others().filter(beside).collect(),
            has_ring: may_ask && lazaret_sys::limit::has_registered_ring(),
            reading_executes: personality & READ_IMPLIES_EXEC != 0,
            children,
            // Only kernels with CONFIG_CHECKPOINT_RESTORE tell.
            timers: fs::read_to_string("/proc/self/timers").unwrap_or_default().matches("ID: ").count(),
            used_seconds: u64::try_from(used.tv_sec).unwrap_or(0) + 1,
        };
        Ok((own, is_root))
    }
}

/// The fields of /proc/PID/status.
struct Status<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Status<'a> {
    fn parse(text: &'a str) -> Self {
        Self(text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim())).collect())
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.0.get(key)?.parse().ok()
    }

    fn kib(&self, key: &str) -> u64 {
        self.0.get(key).and_then(|value| value.trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// A set that cannot be read is taken for one that holds something.
    fn is_empty(&self, key: &str) -> bool {
        self.0.get(key).and_then(|value| u64::from_str_radix(value, 16).ok()) == Some(0)
    }
}

/// Every thread, the calling one first. One that ends meanwhile is left out.
fn threads() -> io::Result<Vec<Thread>> {
    // PID/task/TID
    let caller = fs::read_link("/proc/thread-self")?;
    let caller = caller.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0);
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(thread) = thread(id)? {
            threads.push(thread);
        }
    }
    threads.sort_by_key(|thread| (thread.id != caller, thread.id));
    Ok(threads)
}

fn thread(id: u32) -> io::Result<Option<Thread>> {
    let status = match fs::read(format!("/proc/self/task/{id}/status")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let status = Status::parse(&status);
    let waits = fs::read_to_string(format!("/proc/self/task/{id}/syscall")).unwrap_or_default();
    Ok(Some(Thread {
        id,
        name: status.0.get("Name").map(|name| (*name).to_owned()).unwrap_or_default(),
        mode: status.number("Seccomp").unwrap_or(0),
        filters: status.number("Seccomp_filters"),
        is_capable: !["CapInh", "CapPrm", "CapEff", "CapAmb"].iter().all(|set| status.is_empty(set)),
        waits_in: waits.split(' ').next().and_then(|number| number.parse().ok()),
    }))
}

/// Every process that /proc shows.
fn processes() -> impl Iterator<Item = u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Only kernels with CONFIG_PROC_CHILDREN tell.
fn children(thread: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A line of /proc/PID/maps.
struct Line<'a> {
    range: &'a str,
    rights: &'a str,
    /// Device and inode.
    object: (&'a str, &'a str),
    name: String,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        let object = (fields.nth(1)?, fields.next()?);
        Some(Self { range, rights, object, name: fields.collect::<Vec<_>>().join(" ") })
    }

    fn is(&self, rights: &str) -> bool {
        rights.chars().all(|right| self.rights.contains(right))
    }

    fn kind(&self, others: &[Self]) -> Option<MappingKind> {
        // Code that another mapping of the same memory can write, as just-in-time compilers have it.
        let twice = || others.iter().any(|other| other.is("ws") && other.object == self.object);
        if self.name.contains("[io_uring]") {
            Some(MappingKind::IoUring)
        } else if self.is("wx") || self.is("xs") && twice() {
            Some(MappingKind::WritableCode)
        } else if self.is("ws") {
            Some(MappingKind::Shared)
        } else {
            None
        }
    }
}

/// The remarkable ones of /proc/PID/maps, and the files of which code is mapped.
fn mappings(maps: &str) -> (Vec<Mapping>, Vec<String>) {
    let lines: Vec<Line<'_>> = maps.lines().filter_map(Line::parse).collect();
    let remarkable = lines.iter().filter_map(|line| {
        let kind = line.kind(&lines)?;
        Some(Mapping { range: line.range.to_owned(), name: line.name.clone(), kind })
    });
    let code = lines.iter().filter(|line| line.is("x") && line.name.starts_with('/'));
    (remarkable.collect(), code.map(|line| line.name.clone()).collect())
}

/// Whether this thread holds a capability in any set but the bounding set.
pub(crate) fn is_capable() -> io::Result<bool> {
    let sets = rustix::thread::capabilities(None)?;
    Ok(sets.permitted.union(sets.effective).union(sets.inheritable) != CapabilitySet::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_of_a_ring_is_told_from_shared_memory_and_from_code() {
        let (found, code) = mappings(
            "7f00-7f01 rw-s 00000000 00:10 1234       anon_inode:[io_uring]\n\
             7f01-7f02 rwxp 00000000 00:00 0 \n\
             7f02-7f03 rw-s 00000000 00:01 77         /memfd:a b (deleted)\n\
             7f03-7f04 r-xp 00000000 08:01 1          /usr/lib/libc.so.6\n\
             7f04-7f05 r-xs 00000000 00:01 77         /memfd:a b (deleted)\n",
        );

        let kinds: Vec<_> = found.iter().map(|mapping| mapping.kind).collect();
        let code_twice = MappingKind::WritableCode;
        assert_eq!(kinds, [MappingKind::IoUring, MappingKind::WritableCode, MappingKind::Shared, code_twice]);
        assert_eq!(code, ["/usr/lib/libc.so.6", "/memfd:a b (deleted)"]);
        assert_eq!(found[2].name, "/memfd:a b (deleted)");
    }

    #[test]
    fn a_set_of_capabilities_that_cannot_be_read_is_not_taken_for_empty() {
        let status = Status::parse("CapPrm:\t0000000000000000\nCapEff:\tnonsense\n");

        assert!(status.is_empty("CapPrm"));
        assert!(!status.is_empty("CapEff") && !status.is_empty("CapInh"));
    }

    #[test]
    fn this_process_is_seen_with_the_calling_thread_first() {
        let facts = Facts::look(None).expect("a /proc");

        let Seen::All(own) = facts.seen else { panic!("nothing hides this process") };
        assert_eq!(own.threads[0].id, rustix::thread::gettid().as_raw_pid().unsigned_abs());
        assert!(own.mapped > own.data && own.data > 0, "{} {}", own.mapped, own.data);
    }
}
