use super::*;
use lazaret_filter::Filter;
use lazaret_filter::compare::Difference;
use lazaret_filter::oci::{self, Environment};
use lazaret_filter::{Arch, Backend, Call, interpret, table};
use lazaret_launch::filter::policy_rules;
use serde_json::Value;

const DOCKER: &str = include_str!("../../../../tests/fixtures/seccomp/docker.json");
const CONTAINERD: &str = include_str!("../../../../tests/fixtures/seccomp/containerd.json");

/// The profile that Debian's package golang-github-containers-common installs for Podman.
fn podman() -> Option<String> {
    let found = std::fs::read_to_string("/usr/share/containers/seccomp.json").ok();
    let strict = std::env::var_os("LAZARET_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(found.is_some() || !strict, "install golang-github-containers-common");
    found
}

fn environment(capabilities: &[&str]) -> Environment {
    Environment {
        arch: Arch::X86_64,
        capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        kernel: (6, 18),
    }
}

fn imported(text: &str, format: Format, capabilities: &[&str]) -> (Filter, Exchanged) {
    let environment = environment(capabilities);
    let import = Import { text, name: "profile.json", format, extends: "default", environment: &environment };
    let exchanged = super::import(&import).unwrap_or_else(|error| panic!("{error}"));
    let policy = lazaret::policy_text("imported.toml", &exchanged.text)
        .unwrap_or_else(|error| panic!("{error}\n{}", exchanged.text));
    assert!(policy.system_calls.rules.iter().all(|rule| !rule.why.is_empty()), "every rule has a reason");
    (policy_rules(&policy.system_calls).expect("the loader checked"), exchanged)
}

/// Registers near every number of the profile.
fn registers(json: &Value) -> Vec<u64> {
    let args = json["syscalls"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|entry| entry["args"].as_array().into_iter().flatten());
    let numbers = args.flat_map(|arg| [arg["value"].as_u64(), arg["valueTwo"].as_u64()]).flatten();
    let near = numbers.flat_map(|number| [number, number.wrapping_sub(1), number + 1, number ^ 0x1000_0000]);
    let mut all: Vec<_> =
        near.chain([0, 1, 5, 0x5412, 0x7fff_ffff, 0xffff_ffff]).filter(|number| *number <= 0xffff_ffff).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a profile permits a call, read as simply as the specification says it.
fn permits(json: &Value, capabilities: &[&str], name: &str, args: &[u64; 6]) -> bool {
    let has = |list: &Value, what: &dyn Fn(&str) -> bool| {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).any(what)
    };
    let all = |list: &Value, what: &dyn Fn(&str) -> bool| {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).all(what)
    };
    let held = |cap: &str| capabilities.contains(&cap);
    let here = |arch: &str| arch == "amd64";
    let applies = |entry: &&Value| {
        let (includes, excludes) = (&entry["includes"], &entry["excludes"]);
        all(&includes["caps"], &held)
            && (includes["arches"].is_null() || has(&includes["arches"], &here))
            && !has(&excludes["caps"], &held)
            && !has(&excludes["arches"], &here)
    };
    let allows = |action: &Value| matches!(action.as_str(), Some("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG"));
    let holds = |arg: &Value| {
        let register = args[usize::try_from(arg["index"].as_u64().expect("an index")).expect("small")];
        let value = arg["value"].as_u64().expect("a value");
        match arg["op"].as_str().expect("an operator") {
            "SCMP_CMP_EQ" => register == value,
            "SCMP_CMP_NE" => register != value,
            "SCMP_CMP_LT" => register < value,
            "SCMP_CMP_LE" => register <= value,
            "SCMP_CMP_GT" => register > value,
            "SCMP_CMP_GE" => register >= value,
            "SCMP_CMP_MASKED_EQ" => register & value == arg["valueTwo"].as_u64().unwrap_or(0),
            other => panic!("{other}"),
        }
    };
    let default = allows(&json["defaultAction"]);
    let entries: Vec<_> = json["syscalls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(applies)
        .filter(|entry| has(&entry["names"], &|of| of == name))
        .collect();
    let conditions = |entry: &Value| entry["args"].as_array().cloned().unwrap_or_default();
    // Entries that say what the default says are left out by the runtimes; of those that contradict each other the last counts.
    let errno = |value: &Value| value.as_u64().unwrap_or(1);
    let is_default = |entry: &Value| {
        entry["action"] == json["defaultAction"] && errno(&entry["errnoRet"]) == errno(&json["defaultErrnoRet"])
    };
    if let Some(entry) = entries.iter().rfind(|entry| conditions(entry).is_empty() && !is_default(entry)) {
        return allows(&entry["action"]);
    }
    let matching = |entry: &&&Value| {
        let conditions = conditions(entry);
        let mut indices: Vec<_> = conditions.iter().map(|arg| arg["index"].as_u64()).collect();
        indices.sort_unstable();
        indices.dedup();
        // runc's reading of several conditions on one argument.
        !conditions.is_empty()
            && if indices.len() < conditions.len() {
                conditions.iter().any(holds)
            } else {
                conditions.iter().all(holds)
            }
    };
    entries.iter().rfind(matching).map_or(default, |entry| allows(&entry["action"]))
}

/// Calls of every name with sampled arguments.
fn samples(json: &Value) -> Vec<(&'static str, Call)> {
    let registers = registers(json);
    let mut samples = Vec::new();
    for (nr, name) in table::iter(Arch::X86_64).filter(|(_, name)| !name.starts_with("io_uring_")) {
        for (at, first) in registers.iter().enumerate() {
            for step in [0, 1, 7] {
                let other = registers[(at + step) % registers.len()];
                samples.push((
                    name,
                    Call {
                        audit_arch: Arch::X86_64.audit(),
                        nr,
                        args: [*first, other, registers[(at + 2 * step) % registers.len()], 0, 0, 0],
                    },
                ));
            }
        }
    }
    samples
}

fn round_trip(text: &str, capabilities: &[&str]) -> Exchanged {
    let json: Value = serde_json::from_str(text).expect("JSON");
    let source = oci::read(text, &environment(capabilities)).expect("a sound profile").filter;
    let (policy, exchanged) = imported(text, Format::Oci, capabilities);

    let exported = oci::write(&policy, Arch::X86_64).expect("it can be written");
    let again = oci::read(&exported, &environment(&[])).expect("a sound profile").filter;

    let samples = samples(&json);
    let compiled =
        [&source, &policy, &again].map(|filter| filter.compile(Arch::X86_64, Backend::Alone).expect("it compiles"));
    for (name, call) in &samples {
        let [source, policy, again] = compiled.each_ref().map(|program| interpret::run(program, call));
        // Errors other than EPERM are a listed loss.
        let act = |value: u32| value & 0xffff_0000;
        assert_eq!(act(policy), act(source), "{name} {:x?}", call.args);
        assert_eq!(act(again), act(policy), "{name} {:x?}", call.args);
        let permitted = act(policy) == 0x7fff_0000 || act(policy) == 0x7ffc_0000;
        assert_eq!(permitted, permits(&json, capabilities, name, &call.args), "{name} {:x?}", call.args);
    }
    for (_, name) in table::iter(Arch::X86_64) {
        // For all arguments, and not for samples alone.
        let difference = source.difference(&policy, Arch::X86_64, name);
        assert!(
            !matches!(difference, Difference::Some { wider: true, .. } | Difference::Unknown { .. }),
            "{name}: {difference:?}"
        );
    }
    exchanged
}

#[test]
fn a_profile_of_dockers_shape_decides_the_same_after_import_and_export() {
    for capabilities in [&[][..], &["CAP_SYS_ADMIN"], &["CAP_SYS_PTRACE", "CAP_SYS_CHROOT"]] {
        let exchanged = round_trip(DOCKER, capabilities);
        let losses = exchanged.losses.iter().map(|loss| loss.0.as_str()).collect::<Vec<_>>().join("\n");
        for part in
            ["depend on capabilities (CAP_", "kernel's version (4.8)", "SCMP_ARCH_X32, SCMP_ARCH_X86", "chown32"]
        {
            assert!(losses.contains(part), "{part}: {losses}");
        }
        // The policy's own answer is the same.
        assert!(!losses.contains("clone3"), "{losses}");
    }
}

#[test]
fn a_profile_of_containerds_shape_decides_the_same_after_import_and_export() {
    round_trip(CONTAINERD, &[]);
}

#[test]
fn the_profile_that_podman_ships_decides_the_same_after_import_and_export() {
    let Some(text) = podman() else { return };
    for capabilities in [&[][..], &["CAP_SYS_ADMIN"], &["CAP_AUDIT_WRITE"]] {
        let exchanged = round_trip(&text, capabilities);
        assert!(!exchanged.text.contains("too many"), "{}", exchanged.text);
    }
}

#[test]
fn reasons_are_the_profiles_comments_or_the_entry() {
    let (_, exchanged) = imported(DOCKER, Format::Oci, &["CAP_SYS_PTRACE"]);

    assert!(
        exchanged.text.contains(r#"{ rule = "kcmp", why = "to compare \"two\" processes" }"#),
        "{}",
        exchanged.text
    );
    assert!(exchanged.text.contains(r#"{ rule = "read", why = "entry 1 of profile.json" }"#), "{}", exchanged.text);
}

#[test]
fn an_action_that_leaves_the_decision_to_others_is_an_error_with_a_hint() {
    let environment = environment(&[]);
    for action in ["SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE"] {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["read"], "action": "{action}"}}]}}"#
        );
        let import =
            Import { text: &text, name: "x", format: Format::Oci, extends: "default", environment: &environment };

        let error = super::import(&import).expect_err("no filter can do that");

        assert!(error.hint().is_some_and(|hint| hint.contains("another program")), "{error}");
    }
}

#[test]
fn what_a_policy_has_no_place_for_is_listed() {
    let text = r#"{"defaultAction": "SCMP_ACT_KILL", "flags": ["SECCOMP_FILTER_FLAG_TSYNC"], "listenerPath": "/x", "syscalls": [
        {"names": ["read", "io_uring_setup"], "action": "SCMP_ACT_ALLOW"}, {"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12},
        {"names": ["fork"], "action": "SCMP_ACT_KILL_THREAD"}]}"#;

    let (filter, exchanged) = imported(text, Format::Oci, &[]);

    let losses: Vec<_> = exchanged.losses.iter().map(ToString::to_string).collect();
    for part in [
        "io_uring_setup",
        "flags, listenerPath",
        "ENOMEM instead of EPERM: write",
        "kills a thread: fork",
        "by default the whole job",
    ] {
        assert!(losses.iter().any(|loss| loss.contains(part)), "{part}: {losses:?}");
    }
    assert!(losses.iter().all(|loss| exchanged.text.contains(loss.as_str())), "the policy lists them too");
    assert_eq!(filter.default_action(), Action::Kill);
}

#[test]
fn rules_whose_order_cannot_be_kept_are_written_apart() {
    // In the profile the permission stands last and prevails; in a policy `kill` comes after `allow`.
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["ioctl"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 1, "value": 255, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 257, "op": "SCMP_CMP_EQ"}]}]}"#;

    let (filter, exchanged) = imported(text, Format::Oci, &[]);

    let decided = |request| {
        filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr: 16, args: [0, request, 0, 0, 0, 0] }).action
    };
    assert_eq!([1, 257, 513, 2].map(decided), [Action::Kill, Action::Allow, Action::Kill, Action::Refuse(1)]);
    assert_eq!(exchanged.losses, []);
}

#[test]
fn systemds_lists_become_policies_and_lists_again() {
    let text = "[Service]\nSystemCallArchitectures=native\nSystemCallErrorNumber=EPERM\nSystemCallFilter=@system-service @mount\nSystemCallFilter=~@resources chown\nSystemCallFilter=kcmp:kill reboot:EPERM\n";

    let (imported_filter, exchanged) = imported(text, Format::Systemd, &[]);
    let policy = lazaret::policy_text("imported.toml", &exchanged.text).expect("it loads");
    let exported = export(&policy, Format::Systemd, Arch::X86_64).expect("it can be written");
    let (again, _) = imported(&exported.text, Format::Systemd, &[]);

    assert_eq!(exported.losses, []);
    assert!(exchanged.text.contains("@mount of profile.json"), "{}", exchanged.text);
    for (nr, name) in table::iter(Arch::X86_64) {
        let decided =
            |filter: &Filter| filter.decide(&Call { audit_arch: Arch::X86_64.audit(), nr, args: [0; 6] }).action;
        assert_eq!(decided(&again), decided(&imported_filter), "{name}");
    }
}

#[test]
fn every_profile_of_ours_is_exported_as_it_decides() {
    for name in lazaret::profiles() {
        let policy = lazaret::profile(name).expect("a built-in profile loads");
        let own = policy_rules(&policy.system_calls).expect("rules");
        let oci = export(&policy, Format::Oci, Arch::X86_64).unwrap_or_else(|error| panic!("{name}: {error}"));
        let systemd = export(&policy, Format::Systemd, Arch::X86_64).expect("it can be written");

        let theirs = oci::read(&oci.text, &environment(&[])).expect("a sound profile").filter;
        let list = lazaret_filter::systemd::read(&systemd.text).expect("sound lines").filter;
        for (_, call) in table::iter(Arch::X86_64) {
            for (other, exact) in [(&theirs, true), (&list, false)] {
                match own.difference(other, Arch::X86_64, call) {
                    Difference::None => {}
                    Difference::Some { wider: false, narrower, .. } if !(narrower && exact) => {}
                    difference => panic!("{name}: {call}: {difference:?}"),
                }
            }
        }
    }
}

#[test]
fn what_is_refused_after_the_start_is_told_as_lost() {
    let text = "extends = \"default\"\n[system-calls]\nrefuse-after-start = [\"execve\"]\n";
    let policy = lazaret::policy_text("policy.toml", text).unwrap_or_else(|error| panic!("{error}"));

    for format in [Format::Oci, Format::Systemd] {
        let written = export(&policy, format, Arch::X86_64).expect("it can be said but for that");

        let losses: Vec<String> = written.losses.iter().map(ToString::to_string).collect();
        assert!(losses.iter().any(|loss| loss.contains("`execve` is refused from the start")), "{losses:?}");
    }
}
