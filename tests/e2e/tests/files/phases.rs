//! The two phases: when the second begins, and what is left in it.

use crate::job::Ended;
use crate::{Programs, TIERS, brokered, has_python, script, text};
use lazaret_e2e::{Runner, as_root_and_user};
use std::path::Path;
use std::process::Command;

as_root_and_user![
    nothing_of_the_first_phase_is_had_again_when_an_input_was_opened,
    nothing_of_the_first_phase_is_had_again_when_the_job_said_so,
    nothing_of_the_first_phase_is_had_again_when_a_child_opened_an_input,
    what_is_not_taken_away_is_had_again_in_all_these_ways,
    what_the_second_phase_names_is_left_and_no_more,
    what_the_job_has_or_made_is_not_executed,
    files_of_the_first_phase_alone_are_shown_and_gone,
    every_input_counts_and_every_way_to_open_it,
    looking_at_an_input_begins_nothing,
    a_job_that_says_so_is_not_held_to_its_inputs,
    a_job_that_opens_no_input_goes_on_in_its_first_phase,
    a_program_in_c_says_so,
    a_program_in_rust_says_so,
];

const ALL: &str = "[system-calls]\ndefault = \"allow\"\n";

/// The second phase after it began in the way of `how`, in both tiers.
fn second_phase(runner: &Runner, how: &str, begins: &str) {
    if !has_python() {
        return;
    }
    let programs = Programs::new();
    let data = programs.put("data", "shown");
    runner.put("input", "#!/usr/bin/true\nof a stranger\n");
    for tier in TIERS {
        let modes = if runner.is_root() || tier == "jail" { "modes" } else { "none" };
        let more = format!(
            "{}[phase.work]\nbegins = \"{begins}\"\nwrite = [\"/job\"]\n{ALL}[limits]\nprocesses = 64\n",
            programs.shown()
        );
        let ended = brokered(runner, tier, ("python", &more))
            .options(["--in", "input", "--out", "out"])
            .command(["python3", "-c", &script("second_phase.py"), how, "input"])
            .arguments([data.as_os_str(), modes.as_ref()])
            .run();

        assert_eq!(text(&ended), "over\n", "{tier}");
        assert_began(&ended, Some(if how == "told" { "told" } else { "input-opened" }));
        assert_eq!(runner.read("out"), b"#!/usr/bin/true\nof a stranger\n", "{tier}");
        std::fs::remove_file(runner.path("out")).expect("it is there");
    }
}

/// The control: the same attempts where the job never says that its work begins.
fn what_is_not_taken_away_is_had_again_in_all_these_ways(runner: &Runner) {
    if !has_python() {
        return;
    }
    let programs = Programs::new();
    let data = programs.put("data", "shown");
    runner.put("input", "x");
    for tier in TIERS {
        let more = format!("{}[phase.work]\nbegins = \"told\"\nwrite = [\"/job\"]\n{ALL}", programs.shown());
        let ended = brokered(runner, tier, ("python", &more))
            .options(["--in", "input"])
            .command(["python3", "-c", &script("second_phase.py"), "opened", "input"])
            .arguments([data.as_os_str(), "none".as_ref()])
            .run();

        let had = text(&ended);
        for who in ["main", "thread", "child"] {
            for what in [
                "open /usr/bin/true RDONLY",
                "open /usr/bin/true PATH",
                "list /usr/lib",
                "open by a link /usr/lib",
                "open true in /usr/bin",
                "open bin/true from path",
                "execute",
                "execute true from /usr/bin",
                "open true in /usr/bin by chdir",
            ] {
                assert!(had.contains(&format!("{who} {what}: ")), "{who} {what} in {tier}: {had}");
            }
            assert!(had.contains(&format!("{who} open {} RDONLY: ", data.display())), "{tier}: {had}");
        }
        assert_began(&ended, None);
    }
}

/// Whether the report says that the work began, and by what.
#[track_caller]
fn assert_began(ended: &Ended<'_>, by: Option<&str>) {
    let work = &ended.report["files"]["work"];
    assert_eq!(work["by"].as_str(), by, "{work}");
    let wall = ended.took.as_micros();
    match by {
        Some(_) => assert!(work["began_us"].as_u64().is_some_and(|began| u128::from(began) < wall), "{work}"),
        None => assert!(work.is_object() && work["began_us"].is_null(), "{work}"),
    }
}

fn nothing_of_the_first_phase_is_had_again_when_an_input_was_opened(runner: &Runner) {
    second_phase(runner, "opened", "input-opened");
}

fn nothing_of_the_first_phase_is_had_again_when_the_job_said_so(runner: &Runner) {
    second_phase(runner, "told", "told");
    second_phase(runner, "told", "input-opened");
}

fn nothing_of_the_first_phase_is_had_again_when_a_child_opened_an_input(runner: &Runner) {
    second_phase(runner, "child", "input-opened");
}

fn what_the_second_phase_names_is_left_and_no_more(runner: &Runner) {
    let programs = Programs::new();
    programs.put("kept", "kept\n");
    programs.put("left", "left\n");
    runner.put("input", "x\n");
    let place = programs.path("");
    let place = place.display();
    let script = format!(
        "in=$PWD; read x <$in/input; read y <{place}/kept; echo $y; (read y <{place}/left) 2>/dev/null || echo gone; \
         (: >{place}/kept) 2>/dev/null || echo still; : >$TMPDIR/made && echo made; \
         (: >$in/beside) 2>/dev/null || echo not beside; (read x <$in/input) 2>/dev/null || echo input gone"
    );
    for tier in TIERS {
        let more = format!("{}[phase.work]\nread = [\"{place}/kept\"]\nwrite = [\"/tmp\"]\n", programs.shown());
        let ended = brokered(runner, tier, ("shell", &more)).options(["--in", "input"]).shell(&script).run();

        assert_eq!(text(&ended), "kept\ngone\nstill\nmade\nnot beside\ninput gone\n", "{tier}: {}", ended.stderr);
    }
}

/// Nobody knows of it what it does, and its work has not begun.
fn what_the_job_has_or_made_is_not_executed(runner: &Runner) {
    runner.put("input", "#!/bin/sh\necho executed\n");
    let script = "cp /usr/bin/true made; cp /usr/bin/true $TMPDIR/made; printf '#!/bin/sh\\n' >script; chmod 700 script made; \
                  for each in ./made $TMPDIR/made ./script ./input; do $each 2>/dev/null || echo $?; done";
    for tier in TIERS {
        let ended = brokered(runner, tier, ("shell", "[phase.work]\nwrite = [\"/job\"]\n"))
            .options(["--in", "input"])
            .shell(script)
            .run();

        assert_eq!(text(&ended), "126\n126\n126\n126\n", "{tier}: {}", ended.stderr);
        assert_began(&ended, None);
    }
}

fn files_of_the_first_phase_alone_are_shown_and_gone(runner: &Runner) {
    let programs = Programs::new();
    let data = programs.put("data", "shown\n");
    runner.put("input", "x\n");
    let script = format!("read y <{0}; echo $y; read x <input; (read y <{0}) 2>/dev/null || echo gone", data.display());
    for tier in TIERS {
        let more = format!("[phase.init]\n{}[phase.work]\nwrite = [\"/job\"]\n", programs.shown());
        let ended = brokered(runner, tier, ("shell", &more)).options(["--in", "input"]).shell(&script).run();

        assert_eq!(text(&ended), "shown\ngone\n", "{tier}: {}", ended.stderr);
        assert_began(&ended, Some("input-opened"));
        let refused = ended.report["files"]["refused"].to_string();
        assert!(refused.contains("[phase.work] read = ["), "{refused}");
    }
}

/// Opens in Python, which need not be the first of the inputs, nor by its name.
const WAYS: [&str; 12] = [
    "os.open('first', 0)",
    "os.open('second', 0)",
    "os.open('second', os.O_RDWR)",
    "os.open('second', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)",
    "os.rename('second', 'other'); os.open('other', 0)",
    "os.link('second', 'other'); os.open('other', 0)",
    "os.symlink('second', 'other'); os.open('other', 0)",
    "os.mkdir('d'); os.rename('second', 'd/x'); os.open('x', 0, dir_fd=os.open('d', 0))",
    "os.open('second', os.O_PATH)",
    "os.open('.//./second', 0)",
    // Without namespaces there is no such link.
    "os.open('/proc/self/cwd/second' if os.path.exists('/proc/self/cwd') else 'second', 0)",
    "os.open(f'/proc/self/fd/{os.open(os.getcwd(), os.O_RDONLY)}/second', os.O_RDONLY | os.O_NOFOLLOW)",
];

fn every_input_counts_and_every_way_to_open_it(runner: &Runner) {
    if !has_python() {
        return;
    }
    runner.put("first", "1");
    runner.put("second", "2");
    for tier in TIERS {
        for way in WAYS {
            let program = format!(
                "import os\n{way}\ntry:\n    os.open('/usr/bin/true', 0)\n    print('there')\nexcept OSError:\n    print('gone')"
            );
            let ended = brokered(runner, tier, ("python", "[phase.work]\nwrite = [\"/job\"]\n"))
                .options(["--in", "first", "--in", "second"])
                .command(["python3", "-c", &program])
                .run();

            assert_eq!(text(&ended), "gone\n", "{tier}: {way}");
            assert_began(&ended, Some("input-opened"));
        }
    }
}

fn looking_at_an_input_begins_nothing(runner: &Runner) {
    runner.put("input", "x");
    for tier in TIERS {
        let script = "ls -l input >/dev/null; test -r input; stat input >/dev/null; mv input other; cat /usr/bin/true >/dev/null && echo there";
        let ended = brokered(runner, tier, ("shell", "[phase.work]\nwrite = [\"/job\"]\n"))
            .options(["--in", "input"])
            .shell(script)
            .run();

        assert_eq!(text(&ended), "there\n", "{tier}: {}", ended.stderr);
        assert_began(&ended, None);
    }
}

fn a_job_that_says_so_is_not_held_to_its_inputs(runner: &Runner) {
    runner.put("input", "x");
    for tier in TIERS {
        let more = "[phase.work]\nbegins = \"told\"\nwrite = [\"/job\"]\n";
        let script = "cat input && cat /usr/bin/true >/dev/null && echo there";
        let ended = brokered(runner, tier, ("shell", more)).options(["--in", "input"]).shell(script).run();

        assert_eq!(text(&ended), "xthere\n", "{tier}: {}", ended.stderr);
        assert_began(&ended, None);
    }
}

fn a_job_that_opens_no_input_goes_on_in_its_first_phase(runner: &Runner) {
    for tier in TIERS {
        let more = "[phase.work]\n";
        let ended = brokered(runner, tier, ("shell", more)).shell("echo x >own; cat own; ls own").run();

        assert_eq!(text(&ended), "x\nown\n", "{tier}: {}", ended.stderr);
        assert_began(&ended, None);
    }
}

/// A program that prints whether a file was there, whether its work begins, and whether it is there still.
fn says_so(runner: &Runner, programs: &Programs, program: &Path) {
    let data = programs.put("data", "shown");
    for tier in TIERS {
        let more = format!("{}[phase.work]\nbegins = \"told\"\n", programs.shown());
        let ended = brokered(runner, tier, ("default", &more)).command([program, &data]).run();

        assert_eq!(text(&ended), "there\ntrue\nrefused\n", "{tier}");
        assert_began(&ended, Some("told"));

        // Without a second phase there is nothing to begin.
        let ended = brokered(runner, tier, ("default", &programs.shown())).command([program, &data]).run();

        assert_eq!(text(&ended), "there\nfalse\nthere\n", "{tier}");
    }
}

fn a_program_in_c_says_so(runner: &Runner) {
    let programs = Programs::new();
    let Some(program) = programs.compile("begins.c", "begins", &[]) else { return };

    says_so(runner, &programs, &program);
}

fn a_program_in_rust_says_so(runner: &Runner) {
    // target/debug/deps/files-0123456789abcdef, and target/debug/examples.
    let test = std::env::current_exe().expect("the test's own path is known");
    let directory = test.ancestors().nth(2).expect("tests are built two directories deep");
    let example = directory.join("examples/work-begins");
    if !example.exists() {
        let target = directory.parent().expect("a profile's directory lies in the target directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "-p", "lazaret-e2e", "--example", "work-begins", "--target-dir"]).arg(target);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
        assert!(built.success(), "{built}");
    }
    let programs = Programs::new();
    let program = programs.path("work-begins");
    let copied = Command::new("cp").arg(&example).arg(&program).status().expect("cp can be started");
    assert!(copied.success(), "{copied}");

    says_so(runner, &programs, &program);
}
