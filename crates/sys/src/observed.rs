//! Starts a program of which every system call waits for this process's answer.

use crate::seccomp;
use rustix::event::{PollFd, PollFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// What is to be started, and how.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The program's path.
    pub program: &'a CStr,
    /// Its arguments, its own name first.
    pub arguments: &'a [&'a CStr],
    /// Its environment, `NAME=VALUE` each.
    pub environment: &'a [&'a CStr],
    /// Its working directory.
    pub directory: BorrowedFd<'a>,
    /// Its standard input, output and error.
    pub streams: [BorrowedFd<'a>; 3],
    /// The filter: an array of struct sock_filter, in native byte order.
    pub filter: &'a [u8],
    /// A Landlock ruleset that it gets.
    pub ruleset: Option<BorrowedFd<'a>>,
}

/// A program whose system calls arrive at a listener. Its own calls begin after the first execve(2).
#[derive(Debug)]
pub struct Observed {
    /// Its process id. It is a child of this process, which has to reap it.
    pub pid: i32,
    /// A descriptor of the process.
    pub process: OwnedFd,
    /// Where its calls wait: [`seccomp::receive`].
    pub listener: OwnedFd,
    page: Page,
}

impl Observed {
    /// Why the program could not be executed; `None` when it was, or while that is not known.
    pub fn failure(&self) -> Option<io::Error> {
        match self.page.errno().load(Ordering::Acquire) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// A page that the child shares with this process: the number of the listener, and an errno.
#[derive(Debug)]
struct Page(NonNull<AtomicI32>);

// SAFETY: the page is owned, and only accessed through atomics.
unsafe impl Send for Page {}

/// What the listener's word holds until there is one.
const NONE: i32 = -1;
const PAGE: usize = 4096;

impl Page {
    fn new() -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), PAGE, protection, MapFlags::SHARED) }?;
        let page = Self(NonNull::new(at.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?);
        page.listener().store(NONE, Ordering::Release);
        Ok(page)
    }

    fn listener(&self) -> &AtomicI32 {
        // SAFETY: the mapping lives as long as `self`, is aligned to a page, and zeroes are a valid value.
        unsafe { self.0.as_ref() }
    }

    fn errno(&self) -> &AtomicI32 {
        // SAFETY: within the page.
        let second = unsafe { self.0.add(1) };
        // SAFETY: as in `listener`.
        unsafe { second.as_ref() }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; references into it borrow `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), PAGE) };
        debug_assert!(unmapped.is_ok(), "an owned mapping can be unmapped");
    }
}

/// How often the child is asked for its listener. It cannot tell: after the filter each of its calls waits for an answer.
const GLANCE: Duration = Duration::from_micros(20);

/// Starts `command` in a session of its own, with default signal handlers, without core dumps, under Landlock and the
/// filter. It dies with the thread that starts it. From then on its calls, and those of all its children, wait at the
/// listener, beginning with what is left of the start: the last of that is the first execve(2).
///
/// The child is a copy of this process that makes system calls only, and shares the descriptor table until the
/// listener is in it: whoever installs a filter gets its listener, and any call by which it could be sent would wait for
/// an answer already.
///
/// Source: clone(2) `CLONE_FILES`, seccomp(2) `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0), `CLONE_PIDFD` (5.2).
///
/// # Errors
///
/// `EAGAIN` at a process limit; `EBUSY` or `EINVAL` where filters cannot be had; what Landlock says of the ruleset.
pub fn start(command: &Command<'_>) -> io::Result<Observed> {
    let page = Page::new()?;
    // Out of the way of 0 to 2, which the child gives their places.
    let high = |stream: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 3);
    let [input, output, error] = command.streams;
    let streams = [high(input)?, high(output)?, high(error)?];
    let pointers = |strings: &[&CStr]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(command.arguments), pointers(command.environment));
    let program = libc::sock_fprog {
        len: u16::try_from(command.filter.len() / 8).unwrap_or(0),
        filter: command.filter.as_ptr().cast_mut().cast(),
    };
    let child = Child {
        path: command.program.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        directory: command.directory.as_raw_fd(),
        streams: [streams[0].as_raw_fd(), streams[1].as_raw_fd(), streams[2].as_raw_fd()],
        program: &program,
        ruleset: command.ruleset.map_or(NONE, |ruleset| ruleset.as_raw_fd()),
        page: &page,
    };
    let flags = libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut descriptor: RawFd = -1;
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of all memory, and makes system calls only.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, &raw mut descriptor, 0_usize, 0_usize) };
    if pid == 0 {
        child.enter();
    }
    let pid = i32::try_from(crate::check(pid)?).map_err(|_beyond| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: clone succeeded and stored a new descriptor, close-on-exec, that nobody else owns.
    let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let listener = match await_listener(&page, &process) {
        Ok(listener) => listener,
        Err(error) => {
            crate::wait::reap(pid)?;
            return Err(error);
        }
    };
    // The table is shared until the child's next call, so that nothing of it may be closed here before.
    if let Err(error) = let_go(&listener, &process) {
        // Without a listener it could not even exit.
        rustix::process::pidfd_send_signal(&process, Signal::KILL)?;
        crate::wait::reap(pid)?;
        return Err(error);
    }
    Ok(Observed { pid, process, listener, page })
}

/// Lets the child have its own descriptor table: answers its first call, and waits for the second or its end.
fn let_go(listener: &OwnedFd, process: &OwnedFd) -> io::Result<()> {
    if let Some(call) = seccomp::receive(listener.as_fd())? {
        seccomp::answer(listener.as_fd(), call.id, seccomp::Answer::Continue)?;
    }
    let mut events = [PollFd::new(listener, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) => {}
            answer => return answer.map(drop).map_err(io::Error::from),
        }
    }
}

fn await_listener(page: &Page, process: &OwnedFd) -> io::Result<OwnedFd> {
    loop {
        let number = page.listener().load(Ordering::Acquire);
        if number != NONE {
            // SAFETY: the child got it from the kernel, in the table that was shared; its own table loses it by exec.
            return Ok(unsafe { OwnedFd::from_raw_fd(number) });
        }
        let errno = page.errno().load(Ordering::Acquire);
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if rustix::process::waitid(WaitId::PidFd(process.as_fd()), options)?.is_some() {
            return Err(io::Error::from_raw_os_error(libc::ECHILD));
        }
        std::thread::sleep(GLANCE);
    }
}

/// Everything that the child needs, laid out before.
struct Child<'a> {
    path: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    directory: RawFd,
    streams: [RawFd; 3],
    program: &'a libc::sock_fprog,
    ruleset: RawFd,
    page: &'a Page,
}

/// The kernel's struct sigaction with the default handler: all zeroes, on both architectures at most this long.
static DEFAULT_HANDLER: [u64; 4] = [0; 4];
static NO_SIGNALS: u64 = 0;
static NO_CORE: [u64; 2] = [0; 2];
const SIGNALS: i32 = 64;

impl Child<'_> {
    /// The child's half. Only system calls: no allocation, no locks, no panics.
    fn enter(&self) -> ! {
        let failed = self.prepare() || self.exchange_streams();
        if !failed {
            // SAFETY: NUL-terminated strings and vectors that live in this process's own memory.
            unsafe { libc::syscall(libc::SYS_execve, self.path, self.argv, self.envp) };
        }
        self.page.errno().store(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL), Ordering::Release);
        // SAFETY: runs nothing of the caller's.
        unsafe { libc::_exit(127) }
    }

    /// Up to the filter. Whether a step failed, with its errno set.
    fn prepare(&self) -> bool {
        // SAFETY: numbers only.
        let mut answer = unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        if answer >= 0 {
            // SAFETY: takes nothing. The child is new and leads no group.
            answer = unsafe { libc::syscall(libc::SYS_setsid) };
        }
        for signal in 1..=SIGNALS {
            // SAFETY: a static structure as long as the kernel's; SIGKILL and SIGSTOP refuse, which changes nothing.
            unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT_HANDLER.as_ptr(), 0_usize, 8_usize) };
        }
        if answer >= 0 {
            // SAFETY: a static set of eight bytes.
            answer = unsafe {
                libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const NO_SIGNALS, 0_usize, 8_usize)
            };
        }
        if answer >= 0 {
            // SAFETY: a static struct rlimit64.
            answer = unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, NO_CORE.as_ptr(), 0_usize) };
        }
        if answer >= 0 {
            // SAFETY: numbers only.
            answer = unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        }
        if answer >= 0 && self.ruleset != NONE {
            // SAFETY: numbers only.
            answer = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset, 0) };
        }
        if answer >= 0 {
            answer = self.filter(seccomp::FILTER_NEW_LISTENER | seccomp::FILTER_WAIT_KILLABLE);
            if answer < 0 {
                // Before Linux 5.19.
                answer = self.filter(seccomp::FILTER_NEW_LISTENER);
            }
        }
        match i32::try_from(answer) {
            Ok(number) if number >= 0 => {
                self.page.listener().store(number, Ordering::Release);
                false
            }
            _ => true,
        }
    }

    fn filter(&self, flags: u64) -> i64 {
        let program: *const libc::sock_fprog = self.program;
        // SAFETY: the program and its instructions are this process's own memory.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, program) }
    }

    /// A table of its own, with the streams in their places and nothing else that survives the exec. Whether it failed.
    fn exchange_streams(&self) -> bool {
        // SAFETY: numbers only.
        let mut answer = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_FILES) };
        if answer >= 0 {
            // SAFETY: numbers only.
            answer = unsafe { libc::syscall(libc::SYS_fchdir, self.directory) };
        }
        for (place, stream) in (0_i32..).zip(self.streams) {
            if answer >= 0 {
                // SAFETY: numbers only, in this process's own table.
                answer = unsafe { libc::syscall(libc::SYS_dup3, stream, place, 0) };
            }
        }
        if answer >= 0 {
            // SAFETY: numbers only, in this process's own table.
            answer = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        }
        answer < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::Answer;

    /// `ret SECCOMP_RET_USER_NOTIF`.
    const NOTIFY_ALL: [u8; 8] = 0x7fc0_0000_0000_0006_u64.to_le_bytes();

    fn run(program: &CStr) -> (Vec<u32>, Option<io::Error>, Option<crate::wait::Ended>) {
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("it is there");
        let root = std::fs::File::open("/").expect("it is there");
        let command = Command {
            program,
            arguments: &[program],
            environment: &[],
            directory: root.as_fd(),
            streams: [null.as_fd(); 3],
            filter: &NOTIFY_ALL,
            ruleset: None,
        };
        let observed = start(&command).expect("an unprivileged filter can be had");
        let mut numbers = Vec::new();
        loop {
            let mut events =
                [PollFd::new(&observed.listener, PollFlags::IN), PollFd::new(&observed.process, PollFlags::IN)];
            rustix::event::poll(&mut events, None).expect("two descriptors can be awaited");
            if events[0].revents().contains(PollFlags::IN) {
                let call = seccomp::receive(observed.listener.as_fd()).expect("a call waits").expect("it still does");
                numbers.push(call.number);
                seccomp::answer(observed.listener.as_fd(), call.id, Answer::Continue).expect("it can be answered");
            } else {
                break;
            }
        }
        let ended = crate::wait::reap(observed.pid).expect("it is a child");
        (numbers, observed.failure(), ended)
    }

    #[test]
    fn every_call_of_a_program_is_seen_from_its_start_to_its_end() {
        let (numbers, failure, ended) = run(c"/bin/true");

        let number = |call: i64| u32::try_from(call).expect("numbers are small");
        assert!(failure.is_none());
        assert_eq!(ended, Some(crate::wait::Ended::Exited(0)));
        assert_eq!(numbers.first(), Some(&number(libc::SYS_fchdir)));
        assert!(numbers.contains(&number(libc::SYS_execve)));
        assert_eq!(numbers.last(), Some(&number(libc::SYS_exit_group)));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_that_says_so() {
        let (_, failure, ended) = run(c"/nonexistent/program");

        assert_eq!(failure.and_then(|e| e.raw_os_error()), Some(libc::ENOENT));
        assert_eq!(ended, Some(crate::wait::Ended::Exited(127)));
    }
}
