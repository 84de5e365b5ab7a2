//! Starts a small static program from any caller, however large and threaded it is.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const STACK: usize = 16 * 1024;

/// Everything the child needs between its birth and its exec, laid out before.
struct Child<'a> {
    program: RawFd,
    argv: [*const libc::c_char; 3],
    envp: [*const libc::c_char; 1],
    keep: &'a [RawFd],
    errno: i32,
}

/// Starts the program in descriptor `program` with one argument, an empty environment and only the descriptors `keep`
/// (under their numbers). Returns its process id and a descriptor of it.
///
/// The child borrows this process's memory until its exec, as vfork(2) does, so that the caller's size costs nothing;
/// this thread stands still and its signals are blocked meanwhile. Nothing of the caller's is written but one errno.
///
/// Source: clone(2) `CLONE_VM | CLONE_VFORK | CLONE_PIDFD` (Linux 5.2), execveat(2), close_range(2) (Linux 5.11).
///
/// # Errors
///
/// `EAGAIN` at a process limit, `EACCES` where memory files may not be executed (`vm.memfd_noexec`), `ENOMEM`.
pub fn spawn(program: BorrowedFd<'_>, name: &CStr, argument: &CStr, keep: &[RawFd]) -> io::Result<(i32, OwnedFd)> {
    let mut child = Child {
        program: program.as_raw_fd(),
        argv: [name.as_ptr(), argument.as_ptr(), std::ptr::null()],
        envp: [std::ptr::null()],
        keep,
        errno: 0,
    };
    let mut stack = vec![0_u128; STACK / 16];
    let top = stack.as_mut_ptr_range().end;
    let blocked = BlockedSignals::all()?;
    // The exec turns the exit signal into SIGCHLD whatever is asked for here: execve(2).
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut descriptor: RawFd = -1;
    // SAFETY: the stack and `child` outlive the child's use of them, because CLONE_VFORK returns after its exec or exit.
    let pid = unsafe { libc::clone(enter, top.cast(), flags, (&raw mut child).cast::<c_void>(), &raw mut descriptor) };
    let outcome = crate::check(pid.into());
    drop(blocked);
    outcome?;
    // SAFETY: clone succeeded and stored a new descriptor, close-on-exec, that nobody else owns.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    if child.errno != 0 {
        crate::wait::reap(pid)?;
        return Err(io::Error::from_raw_os_error(child.errno));
    }
    Ok((pid, descriptor))
}

/// The child's half. Only system calls: no allocation, no locks, no panics.
extern "C" fn enter(child: *mut c_void) -> i32 {
    let child = child.cast::<Child<'_>>();
    // SAFETY: `spawn` passes a live Child, and its thread stands still.
    let child = unsafe { &mut *child };
    // SAFETY: numbers only: every descriptor from 3 on gets close-on-exec, in this process's own table.
    let mut answer = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    for descriptor in child.keep {
        if answer >= 0 {
            // SAFETY: numbers only.
            answer = unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) }.into();
        }
    }
    if answer >= 0 {
        // SAFETY: NUL-terminated strings and vectors that outlive the call; an empty path with AT_EMPTY_PATH.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                child.program,
                c"".as_ptr(),
                child.argv.as_ptr(),
                child.envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
    }
    child.errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
    // SAFETY: _exit runs nothing of the caller's.
    unsafe { libc::_exit(127) }
}

/// Every signal blocked, until dropped: a handler of the caller's must not run in a child that borrows its memory.
pub(crate) struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    pub(crate) fn all() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data for which zeroes are valid.
        let mut every: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set.
        crate::check(unsafe { libc::sigfillset(&raw mut every) }.into())?;
        // SAFETY: two live sets.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const every, &raw mut before) };
        if error == 0 { Ok(Self(before)) } else { Err(io::Error::from_raw_os_error(error)) }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the mask that was there before.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
        debug_assert_eq!(error, 0, "a mask that was in force can be restored");
    }
}
