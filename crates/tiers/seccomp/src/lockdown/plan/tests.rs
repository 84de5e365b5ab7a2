use super::*;
use crate::lockdown::facts::{Own as Process, Thread};
use lazaret_policy::Loader;
use std::path::Path;

fn policy(changes: &str) -> Policy {
    let text = format!("extends = \"compute\"\n{changes}");
    Loader::new().text(Path::new("test.toml"), &text).expect("a good policy")
}

fn facts(others: &[bool]) -> Facts {
    let thread = |(id, is_capable): (u32, bool)| Thread {
        id,
        name: format!("t{id}"),
        mode: 0,
        filters: Some(0),
        is_capable,
        waits_in: None,
    };
    let threads = [false].iter().chain(others).copied();
    let own = Process {
        threads: (10..).zip(threads).map(thread).collect(),
        descriptors: Vec::new(),
        mappings: Vec::new(),
        code: Vec::new(),
        mapped: 1 << 20,
        data: 1 << 20,
        locked: 0,
        tracer: 0,
        children: Vec::new(),
        within: Vec::new(),
        beside: Vec::new(),
        has_ring: false,
        reading_executes: false,
        timers: 0,
        used_seconds: 1,
    };
    Facts { pid: 10, is_root: false, landlock: Ok(6), seen: Seen::All(Box::new(own)) }
}

fn unmet(changes: &str, facts: &Facts) -> Vec<Unmet> {
    match Plan::new(&policy(changes), facts, None) {
        Err(LockdownError::Unmet(unmet)) => unmet,
        other => panic!("{other:?}"),
    }
}

fn layers(changes: &str) -> Vec<Layer> {
    unmet(changes, &facts(&[])).into_iter().map(|unmet| unmet.layer).collect()
}

#[test]
fn everything_that_needs_a_jail_is_listed_at_once_with_its_layer_and_place() {
    let unmet = unmet(
        "[files]\nproc = \"full\"\npts = true\nread = [{ path = \"/usr\", at = \"/other\" }]\n[limits]\ncpus = \"0.5\"\n\
         [net]\nloopback = true\n",
        &facts(&[]),
    );

    let shown: Vec<_> =
        unmet.iter().map(|unmet| format!("{}: {} ({})", unmet.layer, unmet.what, unmet.asked_by)).collect();
    assert_eq!(
        shown,
        [
            "mount-namespace: files.read `/usr` at `/other` (test.toml:5)",
            "mount-namespace: files.proc = full (test.toml:3)",
            "mount-namespace: files.pts (test.toml:4)",
            "network-namespace: net.loopback (test.toml:9)",
            "cgroup-cpu: limits.cpus = 0.5 (test.toml:7)",
        ]
    );
}

#[test]
fn a_layer_that_is_degraded_by_name_is_a_control_that_does_not_hold() {
    let plan = Plan::new(&policy("degrade = [\"cgroup-cpu\"]\n[limits]\ncpus = \"0.5\"\n"), &facts(&[]), None);

    let controls = plan.expect("the policy agrees").controls;
    let control = controls.iter().find(|control| control.layer == Layer::CgroupCpu).expect("it was asked for");
    assert_eq!(control.holding, lazaret_policy::Holding::Partly);
    assert_eq!(control.source, "test.toml:2");
}

#[test]
fn another_tier_is_an_error_that_names_its_place() {
    let error = Plan::new(&policy("tier = \"jail\"\n"), &facts(&[]), None).expect_err("no process can do that");

    assert!(error.to_string().contains("tier `jail` (test.toml:2)"), "{error}");
}

#[test]
fn with_other_threads_landlock_is_missed_only_where_paths_can_be_opened() {
    let compute = Plan::new(&policy("[limits]\nprocesses = 2\n"), &facts(&[false]), None);
    let opens = unmet("[system-calls]\nallow = [\"openat\"]\n", &facts(&[false]));

    assert!(compute.is_ok());
    let landlock = opens.iter().find(|unmet| unmet.layer == Layer::Landlock).expect("it cannot hold");
    assert!(landlock.why.contains("11 (`t11`)") && landlock.why.contains("`openat` (test.toml:3)"), "{}", landlock.why);
}

#[test]
fn capabilities_of_another_thread_are_an_unmet_requirement_that_names_it() {
    let unmet = unmet("", &facts(&[true, false]));

    assert_eq!(unmet[0].layer, Layer::Capabilities);
    assert!(unmet[0].why.contains("11 (`t11`)") && !unmet[0].why.contains("t12"), "{}", unmet[0].why);
}

#[test]
fn memory_that_no_limit_counts_and_the_first_process_of_a_namespace_are_unmet() {
    let first = Facts { pid: 1, ..facts(&[]) };

    assert_eq!(layers("[system-calls]\nallow = [\"memfd_create\"]\n"), [Layer::CgroupMemory]);
    assert_eq!(unmet("", &first)[0].layer, Layer::WallTime);
}

#[test]
fn root_cannot_bound_its_threads_and_others_can() {
    let threads = "[system-calls]\nallow = [\"@threads\"]\n[limits]\nprocesses = 4\n";
    let root = Facts { is_root: true, ..facts(&[]) };

    let user = Plan::new(&policy(threads), &facts(&[]), None).expect("RLIMIT_NPROC holds");

    assert_eq!(unmet(threads, &root)[0].layer, Layer::CgroupPids);
    assert!(user.rlimits.iter().any(|bound| bound.name == "RLIMIT_NPROC" && bound.value <= 4));
}

#[test]
fn behind_an_earlier_lockdown_no_lower_bound_of_memory_can_be_set() {
    let facts = Facts { seen: Seen::Nothing { memory: 512 << 20 }, ..facts(&[]) };

    let lower = unmet("[limits]\nmemory = \"256MiB\"\n", &facts);

    assert_eq!(lower[0].layer, Layer::CgroupMemory);
    assert!(Plan::new(&policy(""), &facts, None).is_ok());
}

#[test]
fn without_landlock_no_policy_may_make_files_that_nothing_bounds() {
    let none = Facts { landlock: Err("none here".to_owned()), ..facts(&[]) };
    let degraded = |rule: &str| policy(&format!("degrade = [\"landlock\"]\n[system-calls]\nallow = [\"{rule}\"]\n"));

    let writes = Plan::new(&degraded("openat"), &none, None).expect_err("the disk would be unbounded");
    let reads = Plan::new(&degraded("openat(flags & O_WRONLY | O_RDWR | O_CREAT | O_TRUNC == 0)"), &none, None);

    assert!(writes.to_string().contains("disk: limits.disk = 64MiB"), "{writes}");
    assert!(reads.is_ok());
}

#[test]
fn what_is_to_be_refused_after_a_start_is_an_error_for_who_has_started() {
    let policy = policy("[system-calls]\nrefuse-after-start = [\"openat\"]\n");

    let planned = Plan::new(&policy, &facts(&[]), None);

    let Err(LockdownError::Filter { problem }) = planned else { panic!("{planned:?}") };
    assert!(problem.starts_with("`refuse-after-start` (test.toml:3) is for commands"), "{problem}");
}
