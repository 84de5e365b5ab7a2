//! Profiles in tier seccomp, on the same files.

use crate::{assert_done, assert_well_behaved, wallpaper};
use lazaret_e2e::{Runner, as_root_and_user, installed};

as_root_and_user![
    a_photograph_becomes_a_thumbnail_that_is_the_jails,
    a_drawing_becomes_a_picture,
    programs_compute_from_standard_input,
    nothing_is_started_or_written,
];

/// `convert` under the profile in a tier, from `input`.
fn convert(runner: &Runner, tier: &str, input: &str, output: &str, how: &[&str]) {
    let options = ["--tier", tier, "--profile", "imagemagick", "--in", input, "--out", output, "--", "convert", input];
    let ran = runner.run(&[&options[..], how, &[output]].concat());

    assert_eq!((ran.report.kind(), ran.status), ("ok", Some(0)), "{ran}");
    // An ordinary user's job may change no mode in this tier, and fontconfig does without.
    let refused = ran.report.refused();
    let may_be_refused = if tier == "seccomp" && !runner.is_root() { &["fchmod"][..] } else { &[] };
    assert!(refused.iter().all(|call| may_be_refused.contains(call)), "{ran}");
    assert_eq!(ran.report["tier"], tier);
}

fn a_photograph_becomes_a_thumbnail_that_is_the_jails(runner: &Runner) {
    if !installed("/usr/bin/convert", "imagemagick") || !installed("/usr/bin/ffmpeg", "ffmpeg") {
        return;
    }
    let Some(wallpaper) = wallpaper() else { return };
    let from = wallpaper.to_str().expect("packages have simple names");
    let scaled = ["-nostdin", "-loglevel", "error", "-y", "-i", from, "-vf", "scale=4096:3072", "-frames:v", "1"];
    assert_done(&runner.bare("/usr/bin/ffmpeg", &[&scaled[..], &["photo.jpg"]].concat()));

    for (tier, output) in [("jail", "jail.png"), ("seccomp", "filter.png")] {
        convert(runner, tier, "photo.jpg", output, &["-strip", "-resize", "256x256"]);
    }

    let difference = runner.bare("/usr/bin/compare", &["-metric", "AE", "jail.png", "filter.png", "null:"]);
    assert_eq!((difference.status, difference.stderr().trim()), (Some(0), "0"), "{difference}");
}

const DRAWING: &str =
    "<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'><circle cx='32' cy='32' r='30'/></svg>";

fn a_drawing_becomes_a_picture(runner: &Runner) {
    if !installed("/usr/bin/convert", "imagemagick") {
        return;
    }
    runner.put("drawing.svg", DRAWING);

    convert(runner, "seccomp", "drawing.svg", "drawing.png", &["-resize", "100x100"]);

    let ran = runner.bare("/usr/bin/identify", &["-format", "%m", "drawing.png"]);
    assert_eq!(ran.stdout(), "PNG", "{ran}");
}

const TABLE: &str = "Venice 40\nRagusa 30\nMarseille 25\n";

fn pure<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [&["--tier", "seccomp", "--profile", "pure", "--stdin", "--"], command].concat()
}

fn programs_compute_from_standard_input(runner: &Runner) {
    for (command, expected) in [
        (&["sort"][..], "Marseille 25\nRagusa 30\nVenice 40\n"),
        (&["cut", "-d ", "-f2"], "40\n30\n25\n"),
        (&["sha256sum"], "8d54bc77d03bd73beef2d4e96d359cecb97f0d4b5f6a7dbafd38927598e0265f  -\n"),
    ] {
        let ran = runner.run_with(&pure(command), TABLE.as_bytes());

        assert_well_behaved(&ran);
        assert_eq!(ran.stdout(), expected, "{ran}");
    }
}

fn nothing_is_started_or_written(runner: &Runner) {
    for command in [&["sh", "-c", "/usr/bin/id; echo more"][..], &["touch", "new"], &["mkdir", "new"]] {
        let ran = runner.run_with(&pure(command), b"");

        assert!(!ran.stdout().contains("uid="), "{ran}");
        assert!(!ran.report.refused().is_empty(), "{ran}");
    }
}
