//! /proc, and what /dev has of it.
//!
//! Most of /proc is about whoever looks, and who looks is this process: `self` has to be the caller. And its links go
//! where a descriptor or a process is, past every name: none is followed by the kernel for a job. Those of a caller's
//! own descriptors stand for the object, which the caller has; all others are taken for the text that they show.

use super::path::Guest;
use super::refusal::Stop;
use crate::caller::{Caller, CallerError};

/// Which processes a job may look at in /proc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// The one that looks.
    Own,
    /// The one that looks, and there is nothing else in /proc: where it is this machine's.
    Alone,
    /// All that are there: the roots have a /proc that shows no other processes than the job's.
    All,
}

/// What a path is in /proc.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// What the roots have there.
    Ordinary,
    /// A link to this text.
    Link(Vec<u8>),
    /// The caller's own descriptor of this number.
    Descriptor(i32),
    /// A directory that can be gone through, whether a root has it or not.
    Way,
    /// Nothing.
    Hidden,
}

/// The caller's numbers, as its own pid namespace has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    process: Vec<u8>,
    thread: Vec<u8>,
}

impl Ids {
    /// Source: proc_pid_status(5), `NStgid`, `NSpid`; Linux 4.1.
    pub(super) fn of(caller: &Caller<'_>) -> Result<Self, Stop> {
        let status = status(caller)?;
        let last = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_ascii_whitespace().next_back()?.as_bytes().to_vec())
        };
        match (last("NStgid:"), last("NSpid:")) {
            (Some(process), Some(thread)) => Ok(Self { process, thread }),
            _ => Err(Stop::Caller(CallerError::Gone)),
        }
    }
}

/// The mask that the caller takes from the modes of what it makes.
///
/// Source: proc_pid_status(5), `Umask`; Linux 4.7.
pub(super) fn umask(caller: &Caller<'_>) -> Result<u32, Stop> {
    let status = status(caller)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let mask = line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
    mask.ok_or(Stop::Caller(CallerError::Gone))
}

/// RLIMIT_FSIZE of the caller, which the kernel would compare with this process's own.
///
/// Source: proc_pid_limits(5).
pub(super) fn largest_file(caller: &Caller<'_>) -> Result<u64, Stop> {
    let limits = about(caller, "limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size"));
    match line.and_then(|line| line.split_ascii_whitespace().next()) {
        Some("unlimited") => Ok(u64::MAX),
        Some(bytes) => bytes.parse().map_err(|_no_number| Stop::Caller(CallerError::Gone)),
        None => Err(Stop::Caller(CallerError::Gone)),
    }
}

fn status(caller: &Caller<'_>) -> Result<String, Stop> {
    about(caller, "status")
}

fn about(caller: &Caller<'_>, name: &str) -> Result<String, Stop> {
    match std::fs::read_to_string(format!("/proc/{}/{name}", caller.tid())) {
        Ok(status) if caller.is_waiting() => Ok(status),
        Ok(_) => Err(Stop::Caller(CallerError::Gone)),
        Err(_) if !caller.is_waiting() => Err(Stop::Caller(CallerError::Gone)),
        Err(e) => Err(Stop::Caller(CallerError::Own(e))),
    }
}

/// What of a process's directory may be looked at: what the process could tell of itself.
const OF_PROCESS: &[&[u8]] = &[
    b"auxv",
    b"cgroup",
    b"cmdline",
    b"comm",
    b"cwd",
    b"environ",
    b"exe",
    b"fd",
    b"fdinfo",
    b"io",
    b"limits",
    b"maps",
    b"mountinfo",
    b"mounts",
    b"oom_score",
    b"oom_score_adj",
    b"root",
    b"sched",
    b"schedstat",
    b"smaps",
    b"smaps_rollup",
    b"stat",
    b"statm",
    b"status",
    b"task",
];

/// What of a process's directory may be looked at where all of /proc is this machine's: nothing that tells of it.
const OF_ITSELF: &[&[u8]] = &[
    b"auxv", b"cmdline", b"comm", b"environ", b"exe", b"fd", b"limits", b"maps", b"smaps", b"stat", b"statm", b"status",
];

/// What of the rest may be looked at: sizes and kinds of the machine.
const OF_MACHINE: &[&[u8]] =
    &[b"cpuinfo", b"filesystems", b"loadavg", b"meminfo", b"mounts", b"stat", b"sys", b"uptime", b"version"];

/// What /proc/sys has that programs ask for.
const OF_SYSTEM: &[(&[u8], &[u8])] = &[
    (b"kernel", b"cap_last_cap"),
    (b"kernel", b"ngroups_max"),
    (b"kernel", b"osrelease"),
    (b"kernel", b"ostype"),
    (b"kernel", b"pid_max"),
    (b"kernel", b"random"),
    (b"kernel", b"threads-max"),
    (b"kernel", b"version"),
    (b"fs", b"file-max"),
    (b"fs", b"nr_open"),
    (b"fs", b"pipe-max-size"),
    (b"vm", b"max_map_count"),
    (b"vm", b"mmap_min_addr"),
    (b"vm", b"overcommit_memory"),
];

/// What `guest` is, to a caller of the numbers that `ids` finds out. `shown` says whether the roots have /proc.
pub(super) fn special(
    guest: &Guest,
    processes: Processes,
    shown: bool,
    ids: impl FnOnce() -> Result<Ids, Stop>,
) -> Result<Special, Stop> {
    let names: Vec<&[u8]> = guest.names().iter().map(Vec::as_slice).collect();
    let special = match names.as_slice() {
        [b"dev", name, ..] => match (*name, names.len()) {
            (b"fd", 2) => Special::Link(b"/proc/self/fd".to_vec()),
            (b"stdin", 2) => Special::Link(b"/proc/self/fd/0".to_vec()),
            (b"stdout", 2) => Special::Link(b"/proc/self/fd/1".to_vec()),
            (b"stderr", 2) => Special::Link(b"/proc/self/fd/2".to_vec()),
            _ => Special::Ordinary,
        },
        [b"proc"] if shown && processes != Processes::Alone => Special::Ordinary,
        [b"proc"] => Special::Way,
        [b"proc", b"self"] => Special::Link(ids()?.process),
        [b"proc", b"thread-self"] => {
            let ids = ids()?;
            Special::Link([&ids.process[..], b"/task/", &ids.thread].concat())
        }
        [b"proc", number, rest @ ..] if is_number(number) => of_process(number, rest, processes, shown, ids)?,
        [b"proc", ..] if !shown || processes == Processes::Alone => Special::Hidden,
        [b"proc", b"sys", area, name, ..] if OF_SYSTEM.contains(&(area, name)) => Special::Ordinary,
        [b"proc", b"sys", area] if OF_SYSTEM.iter().any(|(known, _)| known == area) => Special::Way,
        [b"proc", b"sys"] => Special::Way,
        [b"proc", name] if OF_MACHINE.contains(name) => Special::Ordinary,
        [b"proc", ..] => Special::Hidden,
        _ => Special::Ordinary,
    };
    Ok(special)
}

fn of_process(
    number: &[u8],
    rest: &[&[u8]],
    processes: Processes,
    shown: bool,
    ids: impl FnOnce() -> Result<Ids, Stop>,
) -> Result<Special, Stop> {
    let ids = ids()?;
    let own = number == ids.process || number == ids.thread;
    if !(own || shown && processes == Processes::All) {
        return Ok(Special::Hidden);
    }
    // A thread's directory has what a process's has.
    let (own, rest) = match rest {
        [b"task", thread, rest @ ..] => (own && **thread == ids.thread[..], rest),
        rest => (own, rest),
    };
    let special = match rest {
        [b"fd", descriptor] if own && is_number(descriptor) => {
            number_of(descriptor).map_or(Special::Hidden, Special::Descriptor)
        }
        [] | [b"fd"] if !shown => Special::Way,
        _ if !shown => Special::Hidden,
        [] if processes == Processes::Alone => Special::Way,
        [name, ..] if processes == Processes::Alone && !OF_ITSELF.contains(name) => Special::Hidden,
        [] => Special::Ordinary,
        [name, ..] if OF_PROCESS.contains(name) => Special::Ordinary,
        _ => Special::Hidden,
    };
    Ok(special)
}

fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

fn number_of(name: &[u8]) -> Option<i32> {
    // The kernel takes no number with a zero before it.
    let plain = name == b"0" || name.first() != Some(&b'0');
    std::str::from_utf8(name).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Result<Ids, Stop> {
        Ok(Ids { process: b"7".to_vec(), thread: b"8".to_vec() })
    }

    fn of(path: &str, processes: Processes, shown: bool) -> Special {
        let guest = Guest::parse(path.as_bytes()).expect("an absolute path");
        special(&guest, processes, shown, ids).expect("the ids are known")
    }

    #[test]
    fn self_is_the_caller() {
        assert_eq!(of("/proc/self", Processes::Own, true), Special::Link(b"7".to_vec()));
        assert_eq!(of("/proc/thread-self", Processes::Own, false), Special::Link(b"7/task/8".to_vec()));
    }

    #[test]
    fn other_processes_are_hidden_unless_all_are_the_jobs() {
        assert_eq!(of("/proc/1/status", Processes::Own, true), Special::Hidden);
        assert_eq!(of("/proc/1/status", Processes::All, true), Special::Ordinary);
        assert_eq!(of("/proc/1/status", Processes::All, false), Special::Hidden);
        assert_eq!(of("/proc/7/status", Processes::Own, true), Special::Ordinary);
    }

    #[test]
    fn where_proc_is_this_machines_a_process_sees_what_is_its_own() {
        assert_eq!(of("/proc/7/status", Processes::Alone, true), Special::Ordinary);
        assert_eq!(of("/proc/7/fd/5", Processes::Alone, true), Special::Descriptor(5));
        assert_eq!(of("/proc/7/mountinfo", Processes::Alone, true), Special::Hidden);
        assert_eq!(of("/proc/1/status", Processes::Alone, true), Special::Hidden);
        assert_eq!(of("/proc/cpuinfo", Processes::Alone, true), Special::Hidden);
        assert_eq!(of("/proc/sys/kernel/ostype", Processes::Alone, true), Special::Hidden);
        assert_eq!(of("/proc", Processes::Alone, true), Special::Way);
    }

    #[test]
    fn descriptors_of_the_caller_are_its_own_and_no_others() {
        assert_eq!(of("/proc/7/fd/5", Processes::Own, false), Special::Descriptor(5));
        assert_eq!(of("/proc/7/task/8/fd/5", Processes::Own, false), Special::Descriptor(5));
        assert_eq!(of("/proc/7/task/9/fd/5", Processes::Own, true), Special::Ordinary);
        assert_eq!(of("/proc/1/fd/5", Processes::All, true), Special::Ordinary);
        assert_eq!(of("/proc/7/fd/99999999999", Processes::Own, true), Special::Hidden);
        assert_eq!(of("/proc/7/fd/05", Processes::Own, true), Special::Hidden);
    }

    #[test]
    fn memory_and_what_concerns_the_whole_machine_is_hidden() {
        for path in
            ["/proc/7/mem", "/proc/7/pagemap", "/proc/kcore", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe"]
        {
            assert_eq!(of(path, Processes::All, true), Special::Hidden, "{path}");
        }
    }
}
