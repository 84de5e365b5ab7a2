use super::*;
use lazaret_launch::bounds::{Bounds, CoreLimit};
use lazaret_policy::{Holding, Layer, Loader};

fn support(mode: Mode) -> Support {
    Support {
        mode,
        ids: (0, 0),
        no_job_uid: None,
        landlock: Ok(6),
        notifier: true,
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
    let filter = FilterPlan::new(&policy.system_calls, own_rules(support.mode), support.notifier)?;
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
        ("[network]\nloopback = true", "loopback"),
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
