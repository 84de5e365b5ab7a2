//! Calls from a large program with many threads.

use crate::{alone, policy, policy_with};
use lazaret::{Job, Launcher, Sink, Verdict};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a /proc").count()
}

/// A number of kibibytes out of /proc/self/status.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a known key");
    line.trim_start_matches(':').split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Runs `during` while 64 threads compute and allocate, and a gibibyte is held.
fn among_threads<T>(during: impl FnOnce() -> T) -> T {
    let held = vec![1_u8; 1 << 30];
    let over = AtomicBool::new(false);
    let result = scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let allocated = std::hint::black_box(vec![0_u8; 10_000]);
                    drop(allocated);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let result = during();
        over.store(true, Ordering::Relaxed);
        result
    });
    assert!(std::hint::black_box(&held).iter().step_by(4096).all(|byte| *byte == 1));
    result
}

#[test]
fn a_program_with_64_threads_and_a_gibibyte_runs_jobs() {
    let _alone = alone();
    let policy = policy();

    let (held, outputs) = among_threads(|| {
        let run = |number: u32| {
            let report = Job::new("echo").arg(number.to_string()).run(&policy).expect("it runs");
            assert_eq!(report.verdict, Verdict::Ok, "{report:#?}");
            report.stdout.clone()
        };
        let outputs: Vec<Vec<u8>> = (0..20).map(run).collect();
        (status("VmRSS"), outputs)
    });

    assert!(held > 1_000_000, "{held} KiB were resident");
    let expected: Vec<Vec<u8>> = (0..20).map(|number| format!("{number}\n").into_bytes()).collect();
    assert_eq!(outputs, expected);
}

#[test]
fn the_callers_size_makes_no_difference_to_the_jobs_memory() {
    let _alone = alone();
    let policy = policy_with("memory=16MiB");

    let report = among_threads(|| Job::new("true").run(&policy).expect("it runs"));

    assert_eq!(report.verdict, Verdict::Ok);
}

#[test]
fn eight_threads_run_jobs_at_once() {
    let _alone = alone();
    let policy = policy();

    scope(|scope| {
        for thread in 0..8 {
            let policy = &policy;
            scope.spawn(move || {
                for turn in 0..25 {
                    let text = format!("{thread}-{turn}");

                    let report = Job::new("cat").stdin(text.clone()).run(policy).expect("it runs");

                    assert_eq!(report.verdict, Verdict::Ok);
                    assert_eq!(report.stdout, text.as_bytes());
                }
            });
        }
    });
}

#[test]
fn two_hundred_runs_leak_no_descriptor_no_thread_and_no_memory() {
    let _alone = alone();
    let policy = policy();
    let job = Job::new("sh").args(["-c", "cat > out; exec sleep 0"]).stdin("x").output("out").input_bytes("in", *b"y");
    let killed = Job::new("sleep").args(["60"]);
    let short = policy_with("wall=20ms");
    let (gone, run) = (Job::new("no-such-command"), |job: &Job, policy| drop(job.run(policy).expect("it runs")));
    for _ in 0..20 {
        run(&job, &policy);
    }
    let before = (settled_descriptors(), status("Threads"), status("VmRSS"));

    for _ in 0..60 {
        run(&job, &policy);
        run(&killed, &short);
        run(&gone, &policy);
        drop(Job::new("true").input("/no/such/file").run(&policy).expect_err("there is no such file"));
    }

    let after = (settled_descriptors(), status("Threads"), status("VmRSS"));
    // Fewer, when no jail is prepared after the last run, which came to nothing.
    assert!(after.0 <= before.0, "descriptors: {after:?}, before {before:?}");
    assert!(after.1 <= before.1, "threads: {after:?}, before {before:?}");
    assert!(after.2 < before.2 + 20_000, "KiB resident: {after:?}, before {before:?}");
    assert_eq!(children(|state| state == "Z"), 0, "no zombie is left");
    assert!(children(|_| true) <= 1, "only the jail that waits for the next job is left");
}

/// Descriptors when the launcher's own thread has done what it does behind.
fn settled_descriptors() -> usize {
    let begun = Instant::now();
    let (mut lowest, mut since) = (descriptors(), Instant::now());
    while since.elapsed() < Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
        let now = descriptors();
        if now != lowest {
            (lowest, since) = (now, Instant::now());
        }
    }
    lowest
}

/// Children of this process in such states, of which Z is that of a zombie.
fn children(counts: impl Fn(&str) -> bool) -> usize {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    // PID (NAME) STATE PARENT …: the name may hold anything but its last parenthesis.
    let is_one = |stat: &String| {
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.next().is_some_and(&counts) && fields.next() == Some(&own)
    };
    stats.filter(is_one).count()
}

#[test]
fn a_thread_that_ends_does_not_end_the_jobs_of_others() {
    let _alone = alone();
    let policy = policy();

    let report = scope(|scope| {
        let long = scope.spawn(|| Job::new("sleep").args(["1"]).run(&policy).expect("it runs"));
        for _ in 0..8 {
            let short = scope.spawn(|| Job::new("true").run(&policy).expect("it runs").verdict.clone());
            assert_eq!(short.join().expect("no panic"), Verdict::Ok);
        }
        long.join().expect("no panic")
    });

    assert_eq!(report.verdict, Verdict::Ok);
}

#[test]
fn two_launchers_in_one_program_run_jobs_at_once() {
    let _alone = alone();
    let policy = policy();
    let launchers = [Launcher::new(), Launcher::new()].map(|made| made.expect("a launcher"));

    scope(|scope| {
        for launcher in &launchers {
            let policy = &policy;
            scope.spawn(move || {
                for _ in 0..10 {
                    let job = Job::new("sleep").args(["0.05"]);

                    let report = job.run_with(launcher, policy, &Sink::Capture).expect("it runs");

                    assert_eq!(report.verdict, Verdict::Ok);
                }
            });
        }
    });
}

#[test]
fn the_callers_descriptors_do_not_reach_the_job() {
    let _alone = alone();
    let held: Vec<std::fs::File> = (0..20).map(|_| std::fs::File::open("/etc/passwd").expect("it is there")).collect();

    let report = Job::new("sh").args(["-c", "ls -l /proc/self/fd | grep -c passwd"]).run(&policy()).expect("it runs");

    assert_eq!(report.stdout, b"0\n");
    drop(held);
}
