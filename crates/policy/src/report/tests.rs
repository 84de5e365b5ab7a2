use serde_json::Value;

use super::*;
use crate::limits::LimitKey;

fn sample() -> Report {
    Report {
        schema: ReportVersion::V1,
        id: "l-1f".to_owned(),
        command: vec!["convert".to_owned(), "photo.jpg".to_owned()],
        policy: "imagemagick".to_owned(),
        tier: Tier::Jail,
        mode: Mode::Rootless,
        verdict: Verdict::MemoryLimit { limit: LimitHit::new(LimitKey::Memory, "2GiB") },
        exit_status: 123,
        limits_hit: vec![LimitHit::new(LimitKey::Memory, "2GiB"), LimitHit::new(LimitKey::OpenFiles, "256")],
        usage: Usage { wall_us: 1, peak_memory: Some(2 << 30), ..Usage::default() },
        phases: Phases {
            setup_steps: vec![StepTime { name: "mount".to_owned(), us: 92, ahead: false }],
            ..Phases::default()
        },
        enforcement: vec![Control {
            layer: Layer::CgroupMemory,
            asked: "2GiB".to_owned(),
            holding: Holding::Partly,
            detail: "RLIMIT_DATA of each process".to_owned(),
            why_not: Some("no cgroup is delegated".to_owned()),
            source: "profile imagemagick:30".to_owned(),
        }],
        streams: Streams::default(),
        files: None,
        outputs: vec![OutputReport {
            name: FileName::new("odd\nname").unwrap(),
            to: None,
            size: None,
            sha256: None,
            problem: Some(OutputProblem::TooLarge { bound: 7 }),
        }],
        changes: vec![Change { path: "/data/x".to_owned(), kind: ChangeKind::Deleted }],
        refusals: vec![Refusal {
            call: "socket".to_owned(),
            number: 41,
            args: [2, 1, 0, 0, 0, u64::MAX],
            errno: 1,
            count: 3,
            rule: None,
            suggestion: Some("socket(domain == AF_INET)".to_owned()),
            explanation: Some(Box::new(Explanation {
                arguments: vec![ArgumentText { name: "domain".to_owned(), value: "AF_INET".to_owned() }],
                thread: Some(ThreadText { tid: 7, pid: 2, name: "worker".to_owned() }),
                stack: vec![FrameText {
                    address: 0x7f00_1234,
                    module: Some("/usr/lib/libnss.so.2".to_owned()),
                    offset: Some(0x1234),
                    function: Some("connect_it".to_owned()),
                    function_offset: Some(4),
                    file: None,
                    line: None,
                }],
                stack_note: None,
                library: Some("/usr/lib/libnss.so.2".to_owned()),
                phase: CallPhase::Main,
                source: "thumbs.toml:3".to_owned(),
                groups: vec![GroupText { name: "@network".to_owned(), risk: "it talks".to_owned() }],
                since_kernel: Some("before 2.6".to_owned()),
                since_libc: Some("always".to_owned()),
                allow: Some("[system-calls] allow = [\"socket\"]".to_owned()),
                why_not: None,
            })),
        }],
        refusals_dropped: 0,
        fetched: Vec::new(),
        network: Some(NetworkReport {
            connections: vec![Connection {
                name: Some("a.example".to_owned()),
                address: "192.0.2.1".to_owned(),
                port: 443,
                rule: "a.example:443".to_owned(),
                outcome: ConnectionOutcome::Failed,
                error: Some("Connection refused".to_owned()),
                sent: Some(0),
                received: Some(0),
                exact: true,
                start_us: 10,
                duration_us: Some(20),
            }],
            ..NetworkReport::default()
        }),
        path_refusals: Some(vec![PathRefusal {
            path: "/usr/share/foo".to_owned(),
            call: "openat".to_owned(),
            access: "read".to_owned(),
            error: "ENOENT".to_owned(),
            cause: PathCause::NotShown,
            count: 2,
            allow: Some("[files] read = [\"/usr/share/foo\"]".to_owned()),
            why_not: None,
        }]),
        rollout: RolloutReport::None,
        notes: vec!["a note".to_owned()],
        stdout: b"kept out of the JSON form".to_vec(),
        stderr: Vec::new(),
    }
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let checked_in: Value = serde_json::from_str(include_str!("../../../../schema/report.json")).unwrap();
    let is_same = checked_in == Report::json_schema().to_value();
    assert!(is_same, "run: cargo run -p lazaret-policy --example schema > schema/report.json");
}

#[test]
fn a_report_fits_its_schema() {
    let validator = jsonschema::validator_for(&Report::json_schema().to_value()).unwrap();
    let report = serde_json::to_value(sample()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&Report::json_schema().to_value()).unwrap();
    let report = serde_json::to_value(sample()).unwrap();
    for (pointer, wrong) in [
        ("/schema", "lazaret.report/2"),
        ("/verdict/kind", "oom"),
        ("/verdict/limit/key", "ram"),
        ("/exit_status", "123"),
        ("/enforcement/0/layer", "magic"),
        ("/outputs/0/problem/kind", "eaten"),
    ] {
        let mut report = report.clone();
        *report.pointer_mut(pointer).unwrap() = Value::from(wrong);
        assert!(!validator.is_valid(&report), "{pointer}");
    }
}

#[test]
fn a_report_survives_json_without_its_captured_streams() {
    let json = serde_json::to_string(&sample()).unwrap();
    assert!(!json.contains("kept out"));
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read, Report { stdout: Vec::new(), ..sample() });
}

#[test]
fn a_report_of_this_version_that_lacks_newer_fields_or_has_others_is_read() {
    let mut report = serde_json::to_value(sample()).unwrap();
    report.as_object_mut().unwrap().remove("path_refusals");
    report.pointer_mut("/refusals/0").unwrap().as_object_mut().unwrap().remove("explanation");
    report["a_field_of_tomorrow"] = Value::from(1);

    let read: Report = serde_json::from_value(report).unwrap();

    assert_eq!((read.path_refusals, read.refusals[0].explanation.clone()), (None, None));
}
