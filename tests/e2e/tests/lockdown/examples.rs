//! The examples, on good files and on hostile ones.

use crate::{bring_library, compile, repository};
use lazaret_e2e::{PATIENCE, Ran, Runner, as_root_and_user, finish};
use std::path::Path;
use std::process::Command;

/// A BMP header of 5 by 7 pixels, and a command behind it.
fn bmp(compression: u32, command: &str) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [54, 0, 54, 40, 5, 7, 0x18_0001, compression, 0, 0, 0, 0, 0_u32] {
        file.extend(word.to_le_bytes());
    }
    file.extend(command.bytes().chain([0]));
    file
}

/// A PNG file of these chunks. No checksum is looked at.
fn png(chunks: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in chunks {
        file.extend(u32::try_from(content.len()).expect("a small chunk").to_be_bytes());
        file.extend(kind.bytes().chain(content.iter().copied()).chain([0; 4]));
    }
    file
}

fn parse(runner: &Runner, program: &str, input: &str) -> Ran {
    let mut command = runner.command(runner.path(program));
    command.args([input, "out"]).env("LD_LIBRARY_PATH", runner.work());
    let mut ran = finish(&mut command, b"", PATIENCE);
    ran.stdout = std::fs::read(runner.path("out")).unwrap_or_default();
    ran
}

/// Shared and static, and one that does not lock itself down, which shows what the hostile file does then.
fn build(runner: &Runner, compiler: &str, source: &Path) {
    bring_library(runner);
    let strict = ["-O2", "-Wall", "-Wextra", "-Werror"];
    compile(compiler, &strict, source, &runner.path("shared"), false);
    compile(compiler, &strict, source, &runner.path("static"), true);
    compile(compiler, &[&strict[..], &["-DWITHOUT_LOCKDOWN"]].concat(), source, &runner.path("bare"), false);
}

#[track_caller]
fn judge(runner: &Runner, good: &str) {
    for program in ["shared", "static"] {
        let on_good = parse(runner, program, "good");
        let on_bad = parse(runner, program, "bad");

        assert_eq!((on_good.status, on_good.stdout()), (Some(0), good.to_owned()), "{on_good}");
        assert!(on_bad.stdout().contains("the command of the file was not run"), "{on_bad}");
        assert!(!runner.path("owned").exists(), "{on_bad}");
    }
    let bare = parse(runner, "bare", "bad");
    assert!(runner.path("owned").exists(), "without a lockdown the file has its way: {bare}");
}

fn the_example_in_c_reads_good_pictures_and_a_hostile_one_gains_nothing(runner: &Runner) {
    build(runner, "gcc", &repository().join("examples/c/parse.c"));
    runner.put("good", bmp(0, ""));
    runner.put("bad", bmp(2, "touch owned"));

    judge(runner, "5 x 7, uncompressed\n");
}

fn the_example_in_cpp_reads_good_pictures_and_a_hostile_one_gains_nothing(runner: &Runner) {
    build(runner, "g++", &repository().join("examples/cpp/parse.cpp"));
    let header: &[u8] = &[0, 0, 0, 5, 0, 0, 0, 7, 8, 2, 0, 0, 0];
    runner.put("good", png(&[("IHDR", header), ("IEND", b"")]));
    runner.put("bad", png(&[("IHDR", header), ("dbUg", b"touch owned")]));
    runner.put("cut", &png(&[("IHDR", header)])[..20]);

    let cut = parse(runner, "shared", "cut");

    // An exception, thrown and caught behind the filter.
    assert_eq!((cut.status, cut.stderr()), (Some(1), "parse: a chunk is cut off\n".to_owned()), "{cut}");
    judge(runner, "IHDR: 5 x 7\n");
}

as_root_and_user![
    the_example_in_c_reads_good_pictures_and_a_hostile_one_gains_nothing,
    the_example_in_cpp_reads_good_pictures_and_a_hostile_one_gains_nothing,
];

#[test]
fn the_example_in_rust_reads_a_picture_behind_its_lockdown() {
    let Some(runner) = Runner::user() else { return };
    let tests = std::env::current_exe().expect("the test's own path is known");
    let profile = tests.ancestors().nth(2).expect("tests are built two directories deep");
    let target = profile.parent().expect("a profile's directory lies in the target directory");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "-p", "lazaret", "--example", "lockdown", "--target-dir"]).arg(target);
    let built = build.current_dir(repository()).output().expect("cargo can be started");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let copied = Command::new("cp").arg(target.join("debug/examples/lockdown")).arg(runner.path("rust")).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy the example");
    runner.put("good", bmp(0, ""));

    let ran = parse(&runner, "rust", "good");

    assert_eq!((ran.status, ran.stdout()), (Some(0), "5 x 7\n".to_owned()), "{ran}");
}
