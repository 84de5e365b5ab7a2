//! Stopping a thread of another process for a look at its registers. Source: ptrace(2).
//!
//! All calls about a thread must come from the thread of this process that seized it. When that one ends, the kernel lets
//! go of whatever it still holds.

use std::io;

/// The registers of a stopped thread that an unwinder needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// The next instruction.
    pub instruction: u64,
    /// The stack pointer.
    pub stack: u64,
    /// The frame pointer: `rbp`, `x29`.
    pub frame: u64,
    /// The link register, `x30`; 0 where the architecture has none.
    pub link: u64,
}

/// NT_PRSTATUS of elf.h.
const GENERAL: usize = 1;

#[cfg(target_arch = "x86_64")]
/// Words of struct user_regs_struct, and where the registers are.
mod place {
    pub(super) const WORDS: usize = 27;
    pub(super) const INSTRUCTION: usize = 16;
    pub(super) const STACK: usize = 19;
    pub(super) const FRAME: usize = 4;
    pub(super) const LINK: Option<usize> = None;
}

#[cfg(target_arch = "aarch64")]
/// Words of struct user_pt_regs, and where the registers are.
mod place {
    pub(super) const WORDS: usize = 34;
    pub(super) const INSTRUCTION: usize = 32;
    pub(super) const STACK: usize = 31;
    pub(super) const FRAME: usize = 29;
    pub(super) const LINK: Option<usize> = Some(30);
}

/// Becomes the tracer of the thread `tid`, which goes on undisturbed.
///
/// Source: ptrace(2), `PTRACE_SEIZE`; Linux 3.4.
///
/// # Errors
///
/// `EPERM` when this process may not trace it, or somebody else does; `ESRCH` when there is no such thread.
pub fn seize(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, 0)
}

/// Has the seized thread `tid` stop, soon. A system call that waits is interrupted, and begun again when it goes on.
///
/// Source: ptrace(2), `PTRACE_INTERRUPT`; Linux 3.4.
///
/// # Errors
///
/// `ESRCH` when it is gone.
pub fn interrupt(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
}

/// Lets go of the stopped thread `tid`, which goes on.
///
/// Source: ptrace(2), `PTRACE_DETACH`.
///
/// # Errors
///
/// `ESRCH` when it is gone or not stopped.
pub fn detach(tid: u32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, 0)
}

/// The registers of the stopped thread `tid`.
///
/// Source: ptrace(2), `PTRACE_GETREGSET`; Linux 2.6.34.
///
/// # Errors
///
/// `ESRCH` when it is gone or has not stopped yet.
pub fn registers(tid: u32) -> io::Result<Registers> {
    let mut words = [0_u64; place::WORDS];
    let mut buffer = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(&words) };
    request(libc::PTRACE_GETREGSET, tid, GENERAL, (&raw mut buffer).expose_provenance())?;
    if buffer.iov_len != size_of_val(&words) {
        // A thread in another mode of the processor has other registers.
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(Registers {
        instruction: words[place::INSTRUCTION],
        stack: words[place::STACK],
        frame: words[place::FRAME],
        link: place::LINK.map_or(0, |at| words[at]),
    })
}

fn request(request: libc::c_uint, tid: u32, address: usize, data: usize) -> io::Result<()> {
    let tid = i32::try_from(tid).map_err(|_beyond| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: of the requests above only PTRACE_GETREGSET has the kernel write: at most as many bytes as the iovec at
    // `data` says, into words that outlive the call. Two numbers or null otherwise.
    let answer = unsafe { libc::ptrace(request, tid, address, data) };
    crate::check(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn a_sleeping_program_is_stopped_looked_at_and_goes_on() {
        let mut child = Command::new("sleep").arg("0.3").spawn().expect("sleep is everywhere");
        seize(child.id()).expect("a child may be traced");
        interrupt(child.id()).expect("it was seized");

        let until = Instant::now() + Duration::from_secs(10);
        let found = loop {
            match registers(child.id()) {
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) && Instant::now() < until => std::thread::yield_now(),
                other => break other.expect("it stops"),
            }
        };
        detach(child.id()).expect("it is stopped");

        assert!(found.stack != 0 && found.instruction != 0);
        assert!(child.wait().expect("our child").success());
    }
}
