//! Jobs on a Tokio runtime.

use crate::{alone, policy, policy_with, processes_with};
use lazaret::{Job, Verdict};
use std::future::Future;
use std::time::{Duration, Instant};

/// Runs `future` on one thread.
fn on_one_thread<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(future)
}

#[test]
fn a_ticker_keeps_ticking_on_the_same_thread() {
    let _alone = alone();
    let (policy, job) = (policy(), Job::new("sleep").args(["1"]));

    let (report, ticks, longest) = on_one_thread(async {
        let run = job.run_async(&policy);
        tokio::pin!(run);
        let (mut ticks, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
        loop {
            tokio::select! {
                report = &mut run => break (report, ticks, longest),
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    ticks += 1;
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
            }
        }
    });

    assert_eq!(report.expect("it runs").verdict, Verdict::Ok);
    assert!(ticks > 20, "{ticks} ticks in a second");
    assert!(longest < Duration::from_millis(500), "it stood still for {longest:?}");
}

#[test]
fn many_jobs_run_at_once_on_one_thread() {
    let _alone = alone();
    let policy = policy();

    let outputs: Vec<Vec<u8>> = on_one_thread(async {
        let mut runs = tokio::task::JoinSet::new();
        for number in 0..16 {
            let policy = policy.clone();
            runs.spawn(async move {
                let job = Job::new("sh").args(["-c", &format!("sleep 0.3; echo {number}")]);
                job.run_async(&policy).await.expect("it runs").stdout.clone()
            });
        }
        let mut outputs = runs.join_all().await;
        outputs.sort();
        outputs
    });

    let mut expected: Vec<Vec<u8>> = (0..16).map(|number| format!("{number}\n").into_bytes()).collect();
    expected.sort();
    assert_eq!(outputs, expected);
}

#[test]
fn dropping_the_future_ends_the_job() {
    let _alone = alone();
    let token = format!("library-drop-{}", std::process::id());
    let (policy, job) = (policy(), Job::new("sh").args(["-c", "trap '' TERM; sleep 1000", &token]));

    let running = on_one_thread(async {
        let dropped = tokio::time::timeout(Duration::from_millis(700), job.run_async(&policy)).await;
        assert!(dropped.is_err(), "the job does not end by itself");
        processes_with(&token)
    });
    let begun = Instant::now();
    while processes_with(&token) > 0 && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }

    assert!(running <= 2);
    assert_eq!(processes_with(&token), 0);
}

#[test]
fn a_future_that_is_never_polled_runs_nothing() {
    let _alone = alone();
    let token = format!("library-unpolled-{}", std::process::id());
    let (policy, job) = (policy(), Job::new("sleep").args(["1000", &token]));

    on_one_thread(async {
        drop(job.run_async(&policy));
        tokio::time::sleep(Duration::from_millis(200)).await;
    });

    assert_eq!(processes_with(&token), 0);
}

#[test]
fn a_runtime_that_shuts_down_ends_its_jobs() {
    let _alone = alone();
    let token = format!("library-shutdown-{}", std::process::id());
    let (policy, job) = (policy_with("wall=20s"), Job::new("sh").args(["-c", "sleep 1000", &token]));
    let begun = Instant::now();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("a runtime");
    runtime.spawn(async move { drop(job.run_async(&policy).await) });
    std::thread::sleep(Duration::from_millis(500));
    drop(runtime);

    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    assert_eq!(processes_with(&token), 0);
}

#[test]
fn an_asynchronous_job_reports_its_mistakes() {
    let _alone = alone();
    let policy = policy();

    let error = on_one_thread(async { Job::new("").run_async(&policy).await.expect_err("no command") });

    assert_eq!(error.to_string(), "the job is not valid: the command is empty");
}
