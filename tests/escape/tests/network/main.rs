//! Runs the attacks on the network: each in the jail and in tier seccomp, as root and as an ordinary user, under the default policy and under a
//! wide one, and outside of it, where it works. All of them in network namespaces of their own.
//!
//! `LAZARET_BIN` names the sandbox; `LAZARET_TEST_STRICT=1` makes a failure of what would otherwise be skipped.

#[path = "../corpus/ground.rs"]
#[expect(dead_code, reason = "it is the corpus's")]
mod ground;
mod judge;
#[path = "../corpus/launch.rs"]
#[expect(dead_code, reason = "it is the corpus's")]
mod launch;
#[path = "../corpus/probe.rs"]
#[expect(dead_code, reason = "it is the corpus's")]
mod probe;
mod run;
mod table;
#[path = "../corpus/tier.rs"]
#[expect(dead_code, reason = "it is the corpus's")]
mod tier;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use ground::{Account, Ground};
use libtest_mimic::{Arguments, Failed, Trial};
use probe::{ACCOUNT, Under};
use table::{ROWS, Row};
use tier::Tier;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = tempfile::Builder::new().prefix("lazaret-network-").tempdir_in("/var/tmp");
    let root = root.expect("a directory can be made in /var/tmp");
    let ground = Arc::new(Ground::new(root.path()).expect("the programs can be copied"));
    let mut trials = vec![every_attack_is_in_the_table(&ground)];
    for row in ROWS {
        trials.extend(row.with.is_empty().then(|| control(&ground, row)));
        for under in [Under::Default, Under::Wide] {
            for tier in [Tier::Jail, Tier::Seccomp] {
                trials.extend(["root", ACCOUNT].map(|user| job(&ground, row, (under, tier), user)));
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
    Trial::test("every attack on the network is in the table, and the other way round", move || {
        let output = Command::new(attack).arg("list-network").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let known: BTreeSet<&str> = text.lines().collect();
        // `net-after-exec` is the other half of `net-exec`.
        let tabled: BTreeSet<&str> = ROWS.iter().map(|row| row.name).chain(["net-after-exec"]).collect();
        let differing: Vec<_> = known.symmetric_difference(&tabled).collect();
        if differing.is_empty() { Ok(()) } else { Err(format!("in one of the two only: {differing:?}").into()) }
    })
}

fn control(ground: &Arc<Ground>, row: &'static Row) -> Trial {
    let name = format!("outside a program can {} [{}]", row.about, row.name);
    let ground = Arc::clone(ground);
    Trial::test(name.clone(), move || {
        if ground.root_account.is_none() {
            return skip(&name, "the harness is not root");
        }
        match run::outside(&ground, row)? {
            None => Ok(()),
            Some(why) => {
                note(&format!("NOT SHOWN {name}: {why}"));
                Ok(())
            }
        }
    })
}

fn job(ground: &Arc<Ground>, row: &'static Row, (under, tier): (Under, Tier), user: &'static str) -> Trial {
    let policy = match under {
        Under::Default => "the default policy",
        Under::Wide => "a wide policy",
    };
    let with = if row.with.is_empty() { String::new() } else { format!(" with {}", row.with) };
    let place = match tier {
        Tier::Jail => "",
        Tier::Seccomp => " in tier seccomp",
    };
    let name = format!("a job of {user} under {policy}{place} cannot {}{with} [{}]", row.about, row.name);
    let ground = Arc::clone(ground);
    Trial::test(name.clone(), move || {
        if let Err(why) = &ground.lazaret {
            return skip(&name, why);
        }
        if let (None, Some(why)) = (&ground.root_account, row.needs_own_network()) {
            return skip(&name, &format!("the harness is not root, and {why}"));
        }
        match account(&ground, user) {
            Ok(account) => {
                let told = run::as_a_job(&ground, account, row, (under, tier));
                let said = told.as_ref().map_or_else(|why| why.lines().next().unwrap_or_default(), String::as_str);
                note(&format!("{name}: {said}"));
                Ok(told.map(drop)?)
            }
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
