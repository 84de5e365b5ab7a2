//! A process that notes, when it crashes, whether its memory was used up.

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where a crash notes that memory was short.
static NOTE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
/// How many bytes must be left for memory not to be short.
static PROBE: AtomicUsize = AtomicUsize::new(0);
/// Room for a handler, whatever registers the processor has: what [`note_short_memory`] maps.
pub const STACK: usize = 64 * 1024;

/// From now on, a crash of this process sets `note` to 1 if `probe` bytes of address space cannot be had any more. The
/// crash goes on as it would have.
///
/// Evidence of the process's own about itself: nothing but what its end is called may rest on it.
///
/// Source: sigaction(2), sigaltstack(2); abort(3), which signals again when a handler returns.
///
/// # Errors
///
/// `ENOMEM`.
pub fn note_short_memory(note: &'static mut u8, probe: usize) -> io::Result<()> {
    NOTE.store(note, Ordering::Relaxed);
    PROBE.store(probe, Ordering::Relaxed);
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice, kept for the life of the process.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), STACK, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let stack = libc::stack_t { ss_sp: at, ss_flags: 0, ss_size: STACK };
    // SAFETY: a live structure that names memory which nothing else uses.
    crate::check(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }.into())?;
    for signal in [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: struct sigaction is plain data for which zeroes are valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = crashed as extern "C" fn(i32) as usize;
        // Once: what crashed crashes again, and then for good.
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
        // SAFETY: a live structure with a handler that makes system calls and nothing else.
        crate::check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }.into())?;
    }
    Ok(())
}

extern "C" fn crashed(_signal: i32) {
    let (note, probe) = (NOTE.load(Ordering::Relaxed), PROBE.load(Ordering::Relaxed));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping that nothing uses, of a process that is about to end.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), probe, libc::PROT_NONE, flags, -1, 0) };
    if at == libc::MAP_FAILED && !note.is_null() {
        // SAFETY: the address of a `&'static mut u8`.
        unsafe { note.write_volatile(1) };
    }
}
