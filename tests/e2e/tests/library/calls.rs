//! Single calls.

use crate::{alone, policy, policy_with, processes_with};
use lazaret::{Cancel, Error, Job, Verdict};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

#[test]
fn bytes_go_in_and_come_out() {
    let _alone = alone();
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let job = Job::new("cp").args(["in.bin", "out.bin"]).input_bytes("in.bin", bytes.clone()).output("out.bin");

    let report = job.run(&policy()).expect("it runs");

    assert_eq!(report.verdict, Verdict::Ok);
    assert!(report.output("out.bin").is_some_and(|out| out == bytes));
    assert_eq!(report.output("in.bin"), None);
}

#[test]
fn standard_input_and_both_outputs_are_kept_apart() {
    let _alone = alone();
    let job = Job::new("sh").args(["-c", "read line; echo $line >&2; echo $line | tr a-z A-Z"]).stdin("text\n");

    let report = job.run(&policy()).expect("it runs");

    assert_eq!((report.stdout.as_slice(), report.stderr.as_slice()), (&b"TEXT\n"[..], &b"text\n"[..]));
}

#[test]
fn a_large_standard_input_that_nobody_reads_is_no_obstacle() {
    let _alone = alone();

    let report = Job::new("true").stdin(vec![0; 20 << 20]).run(&policy()).expect("it runs");

    assert_eq!(report.verdict, Verdict::Ok);
}

#[test]
fn what_was_captured_before_the_bound_is_kept() {
    let _alone = alone();

    let report = Job::new("yes").run(&policy_with("output=10KiB")).expect("it runs");

    assert!(matches!(report.verdict, Verdict::OutputLimit { .. }));
    assert_eq!(report.stdout, "y\n".repeat(5120).as_bytes());
    assert!(report.streams.stdout.truncated);
}

#[test]
fn another_thread_cancels_a_running_job() {
    let _alone = alone();
    let token = format!("library-cancel-{}", std::process::id());
    let cancel = Cancel::new().expect("a descriptor is free");
    let job = Job::new("sh").args(["-c", "trap '' TERM; sleep 1000", &token]).cancelled_by(&cancel);
    let canceller = spawn(move || {
        sleep(Duration::from_millis(300));
        cancel.cancel();
    });
    let begun = Instant::now();

    let report = job.run(&policy()).expect("it runs");

    canceller.join().expect("no panic");
    assert_eq!(report.verdict, Verdict::Cancelled);
    assert_eq!(report.exit_status, 123);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(processes_with(&token), 0);
}

#[test]
fn a_cancel_at_any_moment_leaves_nothing() {
    let _alone = alone();
    let policy = policy();
    for step in 0..300_u64 {
        let token = format!("library-moment-{}-{step}", std::process::id());
        let cancel = Cancel::new().expect("a descriptor is free");
        let job = Job::new("sh").args(["-c", "sleep 1000; exit 0", &token]).cancelled_by(&cancel);
        let begun = Instant::now();

        let report = scope(|scope| {
            scope.spawn(|| {
                // Up to 6 ms, in steps that no rhythm of the set-up has.
                sleep(Duration::from_micros(step * 61 % 6000));
                cancel.cancel();
            });
            job.run(&policy)
        });

        assert_eq!(report.expect("it runs").verdict, Verdict::Cancelled, "step {step}");
        assert_eq!(processes_with(&token), 0, "step {step}");
        assert!(begun.elapsed() < Duration::from_secs(5), "step {step} took {:?}", begun.elapsed());
    }
}

#[test]
fn a_job_that_is_cancelled_before_it_is_run_does_not_run() {
    let _alone = alone();
    let cancel = Cancel::new().expect("a descriptor is free");
    cancel.cancel();
    let job = Job::new("sh").args(["-c", "sleep 1; echo ran"]).cancelled_by(&cancel);

    let report = job.run(&policy()).expect("it runs");

    assert_eq!(report.verdict, Verdict::Cancelled);
    assert_eq!(report.stdout, b"");
}

#[test]
fn one_cancel_ends_many_jobs() {
    let _alone = alone();
    let cancel = Cancel::new().expect("a descriptor is free");
    let policy = policy();
    let job = Job::new("sleep").args(["1000"]).cancelled_by(&cancel);

    let verdicts: Vec<Verdict> = scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| job.run(&policy))).collect();
        sleep(Duration::from_millis(500));
        cancel.cancel();
        runs.into_iter().map(|run| run.join().expect("no panic").expect("it runs").verdict.clone()).collect()
    });

    assert_eq!(verdicts, vec![Verdict::Cancelled; 4]);
}

#[test]
fn mistakes_are_errors_with_hints_and_never_panics() {
    let _alone = alone();
    let policy = policy();
    let jobs = [
        Job::new(""),
        Job::new("true\0"),
        Job::new("true").arg("a\0b"),
        Job::new("true").env("", "x"),
        Job::new("true").env("A=B", "x"),
        Job::new("true").env("A", "x\0"),
        Job::new("true").input("/"),
        Job::new("true").input("/no/such/file"),
        Job::new("true").input("/dev/zero"),
        Job::new("true").input("/usr"),
        Job::new("true").input_as("/usr/bin/true", "a/b"),
        Job::new("true").input_bytes("", []),
        Job::new("true").input_bytes("..", []),
        Job::new("true").input_bytes("a", []).input_bytes("a", []),
        Job::new("true").input_bytes("a", vec![0; 600 << 20]),
        Job::new("true").output("a/b"),
        Job::new("true").output("x".repeat(256)),
        Job::new("true").output("a").output("a"),
        Job::new("true").output_to("a", "/no/such/directory/a"),
        Job::new("true").output_to("a", "/"),
        Job::new("true").output_to("a", ""),
    ];
    for (number, job) in jobs.iter().enumerate() {
        let error: Error = job.run(&policy).err().unwrap_or_else(|| panic!("job {number} must not run"));

        assert!(!error.to_string().is_empty());
        assert!(error.hint().is_some(), "no hint: {number}: {error}");
    }
}

#[test]
fn many_arguments_variables_and_files_fit() {
    let _alone = alone();
    let arguments = (0..2000).map(|number| format!("argument-{number}"));
    let mut job = Job::new("sh").args(["-c", "echo $# $V499; ls | wc -l", "sh"]).args(arguments);
    for number in 0..500 {
        job = job.env(format!("V{number}"), "value");
    }
    for number in 0..20 {
        job = job.input_bytes(format!("file-{number}"), *b"x");
    }

    let report = job.run(&policy()).expect("it runs");

    assert_eq!(report.stdout, b"2000 value\n20\n");
}
