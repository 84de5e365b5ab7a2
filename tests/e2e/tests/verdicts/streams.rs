//! Standard input, output and error.

use crate::job::{Started, eventually, job, processes_with, token};
use lazaret_e2e::{Runner, as_root_and_user};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

as_root_and_user![
    ten_megabytes_pass_through_unchanged,
    standard_error_passes_through_unchanged,
    end_of_input_arrives,
    without_the_option_input_is_empty,
    a_job_that_reads_no_input_ends_all_the_same,
    a_job_that_closes_its_input_ends_all_the_same,
    an_open_input_does_not_keep_a_finished_job,
    a_reader_that_goes_away_breaks_the_jobs_pipe,
    a_slow_reader_gets_everything,
    a_reader_that_pauses_after_the_end_gets_everything,
    a_closed_input_is_empty,
    closed_outputs_do_no_harm,
    each_line_comes_as_it_is_written,
    output_goes_to_files_as_well,
    the_streams_can_be_opened_by_name,
    the_report_can_go_to_standard_output,
    a_reader_that_does_not_read_cannot_stop_the_clock,
    a_reader_that_does_not_read_cannot_stop_a_cancellation,
];

/// Bytes without a pattern, the same each time: xorshift.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn ten_megabytes_pass_through_unchanged(runner: &Runner) {
    let bytes = noise(10_000_000);

    let ended = job(runner).stdin(bytes.clone()).command(["cat"]).run();

    ended.expect("ok", 0);
    assert!(ended.stdout == bytes, "{} bytes came", ended.stdout.len());
    assert_eq!(ended.number("/streams/stdout/bytes"), 10_000_000);
}

fn standard_error_passes_through_unchanged(runner: &Runner) {
    let text = "0123456789abcdef".repeat(100_000);

    let ended = job(runner).stdin(text.clone()).shell("cat >&2").run();

    ended.expect("ok", 0);
    assert!(ended.stderr == text);
    assert_eq!(ended.stdout, b"");
}

fn end_of_input_arrives(runner: &Runner) {
    let ended = job(runner).stdin("a\nb\n").command(["wc", "-l"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"2\n");
}

fn without_the_option_input_is_empty(runner: &Runner) {
    let mut started = job(runner).command(["wc", "-c"]).start();
    let mut held_open = started.child.stdin.take().expect("a pipe");
    held_open.write_all(b"not for the job").expect("a pipe holds that");

    let ended = started.finish();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"0\n");
    drop(held_open);
}

fn a_job_that_reads_no_input_ends_all_the_same(runner: &Runner) {
    let ended = job(runner).stdin(noise(1_000_000)).command(["true"]).run();

    ended.expect("ok", 0);
}

fn a_job_that_closes_its_input_ends_all_the_same(runner: &Runner) {
    let ended = job(runner).stdin(noise(1_000_000)).shell("exec <&-; sleep 0.2; echo done").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"done\n");
}

fn an_open_input_does_not_keep_a_finished_job(runner: &Runner) {
    let mut started = job(runner).options(["--stdin"]).command(["true"]).start();
    let held_open = started.child.stdin.take();

    let ended = started.finish();

    ended.expect("ok", 0);
    assert!(ended.took < Duration::from_secs(8));
    drop(held_open);
}

fn a_reader_that_goes_away_breaks_the_jobs_pipe(runner: &Runner) {
    let token = token();
    let mut started = job(runner).command(["sh", "-c", "exec yes $0", &token]).start();
    first_line(&mut started);

    let ended = started.finish();

    ended.expect("signal", 141);
    assert!(ended.took < Duration::from_secs(8));
    assert!(eventually(Duration::from_secs(1), || processes_with(&token).is_empty()));
}

/// Reads a line of standard output and closes it.
fn first_line(started: &mut Started<'_>) -> String {
    let mut line = String::new();
    let stdout = started.child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    line
}

fn a_slow_reader_gets_everything(runner: &Runner) {
    let mut started = job(runner).command(["head", "-c", "2000000", "/dev/zero"]).start();
    let mut stdout = started.child.stdout.take().expect("a pipe");
    let (mut total, mut chunk) = (0, vec![0; 40_000]);
    loop {
        let length = stdout.read(&mut chunk).expect("a pipe");
        if length == 0 {
            break;
        }
        total += length;
        sleep(Duration::from_millis(5));
    }

    let ended = started.finish();

    ended.expect("ok", 0);
    assert_eq!(total, 2_000_000);
}

fn a_reader_that_pauses_after_the_end_gets_everything(runner: &Runner) {
    let mut started = job(runner).command(["head", "-c", "150000", "/dev/zero"]).start();
    let mut stdout = started.child.stdout.take().expect("a pipe");
    sleep(Duration::from_secs(12));
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).expect("a pipe");

    let ended = started.finish();

    assert_eq!(bytes.len(), 150_000, "what a job has written is not thrown away");
    ended.expect("ok", 0);
}

fn a_closed_input_is_empty(runner: &Runner) {
    let words = job(runner).options(["--stdin"]).command(["wc", "-c"]);
    let mut closing = std::process::Command::new("sh");
    closing.args(["-c", "exec \"$@\" <&-", "sh"]).args(words.words()).current_dir(runner.work());

    let output = closing.output().expect("a shell");

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"0\n");
}

fn closed_outputs_do_no_harm(runner: &Runner) {
    let run = job(runner).shell("echo x; echo y >&2; exit 5");
    let mut closing = std::process::Command::new("sh");
    closing.args(["-c", "exec \"$@\" >&- 2>&-", "sh"]).args(run.words()).current_dir(runner.work());

    let status = closing.status().expect("a shell");

    assert_eq!(status.code(), Some(5));
    assert_eq!(runner.report().kind(), "exit");
}

fn each_line_comes_as_it_is_written(runner: &Runner) {
    let script = "while read a; do echo out-$a; read b; echo err-$b >&2; done";
    let mut started = job(runner).options(["--stdin"]).shell(script).start();
    let mut stdin = started.child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(started.child.stdout.take().expect("a pipe"));
    let mut stderr = BufReader::new(started.child.stderr.take().expect("a pipe"));
    let mut seen = String::new();
    for turn in 0..50 {
        writeln!(stdin, "{turn}").expect("a pipe");
        stdout.read_line(&mut seen).expect("a line");
        writeln!(stdin, "{turn}").expect("a pipe");
        stderr.read_line(&mut seen).expect("a line");
    }
    drop(stdin);

    let ended = started.finish();

    let expected: String = (0..50).map(|turn| format!("out-{turn}\nerr-{turn}\n")).collect();
    assert_eq!(seen, expected);
    ended.expect("ok", 0);
}

fn output_goes_to_files_as_well(runner: &Runner) {
    let run = job(runner).shell("head -c 300000 /dev/zero; echo e >&2");
    let file = fs::File::create(runner.path("stdout")).expect("an own file");
    let mut command = run.prepared();

    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).status().expect("it runs");

    assert_eq!(status.code(), Some(0));
    assert_eq!(runner.read("stdout").len(), 300_000);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

fn the_streams_can_be_opened_by_name(runner: &Runner) {
    let script = "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr; echo again > /proc/self/fd/1";
    let ended = job(runner).stdin("in\n").shell(script).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"in\nagain\n");
    assert_eq!(ended.stderr, "e\n");
}

fn the_report_can_go_to_standard_output(runner: &Runner) {
    let mut args = vec!["run", "--report", "-"];
    args.extend(runner.options());
    args.extend(["--", "true"]);

    let ran = runner.lazaret(&args);

    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("a report is JSON");
    assert_eq!(report["verdict"]["kind"], "ok");
}

fn a_reader_that_does_not_read_cannot_stop_the_clock(runner: &Runner) {
    let run = job(runner).limit("wall=1s");
    let mut started = run.shell("while :; do echo 0123456789; done").start();
    let unread = started.child.stdout.take();
    sleep(Duration::from_secs(6));
    drop(unread);

    let ended = started.finish();

    ended.expect_limit("timeout", 124, "wall", "1s");
    let wall = ended.number("/usage/wall_us");
    assert!(wall < 3_000_000, "{wall}");
}

fn a_reader_that_does_not_read_cannot_stop_a_cancellation(runner: &Runner) {
    let token = token();
    let script = "while :; do echo 0123456789; done";
    let mut started = job(runner).command(["sh", "-c", script, &token]).start();
    let unread = started.child.stdout.take();
    sleep(Duration::from_secs(1));

    started.signal("TERM");
    let dead = eventually(Duration::from_secs(3), || started.child.try_wait().expect("an own child").is_some());
    drop(unread);
    let ended = started.finish();

    assert!(dead, "Lazaret waited for its reader");
    ended.expect("cancelled", 123);
    assert!(processes_with(&token).is_empty());
}
