//! The part of the third list that assembles the root and leaves the old one.

use super::{List, Part, Slot, Steps, Structure, Tolerate, Value, call, named, text, words};
use crate::plan::{EMPTY_DIRECTORY, Entry, JOB_DIRECTORY, Tree};
use lazaret_policy::ProcView;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const LIST: List = List::Build;
const PART: Part = Part::Root;

// linux/mount.h
const FSOPEN_CLOEXEC: Value = Value::Named(1, "FSOPEN_CLOEXEC");
const FSMOUNT_CLOEXEC: Value = Value::Named(1, "FSMOUNT_CLOEXEC");
const SET_FLAG: Value = Value::Named(0, "FSCONFIG_SET_FLAG");
const SET_STRING: Value = Value::Named(1, "FSCONFIG_SET_STRING");
const CREATE: Value = Value::Named(6, "FSCONFIG_CMD_CREATE");
const FROM_DESCRIPTOR: Value = Value::Named(4, "MOVE_MOUNT_F_EMPTY_PATH");
const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;
const CLONE_TREE: Value = Value::Named(
    1 | libc::O_CLOEXEC as u64 | libc::AT_RECURSIVE as u64,
    "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE",
);
const EMPTY_RECURSIVE: Value =
    Value::Named(libc::AT_EMPTY_PATH as u64 | libc::AT_RECURSIVE as u64, "AT_EMPTY_PATH|AT_RECURSIVE");

/// The root itself holds directories, links and files of a few hundred bytes.
const ROOT_SIZE: &str = "1M";

pub(crate) fn add(steps: &mut Steps, tree: &Tree) {
    let root = steps.slot("root");
    let options = [("size", ROOT_SIZE.to_owned()), ("mode", "0755".to_owned())];
    file_system(steps, "tmpfs", &options, NOSUID | NODEV, root);
    // Over "/", where absolute paths do not see it: they go on leading into the old root until the pivot.
    let over = vec![Value::Descriptor(root), text(""), named!(AT_FDCWD), text("/"), FROM_DESCRIPTOR];
    steps.add(LIST, PART, call!(SYS_move_mount), over);

    let scratch: Vec<&Path> = tree
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Scratch { guest } => Some(guest.as_path()),
            _ => None,
        })
        .collect();
    for entry in &tree.entries {
        self::entry(steps, root, entry);
    }
    self::scratch(steps, root, tree.disk, tree.inodes, &scratch);
    copies_on_write(steps, root, tree);
    steps.mark(LIST, Part::Pivot);
    pivot(steps, root);
}

fn guest(path: &Path) -> Value {
    text(path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes())
}

fn make_directory(steps: &mut Steps, root: Slot, path: &Path) {
    let args = vec![Value::Descriptor(root), guest(path), Value::Number(0o755)];
    let exists = Tolerate::Errno(libc::EEXIST);
    steps.add(LIST, PART, call!(SYS_mkdirat), args).tolerate(exists);
}

/// An empty file to mount on.
fn make_file(steps: &mut Steps, root: Slot, path: &Path) {
    let mode = Value::Named(u64::from(libc::S_IFREG | 0o644), "S_IFREG|0644");
    let args = vec![Value::Descriptor(root), guest(path), mode, Value::Number(0)];
    let exists = Tolerate::Errno(libc::EEXIST);
    steps.add(LIST, PART, call!(SYS_mknodat), args).tolerate(exists);
}

fn entry(steps: &mut Steps, root: Slot, entry: &Entry) {
    match entry {
        Entry::Directory { guest } => make_directory(steps, root, guest),
        Entry::Bind { host, guest, directory } => {
            if *directory {
                make_directory(steps, root, guest);
            } else {
                make_file(steps, root, guest);
            }
            bind(steps, root, host, guest, RDONLY | NOSUID | NODEV);
        }
        Entry::Device { host, guest } => {
            make_file(steps, root, guest);
            bind(steps, root, host, guest, RDONLY | NOSUID | NOEXEC);
        }
        Entry::Symlink { guest, target } => {
            let args = vec![text(target.as_os_str().as_bytes()), Value::Descriptor(root), self::guest(guest)];
            steps.add(LIST, PART, call!(SYS_symlinkat), args);
        }
        Entry::File { guest, content } => file(steps, root, guest, content),
        Entry::Proc { view } => proc(steps, root, *view),
        Entry::Mask { guest } => mask(steps, root, guest),
        Entry::Pts { guest } => pts(steps, root, guest),
        // One file system for all of them, made after everything else.
        Entry::Scratch { .. } | Entry::Cow { .. } => {}
    }
}

/// A detached tree of `host`, restricted before it is put anywhere, and cut off from what the host mounts later.
fn bind(steps: &mut Steps, root: Slot, host: &Path, guest: &Path, attributes: u64) {
    let tree = steps.scratch_slot();
    let path = text(host.as_os_str().as_bytes());
    steps.add(LIST, PART, call!(SYS_open_tree), vec![named!(AT_FDCWD), path, CLONE_TREE]).save(tree);
    restrict(steps, tree, EMPTY_RECURSIVE, attributes);
    put(steps, tree, root, guest);
}

/// mount_setattr(2): struct mount_attr is set, clear, propagation, user namespace.
fn restrict(steps: &mut Steps, mount: Slot, flags: Value, attributes: u64) {
    let private = libc::MS_PRIVATE;
    let shown = match attributes {
        a if a & NOEXEC != 0 => "{RDONLY|NOSUID|NOEXEC, MS_PRIVATE}",
        a if a & NODEV != 0 => "{RDONLY|NOSUID|NODEV, MS_PRIVATE}",
        _ => "{RDONLY, MS_PRIVATE}",
    };
    let attributes = Structure::words(shown, &[attributes, 0, private, 0]);
    let args = vec![Value::Descriptor(mount), text(""), flags, Value::Structure(attributes.into()), Value::Number(32)];
    steps.add(LIST, PART, call!(SYS_mount_setattr), args);
}

/// Puts a detached tree at `path` and lets go of its descriptor.
fn put(steps: &mut Steps, tree: Slot, root: Slot, path: &Path) {
    let args = vec![Value::Descriptor(tree), text(""), Value::Descriptor(root), guest(path), FROM_DESCRIPTOR];
    steps.add(LIST, PART, call!(SYS_move_mount), args);
    steps.add(LIST, PART, call!(SYS_close), vec![Value::Descriptor(tree)]);
}

/// fsopen(2) to fsmount(2): a new, detached file system. An empty value is a flag.
fn file_system(steps: &mut Steps, kind: &'static str, options: &[(&str, String)], attributes: u64, mount: Slot) {
    let context = steps.scratch_slot();
    // The one that the kernel may refuse by itself: it shows what others have covered.
    let part = if kind == "proc" { Part::Proc } else { PART };
    steps.add(LIST, part, call!(SYS_fsopen), vec![text(kind), FSOPEN_CLOEXEC]).save(context);
    for (key, value) in options {
        let (command, value) =
            if value.is_empty() { (SET_FLAG, Value::Number(0)) } else { (SET_STRING, text(value.as_str())) };
        let args = vec![Value::Descriptor(context), command, text(*key), value, Value::Number(0)];
        steps.add(LIST, part, call!(SYS_fsconfig), args);
    }
    let create = vec![Value::Descriptor(context), CREATE, Value::Number(0), Value::Number(0), Value::Number(0)];
    steps.add(LIST, part, call!(SYS_fsconfig), create);
    let args = vec![Value::Descriptor(context), FSMOUNT_CLOEXEC, Value::Named(attributes, words::ATTRIBUTES)];
    steps.add(LIST, part, call!(SYS_fsmount), args).save(mount);
    steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(context)]);
}

fn file(steps: &mut Steps, root: Slot, path: &Path, content: &str) {
    let file = steps.scratch_slot();
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let flags = Value::Named(flags as u64, "O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC");
    let args = vec![Value::Descriptor(root), guest(path), flags, Value::Number(0o444)];
    steps.add(LIST, PART, call!(SYS_openat), args).save(file);
    let args = vec![Value::Descriptor(file), text(content), Value::Number(content.len() as u64)];
    steps.add(LIST, PART, call!(SYS_write), args);
    steps.add(LIST, PART, call!(SYS_close), vec![Value::Descriptor(file)]);
}

/// proc(5): `hidepid=invisible` hides what this process may not trace, `subset=pid` all that is not about processes.
fn proc(steps: &mut Steps, root: Slot, view: ProcView) {
    let path = Path::new("/proc");
    make_directory(steps, root, path);
    let mut options = vec![("hidepid", "invisible".to_owned())];
    if view == ProcView::Minimal {
        options.push(("subset", "pid".to_owned()));
    }
    let mount = steps.scratch_slot();
    file_system(steps, "proc", &options, NOSUID | NODEV | NOEXEC, mount);
    put(steps, mount, root, path);
}

/// A mask is the jail's own empty directory, or /dev/null, over what it hides. What a host lacks is passed over.
fn mask(steps: &mut Steps, root: Slot, path: &Path) {
    let tree = steps.scratch_slot();
    let directory = matches!(
        path.to_str(),
        Some(
            "/proc/sys"
                | "/proc/irq"
                | "/proc/bus"
                | "/proc/fs"
                | "/proc/acpi"
                | "/proc/scsi"
                | "/proc/driver"
                | "/proc/tty"
                | "/proc/asound"
                | "/proc/pressure"
        )
    );
    let over = if directory { Path::new(EMPTY_DIRECTORY) } else { Path::new("/dev/null") };
    let clone = Value::Named(1 | libc::O_CLOEXEC as u64, "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC");
    let args = vec![Value::Descriptor(root), guest(over), clone];
    steps.add(LIST, PART, call!(SYS_open_tree), args).save(tree);
    restrict(steps, tree, Value::Named(libc::AT_EMPTY_PATH as u64, "AT_EMPTY_PATH"), RDONLY | NOSUID | NOEXEC);
    let args = vec![Value::Descriptor(tree), text(""), Value::Descriptor(root), guest(path), FROM_DESCRIPTOR];
    let absent = Tolerate::Errno(libc::ENOENT);
    steps.add(LIST, PART, call!(SYS_move_mount), args).tolerate(absent);
    steps.add(LIST, PART, call!(SYS_close), vec![Value::Descriptor(tree)]);
}

fn pts(steps: &mut Steps, root: Slot, path: &Path) {
    make_directory(steps, root, path);
    let mount = steps.scratch_slot();
    let options = [("ptmxmode", "0666".to_owned()), ("mode", "0620".to_owned()), ("max", "16".to_owned())];
    file_system(steps, "devpts", &options, NOSUID | NOEXEC, mount);
    put(steps, mount, root, path);
}

/// One sized tmpfs, of which /job, /tmp and /dev/shm are directories: the bound is on all of them together. It lies
/// under the second mount on /tmp, out of everybody's reach.
fn scratch(steps: &mut Steps, root: Slot, disk: u64, inodes: u64, places: &[&Path]) {
    let super::Carried { scratch, job_directory, .. } = steps.carried;
    let base = Path::new("/tmp");
    make_directory(steps, root, base);
    let options = [("size", disk.to_string()), ("nr_inodes", inodes.to_string()), ("mode", "0755".to_owned())];
    file_system(steps, "tmpfs", &options, NOSUID | NODEV, scratch);
    let args = vec![Value::Descriptor(scratch), text(""), Value::Descriptor(root), guest(base), FROM_DESCRIPTOR];
    steps.add(LIST, PART, call!(SYS_move_mount), args);
    for place in places {
        let name = place.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        let args = vec![Value::Descriptor(scratch), text(name), Value::Number(0o755)];
        steps.add(LIST, PART, call!(SYS_mkdirat), args);
    }
    // /tmp last: its mount covers the base.
    let (tmp, others): (Vec<&&Path>, Vec<&&Path>) = places.iter().partition(|place| **place == base);
    for place in others.into_iter().chain(tmp) {
        let name = place.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        make_directory(steps, root, place);
        let is_job = *place == Path::new(JOB_DIRECTORY);
        let tree = if is_job { job_directory } else { steps.scratch_slot() };
        let args = vec![Value::Descriptor(scratch), text(name), CLONE_TREE];
        steps.add(LIST, PART, call!(SYS_open_tree), args).save(tree);
        let args = vec![Value::Descriptor(tree), text(""), Value::Descriptor(root), guest(place), FROM_DESCRIPTOR];
        steps.add(LIST, PART, call!(SYS_move_mount), args);
        if !is_job {
            steps.add(LIST, PART, call!(SYS_close), vec![Value::Descriptor(tree)]);
        }
    }
}

/// overlayfs, in user namespaces since Linux 5.11: the host's directory below, the job's memory above.
fn copies_on_write(steps: &mut Steps, root: Slot, tree: &Tree) {
    let scratch = steps.carried.scratch;
    let cows = tree.entries.iter().filter_map(|entry| match entry {
        Entry::Cow { host, guest } => Some((host, guest)),
        _ => None,
    });
    for (index, (host, guest)) in cows.enumerate() {
        // overlayfs takes names, not descriptors, before Linux 6.13: relative ones, from the scratch directory.
        steps.add(LIST, PART, call!(SYS_fchdir), vec![Value::Descriptor(scratch)]);
        let directory = |kind: &str| format!("cow{index}{kind}");
        for kind in ["", "/upper", "/work"] {
            let args = vec![Value::Descriptor(scratch), text(directory(kind)), Value::Number(0o755)];
            steps.add(LIST, PART, call!(SYS_mkdirat), args);
        }
        make_directory(steps, root, guest);
        let overlay = steps.scratch_slot();
        let options = [
            ("lowerdir", host.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")),
            ("upperdir", directory("/upper")),
            ("workdir", directory("/work")),
            ("userxattr", String::new()),
        ];
        file_system(steps, "overlay", &options, NOSUID | NODEV, overlay);
        put(steps, overlay, root, guest);
    }
}

/// pivot_root(2), "pivot_root(".", ".")": the old root ends up over the new one, and is taken away.
fn pivot(steps: &mut Steps, root: Slot) {
    let part = Part::Pivot;
    let mount_namespace = steps.carried.mount_namespace;
    let path = text("/proc/self/ns/mnt");
    let flags = Value::Named((libc::O_RDONLY | libc::O_CLOEXEC) as u64, "O_RDONLY|O_CLOEXEC");
    steps
        .add(LIST, part, call!(SYS_openat), vec![named!(AT_FDCWD), path, flags])
        .save(mount_namespace)
        .tolerate(Tolerate::Anything);
    steps.add(LIST, part, call!(SYS_fchdir), vec![Value::Descriptor(root)]);
    steps.add(LIST, part, call!(SYS_pivot_root), vec![text("."), text(".")]);
    steps.add(LIST, part, call!(SYS_umount2), vec![text("."), named!(MNT_DETACH)]);
    steps.add(LIST, part, call!(SYS_chdir), vec![text("/")]);
    restrict(steps, root, Value::Named(libc::AT_EMPTY_PATH as u64, "AT_EMPTY_PATH"), RDONLY);
    steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(root)]);
}
