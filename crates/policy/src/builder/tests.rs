use std::path::PathBuf;

use super::*;
use crate::load::Loader;

fn builder() -> PolicyBuilder {
    Loader::new().profile("default").unwrap().builder()
}

#[test]
fn a_bad_value_of_an_option_is_shown_in_the_option() {
    let error = builder().limit("memory=12parsecs", Source::option("--limit")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
limit `memory`: unknown unit `parsecs` in `12parsecs`
 --> command line:1:16
  |
1 | --limit memory=12parsecs
  |                ^^^^^^^^^
hint: units are B, KiB, MiB, GiB, TiB (powers of 1024) and kB, MB, GB, TB (powers of 1000)"
    );
}

#[test]
fn an_unknown_limit_gets_the_nearest_known_one() {
    let error = builder().limit("memroy=1GiB", Source::option("--limit")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
unknown limit `memroy`
 --> command line:1:9
  |
1 | --limit memroy=1GiB
  |         ^^^^^^
hint: did you mean `memory`?"
    );
}

#[test]
fn a_limit_without_a_value_is_an_error() {
    let error = builder().limit("memory", Source::option("--limit")).unwrap_err();
    assert_eq!(error.problems()[0].message(), "`memory` sets nothing");
    assert_eq!(error.problems()[0].hint(), "write KEY=VALUE, such as memory=1GiB");
}

#[test]
fn a_refused_option_changes_nothing() {
    let mut builder = builder();
    let before = builder.clone().build();
    builder.limit("wall=forever", Source::Builder).unwrap_err();
    builder.degrade("seccomp", Source::Builder).unwrap_err();
    builder.environment("=x", Source::Builder).unwrap_err();
    assert_eq!(builder.build(), before);
}

#[test]
fn degrading_the_cgroup_lets_what_it_carries_be_missing_too() {
    let mut builder = builder();
    builder.degrade("cgroup", Source::option("--degrade")).unwrap();
    builder.degrade("cgroup", Source::option("--degrade")).unwrap();
    let policy = builder.build();
    assert_eq!(policy.degrade.len(), 1);
    assert!(policy.degrades(Layer::Cgroup).is_some());
    assert!(policy.degrades(Layer::CgroupMemory).is_some());
    assert!(policy.degrades(Layer::CgroupNamespace).is_none());
    assert!(policy.degrades(Layer::Landlock).is_none());
}

#[test]
fn degrading_one_controller_keeps_the_others() {
    let mut builder = builder();
    builder.degrade("cgroup-io", Source::Builder).unwrap();
    let policy = builder.build();
    assert!(policy.degrades(Layer::CgroupIo).is_some());
    assert!(policy.degrades(Layer::CgroupMemory).is_none());
    assert!(policy.degrades(Layer::Cgroup).is_none());
}

#[test]
fn an_environment_option_replaces_the_policys_variable() {
    let mut builder = builder();
    builder.environment("PATH=/opt/bin", Source::option("--env")).unwrap();
    builder.environment("TERM", Source::option("--env")).unwrap();
    let policy = builder.build();
    let value = |name: &str| {
        let all: Vec<_> = policy.environment.iter().filter(|variable| variable.name == name).collect();
        assert_eq!(all.len(), 1);
        all[0].value.value.clone()
    };
    assert_eq!(value("PATH"), EnvValue::Set("/opt/bin".to_owned()));
    assert_eq!(value("TERM"), EnvValue::FromCaller);
}

#[test]
fn binds_that_programs_add_are_checked_as_those_of_policies() {
    let bind = |host: &str, guest: &str| Bind {
        host: PathBuf::from(host),
        guest: PathBuf::from(guest),
        optional: false,
        why: String::new(),
    };
    let mut builder = builder();
    builder.read(bind("/srv/data/", "/data"), Source::Builder).unwrap();
    for (host, guest) in [
        ("srv", "/data"),
        ("/srv/../etc", "/data"),
        ("/srv", "/"),
        ("/srv", "/tmp/x"),
        ("/srv", "/job"),
        ("/proc/1/root", "/data"),
        ("/dev", "/data"),
    ] {
        assert!(builder.read(bind(host, guest), Source::Builder).is_err(), "{host} {guest}");
    }
    let policy = builder.build();
    assert_eq!(policy.files.read.last().unwrap().host, PathBuf::from("/srv/data"));
}

#[test]
fn devices_lie_beneath_dev_and_are_not_the_jails_own() {
    let device = |path: &str| Device { path: PathBuf::from(path), why: String::new() };
    let mut builder = builder();
    assert!(builder.device(device("/dev/dri/renderD128"), Source::Builder).is_ok());
    for path in ["/dev", "/etc/passwd", "/dev/../etc", "/dev/null", "/dev/ptmx", "/dev/shm/x", "dri"] {
        assert!(builder.device(device(path), Source::Builder).is_err(), "{path}");
    }
}

#[test]
fn a_layer_is_required_or_given_up_whichever_is_said_first() {
    let mut requiring = builder();
    requiring.require("cgroup", Source::option("--require cgroup")).unwrap();
    let mut degrading = builder();
    degrading.degrade("cgroup", Source::option("--degrade cgroup")).unwrap();

    let first = requiring.degrade("cgroup", Source::option("--degrade cgroup")).unwrap_err();
    let second = degrading.require("cgroup", Source::option("--require cgroup")).unwrap_err();

    for error in [first, second] {
        let said = error.to_string();
        assert!(said.contains("`cgroup` is required (--require cgroup) and given up (--degrade cgroup)"), "{said}");
    }
}

#[test]
fn an_unknown_layer_cannot_be_required() {
    let error = builder().require("pid-namepsace", Source::option("--require pid-namepsace")).unwrap_err();

    assert!(error.to_string().contains("pid-namespace"), "{error}");
}
