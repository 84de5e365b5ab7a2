//! Copy-on-write views: what a job can change in them, what becomes of its changes, and what it may not read.

use crate::job::{Ended, Job, job, names};
use lazaret_e2e::{Runner, as_root_and_user};
use std::path::PathBuf;

as_root_and_user![
    what_a_job_adds_to_a_view_is_listed_and_exported_and_not_on_the_host,
    what_a_job_removes_from_a_view_stays_on_the_host,
    links_are_listed_and_not_exported,
    files_that_the_job_made_unreadable_are_no_error,
];

/// A directory of the user's with files in it, shown at /view. Its group is the user's as well.
fn view(runner: &Runner) -> PathBuf {
    let made = runner.bare("sh", &["-c", "mkdir -p view/below; echo old > view/file; echo old > view/below/file"]);
    assert_eq!(made.status, Some(0), "{made}");
    runner.path("view")
}

fn with_view(runner: &Runner) -> Job<'_> {
    let host = view(runner);
    job(runner)
        .policy(&format!("extends = \"shell\"\n[files]\ncow = [{{ path = \"{}\", at = \"/view\" }}]\n", host.display()))
}

/// `added /view/new` and the like, sorted.
fn changes(ended: &Ended<'_>) -> Vec<String> {
    let list = ended.report["changes"].as_array().expect("a list");
    let text = |change: &serde_json::Value, key: &str| change[key].as_str().expect("a text").to_owned();
    let mut changes: Vec<String> =
        list.iter().map(|change| format!("{} {}", text(change, "kind"), text(change, "path"))).collect();
    changes.sort();
    changes
}

fn what_a_job_adds_to_a_view_is_listed_and_exported_and_not_on_the_host(runner: &Runner) {
    let script = "echo new > /view/new; mkdir /view/more; echo more > /view/more/file";
    let ended = with_view(runner).options(["--export-changes", "exported"]).shell(script).run();

    ended.expect("ok", 0);
    assert_eq!(changes(&ended), ["added /view/more", "added /view/more/file", "added /view/new"]);
    assert_eq!(runner.read("exported/view/new"), b"new\n");
    assert_eq!(runner.read("exported/view/more/file"), b"more\n");
    assert_eq!(names(&runner.path("view")), ["below", "file"]);
}

fn what_a_job_removes_from_a_view_stays_on_the_host(runner: &Runner) {
    let ended = with_view(runner).options(["--export-changes", "exported"]).shell("rm /view/file; ls /view").run();

    ended.expect("ok", 0);
    assert_eq!(ended.stdout, b"below\n");
    assert_eq!(changes(&ended), ["deleted /view/file"]);
    assert_eq!(names(&runner.path("exported/view")), Vec::<String>::new());
    assert_eq!(runner.read("view/file"), b"old\n");
}

fn links_are_listed_and_not_exported(runner: &Runner) {
    let script = "ln -s /etc/passwd /view/link; ln -s /etc /view/directory; mkfifo /view/fifo";
    let ended = with_view(runner).options(["--export-changes", "exported"]).shell(script).run();

    ended.expect("ok", 0);
    assert_eq!(changes(&ended), ["added /view/directory", "added /view/fifo", "added /view/link"]);
    assert_eq!(names(&runner.path("exported/view")), Vec::<String>::new());
}

fn files_that_the_job_made_unreadable_are_no_error(runner: &Runner) {
    let script = "cd /view; echo x > file1; echo x > file2; mkdir shut; chmod 0 file1 shut";
    let ended = with_view(runner).options(["--export-changes", "exported"]).shell(script).run();

    ended.expect("ok", 0);
    assert_eq!(runner.read("exported/view/file2"), b"x\n");
    let told = ended.report["notes"].to_string().contains("2 changed files or directories could not be read");
    assert_eq!(told, !runner.is_root());
}

mod as_user_alone {
    use super::{Runner, changes, with_view};

    #[test]
    fn what_a_job_changes_in_a_view_of_its_users_own_is_listed_and_exported() {
        let Some(runner) = Runner::user() else { return };
        let script = "cd /view; echo 2 >> file; rm below/file; echo 3 > below/new; chmod 700 below; mv below/new new";
        let ended = with_view(&runner).options(["--export-changes", "exported"]).shell(script).run();

        ended.expect("ok", 0);
        assert_eq!(changes(&ended), ["added /view/new", "deleted /view/below/file", "modified /view/file"]);
        assert_eq!(runner.read("exported/view/file"), b"old\n2\n");
        assert_eq!(runner.read("view/file"), b"old\n");
        assert_eq!(runner.read("view/below/file"), b"old\n");
        assert_eq!(ended.report["notes"].to_string(), "[]");
    }

    #[test]
    fn what_was_in_a_directory_that_the_job_replaced_is_listed_as_deleted() {
        let Some(runner) = Runner::user() else { return };
        let ended = with_view(&runner).shell("cd /view; rm -r below && mkdir below && echo 3 > below/new").run();

        // Before Linux 6.6 a tmpfs cannot hold overlayfs's mark for a directory that replaces another.
        if !ended.stderr.contains("Input/output error") {
            ended.expect("ok", 0);
            assert_eq!(changes(&ended), ["added /view/below/new", "deleted /view/below/file"]);
        }
    }
}

mod as_root_alone {
    use super::{Runner, changes, with_view};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_view_shows_a_job_nothing_that_is_roots_alone() {
        let Some(runner) = Runner::root() else { return };
        let job = with_view(&runner);
        let secret = runner.put("view/secret", "secret");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("an own file");
        let ended = job.shell("cd /view; cat secret; chmod 666 secret; cat secret; mv secret s; cat s; exit 5").run();

        ended.expect("exit", 5);
        assert_eq!(ended.stdout, b"");
    }

    #[test]
    fn what_a_job_of_roots_cannot_change_in_a_view_is_told() {
        let Some(runner) = Runner::root() else { return };
        let ended = with_view(&runner).shell("echo 2 >> /view/file; rm /view/below/file; exit 5").run();

        ended.expect("exit", 5);
        assert!(ended.stderr.contains("Permission denied"), "{}", ended.stderr);
        assert_eq!(changes(&ended), Vec::<String>::new());
        let notes = ended.report["notes"].to_string();
        assert!(notes.contains("started by root") && notes.contains("start Lazaret as the owner"), "{notes}");
    }
}
