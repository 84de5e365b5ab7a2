//! What the filter of a job does, some of whose calls are made here.

use lazaret_filter::Action;

const EPERM: u16 = 1;

/// Rules behind those of every policy, so that none prevails over them.
///
/// Rings (io_uring(7)) make calls past every filter. Who is asked for a page of a job's memory and does not answer
/// (userfaultfd(2)) holds the supervisor up; and so does a thread that is handed a descriptor and does not come to take
/// it, behind others of the job that have all its processors. So every thread keeps the priority that it was born with:
/// the less that one asks for itself counts as done, as many programs ask for it and few do without; all else is refused.
/// Source: seccomp_unotify(2), on `SECCOMP_IOCTL_NOTIF_ADDFD`, which waits; sched(7).
pub const RULES: &[(&str, Action)] = &[
    ("io_uring_setup", Action::Refuse(EPERM)),
    ("io_uring_enter", Action::Refuse(EPERM)),
    ("io_uring_register", Action::Refuse(EPERM)),
    ("userfaultfd", Action::Refuse(EPERM)),
    ("sched_setattr", Action::Refuse(EPERM)),
    ("sched_setparam", Action::Refuse(EPERM)),
    ("sched_setscheduler(pid == 0, policy in [0, 3, 5])", Action::Errno(0)),
    ("sched_setscheduler(pid != 0)", Action::Refuse(EPERM)),
    ("sched_setscheduler(policy >= 1, policy <= 2)", Action::Refuse(EPERM)),
    ("sched_setscheduler(policy == 4)", Action::Refuse(EPERM)),
    ("sched_setscheduler(policy >= 6)", Action::Refuse(EPERM)),
    ("setpriority(which == 0, who == 0, priority < 0x80000000)", Action::Errno(0)),
    ("setpriority(which != 0)", Action::Refuse(EPERM)),
    ("setpriority(who != 0)", Action::Refuse(EPERM)),
    ("setpriority(priority >= 0x80000000)", Action::Refuse(EPERM)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use lazaret_filter::{Arch, Call, Filter, Rule, table};

    #[test]
    fn less_is_feigned_for_oneself_and_nothing_else_is_had() {
        let mut filter = Filter::new(Action::Allow);
        for (rule, action) in RULES {
            filter.push(Rule::parse(rule).expect("a rule"), *action);
        }
        let arch = Arch::native().expect("it is known");
        let of = |call: &str, args: [i64; 3]| {
            let nr = table::number(arch, call).expect("it has a number");
            let [first, second, third] = args.map(i64::cast_unsigned);
            filter.decide(&Call { audit_arch: arch.audit(), nr, args: [first, second, third, 0, 0, 0] }).action
        };

        for (call, args) in [("setpriority", [0, 0, 19]), ("sched_setscheduler", [0, 5, 0])] {
            assert_eq!(of(call, args), Action::Errno(0), "{call} {args:?}");
        }
        for (call, args) in [
            ("setpriority", [0, 0, -20]),
            ("setpriority", [0, 7, 19]),
            ("setpriority", [1, 0, 19]),
            ("setpriority", [2, 0, -1]),
            ("sched_setscheduler", [0, 1, 0]),
            ("sched_setscheduler", [0, 2, 0]),
            ("sched_setscheduler", [0, 6, 0]),
            ("sched_setscheduler", [0, 0x4000_0000, 0]),
            ("sched_setscheduler", [7, 5, 0]),
            ("sched_setattr", [0, 0, 0]),
            ("sched_setparam", [0, 0, 0]),
        ] {
            assert_eq!(of(call, args), Action::Refuse(EPERM), "{call} {args:?}");
        }
    }
}
