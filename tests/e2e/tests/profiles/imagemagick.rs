use crate::{assert_done, assert_failed_without, assert_well_behaved, material, server, wallpaper};
use lazaret_e2e::{Ran, Runner, as_root_and_user, installed};

as_root_and_user![
    a_photograph_becomes_a_thumbnail,
    a_photograph_of_50_megapixels_becomes_a_thumbnail_in_every_format,
    text_is_written_in_the_fonts_of_the_host,
    a_drawing_becomes_a_picture,
    pictures_are_identified_changed_and_put_together,
    a_photograph_cut_short_or_damaged_hurts_nobody,
    a_picture_of_900_megapixels_is_given_up_by_itself,
    a_picture_that_needs_more_than_the_memory_limit_ends_the_job_alone,
    a_pixel_cache_larger_than_a_file_may_be_is_named,
    a_drawing_cannot_fetch_the_hosts_pictures,
    a_drawing_cannot_run_commands_or_fetch_addresses,
    a_file_that_is_two_kinds_at_once_makes_nothing,
];

const CONVERT: &str = "/usr/bin/convert";
const IDENTIFY: &str = "/usr/bin/identify";

fn there() -> bool {
    installed(CONVERT, "imagemagick") && installed("/usr/bin/ffmpeg", "ffmpeg")
}

/// `photo.jpg` in the work directory, `width` × `height`.
fn photograph(runner: &Runner, width: u32, height: u32) -> bool {
    let Some(wallpaper) = wallpaper() else { return false };
    let size = format!("scale={width}:{height}");
    let from = wallpaper.to_str().expect("packages have simple names");
    let args =
        ["-nostdin", "-loglevel", "error", "-y", "-i", from, "-vf", &size, "-frames:v", "1", "-q:v", "3", "photo.jpg"];
    assert_done(&runner.bare("/usr/bin/ffmpeg", &args));
    true
}

/// The format, size and number of colours of a picture, all of which is decoded, without a warning.
fn look(runner: &Runner, name: &str) -> String {
    let ran = runner.bare(IDENTIFY, &["-regard-warnings", "-format", "%m %wx%h", name]);
    assert_done(&ran);
    assert_done(&runner.bare(CONVERT, &["-regard-warnings", name, "null:"]));
    ran.stdout()
}

fn colour(runner: &Runner, name: &str) -> String {
    let ran = runner.bare(CONVERT, &[name, "-resize", "1x1!", "-depth", "8", "-format", "%[hex:p{0,0}]", "info:"]);
    assert_done(&ran);
    ran.stdout()
}

fn thumbnail(runner: &Runner, from: &str) -> Ran {
    runner.run(&[
        "--profile",
        "imagemagick",
        "--in",
        from,
        "--out",
        "thumb.png",
        "--",
        "convert",
        from,
        "-resize",
        "256x256",
        "thumb.png",
    ])
}

fn a_photograph_becomes_a_thumbnail(runner: &Runner) {
    if !there() || !photograph(runner, 4096, 3072) {
        return;
    }

    let ran = thumbnail(runner, "photo.jpg");

    assert_well_behaved(&ran);
    assert_eq!(look(runner, "thumb.png"), "PNG 256x192");
}

fn a_photograph_of_50_megapixels_becomes_a_thumbnail_in_every_format(runner: &Runner) {
    if !there() || !photograph(runner, 8192, 6144) {
        return;
    }

    let ran = runner.run(&[
        "--profile",
        "imagemagick",
        "--in",
        "photo.jpg",
        "--out",
        "a.jpg",
        "--out",
        "a.webp",
        "--out",
        "a.tiff",
        "--out",
        "a.gif",
        "--",
        "convert",
        "photo.jpg",
        "-thumbnail",
        "400x400",
        "-write",
        "a.jpg",
        "-write",
        "a.webp",
        "-write",
        "a.tiff",
        "a.gif",
    ]);

    assert_well_behaved(&ran);
    let found = ["a.jpg", "a.webp", "a.tiff", "a.gif"].map(|name| look(runner, name));
    assert_eq!(found, ["JPEG 400x300", "WEBP 400x300", "TIFF 400x300", "GIF 400x300"]);
}

fn text_is_written_in_the_fonts_of_the_host(runner: &Runner) {
    if !there() || !installed("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "fonts-dejavu-core") {
        return;
    }
    let args = |text| {
        [
            "-size",
            "400x120",
            "xc:white",
            "-font",
            "DejaVu-Sans",
            "-pointsize",
            "32",
            "-annotate",
            "+10+60",
            text,
            "text.pgm",
        ]
    };
    let job = ["--profile", "imagemagick", "--out", "text.pgm", "--", "convert"];

    let ran = runner.run(&[&job[..], &args("Quarantine")[..]].concat());

    assert_well_behaved(&ran);
    let jailed = runner.read("text.pgm");
    assert_done(&runner.bare(CONVERT, &args("Quarantine")));
    assert_eq!(jailed, runner.read("text.pgm"), "the same glyphs as outside");
    assert_done(&runner.bare(CONVERT, &args("")));
    assert_ne!(jailed, runner.read("text.pgm"), "there are glyphs");
}

fn a_drawing_becomes_a_picture(runner: &Runner) {
    if !there() || !installed("/usr/bin/rsvg-convert", "librsvg2-bin") {
        return;
    }
    let circle = "<svg xmlns='http://www.w3.org/2000/svg' width='100' height='50'><rect width='100' height='50' fill='#00f'/></svg>";
    runner.put("circle.svg", circle);

    let ran = runner.run(&[
        "--profile",
        "imagemagick",
        "--in",
        "circle.svg",
        "--out",
        "circle.png",
        "--",
        "convert",
        "circle.svg",
        "circle.png",
    ]);

    assert_well_behaved(&ran);
    assert_eq!((look(runner, "circle.png").as_str(), &colour(runner, "circle.png")[..6]), ("PNG 100x50", "0000FF"));
}

fn pictures_are_identified_changed_and_put_together(runner: &Runner) {
    if !there() || !photograph(runner, 640, 480) {
        return;
    }
    let job = ["--profile", "imagemagick", "--in", "photo.jpg"];
    let run = |more: &[&str]| runner.run(&[&job[..], more].concat());

    let identified = run(&["--", "identify", "photo.jpg"]);
    let changed = run(&["--out", "photo.jpg:half.jpg", "--", "mogrify", "-resize", "50%", "photo.jpg"]);
    let together = run(&["--out", "m.png", "--", "montage", "photo.jpg", "photo.jpg", "-geometry", "100x75", "m.png"]);

    assert!(identified.stdout().starts_with("photo.jpg JPEG 640x480"), "{identified}");
    for ran in [&identified, &changed, &together] {
        assert_well_behaved(ran);
    }
    assert_eq!((look(runner, "half.jpg"), look(runner, "m.png")), ("JPEG 320x240".into(), "PNG 200x75".into()));
    assert_eq!(look(runner, "photo.jpg"), "JPEG 640x480", "the input itself is as it was");
}

fn a_photograph_cut_short_or_damaged_hurts_nobody(runner: &Runner) {
    if !there() || !photograph(runner, 1024, 768) {
        return;
    }
    let mut photo = runner.read("photo.jpg");
    runner.put("cut.jpg", &photo[..photo.len() / 3]);
    runner.put("stub.jpg", &photo[..100]);
    for at in (600..photo.len()).step_by(499) {
        photo[at] ^= 0x5a;
    }
    runner.put("damaged.jpg", &photo);

    for upload in ["cut.jpg", "stub.jpg", "damaged.jpg"] {
        let ran = thumbnail(runner, upload);

        // What can be read of it is a thumbnail; otherwise the verdict says that the program failed.
        assert!(matches!(ran.report.kind(), "ok" | "exit"), "{ran}");
        assert!(!ran.stderr.is_empty(), "{ran}");
        assert!(ran.report.refused().is_empty(), "{ran}");
    }
}

fn a_picture_of_900_megapixels_is_given_up_by_itself(runner: &Runner) {
    if !there() {
        return;
    }
    runner.bring(&material("bombs.py"));
    assert_done(&runner.bare("/usr/bin/python3", &["bombs.py"]));

    for upload in ["bomb.png", "bomb.gif"] {
        let ran = thumbnail(runner, upload);

        assert_failed_without("thumb.png", runner, &ran);
    }
}

/// ImageMagick handles SIGXFSZ, removes its cache, and exits.
fn a_pixel_cache_larger_than_a_file_may_be_is_named(runner: &Runner) {
    if !there() {
        return;
    }

    let limits = ["--profile", "imagemagick", "--limit", "file-size=20MiB", "--"];
    let command =
        ["convert", "-limit", "memory", "1MiB", "-limit", "map", "1MiB", "-size", "5000x5000", "xc:red", "o.png"];
    let ran = runner.run(&[&limits[..], &command[..]].concat());

    assert_eq!((ran.report.kind(), ran.status), ("file-size-limit", Some(123)), "{ran}");
}

fn a_picture_that_needs_more_than_the_memory_limit_ends_the_job_alone(runner: &Runner) {
    if !there() {
        return;
    }
    assert_done(&runner.bare(CONVERT, &["-size", "6000x6000", "xc:navy", "-depth", "8", "large.png"]));

    let ran = runner.run(&[
        "--profile",
        "imagemagick",
        "--limit",
        "memory=200MiB",
        "--in",
        "large.png",
        "--out",
        "thumb.png",
        "--",
        "convert",
        "large.png",
        "-resize",
        "256x256",
        "thumb.png",
    ]);

    if ran.report.holding("cgroup-memory") == "yes" {
        assert_eq!((ran.report.kind(), ran.status), ("memory-limit", Some(123)), "{ran}");
        assert!(!runner.path("thumb.png").exists(), "{ran}");
    } else {
        // Without a group only addresses are bounded: refused them, ImageMagick fails, or makes do with a file in /tmp.
        assert!(matches!(ran.report.kind(), "ok" | "exit"), "{ran}");
    }
}

fn a_drawing_cannot_fetch_the_hosts_pictures(runner: &Runner) {
    if !there() {
        return;
    }
    assert_done(&runner.bare(CONVERT, &["-size", "64x64", "xc:red", "private.png"]));
    let private = runner.path("private.png");
    runner.put("drawing.mvg", format!("viewbox 0 0 64 64\nimage over 0,0 64,64 '{}'\n", private.display()));
    runner.bare(CONVERT, &["mvg:drawing.mvg", "outside.png"]);
    assert_eq!(&colour(runner, "outside.png")[..6], "FF0000", "outside the jail it can");

    let ran = runner.run(&[
        "--profile",
        "imagemagick",
        "--in",
        "drawing.mvg",
        "--out",
        "drawn.png",
        "--",
        "convert",
        "mvg:drawing.mvg",
        "drawn.png",
    ]);

    assert_ne!(ran.report.kind(), "", "{ran}");
    let drawn = runner.path("drawn.png").exists().then(|| colour(runner, "drawn.png"));
    assert!(drawn.is_none_or(|colour| !colour.starts_with("FF0000")), "{ran}");
}

/// CVE-2016-3714 and its kin, "ImageTragick".
fn a_drawing_cannot_run_commands_or_fetch_addresses(runner: &Runner) {
    if !there() {
        return;
    }
    let (server, address) = server();
    let work = runner.work();
    runner.put(
        "tragick.mvg",
        format!(
            "push graphic-context\nviewbox 0 0 64 48\nimage over 0,0 0,0 'http://{address}/x.png'\n\
             image over 0,0 0,0 'msl:/etc/passwd'\nimage over 0,0 0,0 'ephemeral:{work}/kept'\n\
             fill 'url(https://{address}/\"|touch \"{work}/ran)'\npop graphic-context\n",
            work = work.display()
        ),
    );
    runner.put("kept", "kept");

    let ran = runner.run(&[
        "--profile",
        "imagemagick",
        "--in",
        "tragick.mvg",
        "--out",
        "t.png",
        "--",
        "convert",
        "mvg:tragick.mvg",
        "t.png",
    ]);

    assert_eq!(ran.report.kind(), "exit", "{ran}");
    assert!(server.accept().is_err(), "nobody came");
    assert!(!runner.path("ran").exists() && runner.path("kept").exists(), "{ran}");
}

fn a_file_that_is_two_kinds_at_once_makes_nothing(runner: &Runner) {
    if !there() {
        return;
    }
    runner.put("shell.jpg", b"\xff\xd8\xff\xe0\n#!/bin/sh\ntouch /job/ran; cat /etc/passwd\n");
    runner.put("postscript.jpg", "%!PS\n(/etc/passwd) (r) file 100 string readstring pop print\nshowpage\n");

    for upload in ["shell.jpg", "postscript.jpg"] {
        let ran = thumbnail(runner, upload);

        assert_failed_without("thumb.png", runner, &ran);
        assert!(!ran.stdout().contains("nobody"), "{ran}");
    }
}
