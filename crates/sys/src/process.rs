//! Other processes' memory. Source: process_vm_readv(2).

use std::io;

/// Copies memory of the thread `pid` at `address` into `into` and says how many bytes could be read: fewer than asked
/// when the memory ends before.
///
/// Source: process_vm_readv(2); Linux 3.2. The caller needs what ptrace(2) calls `PTRACE_MODE_ATTACH_REALCREDS`.
///
/// # Errors
///
/// `EPERM` when the caller may not look at the process, `ESRCH` when there is none, `EFAULT` when nothing is mapped at
/// `address`, `ENOSYS` on kernels built without it and under filters that hide it.
pub fn read_memory(pid: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let pid = i32::try_from(pid).map_err(|_beyond| io::Error::from_raw_os_error(libc::ESRCH))?;
    let here = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let Ok(base) = usize::try_from(address) else { return Err(io::Error::from_raw_os_error(libc::EFAULT)) };
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(base), iov_len: into.len() };
    // SAFETY: the kernel writes at most `iov_len` bytes into `into`, which is borrowed for the call; the remote address
    // is only used in the other process.
    let read = unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(read).map_err(|_negative| io::Error::last_os_error())
}

/// Copies `bytes` into the memory of the thread `pid` at `address`, all or as many as there is writable memory for, and
/// says how many.
///
/// Source: process_vm_writev(2); Linux 3.2. What the thread itself could not write to is not written to.
///
/// # Errors
///
/// As [`read_memory`].
pub fn write_memory(pid: u32, address: u64, bytes: &[u8]) -> io::Result<usize> {
    let pid = i32::try_from(pid).map_err(|_beyond| io::Error::from_raw_os_error(libc::ESRCH))?;
    let here = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let Ok(base) = usize::try_from(address) else { return Err(io::Error::from_raw_os_error(libc::EFAULT)) };
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(base), iov_len: bytes.len() };
    // SAFETY: the kernel only reads `bytes`, which is borrowed for the call; the remote address is only used in the
    // other process.
    let written = unsafe { libc::process_vm_writev(pid, &raw const here, 1, &raw const there, 1, 0) };
    usize::try_from(written).map_err(|_negative| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_this_process_reads_as_it_is() {
        let secret = *b"as it is";
        let mut copy = [0_u8; 8];

        let read = read_memory(std::process::id(), secret.as_ptr() as u64, &mut copy);

        assert_eq!((read.ok(), copy), (Some(8), secret));
    }

    #[test]
    fn an_address_where_nothing_is_mapped_is_an_error() {
        let read = read_memory(std::process::id(), 8, &mut [0_u8; 8]);

        assert_eq!(read.map_err(|e| e.raw_os_error()), Err(Some(libc::EFAULT)));
    }
}
