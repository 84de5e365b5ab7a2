use super::{builtin, names};
use crate::limits::LimitKey;
use crate::load::Loader;
use crate::policy::{CallAction, EnvValue, Policy, ProcView};
use crate::source::Source;

fn policies() -> Vec<Policy> {
    names().map(|name| Loader::new().profile(name).unwrap_or_else(|error| panic!("{error}"))).collect()
}

#[test]
fn the_profiles_of_the_issue_are_there() {
    for name in ["default", "pure", "imagemagick", "ffmpeg", "libreoffice", "poppler", "python", "node", "shell"] {
        assert!(builtin(name).is_some(), "{name}");
    }
    assert_eq!(builtin("defualt"), None);
}

#[test]
fn every_rule_of_every_profile_has_its_reason() {
    for policy in policies() {
        let name = &policy.name;
        for rule in &policy.system_calls.rules {
            assert!(!rule.why.is_empty(), "{name}: {}", rule.rule);
        }
        for bind in &policy.files.read {
            assert!(!bind.why.is_empty(), "{name}: {}", bind.host.display());
        }
        for device in &policy.files.devices {
            assert!(!device.why.is_empty(), "{name}: {}", device.path.display());
        }
        for cow in &policy.files.cow {
            assert!(!cow.why.is_empty(), "{name}: {}", cow.host.display());
        }
        assert!(!policy.description.is_empty(), "{name}");
    }
}

#[test]
fn profiles_are_strict() {
    for policy in policies() {
        let name = &policy.name;
        assert!(policy.degrade.is_empty(), "{name}");
        assert!(policy.files.devices.is_empty(), "{name}");
        assert!(policy.files.cow.is_empty(), "{name}");
        // LibreOffice's starter stops without /proc/version.
        let whole_proc = matches!(policy.files.proc.value, ProcView::Full);
        assert_eq!(whole_proc, name == "libreoffice", "{name}");
        assert!(!policy.network.loopback.value, "{name}");
        assert_eq!(policy.system_calls.default.value, CallAction::Refuse, "{name}");
        assert!(policy.environment.iter().all(|variable| variable.value.value != EnvValue::FromCaller), "{name}");
    }
}

#[test]
fn memory_is_more_than_disk_because_it_holds_it() {
    for policy in policies() {
        assert!(policy.limits.memory.bytes() > policy.limits.disk.bytes(), "{}", policy.name);
        assert!(policy.limits.file_size.bytes() <= policy.limits.disk.bytes(), "{}", policy.name);
    }
}

#[test]
fn values_know_the_profile_and_line_that_set_them() {
    let policy = Loader::new().profile("imagemagick").unwrap();
    assert_eq!(policy.chain, ["default"]);
    let from = |key| match policy.limits.source(key) {
        Some(Source::Profile { name, line }) => (name.clone(), *line),
        other => panic!("{other:?}"),
    };
    let line_of = |name, start: &str| {
        let position = builtin(name).unwrap().lines().position(|line| line.starts_with(start));
        (name.to_owned(), position.unwrap() + 1)
    };
    assert_eq!(from(LimitKey::Memory), line_of("imagemagick", "memory ="));
    assert_eq!(from(LimitKey::OpenFiles), line_of("default", "open-files ="));
}
