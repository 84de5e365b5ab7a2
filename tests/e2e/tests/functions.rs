//! Functions in processes of their own: what comes back, what cannot be done, and what is left, which is nothing.

#[path = "functions/answers.rs"]
mod answers;
#[path = "functions/callers.rs"]
mod callers;
#[path = "functions/confined.rs"]
mod confined;
#[path = "functions/ends.rs"]
mod ends;
#[path = "functions/explained.rs"]
mod explained;
#[path = "functions/policies.rs"]
mod policies;
#[path = "functions/spawners.rs"]
mod spawners;
#[path = "functions/surroundings.rs"]
mod surroundings;

use lazaret::{Called, Ending, Policy, Spawner, TypedFunction, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn compute() -> Policy {
    lazaret::profile("compute").expect("a built-in profile")
}

fn with_limit(limit: &str) -> Policy {
    lazaret::change(compute()).limit(limit).expect("a good limit").build()
}

/// The profile with lines of a `[system-calls]` table on top.
fn with_calls(lines: &str) -> Policy {
    let text = format!("extends = \"compute\"\n[system-calls]\n{lines}\n");
    lazaret::policy_text("changed.toml", &text).expect("a good policy")
}

/// One spawner for all tests of this process.
fn spawner() -> &'static Spawner {
    static SPAWNER: OnceLock<Spawner> = OnceLock::new();
    SPAWNER.get_or_init(|| Spawner::start().expect("a spawner"))
}

/// The function both ways: by a fork of this process, and by the spawner.
fn both_ways<F, I, O>(policy: &Policy, function: F) -> [TypedFunction<I, O>; 2]
where
    F: Fn(I) -> O + Copy + Send + Sync + 'static,
    I: Serialize + DeserializeOwned + 'static,
    O: Serialize + DeserializeOwned + 'static,
{
    let by_fork = lazaret::sandboxed_typed(policy, function).expect("it can be sandboxed");
    let by_spawner = spawner().sandboxed_typed(policy, function).expect("it can be sandboxed");
    [by_fork, by_spawner]
}

/// What came of the function, called both ways.
fn called<F, I, O>(policy: &Policy, function: F, input: &I) -> [Called<O>; 2]
where
    F: Fn(I) -> O + Copy + Send + Sync + 'static,
    I: Serialize + DeserializeOwned + 'static,
    O: Serialize + DeserializeOwned + 'static,
{
    both_ways(policy, function).map(|function| function.call(input).expect("the call is made"))
}

/// How the function ended, called both ways.
fn endings<F, I, O>(policy: &Policy, function: F, input: &I) -> [Ending; 2]
where
    F: Fn(I) -> O + Copy + Send + Sync + 'static,
    I: Serialize + DeserializeOwned + 'static,
    O: Serialize + DeserializeOwned + 'static,
{
    called(policy, function, input).map(|called| called.ending)
}

/// The verdict's kind, where one stopped the function.
fn kinds(endings: &[Ending; 2]) -> [&'static str; 2] {
    endings.each_ref().map(|ending| ending.verdict().map_or("none", Verdict::kind))
}

/// Serialises the tests that look at all of this process, and those beside them.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether `what` is so within ten seconds.
fn soon(mut what: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
