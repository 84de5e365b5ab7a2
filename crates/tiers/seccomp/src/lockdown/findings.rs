//! The pre-flight: what a lockdown would break, and what it would leave open.

use super::descriptors::{Descriptor, Kind};
use super::facts::{Facts, MappingKind, Own, Seen, Thread};
use super::filter::FilterPlan;
use super::plan::{LANDLOCK_CALLS, Plan};
use lazaret_filter::{Arch, table};
use lazaret_policy::{LimitKey, Policy};
use serde::Serialize;
use std::fmt;

/// How bad something is that the pre-flight found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The lockdown would not hold, or cannot be made: the call fails.
    Refused,
    /// Something that works now will fail.
    Breaks,
    /// The process will be able to do more than the policy suggests. The strict call fails.
    Widens,
    /// Good to know.
    Note,
}

impl Severity {
    /// The name in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Breaks => "breaks",
            Self::Widens => "widens",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that the pre-flight found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub text: String,
    /// What can be done about it.
    pub todo: String,
}

/// Collects.
#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, severity: Severity, text: impl Into<String>, todo: &str) {
        self.0.push(Finding { severity, text: text.into(), todo: todo.to_owned() });
    }
}

/// Everything, the worst first.
pub(crate) fn all(policy: &Policy, facts: &Facts, plan: &Plan) -> Vec<Finding> {
    let mut found = Found::default();
    match &facts.seen {
        Seen::All(own) => {
            of_threads(&mut found, policy, own, &plan.filter);
            of_descriptors(&mut found, policy, facts, own, &plan.filter);
            of_memory(&mut found, own);
            of_process(&mut found, own);
        }
        Seen::Nothing { .. } => found.add(
            Severity::Note,
            "descriptors and threads are not looked at behind an earlier lockdown, which holds on",
            "look before the first lockdown",
        ),
    }
    of_policy(&mut found, policy, facts, plan);
    found.0.sort_by_key(|finding| finding.severity);
    found.0
}

fn of_threads(found: &mut Found, policy: &Policy, own: &Own, filter: &FilterPlan) {
    let limit = u64::from(policy.limits.processes.get());
    if own.threads.len() as u64 > limit {
        let names: Vec<_> = own.threads.iter().map(|thread| format!("{} (`{}`)", thread.id, thread.name)).collect();
        let bound = policy.limits.get_display(LimitKey::Processes);
        let text = format!("{} threads run, and `processes` allows {bound}: {}", own.threads.len(), names.join(", "));
        found.add(Severity::Refused, text, "lock down before threads are started, or raise `processes`");
    }
    let [caller, others @ ..] = own.threads.as_slice() else { return };
    if let Some(filters) = caller.filters.filter(|filters| *filters > 0) {
        let text =
            format!("{filters} other system-call filter(s) hold already; what one of them refuses stays refused");
        found.add(Severity::Note, text, "nothing");
    }
    for thread in others {
        of_thread(found, caller, thread, filter);
    }
}

fn of_thread(found: &mut Found, caller: &Thread, thread: &Thread, filter: &FilterPlan) {
    let named = format!("thread {} (`{}`)", thread.id, thread.name);
    if thread.name.starts_with("iou-") {
        let text = format!("{named} works for an io_uring instance, which goes around every filter");
        found.add(Severity::Refused, text, "close the instance first");
    }
    if thread.mode == 1 || thread.filters > caller.filters {
        let text = format!("{named} has system-call filters of its own, so that not all threads can get this one");
        found.add(Severity::Refused, text, "lock down before it sets its own, or end it");
    }
    let arch = Arch::native();
    let call = thread.waits_in.and_then(|number| Some((number, table::name(arch?, number)?)));
    if let Some((number, name)) = call.filter(|(number, _)| !filter.may_permit_number(*number)) {
        let text =
            format!("{named} waits in `{name}` ({number}), which the policy refuses: that goes on, the next one fails");
        found.add(Severity::Breaks, text, "allow the call, or end the thread");
    } else if let Some((_, name)) = call.filter(|_| filter.filter.may_permit("restart_syscall").is_none()) {
        let text =
            format!("{named} waits in `{name}`, and `restart_syscall` is refused: a stop or a signal can end the wait");
        found.add(Severity::Breaks, text, "allow `restart_syscall`");
    }
}

fn of_descriptors(found: &mut Found, policy: &Policy, facts: &Facts, own: &Own, filter: &FilterPlan) {
    let limit = policy.limits.open_files.get() as usize;
    if own.descriptors.len() > limit {
        let text = format!("{} descriptors are open, and `open-files` allows {limit}", own.descriptors.len());
        found.add(Severity::Refused, text, "close what is not needed, or raise `open-files`");
    }
    let paths = filter.permits_one(&LANDLOCK_CALLS, &policy.system_calls);
    let confined = facts.is_single() && facts.landlock.is_ok();
    for descriptor in &own.descriptors {
        let beneath = paths.is_some() && !confined;
        of_descriptor(found, policy, descriptor, filter, beneath);
        if descriptor.is_writable && own.code.contains(&descriptor.shown) {
            let Descriptor { number, shown, .. } = descriptor;
            let text = format!("descriptor {number} ({shown}) writes to a file of which code is mapped");
            found.add(Severity::Widens, text, CLOSE);
        }
    }
}

const CLOSE: &str = "close it first";

fn of_descriptor(found: &mut Found, policy: &Policy, descriptor: &Descriptor, filter: &FilterPlan, beneath: bool) {
    use Severity::{Breaks, Note, Refused, Widens};
    let Descriptor { number, shown, is_writable, kind } = descriptor;
    let named = format!("descriptor {number} ({shown})");
    let bound = policy.limits.file_size.bytes();
    match kind {
        Kind::IoUring => {
            found.add(Refused, format!("{named} is an io_uring instance, which goes around every filter"), CLOSE);
        }
        Kind::ProcessMemory if *is_writable => {
            let text = format!("{named} writes to a process's memory, read-only and executable pages too");
            found.add(Refused, text, CLOSE);
        }
        Kind::ProcessMemory => found.add(Widens, format!("{named} reads a process's memory"), CLOSE),
        Kind::Kernel if *is_writable => {
            found.add(Widens, format!("{named} is an interface of the kernel, open for writing"), CLOSE);
        }
        Kind::Kernel => found.add(Note, format!("{named} tells about the kernel or a process"), CLOSE),
        Kind::Powerful => {
            found.add(Widens, format!("{named} acts on more than this process's own data"), CLOSE);
        }
        Kind::Namespace => found.add(Widens, format!("{named} is a namespace"), CLOSE),
        Kind::Unknown => found.add(Widens, format!("{named} is of a kind that is not known here"), CLOSE),
        Kind::Device => found.add(Widens, format!("{named} is a device: what it does is up to its driver"), CLOSE),
        Kind::Inotify => found.add(Widens, format!("{named} tells what others do to files"), CLOSE),
        Kind::Directory if beneath => {
            let text = format!("{named} is a directory: what lies beneath can be opened from other threads");
            found.add(Widens, text, CLOSE);
        }
        Kind::Directory => found.add(Note, format!("{named} is a directory: its entries can be opened as far as Landlock and the filter allow"), CLOSE),
        Kind::Socket(socket) => {
            const UNIX: i32 = 1;
            const RECEIVING: [&str; 2] = ["recvmsg", "recvmmsg"];
            const ADDRESSING: [&str; 7] = ["connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg"];
            let calls = filter.permits_one(&ADDRESSING, &policy.system_calls);
            match calls {
                Some((call, rule)) => {
                    let text = format!("{named} is a socket of family {}, and `{call}` is permitted by {rule}: it can reach further than now", socket.family);
                    found.add(Widens, text, "close it, or take the call out of the policy");
                }
                None if socket.listens => {
                    found.add(Breaks, format!("{named} listens, and the policy refuses `accept`"), "close it");
                }
                None if socket.family == UNIX && filter.permits_one(&RECEIVING, &policy.system_calls).is_some() => {
                    let text = format!("{named} is a socket over which its peer can send descriptors, and the policy permits recvmsg(2)");
                    found.add(Widens, text, "close it, or take the call out of the policy");
                }
                None => found.add(Note, format!("{named} is a socket: its peer can be talked to"), CLOSE),
            }
        }
        Kind::File { size } | Kind::Memory { size } if *is_writable && *size > bound => {
            let text = format!("{named} is larger than `file-size` allows: nothing can be appended");
            found.add(Breaks, text, "raise `file-size`");
        }
        Kind::File { .. } | Kind::Memory { .. } if *is_writable => {
            found.add(Note, format!("{named} can be written, up to `file-size`"), "open it for reading, if that is enough");
        }
        Kind::Epoll => found.add(Note, format!("{named} is an epoll instance: it reports of what it was told to watch, also closed descriptors of files that are open elsewhere"), CLOSE),
        Kind::File { .. } | Kind::Memory { .. } | Kind::Pipe | Kind::Terminal | Kind::Harmless | Kind::Counter => {}
    }
}

fn of_memory(found: &mut Found, own: &Own) {
    for mapping in &own.mappings {
        let (range, name) = (&mapping.range, if mapping.name.is_empty() { "no name" } else { &mapping.name });
        match mapping.kind {
            MappingKind::IoUring => found.add(
                Severity::Refused,
                format!("{range} ({name}) maps an io_uring instance, which goes around every filter"),
                "unmap it and close the instance first",
            ),
            MappingKind::WritableCode => found.add(
                Severity::Widens,
                format!("{range} ({name}) is writable and executable: code can be made without any call"),
                "make it read-only, or do without the just-in-time compiler",
            ),
            MappingKind::Shared => found.add(
                Severity::Note,
                format!("{range} ({name}) is writable and shared: whoever else maps it sees and can change it"),
                "unmap it, if it is not needed",
            ),
        }
    }
    if own.locked > 64 << 10 {
        let text = format!("{} KiB of memory are locked, and no more can be", own.locked >> 10);
        found.add(Severity::Note, text, "nothing");
    }
}

fn of_process(found: &mut Found, own: &Own) {
    if own.tracer != 0 {
        let text = format!("process {} traces this one, and can change its memory and its system calls", own.tracer);
        found.add(Severity::Widens, text, "detach it");
    }
    for other in &own.within {
        let text = format!("process {other} has the very memory of this one (vfork), and is not locked down");
        found.add(Severity::Refused, text, "execute a program in one of them first");
    }
    for other in own.beside.iter().filter(|other| !own.within.contains(other)) {
        let text =
            format!("process {other} has the very descriptors of this one (CLONE_FILES), and is not locked down");
        found.add(Severity::Refused, text, "end it first, or have it unshare(2) them");
    }
    if own.has_ring {
        let text = "an io_uring instance without a descriptor is there, which goes around every filter";
        found.add(Severity::Refused, text, "have it unregistered first (IORING_UNREGISTER_RING_FDS)");
    }
    if own.reading_executes {
        let text = "memory that can be read can be executed (READ_IMPLIES_EXEC)";
        found.add(Severity::Widens, text, "link without an executable stack; start without `setarch -X`");
    }
    for child in own.children.iter().filter(|child| !own.within.contains(child)) {
        let text = format!("the child process {child} runs, and is not locked down");
        found.add(Severity::Widens, text, "end it first, or see that it trusts nothing that this process sends");
    }
    if own.timers > 0 {
        let text = format!("{} timer(s) of the process go on; their signals arrive", own.timers);
        found.add(Severity::Note, text, "nothing");
    }
}

fn of_policy(found: &mut Found, policy: &Policy, facts: &Facts, plan: &Plan) {
    use Severity::{Note, Widens};
    const PATHS: [&str; 12] = [
        "stat",
        "lstat",
        "newfstatat",
        "statx",
        "access",
        "faccessat",
        "faccessat2",
        "readlink",
        "readlinkat",
        "statfs",
        "chdir",
        "getxattr",
    ];
    for taken in &plan.filter.taken {
        let text = format!("a locked-down process does without what the policy permits: {taken}");
        found.add(Note, text, "take it out of the policy, or run a command in the tier `jail`");
    }
    let calls = &policy.system_calls;
    if let Some((call, rule)) = plan.filter.permits_one(&PATHS, calls) {
        let only_empty = call == "newfstatat" && rule.contains("AT_EMPTY_PATH");
        let text = format!(
            "`{call}` is permitted by {rule}: whether a path exists, and its metadata, can be learnt; Landlock does not decide on that"
        );
        found.add(if only_empty { Note } else { Widens }, text, "take it out of the policy");
    }
    if facts.is_root {
        let text = "the process is root's: without capabilities it still owns root's files, as far as it can open them";
        found.add(Note, text, "change to another user before");
    }
    // LANG is every policy's, by its locale.
    if policy.environment.iter().any(|variable| variable.name != "LANG") {
        let text = "the policy names environment variables: the process keeps those that it has";
        found.add(Note, text, "set them before");
    }
    if plan.filter.permits_one(&["uname"], calls).is_some() {
        found.add(Note, "the process sees the host's name, not that of `network.host-name`", "take `uname` out");
    }
}

#[cfg(test)]
mod tests;
