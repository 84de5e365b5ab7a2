//! Destinations of outputs: the old file stays until the new one is whole, and nothing is left beside it.

use crate::job::{job, names};
use lazaret_e2e::{Runner, as_root_and_user};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

as_root_and_user![
    an_existing_destination_is_replaced_whole,
    an_existing_destination_of_a_failed_job_stays,
    a_destination_that_is_a_link_is_replaced_not_followed,
    a_missing_directory_is_named_before_the_job_runs,
    a_directory_as_destination_is_named_before_the_job_runs,
    a_destination_on_another_file_system_gets_its_file,
    an_unwritable_directory_is_named_before_the_job_runs,
    a_destination_of_another_owner_in_a_sticky_directory_stays,
    a_destination_on_a_full_file_system_stays,
    an_output_named_with_a_slash_is_an_error,
    an_output_asked_for_twice_is_an_error,
    oddly_named_outputs_arrive,
    an_output_with_a_name_that_is_not_utf8_arrives,
    an_empty_output_arrives,
    an_output_is_a_plain_file_whatever_the_job_made_of_it,
    a_report_that_cannot_be_written_is_an_error,
];

fn an_existing_destination_is_replaced_whole(runner: &Runner) {
    runner.put("out.txt", "old and longer than the new one");

    let ended = job(runner).options(["--out", "f:out.txt"]).shell("echo new > f").run();

    ended.expect("ok", 0);
    assert_eq!(runner.read("out.txt"), b"new\n");
    assert_eq!(names(&runner.work()), ["out.txt"]);
}

fn an_existing_destination_of_a_failed_job_stays(runner: &Runner) {
    runner.put("out.txt", "old");

    let ended = job(runner).options(["--out", "f:out.txt"]).shell("echo new > f; kill -KILL $$").run();

    ended.expect("signal", 137);
    assert_eq!(runner.read("out.txt"), b"old");
    assert_eq!(names(&runner.work()), ["out.txt"]);
}

fn a_destination_that_is_a_link_is_replaced_not_followed(runner: &Runner) {
    runner.put("target", "precious");
    std::os::unix::fs::symlink("target", runner.path("out.txt")).expect("an own directory");

    let ended = job(runner).options(["--out", "f:out.txt"]).shell("echo new > f").run();

    ended.expect("ok", 0);
    assert_eq!(runner.read("target"), b"precious");
    assert_eq!(runner.read("out.txt"), b"new\n");
}

fn a_missing_directory_is_named_before_the_job_runs(runner: &Runner) {
    let ended = job(runner).options(["--out", "f:gone/out.txt"]).shell("echo ran; echo new > f").run();

    ended.expect_error(&["gone/out.txt", "No such file"]);
    assert_eq!(ended.stdout, b"", "what cannot be delivered is not computed");
}

fn a_directory_as_destination_is_named_before_the_job_runs(runner: &Runner) {
    fs::create_dir(runner.path("d")).expect("an own directory");

    let ended = job(runner).options(["--out", "f:d"]).shell("echo ran; echo new > f").run();

    ended.expect_error(&["`d`", "directory"]);
    assert_eq!(ended.stdout, b"");
}

fn a_destination_on_another_file_system_gets_its_file(runner: &Runner) {
    let other = tempfile::Builder::new().prefix("e2e-").tempdir_in("/dev/shm").expect("a tmpfs");
    fs::set_permissions(other.path(), fs::Permissions::from_mode(0o777)).expect("an own directory");
    let to = other.path().join("out.txt");
    fs::write(&to, "old").expect("an own directory");

    let ended = job(runner).options([format!("--out=f:{}", to.display())]).shell("echo new > f").run();

    ended.expect("ok", 0);
    assert_eq!(fs::read(&to).expect("the output"), b"new\n");
    assert_eq!(names(other.path()), ["out.txt"]);
}

fn an_unwritable_directory_is_named_before_the_job_runs(runner: &Runner) {
    // Root may write anywhere but into /proc.
    let to = if runner.is_root() { "/proc/out.txt" } else { "/usr/out.txt" };

    let ended = job(runner).options([format!("--out=f:{to}")]).shell("echo new > f").run();

    ended.expect_error(&[to]);
}

fn a_destination_of_another_owner_in_a_sticky_directory_stays(runner: &Runner) {
    let sticky = tempfile::Builder::new().prefix("e2e-").tempdir().expect("a directory");
    fs::set_permissions(sticky.path(), fs::Permissions::from_mode(0o1777)).expect("an own directory");
    let to = sticky.path().join("out.txt");
    fs::write(&to, "old").expect("an own directory");

    let ended = job(runner).options([format!("--out=f:{}", to.display())]).shell("echo new > f").run();

    assert_eq!(names(sticky.path()), ["out.txt"], "no temporary file is left");
    let expected = if runner.is_root() { "new\n" } else { "old" };
    assert_eq!(fs::read_to_string(&to).expect("a file"), expected);
    assert_eq!(ended.code(), if runner.is_root() { 0 } else { 125 }, "{}", ended.stderr);
}

fn a_destination_on_a_full_file_system_stays(runner: &Runner) {
    // A mount namespace of its own: nothing is left when its last process is gone.
    let run = job(runner).options(["--out", "f:small/out.txt"]).shell("head -c 3000000 /dev/zero > f");
    let script = "mkdir small; mount -t tmpfs -o size=1M,mode=0777 none small; echo old > small/out.txt
                  chmod 666 small/out.txt; \"$@\"; echo status $?; ls -A small; cat small/out.txt";
    let mut apart = Command::new("unshare");
    apart.args(["-m", "sh", "-c", script, "sh"]).args(run.words()).current_dir(runner.work());

    let output = apart.output().expect("unshare can be started");

    let (shown, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown, "status 125\nout.txt\nold\n", "{errors}");
    assert!(errors.contains("small/out.txt") && errors.contains("No space left"), "{errors}");
}

fn an_output_named_with_a_slash_is_an_error(runner: &Runner) {
    let ended = job(runner).options(["--out", "../f:x"]).command(["true"]).run();

    ended.expect_error(&["slash"]);
}

fn an_output_asked_for_twice_is_an_error(runner: &Runner) {
    let ended = job(runner).options(["--out", "f:x", "--out", "f:y"]).command(["true"]).run();

    ended.expect_error(&["`f` is asked for twice"]);
}

fn oddly_named_outputs_arrive(runner: &Runner) {
    for name in ["-n", "a b", "new\nline", "'; rm -rf *", "*", "ü", "\u{1b}[31m", "..."] {
        let ended = job(runner).options([format!("--out={name}:out")]).command([
            "sh",
            "-c",
            "printf %s \"$1\" > \"./$1\"",
            "sh",
            name,
        ]);
        let ended = ended.run();

        ended.expect("ok", 0);
        assert_eq!(runner.read("out"), name.as_bytes());
    }
}

fn an_output_with_a_name_that_is_not_utf8_arrives(runner: &Runner) {
    let name = OsString::from_vec(b"a\xff\xfeb".to_vec());
    let ended =
        job(runner).options(["--out".into(), name.clone()]).perl("open F, '>', \"a\\xff\\xfeb\"; print F 'x'").run();

    ended.expect("ok", 0);
    assert_eq!(ended.report["outputs"][0]["name"], "a\\xff\\xfeb");
    assert_eq!(fs::read(runner.work().join(name)).expect("the output"), b"x");
}

fn an_empty_output_arrives(runner: &Runner) {
    let ended = job(runner).options(["--out", "f"]).shell(": > f").run();

    ended.expect("ok", 0);
    assert_eq!(runner.read("f"), b"");
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(ended.report["outputs"][0]["sha256"], of_nothing);
}

fn an_output_is_a_plain_file_whatever_the_job_made_of_it(runner: &Runner) {
    let ended = job(runner).options(["--out", "f"]).shell("echo x > f; chmod 4755 f").run();

    ended.expect("ok", 0);
    let mode = fs::metadata(runner.path("f")).expect("the output").mode() & 0o7777;
    assert_eq!(mode & 0o7111, 0, "{mode:o}");
}

fn a_report_that_cannot_be_written_is_an_error(runner: &Runner) {
    let mut args = vec!["run", "--report", "gone/report.json"];
    args.extend(runner.options());
    args.extend(["--", "echo", "ran"]);

    let ran = runner.lazaret(&args);

    assert_eq!(ran.status, Some(125));
    assert!(ran.stderr().contains("gone/report.json") && ran.stderr().contains("hint: "), "{ran}");
    assert_eq!(ran.stdout(), "", "what cannot be reported is not run");
}
