//! Jobs that mean harm to whoever looks at them. Each judges by itself that it was treated as if nobody did.

use crate::program::{compile, functions, refusal, run};
use lazaret_e2e::{Ran, Runner, as_root_and_user};

as_root_and_user![
    a_flood_of_refusals_is_counted_and_answered,
    a_job_that_dies_while_it_is_looked_at_is_gone,
    garbage_for_a_stack_is_a_short_stack,
    hundreds_of_threads_at_once_are_answered,
    an_endless_argument_in_a_mapping_with_lines_for_a_name_is_cut,
    no_handler_of_the_job_hears_of_a_look,
];

fn attack(runner: &Runner, act: &str) -> Option<Ran> {
    if !compile(runner, "hostile.c", "hostile", &["-fcf-protection=none"]) {
        return None;
    }
    let limits = "[limits]\nprocesses = 1000\nfile-size = \"2GiB\"\ndisk = \"2GiB\"\nwall = \"120s\"\n";
    let ran = run(runner, limits, &["/programs/hostile", act]);
    ran.succeeded();
    Some(ran)
}

fn a_flood_of_refusals_is_counted_and_answered(runner: &Runner) {
    let Some(ran) = attack(runner, "flood") else { return };

    assert_eq!(refusal(&ran, "mount")["count"], 20000);
    let kinds = ran.report["refusals"].as_array().map_or(0, Vec::len);
    let dropped = ran.report["refusals_dropped"].as_u64().unwrap_or_default();
    assert_eq!((kinds, dropped + kinds as u64), (64, 201), "{ran}");
}

fn a_job_that_dies_while_it_is_looked_at_is_gone(runner: &Runner) {
    attack(runner, "die");
}

fn garbage_for_a_stack_is_a_short_stack(runner: &Runner) {
    let Some(ran) = attack(runner, "stack") else { return };

    if cfg!(target_arch = "x86_64") {
        let explanation = &refusal(&ran, "acct")["explanation"];
        assert_eq!(functions(explanation).first(), Some(&"stack"), "{explanation:#}");
        assert!(functions(explanation).len() < 8 && explanation["stack_note"].is_string(), "{explanation:#}");
    }
}

fn hundreds_of_threads_at_once_are_answered(runner: &Runner) {
    let Some(ran) = attack(runner, "threads") else { return };

    let refusals = ran.report["refusals"].as_array().into_iter().flatten();
    let counts: Vec<u64> = refusals.filter_map(|refusal| refusal["count"].as_u64()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (50, 8000), "{counts:?}");
}

fn an_endless_argument_in_a_mapping_with_lines_for_a_name_is_cut(runner: &Runner) {
    let Some(ran) = attack(runner, "mapping") else { return };

    let explanation = &refusal(&ran, "umount2")["explanation"];
    let argument = explanation["arguments"][0]["value"].as_str().unwrap_or_default();
    assert!(argument.starts_with("\"xxx") && argument.ends_with('\u{2026}') && argument.len() < 300, "{argument}");
    assert!(functions(explanation).contains(&"main"), "{explanation:#}");
}

fn no_handler_of_the_job_hears_of_a_look(runner: &Runner) {
    attack(runner, "signals");
}
