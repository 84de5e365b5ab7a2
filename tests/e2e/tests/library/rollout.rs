//! A rollout in a program that lives long.

use crate::{alone, policy};
use lazaret::{Job, Policy};
use std::path::{Path, PathBuf};

/// A file of shares, which is removed in the end.
struct Shares(PathBuf);

impl Shares {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("lazaret-library-{}-{name}.toml", std::process::id())))
    }

    fn say(&self, text: &str) {
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, text).expect("it can be written");
        std::fs::rename(beside, &self.0).expect("it can be renamed");
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A policy that refuses getpriority, and is rolled out by the shares in `file`.
fn rolled_out(file: &Path) -> Policy {
    let degrade = policy().degrade.iter().map(|layer| format!("\"{}\"", layer.value)).collect::<Vec<_>>().join(", ");
    let text = format!(
        "extends = \"default\"\ndegrade = [{degrade}]\n[system-calls]\nrefuse = [\"getpriority\"]\n[rollout]\n\
         enforce = \"50%\"\nshadow = \"50%\"\nold = \"none\"\nfile = \"{}\"\n",
        file.display()
    );
    lazaret::policy_text("new.toml", &text).expect("the policy is good")
}

fn mode(report: &lazaret::Report) -> String {
    let json = serde_json::to_value(&report.rollout).expect("it is JSON");
    json["mode"].as_str().expect("it has a mode").to_owned()
}

#[test]
fn the_share_is_changed_while_the_program_runs() {
    let _alone = alone();
    let shares = Shares::new("changed");
    let policy = rolled_out(&shares.0);
    let run = || Job::new("perl").args(["-e", "getpriority 0, 0"]).key("customer-17").run(&policy);
    assert!(run().is_err(), "there is no file yet");

    shares.say("enforce = \"5%\"\nshadow = \"95%\"\n");
    let first = run().expect("it runs");
    shares.say("enforce = \"50%\"\nshadow = \"50%\"\n");
    let second = run().expect("it runs");
    shares.say("enforce = \"500%\"\n\u{1}");
    let garbage = run().expect("it runs");
    std::fs::remove_file(&shares.0).expect("it can be removed");
    let gone = run().expect("it runs");

    assert_eq!([mode(&first), mode(&second)], ["shadow", "enforced"]);
    assert!(first.refusals.is_empty() && second.refusals.iter().any(|refusal| refusal.call == "getpriority"));
    for kept in [garbage, gone] {
        assert_eq!(mode(&kept), "enforced");
        assert!(kept.notes.iter().any(|note| note.contains("the share of 50% that it said before is kept")));
    }
}

#[test]
fn a_job_without_a_key_is_an_error_that_tells_what_to_do() {
    let shares = Shares::new("keyless");
    shares.say("enforce = \"5%\"\nshadow = \"95%\"\n");

    let error = Job::new("true").run(&rolled_out(&shares.0)).expect_err("there is no key");

    assert!(error.hint().is_some_and(|hint| hint.contains("Job::key")), "{error}");
}
