//! A caller that takes the ends of children that are not its own.

use crate::{alone, policy_with, processes_with};
use lazaret::{Job, Verdict};
use rustix::process::{WaitOptions, wait};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

/// waitpid(2): children of every kind.
const WALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);

/// Reaps every child of this process until told to end. Returns how many there were.
fn reap_all(ended: &AtomicBool) -> usize {
    let mut reaped = 0;
    while !ended.load(Ordering::Relaxed) {
        match wait(WALL) {
            Ok(_) => reaped += 1,
            // There is no child at the moment.
            Err(_) => sleep(Duration::from_micros(100)),
        }
    }
    reaped
}

#[test]
fn a_thread_that_reaps_every_child_does_no_harm() {
    let _alone = alone();
    let ended = AtomicBool::new(false);
    let token = format!("library-reaper-{}", std::process::id());
    let run = |script: &str, limit: &str| {
        let job = Job::new("sh").args(["-c", script, &token]);
        let report = job.run(&policy_with(limit)).expect("it runs");
        (report.verdict.clone(), report.notes.clone())
    };

    let (reaped, ends) = scope(|scope| {
        let reaper = scope.spawn(|| reap_all(&ended));
        let mut ends = Vec::new();
        for code in 1..=20 {
            ends.push((run(&format!("exit {code}"), "wall=20s"), Verdict::exited(code)));
        }
        ends.push((run("kill -SEGV $$", "wall=20s"), Verdict::signalled(11)));
        let (stopped, notes) = run("trap '' TERM; sleep 100 & sleep 100", "wall=200ms");
        assert!(matches!(stopped, Verdict::Timeout { .. }), "{stopped:?}");
        ends.push(((Verdict::Ok, notes), Verdict::Ok));
        ended.store(true, Ordering::Relaxed);
        (reaper.join().expect("no panic"), ends)
    });

    for ((verdict, notes), expected) in ends {
        assert_eq!((verdict, notes), (expected, Vec::<String>::new()));
    }
    assert!(reaped > 0, "the thread was there to take what is not its own");
    assert_eq!(processes_with(&token), 0);
    assert_eq!(groups_of_this_process(), Vec::<String>::new());
}

/// Job groups that this process made and left, in any hierarchy, down to six levels.
fn groups_of_this_process() -> Vec<String> {
    let prefix = format!("lazaret-{}-", std::process::id());
    let mut open = vec![(std::path::PathBuf::from("/sys/fs/cgroup"), 0)];
    let mut found = Vec::new();
    while let Some((directory, depth)) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                found.push(name);
            } else if depth < 6 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found
}
