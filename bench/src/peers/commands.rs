//! The command lines of other sandboxes, each as near to Lazaret's default profile as its options allow.

use super::bundle::{self, Scratch};
use super::{Caller, JOB};
use crate::agent::{FILTER, UNIQUE};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// A sandbox with its options.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) about: &'static str,
    pub(super) caller: Caller,
    /// Or why they cannot be put together here.
    pub(super) args: Result<Vec<String>>,
    pub(super) filter: Option<PathBuf>,
}

/// All of them, whether installed or not.
pub(super) fn all(scratch: &Scratch) -> Result<Vec<Peer>> {
    let small =
        |name, program, about, args| Peer { name, program, about, caller: Caller::Small, args: Ok(args), filter: None };
    let filtered = words(&["--seccomp", FILTER]).into_iter().chain(bwrap_strict()).collect();
    let crun_caller = if hides_unified() { Caller::WithoutUnified } else { Caller::Small };
    let crun = |name, about, calls| Peer {
        caller: crun_caller,
        args: crun_args(scratch, calls),
        ..small(name, "crun", about, Vec::new())
    };
    Ok(vec![
        small(
            super::BWRAP,
            "bwrap",
            "7 namespaces (all but time), read-only /usr, new /proc, /dev and /tmp; no filter, no limits",
            then_job(bwrap()),
        ),
        small(
            "bwrap-strict",
            "bwrap",
            "as bwrap, no capabilities, new session, empty environment, private /job; no filter, no limits",
            then_job(bwrap_strict()),
        ),
        Peer {
            filter: Some(scratch.filter()?),
            ..small(
                "bwrap-filter",
                "bwrap",
                "as bwrap-strict, with the very filter of Lazaret's default profile, compiled ahead; no limits",
                then_job(filtered),
            )
        },
        crun(
            "crun",
            "7 namespaces, one uid mapped, no capabilities, read-only root, rlimits, cgroup where root; no filter",
            bundle::Calls::All,
        ),
        crun(
            "crun-filter",
            "as crun, with the rules of Lazaret's default profile, which it compiles in every run",
            bundle::Calls::Profile,
        ),
        small(
            "firejail",
            "firejail",
            "mount, pid, net, ipc, uts (and user, unless root) namespaces, no capabilities, its default filter",
            then_job(firejail()),
        ),
        small(
            "nsjail",
            "nsjail",
            "7 namespaces, read-only /usr, no capabilities, rlimits; no filter",
            then_job(nsjail()),
        ),
        small(
            "minijail0",
            "minijail0",
            "7 namespaces, pivot_root, read-only /usr, no capabilities, rlimits; no filter",
            then_job(minijail(scratch)?),
        ),
        small(
            "sandlock",
            "sandlock",
            "no namespaces: Landlock, its default filter, limits by supervision",
            then_job(words(&[
                "run",
                "-r",
                "/usr",
                "-r",
                "/bin",
                "-r",
                "/lib",
                "-r",
                "/lib64",
                "-w",
                "/tmp",
                "-m",
                "1G",
                "-P",
                "64",
                "--max-open-files",
                "256",
                "--no-coredump",
                "--clean-env",
                "-t",
                "30",
            ])),
        ),
    ])
}

fn bwrap() -> Vec<String> {
    let mut args = words(&["--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib64"] {
        let path = Path::new("/").join(name);
        let guest = path.to_string_lossy().into_owned();
        match fs::read_link(&path) {
            Ok(target) => args.extend(["--symlink".to_owned(), target.to_string_lossy().into_owned(), guest]),
            Err(_not_a_link) if path.is_dir() => args.extend(["--ro-bind".to_owned(), guest.clone(), guest]),
            Err(_missing) => {}
        }
    }
    args.extend(words(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]));
    args
}

fn bwrap_strict() -> Vec<String> {
    let mut args = bwrap();
    args.extend(words(&["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]));
    args.extend(words(&["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]));
    args.extend(words(&["--ro-bind-try", "/etc/localtime", "/etc/localtime"]));
    args.extend(words(&["--tmpfs", "/job", "--chdir", "/job", "--hostname", "job", "--new-session"]));
    args.extend(words(&["--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]));
    args.extend(words(&["--setenv", "HOME", "/job", "--setenv", "TMPDIR", "/tmp"]));
    args
}

fn crun_args(scratch: &Scratch, calls: bundle::Calls) -> Result<Vec<String>> {
    let bundle = scratch.bundle(calls)?.to_string_lossy().into_owned();
    let mut args = Vec::new();
    if !rustix::process::geteuid().is_root() {
        let state = scratch.path().join("crun-state").to_string_lossy().into_owned();
        args.extend(["--root".to_owned(), state, "--cgroup-manager=disabled".to_owned()]);
    }
    args.extend(["run".to_owned(), "--bundle".to_owned(), bundle, UNIQUE.to_owned()]);
    Ok(args)
}

/// crun refuses to start where version 2 of cgroups has a controller while others are on version 1. With root's rights a
/// view without that hierarchy can be made for it.
fn hides_unified() -> bool {
    rustix::process::geteuid().is_root()
        && fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").is_ok_and(|text| !text.trim().is_empty())
}

fn firejail() -> Vec<String> {
    let mut args = words(&["--quiet", "--noprofile", "--private", "--private-dev", "--private-tmp", "--net=none"]);
    args.extend(words(&["--caps.drop=all", "--nonewprivs", "--seccomp", "--ipc-namespace", "--hostname=job"]));
    args.extend(words(&["--rlimit-nofile=256", "--rlimit-nproc=64", "--rlimit-fsize=536870912"]));
    if !rustix::process::geteuid().is_root() {
        args.push("--noroot".to_owned());
    }
    args
}

fn nsjail() -> Vec<String> {
    let mut args = words(&["-Mo", "-Q", "--user", "99999", "--group", "99999", "-R", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            args.extend(["-s".to_owned(), format!("{}:/{name}", target.display())]);
        }
    }
    for device in ["null", "zero", "full", "random", "urandom"] {
        args.extend(["-B".to_owned(), format!("/dev/{device}")]);
    }
    args.extend(words(&["-T", "/tmp", "-T", "/job", "-D", "/job", "-H", "job", "-t", "30", "--iface_no_lo"]));
    args.extend(words(&["--rlimit_as", "inf", "--rlimit_fsize", "512", "--rlimit_nofile", "256", "--nice_level", "0"]));
    args.extend(words(&["-E", "PATH=/usr/local/bin:/usr/bin:/bin", "-E", "HOME=/job", "-E", "TMPDIR=/tmp"]));
    args
}

fn minijail(scratch: &Scratch) -> Result<Vec<String>> {
    let (uid, gid) = bundle::outside_ids();
    let root = scratch.minijail_root()?.to_string_lossy().into_owned();
    let mut args = words(&["-U", "-m", &format!("0 {uid} 1"), "-M", &format!("0 {gid} 1")]);
    args.extend(words(&["-v", "-p", "-e", "-l", "-N", "--uts=job", "-n", "-c", "0", "-w", "-r", "-d", "-t"]));
    args.extend(words(&["-P", &root, "-b", "/usr", "-k", "tmpfs,/job,tmpfs,MS_NODEV|MS_NOSUID,mode=700"]));
    // RLIMIT_FSIZE and RLIMIT_NOFILE.
    args.extend(words(&["-R", "1,536870912,536870912", "-R", "7,256,256"]));
    Ok(args)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn then_job(args: Vec<String>) -> Vec<String> {
    args.into_iter().chain(words(&["--", JOB])).collect()
}
