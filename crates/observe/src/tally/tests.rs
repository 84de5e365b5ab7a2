use super::*;
use lazaret_policy::{LimitHit, LimitKey, PathNeed, Refusal, Trial};

fn trial() -> Trial {
    Trial {
        policy: "new.toml".to_owned(),
        old: "old.toml".to_owned(),
        key_hash: "00000000000000ff".to_owned(),
        share: "5%".to_owned(),
        share_from: "new.toml:3".to_owned(),
    }
}

fn shadow(call: Option<&str>) -> Shadow {
    let refusal = call.map(|call| Refusal {
        call: call.to_owned(),
        number: 1,
        args: [0; 6],
        errno: 1,
        count: 3,
        rule: None,
        suggestion: Some("[system-calls] allow = [\"it\"]".to_owned()),
        explanation: None,
    });
    Shadow {
        trial: trial(),
        complete: true,
        unseen: Vec::new(),
        would_refuse: refusal.into_iter().collect(),
        would_refuse_dropped: 0,
        would_refuse_paths: Vec::new(),
        would_refuse_paths_dropped: 0,
        would_hit: Vec::new(),
        would_differ: Vec::new(),
    }
}

#[test]
fn the_same_refusal_of_several_jobs_is_counted_together() {
    let mut sum = Sum::default();
    sum.add(&shadow(Some("ptrace")));
    sum.add(&shadow(Some("ptrace")));
    sum.add(&shadow(Some("sync")));
    sum.add(&shadow(None));

    let calls: Vec<_> = sum.calls.iter().map(|one| (one.what.as_str(), one.jobs, one.count)).collect();
    assert_eq!(calls, [("ptrace", 2, 6), ("sync", 1, 3)]);
    assert_eq!((sum.shadow, sum.shadow_clean), (4, 1));
}

#[test]
fn paths_and_limits_are_counted() {
    let mut one = shadow(None);
    one.would_hit.push(LimitHit::new(LimitKey::Memory, "1GiB"));
    one.would_refuse_paths.push(PathNeed {
        path: "/opt/x".to_owned(),
        access: PathAccess::Write,
        call: "openat".to_owned(),
        why: "it is not shown".to_owned(),
        count: 2,
        suggestion: None,
    });
    one.complete = false;
    let mut tally = Tally::default();
    let sum = tally.policies.entry("new.toml".to_owned()).or_default();
    sum.add(&one);
    sum.add(&one);

    let text = summary(&tally);

    assert!(text.contains("2 were not seen whole"), "{text}");
    assert!(text.contains("write /opt/x: in 2 jobs, 4 times"), "{text}");
    assert!(text.contains("memory of 1GiB: in 2 jobs, 2 times"), "{text}");
}

#[test]
fn what_is_no_report_is_an_error_that_names_it() {
    let directory = std::env::temp_dir().join(format!("lazaret-tally-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("it can be made");
    let empty = Tally::read(std::slice::from_ref(&directory)).expect_err("there is none").to_string();
    let file = directory.join("half.json");
    std::fs::write(&file, "{\"schema\": \"lazaret.report/1\", \"id\"").expect("it can be written");
    let half = Tally::read(std::slice::from_ref(&directory)).expect_err("it is cut").to_string();
    std::fs::write(&file, "{\"schema\": \"lazaret.report/2\"}").expect("it can be written");
    let newer = Tally::read(&[file]).expect_err("it is newer").to_string();
    std::fs::remove_dir_all(&directory).expect("it can be removed");

    assert!(empty.contains("there is no report in"), "{empty}");
    assert!(half.contains("half.json` is no report"), "{half}");
    assert!(newer.contains("half.json` is no report"), "{newer}");
}
