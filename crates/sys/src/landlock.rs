//! Landlock: the rights and structures of its system calls. Source: landlock(7), include/uapi/linux/landlock.h.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Rights over files, bits of [`RulesetAttr::handled_access_fs`] and `allowed_access` of struct landlock_path_beneath_attr.
pub mod access {
    /// Execute a file.
    pub const EXECUTE: u64 = 1;
    /// Open a file for writing.
    pub const WRITE_FILE: u64 = 1 << 1;
    /// Open a file for reading.
    pub const READ_FILE: u64 = 1 << 2;
    /// List a directory.
    pub const READ_DIR: u64 = 1 << 3;
    /// Remove an empty directory.
    pub const REMOVE_DIR: u64 = 1 << 4;
    /// Unlink or rename a file.
    pub const REMOVE_FILE: u64 = 1 << 5;
    /// Make a character device.
    pub const MAKE_CHAR: u64 = 1 << 6;
    /// Make a directory.
    pub const MAKE_DIR: u64 = 1 << 7;
    /// Make a regular file.
    pub const MAKE_REG: u64 = 1 << 8;
    /// Make a Unix socket.
    pub const MAKE_SOCK: u64 = 1 << 9;
    /// Make a FIFO.
    pub const MAKE_FIFO: u64 = 1 << 10;
    /// Make a block device.
    pub const MAKE_BLOCK: u64 = 1 << 11;
    /// Make a symbolic link.
    pub const MAKE_SYM: u64 = 1 << 12;
    /// Link or rename across directories; ABI 2.
    pub const REFER: u64 = 1 << 13;
    /// Truncate a file; ABI 3.
    pub const TRUNCATE: u64 = 1 << 14;
    /// ioctl on a device; ABI 5.
    pub const IOCTL_DEV: u64 = 1 << 15;

    /// Every right that `abi` knows.
    pub fn known(abi: u32) -> u64 {
        match abi {
            0 => 0,
            1 => REFER - 1,
            2 => TRUNCATE - 1,
            3 | 4 => IOCTL_DEV - 1,
            _ => (IOCTL_DEV << 1) - 1,
        }
    }
}

/// TCP bind and connect: ABI 4.
pub const NETWORK_KNOWN: u64 = 0b11;
/// Abstract Unix sockets and signals: ABI 6.
pub const SCOPE_KNOWN: u64 = 0b11;
/// `rule_type` of struct landlock_path_beneath_attr.
pub const RULE_PATH_BENEATH: u64 = 1;

/// struct landlock_ruleset_attr, as of ABI 6.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct RulesetAttr {
    /// File rights that are refused unless a rule allows them.
    pub handled_access_fs: u64,
    /// TCP rights that are refused unless a rule allows them.
    pub handled_access_net: u64,
    /// What must not cross the domain's border.
    pub scoped: u64,
}

impl RulesetAttr {
    /// How many bytes of the structure a kernel of `abi` expects.
    pub fn size(abi: u32) -> usize {
        match abi {
            0..=3 => 8,
            4 | 5 => 16,
            _ => 24,
        }
    }
}

/// The Landlock ABI of this kernel; 0 when it has none or it is not enabled at boot.
///
/// Source: landlock_create_ruleset(2), `LANDLOCK_CREATE_RULESET_VERSION`; Linux 5.13.
///
/// # Errors
///
/// Any errno but `ENOSYS` and `EOPNOTSUPP`, for instance `EPERM` under a filter that refuses the call.
pub fn abi() -> io::Result<u32> {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the kernel reads no memory: the attribute pointer is null and its size 0.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0_usize, 0_usize, VERSION) };
    match crate::check(answer) {
        Ok(abi) => Ok(u32::try_from(abi).unwrap_or(u32::MAX)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => Ok(0),
        Err(e) => Err(e),
    }
}

/// struct landlock_path_beneath_attr.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent: i32,
}

/// A ruleset that is being put together.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

/// Whom [`Ruleset::restrict`] restricts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restrict {
    /// The calling thread, and those that it starts from now on.
    Thread,
    /// Every thread of the process; ABI 8.
    AllThreads,
}

/// `LANDLOCK_RESTRICT_SELF_TSYNC`.
const RESTRICT_ALL_THREADS: libc::c_ulong = 1 << 3;
/// The ABI that can restrict every thread of a process.
pub const ABI_OF_ALL_THREADS: u32 = 8;

impl Ruleset {
    /// A ruleset that refuses what `attributes` handle, as a kernel of `abi` understands them.
    ///
    /// Source: landlock_create_ruleset(2); Linux 5.13.
    ///
    /// # Errors
    ///
    /// `EINVAL` for rights that this kernel does not know, `ENOMSG` when nothing is handled, `EMFILE`.
    pub fn new(attributes: &RulesetAttr, abi: u32) -> io::Result<Self> {
        let size = RulesetAttr::size(abi);
        // SAFETY: the kernel reads the first bytes of the structure, no more than it has.
        let answer =
            unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(attributes), size, 0) };
        let raw = i32::try_from(crate::check(answer)?).map_err(io::Error::other)?;
        // SAFETY: a new descriptor that nobody else owns. It has close-on-exec set.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Grants `rights`, of those that are handled, on the object `path` and all that is beneath it.
    ///
    /// Source: landlock_add_rule(2), `LANDLOCK_RULE_PATH_BENEATH`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for rights of directories on another object, or that are not handled.
    pub fn allow(&self, path: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
        let rule = PathBeneath { allowed_access: rights, parent: path.as_raw_fd() };
        let ruleset = self.0.as_raw_fd();
        // SAFETY: the kernel reads the structure, which outlives the call.
        let answer =
            unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &raw const rule, 0) };
        crate::check(answer).map(drop)
    }

    /// Puts the ruleset in force. It cannot be taken back. The calling thread needs no_new_privs.
    ///
    /// Source: landlock_restrict_self(2).
    ///
    /// # Errors
    ///
    /// `EPERM` without no_new_privs, `E2BIG` below 16 other rulesets, `EINVAL` for [`Restrict::AllThreads`] before ABI 8.
    pub fn restrict(self, whom: Restrict) -> io::Result<()> {
        let flags = match whom {
            Restrict::Thread => 0,
            Restrict::AllThreads => RESTRICT_ALL_THREADS,
        };
        // SAFETY: two numbers.
        let answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), flags) };
        crate::check(answer).map(drop)
    }
}
