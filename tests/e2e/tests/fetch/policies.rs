//! Entries that are none.

use crate::job::{Ended, job};
use crate::{entry, policy};
use lazaret_e2e::{Runner, as_root_and_user};

as_root_and_user![
    two_files_of_one_name_are_an_error,
    a_file_that_the_jobs_directory_could_not_hold_is_an_error,
    an_entry_that_is_none_is_an_error_that_shows_where,
    an_option_that_is_none_is_an_error_that_shows_where,
];

const URL: &str = "http://files.example.com/";

fn two_files_of_one_name_are_an_error(runner: &Runner) {
    let twice = job(runner).policy(&policy("", &(entry(URL, "") + &entry(URL, "")))).shell("true").run();

    twice.expect_error(&["file", "policy.toml:"]);
}

fn a_file_that_the_jobs_directory_could_not_hold_is_an_error(runner: &Runner) {
    let entry = entry(URL, "").replace("1MiB", "2GiB");

    let ended = job(runner).policy(&policy("", &entry)).limit("disk=1GiB").shell("true").run();

    ended.expect_error(&["`file`", "`disk`", "policy.toml:"]);
}

/// Asserts that the error shows `line` with a mark below `part`.
#[track_caller]
fn shows(ended: &Ended<'_>, part: &str) {
    ended.expect_error(&["policy.toml:", part]);
    let mut lines = ended.stderr.lines().skip_while(|line| !(line.contains(" | ") && line.contains(part)));
    let (line, mark) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_below = mark.find('^').is_some_and(|at| line.get(at..).is_some());
    assert!(is_below, "`{part}` is not marked: {}", ended.stderr);
}

fn an_entry_that_is_none_is_an_error_that_shows_where(runner: &Runner) {
    for (from, to) in [
        ("http://files.example.com/", "ftp://files.example.com/"),
        ("http://files.example.com/", "http://user:word@files.example.com/"),
        ("http://files.example.com/", "files.example.com"),
        ("\"file\"", "\"../file\""),
        ("\"file\"", "\"\""),
        ("1MiB", "many"),
        ("max-bytes", "most-bytes"),
        ("types = [\"image/png\"]", "types = [\"image\"]"),
        ("types = [\"image/png\"]", "allow = [\"cdn.example.com\"]"),
    ] {
        let text = entry(URL, "types = [\"image/png\"]").replace(from, to);

        let ended = job(runner).policy(&policy("", &text)).shell("true").run();

        shows(&ended, to);
    }
    for left_out in ["url", "to", "max-bytes"] {
        let text: String = entry(URL, "")
            .lines()
            .filter(|line| !line.starts_with(left_out))
            .fold(String::new(), |text, line| text + line + "\n");

        let ended = job(runner).policy(&policy("", &text)).shell("true").run();

        ended.expect_error(&["policy.toml:", "`url`, `to` and `max-bytes`"]);
    }
}

fn an_option_that_is_none_is_an_error_that_shows_where(runner: &Runner) {
    for option in ["file", "=http://files.example.com/", "../file=http://files.example.com/", "file=ftp://a.example/"] {
        let ended = job(runner).options(["--fetch", option]).shell("true").run();

        ended.expect_error(&["--fetch"]);
    }
}
