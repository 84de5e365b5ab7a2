//! Memory that two processes share.

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Anonymous memory with a descriptor, mapped here, that another process can map too.
#[derive(Debug)]
pub struct Shared {
    file: OwnedFd,
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned; access goes through `&self`/`&mut self` methods that copy bytes.
unsafe impl Send for Shared {}
// SAFETY: as above; shared reads are volatile copies.
unsafe impl Sync for Shared {}

impl Shared {
    /// Makes shared memory that holds a copy of `bytes`.
    ///
    /// Source: memfd_create(2), mmap(2).
    ///
    /// # Errors
    ///
    /// `EMFILE` or `ENFILE` when descriptors run out, `ENOMEM`.
    pub fn new(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
        let mut written = 0;
        while written < bytes.len() {
            written += rustix::io::pwrite(&file, &bytes[written..], written as u64)?;
        }
        let len = bytes.len();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of a file nobody truncates.
        let at = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, &file, 0) }?;
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { file, at, len })
    }

    /// A copy of the value at `offset` bytes, which the other process may be writing.
    ///
    /// # Panics
    ///
    /// When the value does not lie within the memory or is not aligned.
    pub fn read<T: Plain>(&self, offset: usize) -> T {
        let address = self.place::<T>(offset);
        // SAFETY: `place` checked the bounds and the alignment; any bytes are a valid `T: Plain`.
        unsafe { address.read_volatile() }
    }

    /// Writes the value at `offset` bytes.
    ///
    /// # Panics
    ///
    /// When the value does not lie within the memory or is not aligned.
    pub fn write<T: Plain>(&self, offset: usize, value: T) {
        let address = self.place::<T>(offset);
        // SAFETY: `place` checked the bounds and the alignment.
        unsafe { address.write_volatile(value) }
    }

    fn place<T>(&self, offset: usize) -> *mut T {
        assert!(offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.len), "outside of the shared memory");
        assert!(offset.is_multiple_of(align_of::<T>()), "unaligned in the shared memory");
        // SAFETY: the offset lies within the mapping, checked above.
        unsafe { self.at.as_ptr().add(offset) }.cast()
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly the range mapped in `new`; no reference into it exists.
        let unmapped = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "an owned mapping can be unmapped");
    }
}

/// Types for which any bytes are a valid value.
///
/// # Safety
///
/// The type must have no padding that is read, no references and no invalid bit patterns.
pub unsafe trait Plain: Copy {}

// SAFETY: integers have no invalid bit patterns.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: an array of integers.
unsafe impl<const N: usize> Plain for [u64; N] {}
