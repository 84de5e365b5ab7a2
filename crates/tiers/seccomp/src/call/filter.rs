//! The filter of a function call.

use super::error::SandboxError;
use super::order::SELF;
use crate::attributes;
use lazaret_filter::{Action, Arch, Backend, Filter, Rule};
use lazaret_launch::refusals::{Bound, OwnId, Rules};
use lazaret_policy::{Brokered, CallAction, Policy, Source};

const EPERM: u16 = 1;
const ENOMEM: u16 = 12;
const EAFNOSUPPORT: u16 = 97;

/// The filter, as rules and compiled.
#[derive(Debug)]
pub(crate) struct CallFilter {
    /// The rules; the caller decides on refused calls with them again.
    pub(crate) filter: Filter,
    pub(crate) program: Vec<u8>,
    pub(crate) own_id: Vec<u16>,
    /// Where the policy has each of its rules, which are the first, and its default.
    sources: Vec<Source>,
    default_source: Source,
    /// Calls that no policy lets a function make.
    never: Vec<String>,
    /// Rules from this one on only tell of requests that are larger than all memory that may be had.
    beyond: usize,
}

/// What every call needs, the rule that gives it, and what for.
const NEEDED: [(&str, &str, &str); 5] = [
    ("brk", "brk", "memory is got by it"),
    ("exit_group", "exit_group", "it ends by it"),
    ("mmap", "mmap(prot & PROT_EXEC == 0)", "memory is got by it"),
    ("munmap", "munmap", "memory is given back by it"),
    ("rt_sigreturn", "rt_sigreturn", "it tells a crash for want of memory from others by it"),
];

/// What starts processes or threads, or another program in place of this one.
const STARTS: [&str; 6] = ["clone", "clone3", "execve", "execveat", "fork", "vfork"];

/// Calls that Landlock bounds.
const OPENS: [&str; 24] = [
    "creat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mount",
    "move_mount",
    "open",
    "open_by_handle_at",
    "openat",
    "openat2",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "symlink",
    "symlinkat",
    "truncate",
    "unlink",
    "unlinkat",
    "io_uring_setup",
    "uselib",
];

impl CallFilter {
    /// Compiles the rules of `policy`, for a process whose socket has the number `socket`.
    pub(crate) fn new(policy: &Policy, supervised: bool, socket: i32) -> Result<Self, SandboxError> {
        let filter = of_policy(policy)?;
        for (call, rule, why) in NEEDED {
            if !may_permit(&filter, call) {
                return Err(SandboxError::Needed { policy: policy.name.clone(), call, rule, why });
            }
        }
        if let Some(call) = STARTS.iter().find(|call| may_permit(&filter, call)) {
            let decides = |rule: &&lazaret_policy::Sourced<lazaret_policy::CallRule>| {
                rule.action == CallAction::Allow
                    && Rule::parse(&rule.rule).is_ok_and(|rule| rule.calls().any(|name| name == *call))
            };
            let from = policy.system_calls.rules.iter().rfind(decides);
            let from =
                from.map_or_else(|| policy.system_calls.default.source.to_string(), |rule| rule.source.to_string());
            let why = "it is one process of one thread, which starts nothing";
            return Err(SandboxError::Beyond { key: format!("system-calls: {call}"), from, why });
        }
        let first_own = filter.rules().len();
        let (own, beyond) = with_own_rules(filter.clone(), policy, socket, SELF)?;
        let (other, _) = with_own_rules(filter, policy, socket, SELF + 1)?;
        let backend = if supervised { Backend::Supervised } else { Backend::Alone };
        let (program, other) = (compile(&own, backend)?, compile(&other, backend)?);
        let own_id = differences(&program, &other)?;
        let behind = own.rules().get(first_own..beyond).unwrap_or_default().iter();
        let refused = behind.filter(|(_, action)| !action.permits()).filter_map(|(rule, _)| rule.call());
        let never = STARTS.into_iter().chain(refused).map(str::to_owned).collect();
        let sources = policy.system_calls.rules.iter().map(|rule| rule.source.clone()).collect();
        let default_source = policy.system_calls.default.source.clone();
        Ok(Self { filter: own, program, own_id, sources, default_source, never, beyond })
    }

    /// Whether the process can ask for a file or a socket by any name.
    pub(crate) fn opens(&self) -> bool {
        OPENS.iter().any(|call| may_permit(&self.filter, call))
    }

    /// Whether the process can make or use a socket.
    pub(crate) fn connects(&self) -> bool {
        ["socket", "socketpair"].iter().any(|call| may_permit(&self.filter, call))
    }

    /// The rules, for answering calls of the process `own_id` by them, which is in a Landlock domain if it is `restricted`.
    pub(crate) fn rules(&self, own_id: OwnId, restricted: bool) -> Rules<'_> {
        Rules {
            filter: &self.filter,
            sources: &self.sources,
            default_source: &self.default_source,
            beyond: self.beyond..usize::MAX,
            after_start: None,
            bound: Bound::Memory,
            never: &self.never,
            own_id: Some(own_id),
            is_harmless_copy: restricted || !self.opens(),
            brokered: Brokered::default(),
            watching: None,
        }
    }

    /// Whether there are calls for which the kernel itself kills, so that nobody learns of the call.
    pub(crate) fn kills(&self) -> bool {
        let rules = self.filter.rules().iter().map(|(_, action)| *action);
        rules.chain([self.filter.default_action()]).any(|action| action == Action::Kill)
    }

    /// Whether the process may make `call`, with some arguments at least.
    pub(crate) fn permits(&self, call: &str) -> bool {
        may_permit(&self.filter, call)
    }
}

/// The policy's rules. A call that is to be answered with SIGSYS ends a function as one that it must die for does: no
/// handler of the program's is in force, and the end would have no name.
fn of_policy(policy: &Policy) -> Result<Filter, SandboxError> {
    let action = |action| match action {
        CallAction::Allow => Action::Allow,
        CallAction::Log => Action::Log,
        CallAction::Trap | CallAction::Kill => Action::Kill,
        CallAction::Refuse => Action::Refuse(EPERM),
        CallAction::Silent => Action::Errno(EPERM),
    };
    let mut filter = Filter::new(action(policy.system_calls.default.value));
    for rule in &policy.system_calls.rules {
        let parsed = Rule::parse(&rule.rule)
            .map_err(|e| SandboxError::Filter { problem: format!("`{}` ({}): {e}", rule.rule, rule.source) })?;
        filter.push(parsed, action(rule.action));
    }
    Ok(filter)
}

/// Rules behind those of every policy, so that none prevails over them; `own` is the process's own id.
///
/// No process but itself can be signalled, traced, read, written or slowed down. Its way to tell its caller that it is
/// ready, and to hear that its input is there, is a descriptor beyond its own limit on them, which it closes before the
/// function runs and cannot have again.
/// It stays one that dies with its parent, makes nothing that outlives it or that its bound of memory does not count, and
/// does not change what Landlock does not decide on: modes, owners, times and attributes.
fn with_own_rules(mut filter: Filter, policy: &Policy, socket: i32, own: u32) -> Result<(Filter, usize), SandboxError> {
    let refuse = Action::Refuse(EPERM);
    let first = |call: &str| (format!("{call}(arg0 != {own})"), refuse);
    let other = |call: &str| (format!("{call}(arg0 != 0, arg0 != {own})"), refuse);
    let never = |call: &str| (call.to_owned(), refuse);
    let memory = policy.limits.memory.value.bytes();
    let rules = [
        (format!("sendmsg(arg0 == {socket})"), Action::Allow),
        (format!("recvfrom(arg0 == {socket})"), Action::Allow),
        (format!("shutdown(arg0 == {socket})"), Action::Allow),
        (format!("close(arg0 == {socket})"), Action::Allow),
        ("close(arg0 == 3)".to_owned(), Action::Allow),
        first("kill"),
        first("tgkill"),
        first("tkill"),
        first("rt_sigqueueinfo"),
        first("rt_tgsigqueueinfo"),
        other("prlimit64"),
        other("sched_setaffinity"),
        other("sched_setattr"),
        other("sched_setparam"),
        other("sched_setscheduler"),
        other("migrate_pages"),
        other("move_pages"),
        never("ptrace"),
        never("process_vm_readv"),
        never("process_vm_writev"),
        never("process_madvise"),
        never("process_mrelease"),
        never("pidfd_getfd"),
        never("pidfd_send_signal"),
        never("setpriority"),
        never("ioprio_set"),
        never("seccomp"),
        ("prctl(option == PR_SET_PDEATHSIG)".to_owned(), refuse),
        ("fcntl(cmd in [F_SETOWN, F_SETOWN_EX])".to_owned(), refuse),
        ("ioctl(request in [FIOSETOWN, SIOCSPGRP])".to_owned(), refuse),
        never("memfd_create"),
        never("memfd_secret"),
        never("shmget"),
        never("shmat"),
        never("semget"),
        never("msgget"),
        never("mq_open"),
        never("@keyring"),
        never("@file-metadata"),
        never("@chown"),
        ("socket(domain == AF_VSOCK)".to_owned(), Action::Refuse(EAFNOSUPPORT)),
    ];
    for (rule, action) in rules {
        push(&mut filter, &rule, action)?;
    }
    for (rule, action) in attributes::RULES {
        push(&mut filter, rule, action)?;
    }
    let beyond = filter.rules().len();
    for rule in [format!("mmap(arg1 > {memory})"), format!("mremap(arg2 > {memory})")] {
        push(&mut filter, &rule, Action::Refuse(ENOMEM))?;
    }
    Ok((filter, beyond))
}

fn push(filter: &mut Filter, rule: &str, action: Action) -> Result<(), SandboxError> {
    let parsed = Rule::parse(rule).map_err(|e| SandboxError::Filter { problem: format!("`{rule}`: {e}") })?;
    filter.push(parsed, action);
    Ok(())
}

fn compile(filter: &Filter, backend: Backend) -> Result<Vec<u8>, SandboxError> {
    let arch = Arch::native()
        .ok_or_else(|| SandboxError::Filter { problem: "there is no table for this architecture".to_owned() })?;
    let program = filter.compile(arch, backend).map_err(|e| SandboxError::Filter { problem: e.to_string() })?;
    Ok(program.as_bytes())
}

/// The instructions in which two programs differ that were compiled for two neighbouring ids: those that hold the id.
fn differences(one: &[u8], other: &[u8]) -> Result<Vec<u16>, SandboxError> {
    let unlike =
        || SandboxError::Filter { problem: "the rules and the process's own id do not go together".to_owned() };
    let mut places = Vec::new();
    if one.len() != other.len() {
        return Err(unlike());
    }
    for (number, (a, b)) in one.chunks(8).zip(other.chunks(8)).enumerate() {
        let of = |id: u32| [&a[..4], &id.to_ne_bytes()].concat();
        if a == of(SELF) && b == of(SELF + 1) {
            places.push(u16::try_from(number).map_err(|_too_long| unlike())?);
        } else if a != b {
            return Err(unlike());
        }
    }
    Ok(places)
}

/// Whether some arguments exist with which `call` could be permitted.
fn may_permit(filter: &Filter, call: &str) -> bool {
    // clone3 needs a rule that names it itself.
    let group_counts = call != "clone3";
    let mut permitted = filter.default_action().permits() && group_counts;
    for (rule, action) in filter.rules() {
        if !rule.calls().any(|name| name == call) || !(group_counts || rule.call().is_some()) {
            continue;
        }
        if action.permits() {
            permitted = true;
        } else if rule.call().is_some() && !rule.is_conditional() {
            permitted = false;
        }
    }
    permitted
}

#[cfg(test)]
mod tests;
