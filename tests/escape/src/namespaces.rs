//! Making namespaces and entering those of others.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use crate::call::{Errno, sys};
use crate::child::{self, Child};
use crate::mounts;
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("unshare", unshare),
    ("nested-users", nested_users),
    ("enter-namespaces", enter_namespaces),
    ("clone3", clone3),
    ("clone3-nonsense", clone3_nonsense),
];

const KINDS: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", 0x80),
];

fn unshare(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for (name, flag) in KINDS {
        if tries.of(name, sys!(unshare, flag)).is_some() {
            return Outcome::escaped(format!("has a {name} namespace of its own"));
        }
    }
    tries.blocked()
}

/// A user namespace, and in it what only root may do: a mount.
fn nested_users(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
    if tries.of("unshare", mounts::nest(flags)).is_some() {
        let mounted = mounts::mount_at("none", "/tmp", "tmpfs", 0, "");
        return Outcome::escaped(format!("is root in a namespace of its own; mount: {mounted:?}"));
    }
    // SAFETY: fork in another form: no stack, so that the child goes on with a copy of ours.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) };
    match pid {
        -1 => tries.failed("clone", Errno::last()),
        0 => child::leave(0),
        pid => {
            Child(i32::try_from(pid).unwrap_or_default()).end();
            return Outcome::escaped("clone made a user namespace");
        }
    }
    tries.blocked()
}

/// PATH PID: enters the namespaces of the process outside, and of pid 1, and reads PATH there.
fn enter_namespaces(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).ok();
    for pid in [args.number::<i32>(1), 1] {
        for (name, flag) in KINDS {
            let path = format!("/proc/{pid}/ns/{name}");
            let (theirs, ours) = (fs::read_link(&path).ok(), own(name));
            let Some(namespace) = tries.of(&path, File::open(&path)) else { continue };
            let entered = sys!(setns, namespace.as_raw_fd(), flag);
            if tries.of(format!("setns {name}"), entered).is_some() && (theirs.is_none() || theirs != ours) {
                let text = fs::read_to_string(args.text(0)).unwrap_or_default();
                return Outcome::escaped(format!("entered the {name} namespace of {pid}, where a file says {text}"));
            }
        }
        let Some(process) = tries.of("pidfd_open", sys!(pidfd_open, pid, 0)) else { continue };
        let all = KINDS.iter().fold(0, |flags, (_, flag)| flags | flag);
        for flags in [all, libc::CLONE_NEWNS, libc::CLONE_NEWNET] {
            let before = own("mnt");
            if tries.of("setns pidfd", sys!(setns, process, flags)).is_some() && own("mnt") != before {
                let text = fs::read_to_string(args.text(0)).unwrap_or_default();
                return Outcome::escaped(format!("entered namespaces of {pid}, where a file says {text}"));
            }
        }
    }
    tries.blocked()
}

/// struct clone_args of clone3(2), all 11 words.
type CloneArgs = [u64; 11];

fn run_clone3(args: &CloneArgs, size: usize) -> Result<(), Errno> {
    // SAFETY: fork in another form, without a stack of its own; the child leaves at once.
    match unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size) } {
        -1 => Err(Errno::last()),
        0 => child::leave(0),
        pid => {
            Child(i32::try_from(pid).unwrap_or_default()).end();
            Ok(())
        }
    }
}

/// clone3, whose flags lie behind a pointer where no filter sees them, with each kind of namespace.
fn clone3(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for (name, flag) in KINDS {
        let mut args: CloneArgs = [0; 11];
        args[0] = flag.cast_unsigned().into();
        args[4] = libc::SIGCHLD.cast_unsigned().into();
        if tries.of(name, run_clone3(&args, size_of_val(&args))).is_some() {
            return Outcome::escaped(format!("clone3 made a {name} namespace"));
        }
    }
    tries.blocked()
}

/// clone3 with flags that contradict each other, numbers that are none and sizes that are wrong: each must fail.
fn clone3_nonsense(args: &Arguments) -> Outcome {
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut tries = Tries::new();
    let number = 1_u64;
    let signal = u64::from(libc::SIGCHLD.cast_unsigned());
    let cases: [(&str, CloneArgs, usize); 8] = [
        ("every flag", [u64::MAX, 0, 0, 0, signal, 0, 0, 0, 0, 0, 0], 88),
        ("a signal that is none", [0, 0, 0, 0, 0xffff_ffff, 0, 0, 0, 0, 0, 0], 88),
        ("pid 1", [0, 0, 0, 0, signal, 0, 0, 0, (&raw const number).addr() as u64, 1, 0], 88),
        ("too many pids", [0, 0, 0, 0, signal, 0, 0, 0, (&raw const number).addr() as u64, 4096, 0], 88),
        ("the root cgroup", [INTO_CGROUP, 0, 0, 0, signal, 0, 0, 0, 0, 0, cgroup(args)], 88),
        ("a stack in the kernel", [0, 0, 0, 0, signal, 0xffff_8000_0000_0000, 4096, 0, 0, 0, 0], 88),
        ("a size too small", [0; 11], 8),
        ("a size too large", [0; 11], 1 << 20),
    ];
    for (name, args, size) in cases {
        if tries.of(name, run_clone3(&args, size)).is_some() {
            return Outcome::escaped(format!("clone3 with {name} worked"));
        }
    }
    tries.blocked()
}

/// A descriptor of a cgroup that is not ours.
fn cgroup(args: &Arguments) -> u64 {
    let opened = File::open(args.text(0)).or_else(|_| File::open("/sys/fs/cgroup"));
    opened.map_or(u64::MAX, |directory| {
        let number = directory.as_raw_fd();
        std::mem::forget(directory);
        number.cast_unsigned().into()
    })
}
