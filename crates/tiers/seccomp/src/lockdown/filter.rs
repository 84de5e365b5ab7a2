//! The filter of a lockdown: the policy's rules, and behind them those of a process that no namespace surrounds.

use super::error::LockdownError;
use crate::attributes;
use lazaret_filter::{Action, Arch, Backend, Call, Decision, Filter, Rule, table};
use lazaret_launch::filter::{action, policy_rules};
use lazaret_policy::SystemCalls;

/// The filter, as rules and compiled.
#[derive(Debug, Clone)]
pub(crate) struct FilterPlan {
    pub(crate) filter: Filter,
    /// An array of struct sock_filter.
    pub(crate) program: Vec<u8>,
    pub(crate) instructions: usize,
    /// What the policy permits, one line each, and the rules behind it take away.
    pub(crate) taken: Vec<String>,
}

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;

/// Rules behind those of every policy, so that none prevails over them: what a jail makes harmless with namespaces, a
/// locked-down process does without.
///
/// - Programs and processes: neither has this one's timers, so that no time would bound them.
/// - New sockets: they would be of the host's network.
/// - System V and POSIX objects, keys: the user's other processes have them too.
/// - Other processes: signals, limits, priorities and memory of every process of the user are within reach, and signals
///   of descriptors (F_SETOWN) too.
/// - Metadata by path, and watches: Landlock does not decide on them.
/// - Typing into a terminal, core dumps (`core_pattern` may start a program outside), AF_VSOCK.
const OWN_RULES: [(&str, Action); 60] = [
    ("@privileged", Action::Refuse(EPERM)),
    ("@namespace", Action::Refuse(EPERM)),
    ("@debug", Action::Refuse(EPERM)),
    ("@keyring", Action::Refuse(EPERM)),
    ("@file-metadata", Action::Refuse(EPERM)),
    ("execve", Action::Refuse(EPERM)),
    ("execveat", Action::Refuse(EPERM)),
    ("fork", Action::Refuse(EPERM)),
    ("vfork", Action::Refuse(EPERM)),
    ("clone(flags & CLONE_THREAD == 0)", Action::Refuse(EPERM)),
    // Its flags are behind a pointer; C libraries fall back to clone.
    ("clone3", Action::Errno(ENOSYS)),
    ("socket", Action::Refuse(EPERM)),
    ("socket(domain == AF_VSOCK)", Action::Refuse(EAFNOSUPPORT)),
    ("shmget", Action::Refuse(EPERM)),
    ("shmat", Action::Refuse(EPERM)),
    ("shmctl", Action::Refuse(EPERM)),
    ("semget", Action::Refuse(EPERM)),
    ("semop", Action::Refuse(EPERM)),
    ("semtimedop", Action::Refuse(EPERM)),
    ("semctl", Action::Refuse(EPERM)),
    ("msgget", Action::Refuse(EPERM)),
    ("msgsnd", Action::Refuse(EPERM)),
    ("msgrcv", Action::Refuse(EPERM)),
    ("msgctl", Action::Refuse(EPERM)),
    ("mq_open", Action::Refuse(EPERM)),
    ("mq_unlink", Action::Refuse(EPERM)),
    ("kill(pid != SELF)", Action::Refuse(EPERM)),
    ("tkill(tid != SELF)", Action::Refuse(EPERM)),
    ("tgkill(tgid != SELF)", Action::Refuse(EPERM)),
    ("rt_sigqueueinfo(arg0 != SELF)", Action::Refuse(EPERM)),
    ("rt_tgsigqueueinfo(arg0 != SELF)", Action::Refuse(EPERM)),
    ("pidfd_open", Action::Refuse(EPERM)),
    ("pidfd_send_signal", Action::Refuse(EPERM)),
    ("fcntl(cmd in [F_SETOWN, F_SETOWN_EX])", Action::Refuse(EPERM)),
    ("ioctl(request in [FIOSETOWN, SIOCSPGRP])", Action::Refuse(EPERM)),
    ("ioctl(request in [TIOCSTI, TIOCLINUX])", Action::Refuse(EPERM)),
    ("prlimit64(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("sched_setparam(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("sched_setattr(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("sched_setaffinity(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("setpriority(which != 0)", Action::Refuse(EPERM)),
    ("setpriority(who != 0, who != SELF)", Action::Refuse(EPERM)),
    ("ioprio_set(which != 1)", Action::Refuse(EPERM)),
    ("ioprio_set(who != 0, who != SELF)", Action::Refuse(EPERM)),
    ("setpgid(pid != 0, pid != SELF)", Action::Refuse(EPERM)),
    ("get_robust_list(arg0 != 0, arg0 != SELF)", Action::Refuse(EPERM)),
    ("migrate_pages", Action::Refuse(EPERM)),
    ("move_pages", Action::Refuse(EPERM)),
    ("process_madvise", Action::Refuse(EPERM)),
    ("process_mrelease", Action::Refuse(EPERM)),
    ("inotify_add_watch", Action::Refuse(EPERM)),
    ("name_to_handle_at", Action::Refuse(EPERM)),
    ("prctl(option in [PR_SET_DUMPABLE, PR_SET_PTRACER])", Action::Refuse(EPERM)),
    ("prlimit64(resource == 4, new != 0)", Action::Errno(0)),
    ("setrlimit(resource == 4)", Action::Errno(0)),
    ("timer_delete(arg0 == WALL)", Action::Refuse(EPERM)),
    ("timer_settime(timer == WALL)", Action::Refuse(EPERM)),
    ("timer_delete(arg0 == PROCESSOR)", Action::Refuse(EPERM)),
    ("timer_settime(timer == PROCESSOR)", Action::Refuse(EPERM)),
];

/// What a process must be able to do to end, to come back from a signal, and to hand out what it made.
const NEEDED: [&str; 4] = ["exit_group", "exit", "rt_sigreturn", "write"];

/// Who is locked down: what the rules of [`OWN_RULES`] name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) pid: u32,
    /// The kernel's numbers of the timers that kill, when there are some yet.
    pub(crate) timers: Option<(i32, i32)>,
}

impl FilterPlan {
    pub(crate) fn new(calls: &SystemCalls, own: Own) -> Result<Self, LockdownError> {
        let mut filter = policy_rules(calls).map_err(|e| LockdownError::Filter { problem: e.to_string() })?;
        needed(&filter, calls)?;
        let asked = filter.clone();
        for (rule, action) in OWN_RULES.into_iter().chain(attributes::RULES) {
            let Some(text) = named(rule, own) else { continue };
            let parsed = Rule::parse(&text).map_err(|e| LockdownError::Filter { problem: format!("`{text}`: {e}") })?;
            filter.push(parsed, action);
        }
        let arch = Arch::native()
            .ok_or_else(|| LockdownError::Filter { problem: "there is no table for this architecture".to_owned() })?;
        let program =
            filter.compile(arch, Backend::Alone).map_err(|e| LockdownError::Filter { problem: e.to_string() })?;
        let taken = taken(&asked, &filter, calls);
        Ok(Self { program: program.as_bytes(), instructions: program.len(), filter, taken })
    }

    /// The rule of the policy, with its place, by which one of `names` may be permitted.
    pub(crate) fn permits_one<'a>(&self, names: &[&'a str], calls: &SystemCalls) -> Option<(&'a str, String)> {
        names.iter().find_map(|name| Some((*name, by(self.filter.may_permit(name)?, calls))))
    }

    /// Whether the call numbered `number` is permitted under some arguments.
    pub(crate) fn may_permit_number(&self, number: u32) -> bool {
        let name = Arch::native().and_then(|arch| table::name(arch, number));
        name.is_some_and(|name| self.filter.may_permit(name).is_some())
    }
}

/// Whether `filter` permits the call `name` with exactly these arguments.
pub(crate) fn permits(filter: &Filter, name: &str, args: [u64; 6]) -> bool {
    Arch::native().is_some_and(|arch| {
        table::number(arch, name)
            .is_some_and(|nr| filter.decide(&Call { audit_arch: arch.audit(), nr, args }).action.permits())
    })
}

/// The rule with the numbers of this process; `None` for one on timers that are not there yet.
fn named(rule: &str, own: Own) -> Option<String> {
    let text = rule.replace("SELF", &own.pid.to_string());
    match own.timers {
        Some((wall, processor)) => {
            Some(text.replace("WALL", &wall.to_string()).replace("PROCESSOR", &processor.to_string()))
        }
        None if text.contains("WALL") || text.contains("PROCESSOR") => None,
        None => Some(text),
    }
}

/// Refuses a policy under which no process could end.
fn needed(filter: &Filter, calls: &SystemCalls) -> Result<(), LockdownError> {
    for call in NEEDED {
        if filter.may_permit(call).is_none() {
            let last = calls.rules.iter().rev().find(|rule| {
                !action(rule.action).permits()
                    && Rule::parse(&rule.rule).is_ok_and(|rule| rule.calls().any(|name| name == call))
            });
            let default = &calls.default;
            let by = last.map_or_else(
                || format!("its default, {} ({})", default.value, default.source),
                |rule| format!("its rule `{}`, {} ({})", rule.rule, rule.action, rule.source),
            );
            return Err(LockdownError::Needed { call, by });
        }
    }
    Ok(())
}

/// The rule that decided, with its place.
fn by(decision: Decision, calls: &SystemCalls) -> String {
    match decision.rule.and_then(|rule| calls.rules.get(rule)) {
        Some(rule) => format!("`{}` ({})", rule.rule, rule.source),
        None => format!("the default, {} ({})", calls.default.value, calls.default.source),
    }
}

/// What the policy permits and the filter as a whole refuses, by the policy's rules.
fn taken(asked: &Filter, whole: &Filter, calls: &SystemCalls) -> Vec<String> {
    let mut by_rule: Vec<(String, Vec<&str>)> = Vec::new();
    for name in table::names() {
        let (Some(permitted), None) = (asked.may_permit(name), whole.may_permit(name)) else { continue };
        let rule = by(permitted, calls);
        match by_rule.iter_mut().find(|(of, _)| *of == rule) {
            Some((_, names)) => names.push(name),
            None => by_rule.push((rule, vec![name])),
        }
    }
    by_rule.into_iter().map(|(rule, names)| format!("{} of {rule}", names.join(", "))).collect()
}

#[cfg(test)]
mod tests;
