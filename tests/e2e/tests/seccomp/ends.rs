//! Nothing of a job outlives it, whatever it does and whoever dies.

use crate::confined;
use lazaret_e2e::{Runner, as_root_and_user};
use std::process::Command;
use std::time::{Duration, Instant};

as_root_and_user![
    a_daemon_is_gone_with_its_job,
    a_daemon_that_ignores_signals_is_gone_with_its_job,
    a_chain_of_processes_that_each_fork_and_exit_is_ended,
    a_fork_bomb_is_ended,
    an_adopter_of_processes_does_not_hide_them,
    stopped_processes_are_ended,
    nothing_is_left_when_lazaret_is_killed,
    nothing_of_a_fork_bomb_is_left_when_lazaret_is_killed,
    a_process_1_that_is_killed_from_outside_takes_the_job_with_it_or_its_user_is_told,
    a_cancelled_job_is_gone,
];

/// Longer than anything here takes; the sleepers of a test are told from others by it.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}{:03}", 100 + std::process::id() % 100_000, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Whether a process of a job's lives that has `mark` among its words. Lazaret's own has the job's words too.
fn lives(mark: &str) -> bool {
    let found = Command::new("pgrep").args(["-f", mark]).output().expect("pgrep can be started");
    let pids = String::from_utf8_lossy(&found.stdout).into_owned();
    let mut names = pids.lines().filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    names.any(|name| !name.starts_with("lazaret"))
}

fn gone_within(mark: &str, patience: Duration) -> bool {
    let begun = Instant::now();
    while lives(mark) {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn a_daemon_is_gone_with_its_job(runner: &Runner) {
    let mark = mark();
    let ended = confined(runner).shell(&format!("setsid sh -c 'sleep {mark} & sleep 0.1' & sleep 0.3; exit 3")).run();

    assert_eq!((ended.kind(), ended.number("/verdict/code")), ("exit", 3));
    assert!(!lives(&mark));
}

fn a_daemon_that_ignores_signals_is_gone_with_its_job(runner: &Runner) {
    let mark = mark();
    let program = format!(
        "$SIG{{$_}} = 'IGNORE' for keys %SIG; use POSIX; \
         fork and exit; POSIX::setsid(); fork and exit; $0 = 'perl {mark}'; sleep 1 while 1"
    );
    let ended = confined(runner).perl(&program).run();

    ended.expect("ok", 0);
    assert!(!lives(&mark));
}

fn a_chain_of_processes_that_each_fork_and_exit_is_ended(runner: &Runner) {
    let mark = mark();
    let program = format!(
        "use POSIX; $0 = 'perl {mark}'; while (1) {{ my $p = fork; next if !defined $p; exit if $p; POSIX::setsid() }}"
    );
    let ended = confined(runner).limit("wall=20s").perl(&program).run();

    ended.expect("ok", 0);
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert!(!lives(&mark));
}

fn a_fork_bomb_is_ended(runner: &Runner) {
    let mark = mark();
    let program = format!("$0 = 'perl {mark}'; $SIG{{CHLD}} = 'IGNORE'; fork while 1");
    let ended = confined(runner).limit("wall=1s").perl(&program).run();

    assert!(["timeout", "process-limit"].contains(&ended.kind()), "{}", ended.kind());
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert!(!lives(&mark));
}

fn an_adopter_of_processes_does_not_hide_them(runner: &Runner) {
    let mark = mark();
    // PR_SET_CHILD_SUBREAPER (36): whoever loses its parent below it becomes its child, and is reaped at once.
    let program = format!(
        "use POSIX; $0 = 'perl {mark}'; syscall(157, 36, 1, 0, 0, 0); syscall(167, 36, 1, 0, 0, 0); $SIG{{CHLD}} = 'IGNORE'; \
         for (1..5) {{ fork or do {{ while (1) {{ my $p = fork; next if !defined $p; exit if $p; POSIX::setsid() }} }} }} \
         fork and exit; sleep 1 while 1"
    );
    let ended = confined(runner).limit("wall=2s").perl(&program).run();

    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert!(!lives(&mark));
}

fn stopped_processes_are_ended(runner: &Runner) {
    let mark = mark();
    let ended =
        confined(runner).limit("wall=500ms").shell(&format!("sleep {mark} & kill -STOP $!; kill -STOP $$")).run();

    ended.expect_limit("timeout", 124, "wall", "500ms");
    assert!(!lives(&mark));
}

fn nothing_is_left_when_lazaret_is_killed(runner: &Runner) {
    let mark = mark();
    let mut started = confined(runner).shell(&format!("setsid sleep {mark} & sleep {mark}; :")).start();
    while !lives(&mark) {
        std::thread::sleep(Duration::from_millis(10));
    }

    started.signal("KILL");
    drop(started.child.wait());

    assert!(gone_within(&mark, Duration::from_secs(5)));
}

fn nothing_of_a_fork_bomb_is_left_when_lazaret_is_killed(runner: &Runner) {
    let mark = mark();
    let program = format!("$0 = 'perl {mark}'; $SIG{{CHLD}} = 'IGNORE'; fork while 1");
    let mut started = confined(runner).perl(&program).start();
    while !lives(&mark) {
        std::thread::sleep(Duration::from_millis(10));
    }

    started.signal("KILL");
    drop(started.child.wait());

    assert!(gone_within(&mark, Duration::from_secs(12)));
}

/// The children of a process of one thread.
fn children(process: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    listed.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

/// Of an ordinary user's job nobody else knows the processes: Lazaret must not say that they are gone.
fn a_process_1_that_is_killed_from_outside_takes_the_job_with_it_or_its_user_is_told(runner: &Runner) {
    let mark = mark();
    let mut started = confined(runner).shell(&format!("setsid sleep {mark} & sleep {mark}; :")).start();
    // Beside process 1 there can be the process that made it; two sleep below the job's shell, and are not about to.
    let sleeps = |process: &u32| std::fs::read(format!("/proc/{process}/comm")).is_ok_and(|name| name == b"sleep\n");
    let two_sleep = |shell: &u32| children(*shell).iter().filter(|child| sleeps(child)).count() == 2;
    let has_begun = |process: &u32| children(*process).iter().any(two_sleep);
    let process_1 = loop {
        match children(started.child.id()).into_iter().find(has_begun) {
            Some(found) => break i32::try_from(found).expect("a process id"),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };

    rustix::process::kill_process(
        rustix::process::Pid::from_raw(process_1).expect("no zero"),
        rustix::process::Signal::KILL,
    )
    .expect("it lives");
    drop(started.child.stdin.take());
    let status = started.child.wait().expect("it ends");

    if runner.is_root() {
        assert!(gone_within(&mark, Duration::from_secs(5)), "killed by the job's own id");
        return;
    }
    let mut said = String::new();
    let stderr = started.child.stderr.as_mut().expect("a pipe");
    std::io::Read::read_to_string(stderr, &mut said).expect("it is text");
    let left =
        Command::new("pkill").args(["-KILL", "-f", &format!("sleep {mark}")]).status().expect("it can be started");
    assert!(left.success(), "what was left is ended by this test");
    assert_eq!(status.code(), Some(125), "{said}");
    assert!(said.contains("cannot end every process of the job") && said.contains("hint: "), "{said}");
}

fn a_cancelled_job_is_gone(runner: &Runner) {
    let mark = mark();
    let started = confined(runner).shell(&format!("setsid sleep {mark} & sleep {mark}; :")).start();
    while !lives(&mark) {
        std::thread::sleep(Duration::from_millis(10));
    }

    started.signal("TERM");
    let ended = started.finish();

    assert_eq!(ended.kind(), "cancelled");
    assert!(!lives(&mark));
}
