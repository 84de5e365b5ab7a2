use crate::{assert_done, assert_failed_without, assert_well_behaved, server};
use lazaret_e2e::{Ran, Runner, as_root_and_user, installed};

as_root_and_user![
    a_film_is_made_converted_and_taken_apart,
    x265_does_without_the_nodes_of_memory,
    a_playlist_cannot_read_the_hosts_films,
    a_playlist_cannot_reach_the_hosts_servers,
    a_film_cut_short_hurts_nobody,
    no_other_program_is_started,
];

const FFMPEG: &str = "/usr/bin/ffmpeg";
const QUIET: [&str; 4] = ["ffmpeg", "-nostdin", "-loglevel", "error"];

fn there() -> bool {
    installed(FFMPEG, "ffmpeg")
}

fn ffmpeg(runner: &Runner, files: &[&str], args: &[&str]) -> Ran {
    runner.run(&[&["--profile", "ffmpeg"], files, &["--"], &QUIET, args].concat())
}

/// `film.mp4` in the work directory: two seconds of a test picture with a tone.
fn film(runner: &Runner) -> Ran {
    let picture = "testsrc=size=320x240:rate=25:duration=2";
    let tone = "sine=frequency=440:duration=2";
    let args = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p", "film.mp4"];
    ffmpeg(runner, &["--out", "film.mp4"], &args)
}

/// Codec, width and height of each stream.
fn streams(runner: &Runner, name: &str) -> String {
    let ran = runner.run(&[
        "--profile",
        "ffmpeg",
        "--in",
        name,
        "--",
        "ffprobe",
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name,width,height",
        "-of",
        "csv=p=0",
        name,
    ]);
    assert_well_behaved(&ran);
    ran.stdout().replace('\n', " ").trim().to_owned()
}

fn a_film_is_made_converted_and_taken_apart(runner: &Runner) {
    if !there() {
        return;
    }
    let input = ["--in", "film.mp4"];

    let made = film(runner);
    let webm = ["-i", "film.mp4", "-c:v", "libvpx", "-c:a", "libopus", "film.webm"];
    let webm = ffmpeg(runner, &[&input[..], &["--out", "film.webm"]].concat(), &webm);
    let picture = ["-ss", "1", "-i", "film.mp4", "-frames:v", "1", "-vf", "drawtext=text=one:fontsize=40", "film.png"];
    let picture = ffmpeg(runner, &[&input[..], &["--out", "film.png"]].concat(), &picture);
    let sound = ["-i", "film.mp4", "-vn", "film.wav", "-vn", "film.mp3"];
    let sound = ffmpeg(runner, &[&input[..], &["--out", "film.wav", "--out", "film.mp3"]].concat(), &sound);

    for ran in [&made, &webm, &picture, &sound] {
        assert_well_behaved(ran);
        assert!(ran.stderr.is_empty(), "{ran}");
    }
    assert_eq!(streams(runner, "film.mp4"), "h264,320,240 aac");
    assert_eq!(streams(runner, "film.webm"), "vp8,320,240 opus");
    assert_eq!(streams(runner, "film.png"), "png,320,240");
    assert_eq!((streams(runner, "film.wav"), streams(runner, "film.mp3")), ("pcm_s16le".into(), "mp3".into()));
}

fn x265_does_without_the_nodes_of_memory(runner: &Runner) {
    if !there() {
        return;
    }
    film(runner).succeeded();

    let args = ["-i", "film.mp4", "-c:v", "libx265", "-t", "0.5", "-an", "new.mp4"];
    let ran = ffmpeg(runner, &["--in", "film.mp4", "--out", "new.mp4"], &args);

    assert_well_behaved(&ran);
    assert_eq!(streams(runner, "new.mp4"), "hevc,320,240");
}

/// A playlist whose only part is `part`, and the options of a caller who did nothing against it.
fn playlist(runner: &Runner, part: &str) -> [&'static str; 8] {
    runner.put("list.m3u8", format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{part}\n#EXT-X-ENDLIST\n"));
    ["-protocol_whitelist", "file,http,tcp,crypto,data", "-allowed_extensions", "ALL", "-i", "list.m3u8", "-c", "copy"]
}

fn a_playlist_cannot_read_the_hosts_films(runner: &Runner) {
    if !there() {
        return;
    }
    film(runner).succeeded();
    assert_done(&runner.bare(FFMPEG, &["-nostdin", "-i", "film.mp4", "-c", "copy", "private.ts"]));
    let args = playlist(runner, &format!("file://{}", runner.path("private.ts").display()));
    let outside = runner.bare(FFMPEG, &[&QUIET[1..], &args, &["outside.mp4"]].concat());
    assert_done(&outside);
    assert!(runner.path("outside.mp4").exists(), "outside the jail it can: {outside}");

    let ran = ffmpeg(runner, &["--in", "list.m3u8", "--out", "leaked.mp4"], &[&args[..], &["leaked.mp4"]].concat());

    assert_failed_without("leaked.mp4", runner, &ran);
}

fn a_playlist_cannot_reach_the_hosts_servers(runner: &Runner) {
    if !there() {
        return;
    }
    let (server, address) = server();
    let args = playlist(runner, &format!("http://{address}/metadata.ts"));
    let args = [&["-rw_timeout", "300000"][..], &args, &["leaked.mp4"]].concat();
    runner.bare(FFMPEG, &[&QUIET[1..], &args].concat());
    assert!(server.accept().is_ok(), "outside the jail it can");
    while server.accept().is_ok() {}

    let ran = ffmpeg(runner, &["--in", "list.m3u8", "--out", "leaked.mp4"], &args);

    assert_failed_without("leaked.mp4", runner, &ran);
    assert!(server.accept().is_err(), "nobody came");
    assert_eq!(ran.report.refused(), ["socket"], "{ran}");
}

fn a_film_cut_short_hurts_nobody(runner: &Runner) {
    if !there() {
        return;
    }
    film(runner).succeeded();
    let film = runner.read("film.mp4");
    runner.put("cut.mp4", &film[..film.len() / 2]);

    let ran = ffmpeg(runner, &["--in", "cut.mp4", "--out", "new.mp4"], &["-i", "cut.mp4", "new.mp4"]);

    assert_failed_without("new.mp4", runner, &ran);
}

fn no_other_program_is_started(runner: &Runner) {
    let ran = runner.run(&["--profile", "ffmpeg", "--", "sh", "-c", "true; /usr/bin/id; echo more"]);

    assert!(!ran.stdout().contains("uid="), "{ran}");
    assert_eq!(ran.report.kind(), "exit", "{ran}");
}
