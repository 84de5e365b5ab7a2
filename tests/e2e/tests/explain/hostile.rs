//! Jobs that mean harm to whoever looks at them. Each judges by itself that it was treated as if nobody did.

use crate::program::{arguments, compile, functions, refusal, run};
use lazaret_e2e::{Ran, Runner, as_root_and_user};

as_root_and_user![
    a_flood_of_refusals_is_counted_and_answered,
    a_job_that_dies_while_it_is_looked_at_is_gone,
    garbage_for_a_stack_is_a_short_stack,
    hundreds_of_threads_at_once_are_answered,
    an_endless_argument_in_a_mapping_with_lines_for_a_name_is_cut,
    no_handler_of_the_job_hears_of_a_look,
    one_of_two_thousand_threads_is_told_from_the_others,
    a_quarter_of_a_million_refused_calls_get_no_slower_and_the_report_no_larger,
];

fn attack(runner: &Runner, act: &str) -> Option<Ran> {
    if !compile(runner, "hostile.c", "hostile", &["-fcf-protection=none"]) {
        return None;
    }
    let limits = "[limits]\nprocesses = 3000\nfile-size = \"2GiB\"\ndisk = \"2GiB\"\nwall = \"120s\"\n";
    let ran = run(runner, limits, &["/programs/hostile", act]);
    assert_eq!(ran.status, Some(0), "{ran}");
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

fn one_of_two_thousand_threads_is_told_from_the_others(runner: &Runner) {
    let Some(ran) = attack(runner, "crowd") else { return };

    let explanation = &refusal(&ran, "umount2")["explanation"];
    assert_eq!(explanation["thread"]["name"], "culprit", "{explanation:#}");
    assert!(explanation["thread"]["tid"].as_u64() > explanation["thread"]["pid"].as_u64(), "{explanation:#}");
    assert_eq!(arguments(explanation), ["path=\"/by the culprit\"", "flags=MNT_DETACH"]);
    assert_eq!(functions(explanation)[1..3], ["offend", "culprit"], "{explanation:#}");
    assert_eq!(explanation["phase"], "thread");
    // The look's own bound is half a second; the rest is for a busy machine.
    let waited: f64 = ran.stdout().trim().parse().expect("seconds");
    assert!(waited < 3.0, "the call took {waited} s");
}

fn a_quarter_of_a_million_refused_calls_get_no_slower_and_the_report_no_larger(runner: &Runner) {
    let Some(ran) = attack(runner, "storm") else { return };

    let times = ran.stdout();
    let times: Vec<f64> = times.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    let [first, last] = times[..] else { panic!("two times: {ran}") };
    assert!(last < first * 4.0 + 2.0, "a fifth of the calls took {first} s, and the last fifth {last} s");
    let refusals = ran.report["refusals"].as_array().into_iter().flatten();
    let counted: u64 = refusals.clone().filter_map(|refusal| refusal["count"].as_u64()).sum();
    let dropped = ran.report["refusals_dropped"].as_u64().unwrap_or_default();
    assert_eq!((refusals.count(), counted + dropped), (64, 250_000), "{dropped}");
    let size = ran.report.0.to_string().len();
    assert!(size < 1 << 20, "{size} bytes");
}
