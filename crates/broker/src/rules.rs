//! What the filter of a job does, some of whose calls are made here.

use lazaret_filter::Action;

const EPERM: u16 = 1;

/// Rules behind those of every policy, so that none prevails over them.
///
/// Rings (io_uring(7)) make calls past every filter. Who is asked for a page of a job's memory and does not answer
/// (userfaultfd(2)) holds the supervisor up; and so does a thread that is handed a descriptor and does not come to take
/// it, behind others of the job that have all its processors. So every thread keeps the priority that it was born with:
/// what one asks for itself counts as done, as many programs ask for less and few do without. Source: seccomp_unotify(2),
/// on `SECCOMP_IOCTL_NOTIF_ADDFD`, which waits; sched(7).
pub const RULES: &[(&str, Action)] = &[
    ("io_uring_setup", Action::Refuse(EPERM)),
    ("io_uring_enter", Action::Refuse(EPERM)),
    ("io_uring_register", Action::Refuse(EPERM)),
    ("userfaultfd", Action::Refuse(EPERM)),
    ("sched_setattr(pid == 0)", Action::Errno(0)),
    ("sched_setattr(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setparam(pid == 0)", Action::Errno(0)),
    ("sched_setparam(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid == 0)", Action::Errno(0)),
    ("sched_setscheduler(pid != 0)", Action::Refuse(EPERM)),
    ("setpriority(which == 0, who == 0)", Action::Errno(0)),
    ("setpriority(which != 0)", Action::Refuse(EPERM)),
    ("setpriority(who != 0)", Action::Refuse(EPERM)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_filter::Rule;

    #[test]
    fn every_rule_can_be_parsed() {
        let bad: Vec<_> = RULES.iter().filter_map(|(rule, _)| Rule::parse(rule).err()).collect();

        assert!(bad.is_empty(), "{bad:?}");
    }
}
