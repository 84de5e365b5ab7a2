//! Races against the moment when the work begins, and against the look at what a call is about.

use crate::{Programs, TIERS, brokered, text};
use lazaret_e2e::{Runner, as_root_and_user};
use std::time::{Duration, Instant};

as_root_and_user![
    no_thread_opens_anything_after_an_input_was_opened,
    nothing_is_executed_after_an_input_was_opened,
    what_a_call_names_is_decided_on_once,
    a_thread_that_does_not_come_for_its_descriptor_does_not_outlive_its_time,
];

/// Runs the races `which` with so many rounds, in each tier.
fn race(runner: &Runner, which: &[&str], (turns, rounds): (u32, u32)) {
    let programs = Programs::new();
    let Some(program) = programs.compile("race.c", "race", &[]) else { return };
    let data = programs.put("data", "shown");
    runner.put("input", "of a stranger");
    for tier in TIERS {
        for which in which {
            let more = format!("{}[phase.work]\nwrite = [\"/job\"]\n", programs.shown());
            for _ in 0..turns {
                let ended = brokered(runner, tier, ("default", &more))
                    .options(["--in", "input"])
                    .command([&program])
                    .arguments([which, "input"])
                    .argument(&data)
                    .argument(rounds.to_string())
                    .run();

                assert_eq!(text(&ended), "holes 0\n", "{which} in {tier}: {}", ended.stderr);
                assert_eq!(ended.report["files"]["work"]["by"], "input-opened", "{which} in {tier}");
            }
        }
    }
}

fn no_thread_opens_anything_after_an_input_was_opened(runner: &Runner) {
    race(runner, &["opens", "child"], (3, 1500));
}

fn nothing_is_executed_after_an_input_was_opened(runner: &Runner) {
    race(runner, &["executes"], (1, 50));
}

/// A path, a directory's descriptor, the current directory and the directories on the way change all the time.
fn what_a_call_names_is_decided_on_once(runner: &Runner) {
    race(runner, &["path", "descriptor", "current", "renamed"], (1, 2000));
}

/// The supervisor waits for whoever is handed a descriptor: it could be the last of many to run.
fn a_thread_that_does_not_come_for_its_descriptor_does_not_outlive_its_time(runner: &Runner) {
    let programs = Programs::new();
    let Some(program) = programs.compile("starve.c", "starve", &[]) else { return };
    let data = programs.put("data", "shown");
    for tier in TIERS {
        let begun = Instant::now();
        let ended = brokered(runner, tier, ("default", &programs.shown()))
            .options(["--limit", "wall=1s", "--limit", "cpu=10m"])
            .command([&program])
            .argument(&data)
            .argument("50")
            .run();
        let took = begun.elapsed();

        assert_eq!(String::from_utf8_lossy(&ended.stdout), "0 0: 0 0\n", "{tier}: {}", ended.stderr);
        assert_eq!(ended.report["verdict"]["limit"]["key"], "wall", "{tier}: {}", ended.stderr);
        assert!(took < Duration::from_secs(15), "{tier}: {took:?}");
    }
}
