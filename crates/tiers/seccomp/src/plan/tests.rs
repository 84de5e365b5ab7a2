use super::*;
use lazaret_filter::{Action, Arch, Call, table};
use lazaret_launch::bounds::{Bounds, CoreLimit};
use lazaret_policy::{Holding, Layer, Loader};

fn support(mode: Mode) -> Support {
    Support {
        mode,
        ids: (0, 0),
        no_job_uid: None,
        landlock: Ok(6),
        notifier: true,
        no_hands: None,
        children: true,
        open_files: true,
        bounds: Bounds::only_core(CoreLimit::One),
    }
}

fn policy(text: &str) -> Policy {
    let text = format!("extends = \"default\"\ntier = \"seccomp\"\n{text}");
    Loader::new().text(Path::new("test.toml"), &text).expect("the test's policy is valid")
}

fn plan(policy: &Policy, support: &Support) -> Result<Plan, PlanError> {
    let filter =
        FilterPlan::new(&policy.system_calls, own_rules(support.mode, policy.system_calls.brokered), support.notifier)?;
    Plan::new(policy, &Job::new("true"), support, Path::new("/tmp/lazaret-x"), 7, Arc::new(filter))
}

#[test]
fn what_needs_namespaces_or_groups_is_refused_at_the_line_that_asks_for_it() {
    for (text, what) in [
        ("[files]\npts = true", "pts"),
        ("[files]\nproc = \"full\"", "proc"),
        ("[files]\nroot = { directory = \"/srv\" }", "root"),
        ("[files]\ncow = [{ path = \"/srv\" }]", "copy-on-write"),
        ("[files]\nread = [{ path = \"/usr\", at = \"/opt\" }]", "another place"),
        ("[net]\nloopback = true", "loopback"),
        ("[limits]\ncpus = 1", "cpus"),
        ("[limits]\nio-rate = \"1MiB\"", "io-rate"),
    ] {
        let error = plan(&policy(text), &support(Mode::Root)).expect_err("the tier has no such thing").to_string();

        assert!(error.contains(what) && error.contains("test.toml:4"), "{error}");
    }
}

#[test]
fn a_jails_policy_is_not_run_here() {
    let policy = Loader::new().profile("default").expect("it is built in");

    assert!(matches!(plan(&policy, &support(Mode::Root)), Err(PlanError::Unmet { .. })));
}

#[test]
fn without_landlock_nothing_is_run_unless_that_is_asked_for_by_name() {
    let host = Support { landlock: Ok(0), ..support(Mode::Root) };

    assert!(matches!(plan(&policy(""), &host), Err(PlanError::Unenforceable(_))));
    assert!(plan(&policy("degrade = [\"landlock\"]"), &host).is_ok());
}

#[test]
fn without_scopes_nothing_is_run_unless_that_is_asked_for_by_name() {
    let host = Support { landlock: Ok(5), ..support(Mode::Rootless) };

    assert!(matches!(plan(&policy(""), &host), Err(PlanError::Unenforceable(_))));
    assert!(plan(&policy("degrade = [\"landlock-scope\"]"), &host).is_ok());
}

#[test]
fn a_required_layer_that_the_tier_has_not_is_an_error() {
    let error = plan(&policy("require = [\"pid-namespace\"]"), &support(Mode::Root)).expect_err("there is none");

    assert!(error.to_string().contains("pid-namespace (tier seccomp has none)"), "{error}");
}

#[test]
fn a_required_layer_that_holds_in_part_is_an_error() {
    assert!(plan(&policy("require = [\"disk\"]"), &support(Mode::Root)).is_err());
    assert!(plan(&policy("require = [\"cgroup-pids\"]"), &support(Mode::Root)).is_ok());
    assert!(plan(&policy("require = [\"cgroup-pids\"]"), &support(Mode::Rootless)).is_err());
}

#[test]
fn layers_that_the_tier_has_not_are_told_as_such() {
    let plan = plan(&policy(""), &support(Mode::Root)).expect("the host has everything");

    let control = plan.controls.iter().find(|control| control.layer == Layer::MountNamespace).expect("it is told");
    assert_eq!((control.holding, control.why_not.as_deref()), (Holding::No, Some("tier seccomp has none")));
}

#[test]
fn the_jails_directories_in_the_environment_become_the_jobs() {
    let plan = plan(&policy("[environment]\nset = { A = \"/job/x\", B = \"/jobs\" }"), &support(Mode::Root));

    let environment = plan.expect("the host has everything").program.environment;
    for variable in [c"A=/tmp/lazaret-x/job/x", c"B=/jobs", c"HOME=/tmp/lazaret-x/job", c"TMPDIR=/tmp/lazaret-x/tmp"] {
        assert!(environment.iter().any(|held| held.as_c_str() == variable), "{variable:?}: {environment:?}");
    }
}

#[test]
fn the_users_other_tasks_count_to_a_rootless_jobs_bound_alone() {
    let bound = |mode| {
        let plan = plan(&policy("[limits]\nprocesses = 10"), &support(mode)).expect("the host has everything");
        plan.rlimits.iter().find(|limit| limit.name == "RLIMIT_NPROC").map(|limit| limit.value)
    };

    assert_eq!((bound(Mode::Root), bound(Mode::Rootless)), (Some(10), Some(18)));
}

/// What the filter of a policy that allows everything makes of `name` with these arguments.
fn decided(mode: Mode, name: &str, args: [u64; 6]) -> Action {
    let policy = policy("[system-calls]\ndefault = \"allow\"");
    let plan = plan(&policy, &support(mode)).expect("the host has everything");
    let arch = Arch::native().expect("there is a table");
    let nr = table::number(arch, name).expect("the call is known");
    plan.filter.filter.decide(&Call { audit_arch: arch.audit(), nr, args }).action
}

#[test]
fn what_reaches_beyond_the_job_is_refused_whatever_the_policy_allows() {
    let (unix, stream, datagram) = (1, 1, 2);
    for (name, args) in [
        ("socket", [unix, stream, 0, 0, 0, 0]),
        ("socketpair", [unix, datagram, 0, 0, 0, 0]),
        ("socketpair", [unix, datagram | 0o2_000_000, 0, 0, 0, 0]),
        ("connect", [3, 0, 0, 0, 0, 0]),
        ("sendto", [3, 0, 0, 0, 0x1000, 16]),
        ("prlimit64", [1234, 7, 0x1000, 0, 0, 0]),
        ("sched_setaffinity", [1234, 8, 0x1000, 0, 0, 0]),
        ("setpriority", [0, 1234, 19, 0, 0, 0]),
        ("setpriority", [2, 0, 19, 0, 0, 0]),
        ("clone", [0x1000_0000 | 17, 0, 0, 0, 0, 0]),
        ("ioctl", [3, 0x4008_6602, 0x1000, 0, 0, 0]),
        ("inotify_add_watch", [3, 0x1000, 2, 0, 0, 0]),
    ] {
        for mode in [Mode::Root, Mode::Rootless] {
            assert!(matches!(decided(mode, name, args), Action::Refuse(1)), "{name} {args:?} {mode:?}");
        }
    }
}

#[test]
fn extended_attributes_are_told_to_be_none() {
    assert_eq!(decided(Mode::Root, "fsetxattr", [3, 0x1000, 0x1000, 1, 0, 0]), Action::Refuse(95));
}

#[test]
fn what_stays_within_the_job_is_the_policys_to_allow() {
    for (name, args) in [
        ("socketpair", [1, 1, 0, 0, 0, 0]),
        ("socketpair", [1, 5 | 0o2_000_000, 0, 0, 0, 0]),
        ("sendto", [3, 0x1000, 1, 0, 0, 0]),
        ("prlimit64", [0, 7, 0x1000, 0, 0, 0]),
        ("setpriority", [0, 0, 19, 0, 0, 0]),
        ("clone", [17, 0, 0, 0, 0, 0]),
        ("kill", [1234, 15, 0, 0, 0, 0]),
    ] {
        assert_eq!(decided(Mode::Rootless, name, args), Action::Allow, "{name} {args:?}");
    }
}

#[test]
fn attributes_of_files_are_beyond_a_job_that_is_their_owner_alone() {
    for name in ["fchmod", "fchmodat", "utimensat"] {
        assert_eq!(decided(Mode::Rootless, name, [3, 0x1000, 0, 0, 0, 0]), Action::Refuse(1), "{name}");
        assert_eq!(decided(Mode::Root, name, [3, 0x1000, 0, 0, 0, 0]), Action::Allow, "{name}");
    }
}
