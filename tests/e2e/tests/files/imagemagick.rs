//! ImageMagick, whose configuration, fonts and decoder are loaded first, and whose decoder a picture takes over then.

use crate::{Programs, TIERS, brokered, text};
use lazaret_e2e::{Runner, as_root_and_user, installed};
use std::path::{Path, PathBuf};

as_root_and_user![
    a_picture_that_takes_over_the_decoder_gets_nothing,
    without_a_second_phase_it_gets_what_the_job_was_given,
];

/// A word in a font of the host is written first, as JPEG: fonts, configuration and the module of that format are loaded
/// when the picture is opened, and nothing is after that.
const CONVERT: [&str; 18] = [
    "convert",
    "-font",
    "DejaVu-Sans",
    "-background",
    "none",
    "label:proof",
    "-write",
    "jpeg:/dev/null",
    "jpeg:in.jpg",
    "-resize",
    "50%",
    "+swap",
    "-gravity",
    "south",
    "-composite",
    "-quality",
    "90",
    "jpeg:out.jpg",
];
const PHASE: &str = "[phase.work]\nwrite = [\"/job\", \"/tmp\"]\n";

/// What a stranger would have of the first phase.
const WANTED: [&str; 8] = [
    "/etc/ImageMagick-6/policy.xml",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/bin/true",
    "/etc/fonts/fonts.conf",
    "/etc/fonts",
    "/usr/lib",
    "/proc/self/maps",
];

/// Those that this host has, or nothing, and a line that says so, where the programs are missing.
fn wanted() -> Option<Vec<&'static str>> {
    let there = installed("/usr/bin/convert", "imagemagick")
        && installed("/usr/bin/ffmpeg", "ffmpeg")
        && installed(WANTED[1], "fonts-dejavu-core");
    let wanted: Vec<_> = WANTED.into_iter().filter(|path| Path::new(path).exists()).collect();
    there.then_some(wanted)
}

/// Converts a picture in `tier` with a library of a stranger's in the decoder's place, and returns what that had.
fn convert(runner: &Runner, tier: &str, phases: &str, wanted: &[&str]) -> Option<String> {
    let programs = Programs::new();
    let library = programs.compile("jpeg.c", "jpeg.so", &["-shared", "-fPIC", "-ldl"])?;
    let secret: PathBuf = runner.put("secret", "of the host");
    let made = ["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=400x300", "-frames:v", "1"];
    let made = runner.bare("/usr/bin/ffmpeg", &[&made[..], &["in.jpg"]].concat());
    assert_eq!(made.status, Some(0), "{made}");
    let environment = format!(
        "[environment]\nset = {{ LD_PRELOAD = \"{}\", PLANTED = \"{}:{}\" }}\n",
        library.display(),
        wanted.join(":"),
        secret.display()
    );
    let ended = brokered(runner, tier, ("imagemagick", &format!("{}{phases}{environment}", programs.shown())))
        .options(["--in", "in.jpg", "--out", "out.jpg"])
        .command(CONVERT)
        .run();

    text(&ended);
    let by = ended.report["files"]["work"]["by"].as_str();
    assert_eq!(by, (!phases.is_empty()).then_some("input-opened"), "{tier}");
    let thumbnail = runner.bare("/usr/bin/identify", &["-format", "%m %wx%h", "out.jpg"]);
    assert_eq!(thumbnail.stdout(), "JPEG 200x150", "{thumbnail}");
    std::fs::remove_file(runner.path("out.jpg")).expect("it is there");
    Some(ended.stderr)
}

fn a_picture_that_takes_over_the_decoder_gets_nothing(runner: &Runner) {
    let Some(wanted) = wanted() else { return };
    for tier in TIERS {
        let Some(had) = convert(runner, tier, PHASE, &wanted) else { return };

        assert_eq!(had, "tried\n", "{tier}");
    }
}

fn without_a_second_phase_it_gets_what_the_job_was_given(runner: &Runner) {
    let Some(wanted) = wanted() else { return };
    for tier in TIERS {
        let Some(had) = convert(runner, tier, "", &wanted) else { return };

        for wanted in &wanted {
            let lines = [format!("opened {wanted}\n"), format!("listed {wanted}\n")];
            assert!(lines.iter().any(|line| had.contains(line)), "{wanted} in {tier}: {had}");
        }
        assert!(had.contains("executed /usr/bin/true\n") && !had.contains("secret"), "{tier}: {had}");
    }
}
