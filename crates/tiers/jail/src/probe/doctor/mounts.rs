//! Mounts inside a user namespace.

use super::trial::{As, Ground, Trial};
use super::{Doctor, Feature};
use crate::steps::{Slot, Structure, Value, call, named, text};

// linux/mount.h
const FSOPEN_CLOEXEC: u64 = 1;
const FSMOUNT_CLOEXEC: u64 = 1;
const FSCONFIG_SET_FLAG: u64 = 0;
const FSCONFIG_SET_STRING: u64 = 1;
const FSCONFIG_CMD_CREATE: u64 = 6;
const MOVE_MOUNT_F_EMPTY_PATH: u64 = 4;
const OPEN_TREE_CLONE: i32 = 1;
const RDONLY_NOSUID_NODEV: u64 = 7;

impl Doctor<'_> {
    pub(super) fn mounts(&mut self) {
        use Feature::{MountCalls, MountNamespace, PidNamespace, Tmpfs};
        self.try_behind(MountCalls, &[MountNamespace], |ground| {
            let mut trial = scene(ground, 0);
            let tree = clone_of_root(&mut trial);
            put_over_root(&mut trial, tree);
            trial.passes(ground)
        });
        self.try_behind(Feature::MountAttributes, &[MountCalls], |ground| {
            let mut trial = scene(ground, 0);
            let tree = clone_of_root(&mut trial);
            let flags = Value::Number((libc::AT_EMPTY_PATH | libc::AT_RECURSIVE).cast_unsigned().into());
            let attributes = Structure::words("read-only", &[RDONLY_NOSUID_NODEV, 0, libc::MS_PRIVATE, 0]);
            let attributes = Value::Structure(attributes.into());
            let args = vec![Value::Descriptor(tree), text(""), flags, attributes, Value::Number(32)];
            trial.step(call!(SYS_mount_setattr), args);
            trial.passes(ground)
        });
        self.try_behind(Tmpfs, &[MountCalls], |ground| {
            let mut trial = scene(ground, 0);
            tmpfs_over_root(&mut trial);
            trial.passes(ground)
        });
        self.try_behind(Feature::PivotRoot, &[Tmpfs], |ground| {
            let mut trial = scene(ground, 0);
            let root = tmpfs_over_root(&mut trial);
            trial.step(call!(SYS_fchdir), vec![Value::Descriptor(root)]);
            trial.step(call!(SYS_pivot_root), vec![text("."), text(".")]);
            trial.step(call!(SYS_umount2), vec![text("."), named!(MNT_DETACH)]);
            trial.passes(ground)
        });
        for (feature, options) in [
            (Feature::Proc, &[("hidepid", "invisible")][..]),
            (Feature::ProcMinimal, &[("hidepid", "invisible"), ("subset", "pid")][..]),
        ] {
            self.try_behind(feature, &[MountCalls, PidNamespace], |ground| {
                let mut trial = scene(ground, libc::CLONE_NEWPID);
                trial.file_system("proc", options);
                trial.passes(ground)
            });
        }
        self.try_behind(Feature::Devpts, &[MountCalls], |ground| {
            let mut trial = scene(ground, 0);
            trial.file_system("devpts", &[("ptmxmode", "0666"), ("mode", "0620"), ("max", "16")]);
            trial.passes(ground)
        });
        self.try_behind(Feature::Overlayfs, &[Tmpfs], |ground| {
            let mut trial = scene(ground, 0);
            let root = tmpfs_over_root(&mut trial);
            for name in ["lower", "upper", "work"] {
                let args = vec![Value::Descriptor(root), text(name), Value::Number(0o755)];
                trial.step(call!(SYS_mkdirat), args);
            }
            // Names, not descriptors, before Linux 6.13: relative ones.
            trial.step(call!(SYS_fchdir), vec![Value::Descriptor(root)]);
            let options = [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work"), ("userxattr", "")];
            trial.file_system("overlay", &options);
            trial.passes(ground)
        });
    }
}

fn scene<'a>(ground: &Ground, namespaces: i32) -> Trial<'a> {
    Trial::inside(ground, As::Job, libc::CLONE_NEWNS | namespaces)
}

fn clone_of_root(trial: &mut Trial<'_>) -> Slot {
    let tree = trial.slot();
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_RECURSIVE;
    let args = vec![named!(AT_FDCWD), text("/"), Value::Number(flags.cast_unsigned().into())];
    trial.step(call!(SYS_open_tree), args).save(tree);
    tree
}

fn put_over_root(trial: &mut Trial<'_>, tree: Slot) {
    let from = Value::Number(MOVE_MOUNT_F_EMPTY_PATH);
    let args = vec![Value::Descriptor(tree), text(""), named!(AT_FDCWD), text("/"), from];
    trial.step(call!(SYS_move_mount), args);
}

fn tmpfs_over_root(trial: &mut Trial<'_>) -> Slot {
    let root = trial.file_system("tmpfs", &[("size", "1M"), ("mode", "0755")]);
    put_over_root(trial, root);
    root
}

impl Trial<'_> {
    /// A new, detached file system. An empty value is a flag.
    pub(super) fn file_system(&mut self, kind: &str, options: &[(&str, &str)]) -> Slot {
        let (context, mount) = (self.slot(), self.slot());
        self.step(call!(SYS_fsopen), vec![text(kind), Value::Number(FSOPEN_CLOEXEC)]).save(context);
        for (key, value) in options {
            let (command, value) = match *value {
                "" => (FSCONFIG_SET_FLAG, Value::Number(0)),
                value => (FSCONFIG_SET_STRING, text(value)),
            };
            let args = vec![Value::Descriptor(context), Value::Number(command), text(*key), value, Value::Number(0)];
            self.step(call!(SYS_fsconfig), args);
        }
        let zero = || Value::Number(0);
        let args = vec![Value::Descriptor(context), Value::Number(FSCONFIG_CMD_CREATE), zero(), zero(), zero()];
        self.step(call!(SYS_fsconfig), args);
        let args = vec![Value::Descriptor(context), Value::Number(FSMOUNT_CLOEXEC), zero()];
        self.step(call!(SYS_fsmount), args).save(mount);
        mount
    }
}
