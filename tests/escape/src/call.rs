//! System calls as the kernel takes them, without a library between that would check or translate.

use std::ffi::{CString, c_long};
use std::fmt;
use std::io;

/// What a system call gave: its result, or why not.
pub(crate) type Result<T = i64> = std::result::Result<T, Errno>;

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) fn last() -> Self {
        io::Error::last_os_error().into()
    }

    /// Whether the kernel, or a filter before it, said that this may not be done or does not exist. Any other error
    /// of a call with senseless arguments shows that it was looked at: that the permission was there.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self.0, libc::EPERM | libc::EACCES | libc::ENOSYS)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// errno(3), the numbering that x86-64 and arm64 share.
const NAMES: &[(i32, &str)] = &[
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ESRCH, "ESRCH"),
    (libc::EINTR, "EINTR"),
    (libc::EIO, "EIO"),
    (libc::ENXIO, "ENXIO"),
    (libc::ENOEXEC, "ENOEXEC"),
    (libc::EBADF, "EBADF"),
    (libc::ECHILD, "ECHILD"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EFAULT, "EFAULT"),
    (libc::ENOTBLK, "ENOTBLK"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::EXDEV, "EXDEV"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::EINVAL, "EINVAL"),
    (libc::ENFILE, "ENFILE"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::ETXTBSY, "ETXTBSY"),
    (libc::EFBIG, "EFBIG"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::ESPIPE, "ESPIPE"),
    (libc::EROFS, "EROFS"),
    (libc::EPIPE, "EPIPE"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ELOOP, "ELOOP"),
    (libc::ENOPROTOOPT, "ENOPROTOOPT"),
    (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
    (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
    (libc::EPROTO, "EPROTO"),
    (libc::ENOTSOCK, "ENOTSOCK"),
    (libc::EDESTADDRREQ, "EDESTADDRREQ"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::EISCONN, "EISCONN"),
    (libc::EALREADY, "EALREADY"),
    (libc::EINPROGRESS, "EINPROGRESS"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::EADDRINUSE, "EADDRINUSE"),
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ENOTCONN, "ENOTCONN"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::ENOKEY, "ENOKEY"),
];

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// For calls whose failure changes nothing: what counts is seen elsewhere.
pub(crate) fn ignore<T, E>(_: std::result::Result<T, E>) {}

/// Something that fits an argument register.
pub(crate) trait Word {
    fn word(self) -> c_long;
}

impl Word for c_long {
    fn word(self) -> c_long {
        self
    }
}

impl Word for i32 {
    fn word(self) -> c_long {
        self.into()
    }
}

impl Word for u32 {
    fn word(self) -> c_long {
        self.into()
    }
}

impl Word for u64 {
    fn word(self) -> c_long {
        self.cast_signed()
    }
}

impl Word for usize {
    fn word(self) -> c_long {
        self.cast_signed() as c_long
    }
}

impl<T> Word for *const T {
    fn word(self) -> c_long {
        self.addr().word()
    }
}

impl<T> Word for *mut T {
    fn word(self) -> c_long {
        self.addr().word()
    }
}

/// Makes system call `number`.
///
/// Callable without `unsafe`, although a wrong pointer makes the kernel write into this process: a probe that harms
/// itself has failed its attack and nothing more, and the harness sees that it did.
pub(crate) fn call(number: c_long, args: [c_long; 6]) -> Result {
    let [a, b, c, d, e, f] = args;
    // SAFETY: see above; callers pass pointers to memory of their own that outlives the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// `sys!(mount, a, b, …)`: the system call of that name, with up to six arguments of any type that fits a register.
macro_rules! sys {
    ($name:ident $(, $arg:expr)* $(,)?) => {
        $crate::call::numbered([
            $crate::call::numbers::$name $(, $crate::call::Word::word($arg))*
        ].as_slice())
    };
}
pub(crate) use sys;

/// The number and then the arguments.
pub(crate) fn numbered(words: &[c_long]) -> Result {
    let mut args = [0; 6];
    let given = words.get(1..).unwrap_or_default();
    args[..given.len()].copy_from_slice(given);
    call(words[0], args)
}

/// The numbers, under the names of the calls.
#[expect(non_upper_case_globals, reason = "they are called as the calls are")]
pub(crate) mod numbers {
    use std::ffi::c_long;

    macro_rules! numbers {
        ($($name:ident = $number:ident),* $(,)?) => {
            $(pub(crate) const $name: c_long = libc::$number;)*
        };
    }

    numbers! {
        accept4 = SYS_accept4, acct = SYS_acct, add_key = SYS_add_key, adjtimex = SYS_adjtimex, bind = SYS_bind, bpf = SYS_bpf,
        capget = SYS_capget, capset = SYS_capset, chroot = SYS_chroot, clock_adjtime = SYS_clock_adjtime,
        clock_settime = SYS_clock_settime, close = SYS_close, connect = SYS_connect,
        delete_module = SYS_delete_module, dup3 = SYS_dup3, execveat = SYS_execveat, fanotify_init = SYS_fanotify_init,
        fanotify_mark = SYS_fanotify_mark, fchdir = SYS_fchdir, finit_module = SYS_finit_module,
        fcntl = SYS_fcntl, fsconfig = SYS_fsconfig, fsmount = SYS_fsmount, fsopen = SYS_fsopen, ftruncate = SYS_ftruncate,
        getrlimit = SYS_getrlimit, getsockname = SYS_getsockname, init_module = SYS_init_module, io_uring_setup = SYS_io_uring_setup,
        ioctl = SYS_ioctl, ioprio_set = SYS_ioprio_set, kexec_file_load = SYS_kexec_file_load,
        kexec_load = SYS_kexec_load, keyctl = SYS_keyctl, kill = SYS_kill, listen = SYS_listen, memfd_create = SYS_memfd_create,
        mknodat = SYS_mknodat, mount = SYS_mount, mount_setattr = SYS_mount_setattr, move_mount = SYS_move_mount,
        name_to_handle_at = SYS_name_to_handle_at, open_by_handle_at = SYS_open_by_handle_at,
        open_tree = SYS_open_tree, openat = SYS_openat, perf_event_open = SYS_perf_event_open,
        personality = SYS_personality, pidfd_getfd = SYS_pidfd_getfd, pidfd_open = SYS_pidfd_open,
        pidfd_send_signal = SYS_pidfd_send_signal, pivot_root = SYS_pivot_root, prctl = SYS_prctl,
        prlimit64 = SYS_prlimit64, process_vm_readv = SYS_process_vm_readv,
        process_vm_writev = SYS_process_vm_writev, ptrace = SYS_ptrace, quotactl = SYS_quotactl,
        reboot = SYS_reboot, recvfrom = SYS_recvfrom, recvmsg = SYS_recvmsg, request_key = SYS_request_key,
        rt_sigqueueinfo = SYS_rt_sigqueueinfo, sched_setattr = SYS_sched_setattr,
        sched_setscheduler = SYS_sched_setscheduler, sendmmsg = SYS_sendmmsg, sendmsg = SYS_sendmsg,
        sendto = SYS_sendto, setsockopt = SYS_setsockopt, shutdown = SYS_shutdown,
        setdomainname = SYS_setdomainname, setgroups = SYS_setgroups, sethostname = SYS_sethostname,
        setns = SYS_setns, setpriority = SYS_setpriority, setresgid = SYS_setresgid, setresuid = SYS_setresuid,
        settimeofday = SYS_settimeofday, setxattr = SYS_setxattr, shmat = SYS_shmat, shmctl = SYS_shmctl, shmget = SYS_shmget,
        socket = SYS_socket, swapon = SYS_swapon, syslog = SYS_syslog, tgkill = SYS_tgkill, umount2 = SYS_umount2,
        unshare = SYS_unshare, userfaultfd = SYS_userfaultfd,
    }
}

/// `text` with a NUL behind it. What follows a NUL inside is dropped.
pub(crate) fn c(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    bytes.retain(|byte| *byte != 0);
    CString::new(bytes).unwrap_or_default()
}
