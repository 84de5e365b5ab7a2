//! Process 1 takes its next block from the channel to the caller.

use crate::format::{CARRIED, CHANNEL, NO_SLOT, SLOTS};
use crate::raw::{self, nr};
use crate::walk::Block;

/// MSG_CMSG_CLOEXEC: what is received does not outlive an exec.
const CLOSE_ON_EXEC: u64 = 0x4000_0000;
/// MSG_CTRUNC: not all descriptors were taken.
const CUT: u64 = 8;
/// A struct cmsghdr: length, then level SOL_SOCKET and type SCM_RIGHTS.
const HEAD: usize = 16;

/// Waits for the next block, with `before`'s carried descriptors and those that came with it in their slots. `None`
/// when the caller hung up, or sent what no caller sends.
pub(crate) fn next(before: Block) -> Option<Block> {
    let mut places = [NO_SLOT; SLOTS];
    let mut control = [0_u64; (HEAD + 4 * SLOTS) / 8];
    let vector = [(&raw mut places) as u64, SLOTS as u64];
    let mut message =
        [0, 0, (&raw const vector) as u64, 1, (&raw mut control) as u64, size_of_val(&control) as u64, 0_u64];
    let socket = before.slot(CHANNEL as u64) as u64;
    // SAFETY: a struct msghdr and what it points to, alive until the call returns.
    let count = unsafe { raw::call(nr::RECVMSG, [socket, (&raw mut message) as u64, CLOSE_ON_EXEC, 0, 0, 0]) };
    let (control_length, flags) = (message[5], message[6] & 0xffff_ffff);
    if count < 1 || flags & CUT != 0 || control_length < (HEAD + 4 * count as usize) as u64 {
        return None;
    }
    let descriptor = |index: usize| {
        let word = control[HEAD / 8 + index / 2];
        (word >> (32 * (index % 2))) as u32 as i32
    };
    let block = crate::map(descriptor(0) as u64);
    block.relocate();
    for slot in 0..CARRIED as u64 {
        block.fill(slot, before.slot(slot));
    }
    for (index, place) in places.iter().enumerate().take(count as usize).skip(1) {
        block.fill(u64::from(*place), descriptor(index));
    }
    Some(block)
}
