use serde_json::json;

use super::*;

fn hit(key: LimitKey, value: &str) -> LimitHit {
    LimitHit::new(key, value)
}

fn one_of_each() -> Vec<Verdict> {
    let mut all = vec![
        Verdict::Ok,
        Verdict::exited(3),
        Verdict::signalled(11),
        Verdict::Violation {
            call: "ptrace".to_owned(),
            number: 101,
            args: [0, u64::MAX, 0, 0, 0, 0],
            rule: Some("@debug".to_owned()),
            arch: "x86_64".to_owned(),
            explanation: None,
        },
        Verdict::Cancelled,
        Verdict::OutputMissing { name: FileName::new("thumb.png").unwrap(), reason: OutputProblem::Missing },
        not_found(),
    ];
    all.extend(LimitKey::ALL.iter().filter_map(|key| Verdict::of_limit(hit(*key, "1"))));
    all
}

fn not_found() -> Verdict {
    Verdict::not_started(StartFailure {
        kind: StartFailureKind::NotFound,
        command: "convrt".to_owned(),
        errno: 2,
        detail: "searched /usr/bin and /bin".to_owned(),
    })
}

#[test]
fn the_kinds_are_those_of_the_design() {
    let kinds: std::collections::BTreeSet<&str> = one_of_each().iter().map(Verdict::kind).collect();
    let design = [
        "ok",
        "exit",
        "signal",
        "timeout",
        "cpu-limit",
        "memory-limit",
        "process-limit",
        "file-size-limit",
        "output-limit",
        "disk-limit",
        "network-limit",
        "violation",
        "cancelled",
        "output-missing",
    ];
    assert_eq!(kinds, design.into_iter().collect());
}

#[test]
fn every_verdict_survives_json_and_carries_its_kind() {
    for verdict in one_of_each() {
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["kind"], verdict.kind());
        assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
    }
}

#[test]
fn a_limit_verdict_names_limit_value_and_key() {
    let verdict = Verdict::of_limit(hit(LimitKey::FileSize, "1MiB")).unwrap();
    assert_eq!(
        verdict.to_string(),
        "a file of the job reached its file-size limit of 1MiB (raise it with --limit file-size=… or [limits] file-size)"
    );
    assert_eq!(
        serde_json::to_value(&verdict).unwrap(),
        json!({
            "kind": "file-size-limit",
            "limit": {
                "key": "file-size",
                "value": "1MiB",
                "raise": "--limit file-size=… or [limits] file-size",
            },
        })
    );
}

#[test]
fn every_limit_verdict_says_how_to_raise_it() {
    for verdict in LimitKey::ALL.iter().filter_map(|key| Verdict::of_limit(hit(*key, "77"))) {
        let limit = verdict.limit().unwrap();
        let shown = verdict.to_string();
        assert!(shown.contains(&format!("{} limit of 77", limit.key)), "{shown}");
        assert!(shown.contains(&format!("--limit {}=", limit.key)), "{shown}");
    }
}

#[test]
fn limits_that_only_slow_a_job_down_end_none() {
    for key in [LimitKey::OpenFiles, LimitKey::Cpus, LimitKey::IoRate] {
        assert_eq!(Verdict::of_limit(hit(key, "1")), None);
    }
}

#[test]
fn exit_statuses_are_those_of_a_shell_and_of_timeout() {
    let status = |verdict: Verdict| verdict.exit_status();
    assert_eq!(status(Verdict::exited(0)), 0);
    assert_eq!(status(Verdict::exited(137)), 137);
    assert_eq!(status(Verdict::signalled(9)), 137);
    assert_eq!(status(Verdict::signalled(11)), 139);
    assert_eq!(status(Verdict::signalled(i32::MAX)), 255);
    assert_eq!(status(Verdict::Timeout { limit: hit(LimitKey::Wall, "30s") }), 124);
    assert_eq!(status(Verdict::CpuLimit { limit: hit(LimitKey::Cpu, "30s") }), 124);
    assert_eq!(status(Verdict::MemoryLimit { limit: hit(LimitKey::Memory, "1GiB") }), 123);
    assert_eq!(status(Verdict::Cancelled), 123);
    assert_eq!(status(not_found()), 127);
}

#[test]
fn only_a_missing_command_is_127() {
    for (kind, code) in [
        (StartFailureKind::NotFound, 127),
        (StartFailureKind::NotExecutable, 126),
        (StartFailureKind::BadInterpreter, 126),
        (StartFailureKind::Other, 126),
    ] {
        assert_eq!(kind.exit_code(), code);
    }
    assert_eq!(not_found().to_string(), "the command `convrt` was not found (errno 2): searched /usr/bin and /bin");
}

#[test]
fn signals_are_named_as_signal_7_names_them() {
    for (number, name) in [
        (1, "SIGHUP"),
        (6, "SIGABRT"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
        (31, "SIGSYS"),
        (32, "SIGRTMIN"),
        (64, "SIGRTMIN+32"),
        (0, "signal 0"),
        (65, "signal 65"),
        (-1, "signal -1"),
    ] {
        assert_eq!(signal_name(number), name);
    }
    assert_eq!(signal_number("SIGSYS"), Some(31));
    assert_eq!(signal_number("SIGRTMIN+3"), Some(35));
    assert_eq!(signal_number("SIGNOTHING"), None);
}

#[test]
fn an_output_that_was_not_taken_says_why() {
    let said = |reason| Verdict::OutputMissing { name: FileName::new("a\nb").unwrap(), reason }.to_string();
    assert_eq!(said(OutputProblem::Missing), "the output `a\\x0ab` was not written");
    assert_eq!(said(OutputProblem::Symlink), "the output `a\\x0ab` is a symbolic link, and links are not followed");
    assert_eq!(
        said(OutputProblem::TooLarge { bound: 10 }),
        "the output `a\\x0ab` is larger than the 10 bytes that may be taken (file-size and disk under [limits])"
    );
}
