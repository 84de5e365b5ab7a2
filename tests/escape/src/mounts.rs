//! The tree of files: mounting, uncovering, leaving.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use crate::call::{Errno, Result, c, sys};
use crate::files;
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("mount", mount),
    ("mount-disk", mount_disk),
    ("mount-anew", mount_anew),
    ("remount-writable", remount_writable),
    ("uncover", uncover),
    ("pivot-root", pivot_root),
    ("chroot-descriptor", chroot_descriptor),
    ("nested-mount", nested_mount),
];

/// mount(2). Empty strings are null.
pub(crate) fn mount_at(source: &str, target: &str, kind: &str, flags: u64, data: &str) -> Result {
    let words = [source, target, kind, data].map(c);
    let [source, target, kind, data] =
        words.each_ref().map(|text| if text.is_empty() { std::ptr::null() } else { text.as_ptr() });
    sys!(mount, source, target, kind, flags, data)
}

/// A place that a probe may mount on.
fn place(directories: &[String]) -> String {
    let mut candidates = directories.iter().map(String::as_str).chain(["/job", "/tmp", "."]);
    let made = candidates.find_map(|directory| {
        let path = format!("{directory}/mount-point");
        (fs::create_dir(&path).is_ok() || fs::metadata(&path).is_ok()).then_some(path)
    });
    made.unwrap_or_else(|| "/tmp".to_owned())
}

/// \[DIRECTORY\]: a file system of each kind, and a bind of the root.
fn mount(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let place = place(args.all());
    for kind in ["tmpfs", "proc", "sysfs", "cgroup2", "devpts", "mqueue", "overlay", "ramfs", "debugfs", "bpf", "fuse"]
    {
        if tries.of(kind, mount_at("none", &place, kind, 0, "")).is_some() {
            return Outcome::escaped(format!("mounted {kind} on {place}"));
        }
    }
    if tries.of("cgroup v1", mount_at("none", &place, "cgroup", 0, "none,name=lazaret-escape")).is_some() {
        return Outcome::escaped("mounted a cgroup hierarchy");
    }
    for flags in [libc::MS_BIND, libc::MS_BIND | libc::MS_REC] {
        if tries.of("bind", mount_at("/", &place, "", flags, "")).is_some() {
            return Outcome::escaped("bound the root");
        }
    }
    tries.blocked()
}

/// DEVICE SECRET \[DIRECTORY\]: the disk of the host, read-only, by a node that is there or made.
fn mount_disk(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let place = place(&args.all()[2..]);
    let device: u64 = args.number(0);
    let node = format!("{place}-disk");
    tries.of("mknod", sys!(mknodat, libc::AT_FDCWD, c(node.as_str()).as_ptr(), libc::S_IFBLK | 0o600, device));
    for source in [node.as_str(), "/dev/vda", "/dev/sda", "/dev/root"] {
        for kind in ["ext4", "xfs", "btrfs"] {
            match mount_at(source, &place, kind, libc::MS_RDONLY, "") {
                Ok(_) => {
                    let text = fs::read_to_string(format!("{place}{}", args.text(1))).unwrap_or_default();
                    return Outcome::escaped(format!("mounted the host's disk, where a file says {text}"));
                }
                // It is mounted for writing already: found out only after the permission.
                Err(Errno(libc::EBUSY)) => return Outcome::escaped("may mount the host's disk"),
                Err(errno) => tries.failed(format!("mount {source} as {kind}"), errno),
            }
        }
    }
    tries.blocked()
}

/// \[DIRECTORY\]: the newer way to mount, in all its parts.
fn mount_anew(args: &Arguments) -> Outcome {
    const CREATE: u32 = 6;
    const EMPTY_PATH: u32 = 4;
    const CLONE_TREE: u32 = 1;
    let mut tries = Tries::new();
    let place = c(place(args.all()));
    let none = c("");
    for kind in ["tmpfs", "proc", "sysfs", "cgroup2"] {
        let Some(context) = tries.of(format!("fsopen {kind}"), sys!(fsopen, c(kind).as_ptr(), 0)) else { continue };
        if tries.of("fsconfig", sys!(fsconfig, context, CREATE, 0, 0, 0)).is_none() {
            continue;
        }
        let Some(tree) = tries.of("fsmount", sys!(fsmount, context, 0, 0)) else { continue };
        let moved = sys!(move_mount, tree, none.as_ptr(), libc::AT_FDCWD, place.as_ptr(), EMPTY_PATH);
        if tries.of("move_mount", moved).is_some() {
            return Outcome::escaped(format!("mounted {kind}"));
        }
    }
    let root = c("/");
    if tries.of("open_tree", sys!(open_tree, libc::AT_FDCWD, root.as_ptr(), CLONE_TREE)).is_some() {
        return Outcome::escaped("cloned the tree");
    }
    // struct mount_attr: clear MOUNT_ATTR_RDONLY.
    let attr: [u64; 4] = [0, 1, 0, 0];
    for path in ["/", "/usr"] {
        let set = sys!(mount_setattr, libc::AT_FDCWD, c(path).as_ptr(), 0, attr.as_ptr(), size_of_val(&attr));
        if tries.of(format!("mount_setattr {path}"), set).is_some() {
            return Outcome::escaped(format!("changed how {path} is mounted"));
        }
    }
    tries.blocked()
}

/// NAME DIRECTORIES…: makes read-only binds writable, and a file in them.
fn remount_writable(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for directory in &args.all()[1..] {
        for flags in [libc::MS_REMOUNT | libc::MS_BIND, libc::MS_REMOUNT] {
            tries.of(format!("remount {directory}"), mount_at("", directory, "", flags, ""));
        }
        let path = format!("{directory}/{}", args.text(0));
        if tries.of(&path, fs::write(&path, "made by the job")).is_some() {
            return Outcome::escaped(format!("made {path}"));
        }
    }
    tries.blocked()
}

/// SECRET: takes off whatever is mounted, from the top down, and looks what was below.
fn uncover(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points: Vec<&str> = table.lines().rev().filter_map(|line| line.split(' ').nth(4)).collect();
    let mut done = 0;
    for point in points.iter().copied().filter(|point| *point != "/").chain(["/job", "/tmp", "/proc", "/usr", "/"]) {
        let path = c(point);
        // An expiring mount needs two calls; a detached one goes at once.
        let off = sys!(umount2, path.as_ptr(), libc::MNT_DETACH);
        done += i32::from(tries.of(format!("umount {point}"), off).is_some());
        if let Ok(text) = fs::read_to_string(args.text(0)) {
            return Outcome::escaped(format!("below {point} a file says {text}"));
        }
    }
    if done > 0 { Outcome::escaped(format!("took off {done} mounts")) } else { tries.blocked() }
}

/// \[DIRECTORY\]: makes another directory the root.
fn pivot_root(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let place = place(args.all());
    tries.of("bind", mount_at(&place, &place, "", libc::MS_BIND, ""));
    for (root, old) in [(place.as_str(), place.as_str()), ("/job", "/job"), ("/tmp", "/tmp"), (".", ".")] {
        let pivoted = sys!(pivot_root, c(root).as_ptr(), c(old).as_ptr());
        if tries.of(format!("pivot_root {root}"), pivoted).is_some() {
            return Outcome::escaped(format!("{root} is the root"));
        }
    }
    tries.blocked()
}

/// SECRET \[ROOT\]: the classic way out of a chroot, which does not move directories that are held open. ROOT is a
/// chroot to go into first, for a run outside the jail.
fn chroot_descriptor(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    if !args.text(1).is_empty() {
        let inside = c(args.text(1));
        tries.of("chroot", sys!(chroot, inside.as_ptr()));
        tries.of("chdir", std::env::set_current_dir("/"));
    }
    let held = File::open("/");
    for directory in ["/job/below", "/tmp/below", "/below", "below"] {
        tries.of(directory, fs::create_dir(directory));
        tries.of("chroot", sys!(chroot, c(directory).as_ptr()));
    }
    if let Some(held) = tries.of("/", held) {
        tries.of("fchdir", sys!(fchdir, held.as_raw_fd()));
    }
    for _ in 0..64 {
        tries.of("..", std::env::set_current_dir(".."));
    }
    tries.of("chroot", sys!(chroot, c(".").as_ptr()));
    for path in [format!(".{}", args.text(0)), args.text(0).to_owned()] {
        if let Some(text) = tries.of(&path, fs::read_to_string(&path)) {
            return Outcome::escaped(format!("{path} says {text}"));
        }
    }
    Outcome::Blocked("the secret was not to be seen from where it got to".to_owned())
}

/// SECRET NAME DIRECTORIES…: with all capabilities in a user namespace of its own, if there may be one, tries the
/// whole of this module again. Namespaces alone are no escape: only what is got with them.
fn nested_mount(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    if tries.of("nest", nest(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)).is_none() {
        return tries.blocked();
    }
    let secret = args.text(0);
    let again = |words: &[String]| Arguments::new(words.to_vec());
    let words = args.all();
    for (name, probe) in
        [("uncover", uncover as crate::outcome::Probe), ("read", files::read_host_file), ("remount", remount_writable)]
    {
        let given = if name == "remount" { again(&words[1..]) } else { again(&words[..1]) };
        let outcome = probe(&given);
        if let Outcome::Escaped(how) = &outcome
            && (how.contains("says") || name == "remount")
        {
            return outcome;
        }
    }
    let place = place(&[]);
    for kind in ["proc", "sysfs", "cgroup2", "devpts", "mqueue"] {
        if tries.of(kind, mount_at("none", &place, kind, 0, "")).is_some() {
            let setting = format!("{place}/sys/kernel/core_pattern");
            if tries.of("core_pattern", fs::OpenOptions::new().write(true).open(&setting)).is_some() {
                return Outcome::escaped("may write core_pattern");
            }
            for pid in fs::read_dir(&place).into_iter().flatten().flatten() {
                if let Ok(text) = fs::read_to_string(pid.path().join("root").join(secret.trim_start_matches('/'))) {
                    return Outcome::escaped(format!("{} shows a root where a file says {text}", pid.path().display()));
                }
            }
        }
    }
    tries.blocked()
}

/// Makes namespaces, among them one of users in which this process is root and has every capability.
pub(crate) fn nest(flags: i32) -> Result<()> {
    // SAFETY: no arguments.
    let (uid, gid) = (unsafe { libc::getuid() }, gid());
    sys!(unshare, flags)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    Ok(())
}

fn gid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::getgid() }
}
