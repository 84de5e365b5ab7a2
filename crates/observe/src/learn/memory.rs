//! Reads of a run's memory, which end although the program may not want them to.
//!
//! Reading by a thread that is waited for with a bound costs more than the read itself. So it is done from that moment on in
//! which the program could have memory that never comes.

use lazaret_inspect::{InspectError, Reader, Thread};
use lazaret_sys::seccomp::Notification;
use rustix::fs::{AtFlags, CWD, StatxFlags};
use std::os::fd::BorrowedFd;

/// USERFAULTFD_IOC_NEW of linux/userfaultfd.h.
const NEW_USERFAULTFD: u64 = 0xaa00;

/// Source: asm-generic/mman-common.h.
const MAP_ANONYMOUS: u64 = 0x20;

/// How one run's memory is read.
#[derive(Debug, Default)]
pub(super) struct Memory {
    reader: Reader,
    may_block: bool,
    /// Whether a read was not done in time, so that something the run named is not known.
    pub(super) late: bool,
}

impl Memory {
    /// Takes note of a call by which the program gets memory that may never come.
    pub(super) fn note(&mut self, name: &str, call: &Notification) {
        let low = u64::from(u32::MAX);
        match name {
            "userfaultfd" => self.may_block = true,
            "ioctl" if call.args[1] & low == NEW_USERFAULTFD => self.may_block = true,
            "mmap" if call.args[3] & MAP_ANONYMOUS == 0 => {
                self.note_file(&format!("/proc/{}/fd/{}", call.pid, call.args[4] & low));
            }
            _ => {}
        }
    }

    /// The same for a file that is mapped: its content may be a server's, as every file's that is on no block device.
    pub(super) fn note_file(&mut self, path: &str) {
        if self.may_block {
            return;
        }
        let found = rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE);
        self.may_block = found.is_ok_and(|found| found.stx_dev_major == 0);
    }

    /// What `read` makes of the thread whose `call` was received from `listener`.
    pub(super) fn read<T: Send + 'static>(
        &mut self,
        listener: BorrowedFd<'_>,
        call: &Notification,
        read: impl FnOnce(&Thread<'_>) -> Result<T, InspectError> + Send + 'static,
    ) -> Result<T, InspectError> {
        if !self.may_block {
            return read(&Thread::new(listener, call));
        }
        let found = self.reader.read(listener, call, read);
        self.late |= matches!(found, Err(InspectError::Late | InspectError::Reader(_)));
        found
    }
}
