//! io_uring, which makes calls that no filter sees.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::socket::{self, Address};
use super::{Counts, Targets, attack};
use crate::call::{self, Errno, Result};
use crate::outcome::{Arguments, Named, Outcome};

pub(crate) const PROBES: &[Named] = &[("net-rings", rings)];

/// How often a ring is used before there is another.
const USES: usize = 16;
/// `IORING_OP_CONNECT`: Linux 5.5.
const CONNECT: u8 = 16;
/// Where the rings are: `IORING_OFF_SQ_RING`, which has both since Linux 5.4, and `IORING_OFF_SQES`.
const PLACES: [i64; 2] = [0, 0x1000_0000];
const ENTRIES: usize = 8;
const ENTRY: usize = 64;

/// Connects by a ring: a fresh socket, and one that was connected before and undone by a ring.
fn rings(args: &Arguments) -> Outcome {
    attack(args, |targets, counts| {
        for turn in (0..targets.loops).step_by(USES) {
            let Some(ring) = (0..USES).find_map(|_| counts.of("ring", Ring::new())) else { continue };
            let brokered = targets.brokered(false)?;
            for turn in turn..turn + USES {
                use_ring(targets, counts, (&ring, &brokered), turn)?;
            }
        }
        for _ in 0..USES {
            counts.of("connect", targets.brokered(false));
        }
        Ok(())
    })
}

fn use_ring(targets: &Targets, counts: &mut Counts, (ring, brokered): (&Ring, &OwnedFd), turn: usize) -> Result<()> {
    let forbidden = targets.forbidden_v4(turn);
    counts.of("undo", ring.connect(brokered, &Address::none()));
    counts.of("reconnect", ring.connect(brokered, &forbidden));
    counts.of("connect by it", ring.connect(&socket::tcp(false)?, &forbidden));
    Ok(())
}

/// A ring, and the memory that the kernel shares with it.
struct Ring {
    descriptor: OwnedFd,
    rings: *mut u8,
    entries: *mut u8,
    /// struct io_uring_params.
    params: [u32; 30],
}

impl Ring {
    fn new() -> Result<Self> {
        let mut params = [0_u32; 30];
        let made =
            call::call(libc::SYS_io_uring_setup, [ENTRIES as i64, params.as_mut_ptr().addr() as i64, 0, 0, 0, 0])?;
        let descriptor = socket::own(made)?;
        let [rings, entries] = PLACES.map(|place| map(&descriptor, place));
        Ok(Self { rings: rings?, entries: entries?, descriptor, params })
    }

    /// A number in the shared memory, whose place the kernel told.
    fn at(&self, place: u32) -> &AtomicU32 {
        let number = self.rings.wrapping_add(place as usize).cast::<AtomicU32>();
        // SAFETY: within the page that is mapped, and aligned as the kernel has it.
        unsafe { &*number }
    }

    fn connect(&self, socket: &impl AsRawFd, to: &Address) -> Result {
        // struct io_uring_params: five numbers, five reserved, then struct io_sqring_offsets and struct io_cqring_offsets, of
        // ten each.
        let [_, submit_tail, submit_mask, _, _, _, submit_array, ..] = self.params[10..20] else {
            return Err(Errno(libc::EIO));
        };
        let [done_head, done_tail, _, _, _, done_entries, ..] = self.params[20..30] else {
            return Err(Errno(libc::EIO));
        };
        let tail = self.at(submit_tail).load(Ordering::Acquire);
        let index = tail & self.at(submit_mask).load(Ordering::Acquire);
        let mut entry = [0_u8; ENTRY];
        entry[0] = CONNECT;
        entry[4..8].copy_from_slice(&socket.as_raw_fd().to_ne_bytes());
        entry[8..16].copy_from_slice(&(to.length as u64).to_ne_bytes());
        entry[16..24].copy_from_slice(&(to.bytes.as_ptr().addr() as u64).to_ne_bytes());
        let at = self.entries.wrapping_add(index as usize * ENTRY);
        // SAFETY: one of the entries of the mapped page.
        unsafe { std::ptr::copy_nonoverlapping(entry.as_ptr(), at, ENTRY) };
        self.at(submit_array + 4 * index).store(index, Ordering::Release);
        self.at(submit_tail).store(tail.wrapping_add(1), Ordering::Release);
        const WAIT: i64 = 1;
        call::call(libc::SYS_io_uring_enter, [self.descriptor.as_raw_fd().into(), 1, 1, WAIT, 0, 0])?;
        let head = self.at(done_head).load(Ordering::Acquire);
        if head == self.at(done_tail).load(Ordering::Acquire) {
            return Err(Errno(libc::EAGAIN));
        }
        // struct io_uring_cqe: what it was about, and what came of it; twice as many as entries.
        let place = done_entries + 16 * (head % (2 * ENTRIES as u32)) + 8;
        let result = self.at(place).load(Ordering::Acquire).cast_signed();
        self.at(done_head).store(head.wrapping_add(1), Ordering::Release);
        if result < 0 { Err(Errno(-result)) } else { Ok(result.into()) }
    }
}

fn map(descriptor: &OwnedFd, place: i64) -> Result<*mut u8> {
    const LENGTH: usize = 4096;
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
    // SAFETY: new memory, at no place that is named.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), LENGTH, access, kind, descriptor.as_raw_fd(), place) };
    if mapped == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(mapped.cast()) }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for mapped in [self.rings, self.entries] {
            // SAFETY: it was mapped, and nobody uses it any more.
            unsafe { libc::munmap(mapped.cast(), 4096) };
        }
    }
}
