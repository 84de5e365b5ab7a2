//! seccomp: what the kernel has, and the supervisor's half of user notification. Source: seccomp(2), seccomp_unotify(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether this kernel implements the filter action `action`, one of the `SECCOMP_RET_*` values.
///
/// Source: seccomp(2), `SECCOMP_GET_ACTION_AVAIL`; Linux 4.14.
///
/// # Errors
///
/// `EINVAL` before Linux 4.14, `ENOSYS` on kernels built without seccomp.
pub fn has_action(action: u32) -> io::Result<bool> {
    // SAFETY: the kernel reads four bytes at the address, which outlives the call.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    match crate::check(answer) {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(e) => Err(e),
    }
}

/// What came of installing a filter on every thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronised {
    /// Every thread of the process has it.
    All,
    /// No thread has it: this one cannot take it, as it has a filter that the calling thread has not, or is in the
    /// strict mode.
    Not {
        /// Its thread id, in the caller's pid namespace.
        thread: u32,
    },
}

/// Installs the filter `program`, an array of struct sock_filter, on every thread of the process, or on none. Threads
/// that are started meanwhile have it too. It cannot be taken back, and counts for the very next call.
///
/// The calling thread needs no_new_privs, which every thread gets with it, or `CAP_SYS_ADMIN`.
///
/// Source: seccomp(2), `SECCOMP_SET_MODE_FILTER`, `SECCOMP_FILTER_FLAG_TSYNC`; Linux 3.17.
///
/// # Errors
///
/// `EACCES` without no_new_privs; `EINVAL` for a program that is empty, too long or no filter; `ENOMEM` when all filters
/// of the thread together are too long. No thread has the filter then.
pub fn install_on_all_threads(program: &[u8]) -> io::Result<Synchronised> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    if !program.len().is_multiple_of(size_of::<libc::sock_filter>()) {
        return Err(invalid());
    }
    let (instructions, _) = program.as_chunks::<8>();
    // The kernel wants them aligned as the structure is; bytes are not.
    let mut code: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|[a, b, jt, jf, k @ ..]| libc::sock_filter {
            code: u16::from_ne_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes(*k),
        })
        .collect();
    let length = libc::c_ushort::try_from(code.len()).map_err(|_too_long| invalid())?;
    let program = libc::sock_fprog { len: length, filter: code.as_mut_ptr() };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: the kernel reads the structure and the instructions that it points at, all of which outlive the call.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match crate::check(answer)? {
        0 => Ok(Synchronised::All),
        thread => Ok(Synchronised::Not { thread: u32::try_from(thread).unwrap_or(u32::MAX) }),
    }
}

/// A call that waits for the supervisor's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// Names this very call; never used again.
    pub id: u64,
    /// The thread that made it, as a pid of the supervisor's namespace; 0 if it has none there.
    pub pid: u32,
    /// `AUDIT_ARCH_*` of the calling convention.
    pub arch: u32,
    /// System call number in that convention.
    pub number: u32,
    /// Where the thread goes on after the call.
    pub instruction_pointer: u64,
    /// The argument registers.
    pub args: [u64; 6],
}

/// What the supervisor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The call fails with this errno.
    Errno(i32),
    /// The call returns this: not negative.
    Value(i64),
    /// The kernel performs the call as it is. Never a security decision: the arguments may have changed since.
    Continue,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`; Linux 5.0.
pub(crate) const FILTER_NEW_LISTENER: u64 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: signals do not disturb a call that its supervisor holds; Linux 5.19.
pub(crate) const FILTER_WAIT_KILLABLE: u64 = 1 << 5;

/// Whether this kernel knows of a listener whose calls are disturbed by signals that kill, and by no others.
///
/// Source: seccomp(2): flags are looked at first (`EINVAL`), and the program, which is none, then (`EFAULT`).
pub fn can_wait_killable() -> bool {
    let flags = FILTER_NEW_LISTENER | FILTER_WAIT_KILLABLE;
    let no_program = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: without a program there is nothing to read, and no filter is put on.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, no_program) };
    crate::check(answer).is_err_and(|e| e.raw_os_error() == Some(libc::EFAULT))
}

const IOC_WRITE_U64: u32 = 0x4008_2100;
const NOTIF_RECV: u64 = 0xc050_2100;
const NOTIF_SEND: u64 = 0xc018_2101;
const NOTIF_ADDFD: u64 = 0x4018_2103;
const ADDFD_SETFD: u32 = 1;
const ADDFD_SEND: u32 = 2;
const NOTIF_ID_VALID: u64 = (IOC_WRITE_U64 | 2) as u64;
const NOTIF_SET_FLAGS: u64 = (IOC_WRITE_U64 | 4) as u64;
const SYNC_WAKE_UP: u64 = 1;
const FLAG_CONTINUE: u32 = 1;

/// struct seccomp_notif.
#[repr(C)]
#[derive(Default)]
struct RawNotification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

/// struct seccomp_notif_resp.
#[repr(C)]
struct RawAnswer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// struct seccomp_notif_addfd.
#[repr(C)]
struct RawAddition {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// Where a descriptor is put in the process whose call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// At this number, in place of what is there, if anything is.
    At(u32),
    /// At the lowest free number; the waiting call returns that number, and waits no longer. Linux 5.14.
    AsAnswer,
    /// At the lowest free number, while the call waits on.
    Anywhere,
}

/// Puts a copy of `descriptor` into the process whose call `id` waits; it is closed on exec if `cloexec`. Returns its
/// number there. Nothing is put anywhere when the call went away meanwhile (`ENOENT`).
///
/// Source: seccomp_unotify(2), `SECCOMP_IOCTL_NOTIF_ADDFD`; Linux 5.9.
///
/// # Errors
///
/// `ENOENT`; `EMFILE` when that process may have no more, or not that number; `EINPROGRESS` when the call is not taken off
/// the listener, or was answered.
pub fn put(listener: BorrowedFd<'_>, id: u64, descriptor: BorrowedFd<'_>, put: Put, cloexec: bool) -> io::Result<u32> {
    let (flags, target) = match put {
        Put::At(number) => (ADDFD_SETFD, number),
        Put::AsAnswer => (ADDFD_SEND, 0),
        Put::Anywhere => (0, 0),
    };
    let target_flags = if cloexec { libc::O_CLOEXEC.cast_unsigned() } else { 0 };
    let source = descriptor.as_raw_fd().cast_unsigned();
    let raw = RawAddition { id, flags, source, target, target_flags };
    // SAFETY: the kernel reads the structure, which has the size that the request encodes.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ADDFD as _, &raw const raw) };
    let number = crate::check(answer.into())?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Takes the next waiting call off `listener`; `None` if it went away meanwhile.
///
/// Blocks while none waits: poll(2) first.
///
/// Source: seccomp_unotify(2), `SECCOMP_IOCTL_NOTIF_RECV`; Linux 5.0.
///
/// # Errors
///
/// `EINTR`, or `EBADF` for a descriptor that is no listener.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    let mut raw = RawNotification::default();
    // SAFETY: the kernel fills the zeroed structure, which has the size that the request encodes.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV as _, &raw mut raw) };
    match crate::check(answer.into()) {
        Ok(_) => Ok(Some(Notification {
            id: raw.id,
            pid: raw.pid,
            arch: raw.arch,
            number: raw.number.cast_unsigned(),
            instruction_pointer: raw.instruction_pointer,
            args: raw.args,
        })),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Answers the call `id`. A call that went away meanwhile is no error.
///
/// Source: seccomp_unotify(2), `SECCOMP_IOCTL_NOTIF_SEND`; Linux 5.0, continuing 5.5.
///
/// # Errors
///
/// `EINVAL` for an answer that this kernel does not know.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let mut raw = match answer {
        Answer::Errno(errno) => RawAnswer { id, value: 0, error: -errno, flags: 0 },
        Answer::Value(value) => RawAnswer { id, value, error: 0, flags: 0 },
        Answer::Continue => RawAnswer { id, value: 0, error: 0, flags: FLAG_CONTINUE },
    };
    // SAFETY: the kernel reads the structure, which has the size that the request encodes.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND as _, &raw mut raw) };
    match crate::check(answer.into()) {
        Ok(_) => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether the call `id` still waits for its answer. What was read of its thread before is then of that thread, and not of
/// another that got its number.
///
/// Source: seccomp_unotify(2), `SECCOMP_IOCTL_NOTIF_ID_VALID`; Linux 5.0.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads eight bytes at the address, which outlives the call.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID as _, &raw const id) };
    answer == 0
}

/// Asks the kernel to let the supervisor and the job share a CPU when they wake each other.
///
/// Returns whether the kernel knows how. Source: `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`; Linux 6.6.
pub fn wake_in_place(listener: BorrowedFd<'_>) -> bool {
    // SAFETY: the argument is a number, not an address.
    let answer = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SET_FLAGS as _, SYNC_WAKE_UP) };
    answer == 0
}
