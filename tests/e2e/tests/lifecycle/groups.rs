//! Groups that a killed Lazaret left: the next one removes them, and none stands in the way.

use crate::job::{cgroups_of, eventually, job, token};
use lazaret_e2e::Runner;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

#[test]
fn the_next_run_removes_the_groups_of_a_killed_one() {
    let Some(runner) = Runner::root() else { return };
    for _ in 0..15 {
        let token = token();
        let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo ready; sleep 1000";
        let mut started = job(&runner).command(["sh", "-c", script, &token]).start();
        let stdout = started.child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut String::new()).expect("a line");
        started.signal("KILL");
        let ended = started.finish();
        assert_eq!(ended.status.signal(), Some(9));

        // At once: its processes may be dying still.
        job(&runner).command(["true"]).run().expect("ok", 0);
        let gone = eventually(Duration::from_secs(5), || {
            job(&runner).command(["true"]).run().expect("ok", 0);
            cgroups_of(ended.pid).is_empty()
        });

        assert!(gone, "{:?}", cgroups_of(ended.pid));
    }
}

#[test]
fn a_group_that_an_earlier_process_of_the_same_number_left_is_no_obstacle() {
    let Some(runner) = Runner::root() else { return };
    for parent in parents() {
        // The shell becomes Lazaret, under the number that the directory has in its name.
        let script = "mkdir \"$1/lazaret-$$-0\"; shift; exec \"$@\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&parent).args(job(&runner).command(["echo", "ran"]).words());

        let output = shell.current_dir(runner.work()).output().expect("a shell");

        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"ran\n", "{}: {errors}", parent.display());
        assert_eq!(output.status.code(), Some(0), "{errors}");
    }
}

/// The directories in which this process's groups of the controllers lie, version 1 or 2.
fn parents() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").expect("a /proc");
    let place = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let group = fields.next()?.trim_start_matches('/');
        let mount = PathBuf::from("/sys/fs/cgroup").join(controllers);
        let used = ["memory", "pids", "cpu", "cpuacct", "blkio", ""].contains(&controllers);
        used.then(|| mount.join(group)).filter(|path| path.join("cgroup.procs").exists())
    };
    own.lines().filter_map(place).collect()
}
