//! What others do to a spawner, its processes and its caller meanwhile: forks, signals, limits, descriptors that are closed.

use crate::{alone, compute, soon, with_calls, with_limit};
use lazaret::{CallError, Ending, Function, Policy, Spawner, Verdict};
use lazaret_sys::wait::Ended;
use lazaret_sys::{fork, wait};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

fn pid(number: i32) -> Pid {
    Pid::from_raw(number).expect("an id")
}

fn waiting(spawner: &Spawner) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", spawner.id())).expect("it lives");
    children.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

fn two(spawner: &Spawner, policy: &Policy) -> Function<()> {
    spawner.sandboxed(policy, |_: &[u8]| Ok(vec![2])).expect("it can be sandboxed")
}

/// Runs `body` in a fork of this process, with a copy of all that it has; returns whether it returned true.
fn apart(body: impl FnOnce() -> bool) -> bool {
    let pid = fork::fork(|| fork::exit(i32::from(!body()))).expect("a process can be made");
    wait::reap(pid).expect("an own child") == Some(Ended::Exited(0))
}

/// A process that sleeps, under the number `number`.
fn sleeper(number: i32) -> rustix::io::Result<Pid> {
    let numbers = [number];
    // Source: clone3(2), struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
    // set_tid_size.
    let arguments: [u64; 10] = [0, 0, 0, 0, 17, 0, 0, 0, numbers.as_ptr() as u64, 1];
    // SAFETY: live arguments of the size that is told; the child is a copy, and only sleeps and ends.
    #[expect(unsafe_code, reason = "no wrapper chooses a number")]
    let made = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) };
    if made == 0 {
        std::thread::sleep(Duration::from_secs(20));
        fork::exit(0);
    }
    if made < 0 {
        return Err(rustix::io::Errno::from_io_error(&std::io::Error::last_os_error()).expect("an errno"));
    }
    Ok(pid(number))
}

#[test]
fn a_process_that_got_the_number_of_a_dead_one_is_left_alone() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let two = two(&spawner, &compute());
    assert!(soon(|| waiting(&spawner).len() == 2));
    let first = waiting(&spawner)[0];
    let status = || std::fs::read_to_string(format!("/proc/{first}/status")).expect("it lives");
    // It is locked down, and says so in this moment.
    assert!(soon(|| status().contains("Seccomp:\t2") && status().contains("State:\tS")));
    std::thread::sleep(Duration::from_millis(50));
    kill_process(pid(first), Signal::KILL).expect("it waits");
    assert!(soon(|| !waiting(&spawner).contains(&first)));
    let mut other = Err(rustix::io::Errno::EXIST);
    // A moment passes until the number is free.
    assert!(soon(|| {
        other = sleeper(first);
        other != Err(rustix::io::Errno::EXIST)
    }));
    // Choosing a number needs rights.
    let Ok(other) = other else { return };
    let limits = || std::fs::read_to_string(format!("/proc/{first}/limits")).expect("it lives");
    let before = limits();

    let called = two.call(b"");
    let after = limits();
    kill_process(other, Signal::KILL).expect("an own child");
    wait::reap(first).expect("an own child");

    assert!(called.expect("the call is made").value().is_ok());
    assert_eq!(after, before);
}

#[test]
fn a_fork_of_the_caller_that_lets_go_of_its_copies_leaves_the_spawner_to_its_parent() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let mut all = Some((two(&spawner, &compute()), spawner));

    let dropped = apart(|| {
        drop(all.take());
        true
    });

    let (two, _) = all.expect("only the copy is gone");
    assert!(dropped && two.call(b"").expect("the call is made").value().is_ok());
}

#[test]
fn no_process_serves_two_calls_though_the_caller_forks_while_it_waits() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let own_id = spawner.sandboxed_typed(&compute(), |_: ()| std::process::id()).expect("it can be sandboxed");
    assert!(soon(|| waiting(&spawner).len() == 2));
    let (mut told, tell) = std::io::pipe().expect("two descriptors");

    let forks: Vec<i32> = (0..4)
        .map(|_| {
            let callers = || {
                for _ in 0..20 {
                    let called = own_id.call(&()).expect("the call is made").into_value().expect("an id");
                    std::io::Write::write_all(&mut &tell, format!("{called}\n").as_bytes()).expect("it is read");
                    std::thread::sleep(Duration::from_millis(2));
                }
            };
            fork::fork(callers).expect("a process can be made")
        })
        .collect();
    let ends: Vec<_> = forks.into_iter().map(|fork| wait::reap(fork).expect("an own child")).collect();
    drop(tell);
    let mut ids = String::new();
    told.read_to_string(&mut ids).expect("text");

    assert_eq!(ends, [Some(Ended::Exited(0)); 4]);
    assert_eq!(ids.lines().collect::<BTreeSet<_>>().len(), 80);
}

#[test]
fn calls_that_a_stopped_spawner_does_not_take_end_in_time() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let two = two(&spawner, &with_limit("wall=1s"));
    let id = pid(i32::try_from(spawner.id()).expect("small"));
    kill_process(id, Signal::STOP).expect("it lives");
    let (sender, ended) = std::sync::mpsc::channel();

    let (in_time, all) = std::thread::scope(|scope| {
        for _ in 0..300 {
            let (two, sender) = (&two, sender.clone());
            scope.spawn(move || sender.send(two.call(b"")).expect("it is received"));
        }
        std::thread::sleep(Duration::from_secs(6));
        let in_time: Vec<_> = ended.try_iter().collect();
        // Those that it would have taken end when it says so, or in half a minute.
        kill_process(id, Signal::CONT).expect("it lives");
        let rest = ended.iter().take(300 - in_time.len()).count();
        (in_time.iter().filter(|outcome| is_out_of_time(outcome)).count(), in_time.len() + rest)
    });

    assert!(in_time > 50, "it has no room for that many: {in_time}");
    assert_eq!(all, 300);
    assert!(two.call(b"").expect("the call is made").value().is_ok());
}

fn is_out_of_time<T>(outcome: &Result<T, CallError>) -> bool {
    matches!(outcome, Err(CallError::Resource { source, .. }) if source.kind() == std::io::ErrorKind::TimedOut)
}

#[test]
fn processes_that_others_stop_or_kill_while_they_wait_cost_their_calls_and_no_more() {
    let _alone = alone();
    let spawner = Spawner::start().expect("a spawner");
    let two = two(&spawner, &with_limit("wall=1s"));
    assert!(soon(|| waiting(&spawner).len() == 2));
    let [stopped, killed] = <[i32; 2]>::try_from(waiting(&spawner)).expect("two");
    kill_process(pid(stopped), Signal::STOP).expect("it waits");
    kill_process(pid(killed), Signal::KILL).expect("it waits");

    let endings: Vec<Ending> = (0..5).map(|_| two.call(b"").expect("the call is made").ending).collect();

    assert_eq!(endings[0].verdict().map(Verdict::kind), Some("timeout"));
    assert!(endings[1..].iter().all(Ending::is_returned), "{endings:?}");
}

#[test]
fn a_spawner_that_began_with_few_descriptors_serves_a_caller_that_has_many() {
    let _alone = alone();
    let soft = |current| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("below the hard one");
    };
    let served = apart(|| {
        soft(Some(40));
        let spawner = Spawner::start().expect("a spawner");
        soft(Some(2000));
        let sleep = |_: &[u8]| {
            std::thread::sleep(Duration::from_millis(1500));
            Ok::<_, ()>(Vec::new())
        };
        let sleep = spawner.sandboxed(&compute(), sleep).expect("it can be sandboxed");
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..100).map(|_| scope.spawn(|| sleep.call(b""))).collect();
            calls.into_iter().all(|call| call.join().is_ok_and(|called| called.is_ok_and(|it| it.value().is_ok())))
        })
    });

    assert!(served);
}

/// Closes all from 3 on, as daemons do.
fn close_all() {
    // SAFETY: what owns them is not used but to see that it notices.
    #[expect(unsafe_code, reason = "as daemons do it")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    assert_eq!(closed, 0);
}

#[test]
fn a_caller_that_closed_all_descriptors_gets_errors_whatever_has_their_numbers() {
    let _alone = alone();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("two descriptors");
    let open = || with_calls("allow = [\"openat\"]");
    // `between` puts something in their place, and says how to ask whether that is untouched.
    let all_fail = |between: &dyn Fn() -> Box<dyn Fn() -> bool>| {
        apart(|| {
            let spawner = Spawner::start().expect("a spawner");
            let by_spawner = two(&spawner, &compute());
            let by_fork = lazaret::sandboxed(&open(), |_: &[u8]| Ok::<_, ()>(vec![2])).expect("it can be sandboxed");
            assert!(soon(|| waiting(&spawner).len() == 2));
            close_all();
            let is_untouched = between();
            let failed =
                [by_spawner.call(b""), by_spawner.call(&[0; 100_000]), by_fork.call(b"")].map(|it| it.is_err());
            // Their destructors would close what is others' now.
            fork::exit(i32::from(!(failed == [true; 3] && is_untouched())))
        })
    };

    assert!(all_fail(&|| Box::new(|| true)), "nothing in their place");
    assert!(
        all_fail(&|| {
            let pairs: Vec<_> = std::iter::repeat_with(pair).take(20).collect();
            let ends = || pairs.iter().flat_map(|(one, other)| [one, other]);
            for end in ends() {
                rustix::net::send(end, b"p", rustix::net::SendFlags::empty()).expect("there is room");
            }
            Box::new(move || {
                let ends = pairs.iter().flat_map(|(one, other)| [one, other]);
                let mut bytes = [0; 8];
                let mut receive = |end| rustix::net::recv(end, &mut bytes, rustix::net::RecvFlags::empty());
                ends.into_iter().all(|end| receive(end).is_ok_and(|(_, len)| len == 1) && receive(end).is_err())
            })
        }),
        "sockets in their place"
    );
    assert!(
        all_fail(&|| {
            let spawner = Spawner::start().expect("a spawner");
            let two = two(&spawner, &compute());
            let other = lazaret::sandboxed(&open(), |_: &[u8]| Ok::<_, ()>(vec![3])).expect("it can be sandboxed");
            Box::new(move || spawner.id() > 0 && two.call(b"").is_ok() && other.call(b"").is_ok())
        }),
        "another spawner and other functions in their place"
    );
}
