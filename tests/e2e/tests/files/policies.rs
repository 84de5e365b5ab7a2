//! Policies whose phases make no sense: each is told where it says so, with what to do.

use crate::TIERS;
use crate::job::job;
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    phases_without_brokered_files_are_an_error,
    a_place_of_the_second_phase_that_the_first_lacks_is_an_error,
    a_first_phase_without_a_second_is_an_error,
    words_that_nobody_knows_are_errors,
    a_place_of_the_second_phase_that_is_not_there_then_ends_the_job,
    functions_and_lockdowns_have_no_phases,
];

/// What is printed of a job under `text` in `tier`, which does not start.
#[track_caller]
fn refused(runner: &Runner, tier: &str, text: &str) -> String {
    let ended = job(runner).options(["--tier", tier]).policy(text).command(["true"]).run();

    ended.expect_error(&[]);
    ended.stderr
}

fn phases_without_brokered_files_are_an_error(runner: &Runner) {
    for (tier, files) in [("jail", ""), ("jail", "mode = \"direct\"\n"), ("seccomp", "mode = \"direct\"\n")] {
        let text = format!("extends = \"default\"\n[files]\n{files}[phase.work]\nwrite = [\"/job\"]\n");
        let told = refused(runner, tier, &text);

        assert!(told.contains("mode = \"brokered\"") && told.contains("policy.toml:"), "{tier}: {told}");
    }
}

fn a_place_of_the_second_phase_that_the_first_lacks_is_an_error(runner: &Runner) {
    for tier in TIERS {
        for (key, lacks) in [("read", "may not read it"), ("write", "may not write there")] {
            let place = if key == "read" { "/srv/nothing" } else { "/usr" };
            // Everything that a jail shows may be read, and so what it does not show is not there.
            if (tier, key) == ("jail", "read") {
                continue;
            }
            let text =
                format!("extends = \"default\"\n[files]\nmode = \"brokered\"\n[phase.work]\n{key} = [\"{place}\"]\n");
            let told = refused(runner, tier, &text);

            assert!(told.contains(place) && told.contains(lacks) && told.contains("policy.toml:5"), "{tier}: {told}");
        }
    }
}

fn a_first_phase_without_a_second_is_an_error(runner: &Runner) {
    for tier in TIERS {
        let text = "extends = \"default\"\n[files]\nmode = \"brokered\"\n[phase.init]\nread = [\"/etc\"]\n";
        let told = refused(runner, tier, text);

        assert!(told.contains("[phase.work]") && told.contains("policy.toml:4"), "{tier}: {told}");
    }
}

fn words_that_nobody_knows_are_errors(runner: &Runner) {
    for (lines, word, at) in [
        ("[files]\nmode = \"broken\"\n", "`broken`", "3:"),
        ("[files]\noutside = \"gone\"\n", "`gone`", "3:"),
        ("[files]\nmode = 1\n", "mode", "3:"),
        ("[phase.work]\nbegin = \"told\"\n", "`begin`", "3:"),
        ("[phase.work]\nbegins = \"soon\"\n", "`soon`", "3:"),
        ("[phase.work]\nread = \"/usr\"\n", "phase.work.read", "3:"),
        ("[phase.work]\nread = [\"usr\"]\n", "usr", "3:"),
        ("[phase.work]\nwrite = [\"/job\", \"/job\"]\n", "/job", "3:"),
        ("[phase.init]\nwrite = [\"/etc\"]\n[phase.work]\n", "`write`", "3:"),
        ("[phase.play]\n", "`play`", "2:"),
        ("phase = 1\n", "phase", "2:"),
    ] {
        let told = refused(runner, "jail", &format!("extends = \"default\"\n{lines}"));

        assert!(told.contains(word) && told.contains(&format!("policy.toml:{at}")), "{lines}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

/// Too late for an error before the job: it makes such places itself. Nothing more is had.
fn a_place_of_the_second_phase_that_is_not_there_then_ends_the_job(runner: &Runner) {
    runner.put("input", "of a stranger");
    for (prepare, told) in [
        ("true", "/job/out` of the job's tree: No such file"),
        ("ln -s /usr out", "/job/out` of [phase.work] is a link to `/usr`: name what it leads to"),
    ] {
        for tier in TIERS {
            let text = "extends = \"default\"\n[files]\nmode = \"brokered\"\n[phase.work]\nwrite = [\"/job/out\"]\n";
            let ended = job(runner)
                .options(["--tier", tier, "--in", "input"])
                .policy(text)
                .shell(&format!("{prepare}; cat input; echo more"))
                .run();

            assert_eq!(ended.code(), 125, "{tier}: {}", ended.stderr);
            assert!(ended.stdout.is_empty() && ended.stderr.contains(told), "{tier}: {}", ended.stderr);
        }
    }
}

/// In this process: it is not locked down, and no function is called.
fn functions_and_lockdowns_have_no_phases(_: &Runner) {
    for (lines, key) in [
        ("[files]\nmode = \"brokered\"\n", "files.mode"),
        ("[files]\nmode = \"brokered\"\n[phase.work]\nwrite = [\"/job\"]\n", "files.mode"),
    ] {
        let policy = lazaret::policy_text("wish.toml", &format!("extends = \"compute\"\n{lines}"));
        let policy = policy.expect("a good policy");

        let function = match lazaret::sandboxed(&policy, |_: &[u8]| Ok::<_, ()>(Vec::new())) {
            Ok(_) => panic!("it must not be taken: {lines}"),
            Err(error) => error.to_string(),
        };
        let lockdown = lazaret::lockdown_preflight(&policy).expect_err("it must not be taken").to_string();

        assert!(function.contains(key), "{function}");
        assert!(lockdown.contains(key), "{lockdown}");
    }
}
