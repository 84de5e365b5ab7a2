//! A spawner's life and death.

use crate::{alone, compute, soon, with_limit};
use lazaret::{CallError, Spawner};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn pid(spawner: &Spawner) -> Pid {
    i32::try_from(spawner.id()).ok().and_then(Pid::from_raw).expect("an id")
}

/// Whether the process is gone, or a zombie that others are to reap.
fn is_dead(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_spawner_that_was_killed_is_an_error() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let two = spawner.sandboxed(&compute(), |_: &[u8]| Ok::<_, ()>(vec![2])).expect("it can be sandboxed");
    kill_process(pid(&spawner), Signal::KILL).expect("it lives");

    let outcome = two.call(b"");

    assert!(matches!(outcome, Err(CallError::SpawnerDied)), "{outcome:?}");
}

#[test]
fn a_spawner_that_is_killed_during_a_call_takes_the_call_with_it() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let killed = pid(&spawner);
    let sleep = |_: &[u8]| -> Result<Vec<u8>, ()> {
        std::thread::sleep(Duration::from_secs(60));
        Ok(Vec::new())
    };
    let sleep = spawner.sandboxed(&with_limit("wall=50s"), sleep).expect("it can be sandboxed");
    let begun = Instant::now();

    let outcome = std::thread::scope(|scope| {
        let call = scope.spawn(|| sleep.call(b""));
        let children = format!("/proc/{0}/task/{0}/children", killed.as_raw_nonzero());
        assert!(soon(|| std::fs::read_to_string(&children).is_ok_and(|children| !children.is_empty())));
        let child = std::fs::read_to_string(&children).expect("it lives");
        kill_process(killed, Signal::KILL).expect("it lives");
        (call.join().expect("no panic"), child)
    });

    assert!(matches!(outcome.0, Err(CallError::SpawnerDied)), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let children = outcome.1.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?));
    let children: Vec<_> = children.collect();
    assert!(!children.is_empty() && soon(|| children.iter().all(|child| is_dead(*child))), "{}", outcome.1);
}

#[test]
fn a_spawner_ends_when_nobody_can_use_it_any_more() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let ended = pid(&spawner);
    let two = spawner.sandboxed(&compute(), |_: &[u8]| Ok::<_, ()>(vec![2])).expect("it can be sandboxed");
    drop(spawner);
    assert!(two.call(b"").is_ok(), "a function keeps it");

    drop(two);

    assert!(test_kill_process(ended).is_err(), "it is gone, and no zombie");
}

fn children(spawner: &Spawner) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", spawner.id())).expect("it lives");
    children.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

#[test]
fn processes_for_the_next_calls_wait_are_used_once_and_go_when_nobody_calls() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let own_id = spawner.sandboxed_typed(&compute(), |_: ()| std::process::id()).expect("it can be sandboxed");
    assert!(soon(|| children(&spawner).len() == 2));
    let waiting = children(&spawner);

    let used: Vec<u32> =
        (0..20).map(|_| own_id.call(&()).expect("the call is made").into_value().expect("an id")).collect();
    std::thread::sleep(Duration::from_secs(5));
    let wait_still = children(&spawner).len();
    std::thread::sleep(Duration::from_secs(3));
    let went = soon(|| children(&spawner).is_empty());
    let later = own_id.call(&()).expect("the call is made").into_value().expect("an id");
    let wait_again = soon(|| children(&spawner).len() == 2);
    drop(own_id);

    assert_eq!(used[..2], waiting, "they were made ahead");
    let once: std::collections::BTreeSet<_> = used.iter().chain([&later]).collect();
    assert_eq!(once.len(), 21, "{used:?} {later}");
    assert_eq!((wait_still, went, wait_again), (2, true, true));
    assert!(soon(|| children(&spawner).is_empty()), "nobody can call it any more");
}

#[test]
fn of_many_functions_no_more_than_eight_processes_wait_and_all_can_be_called() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let next = |number: u32| number + 1;
    let made = || spawner.sandboxed_typed(&compute(), next).expect("it can be sandboxed");
    let functions: Vec<_> = std::iter::repeat_with(made).take(12).collect();

    let all_wait = soon(|| children(&spawner).len() == 8);
    let answers: Vec<u32> = functions
        .iter()
        .map(|next| next.call(&1).expect("the call is made").into_value().expect("it returned"))
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let wait_still = children(&spawner).len();
    drop(functions);

    assert_eq!((all_wait, answers, wait_still), (true, vec![2; 12], 8));
    assert!(soon(|| children(&spawner).is_empty()), "nobody can call them any more");
}

#[test]
fn a_spawner_holds_no_descriptor_of_its_callers() {
    let _alone = alone();
    let file = tempfile::NamedTempFile::new().expect("a file can be made");
    let spawner = Spawner::start().expect("a spawner");

    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", spawner.id())).expect("it lives").flatten();
    let targets: Vec<_> = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();

    assert!(targets.len() > 4, "it has its own: {targets:?}");
    assert!(targets.len() < 10 && !targets.iter().any(|target| target == file.path()), "{targets:?}");
}

/// Run by the next test, in a process that is killed.
#[test]
#[ignore = "a part of another test"]
fn start_a_spawner_and_wait() {
    let spawner = Spawner::start().expect("a spawner");
    let sleep = |_: &[u8]| -> Result<Vec<u8>, ()> {
        std::thread::sleep(Duration::from_secs(60));
        Ok(Vec::new())
    };
    let by_spawner = spawner.sandboxed(&with_limit("wall=50s"), sleep).expect("it can be sandboxed");
    let by_fork = lazaret::sandboxed(&with_limit("wall=50s"), sleep).expect("it can be sandboxed");
    std::thread::scope(|scope| {
        scope.spawn(|| by_spawner.call(b""));
        scope.spawn(|| by_fork.call(b""));
        std::thread::sleep(Duration::from_millis(700));
        let mut stderr = std::io::stderr();
        let of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let tasks = std::fs::read_dir("/proc/self/task").expect("a /proc").flatten();
        let own: String = tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .collect::<Vec<_>>()
            .join(" ");
        std::io::Write::write_all(&mut stderr, format!("pids {own} {}\n", of(spawner.id())).as_bytes())
            .expect("a pipe");
        std::thread::sleep(Duration::from_secs(60));
    });
}

#[test]
fn a_caller_that_is_killed_takes_its_spawner_and_its_calls_with_it() {
    let _alone = alone();
    let mut caller = Command::new(std::env::current_exe().expect("its path is known"))
        .args(["--ignored", "--exact", "--nocapture", "spawners::start_a_spawner_and_wait"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let lines = BufReader::new(caller.stderr.take().expect("a pipe")).lines();
    let told = lines.map_while(Result::ok).find(|line| line.starts_with("pids ")).expect("it told");
    let pids: Vec<Pid> = told.split_whitespace().skip(1).filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();

    caller.kill().expect("it lives");
    caller.wait().expect("an own child");

    assert!(pids.len() >= 3, "a spawner, its call and those for the next, and one without it: {told}");
    assert!(soon(|| pids.iter().all(|pid| is_dead(*pid))));
}
