use super::*;
use lazaret_policy::{Loader, Policy};
use std::path::Path;

fn policy(changes: &str) -> Policy {
    let text = format!("extends = \"compute\"\n{changes}");
    Loader::new().text(Path::new("test.toml"), &text).expect("a good policy")
}

const OWN: Own = Own { pid: 4711, timers: Some((7, 8)) };

fn plan(changes: &str) -> FilterPlan {
    FilterPlan::new(&policy(changes).system_calls, OWN).expect("rules that can be enforced")
}

#[test]
fn what_reaches_beyond_the_process_is_refused_whatever_the_policy_allows() {
    let everything = plan("[system-calls]\ndefault = \"allow\"\n");

    let beyond = [
        ("kill", [1, 9, 0, 0, 0, 0]),
        ("kill", [u64::MAX, 9, 0, 0, 0, 0]),
        ("kill", [0, 9, 0, 0, 0, 0]),
        ("tkill", [1, 9, 0, 0, 0, 0]),
        ("tgkill", [1, 1, 9, 0, 0, 0]),
        ("rt_sigqueueinfo", [1, 9, 0, 0, 0, 0]),
        ("rt_tgsigqueueinfo", [1, 1, 9, 0, 0, 0]),
        ("fcntl", [3, 8, 1, 0, 0, 0]),
        ("prlimit64", [1, 7, 1, 0, 0, 0]),
        ("sched_setaffinity", [1, 8, 1, 0, 0, 0]),
        ("setpriority", [0, 1, 0, 0, 0, 0]),
        ("setpriority", [2, 0, 0, 0, 0, 0]),
        ("ptrace", [16, 1, 0, 0, 0, 0]),
        ("process_vm_writev", [1, 0, 0, 0, 0, 0]),
        ("pidfd_getfd", [3, 0, 0, 0, 0, 0]),
        ("clone", [17, 0, 0, 0, 0, 0]),
        ("clone3", [0; 6]),
        ("fork", [0; 6]),
        ("execve", [0; 6]),
        ("execveat", [0; 6]),
        ("socket", [1, 1, 0, 0, 0, 0]),
        ("shmget", [0; 6]),
        ("mq_open", [0; 6]),
        ("keyctl", [0; 6]),
        ("unshare", [0x1000_0000, 0, 0, 0, 0, 0]),
        ("mount", [0; 6]),
        ("bpf", [0; 6]),
        ("chmod", [0; 6]),
        ("io_uring_setup", [0; 6]),
        ("ioctl", [0, 0x5412, 0, 0, 0, 0]),
        ("prctl", [4, 1, 0, 0, 0, 0]),
        ("timer_settime", [7, 0, 1, 0, 0, 0]),
        ("timer_delete", [8, 0, 0, 0, 0, 0]),
        ("timer_delete", [0xffff_ffff_0000_0008, 0, 0, 0, 0, 0]),
    ];
    for (call, args) in beyond {
        assert!(!permits(&everything.filter, call, args), "{call} {args:?}");
    }
}

#[test]
fn the_process_itself_and_its_threads_stay_within_reach() {
    let everything = plan("[system-calls]\ndefault = \"allow\"\n");

    let own = [
        ("kill", [4711, 6, 0, 0, 0, 0]),
        ("tgkill", [4711, 4712, 6, 0, 0, 0]),
        ("prlimit64", [0, 7, 1, 0, 0, 0]),
        ("sched_setaffinity", [0, 8, 1, 0, 0, 0]),
        ("clone", [0x3d_0f00, 0, 0, 0, 0, 0]),
        ("timer_settime", [6, 0, 1, 0, 0, 0]),
        ("socketpair", [1, 1, 0, 0, 0, 0]),
        ("openat", [0; 6]),
    ];
    for (call, args) in own {
        assert!(permits(&everything.filter, call, args), "{call} {args:?}");
    }
}

#[test]
fn a_policy_that_forbids_what_every_process_needs_is_refused_by_call_rule_and_place() {
    let by_rule = policy("[system-calls]\nkill = [\"exit_group\"]\n");
    let by_group = policy("[system-calls]\nsilent = [\"@descriptors\"]\n");
    let by_default = policy("[remove]\nallow = [\"rt_sigreturn\"]\n");

    let message = |policy: &Policy| FilterPlan::new(&policy.system_calls, OWN).expect_err("it cannot work").to_string();
    assert_eq!(
        message(&by_rule),
        "the policy refuses `exit_group`, which a locked-down process needs, by its rule `exit_group`, kill (test.toml:3)"
    );
    assert!(message(&by_group).contains("`write`") && message(&by_group).contains("`@descriptors`, silent"));
    assert!(message(&by_default).contains("its default, refuse (profile compute:"), "{}", message(&by_default));
}

#[test]
fn what_is_taken_from_the_policy_is_named_with_its_rule() {
    let plan = plan("[system-calls]\nallow = [\"@process\"]\n");

    assert_eq!(plan.taken.len(), 1, "{:?}", plan.taken);
    let taken = &plan.taken[0];
    assert!(taken.contains("execve") && taken.ends_with("of `@process` (test.toml:3)"), "{taken}");
    assert!(self::plan("").taken.is_empty());
}

#[test]
fn without_timers_their_rules_are_left_out_and_the_rest_stays() {
    let own = Own { pid: 4711, timers: None };

    let plan = FilterPlan::new(&policy("[system-calls]\ndefault = \"allow\"\n").system_calls, own).expect("good rules");

    assert!(permits(&plan.filter, "timer_delete", [7, 0, 0, 0, 0, 0]));
    assert!(!permits(&plan.filter, "kill", [1, 9, 0, 0, 0, 0]));
}
