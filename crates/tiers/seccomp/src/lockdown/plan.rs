//! What a lockdown will do, decided before anything is changed. Pure but for looking at the paths of the policy.

use super::controls;
use super::error::{LockdownError, Unmet};
use super::facts::{Facts, Seen};
use super::filter::{FilterPlan, Own, permits};
use super::landlock::LandlockPlan;
use lazaret_policy::{Control, Layer, Limits, Policy, ProcView, Root, Source, SystemCalls, Tier};
use rustix::process::{Resource, Rlimit};
use std::time::Duration;

/// All that will be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) filter: FilterPlan,
    pub(crate) landlock: LandlockPlan,
    pub(crate) rlimits: Vec<Bound>,
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
    pub(crate) controls: Vec<Control>,
}

/// One limit of setrlimit(2), soft and hard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) resource: Resource,
    pub(crate) name: &'static str,
    pub(crate) value: u64,
}

/// Calls that name paths, or ports, and that Landlock decides on.
pub(crate) const LANDLOCK_CALLS: [&str; 23] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "truncate",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "connect",
    "bind",
    "execve",
    "execveat",
];
/// Calls that make memory which no limit of address space counts.
const MEMORY_CALLS: [&str; 2] = ["memfd_create", "memfd_secret"];
/// Calls that start threads.
pub(crate) const THREAD_CALLS: [&str; 2] = ["clone", "clone3"];

impl Plan {
    /// Decides.
    ///
    /// # Errors
    ///
    /// When the policy asks for what cannot be enforced, or names paths that are not there.
    pub(crate) fn new(policy: &Policy, facts: &Facts, timers: Option<(i32, i32)>) -> Result<Self, LockdownError> {
        if policy.tier.value != Tier::Seccomp {
            return Err(LockdownError::Tier { tier: policy.tier.value, asked_by: policy.tier.source.clone() });
        }
        if let Some(rule) = policy.system_calls.refuse_after_start.first() {
            let problem = format!(
                "`refuse-after-start` ({}) is for commands: a process that locks itself down has started; refuse the calls",
                rule.source
            );
            return Err(LockdownError::Filter { problem });
        }
        let filter = FilterPlan::new(&policy.system_calls, Own { pid: facts.pid, timers })?;
        let unmet: Vec<Unmet> = all_unmet(policy, facts, &filter);
        let (degraded, unmet): (Vec<Unmet>, Vec<Unmet>) =
            unmet.into_iter().partition(|unmet| policy.degrades(unmet.layer).is_some());
        if !unmet.is_empty() {
            return Err(LockdownError::Unmet(unmet));
        }
        let landlock = LandlockPlan::new(policy, facts)?;
        let rlimits = rlimits(&policy.limits, facts, &filter, policy)?;
        let controls = controls::all(policy, facts, &filter, &landlock, &degraded);
        Ok(Self {
            filter,
            landlock,
            rlimits,
            wall: policy.limits.wall.duration(),
            processor: policy.limits.cpu.duration(),
            controls,
        })
    }
}

/// Everything that the policy asks for and a process cannot give itself, degraded or not.
fn all_unmet(policy: &Policy, facts: &Facts, filter: &FilterPlan) -> Vec<Unmet> {
    let mut unmet = of_files(policy);
    let mut add = |layer, what: String, why: String, asked_by: &Source| {
        unmet.push(Unmet { layer, what, why, asked_by: asked_by.clone() });
    };
    let (network, limits, calls) = (&policy.network, &policy.limits, &policy.system_calls);
    if network.loopback.value {
        let why = "the process stays in the network that it is in".to_owned();
        add(Layer::NetworkNamespace, "net.loopback".to_owned(), why, &network.loopback.source);
    }
    if let Some(fetch) = policy.fetch.first() {
        let why = "the process runs already: it fetches by itself, before this".to_owned();
        add(Layer::MountNamespace, format!("fetch = `{}`", fetch.to), why, &fetch.source);
    }
    if let Some(mode) = policy.files.mode.as_ref().filter(|_| policy.files.are_brokered()) {
        let why = "nobody opens files for the process".to_owned();
        add(Layer::Notifier, format!("files.mode = `{}`", mode.name()), why, &mode.source);
    }
    if let Some(host) = network.allow.first() {
        let why = "nobody connects for the process".to_owned();
        add(Layer::NetworkNamespace, format!("net.allow = `{}`", host.rule), why, &host.source);
    }
    if let Some(cpus) = &limits.cpus {
        let why = "no process can bound its own bandwidth".to_owned();
        add(Layer::CgroupCpu, format!("limits.cpus = {}", **cpus), why, &cpus.source);
    }
    if let Some(rate) = &limits.io_rate {
        let why = "no process can bound its own rate".to_owned();
        add(Layer::CgroupIo, format!("limits.io-rate = {}", **rate), why, &rate.source);
    }
    if facts.pid == 1 {
        let why = "the first process of a pid namespace is not killed by its own timers: start it through an init";
        add(Layer::WallTime, format!("limits.wall = {}", *limits.wall), why.to_owned(), &limits.wall.source);
    }
    if let (true, Some((call, rule))) = (facts.is_root, filter.permits_one(&THREAD_CALLS, calls)) {
        let why = format!("`{call}` is permitted by {rule}, and RLIMIT_NPROC does not bound root");
        let what = format!("limits.processes = {}", *limits.processes);
        add(Layer::CgroupPids, what, why, &limits.processes.source);
    }
    if let Some((call, rule)) = filter.permits_one(&MEMORY_CALLS, calls) {
        let why = format!("`{call}` is permitted by {rule}, and makes memory that no limit of a process counts");
        add(Layer::CgroupMemory, format!("limits.memory = {}", *limits.memory), why, &limits.memory.source);
    }
    if matches!(facts.seen, Seen::Nothing { memory } if limits.memory.bytes() < memory) {
        let why = "how much is mapped is not looked at behind an earlier lockdown, so that no lower bound can be set"
            .to_owned();
        add(Layer::CgroupMemory, format!("limits.memory = {}", *limits.memory), why, &limits.memory.source);
    }
    let capable: Vec<_> = facts.others().iter().filter(|thread| thread.is_capable).collect();
    if !capable.is_empty() {
        let names: Vec<_> = capable.iter().map(|thread| format!("{} (`{}`)", thread.id, thread.name)).collect();
        let why = format!(
            "capabilities are each thread's own, and other threads hold some: {}; lock down before they are started, \
             or start the process without capabilities",
            names.join(", ")
        );
        add(Layer::Capabilities, "no capability in any thread".to_owned(), why, &policy.tier.source);
    }
    if let Some(why) = without_landlock(policy, facts, filter) {
        if let Some((call, rule)) = makes_files(filter, calls) {
            let why = format!("`{call}` is permitted by {rule}, and Landlock is not there to let no file be made");
            add(Layer::Disk, format!("limits.disk = {}", *limits.disk), why, &limits.disk.source);
        }
        add(Layer::Landlock, "files beyond [files] are refused".to_owned(), why, &policy.tier.source);
    }
    unmet
}

/// A call that makes files, if one is permitted, with the policy's rule for it.
fn makes_files<'a>(filter: &FilterPlan, calls: &SystemCalls) -> Option<(&'a str, String)> {
    const MAKING: [&str; 10] =
        ["creat", "openat2", "mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "link", "linkat"];
    const MAKE: u64 = (libc::O_WRONLY | libc::O_CREAT).unsigned_abs() as u64;
    let opens = [("open", [1, MAKE, 0o600, 0, 0, 0]), ("openat", [1, 1, MAKE, 0o600, 0, 0])];
    let open = opens.into_iter().find(|(call, args)| permits(&filter.filter, call, *args));
    filter.permits_one(&MAKING, calls).or_else(|| filter.permits_one(&[open?.0], calls))
}

fn of_files(policy: &Policy) -> Vec<Unmet> {
    let files = &policy.files;
    let mut unmet = Vec::new();
    let mut add = |what: String, why: &str, asked_by: &Source| {
        let why = why.to_owned();
        unmet.push(Unmet { layer: Layer::MountNamespace, what, why, asked_by: asked_by.clone() });
    };
    if let Root::Directory(_) = files.root.value {
        add(format!("files.root = {}", files.root.value), "the process keeps its root", &files.root.source);
    }
    for bind in files.read.iter().filter(|bind| bind.host != bind.guest) {
        let what = format!("files.read `{}` at `{}`", bind.host.display(), bind.guest.display());
        add(what, "a path can be allowed where it is, and shown nowhere else", &bind.source);
    }
    for cow in &files.cow {
        let what = format!("files.cow `{}`", cow.host.display());
        add(what, "the process sees the host's own files", &cow.source);
    }
    if files.proc.value != ProcView::None {
        let what = format!("files.proc = {}", files.proc.value);
        add(what, "the host's /proc shows all processes, and is refused as a whole", &files.proc.source);
    }
    for (key, asked) in [("pts", &files.pts), ("shm", &files.shm)] {
        if asked.value {
            add(format!("files.{key}"), "it would be the host's own", &asked.source);
        }
    }
    unmet
}

/// Why Landlock cannot hold for the whole process, if so and if it matters.
fn without_landlock(policy: &Policy, facts: &Facts, filter: &FilterPlan) -> Option<String> {
    let abi = match &facts.landlock {
        Ok(abi) => *abi,
        Err(why) => return Some(why.clone()),
    };
    if facts.is_single() || abi >= lazaret_sys::landlock::ABI_OF_ALL_THREADS {
        return None;
    }
    let (call, rule) = filter.permits_one(&LANDLOCK_CALLS, &policy.system_calls)?;
    let others: Vec<_> = facts.others().iter().map(|thread| format!("{} (`{}`)", thread.id, thread.name)).collect();
    let others = if others.is_empty() { "others that cannot be seen".to_owned() } else { others.join(", ") };
    Some(format!(
        "Landlock of ABI {abi} restricts the calling thread alone, and there are others: {others}; and `{call}` is \
         permitted by {rule}, so that they could use it. Lock down before they are started, or take the call out"
    ))
}

fn rlimits(limits: &Limits, facts: &Facts, filter: &FilterPlan, policy: &Policy) -> Result<Vec<Bound>, LockdownError> {
    // If it can be, not 0, with which a dump may still be piped to a program; and the process is not dumpable.
    let mut wanted = vec![
        (Resource::Core, "RLIMIT_CORE", 1),
        (Resource::Fsize, "RLIMIT_FSIZE", limits.file_size.bytes()),
        (Resource::Nofile, "RLIMIT_NOFILE", limits.open_files.get().into()),
        (Resource::Memlock, "RLIMIT_MEMLOCK", 64 << 10),
        (Resource::Msgqueue, "RLIMIT_MSGQUEUE", 0),
        (Resource::Rtprio, "RLIMIT_RTPRIO", 0),
        (Resource::Nice, "RLIMIT_NICE", 0),
    ];
    if filter.permits_one(&THREAD_CALLS, &policy.system_calls).is_some() {
        wanted.push((Resource::Nproc, "RLIMIT_NPROC", limits.processes.get().into()));
    }
    if let Seen::All(own) = &facts.seen {
        wanted.push((Resource::As, "RLIMIT_AS", own.mapped.saturating_add(limits.memory.bytes())));
        wanted.push((Resource::Data, "RLIMIT_DATA", own.data.saturating_add(limits.memory.bytes())));
        // The timer comes first, and is exact; this holds where no timer does.
        let seconds = limits.cpu.duration().as_secs() + 2;
        wanted.push((Resource::Cpu, "RLIMIT_CPU", own.used_seconds.saturating_add(seconds)));
    }
    let bound = |(resource, name, value): (Resource, _, u64)| {
        let present = lazaret_sys::limit::hard(resource as u32)
            .map_err(|source| LockdownError::Prepare { what: "limits: the present ones cannot be read", source })?;
        // What the process may not have already, it does not get back.
        Ok(Bound { resource, name, value: present.map_or(value, |present| present.min(value)) })
    };
    wanted.into_iter().map(bound).collect()
}

impl Bound {
    pub(crate) fn set(&self) -> std::io::Result<()> {
        let value = Some(self.value);
        Ok(rustix::process::setrlimit(self.resource, Rlimit { current: value, maximum: value })?)
    }
}

#[cfg(test)]
mod tests;
