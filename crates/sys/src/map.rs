//! Parts of a memory file, mapped.

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// Bytes of a huge page on the processors that this runs on, with pages of 4 KiB.
pub const HUGE: usize = 2 << 20;
/// Source: Linux 6.1, include/uapi/asm-generic/mman-common.h.
const MADV_COLLAPSE: i32 = 25;

/// Makes a memory file of `len` bytes that can be sealed.
///
/// Source: memfd_create(2).
///
/// # Errors
///
/// `EMFILE` or `ENFILE` when descriptors run out, `ENOMEM`.
pub fn file(name: &str, len: u64) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Never executable, where the kernel can say so (6.3): nor does vm.memfd_noexec complain.
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }?;
    rustix::fs::ftruncate(&file, len)?;
    Ok(file)
}

/// Fixes the size of a memory file for ever: whoever maps it gets no SIGBUS.
///
/// Source: fcntl(2), `F_ADD_SEALS`.
///
/// # Errors
///
/// `EPERM` for a file that is sealed against that.
pub fn seal(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?)
}

/// Whether nobody can change the size of `file` any more.
fn is_fixed(file: impl AsFd, end: u64) -> io::Result<bool> {
    let seals = rustix::fs::fcntl_get_seals(&file)?;
    let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
    Ok(seals.contains(SealFlags::SHRINK) && end <= size)
}

/// A mapped range of pages.
#[derive(Debug)]
struct Range {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned, and belongs to no thread.
unsafe impl Send for Range {}
// SAFETY: a shared reference gives nothing but reads.
unsafe impl Sync for Range {}

impl Range {
    fn new(file: impl AsFd, offset: u64, len: usize, protection: ProtFlags, flags: MapFlags) -> io::Result<Self> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if len == 0 || !is_fixed(&file, end)? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if len >= HUGE {
            return Self::where_huge_pages_fit(file, offset, len, protection, flags);
        }
        // SAFETY: a new mapping at an address of the kernel's choice, within a file that cannot shrink.
        let at = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, protection, flags, file, offset) }?;
        Self::at(at, len)
    }

    fn at(at: *mut std::ffi::c_void, len: usize) -> io::Result<Self> {
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { at, len })
    }

    /// As `new`, at an address that is a multiple of a huge page's size: elsewhere the kernel maps none.
    fn where_huge_pages_fit(
        file: impl AsFd,
        offset: u64,
        len: usize,
        protection: ProtFlags,
        flags: MapFlags,
    ) -> io::Result<Self> {
        let room = len.checked_add(HUGE).ok_or(io::ErrorKind::InvalidInput)?;
        let nothing = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let room_at = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), room, ProtFlags::empty(), nothing) }?;
        let reserved = Self::at(room_at, room)?;
        let before = reserved.at.as_ptr().align_offset(HUGE);
        let at = reserved.at.as_ptr().wrapping_add(before);
        // SAFETY: `before` is below HUGE, so that the range lies within what was reserved above, which nobody uses.
        let at = unsafe { rustix::mm::mmap(at.cast(), len, protection, flags | MapFlags::FIXED, file, offset) }?;
        // What was reserved before and behind it is given back; the range itself lives on.
        let reserved = std::mem::ManuallyDrop::new(reserved);
        let end = before + len.next_multiple_of(rustix::param::page_size());
        for (from, to) in [(0, before), (end, room)] {
            if from < to {
                drop(Self::at(reserved.at.as_ptr().wrapping_add(from).cast(), to - from)?);
            }
        }
        Self::at(at, len)
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: exactly the range mapped in `new`; no reference into it outlives the owner.
        let unmapped = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "an owned mapping can be unmapped");
    }
}

/// Bytes of a memory file that nobody writes any more, read-only.
#[derive(Debug)]
pub struct Frozen(Range);

impl Frozen {
    /// Maps `len` bytes of `file` from `offset`, a multiple of the page size. The caller knows that all who could write
    /// them are dead or have promised not to; should one write after all, bytes change under a reader.
    ///
    /// Source: mmap(2).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the file's size is not sealed or the range is empty or beyond it, `ENOMEM`.
    pub fn map(file: impl AsFd, offset: u64, len: usize) -> io::Result<Self> {
        Range::new(file, offset, len, ProtFlags::READ, MapFlags::PRIVATE | MapFlags::POPULATE).map(Self)
    }
}

impl Deref for Frozen {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped and readable for as long as `self` lives; nobody writes it, by the contract of `map`.
        unsafe { std::slice::from_raw_parts(self.0.at.as_ptr(), self.0.len) }
    }
}

/// Bytes of a memory file that this process writes and another may read later.
#[derive(Debug)]
pub struct Written(Range);

impl Written {
    /// Maps `len` bytes of `file` from `offset`, a multiple of the page size.
    ///
    /// Source: mmap(2).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the file's size is not sealed or the range is empty or beyond it, `ENOMEM`.
    pub fn map(file: impl AsFd, offset: u64, len: usize) -> io::Result<Self> {
        Range::new(file, offset, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED).map(Self)
    }

    /// Makes the pages of `range` before they are written, at once: a fault for each takes longer. Where whole huge pages lie
    /// in it, those, if the kernel has some to spare, whatever it gives to others (`shmem_enabled`).
    ///
    /// All of this is a hint: a kernel that does not take it makes pages when they are written.
    ///
    /// Source: madvise(2), `MADV_COLLAPSE` (Linux 6.1) and `MADV_POPULATE_WRITE` (Linux 5.14);
    /// Documentation/admin-guide/mm/transhuge.rst.
    ///
    /// # Panics
    ///
    /// When the range goes beyond the mapping.
    pub fn populate(&mut self, range: std::ops::Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.0.len, "a range of the mapping");
        // A mapping that can have huge pages begins where one does.
        let (first, last) = (range.start.next_multiple_of(HUGE), range.end / HUGE * HUGE);
        let huge = first < last && self.collapse(first..last);
        let (before, after) = if huge { (range.start..first, last..range.end) } else { (range, 0..0) };
        for part in [before, after].into_iter().filter(|part| !part.is_empty()) {
            self.advise(part, libc::MADV_POPULATE_WRITE);
        }
    }

    /// Makes huge pages of a range of whole ones. An extent in which there is nothing yet is not collapsed, so that there has
    /// to be a byte: the kernel keeps what is there.
    fn collapse(&mut self, range: std::ops::Range<usize>) -> bool {
        for extent in range.clone().step_by(HUGE) {
            // Writing what is read changes nothing but that there is a page.
            self[extent] = std::hint::black_box(self[extent]);
        }
        self.advise(range, MADV_COLLAPSE)
    }

    /// Returns whether the kernel takes the hint.
    fn advise(&self, range: std::ops::Range<usize>, advice: i32) -> bool {
        let first = range.start - range.start % rustix::param::page_size();
        let at = self.0.at.as_ptr().wrapping_add(first);
        // SAFETY: within the range mapped in `map`; neither piece of advice changes what it holds.
        unsafe { libc::madvise(at.cast(), range.end - first, advice) == 0 }
    }

    /// Keeps it mapped for the life of the process.
    pub fn forever(self) -> &'static mut [u8] {
        let range = std::mem::ManuallyDrop::new(self);
        // SAFETY: never unmapped, and this is the only reference to it.
        unsafe { std::slice::from_raw_parts_mut(range.0.at.as_ptr(), range.0.len) }
    }
}

impl Deref for Written {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for as long as `self` lives; this process alone writes it, through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.0.at.as_ptr(), self.0.len) }
    }
}

impl DerefMut for Written {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` is the only access.
        unsafe { std::slice::from_raw_parts_mut(self.0.at.as_ptr(), self.0.len) }
    }
}
