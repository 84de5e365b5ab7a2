//! The memory of a thread that waits: arguments are copied out of it once, results are written into it.

use crate::caller::{Caller, CallerError};
use lazaret_inspect::{InspectError, Reader};
use lazaret_sys::process::{read_memory, write_memory};
use std::io;

/// How the memory of the job is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// By a thread of its own, for which is waited with a bound. The hand-over costs tens of microseconds.
    Bounded,
    /// By the thread that makes the call, for as long as it takes.
    ///
    /// For jobs that cannot have a look at their memory wait for them: their filter refuses userfaultfd(2), or
    /// `vm.unprivileged_userfaultfd` is 0 and they are no root, so that the kernel's own looks are not handed to them
    /// (Linux 5.11), and no file that they can map is of a server (FUSE, NFS) that they have a hand in.
    Direct,
}

/// The smallest page there is: memory ends at multiples of it.
const PAGE: usize = 4096;

/// What is asked of the memory of one thread.
pub(super) struct Remote<'a, 'b> {
    pub(super) caller: &'a Caller<'b>,
    pub(super) reader: &'a mut Reader,
    pub(super) how: Memory,
}

impl Remote<'_, '_> {
    /// The text at `address`, without the zero that ends it.
    pub(super) fn text(&mut self, address: u64, bound: usize) -> Result<Vec<u8>, CallerError> {
        if self.how == Memory::Bounded {
            return self.caller.copy_text(self.reader, address, bound);
        }
        let mut text = Vec::with_capacity(256);
        while text.len() < bound {
            let at = address.checked_add(text.len() as u64).ok_or(CallerError::Errno(libc::EFAULT))?;
            // Most are short; none is read beyond a page that may be the last.
            let to_page_end = PAGE - usize::try_from(at).map_or(0, |at| at % PAGE);
            let piece = to_page_end.min(bound - text.len()).min(if text.is_empty() { 256 } else { usize::MAX });
            let mut bytes = [0_u8; PAGE];
            let Some(bytes) = bytes.get_mut(..piece) else { return Err(CallerError::Errno(libc::EFAULT)) };
            let read = self.read(at, bytes)?;
            if let Some(end) = bytes[..read].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&bytes[..end]);
                return self.settled(text);
            }
            if read < piece {
                return Err(CallerError::Errno(libc::EFAULT));
            }
            text.extend_from_slice(bytes);
        }
        Err(CallerError::Errno(libc::ENAMETOOLONG))
    }

    /// `length` bytes at `address`.
    pub(super) fn bytes(&mut self, address: u64, length: usize) -> Result<Vec<u8>, CallerError> {
        if self.how == Memory::Bounded {
            return self.caller.copy(self.reader, address, length);
        }
        let mut bytes = vec![0; length];
        let read = self.read(address, &mut bytes)?;
        if read < length { Err(CallerError::Errno(libc::EFAULT)) } else { self.settled(bytes) }
    }

    /// As [`Remote::bytes`], so many as the array has.
    pub(super) fn array<const N: usize>(&mut self, address: u64) -> Result<[u8; N], CallerError> {
        self.bytes(address, N)?.try_into().map_err(|_length| CallerError::Errno(libc::EFAULT))
    }

    /// Writes `bytes` at `address`. The thread waits right before and after it: its number was its own.
    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), CallerError> {
        let tid = self.caller.tid();
        self.settled(())?;
        let written = match self.how {
            Memory::Direct => write_memory(tid, address, bytes).map_err(|e| lost(&e)),
            Memory::Bounded => {
                let (copy, notification) = (bytes.to_vec(), self.caller.notification());
                let write = move |thread: &lazaret_inspect::Thread<'_>| {
                    let waits = thread.is_waiting();
                    Ok(if waits { write_memory(tid, address, &copy) } else { Err(gone()) })
                };
                match self.reader.read(self.caller.listener(), notification, write) {
                    Ok(written) => written.map_err(|e| lost(&e)),
                    Err(InspectError::Late) => Err(CallerError::Late),
                    Err(InspectError::Gone) => Err(CallerError::Gone),
                    Err(InspectError::Denied(e) | InspectError::Reader(e)) => Err(CallerError::Own(e)),
                    Err(other) => Err(CallerError::Own(io::Error::other(other))),
                }
            }
        }?;
        self.settled(())?;
        if written == bytes.len() { Ok(()) } else { Err(CallerError::Errno(libc::EFAULT)) }
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, CallerError> {
        read_memory(self.caller.tid(), address, into).map_err(|e| lost(&e))
    }

    fn settled<T>(&self, found: T) -> Result<T, CallerError> {
        if self.caller.is_waiting() { Ok(found) } else { Err(CallerError::Gone) }
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}

fn lost(error: &io::Error) -> CallerError {
    match error.raw_os_error() {
        Some(libc::EFAULT) => CallerError::Errno(libc::EFAULT),
        Some(libc::ESRCH) => CallerError::Gone,
        _ => CallerError::Own(io::Error::from(error.kind())),
    }
}
