//! The library, called from a program: large, threaded, asynchronous, in a hurry.

#[path = "library/ahead.rs"]
mod ahead;
#[path = "library/asynchronous.rs"]
mod asynchronous;
#[path = "library/calls.rs"]
mod calls;
#[path = "library/large.rs"]
mod large;
#[path = "library/network.rs"]
mod network;
#[path = "library/reaper.rs"]
mod reaper;
#[path = "library/rollout.rs"]
mod rollout;

use lazaret::Policy;

/// The default policy. An ordinary user's job goes without a group, where none is delegated.
fn policy() -> Policy {
    on_this_host(lazaret::profile("default").expect("a built-in profile"))
}

/// The policy, without a group for an ordinary user's jobs.
fn on_this_host(policy: Policy) -> Policy {
    let change = lazaret::change(policy);
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if root { change.build() } else { change.degrade("cgroup").expect("a layer that can be").build() }
}

/// The same with a limit.
fn policy_with(limit: &str) -> Policy {
    lazaret::change(policy()).limit(limit).expect("a good limit").build()
}

/// Serialises the tests that count descriptors, threads or memory of this whole process, and those beside them.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Processes whose arguments hold `token`, other than this one.
fn processes_with(token: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let others = entries.filter(|entry| entry.file_name().to_str() != Some(&std::process::id().to_string()));
    let arguments = others.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    arguments.filter(|arguments| String::from_utf8_lossy(arguments).contains(token)).count()
}
