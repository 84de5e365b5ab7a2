//! Runs the corpus: every attack in each tier, as root and as an ordinary user, under the default policy and under a wide
//! one; and every attack outside of it, where it works.
//!
//! `LAZARET_BIN` names the sandbox; `LAZARET_TEST_STRICT=1` makes a failure of what would otherwise be skipped.

mod control;
mod ground;
mod jail;
mod judge;
mod launch;
mod probe;
mod scene;
mod stage;
mod table;
mod tier;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use control::Showing;
use ground::{Account, Ground};
use libtest_mimic::{Arguments, Failed, Trial};
use probe::{Control, Probe, Shown, Under};
use tier::Tier;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // On the disk, as /usr is, and not in a file system of its own, as /tmp may be: some attacks go by the file system.
    let root = tempfile::Builder::new().prefix("lazaret-escape-").tempdir_in("/var/tmp");
    let root = root.expect("a directory can be made in /var/tmp");
    let ground = Arc::new(Ground::new(root.path()).expect("the programs can be copied"));
    if let Ok(account) = &ground.user_account
        && account.is_without_cgroup()
    {
        note(&format!(
            "{} has no cgroup on this machine: its jobs run with {}",
            account.name,
            account.degraded.join(" ")
        ));
    }
    let mut trials = vec![every_attack_is_in_the_table(&ground)];
    for probe in table::all() {
        trials.push(control_trial(&ground, probe));
        for under in probe.under {
            for tier in [Tier::Jail, Tier::Seccomp] {
                trials.push(job_trial(&ground, probe, *under, tier, "root"));
                trials.push(job_trial(&ground, probe, *under, tier, probe::ACCOUNT));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Not at exit, which runs no destructors.
    drop(root);
    conclusion.exit_code()
}

#[expect(clippy::print_stderr, reason = "skips have to be seen")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// Something is missing that a set-up could give.
fn skip(name: &str, why: &str) -> Result<(), Failed> {
    if std::env::var_os("LAZARET_TEST_STRICT").is_some_and(|value| value == "1") {
        return Err(format!("not to be skipped under LAZARET_TEST_STRICT: {why}").into());
    }
    note(&format!("SKIP {name}: {why}"));
    Ok(())
}

fn every_attack_is_in_the_table(ground: &Arc<Ground>) -> Trial {
    let attack = ground.attack.clone();
    Trial::test("every attack of the program is in the table, and the other way round", move || {
        let output = Command::new(attack).arg("list").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let known: BTreeSet<&str> = text.lines().collect();
        // `leave-behind` is the other half of `find-left-behind`.
        let tabled: BTreeSet<&str> = table::all().map(|probe| probe.name).chain(["leave-behind"]).collect();
        let differing: Vec<&&str> = known.symmetric_difference(&tabled).collect();
        if differing.is_empty() { Ok(()) } else { Err(format!("in one of the two only: {differing:?}").into()) }
    })
}

fn control_trial(ground: &Arc<Ground>, probe: &'static Probe) -> Trial {
    match probe.control {
        Control::Impossible(why) => {
            let name = format!("outside it is not shown to {} [{}]", probe.about, probe.name);
            Trial::test(name.clone(), move || {
                note(&format!("NOT SHOWN {name}: {why}"));
                Ok(())
            })
        }
        Control::Shown(shown) => {
            let name = format!("outside a program can {} [{}]", probe.about, probe.name);
            let ground = Arc::clone(ground);
            Trial::test(name.clone(), move || show(&ground, &name, probe, &shown))
        }
    }
}

fn show(ground: &Ground, name: &str, probe: &Probe, shown: &Shown) -> Result<(), Failed> {
    if ground.root_account.is_none() {
        return skip(name, "the harness is not root");
    }
    if let (true, Err(why)) = (shown.as_user, &ground.user_account) {
        return skip(name, why);
    }
    match control::run(ground, probe, shown)? {
        Showing::Works => Ok(()),
        Showing::NotHere(why) => {
            note(&format!("NOT SHOWN on this machine: {name}: {why}"));
            Ok(())
        }
    }
}

fn job_trial(ground: &Arc<Ground>, probe: &'static Probe, under: Under, tier: Tier, user: &'static str) -> Trial {
    let policy = match under {
        Under::Default => "the default policy",
        Under::Wide => "a wide policy",
    };
    let within = match tier {
        Tier::Jail => "",
        Tier::Seccomp => " in tier seccomp",
    };
    let name = format!("a job of {user} under {policy}{within} cannot {} [{}]", probe.about, probe.name);
    let ground = Arc::clone(ground);
    Trial::test(name.clone(), move || {
        if let Some(why) = tier.leaves_out(probe, user) {
            note(&format!("NOT PROMISED {name}: {why}"));
            return Ok(());
        }
        if let Err(why) = &ground.lazaret {
            return skip(&name, why);
        }
        match account(&ground, user) {
            Ok(account) => Ok(jail::run(&ground, account, probe, under, tier)?),
            Err(why) => skip(&name, &why),
        }
    })
}

fn account<'g>(ground: &'g Ground, user: &str) -> Result<&'g Account, String> {
    if user == "root" {
        return ground.root_account.as_ref().ok_or_else(|| "the harness is not root".to_owned());
    }
    ground.user_account.as_ref().map_err(Clone::clone)
}
