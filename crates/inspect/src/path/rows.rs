//! The calls that take paths, sorted by name, and what each does there.
//!
//! Source: the manual page of each call.

use super::PathAccess::{self, ChangeMetadata, Create, Execute, Metadata, Read, Remove, Write};

/// A path argument.
pub(super) struct Use {
    /// The argument that says what the path is relative to; `None`: the current directory.
    pub(super) dir: Option<u8>,
    pub(super) path: u8,
    pub(super) how: How,
    pub(super) follow: Follow,
    pub(super) owner: Owner,
}

/// How it is known what happens at the path.
pub(super) enum How {
    /// It is always the same.
    Fixed(PathAccess),
    /// By the flags of open(2) in this argument.
    Open { flags: u8 },
    /// By the struct open_how that this argument points to.
    Behind { how: u8 },
}

/// Whether a link at the end is followed.
#[derive(Clone, Copy)]
pub(super) enum Follow {
    Always,
    Never,
    /// Unless the argument `flags` has `bit`.
    Unless {
        flags: u8,
        bit: u64,
    },
    /// If the argument `flags` has `bit`.
    If {
        flags: u8,
        bit: u64,
    },
}

/// Whether the call is the owner's of what is there.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    NoMatter,
    /// chmod(2), chown(2); link(2) with fs.protected_hardlinks.
    Alone,
    /// utime(2): for others, the present time is all that they may set, which is that of a null in the argument `times`.
    WithTimes {
        times: u8,
    },
}

use Follow::{Always, Never};

/// AT_SYMLINK_NOFOLLOW in the argument.
const fn unless(flags: u8) -> Follow {
    Follow::Unless { flags, bit: 0x100 }
}

/// AT_SYMLINK_FOLLOW in the argument.
const fn only(flags: u8) -> Follow {
    Follow::If { flags, bit: 0x400 }
}

const fn at(path: u8, access: PathAccess, follow: Follow) -> Use {
    Use { dir: None, path, how: How::Fixed(access), follow, owner: Owner::NoMatter }
}

const fn in_dir(dir: u8, path: u8, access: PathAccess, follow: Follow) -> Use {
    Use { dir: Some(dir), path, how: How::Fixed(access), follow, owner: Owner::NoMatter }
}

const fn owners(of: Use) -> Use {
    Use { owner: Owner::Alone, ..of }
}

const fn timed(times: u8, of: Use) -> Use {
    Use { owner: Owner::WithTimes { times }, ..of }
}

/// The path arguments of the call `name`.
pub(super) fn uses(name: &str) -> &'static [Use] {
    ROWS.binary_search_by(|(call, _)| (*call).cmp(name)).map_or(&[], |at| ROWS[at].1)
}

pub(super) const ROWS: &[(&str, &[Use])] = &[
    ("access", &[at(0, Metadata, Always)]),
    ("acct", &[at(0, Write, Always)]),
    ("chdir", &[at(0, Metadata, Always)]),
    ("chmod", &[owners(at(0, ChangeMetadata, Always))]),
    ("chown", &[owners(at(0, ChangeMetadata, Always))]),
    ("chroot", &[at(0, Metadata, Always)]),
    ("creat", &[at(0, Create, Always)]),
    ("execve", &[at(0, Execute, Always)]),
    ("execveat", &[in_dir(0, 1, Execute, unless(4))]),
    ("faccessat", &[in_dir(0, 1, Metadata, Always)]),
    ("faccessat2", &[in_dir(0, 1, Metadata, unless(3))]),
    ("fanotify_mark", &[in_dir(3, 4, Metadata, Follow::Unless { flags: 1, bit: 4 })]),
    ("fchmodat", &[owners(in_dir(0, 1, ChangeMetadata, Always))]),
    ("fchmodat2", &[owners(in_dir(0, 1, ChangeMetadata, unless(3)))]),
    ("fchownat", &[owners(in_dir(0, 1, ChangeMetadata, unless(4)))]),
    ("file_getattr", &[in_dir(0, 1, Metadata, unless(4))]),
    ("file_setattr", &[owners(in_dir(0, 1, ChangeMetadata, unless(4)))]),
    ("fspick", &[in_dir(0, 1, Metadata, Follow::Unless { flags: 2, bit: 2 })]),
    ("futimesat", &[timed(2, in_dir(0, 1, ChangeMetadata, Always))]),
    ("getxattr", &[at(0, Metadata, Always)]),
    ("getxattrat", &[in_dir(0, 1, Metadata, unless(2))]),
    ("inotify_add_watch", &[at(1, Metadata, Follow::Unless { flags: 2, bit: 0x200_0000 })]),
    ("lchown", &[owners(at(0, ChangeMetadata, Never))]),
    ("lgetxattr", &[at(0, Metadata, Never)]),
    ("link", &[owners(at(0, Metadata, Never)), at(1, Create, Never)]),
    ("linkat", &[owners(in_dir(0, 1, Metadata, only(4))), in_dir(2, 3, Create, Never)]),
    ("listxattr", &[at(0, Metadata, Always)]),
    ("listxattrat", &[in_dir(0, 1, Metadata, unless(2))]),
    ("llistxattr", &[at(0, Metadata, Never)]),
    ("lremovexattr", &[at(0, ChangeMetadata, Never)]),
    ("lsetxattr", &[at(0, ChangeMetadata, Never)]),
    ("lstat", &[at(0, Metadata, Never)]),
    ("mkdir", &[at(0, Create, Never)]),
    ("mkdirat", &[in_dir(0, 1, Create, Never)]),
    ("mknod", &[at(0, Create, Never)]),
    ("mknodat", &[in_dir(0, 1, Create, Never)]),
    ("mount", &[at(0, Metadata, Always), at(1, Metadata, Always)]),
    ("mount_setattr", &[in_dir(0, 1, Metadata, unless(2))]),
    // MOVE_MOUNT_F_SYMLINKS, MOVE_MOUNT_T_SYMLINKS.
    (
        "move_mount",
        &[
            in_dir(0, 1, Metadata, Follow::If { flags: 4, bit: 1 }),
            in_dir(2, 3, Metadata, Follow::If { flags: 4, bit: 0x10 }),
        ],
    ),
    ("name_to_handle_at", &[in_dir(0, 1, Metadata, only(4))]),
    ("newfstatat", &[in_dir(0, 1, Metadata, unless(3))]),
    ("open", &[Use { dir: None, path: 0, how: How::Open { flags: 1 }, follow: Always, owner: Owner::NoMatter }]),
    ("open_tree", &[in_dir(0, 1, Metadata, unless(2))]),
    ("open_tree_attr", &[in_dir(0, 1, Metadata, unless(2))]),
    ("openat", &[Use { dir: Some(0), path: 1, how: How::Open { flags: 2 }, follow: Always, owner: Owner::NoMatter }]),
    ("openat2", &[Use { dir: Some(0), path: 1, how: How::Behind { how: 2 }, follow: Always, owner: Owner::NoMatter }]),
    ("pivot_root", &[at(0, Metadata, Always), at(1, Metadata, Always)]),
    ("quotactl", &[at(1, Metadata, Always)]),
    ("readlink", &[at(0, Metadata, Never)]),
    ("readlinkat", &[in_dir(0, 1, Metadata, Never)]),
    ("removexattr", &[at(0, ChangeMetadata, Always)]),
    ("removexattrat", &[in_dir(0, 1, ChangeMetadata, unless(2))]),
    ("rename", &[at(0, Remove, Never), at(1, Create, Never)]),
    ("renameat", &[in_dir(0, 1, Remove, Never), in_dir(2, 3, Create, Never)]),
    ("renameat2", &[in_dir(0, 1, Remove, Never), in_dir(2, 3, Create, Never)]),
    ("rmdir", &[at(0, Remove, Never)]),
    ("setxattr", &[at(0, ChangeMetadata, Always)]),
    ("setxattrat", &[in_dir(0, 1, ChangeMetadata, unless(2))]),
    ("stat", &[at(0, Metadata, Always)]),
    ("statfs", &[at(0, Metadata, Always)]),
    ("statx", &[in_dir(0, 1, Metadata, unless(2))]),
    ("swapoff", &[at(0, Write, Always)]),
    ("swapon", &[at(0, Write, Always)]),
    // What a symbolic link says is no use of that path.
    ("symlink", &[at(1, Create, Never)]),
    ("symlinkat", &[in_dir(1, 2, Create, Never)]),
    ("truncate", &[at(0, Write, Always)]),
    // UMOUNT_NOFOLLOW.
    ("umount2", &[at(0, Metadata, Follow::Unless { flags: 1, bit: 8 })]),
    ("unlink", &[at(0, Remove, Never)]),
    ("unlinkat", &[in_dir(0, 1, Remove, Never)]),
    ("uselib", &[at(0, Read, Always)]),
    ("utime", &[timed(1, at(0, ChangeMetadata, Always))]),
    ("utimensat", &[timed(2, in_dir(0, 1, ChangeMetadata, unless(3)))]),
    ("utimes", &[timed(1, at(0, ChangeMetadata, Always))]),
];
