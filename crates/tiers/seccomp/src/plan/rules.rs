//! Rules behind those of every policy, because there is no namespace around the job.

use crate::attributes;
use lazaret_filter::Action;
use lazaret_launch::filter::OwnRules;
use lazaret_policy::{Brokered, Mode};

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
/// By which programs that keep attributes know that there are none to keep.
const EOPNOTSUPP: u16 = 95;

macro_rules! refuse {
    ($($rule:literal),* $(,)?) => { [$(($rule, Action::Refuse(EPERM))),*] };
}

/// What every job of the tier is refused.
///
/// Sockets ([`NO_NETWORK`], [`TCP_ALONE`]): no filter sees where a path leads, so that a job with sockets could talk to every service of the host that
/// listens at one (D-Bus, container engines, agents). A pair is connected already; a pair of datagrams can be sent
/// elsewhere. io_uring makes sockets and sets attributes past the filter. Keys, System V objects and message queues have
/// no owner but a user, or none at all. Calls that name a process by its number reach whatever has the job's user; those
/// that ptrace(2) guards are Landlock's to refuse. inotify(7), fanotify(7) and extended attributes are beyond Landlock.
/// New namespaces would give the job capabilities within, and hide processes from whoever ends them. Memory files and
/// leases count for nobody. Requests that change what is open for reading: [`attributes::RULES`]. Core dumps: as in the jail.
///
/// Some things would hold memory or disk where nobody can look: shared memory without a name, which stays when it is not
/// in any process's tables any more; descriptors in a message that nobody received; those of a thread with a table of its own.
const COMMON: [(&str, Action); 73] = [
    ("prlimit64(resource == 4, new != 0)", Action::Errno(0)),
    ("setrlimit(resource == 4)", Action::Errno(0)),
    ("memfd_create", Action::Refuse(ENOSYS)),
    ("memfd_secret", Action::Refuse(ENOSYS)),
    ("io_uring_setup", Action::Refuse(ENOSYS)),
    ("io_uring_enter", Action::Refuse(ENOSYS)),
    ("io_uring_register", Action::Refuse(ENOSYS)),
    ("socketpair(domain != AF_UNIX)", Action::Refuse(EPERM)),
    ("socketpair(type & 0xf == SOCK_DGRAM)", Action::Refuse(EPERM)),
    ("socketpair(type & 0xf == SOCK_RAW)", Action::Refuse(EPERM)),
    ("sendto(addr != 0)", Action::Refuse(EPERM)),
    ("shmget", Action::Refuse(EPERM)),
    ("shmat", Action::Refuse(EPERM)),
    ("shmctl", Action::Refuse(EPERM)),
    ("msgget", Action::Refuse(EPERM)),
    ("msgsnd", Action::Refuse(EPERM)),
    ("msgrcv", Action::Refuse(EPERM)),
    ("msgctl", Action::Refuse(EPERM)),
    ("semget", Action::Refuse(EPERM)),
    ("semop", Action::Refuse(EPERM)),
    ("semtimedop", Action::Refuse(EPERM)),
    ("semctl", Action::Refuse(EPERM)),
    ("mq_open", Action::Refuse(EPERM)),
    ("mq_unlink", Action::Refuse(EPERM)),
    ("mq_notify", Action::Refuse(EPERM)),
    ("keyctl", Action::Refuse(EPERM)),
    ("add_key", Action::Refuse(EPERM)),
    ("request_key", Action::Refuse(EPERM)),
    ("prlimit64(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setparam(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setattr(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setaffinity(pid != 0)", Action::Refuse(EPERM)),
    ("setpriority(which != 0)", Action::Refuse(EPERM)),
    ("setpriority(who != 0)", Action::Refuse(EPERM)),
    ("ioprio_set(which != 1)", Action::Refuse(EPERM)),
    ("ioprio_set(who != 0)", Action::Refuse(EPERM)),
    ("process_madvise", Action::Refuse(EPERM)),
    ("process_mrelease", Action::Refuse(EPERM)),
    ("move_pages", Action::Refuse(EPERM)),
    ("migrate_pages", Action::Refuse(EPERM)),
    ("ptrace", Action::Refuse(EPERM)),
    ("process_vm_readv", Action::Refuse(EPERM)),
    ("process_vm_writev", Action::Refuse(EPERM)),
    ("pidfd_getfd", Action::Refuse(EPERM)),
    ("kcmp", Action::Refuse(EPERM)),
    ("perf_event_open", Action::Refuse(EPERM)),
    ("bpf", Action::Refuse(EPERM)),
    ("userfaultfd", Action::Refuse(EPERM)),
    ("inotify_add_watch", Action::Refuse(EPERM)),
    ("fanotify_init", Action::Refuse(EPERM)),
    ("fanotify_mark", Action::Refuse(EPERM)),
    ("setxattr", Action::Refuse(EOPNOTSUPP)),
    ("lsetxattr", Action::Refuse(EOPNOTSUPP)),
    ("fsetxattr", Action::Refuse(EOPNOTSUPP)),
    ("removexattr", Action::Refuse(EOPNOTSUPP)),
    ("lremovexattr", Action::Refuse(EOPNOTSUPP)),
    ("fremovexattr", Action::Refuse(EOPNOTSUPP)),
    ("setxattrat", Action::Refuse(EOPNOTSUPP)),
    ("removexattrat", Action::Refuse(EOPNOTSUPP)),
    ("file_setattr", Action::Refuse(EOPNOTSUPP)),
    ("mmap(flags & 0x2f == 0x21)", Action::Refuse(EPERM)),
    ("sendmsg", Action::Refuse(EPERM)),
    ("sendmmsg", Action::Refuse(EPERM)),
    ("clone(flags & 0x10400 == 0x10000)", Action::Refuse(EPERM)),
    ("close_range(flags & 2 != 0)", Action::Refuse(EPERM)),
    ("fcntl(cmd == 1024)", Action::Refuse(EPERM)),
    ("fcntl(cmd == 1026)", Action::Refuse(EPERM)),
    ("unshare", Action::Refuse(EPERM)),
    ("setns", Action::Refuse(EPERM)),
    ("clone(flags & 0x7e020000 != 0)", Action::Refuse(EPERM)),
    ("clone3", Action::Errno(ENOSYS)),
    ("prctl(option == PR_SET_DUMPABLE)", Action::Refuse(EPERM)),
];

/// What a job without a network is refused beside.
const NO_NETWORK: [(&str, Action); 4] = refuse!["socket", "connect", "bind", "listen"];

/// What a job with rules on hosts is: its sockets are of the host's network, so it has those alone that reach nobody by
/// themselves, and that nobody reaches. A TCP socket reaches whom it is connected to, and connecting is the supervisor's;
/// sending that names an address, or has it in memory, is refused to all jobs of the tier. Of others the kernel binds even
/// those that fail to send (Linux 6.18): they hear whoever sends to that port of the host.
const TCP_ALONE: [(&str, Action); 6] = refuse![
    "socket(domain < AF_INET)",
    "socket(domain > AF_INET, domain < AF_INET6)",
    "socket(domain > AF_INET6)",
    "socket(type & 0xf != SOCK_STREAM)",
    "socket(protocol > 0, protocol < 6)",
    "socket(protocol > 6)",
];

/// What a job is refused beside that has the caller's id: whatever changes a file by its owner's right, which Landlock does
/// not ask for. Not by descriptor either: one that is open for reading is enough.
const ROOTLESS: [(&str, Action); 12] = refuse![
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
];

/// All `parts`, one behind the other; `N` is how many rules they have together.
const fn joined<const N: usize>(parts: &[&[(&'static str, Action)]]) -> [(&'static str, Action); N] {
    let mut all = [("", Action::Errno(0)); N];
    let (mut index, mut part) = (0, 0);
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            all[index] = parts[part][at];
            (index, at) = (index + 1, at + 1);
        }
        part += 1;
    }
    assert!(index == N, "no place stays empty");
    all
}

const OF_ALL: usize = COMMON.len() + attributes::RULES.len();
const WITHOUT: usize = OF_ALL + NO_NETWORK.len();
const WITH: usize = OF_ALL + TCP_ALONE.len();

static WITHOUT_NETWORK: [OwnRules; 2] = [
    &joined::<WITHOUT>(&[&COMMON, &attributes::RULES, &NO_NETWORK]),
    &joined::<{ WITHOUT + ROOTLESS.len() }>(&[&COMMON, &attributes::RULES, &NO_NETWORK, &ROOTLESS]),
];
static WITH_NETWORK: [OwnRules; 2] = [
    &joined::<WITH>(&[&COMMON, &attributes::RULES, &TCP_ALONE]),
    &joined::<{ WITH + ROOTLESS.len() }>(&[&COMMON, &attributes::RULES, &TCP_ALONE, &ROOTLESS]),
];

/// The rules behind those of a policy, for jobs of `mode` some of whose calls are `brokered`. Whoever makes those on files
/// holds an owner's right too.
pub fn own_rules(mode: Mode, brokered: Brokered) -> OwnRules {
    let rules = if brokered.network { &WITH_NETWORK } else { &WITHOUT_NETWORK };
    rules[usize::from(mode == Mode::Rootless && !brokered.files)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_owner_may_do_is_made_by_whoever_makes_calls_on_files() {
        let made: Vec<&str> = lazaret_launch::files::calls().collect();
        let missing: Vec<_> = ROOTLESS.iter().filter(|(call, _)| !made.contains(call)).collect();

        assert!(missing.is_empty(), "{missing:?}");
    }
}
