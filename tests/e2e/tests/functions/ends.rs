//! However a function ends, its caller learns how, and goes on.

use crate::{alone, called, compute, endings, kinds, spawner, with_calls, with_limit};
use lazaret::{Ending, Verdict};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if frame[0] == u64::MAX { 0 } else { recurse(depth + 1) + frame[1] }
}

#[test]
fn a_crash_is_its_signal() {
    let _alone = alone();
    let crash = |number: u32| -> u64 {
        match number {
            0 => std::process::abort(),
            1 => recurse(0),
            // SAFETY: nothing is mapped there, which is the point: the process ends.
            #[expect(unsafe_code, reason = "a crash has to be made somehow")]
            _ => u64::from(unsafe { black_box(std::ptr::without_provenance::<u8>(8)).read_volatile() }),
        }
    };

    for (number, signal) in [(0, libc::SIGABRT), (1, libc::SIGSEGV), (2, libc::SIGSEGV)] {
        let expected = Ending::Stopped(Box::new(Verdict::signalled(signal)));
        assert_eq!(endings(&compute(), crash, &number), [expected.clone(), expected], "{number}");
    }
}

#[test]
fn an_endless_loop_uses_up_its_processor_time() {
    let _alone = alone();
    let spin = |()| -> u32 {
        loop {
            black_box(0);
        }
    };
    let begun = Instant::now();

    let endings = endings(&with_limit("cpu=300ms"), spin, &());

    assert_eq!(kinds(&endings), ["cpu-limit"; 2]);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[test]
fn a_function_that_sleeps_runs_into_the_deadline() {
    let _alone = alone();
    let begun = Instant::now();

    let endings = endings(&with_limit("wall=300ms"), |()| std::thread::sleep(Duration::from_secs(60)), &());

    assert_eq!(kinds(&endings), ["timeout"; 2]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_memory_bomb_ends_at_its_limit() {
    let _alone = alone();
    let bomb = |step: usize| -> usize {
        let mut held = Vec::new();
        loop {
            held.push(black_box(vec![1_u8; step]));
        }
    };

    // Many small pieces, and one that is larger than all there may be.
    for step in [1 << 20, 64 << 20] {
        assert_eq!(kinds(&endings(&with_limit("memory=48MiB"), bomb, &step)), ["memory-limit"; 2], "{step}");
    }
}

#[test]
fn what_the_caller_holds_does_not_count_to_the_functions_memory() {
    let _alone = alone();
    let held = black_box(vec![1_u8; 256 << 20]);
    let small = lazaret::sandboxed_typed(&with_limit("memory=16MiB"), |size: usize| vec![1_u8; size].len());

    let called = small.expect("it can be sandboxed").call(&(4 << 20)).expect("the call is made");

    assert_eq!(called.into_value().expect("it returned"), 4 << 20);
    assert_eq!(black_box(&held).len(), 256 << 20);
}

#[test]
fn a_function_that_forks_is_refused_and_told_of() {
    let _alone = alone();
    let forks = |()| {
        let process = std::process::Command::new("/bin/true").status().is_ok();
        let thread = std::thread::Builder::new().spawn(|| ()).is_ok();
        (process, thread)
    };

    for called in called(&compute(), forks, &()) {
        assert!(called.refusals.iter().any(|refusal| refusal.call == "clone" && refusal.errno == 1), "{called:?}");
        assert_eq!(called.into_value().expect("it returned"), (false, false));
    }
}

#[test]
fn a_call_that_the_policy_answers_with_death_is_a_violation_that_is_named() {
    let _alone = alone();
    let pair = |()| rustix::pipe::pipe().is_ok();

    for list in ["kill", "trap"] {
        let policy = with_calls(&format!("{list} = [\"pipe2\", \"pipe\"]"));
        for ending in endings(&policy, pair, &()) {
            let Some(Verdict::Violation { call, rule, .. }) = ending.verdict() else { panic!("{list}: {ending}") };

            assert!(call.starts_with("pipe"), "{call}");
            assert_eq!(rule.as_ref(), Some(call));
        }
    }
}

#[test]
fn a_function_that_closes_every_descriptor_returns_all_the_same() {
    let _alone = alone();
    let close = |()| {
        for number in 0..1000 {
            // SAFETY: the process holds no descriptor that anything counts on.
            #[expect(unsafe_code, reason = "descriptors that are nobody's")]
            unsafe {
                libc::close(number);
            }
        }
        7_u32
    };

    for called in called(&compute(), close, &()) {
        assert_eq!(called.into_value().expect("it returned"), 7);
    }
}

#[test]
fn the_next_call_starts_afresh() {
    let _alone = alone();
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = |()| COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);

    for function in crate::both_ways(&compute(), count) {
        for _ in 0..3 {
            assert_eq!(function.call(&()).expect("the call is made").into_value().expect("it returned"), 0);
        }
    }
    assert_eq!(COUNT.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn dropping_the_future_of_a_call_ends_it() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("a runtime");
    let sleep = |_: &[u8]| -> Result<Vec<u8>, ()> {
        std::thread::sleep(Duration::from_secs(60));
        Ok(Vec::new())
    };
    let echo = |input: &[u8]| Ok::<_, ()>(input.to_vec());
    let sleep = spawner().sandboxed(&with_limit("wall=50s"), sleep).expect("it can be sandboxed");
    let echo = spawner().sandboxed(&compute(), echo).expect("it can be sandboxed");
    let begun = Instant::now();

    let (given_up, echoed) = runtime.block_on(async {
        let given_up = tokio::time::timeout(Duration::from_millis(200), sleep.call_async(Vec::new())).await;
        (given_up, echo.call_async(b"after".to_vec()).await)
    });
    // Waits for the threads that wait for calls.
    drop(runtime);

    assert!(given_up.is_err());
    let echoed = echoed.expect("the call is made").into_value().expect("it returned").expect("a value");
    assert_eq!(echoed.to_vec(), b"after");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
