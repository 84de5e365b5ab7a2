//! Files of the host and of the job.

use crate::job::eventually;
use crate::{confined, direct};
use lazaret_e2e::{Runner, as_root_and_user};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

as_root_and_user![
    inputs_and_outputs_go_through_the_private_directory,
    an_output_that_is_a_link_is_not_taken,
    files_of_the_host_cannot_be_read_or_changed,
    attributes_of_the_callers_files_cannot_be_changed,
    newer_calls_cannot_change_attributes_of_the_callers_files_either,
    the_private_directory_is_gone_whatever_the_job_left,
    what_a_killed_lazaret_left_is_removed_by_the_next,
    a_directory_that_cannot_be_looked_into_counts_as_full,
    modes_and_times_of_files_that_are_shown_are_not_a_jobs_to_change,
    modes_of_its_own_files_are_a_jobs_to_change_where_somebody_holds_it_to_them,
    a_process_reads_its_own_directory_of_proc_and_no_others,
    the_environment_names_the_private_directory,
    no_socket_can_be_made,
    a_pair_of_stream_sockets_works,
    memory_files_and_system_v_objects_are_refused,
];

fn inputs_and_outputs_go_through_the_private_directory(runner: &Runner) {
    runner.put("list.txt", "b\na\n");
    let ended = confined(runner)
        .options(["--in", "list.txt", "--out", "sorted.txt"])
        .command(["sort", "-o", "sorted.txt", "list.txt"])
        .run();

    ended.expect("ok", 0);
    assert_eq!(runner.read("sorted.txt"), b"a\nb\n");
}

fn an_output_that_is_a_link_is_not_taken(runner: &Runner) {
    let ended = confined(runner).options(["--out", "out"]).shell("ln -s /etc/hostname out").run();

    assert_eq!(ended.kind(), "output-missing");
    assert!(!runner.path("out").exists());
}

fn files_of_the_host_cannot_be_read_or_changed(runner: &Runner) {
    let file = runner.put("mine", "secret");
    let script = format!(
        "cat {0} /etc/passwd; (echo x > {0}); rm -f {0}; mv {0} here; ln {0} here; ls /home /root /tmp; touch /tmp/made-here; \
         mkdir /var/tmp/made-here; true",
        file.display()
    );
    let ended = confined(runner).shell(&script).run();

    ended.expect("ok", 0);
    assert!(ended.stdout.is_empty(), "{}", String::from_utf8_lossy(&ended.stdout));
    assert_eq!(fs::read(&file).expect("it is there"), b"secret");
    assert!(!Path::new("/tmp/made-here").exists() && !Path::new("/var/tmp/made-here").exists());
}

/// Landlock asks for no right to change them: an ordinary user's job would be the files' owner.
fn attributes_of_the_callers_files_cannot_be_changed(runner: &Runner) {
    let file = runner.put("mine", "");
    let before = fs::metadata(&file).expect("it is there");
    let path = file.display();
    let script = format!(
        "chmod 777 {path}; chmod 700 {}; touch -d 2001-01-01 {path}; setfattr -n user.x -v y {path}; chgrp 0 {path}; true",
        runner.work().display()
    );
    let ended = confined(runner).shell(&script).run();

    ended.expect("ok", 0);
    let after = fs::metadata(&file).expect("it is there");
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(after.modified().expect("a time"), before.modified().expect("a time"));
}

fn newer_calls_cannot_change_attributes_of_the_callers_files_either(runner: &Runner) {
    let policy = "extends = \"default\"\ntier = \"seccomp\"\n[system-calls]\ndefault = \"allow\"\n";
    let file = runner.put("mine", "");
    let before = fs::metadata(&file).expect("it is there");
    // setxattrat(2), removexattrat(2), file_setattr(2), which have the same numbers everywhere.
    let program = format!(
        "my ($f, $n, $v) = ('{}', \"user.x\\0\", \"y\"); my $at = pack 'P L L', $v, 1, 0; my $flags = pack 'Q L4', 0x80, 0; \
         syscall(463, -100, $f, 0, $n, $at, 16); syscall(466, -100, $f, 0, $n); syscall(469, -100, $f, $flags, 24, 0);",
        file.display()
    );
    let ended = confined(runner).policy(policy).perl(&program).run();

    ended.expect("ok", 0);
    let after = fs::metadata(&file).expect("it is there");
    assert_eq!((after.ctime(), after.ctime_nsec()), (before.ctime(), before.ctime_nsec()));
}

fn the_private_directory_is_gone_whatever_the_job_left(runner: &Runner) {
    let program = "$| = 1; print $ENV{HOME}; for (1..200) { mkdir 'deeper'; chdir 'deeper' } open F, '>file'; \
                   mkdir 'closed'; mkdir 'closed/in'; chmod 0, 'closed'; chdir $ENV{HOME}; chmod 0, 'deeper'; chmod 0, '.'";
    let ended = confined(runner).perl(program).run();

    // What only root looks into counts as full.
    let kinds: &[&str] = if runner.is_root() { &["ok"] } else { &["ok", "disk-limit"] };
    assert!(kinds.contains(&ended.kind()), "{}", ended.stderr);
    let home = String::from_utf8_lossy(&ended.stdout).into_owned();
    let place = Path::new(&home).parent().expect("it has one above");
    assert!(place.starts_with("/tmp") && place.components().count() == 3, "{place:?}");
    assert!(!place.exists());
}

fn what_a_killed_lazaret_left_is_removed_by_the_next(runner: &Runner) {
    let mut started = confined(runner).command(["sleep", "60"]).start();
    let prefix = format!("lazaret-{}-", started.child.id());
    let left = || {
        let names = fs::read_dir("/tmp").expect("it can be listed").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with(&prefix)).count()
    };
    assert!(eventually(Duration::from_secs(20), || left() == 1));

    started.signal("KILL");
    drop(started.child.wait());
    // Process 1 may be at it still, and a job's files are removed when nobody makes any.
    let gone = eventually(Duration::from_secs(20), || {
        confined(runner).command(["true"]).run().expect("ok", 0);
        left() == 0
    });

    assert!(gone);
}

/// To root nothing is closed.
fn a_directory_that_cannot_be_looked_into_counts_as_full(runner: &Runner) {
    let script = "umask 0477; mkdir hidden; i=0; while [ $i -lt 40 ]; do head -c 1000000 /dev/zero > hidden/$i; \
                  i=$((i+1)); done; sleep 5";
    let ended = confined(runner).limit("disk=16MiB").limit("wall=20s").shell(script).run();

    ended.expect_limit("disk-limit", 123, "disk", "16MiB");
}

fn modes_of_its_own_files_are_a_jobs_to_change_where_somebody_holds_it_to_them(runner: &Runner) {
    let script = "echo x > a && chmod 755 a && cp -p a b && touch -d 2001-01-01 b";
    let ended = direct(runner).shell(script).run();
    let brokered = confined(runner).shell(script).run();

    assert_eq!(ended.kind() == "ok", runner.is_root(), "{}", ended.stderr);
    brokered.expect("ok", 0);
}

/// The job has the id of their owner, and is shown them.
fn modes_and_times_of_files_that_are_shown_are_not_a_jobs_to_change(runner: &Runner) {
    let outside = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory");
    let shown = outside.path();
    fs::write(shown.join("file"), "x").expect("a new file");
    fs::set_permissions(shown, fs::Permissions::from_mode(0o755)).expect("our own");
    if !runner.is_root() && Runner::root().is_some() {
        let owner = format!("{}:", lazaret_e2e::ACCOUNT);
        let given = Command::new("chown").arg("-R").arg(owner).arg(shown).status();
        assert!(given.is_ok_and(|given| given.success()), "chown");
    }
    let policy = format!("extends = \"default\"\n[files]\nread = [{shown:?}]\n");
    runner.put("shown.toml", policy);
    let script = format!(
        "cd {} && cat file; chmod 600 file; touch -d 2001-01-01 file; chmod 700 . ; exec 3< file; \
         perl -e 'open my $f, \"<&=\", 3; exit chmod(0600, $f) + utime(1, 1, $f)'",
        shown.display()
    );
    let before = fs::metadata(shown.join("file")).expect("it is there");
    let ended = confined(runner).options(["--policy", "shown.toml"]).shell(&script).run();

    let after = fs::metadata(shown.join("file")).expect("it is there");
    ended.expect("ok", 0);
    assert_eq!((before.permissions(), before.modified().ok()), (after.permissions(), after.modified().ok()));
}

fn a_process_reads_its_own_directory_of_proc_and_no_others(runner: &Runner) {
    let script = "read -r line < /proc/self/comm && echo \"first $line\"; (read -r line < /proc/self/comm && echo second); \
                  read -r line < /proc/self/net/dev && echo net; read -r line < /proc/self/mountinfo && echo mounts; \
                  read -r line < /proc/1/comm && echo one; read -r line < /proc/uptime && echo uptime; true";
    let ended = direct(runner).shell(script).run();
    // Whoever opens files for all of them knows each.
    let brokered = confined(runner).shell(script).run();

    assert_eq!(String::from_utf8_lossy(&ended.stdout), "first sh\n");
    assert_eq!(String::from_utf8_lossy(&brokered.stdout), "first sh\nsecond\n");
}

fn the_environment_names_the_private_directory(runner: &Runner) {
    let ended = confined(runner).shell("[ \"$HOME\" = \"$PWD\" ] && : > \"$TMPDIR/x\" && [ ! -e x ]").run();

    ended.expect("ok", 0);
}

fn no_socket_can_be_made(runner: &Runner) {
    // socket(2) of AF_UNIX, AF_INET and AF_NETLINK, on x86-64 and on arm64.
    let program = "for my $n (41, 198) { for my $f (1, 2, 16) { exit 1 if syscall($n, $f, 1, 0) >= 0 } }";
    let ended = confined(runner).perl(program).run();

    ended.expect("ok", 0);
    let refused = ended.report.at("/refusals").as_array().cloned().unwrap_or_default();
    assert!(refused.iter().any(|refusal| refusal["call"] == "socket" && refusal["errno"] == 1), "{refused:?}");
}

fn a_pair_of_stream_sockets_works(runner: &Runner) {
    let policy = "extends = \"default\"\ntier = \"seccomp\"\n[system-calls]\nallow = [\"socketpair\", \"getsockname\"]";
    let program = "use Socket; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or exit 1; syswrite(A, 'x'); \
                   sysread(B, $x, 1) == 1 or exit 2; socketpair(A, B, AF_UNIX, SOCK_DGRAM, 0) and exit 3";
    let ended = confined(runner).policy(policy).perl(program).run();

    ended.expect("ok", 0);
}

fn memory_files_and_system_v_objects_are_refused(runner: &Runner) {
    let policy = "extends = \"default\"\ntier = \"seccomp\"\n[system-calls]\nallow = [\"memfd_create\", \"shmget\", \"msgget\", \
                  \"semget\", \"keyctl\", \"add_key\", \"inotify_add_watch\", \"mq_open\"]";
    // IPC::SysV's calls are perl's own; memfd_create on x86-64 and arm64.
    let program = "exit 1 if defined shmget(77, 100, 0644 | 01000); exit 2 if defined msgget(77, 0644 | 01000); \
                   exit 3 if defined semget(77, 1, 0644 | 01000); \
                   my $n = 'x'; exit 4 if syscall(319, $n, 0) >= 0 || syscall(279, $n, 0) >= 0";
    let ended = confined(runner).policy(policy).perl(program).run();

    ended.expect("ok", 0);
}
