use super::*;
use crate::cgroup::{Groups, Hierarchy, NoGroups};
use crate::probe::{Bounds, CoreLimit, PathKind};
use lazaret_policy::{Holding, Loader};
use std::path::{Path, PathBuf};

/// A host that has everything.
pub(crate) fn full_support() -> Support {
    let parents = Controller::ALL.into_iter().map(|c| (c, PathBuf::from("/cg").join(format!("{c:?}")))).collect();
    Support {
        mode: Mode::Root,
        ids: (0, 0),
        no_job_uid: None,
        landlock: Ok(7),
        groups: Ok(Groups { hierarchy: Hierarchy::V1, parents }),
        swap: true,
        cgroup_namespace: true,
        time_namespace: true,
        notifier: true,
        bounds: Bounds::only_core(CoreLimit::One),
    }
}

pub(crate) fn policy(text: &str) -> Policy {
    let text = format!("extends = \"default\"\n{text}");
    Loader::new().text(Path::new("test.toml"), &text).expect("the test's policy is valid")
}

pub(crate) fn usual_paths() -> PathFacts {
    let mut facts = PathFacts::default();
    facts.note("/usr", PathKind::Directory { disk: Some((8, 0)) });
    facts.note("/usr/bin", PathKind::Directory { disk: Some((8, 0)) });
    facts.note("/bin", PathKind::Symlink { target: "usr/bin".into(), resolved: Some("/usr/bin".into()) });
    facts.note("/etc/ld.so.cache", PathKind::File);
    facts
}

pub(crate) fn plan(policy: &Policy, job: &Job, support: &Support) -> Result<Plan, PlanError> {
    let filter = Arc::new(FilterPlan::new(&policy.system_calls, OWN_RULES, support.notifier)?);
    Plan::new(policy, job, support, Place::new(policy, support, &usual_paths())?, filter)
}

#[test]
fn a_link_into_what_the_jail_shows_stays_a_link() {
    let plan = plan(&policy(""), &Job::new("true"), &full_support()).expect("the host has everything");

    let link = Entry::Symlink { guest: "/bin".into(), target: "usr/bin".into() };
    assert!(plan.room.tree.entries.contains(&link), "{:?}", plan.room.tree.entries);
}

#[test]
fn a_required_path_that_is_missing_is_an_error_that_names_the_line_that_asks_for_it() {
    let policy = policy("[files]\nread = [{ path = \"/opt/nowhere\", why = \"test\" }]");

    let error = plan(&policy, &Job::new("true"), &full_support()).expect_err("nothing is there");

    assert_eq!(error.to_string(), "cannot show `/opt/nowhere` to the job (test.toml:3): it does not exist");
}

#[test]
fn a_missing_layer_is_an_error_with_its_fix_unless_the_policy_degrades_it() {
    let none = NoGroups { why: "no controller".to_owned(), fix: "delegate one".to_owned() };
    let support = Support { groups: Err(none), ..full_support() };

    let refused = plan(&policy(""), &Job::new("true"), &support).expect_err("a layer is missing");
    let degraded = plan(&policy("degrade = [\"cgroup\"]"), &Job::new("true"), &support).expect("it was asked for");

    assert_eq!(refused.to_string(), "this host cannot enforce cgroup (no controller)");
    assert!(refused.hint().contains("delegate one") && refused.hint().contains("--degrade cgroup"));
    assert_eq!(degraded.group, Group::Degraded);
    let control = degraded.control(Layer::CgroupMemory).expect("every layer is told of");
    assert_eq!((control.holding, control.why_not.as_deref()), (Holding::No, Some("no controller")));
    assert!(degraded.rlimits.iter().any(|limit| limit.name == "RLIMIT_DATA"));
}

#[test]
fn a_command_without_a_slash_is_looked_for_in_the_policys_path() {
    let plan = plan(&policy(""), &Job::new("convert"), &full_support()).expect("the host has everything");

    let candidates: Vec<_> = plan.program.candidates.iter().map(|c| c.to_string_lossy().into_owned()).collect();
    assert!(candidates.contains(&"/usr/bin/convert".to_owned()), "{candidates:?}");
    assert!(candidates.iter().all(|c| c.starts_with('/')));
}

#[test]
fn a_path_with_a_slash_is_executed_as_it_is() {
    let plan = plan(&policy(""), &Job::new("./tool"), &full_support()).expect("the host has everything");

    assert_eq!(plan.program.candidates, [c"./tool".to_owned()]);
}

#[test]
fn hierarchies_that_neither_limit_nor_measure_are_not_joined() {
    let plain = plan(&policy(""), &Job::new("true"), &full_support()).expect("the host has everything");
    let bounded = plan(&policy("[limits]\ncpus = 1.5\nio-rate = \"1MiB\""), &Job::new("true"), &full_support());

    let controllers = |plan: &Plan| match &plan.group {
        Group::Limited { groups, .. } => groups.parents.keys().copied().collect::<Vec<_>>(),
        Group::Degraded => Vec::new(),
    };
    assert_eq!(controllers(&plain), [Controller::Memory, Controller::Pids, Controller::CpuAccounting]);
    assert_eq!(controllers(&bounded.expect("the host has everything")), Controller::ALL);
}

#[test]
fn no_policy_lets_a_job_reach_the_hypervisor_or_have_its_core_dumped() {
    use lazaret_filter::{Action, Arch, Call, table};
    let policy = policy("[system-calls]\nallow = [\"socket\", \"prlimit64\"]");
    let filter = FilterPlan::new(&policy.system_calls, OWN_RULES, true).expect("the rules are valid").filter;
    let decide = |name: &str, args| {
        let nr = table::number(Arch::X86_64, name).expect("it exists");
        filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args }).action
    };

    assert_eq!(decide("socket", [40, 1, 0, 0, 0, 0]), Action::Refuse(97));
    assert_eq!(decide("socket", [2, 1, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(decide("prlimit64", [0, 4, 0x1000, 0, 0, 0]), Action::Errno(0));
    assert_eq!(decide("prlimit64", [0, 7, 0x1000, 0, 0, 0]), Action::Allow);
}

#[test]
fn telling_of_calls_beyond_the_bound_of_a_file_permits_none_that_the_policy_does_not() {
    use lazaret_filter::{Action, Arch, Call, table};
    let decide = |rules: &str, name: &str, args| {
        let policy = policy(&format!("[system-calls]\n{rules}"));
        let filter =
            FilterPlan::bounded(&policy.system_calls, OWN_RULES, true, 1000).expect("the rules are valid").filter;
        let nr = table::number(Arch::X86_64, name).expect("it exists");
        filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args }).action
    };

    let (within, beyond) = ([3, 0, 1, 999, 0, 0], [3, 0, 1, 1000, 0, 0]);
    assert_eq!(decide("", "pwrite64", within), Action::Allow);
    assert_eq!(decide("", "pwrite64", beyond), Action::Log);
    assert_eq!(decide("", "ftruncate", [3, 1000, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(decide("", "ftruncate", [3, 1001, 0, 0, 0, 0]), Action::Log);
    assert_eq!(decide("refuse = [\"pwrite64\"]", "pwrite64", beyond), Action::Refuse(1));
    assert_eq!(decide("kill = [\"pwrite64(fd == 3)\"]", "pwrite64", beyond), Action::Kill);
    assert_eq!(decide("silent = [\"@file-write\"]", "ftruncate", [3, 1001, 0, 0, 0, 0]), Action::Errno(1));
}

#[test]
fn landlock_grants_writing_in_scratch_and_to_devices_alone() {
    use lazaret_sys::landlock::access;
    let plan = plan(&policy(""), &Job::new("true"), &full_support()).expect("the host has everything");

    let LandlockPlan::Rules { rules, .. } = &plan.room.landlock else { panic!("the host has Landlock") };
    let writable: Vec<_> = rules
        .iter()
        .filter(|rule| rule.rights & access::WRITE_FILE != 0)
        .map(|rule| rule.path.display().to_string())
        .collect();
    assert_eq!(writable, ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/tmp", "/job"]);
}

#[test]
fn where_core_dumps_cannot_be_kept_from_the_hosts_program_nothing_is_run() {
    let with = |core| Support { bounds: Bounds::only_core(core), ..full_support() };
    let core = |plan: &Plan| plan.rlimits.iter().find(|limit| limit.name == "RLIMIT_CORE").map(|limit| limit.value);

    let (one, zero) = (with(CoreLimit::One), with(CoreLimit::Zero));
    let planned = [one, zero].map(|support| plan(&policy(""), &Job::new("true"), &support).expect("it is enough"));
    let refused = plan(&policy(""), &Job::new("true"), &with(CoreLimit::Insufficient));

    assert_eq!(planned.each_ref().map(core), [Some(1), Some(0)]);
    assert!(matches!(refused, Err(PlanError::Unenforceable(missing)) if missing[0].layer == Layer::Rlimits));
}
