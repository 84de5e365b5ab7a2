//! Ordinary programs do beneath the broker what they do without.

use crate::job::{Job, READ, Ran};
use lazaret_broker::files::{Exec, Identity, Memory, Outside, Why};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use tempfile::TempDir;

fn scene() -> TempDir {
    let scene = tempfile::tempdir_in("/tmp").expect("there is room");
    let work = scene.path().join("work");
    fs::create_dir_all(work.join("sub/deep")).expect("new");
    fs::write(work.join("a"), "alpha\n").expect("new");
    fs::write(work.join("sub/b"), "beta\n").expect("new");
    fs::write(scene.path().join("secret"), "secret\n").expect("new");
    scene
}

fn work(scene: &TempDir) -> std::path::PathBuf {
    scene.path().join("work")
}

fn shell(scene: &TempDir, script: &str) -> Ran {
    Job::new(&work(scene)).run(&["/bin/sh", "-c", script])
}

#[test]
fn files_beneath_a_root_are_read() {
    let scene = scene();

    let ran = Job::new(&work(&scene)).run(&["/bin/cat", "a", "sub/b", &format!("{}/a", work(&scene).display())]);

    assert_eq!(ran.went_well().output, "alpha\nbeta\nalpha\n");
}

#[test]
fn what_is_outside_does_not_exist_whether_it_does_or_not() {
    let scene = scene();
    let (there, not) = (scene.path().join("secret"), scene.path().join("nothing"));
    let script = format!("cat {}; cat {}; cat ../secret; cat ../nothing", there.display(), not.display());

    let ran = shell(&scene, &script);

    assert_eq!(ran.output, "");
    let missing = ran.error.lines().filter(|line| line.ends_with("No such file or directory")).count();
    assert_eq!(missing, 4, "{ran:#?}");
    assert!(
        ran.refused
            .iter()
            .any(|refused| refused.path == there && refused.why == Why::Outside && refused.call == "openat")
    );
}

#[test]
fn what_is_outside_is_denied_where_the_policy_says_so() {
    let scene = scene();
    let job = Job { outside: Outside::Denied, ..Job::new(&work(&scene)) };

    let ran = job.run(&["/bin/cat", "../secret", "../nothing", "/etc/shadow", "/nothing/at/all"]);

    let denied = ran.error.lines().filter(|line| line.ends_with("Permission denied")).count();
    assert_eq!((ran.output.as_str(), denied), ("", 4), "{ran:#?}");
}

#[test]
fn a_shell_makes_moves_links_and_removes_files() {
    let scene = scene();
    let script = "set -e; umask 027; mkdir n; echo one > n/f; cp n/f n/g; mv n/g n/h; ln n/h n/i; ln -s h n/s; cat n/s; \
        chmod 600 n/h; touch -d @1000 n/h; rm n/i; rmdir sub/deep; stat -c '%a %Y' n/h; stat -c %a n n/f; \
        readlink n/s; ls n; test -x /bin/sh; test ! -w /bin/sh; truncate -s 3 n/f; cat n/f; mkfifo n/p; test -p n/p";

    let ran = shell(&scene, script).went_well();

    assert_eq!(ran.output, "one\n600 1000\n750\n640\nh\nf\nh\ns\none", "{ran:#?}");
}

#[test]
fn modes_are_the_jobs_own_whatever_the_supervisors_mask_is() {
    let scene = scene();

    let ran =
        shell(&scene, "umask 0; mkdir z; : > y; mkfifo w; stat -c %a z y w; umask 077; mkdir u; : > t; stat -c %a u t");

    assert_eq!(ran.went_well().output, "777\n666\n666\n700\n600\n");
}

#[test]
fn trees_are_walked_copied_and_removed() {
    let scene = scene();
    let script = "set -e; find . | sort; cp -a sub copy; find copy -type f -exec cat {} +; rm -r sub; ls -R; du -a copy \
        > /dev/null; mv copy sub; tar cf t.tar sub; mkdir x; tar xf t.tar -C x; cat x/sub/b";

    let ran = shell(&scene, script).went_well();

    assert_eq!(
        ran.output,
        ".\n./a\n./sub\n./sub/b\n./sub/deep\nbeta\n.:\na\ncopy\n\n./copy:\nb\ndeep\n\n./copy/deep:\nbeta\n"
    );
}

#[test]
fn python_starts_and_works_with_files() {
    if !Path::new("/usr/bin/python3").exists() {
        return;
    }
    let scene = scene();
    let script = "import os, shutil, tempfile\n\
        open('n', 'w').write('x' * 10)\n\
        assert os.stat('n').st_size == 10 and os.path.realpath('n').endswith('/work/n')\n\
        os.makedirs('q/w/e'); shutil.copytree('sub', 'q/sub'); shutil.rmtree('q')\n\
        with tempfile.TemporaryFile(dir='.') as f: f.write(b'x')\n\
        d = os.open('sub', os.O_RDONLY); print(os.listdir(d), open(os.open('b', os.O_RDONLY, dir_fd=d)).read().strip())\n\
        os.chdir('sub'); print(open('b').read().strip(), open('../a').read().strip())\n\
        print(os.path.exists('/etc/passwd'), os.access('b', os.R_OK | os.W_OK), os.access('b', os.X_OK))\n";

    let ran = Job::new(&work(&scene)).run(&["/usr/bin/python3", "-c", script]).went_well();

    assert_eq!(ran.output.lines().skip(1).collect::<Vec<_>>(), ["beta alpha", "False True False"]);
    assert!(ran.output.contains("beta\n"), "{ran:#?}");
}

#[test]
fn reading_alone_permits_no_change() {
    let scene = scene();
    let job = Job::new(&work(&scene)).with(scene.path().join("fixed"), READ);
    fs::create_dir(scene.path().join("fixed")).expect("new");
    fs::write(scene.path().join("fixed/f"), "fixed\n").expect("new");
    let script = "cd ../fixed; cat f; echo x > f; echo x >> f; echo x > g; rm f; mv f g; mv f ../work/g; ln f ../work/g; chmod 777 f; \
        touch f; mkdir d; truncate -s 0 f; mv ../work/a a; ln ../work/a a; cat f";

    let ran = job.run(&["/bin/sh", "-c", script]);

    assert_eq!(ran.output, "fixed\nfixed\n", "{ran:#?}");
    assert_eq!(fs::read_dir(scene.path().join("fixed")).expect("it is there").count(), 1);
    assert_eq!(fs::read_dir(work(&scene)).expect("it is there").count(), 2, "{ran:#?}");
}

#[test]
fn streams_are_opened_by_their_names_for_no_more_than_they_are_open() {
    let scene = scene();

    let ran = shell(
        &scene,
        "echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin; exec 3< a; cat /dev/fd/3; \
        cat /proc/self/fd/3; { echo x > /dev/fd/3; } 2>/dev/null || echo refused; readlink /proc/self/fd/3; cat a",
    );

    let place = work(&scene).join("a");
    assert!(ran.output.ends_with(&format!("alpha\nalpha\nrefused\n{}\nalpha\n", place.display())), "{ran:#?}");
    assert_eq!(ran.error, "err\n", "{ran:#?}");
}

#[test]
fn the_callers_own_part_of_proc_is_there_and_no_other() {
    let scene = scene();
    let job = Job::new(&work(&scene)).with("/proc", READ);
    let script = "cat /proc/self/comm; grep -c . /proc/self/maps > /dev/null && echo maps; cat /proc/1/comm; \
        cat /proc/self/root/etc/shadow; cat /proc/self/cwd/a; cat /proc/$PPID/environ; ls /proc; cat /proc/self/mem; \
        readlink /proc/self/exe; test -e /proc/kcore || echo none; cat /proc/self/environ | tr '\\0' '\\n' | grep LC";

    let ran = job.run(&["/bin/sh", "-c", script]);

    assert_eq!(ran.output, "cat\nmaps\nalpha\n/usr/bin/readlink\nnone\nLC_ALL=C\n", "{ran:#?}");
}

#[test]
fn nothing_is_executed_where_nothing_holds_it_or_the_root_does_not_permit_it() {
    let scene = scene();
    fs::copy("/bin/true", work(&scene).join("true")).expect("new");

    let held = shell(&scene, "/bin/true && echo ran; ./true || echo refused");
    let job = Job { exec: Exec::Refused, ..Job::new(&work(&scene)) };
    let refused = job.run(&["/bin/sh", "-c", "/bin/true || echo refused"]);

    assert_eq!(held.output, "ran\nrefused\n", "{held:#?}");
    assert_eq!(refused.output, "refused\n", "{refused:#?}");
}

#[test]
fn memory_that_is_read_with_a_bound_gives_the_same() {
    let scene = scene();
    let job = Job { memory: Memory::Bounded, ..Job::new(&work(&scene)) };

    let ran = job.run(&["/bin/sh", "-c", "cat a; ls -l sub > /dev/null && readlink /proc/self/fd/0; stat -c %s a"]);

    assert_eq!(ran.went_well().output, "alpha\n/dev/null\n6\n");
}

#[test]
fn what_an_earlier_phase_had_is_gone_in_the_next() {
    let scene = scene();
    let fonts = scene.path().join("fonts");
    fs::create_dir(&fonts).expect("new");
    fs::write(fonts.join("f"), "font\n").expect("new");
    let mut job = Job::new(&work(&scene)).with(&fonts, READ);
    job.phase = Some((work(&scene).join("begun"), vec![fonts.clone()]));
    let script = "exec 5< ../fonts/f; cat ../fonts/f; echo > begun; cat ../fonts/f || cat a; cat <&5";

    let ran = job.run(&["/bin/sh", "-c", script]);

    assert_eq!(ran.output, "font\nalpha\nfont\n", "{ran:#?}");
}

#[test]
fn the_jobs_user_makes_its_files_and_has_its_own_rights() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = scene();
    let (uid, groups) = (65534, vec![65533]);
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o755)).expect("own");
    fs::set_permissions(work(&scene), fs::Permissions::from_mode(0o777)).expect("own");
    fs::set_permissions(work(&scene).join("a"), fs::Permissions::from_mode(0o600)).expect("own");
    chown(work(&scene).join("sub"), Some(0), Some(65533)).expect("root");
    fs::set_permissions(work(&scene).join("sub"), fs::Permissions::from_mode(0o770)).expect("own");
    let job = Job { identity: Identity::Job { uid, gid: uid, groups }, ..Job::new(&work(&scene)) };
    let script = "umask 077; echo x > n; cat a; mkdir m; cat sub/b; chown 0 n; chmod 644 a; test -r a || echo no";
    let command = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--groups=65533", "/bin/sh", "-c", script];

    let ran = job.run(&command);

    assert_eq!(ran.output, "beta\nno\n", "{ran:#?}");
    let made = ["n", "m"].map(|name| fs::metadata(work(&scene).join(name)).expect("it was made"));
    assert_eq!(made.map(|made| (made.uid(), made.gid(), made.mode() & 0o777)), [(uid, uid, 0o600), (uid, uid, 0o700)]);
    assert_eq!(fs::metadata(work(&scene).join("a")).expect("it is there").mode() & 0o777, 0o600);
    assert!(rustix::process::geteuid().is_root() && fs::read(work(&scene).join("a")).is_ok());
}

#[test]
fn no_file_becomes_longer_than_the_job_may_have_it() {
    let scene = scene();

    let ran = shell(&scene, "ulimit -f 1; /usr/bin/python3 -c 'import os; os.truncate(\"a\", 1 << 20)'; stat -c %s a");

    assert!(ran.output == "6\n" && ran.error.contains("File too large"), "{ran:#?}");
}
