//! The calls on files, with what their arguments point at copied.

use super::memory::Remote;
use super::refusal::{Stop, errno};
use super::registers::Registers;
use rustix::fs::ResolveFlags;

/// PATH_MAX, with the zero at its end.
const PATH_MAX: usize = 4096;
/// XATTR_NAME_MAX, with the zero at its end.
const ATTRIBUTE_NAME: usize = 256;
/// XATTR_SIZE_MAX.
pub(super) const ATTRIBUTE: usize = 64 << 10;
/// struct open_how as of Linux 5.6, and the most that the kernel takes.
const HOW: usize = 24;
const MOST_HOW: usize = 4096;
/// The flags of open(2), which openat2(2) takes no others than.
const OPEN: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_ASYNC
    | libc::O_CLOEXEC
    | libc::O_CREAT
    | libc::O_DIRECT
    | libc::O_DIRECTORY
    | libc::O_EXCL
    | libc::O_LARGEFILE
    | libc::O_NOATIME
    | libc::O_NOCTTY
    | libc::O_NOFOLLOW
    | libc::O_NONBLOCK
    | libc::O_PATH
    | libc::O_SYNC
    | libc::O_TMPFILE
    | libc::O_TRUNC
    | KERNELS_LARGEFILE;
/// O_LARGEFILE as the kernel has it on 64 bits, where the C library has 0.
const KERNELS_LARGEFILE: i32 = if cfg!(target_arch = "x86_64") { 0o100_000 } else { 0o400_000 };
/// What `resolve` can say, as of Linux 5.12.
const RESOLVE: u64 = 0x3f;

const EMPTY_PATH: i32 = libc::AT_EMPTY_PATH;
const NO_FOLLOW: i32 = libc::AT_SYMLINK_NOFOLLOW;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    /// The descriptor that the path begins at, or AT_FDCWD.
    pub(super) dir: i32,
    pub(super) path: Vec<u8>,
    /// Whether an empty path stands for the descriptor itself.
    pub(super) empty: bool,
    /// Whether a link at the end is followed.
    pub(super) follow: bool,
}

/// A call, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Open {
        at: At,
        flags: i32,
        mode: u32,
        resolve: ResolveFlags,
    },
    Status {
        at: At,
        into: u64,
    },
    ExtendedStatus {
        at: At,
        flags: i32,
        mask: u32,
        into: u64,
    },
    SystemStatus {
        at: At,
        into: u64,
    },
    Access {
        at: At,
        mode: i32,
    },
    ReadLink {
        at: At,
        into: u64,
        size: usize,
    },
    MakeDirectory {
        at: At,
        mode: u32,
    },
    MakeNode {
        at: At,
        mode: u32,
    },
    Remove {
        at: At,
        directory: bool,
    },
    Rename {
        from: At,
        to: At,
        flags: u32,
    },
    Link {
        from: At,
        to: At,
    },
    Symlink {
        text: Vec<u8>,
        at: At,
    },
    Mode {
        at: At,
        mode: u32,
    },
    Owner {
        at: At,
        uid: u32,
        gid: u32,
    },
    Size {
        at: At,
        length: u64,
    },
    Times {
        at: At,
        times: Option<[u8; 32]>,
    },
    GetAttribute {
        at: At,
        name: Vec<u8>,
        into: u64,
        size: usize,
    },
    ListAttributes {
        at: At,
        into: u64,
        size: usize,
    },
    SetAttribute {
        at: At,
        name: Vec<u8>,
        value: Vec<u8>,
        flags: u32,
    },
    RemoveAttribute {
        at: At,
        name: Vec<u8>,
    },
    Watch {
        instance: i32,
        at: At,
        mask: u32,
    },
    Execute {
        at: At,
    },
    /// Made for no job. The errno is that of a call that this kernel lacks, or may not be made.
    /// To make it the current directory.
    Enter {
        at: At,
    },
    Never {
        errno: i32,
        at: Option<At>,
    },
}

impl Request {
    /// The paths that it names.
    pub(super) fn paths(&self) -> impl Iterator<Item = &At> {
        let (first, second) = match self {
            Self::Rename { from, to, .. } | Self::Link { from, to } => (Some(from), Some(to)),
            Self::Never { at, .. } => (at.as_ref(), None),
            Self::Open { at, .. }
            | Self::Status { at, .. }
            | Self::Enter { at }
            | Self::ExtendedStatus { at, .. }
            | Self::SystemStatus { at, .. }
            | Self::Access { at, .. }
            | Self::ReadLink { at, .. }
            | Self::MakeDirectory { at, .. }
            | Self::MakeNode { at, .. }
            | Self::Remove { at, .. }
            | Self::Symlink { at, .. }
            | Self::Mode { at, .. }
            | Self::Owner { at, .. }
            | Self::Size { at, .. }
            | Self::Times { at, .. }
            | Self::GetAttribute { at, .. }
            | Self::ListAttributes { at, .. }
            | Self::SetAttribute { at, .. }
            | Self::RemoveAttribute { at, .. }
            | Self::Watch { at, .. }
            | Self::Execute { at } => (Some(at), None),
        };
        first.into_iter().chain(second)
    }
}

/// The calls on what a descriptor stands for that need no right to write: an owner's, be the file open for reading
/// alone. They name no path, and have to be decided all the same.
pub(super) const ON_DESCRIPTORS: &[&str] = &["fchmod", "fchown", "fremovexattr", "fsetxattr", "open_by_handle_at"];

/// Decodes the call `name`. What is pointed at is copied once.
pub(super) fn decode(name: &str, args: &[u64; 6], remote: &mut Remote<'_, '_>) -> Result<Request, Stop> {
    let r = Registers(args);
    let request = match name {
        "open" => opened(at(remote, &r, None, 0, true)?, r.int(1), r.word(2), ResolveFlags::empty()),
        "creat" => {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
            opened(at(remote, &r, None, 0, true)?, flags, r.word(1), ResolveFlags::empty())
        }
        "openat" => opened(at(remote, &r, Some(0), 1, true)?, r.int(2), r.word(3), ResolveFlags::empty()),
        "openat2" => how(remote, &r)?,
        "stat" => Request::Status { at: at(remote, &r, None, 0, true)?, into: args[1] },
        "lstat" => Request::Status { at: at(remote, &r, None, 0, false)?, into: args[1] },
        "newfstatat" => {
            let known = NO_FOLLOW | EMPTY_PATH | libc::AT_NO_AUTOMOUNT;
            Request::Status { at: flagged(remote, &r, (0, 1), r.int(3), known)?, into: args[2] }
        }
        "statx" => {
            let sync = libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;
            let known = NO_FOLLOW | EMPTY_PATH | libc::AT_NO_AUTOMOUNT | sync;
            let at = flagged(remote, &r, (0, 1), r.int(2), known)?;
            Request::ExtendedStatus { at, flags: r.int(2) & sync, mask: r.word(3), into: args[4] }
        }
        "statfs" => Request::SystemStatus { at: at(remote, &r, None, 0, true)?, into: args[1] },
        "access" => Request::Access { at: at(remote, &r, None, 0, true)?, mode: r.int(1) },
        "faccessat" => Request::Access { at: at(remote, &r, Some(0), 1, true)?, mode: r.int(2) },
        "faccessat2" => {
            let known = NO_FOLLOW | EMPTY_PATH | libc::AT_EACCESS;
            Request::Access { at: flagged(remote, &r, (0, 1), r.int(3), known)?, mode: r.int(2) }
        }
        "readlink" => read_link(at(remote, &r, None, 0, false)?, args[1], r.int(2))?,
        "readlinkat" => {
            let at = At { empty: true, ..at(remote, &r, Some(0), 1, false)? };
            read_link(at, args[2], r.int(3))?
        }
        _ => return changing(name, &r, remote),
    };
    Ok(request)
}

/// The calls that change something.
fn changing(name: &str, r: &Registers<'_>, remote: &mut Remote<'_, '_>) -> Result<Request, Stop> {
    let args = r.0;
    let request = match name {
        "mkdir" => Request::MakeDirectory { at: at(remote, r, None, 0, false)?, mode: r.word(1) },
        "mkdirat" => Request::MakeDirectory { at: at(remote, r, Some(0), 1, false)?, mode: r.word(2) },
        "mknod" => Request::MakeNode { at: at(remote, r, None, 0, false)?, mode: r.word(1) },
        "mknodat" => Request::MakeNode { at: at(remote, r, Some(0), 1, false)?, mode: r.word(2) },
        "rmdir" => Request::Remove { at: at(remote, r, None, 0, false)?, directory: true },
        "unlink" => Request::Remove { at: at(remote, r, None, 0, false)?, directory: false },
        "unlinkat" => {
            let flags = r.int(2);
            if flags & !libc::AT_REMOVEDIR != 0 {
                return errno(libc::EINVAL);
            }
            Request::Remove { at: at(remote, r, Some(0), 1, false)?, directory: flags != 0 }
        }
        "rename" => {
            let (from, to) = (at(remote, r, None, 0, false)?, at(remote, r, None, 1, false)?);
            Request::Rename { from, to, flags: 0 }
        }
        "renameat" | "renameat2" => {
            let flags = if name == "renameat2" { r.word(4) } else { 0 };
            let (from, to) = (at(remote, r, Some(0), 1, false)?, at(remote, r, Some(2), 3, false)?);
            Request::Rename { from, to, flags }
        }
        "link" => Request::Link { from: at(remote, r, None, 0, false)?, to: at(remote, r, None, 1, false)? },
        "linkat" => {
            let flags = r.int(4);
            if flags & !(libc::AT_SYMLINK_FOLLOW | EMPTY_PATH) != 0 {
                return errno(libc::EINVAL);
            }
            let from = at(remote, r, Some(0), 1, flags & libc::AT_SYMLINK_FOLLOW != 0)?;
            let from = At { empty: flags & EMPTY_PATH != 0, ..from };
            Request::Link { from, to: at(remote, r, Some(2), 3, false)? }
        }
        "symlink" => Request::Symlink { text: text(remote, args[0])?, at: at(remote, r, None, 1, false)? },
        "symlinkat" => Request::Symlink { text: text(remote, args[0])?, at: at(remote, r, Some(1), 2, false)? },
        "chmod" => Request::Mode { at: at(remote, r, None, 0, true)?, mode: r.word(1) },
        "fchmod" => Request::Mode { at: held(r.int(0)), mode: r.word(1) },
        "fchmodat" => Request::Mode { at: at(remote, r, Some(0), 1, true)?, mode: r.word(2) },
        "fchmodat2" => {
            let at = flagged(remote, r, (0, 1), r.int(3), NO_FOLLOW | EMPTY_PATH)?;
            Request::Mode { at, mode: r.word(2) }
        }
        "chown" => Request::Owner { at: at(remote, r, None, 0, true)?, uid: r.word(1), gid: r.word(2) },
        "lchown" => Request::Owner { at: at(remote, r, None, 0, false)?, uid: r.word(1), gid: r.word(2) },
        "fchown" => Request::Owner { at: held(r.int(0)), uid: r.word(1), gid: r.word(2) },
        "fchownat" => {
            let at = flagged(remote, r, (0, 1), r.int(4), NO_FOLLOW | EMPTY_PATH)?;
            Request::Owner { at, uid: r.word(2), gid: r.word(3) }
        }
        "truncate" => match args[1].cast_signed() {
            length if length < 0 => return errno(libc::EINVAL),
            length => Request::Size { at: at(remote, r, None, 0, true)?, length: length.cast_unsigned() },
        },
        "utime" | "utimes" | "futimesat" | "utimensat" => timed(name, r, remote)?,
        _ => return attributes(name, r, remote),
    };
    Ok(request)
}

/// The calls on extended attributes, and the rest.
fn attributes(name: &str, r: &Registers<'_>, remote: &mut Remote<'_, '_>) -> Result<Request, Stop> {
    let args = r.0;
    let request = match name {
        "getxattr" | "lgetxattr" => {
            let at = at(remote, r, None, 0, name == "getxattr")?;
            Request::GetAttribute { at, name: attribute(remote, args[1])?, into: args[2], size: r.size(3) }
        }
        "listxattr" | "llistxattr" => {
            let at = at(remote, r, None, 0, name == "listxattr")?;
            Request::ListAttributes { at, into: args[1], size: r.size(2) }
        }
        "setxattr" | "lsetxattr" | "fsetxattr" => {
            let at = if name == "fsetxattr" { held(r.int(0)) } else { at(remote, r, None, 0, name == "setxattr")? };
            let name = attribute(remote, args[1])?;
            if r.size(3) > ATTRIBUTE {
                return errno(libc::E2BIG);
            }
            let value = remote.bytes(args[2], r.size(3))?;
            Request::SetAttribute { at, name, value, flags: r.word(4) }
        }
        "removexattr" | "lremovexattr" => {
            let at = at(remote, r, None, 0, name == "removexattr")?;
            Request::RemoveAttribute { at, name: attribute(remote, args[1])? }
        }
        "fremovexattr" => Request::RemoveAttribute { at: held(r.int(0)), name: attribute(remote, args[1])? },
        "inotify_add_watch" => {
            let follow = r.word(2) & libc::IN_DONT_FOLLOW == 0;
            Request::Watch { instance: r.int(0), at: at(remote, r, None, 1, follow)?, mask: r.word(2) }
        }
        "chdir" => Request::Enter { at: at(remote, r, None, 0, true)? },
        "execve" => Request::Execute { at: at(remote, r, None, 0, true)? },
        "execveat" => Request::Execute { at: flagged(remote, r, (0, 1), r.int(4) & 0xffff, NO_FOLLOW | EMPTY_PATH)? },
        // Libraries try other calls where these are missing.
        "getxattrat" | "setxattrat" | "listxattrat" | "removexattrat" | "file_getattr" | "file_setattr" | "uselib" => {
            Request::Never { errno: libc::ENOSYS, at: None }
        }
        "name_to_handle_at" => Request::Never { errno: libc::EOPNOTSUPP, at: Some(at(remote, r, Some(0), 1, false)?) },
        _ => Request::Never { errno: libc::EPERM, at: None },
    };
    Ok(request)
}

fn opened(at: At, flags: i32, mode: u32, resolve: ResolveFlags) -> Request {
    // With O_PATH the kernel looks at these three alone.
    let path = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let flags = if flags & libc::O_PATH != 0 { flags & path } else { flags };
    let exclusive = flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
    let at = At { follow: flags & libc::O_NOFOLLOW == 0 && !exclusive, ..at };
    Request::Open { at, flags, mode: mode & 0o7777, resolve }
}

/// struct open_how: flags, mode, resolve, and whatever later kernels add, which has to be zero.
fn how(remote: &mut Remote<'_, '_>, r: &Registers<'_>) -> Result<Request, Stop> {
    let size = r.size(3);
    if size < HOW {
        return errno(libc::EINVAL);
    }
    if size > MOST_HOW {
        return errno(libc::E2BIG);
    }
    let how = remote.bytes(r.0[2], size)?;
    if how[HOW..].iter().any(|byte| *byte != 0) {
        return errno(libc::E2BIG);
    }
    let number = |at: usize| how[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
    let (flags, mode, resolve) = (number(0), number(8), number(16));
    let Ok(flags) = u32::try_from(flags) else { return errno(libc::EINVAL) };
    let flags = flags.cast_signed();
    if flags & !OPEN != 0 {
        return errno(libc::EINVAL);
    }
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    let Ok(mode) = u32::try_from(mode) else { return errno(libc::EINVAL) };
    if (mode != 0 && !makes) || mode & !0o7777 != 0 || resolve & !RESOLVE != 0 {
        return errno(libc::EINVAL);
    }
    let resolve = ResolveFlags::from_bits_truncate(resolve);
    if resolve.contains(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) {
        return errno(libc::EINVAL);
    }
    Ok(opened(at(remote, r, Some(0), 1, true)?, flags, mode, resolve))
}

fn read_link(at: At, into: u64, size: i32) -> Result<Request, Stop> {
    match usize::try_from(size) {
        Ok(size) if size > 0 => Ok(Request::ReadLink { at, into, size }),
        _ => errno(libc::EINVAL),
    }
}

/// The times, as two struct timespec.
fn timed(name: &str, r: &Registers<'_>, remote: &mut Remote<'_, '_>) -> Result<Request, Stop> {
    let (at, times) = match name {
        "utime" => (at(remote, r, None, 0, true)?, r.0[1]),
        "utimes" => (at(remote, r, None, 0, true)?, r.0[1]),
        "futimesat" => (null_is_held(remote, r, 0, true)?, r.0[2]),
        _ => {
            let flags = r.int(3);
            if flags & !(NO_FOLLOW | EMPTY_PATH) != 0 {
                return errno(libc::EINVAL);
            }
            let at = null_is_held(remote, r, 0, flags & NO_FOLLOW == 0)?;
            (At { empty: at.empty || flags & EMPTY_PATH != 0, ..at }, r.0[2])
        }
    };
    if times == 0 {
        return Ok(Request::Times { at, times: None });
    }
    let mut spec = [0_u8; 32];
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, i64::from_ne_bytes);
    match name {
        "utime" => {
            let seconds: [u8; 16] = remote.array(times)?;
            spec[..8].copy_from_slice(&seconds[..8]);
            spec[16..24].copy_from_slice(&seconds[8..]);
        }
        "utimensat" => spec = remote.array(times)?,
        _ => {
            let values: [u8; 32] = remote.array(times)?;
            for at in [0, 16] {
                let micros = number(&values[at + 8..at + 16]);
                if !(0..1_000_000).contains(&micros) {
                    return errno(libc::EINVAL);
                }
                spec[at..at + 8].copy_from_slice(&values[at..at + 8]);
                spec[at + 8..at + 16].copy_from_slice(&(micros * 1000).to_ne_bytes());
            }
        }
    }
    Ok(Request::Times { at, times: Some(spec) })
}

/// A null in place of the path stands for the descriptor.
fn null_is_held(remote: &mut Remote<'_, '_>, r: &Registers<'_>, dir: usize, follow: bool) -> Result<At, Stop> {
    match r.0[dir + 1] {
        0 if r.int(dir) == libc::AT_FDCWD => errno(libc::EFAULT),
        0 => Ok(held(r.int(dir))),
        _ => at(remote, r, Some(dir), dir + 1, follow),
    }
}

fn held(descriptor: i32) -> At {
    At { dir: descriptor, path: Vec::new(), empty: true, follow: true }
}

fn at(
    remote: &mut Remote<'_, '_>,
    r: &Registers<'_>,
    dir: Option<usize>,
    path: usize,
    follow: bool,
) -> Result<At, Stop> {
    let dir = dir.map_or(libc::AT_FDCWD, |dir| r.int(dir));
    Ok(At { dir, path: text(remote, r.0[path])?, empty: false, follow })
}

/// With flags of which `known` are those that the call has.
fn flagged(
    remote: &mut Remote<'_, '_>,
    r: &Registers<'_>,
    (dir, path): (usize, usize),
    flags: i32,
    known: i32,
) -> Result<At, Stop> {
    if flags & !known != 0 {
        return errno(libc::EINVAL);
    }
    let (empty, follow) = (flags & EMPTY_PATH != 0, flags & NO_FOLLOW == 0);
    // Linux 6.11: a null is an empty path.
    let path = if empty && r.0[path] == 0 { Vec::new() } else { text(remote, r.0[path])? };
    Ok(At { dir: r.int(dir), path, empty, follow })
}

fn text(remote: &mut Remote<'_, '_>, address: u64) -> Result<Vec<u8>, Stop> {
    Ok(remote.text(address, PATH_MAX)?)
}

fn attribute(remote: &mut Remote<'_, '_>, address: u64) -> Result<Vec<u8>, Stop> {
    let name = remote.text(address, ATTRIBUTE_NAME).map_err(Stop::from);
    match name {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(_) | Err(Stop::Errno(libc::ENAMETOOLONG)) => errno(libc::ERANGE),
        Err(other) => Err(other),
    }
}
