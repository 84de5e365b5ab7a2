//! The bounds that this process itself is under: setrlimit(2). A job's can be lower, and no higher.

use lazaret_policy::{Limits, Mode};
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;
use std::fs;

/// The kind of core dumps that this process can keep jobs from having, by RLIMIT_CORE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreLimit {
    /// 1, which stops every dump, one to a program of the host's included: core(5), fs/coredump.c.
    One,
    /// 0, with which files are not written; this host has no program for dumps.
    Zero,
    /// 0 is all that can be had, and this host has a program for dumps, which it would start.
    Insufficient,
}

/// One limit of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Its name.
    pub name: &'static str,
    /// Soft and hard value.
    pub value: u64,
}

/// Hard limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// What keeps jobs from dumping core.
    pub core: CoreLimit,
    hard: Vec<(u32, u64)>,
}

/// The limits that jobs get, but for RLIMIT_CORE.
const LIMITS: [(u32, Resource); 10] = [
    (libc::RLIMIT_FSIZE, Resource::Fsize),
    (libc::RLIMIT_NOFILE, Resource::Nofile),
    (libc::RLIMIT_NPROC, Resource::Nproc),
    (libc::RLIMIT_MEMLOCK, Resource::Memlock),
    (libc::RLIMIT_MSGQUEUE, Resource::Msgqueue),
    (libc::RLIMIT_RTPRIO, Resource::Rtprio),
    (libc::RLIMIT_NICE, Resource::Nice),
    (libc::RLIMIT_SIGPENDING, Resource::Sigpending),
    (libc::RLIMIT_CPU, Resource::Cpu),
    (libc::RLIMIT_DATA, Resource::Data),
];

impl Bounds {
    /// No bounds but that on core dumps.
    pub fn only_core(core: CoreLimit) -> Self {
        Self { core, hard: Vec::new() }
    }

    /// Those of this process, whose jobs get their ids as `mode` says.
    pub fn probe(mode: Mode) -> Self {
        let hard = |(number, resource)| getrlimit(resource).maximum.map(|maximum| (number, maximum));
        Self { core: core(mode), hard: LIMITS.into_iter().filter_map(hard).collect() }
    }

    /// The limits of each process of a job, at most `tasks` of which its user may have at once. `memory` says that the
    /// bound on memory is one of each process too.
    pub fn rlimits(&self, limits: &Limits, tasks: u64, memory: bool) -> Vec<Rlimit> {
        // What this process may not have, no job may: a lower bound is kept.
        let limit = |resource, name, value| Rlimit { resource, name, value: self.within(resource, value) };
        let cpu_seconds = limits.cpu.duration().as_secs() + 1;
        let mut rlimits = vec![
            // If it can be, not 0, with which a dump may still be piped to a program: see the filters' own rules.
            limit(libc::RLIMIT_CORE, "RLIMIT_CORE", u64::from(self.core == CoreLimit::One)),
            limit(libc::RLIMIT_FSIZE, "RLIMIT_FSIZE", limits.file_size.bytes()),
            limit(libc::RLIMIT_NOFILE, "RLIMIT_NOFILE", limits.open_files.get().into()),
            limit(libc::RLIMIT_NPROC, "RLIMIT_NPROC", tasks),
            limit(libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", 64 << 10),
            limit(libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0),
            limit(libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0),
            limit(libc::RLIMIT_NICE, "RLIMIT_NICE", 0),
            limit(libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", 1024),
            // One second past the bound of the whole tree: the supervisor, which counts the whole tree, comes first.
            limit(libc::RLIMIT_CPU, "RLIMIT_CPU", cpu_seconds),
        ];
        if memory {
            // Not RLIMIT_AS: runtimes reserve far more addresses than they use, WebAssembly's some GiB for each memory.
            rlimits.push(limit(libc::RLIMIT_DATA, "RLIMIT_DATA", limits.memory.bytes()));
        }
        rlimits
    }

    /// `wanted`, or the hard limit of `resource` where that is lower.
    pub fn within(&self, resource: u32, wanted: u64) -> u64 {
        let hard = self.hard.iter().find(|(number, _)| *number == resource);
        hard.map_or(wanted, |(_, hard)| wanted.min(*hard))
    }
}

fn core(mode: Mode) -> CoreLimit {
    // Root raises it in the first steps of a launch, which takes CAP_SYS_RESOURCE.
    let can_raise = || {
        mode == Mode::Root
            && rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE))
    };
    if getrlimit(Resource::Core).maximum.is_none_or(|hard| hard >= 1) || can_raise() {
        return CoreLimit::One;
    }
    // `|` and a program, or `@` and a socket (Linux 6.16). What cannot be read is taken for the worst.
    match fs::read_to_string("/proc/sys/kernel/core_pattern") {
        Ok(pattern) if !pattern.starts_with(['|', '@']) => CoreLimit::Zero,
        _ => CoreLimit::Insufficient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_limit_below_what_is_wanted_holds_and_one_above_does_not_matter() {
        let bounds = Bounds { core: CoreLimit::One, hard: vec![(libc::RLIMIT_NOFILE, 100)] };

        assert_eq!(bounds.within(libc::RLIMIT_NOFILE, 256), 100);
        assert_eq!(bounds.within(libc::RLIMIT_NOFILE, 64), 64);
        assert_eq!(bounds.within(libc::RLIMIT_CPU, 10), 10);
    }
}
