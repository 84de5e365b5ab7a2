//! A job whose memory never comes: whoever reads it would wait as long as the job likes.

use crate::program::compile;
use lazaret_e2e::{Ran, Runner, finish};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Hands the kernel a path in the first page of the file, which is never read.
const ASK: &str = "\
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open(sys.argv[1], os.O_RDONLY)
page = libc.mmap(None, 4096, 1, 2, file, 0)
print('mapped', page not in (None, ctypes.c_void_p(-1).value), flush=True)
libc.open(ctypes.c_void_p(page), 0)
print('opened', flush=True)
";

/// Longer than any run of these tests that does not hang.
const HANGS: Duration = Duration::from_secs(60);

fn has_fuse() -> bool {
    let found = Path::new("/dev/fuse").exists();
    if !found {
        lazaret_e2e::skip("this kernel has no FUSE");
    }
    found
}

/// Runs `lazaret run` where `/var/tmp/…/stalled` is a file whose content never comes. `None` without FUSE.
fn run(policy: &str, more: &[&str]) -> Option<(Ran, serde_json::Value, Duration)> {
    run_program(policy, more, ASK)
}

fn run_program(policy: &str, more: &[&str], program: &str) -> Option<(Ran, serde_json::Value, Duration)> {
    let runner = Runner::root()?;
    if !has_fuse() || !compile(&runner, "stalled.c", "with-stalled", &[]) {
        return None;
    }
    let outside = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory");
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).expect("our own");
    let directory = outside.path().display().to_string();
    runner.put("policy.toml", policy.replace("DIRECTORY", &directory));
    runner.put("old.toml", "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\n".replace("DIRECTORY", &directory));
    let stalled = format!("{directory}/stalled");
    let mut command = runner.command(runner.path("programs/with-stalled"));
    command.arg(&directory).arg(runner.program()).args(["run", "--policy", "policy.toml", "--report", "report.json"]);
    command.args(more).args(["--limit", "wall=3s", "--", "/usr/bin/python3", "-c", program, &stalled]);
    let began = Instant::now();
    let ran = finish(&mut command, b"", HANGS);
    let took = began.elapsed();
    assert!(runner.path("report.json").exists(), "{ran}");
    assert_eq!(left(&directory), Vec::<String>::new(), "processes that name the file");
    assert!(fs::read_dir(outside.path()).is_ok_and(|left| left.count() == 0), "the mount was in another namespace");
    let report = serde_json::from_slice(&runner.read("report.json")).unwrap_or_default();
    Some((ran, report, took))
}

/// The processes of this machine with `text` among their arguments, but for those that are dead.
fn left(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("processes are listed").flatten();
    let arguments = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let texts = all.filter_map(arguments).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    texts.filter(|arguments| arguments.contains(text)).collect()
}

#[track_caller]
fn ended_in_time(ran: &Ran, report: &serde_json::Value, took: Duration) {
    assert_eq!(ran.stdout(), "mapped True\n", "{ran}");
    assert_eq!(report["verdict"]["kind"], "timeout", "{ran}\n{report:#}");
    let wall = report["usage"]["wall_us"].as_u64().unwrap_or(u64::MAX);
    assert!((2_900_000..8_000_000).contains(&wall), "{wall} of 3 s");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_page_that_never_comes_does_not_hold_up_who_explains_paths() {
    let policy = "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\n";
    let Some((ran, report, took)) = run(policy, &["--explain"]) else { return };

    ended_in_time(&ran, &report, took);
    let notes = report["notes"].to_string();
    assert!(notes.contains("could not be read"), "{notes}");
}

#[test]
fn nor_in_the_seccomp_tier() {
    let policy = "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\nmode = \"direct\"\n";
    let Some((ran, report, took)) = run(policy, &["--explain", "--tier", "seccomp"]) else { return };

    ended_in_time(&ran, &report, took);
}

#[test]
fn nor_who_opens_files_for_a_job() {
    let policy = "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\nmode = \"brokered\"\n";
    for tier in ["seccomp", "jail"] {
        let Some((ran, report, took)) = run(policy, &["--tier", tier]) else { return };

        assert_eq!(
            (ran.stdout().as_str(), ran.status),
            ("mapped True\nopened\n", Some(0)),
            "{tier}: {ran}\n{report:#}"
        );
        assert!(took < Duration::from_secs(30), "{tier}: {took:?}");
    }
}

#[test]
fn nor_who_observes_for_another_policy() {
    let policy = "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\n\
                  [rollout]\nenforce = \"0%\"\nshadow = \"100%\"\nold = \"./old.toml\"\n";
    let Some((ran, report, took)) = run(policy, &["--job-key", "customer-17"]) else { return };

    ended_in_time(&ran, &report, took);
    assert_eq!(report["rollout"]["mode"], "shadow", "{report:#}");
}

#[test]
fn nor_who_looks_at_a_refused_call() {
    // umount2 takes a path as well, and is refused.
    let policy = "extends = \"default\"\n[files]\nread = [\"DIRECTORY\"]\n";
    let ask = ASK.replace("libc.open(", "libc.umount2(");
    let Some((ran, report, took)) = run_program(policy, &[], &ask) else { return };

    assert_eq!((ran.stdout().as_str(), ran.status), ("mapped True\nopened\n", Some(0)), "{ran}");
    assert_eq!(report["refusals"][0]["call"], "umount2", "{report:#}");
    assert!(report["refusals"][0]["explanation"]["stack_note"].to_string().contains("too long"), "{report:#}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// The same without a file: a page that the program itself does not fill (userfaultfd(2)).
const FAULT: &str = "\
import ctypes, struct
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
fault = libc.syscall(323 if ctypes.sizeof(ctypes.c_void_p) == 8 and __import__('os').uname().machine == 'x86_64' else 282, 0)
page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
api = ctypes.create_string_buffer(struct.pack('QQQ', 0xaa, 0, 0))
register = ctypes.create_string_buffer(struct.pack('QQQQ', page, 4096, 1, 0))
ready = libc.ioctl(fault, ctypes.c_ulong(0xc018aa3f), api) == 0
ready = ready and libc.ioctl(fault, ctypes.c_ulong(0xc020aa00), register) == 0
print('ready', ready, flush=True)
if ready:
    libc.open(ctypes.c_void_p(page), 0)
";

#[test]
fn nor_who_learns_from_a_program_that_fills_its_pages_itself() {
    let Some(runner) = Runner::root() else { return };
    if !Path::new("/proc/sys/vm/unprivileged_userfaultfd").exists() {
        lazaret_e2e::skip("this kernel has no userfaultfd");
        return;
    }
    fs::create_dir(runner.path("corpus")).expect("a new directory");
    runner.put("corpus/a", "a");
    let mut command = runner.command(runner.program());
    command.args(["learn", "--out", "learned.toml", "--corpus", "corpus", "--limit", "wall=3s", "--"]);

    let ran = finish(command.args(["/usr/bin/python3", "-c", FAULT]), b"", HANGS);

    assert_eq!(ran.status, Some(125), "{ran}");
    assert!(ran.stderr().contains("could not be read in time"), "{ran}");
}

#[test]
fn nor_who_learns() {
    let Some(runner) = Runner::root() else { return };
    if !has_fuse() || !compile(&runner, "stalled.c", "with-stalled", &[]) {
        return;
    }
    let outside = tempfile::Builder::new().prefix("lazaret-e2e-").tempdir_in("/var/tmp").expect("a directory");
    let stalled = outside.path().join("stalled");
    fs::create_dir(runner.path("corpus")).expect("a new directory");
    runner.put("corpus/a", "a");
    let mut command = runner.command(runner.path("programs/with-stalled"));
    command.arg(outside.path()).arg(runner.program());
    command.args(["learn", "--out", "learned.toml", "--corpus", "corpus", "--limit", "wall=3s", "--"]);
    command.args(["/usr/bin/python3", "-c", ASK]).arg(stalled);

    let ran = finish(&mut command, b"", HANGS);

    assert_eq!(ran.status, Some(125), "{ran}");
    assert!(ran.stderr().contains("could not be read in time"), "{ran}");
    assert!(!runner.path("learned.toml").exists(), "nothing is learned from what was not seen");
}
