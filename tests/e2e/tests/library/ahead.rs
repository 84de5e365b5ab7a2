//! Jails that are prepared before there is a job.

use crate::{alone, policy};
use lazaret::{Job, Launcher, Policy, Report, Sink, Verdict};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A launcher, with what was prepared before it set aside.
struct Scene {
    launcher: Launcher,
    others: BTreeSet<i32>,
}

impl Scene {
    fn new() -> Self {
        let others = children();
        Self { launcher: Launcher::new().expect("a launcher"), others }
    }

    fn run(&self, job: &Job, policy: &Policy) -> Report {
        let report = job.run_with(&self.launcher, policy, &Sink::Capture).expect("it runs");
        assert_eq!(report.verdict, Verdict::Ok, "{report:#?}");
        report
    }

    /// The first process of the jail that waits for a job, once it is the only one left of what made it.
    fn prepared(&self) -> i32 {
        wait_for("a jail is prepared", Duration::from_secs(5), || {
            let own: Vec<i32> = children().difference(&self.others).copied().collect();
            // What it was set up with has come to its end: it waits for what comes next.
            <[i32; 1]>::try_from(own).ok().map(|[only]| only).filter(|pid| waits(*pid))
        })
    }
}

/// What `found` finds, before `patience` is over.
fn wait_for<T>(what: &str, patience: Duration, found: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Children of this process.
fn children() -> BTreeSet<i32> {
    let own = std::process::id().to_string();
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&own)
    };
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

/// Whether a process sleeps.
fn waits(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()) == Some("S")
}

/// The policy of all tests, and a host directory at /data.
fn showing(data: &Path) -> Policy {
    let text =
        format!("extends = \"default\"\n[files]\nread = [{{ path = \"{}\", at = \"/data\" }}]\n", data.display());
    let shown = lazaret::policy_text("showing", &text).expect("a good policy");
    let mut change = lazaret::change(shown);
    if policy().degrades(lazaret::Layer::Cgroup).is_some() {
        change = change.degrade("cgroup").expect("a layer that can be");
    }
    change.build()
}

#[test]
fn the_next_job_gets_the_jail_that_was_prepared() {
    let _alone = alone();
    let scene = Scene::new();
    scene.run(&Job::new("true"), &policy());
    scene.prepared();

    let report = scene.run(&Job::new("true"), &policy());

    let ahead: Vec<&str> =
        report.phases.setup_steps.iter().filter(|step| step.ahead).map(|step| step.name.as_str()).collect();
    for step in ["namespaces", "id-maps", "root", "pivot", "landlock"] {
        assert!(ahead.contains(&step), "{step} is not among {ahead:?}");
    }
    assert!(!ahead.contains(&"inputs") && !ahead.contains(&"process"), "{ahead:?}");
}

#[test]
fn nothing_of_a_job_is_there_for_the_next() {
    let _alone = alone();
    let scene = Scene::new();
    let mark = "echo mark > /tmp/mark; echo mark > /job/mark; ls -A /tmp /job; echo $$";
    for _ in 0..3 {
        scene.run(&Job::new("sh").args(["-c", mark]).input_bytes("in", *b"x"), &policy());
        scene.prepared();
    }

    let report = scene.run(&Job::new("sh").args(["-c", "ls -A /tmp /job; env | grep -c mark; true"]), &policy());

    assert_eq!(String::from_utf8_lossy(&report.stdout), "/job:\n\n/tmp:\n0\n");
}

#[test]
fn a_directory_that_was_replaced_is_shown_as_it_is_now() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory can be made");
    let (data, aside) = (place.path().join("data"), place.path().join("aside"));
    for path in [place.path(), &data] {
        fs::create_dir_all(path).expect("it can be made");
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is the test's own");
    }
    fs::write(data.join("file"), "old").expect("it can be written");
    let (scene, policy) = (Scene::new(), showing(&data));
    let read = Job::new("cat").arg("/data/file");
    let before = scene.run(&read, &policy);
    scene.prepared();

    fs::rename(&data, aside).expect("it can be renamed");
    fs::create_dir(&data).expect("the name is free");
    fs::write(data.join("file"), "new").expect("it can be written");
    let after = scene.run(&read, &policy);

    assert_eq!([&before.stdout, &after.stdout], [b"old", b"new"]);
}

#[test]
fn another_policy_gets_a_jail_of_its_own() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory can be made");
    fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its own");
    let scene = Scene::new();
    scene.run(&Job::new("ls").arg("/data"), &showing(place.path()));
    scene.prepared();

    let report = scene.run(&Job::new("sh").args(["-c", "ls -d /data || echo none"]), &policy());

    assert_eq!(report.stdout, b"none\n");
}

#[test]
fn a_prepared_jail_that_was_killed_is_made_again() {
    let _alone = alone();
    let scene = Scene::new();
    scene.run(&Job::new("true"), &policy());
    let prepared = scene.prepared();

    rustix::process::kill_process(
        rustix::process::Pid::from_raw(prepared).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("a child can be killed");
    let report = scene.run(&Job::new("echo").arg("here"), &policy());

    assert_eq!(report.stdout, b"here\n");
}

#[test]
fn without_jobs_the_prepared_jail_is_thrown_away() {
    let _alone = alone();
    let scene = Scene::new();
    scene.run(&Job::new("true"), &policy());
    scene.prepared();

    wait_for("it is gone", Duration::from_secs(20), || {
        children().difference(&scene.others).next().is_none().then_some(())
    });
    let report = scene.run(&Job::new("echo").arg("here"), &policy());

    assert_eq!(report.stdout, b"here\n");
}

#[test]
fn a_launcher_that_is_dropped_leaves_no_prepared_jail() {
    let _alone = alone();
    let scene = Scene::new();
    scene.run(&Job::new("true"), &policy());
    scene.prepared();
    let others = scene.others.clone();

    drop(scene);

    assert_eq!(children().difference(&others).count(), 0);
}
