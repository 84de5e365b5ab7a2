//! A waiting thread, and what can be read of it.

use lazaret_policy::ThreadText;
use lazaret_sys::process::read_memory;
use lazaret_sys::seccomp::{self, Notification};
use lazaret_sys::trace::Registers;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Why nothing can be said about a thread.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Its call no longer waits, so what was read may be of another thread.
    #[error("the call no longer waits")]
    Gone,
    /// The kernel does not let this process look at the thread.
    #[error("cannot look at the thread")]
    Denied(#[source] io::Error),
    /// It, or an earlier one of the same job, could not be read in time: the job may hold up whoever reads its memory.
    #[error("reading the thread's memory took too long")]
    Late,
    /// There is no thread or descriptor left for a bounded read.
    #[error("cannot make a thread that reads")]
    Reader(#[source] io::Error),
}

/// A thread that waits in a system call for the answer of this process.
#[derive(Debug, Clone, Copy)]
pub struct Thread<'a> {
    tid: u32,
    id: u64,
    listener: Option<BorrowedFd<'a>>,
}

/// The smallest page of the architectures that are supported: memory ends at multiples of it.
const PAGE: u64 = 4096;
/// More than any thread's status in /proc.
const STATUS: u64 = 64 << 10;
/// TASK_COMM_LEN, generously.
const COMM: u64 = 64;

impl<'a> Thread<'a> {
    /// The thread whose call `notification` was received from `listener` and was not answered yet.
    pub fn new(listener: BorrowedFd<'a>, notification: &Notification) -> Self {
        Self { tid: notification.pid, id: notification.id, listener: Some(listener) }
    }

    /// A thread of which nothing can be read.
    pub(crate) fn of_nobody() -> Thread<'static> {
        Thread { tid: u32::MAX, id: 0, listener: None }
    }

    /// The thread's number, in the pid namespace of this process.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Whether its call still waits. What was read before is then of this thread.
    pub fn is_waiting(&self) -> bool {
        self.listener.is_none_or(|listener| seccomp::is_waiting(listener, self.id))
    }

    /// `found`, unless the call went away while it was read.
    pub(crate) fn settled<T>(&self, found: T) -> Result<T, InspectError> {
        if self.is_waiting() { Ok(found) } else { Err(InspectError::Gone) }
    }

    /// Copies memory at `address` into `into`, and says how many bytes there were before unmapped memory.
    ///
    /// # Errors
    ///
    /// When this process may not read the thread's memory.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, InspectError> {
        let mut done = 0;
        while done < into.len() {
            let Some(at) = address.checked_add(done as u64) else { break };
            let to_page_end = usize::try_from(PAGE - at % PAGE).unwrap_or(usize::MAX);
            let end = into.len().min(done.saturating_add(to_page_end));
            match self.read_piece(at, &mut into[done..end])? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Reads within a page. Nothing mapped there is no bytes.
    fn read_piece(&self, address: u64, into: &mut [u8]) -> Result<usize, InspectError> {
        let error = match read_memory(self.tid, address, into) {
            Ok(read) => return Ok(read),
            Err(e) => e,
        };
        match error.raw_os_error() {
            Some(libc::EFAULT) => Ok(0),
            Some(libc::ESRCH) => Err(InspectError::Gone),
            // A filter around this process may know one way and not the other.
            Some(libc::ENOSYS | libc::EPERM) => self.read_file(address, into, error),
            _ => Err(InspectError::Denied(error)),
        }
    }

    fn read_file(&self, address: u64, into: &mut [u8], first: io::Error) -> Result<usize, InspectError> {
        let Ok(memory) = File::open(self.proc("mem")) else { return Err(InspectError::Denied(first)) };
        match memory.read_at(into, address) {
            Ok(read) => Ok(read),
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(0),
            Err(e) => Err(InspectError::Denied(e)),
        }
    }

    /// The bytes at `address` up to a zero, at most `bound`; `None` when there is no zero before that or before
    /// unmapped memory.
    ///
    /// # Errors
    ///
    /// When this process may not read the thread's memory.
    pub fn read_string(&self, address: u64, bound: usize) -> Result<Option<Vec<u8>>, InspectError> {
        // Most names are short, so the first look is too.
        for size in [256.min(bound), bound] {
            let mut bytes = vec![0; size];
            let read = self.read(address, &mut bytes)?;
            bytes.truncate(read);
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                bytes.truncate(end);
                return Ok(Some(bytes));
            }
            if read < size {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The lines of the thread's status that begin with `names`, without those.
    fn status<const N: usize>(&self, names: [&str; N]) -> Option<[String; N]> {
        let mut text = String::new();
        File::open(self.proc("status")).ok()?.take(STATUS).read_to_string(&mut text).ok()?;
        let line =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned());
        let found: Vec<String> = names.iter().filter_map(|name| line(name)).collect();
        found.try_into().ok()
    }

    /// The user id that the thread's file accesses are checked with, as this process sees it.
    pub(crate) fn uid(&self) -> Option<u32> {
        let [uids] = self.status(["Uid:"])?;
        uids.split_ascii_whitespace().nth(3)?.parse().ok()
    }

    /// Its numbers and its name, as its own pid namespace has them.
    pub(crate) fn text(&self) -> Option<ThreadText> {
        let [tids, pids] = self.status(["NSpid:", "NStgid:"])?;
        let innermost = |ids: &str| ids.split_ascii_whitespace().next_back()?.parse().ok();
        let mut name = Vec::new();
        File::open(self.proc("comm")).ok()?.take(COMM).read_to_end(&mut name).ok()?;
        let name = name.trim_ascii_end().escape_ascii().to_string();
        Some(ThreadText { tid: innermost(&tids)?, pid: innermost(&pids)?, name })
    }

    /// Where the thread's stack and code are while it waits, as far as the kernel tells without stopping it.
    ///
    /// Source: proc_pid_syscall(5).
    pub(crate) fn places(&self) -> Option<Registers> {
        let mut text = String::new();
        File::open(self.proc("syscall")).ok()?.take(STATUS).read_to_string(&mut text).ok()?;
        let mut last = text.split_ascii_whitespace().rev().map(|word| word.strip_prefix("0x"));
        let mut number = || u64::from_str_radix(last.next()??, 16).ok();
        let (instruction, stack) = (number()?, number()?);
        Some(Registers { instruction, stack, frame: 0, link: 0 })
    }

    /// A file about the thread in /proc.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.tid))
    }

    /// Where a link about the thread leads, if that is a place in the file tree that still has a name.
    pub(crate) fn place(&self, link: &str) -> Option<PathBuf> {
        let target = std::fs::read_link(self.proc(link)).ok()?.into_os_string().into_vec();
        let named = target.first() == Some(&b'/') && !target.ends_with(b" (deleted)");
        named.then(|| PathBuf::from(OsString::from_vec(target)))
    }
}

#[cfg(test)]
impl Thread<'static> {
    /// This very process, as if it waited.
    pub(crate) fn own() -> Self {
        Self { tid: std::process::id(), id: 0, listener: None }
    }
}
