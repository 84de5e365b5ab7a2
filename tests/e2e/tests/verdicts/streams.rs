//! Standard input, output and error.

use crate::for_each_user;
use crate::runner::{Started, User, eventually, lazaret, processes_with, token};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

for_each_user! {
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
    the_report_can_go_to_standard_output,
}

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

fn ten_megabytes_pass_through_unchanged(user: User) {
    let bytes = noise(10_000_000);

    let ended = lazaret(user).stdin(bytes.clone()).command(["cat"]).run();

    ended.expect("ok", 0);
    assert!(ended.stdout == bytes, "{} bytes came", ended.stdout.len());
    assert_eq!(ended.number("/streams/stdout/bytes"), 10_000_000);
}

fn standard_error_passes_through_unchanged(user: User) {
    let text = "0123456789abcdef".repeat(100_000);

    let ended = lazaret(user).stdin(text.clone()).shell("cat >&2").run();

    ended.expect("ok", 0);
    assert!(ended.stderr == text);
    assert_eq!(ended.stdout, b"");
}

fn end_of_input_arrives(user: User) {
    let ended = lazaret(user).stdin("a\nb\n").command(["wc", "-l"]).run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"2\n");
}

fn without_the_option_input_is_empty(user: User) {
    let mut started = lazaret(user).command(["wc", "-c"]).start();
    let mut held_open = started.child.stdin.take().expect("a pipe");
    held_open.write_all(b"not for the job").expect("a pipe holds that");

    let ended = started.finish();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"0\n");
    drop(held_open);
}

fn a_job_that_reads_no_input_ends_all_the_same(user: User) {
    let ended = lazaret(user).stdin(noise(1_000_000)).command(["true"]).run();

    ended.expect("ok", 0);
}

fn a_job_that_closes_its_input_ends_all_the_same(user: User) {
    let ended = lazaret(user).stdin(noise(1_000_000)).shell("exec <&-; sleep 0.2; echo done").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"done\n");
}

fn an_open_input_does_not_keep_a_finished_job(user: User) {
    let mut started = lazaret(user).options(["--stdin"]).command(["true"]).start();
    let held_open = started.child.stdin.take();

    let ended = started.finish();

    ended.expect("ok", 0);
    assert!(ended.took < Duration::from_secs(8));
    drop(held_open);
}

fn a_reader_that_goes_away_breaks_the_jobs_pipe(user: User) {
    let token = token();
    let mut started = lazaret(user).command(["sh", "-c", "exec yes $0", &token]).start();
    first_line(&mut started);

    let ended = started.finish();

    ended.expect("signal", 141);
    assert!(ended.took < Duration::from_secs(8));
    assert!(eventually(Duration::from_secs(1), || processes_with(&token).is_empty()));
}

/// Reads a line of standard output and closes it.
fn first_line(started: &mut Started) -> String {
    let mut line = String::new();
    let stdout = started.child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    line
}

fn a_slow_reader_gets_everything(user: User) {
    let mut started = lazaret(user).command(["head", "-c", "2000000", "/dev/zero"]).start();
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

fn a_reader_that_pauses_after_the_end_gets_everything(user: User) {
    let mut started = lazaret(user).command(["head", "-c", "150000", "/dev/zero"]).start();
    let mut stdout = started.child.stdout.take().expect("a pipe");
    sleep(Duration::from_secs(12));
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).expect("a pipe");

    let ended = started.finish();

    assert_eq!(bytes.len(), 150_000, "what a job has written is not thrown away");
    ended.expect("ok", 0);
}

fn a_closed_input_is_empty(user: User) {
    let words = lazaret(user).options(["--stdin"]).command(["wc", "-c"]);
    let mut closing = std::process::Command::new("sh");
    closing.args(["-c", "exec \"$@\" <&-", "sh"]).args(words.words());

    let output = closing.output().expect("a shell");

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"0\n");
}

fn closed_outputs_do_no_harm(user: User) {
    let run = lazaret(user).shell("echo x; echo y >&2; exit 5");
    let mut closing = std::process::Command::new("sh");
    closing.args(["-c", "exec \"$@\" >&- 2>&-", "sh"]).args(run.words());

    let status = closing.status().expect("a shell");

    assert_eq!(status.code(), Some(5));
    assert!(run.path("report.json").exists());
}

fn each_line_comes_as_it_is_written(user: User) {
    let script = "while read a; do echo out-$a; read b; echo err-$b >&2; done";
    let mut started = lazaret(user).options(["--stdin"]).shell(script).start();
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
    ended.expect("exit", 1);
}

fn output_goes_to_files_as_well(user: User) {
    let run = lazaret(user).shell("head -c 300000 /dev/zero; echo e >&2");
    let file = fs::File::create(run.path("stdout")).expect("an own file");
    let mut command = run.prepared();

    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).status().expect("it runs");

    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::metadata(run.path("stdout")).expect("a file").len(), 300_000);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

fn the_report_can_go_to_standard_output(user: User) {
    let ended = lazaret(user).options(["--report=-"]).command(["true"]).run();

    // The last of two equal options counts, or both are refused; here only one way is right.
    assert!(matches!(ended.status.code(), Some(0 | 125)));
}
