//! Callers that are threaded, reap what is not theirs, or are bounded themselves; and what is left after many calls.

use crate::{alone, both_ways, called, compute, spawner};
use lazaret::{Ending, SandboxError, Verdict};
use lazaret_e2e::Runner;
use lazaret_filter::{Action, Arch, Backend, Filter, Rule};
use lazaret_sys::wait::Ended;
use lazaret_sys::{confine, fork};
use rustix::process::{WaitOptions, wait};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

/// waitpid(2): children of every kind.
const WALL: WaitOptions = WaitOptions::from_bits_retain(0x4000_0000);

#[expect(clippy::exit, reason = "one of the ways to misbehave")]
fn misbehave(number: u32) -> u32 {
    match number % 4 {
        0 => std::process::abort(),
        1 => panic!("one"),
        2 => std::process::exit(3),
        _ => number,
    }
}

fn is_as_it_should(number: u32, ending: &Ending) -> bool {
    match number % 4 {
        0 => ending.verdict() == Some(&Verdict::signalled(6)),
        1 => matches!(ending, Ending::Panicked { .. }),
        2 => *ending == Ending::NoAnswer { code: 3 },
        _ => ending.is_returned(),
    }
}

/// What this process has: descriptors, children, mappings.
fn holdings() -> BTreeMap<&'static str, usize> {
    let count = |path: &str| std::fs::read_dir(path).expect("a /proc").count();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a /proc");
    let shared = maps.lines().filter(|line| line.contains("lazaret-call")).count();
    let tasks = std::fs::read_dir("/proc/self/task").expect("a /proc").flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children = children.map(|children| children.split_whitespace().count()).sum();
    let of_spawner = std::fs::read_dir(format!("/proc/{}/fd", spawner().id())).map_or(0, Iterator::count);
    let zombies = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", spawner().id())).unwrap_or_default();
    BTreeMap::from([
        ("descriptors", count("/proc/self/fd")),
        ("children", children),
        ("mappings of calls", shared),
        ("descriptors of the spawner", of_spawner),
        ("children of the spawner", zombies.split_whitespace().count()),
    ])
}

/// The same when the processes for the next calls are there, and those of calls gone.
fn settled() -> BTreeMap<&'static str, usize> {
    let mut last = (holdings(), 0);
    while last.1 < 20 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let now = holdings();
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
    }
    last.0
}

#[test]
fn ten_thousand_calls_leave_nothing() {
    let _alone = alone();
    let [by_fork, by_spawner] = both_ways(&compute(), misbehave);
    for number in 3..7 {
        by_fork.call(&number).expect("the call is made");
        by_spawner.call(&number).expect("the call is made");
    }
    let before = settled();

    // Most return; some end otherwise.
    for number in 0..5000 {
        let number = if number % 50 == 0 { number / 50 } else { 3 };
        for function in [&by_fork, &by_spawner] {
            let called = function.call(&number).expect("the call is made");
            assert!(is_as_it_should(number, &called.ending), "{number}: {called:?}");
        }
    }

    // Of the two processes that wait, the caller has taken the descriptors already or not: four each at most.
    // And so many wait as the spawner has found to be of use: a few more or fewer.
    let (mut before, mut after) = (before, settled());
    for (what, few) in [("descriptors", 32), ("children of the spawner", 8), ("descriptors of the spawner", 8)] {
        let counts = [before.remove(what), after.remove(what)].map(|count| count.expect("it is counted"));
        assert!(counts[0].abs_diff(counts[1]) <= few, "{what}: {counts:?}");
    }
    assert_eq!(after, before);
}

#[test]
fn eight_threads_call_at_once_while_others_allocate() {
    let _alone = alone();
    let functions = both_ways(&compute(), |text: String| text.to_uppercase());
    let over = AtomicBool::new(false);

    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(std::hint::black_box(vec![0_u8; 5000]));
                }
            });
        }
        let callers: Vec<_> = (0..8)
            .map(|thread| {
                let function = functions[thread % 2].clone();
                scope.spawn(move || {
                    for number in 0..40 {
                        let text = format!("thread {thread} number {number}");
                        let called = function.call(&text).expect("the call is made");
                        assert_eq!(called.into_value().expect("it returned"), text.to_uppercase());
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("no panic");
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_thread_that_reaps_every_child_does_no_harm() {
    let _alone = alone();
    let functions = both_ways(&compute(), misbehave);
    let over = AtomicBool::new(false);

    let (reaped, ends) = scope(|scope| {
        let reaper = scope.spawn(|| {
            let mut reaped = 0;
            while !over.load(Ordering::Relaxed) {
                match wait(WALL | WaitOptions::NOHANG) {
                    Ok(Some(_)) => reaped += 1,
                    Ok(None) | Err(_) => sleep(Duration::from_micros(20)),
                }
            }
            reaped
        });
        let numbers = (0..200).flat_map(|number| functions.iter().map(move |function| (number, function)));
        let ends: Vec<_> =
            numbers.map(|(number, function)| (number, function.call(&number).expect("the call is made"))).collect();
        over.store(true, Ordering::Relaxed);
        (reaper.join().expect("no panic"), ends)
    });

    assert!(reaped > 0, "it took what is not its own");
    for (number, called) in ends {
        // How a process that somebody else reaped ended can be asked from Linux 6.15 on.
        let told = is_as_it_should(number, &called.ending) || !can_ask_late();
        assert!(told, "{number}: {called:?}");
    }
}

fn can_ask_late() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a /proc");
    let mut numbers = release.split(['.', '-']).filter_map(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// Runs `body` in a fork of this process, which has no other threads; returns whether it returned true.
fn apart(body: impl FnOnce() -> bool) -> bool {
    let pid = fork::fork(|| fork::exit(i32::from(!body()))).expect("a process can be made");
    lazaret_sys::wait::reap(pid).expect("an own child") == Some(Ended::Exited(0))
}

fn works_both_ways() -> bool {
    let spawner = lazaret::Spawner::start().expect("a spawner");
    let by_spawner = spawner.sandboxed_typed(&compute(), misbehave).expect("it can be sandboxed");
    let by_fork = lazaret::sandboxed_typed(&compute(), misbehave).expect("it can be sandboxed");
    (0..8).all(|number| {
        [&by_spawner, &by_fork].iter().all(|function| {
            let called = function.call(&number).expect("the call is made");
            is_as_it_should(number, &called.ending)
        })
    })
}

#[test]
fn a_caller_that_ignores_its_childrens_ends_gets_the_right_endings() {
    let _alone = alone();
    let ignoring = || {
        // SAFETY: the action is to ignore the signal.
        #[expect(unsafe_code, reason = "as other programs do it")]
        let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        before != libc::SIG_ERR && works_both_ways()
    };

    assert!(apart(ignoring) || !can_ask_late());
}

/// What the default profiles of container engines refuse, as far as it touches processes, mounts and namespaces.
fn container_filter() -> Vec<u8> {
    const EPERM: u16 = 1;
    const ENOSYS: u16 = 38;
    let mut filter = Filter::new(Action::Allow);
    for call in
        ["unshare", "mount", "umount2", "setns", "pidfd_getfd", "open_tree", "move_mount", "fsopen", "pivot_root"]
    {
        filter.push(Rule::parse(call).expect("a call"), Action::Errno(EPERM));
    }
    for call in ["ptrace", "process_vm_readv", "process_vm_writev", "bpf", "keyctl", "add_key", "perf_event_open"] {
        filter.push(Rule::parse(call).expect("a call"), Action::Errno(EPERM));
    }
    filter.push(Rule::parse("clone3").expect("a call"), Action::Errno(ENOSYS));
    let arch = Arch::native().expect("a known processor");
    filter.compile(arch, Backend::Alone).expect("a small filter").as_bytes()
}

#[test]
fn functions_work_under_the_filter_of_a_container() {
    let _alone = alone();
    let program = container_filter();

    assert!(apart(|| {
        rustix::thread::set_no_new_privs(true).expect("it can be set");
        confine::filter(&program, false).expect("it can be put on");
        works_both_ways()
    }));
}

#[test]
fn where_refused_calls_are_reported_to_somebody_else_the_policy_has_to_agree() {
    let _alone = alone();
    let permit_all = Filter::new(Action::Allow).compile(Arch::native().expect("a known processor"), Backend::Alone);
    let program = permit_all.expect("a small filter").as_bytes();

    assert!(apart(|| {
        rustix::thread::set_no_new_privs(true).expect("it can be set");
        let listener = confine::filter(&program, true).expect("it can be put on");
        let two = |_: &[u8]| Ok::<_, ()>(vec![2]);
        let error = lazaret::sandboxed(&compute(), two).err();
        let degraded = lazaret::change(compute()).degrade("notifier").expect("a layer that can be").build();
        let two = lazaret::sandboxed(&degraded, two).expect("it can be sandboxed");
        let called = two.call(b"").expect("the call is made");
        drop(listener);
        matches!(error, Some(SandboxError::Missing { layer: lazaret::Layer::Notifier, .. }))
            && two.missing() == [lazaret::Layer::Notifier]
            && called.value().is_ok()
    }));
}

#[test]
fn an_ordinary_user_has_all_of_this_too() {
    let _alone = alone();
    let Some(runner) = Runner::user() else { return };
    if std::env::var_os("LAZARET_TEST_AS_USER").is_some() {
        return;
    }
    let program = runner.path("functions");
    std::fs::copy(std::env::current_exe().expect("its path is known"), &program).expect("there is room");
    let skipped = ["an_ordinary_user", "ten_thousand", "sixty_four_mebibytes"];
    let mut command = runner.command(&program);
    command.args(["--test-threads", "1"]).args(skipped.iter().flat_map(|name| ["--skip", name]));

    let ran = lazaret_e2e::finish(command.env("LAZARET_TEST_AS_USER", "1"), b"", lazaret_e2e::PATIENCE);

    assert_eq!(ran.status, Some(0), "{ran}");
    assert!(ran.stdout().contains(" 0 failed"), "{ran}");
}

#[test]
fn descriptors_of_the_user_that_are_on_their_way_elsewhere_do_not_matter() {
    let _alone = alone();
    let (one, _other) = std::os::unix::net::UnixStream::pair().expect("two descriptors");
    for _ in 0..20 {
        let on_their_way = [one.as_fd(); 10];
        lazaret_sys::descriptor::send(one.as_fd(), b"w", &on_their_way).expect("there is room");
    }

    for called in called(&compute(), |number: u32| number + 1, &1) {
        assert_eq!(called.into_value().expect("it returned"), 2);
    }
}

/// Processor time of this thread.
fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it is not negative")
}

#[test]
fn a_caller_sleeps_while_the_process_of_a_call_is_taken_down() {
    let _alone = alone();
    let policy = lazaret::change(compute()).limit("memory=2GiB").expect("a good limit").build();
    // A process with so much takes a while to end.
    let fill = |size: usize| std::hint::black_box(vec![1_u8; size]).len();
    let [_, by_spawner] = both_ways(&policy, fill);
    let begun = own_time();

    let called = by_spawner.call(&(512 << 20)).expect("the call is made");

    assert_eq!(called.into_value().expect("it returned"), 512 << 20);
    assert!(own_time() - begun < Duration::from_millis(5), "{:?}", own_time() - begun);
}
