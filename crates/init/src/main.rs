//! The program that launches a jail and becomes its process 1. `build.rs` compiles it, without any library.

#![no_std]
#![no_main]

mod bury;
mod format;
mod maps;
mod memory;
mod raw;
mod reap;
mod receive;
mod walk;

use format::{Header, List, MAGIC};
use raw::nr;
use walk::Block;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(".globl _start", "_start:", "mov x29, 0", "mov x0, sp", "bl {main}", "brk 1", main = sym main);

/// `stack` is where the kernel put argc, argv, envp: see "Initial process stack" of the System V ABI.
extern "C" fn main(stack: *const u64) -> ! {
    // SAFETY: the kernel puts argc there.
    let argc = unsafe { *stack };
    if argc != 2 {
        raw::exit(125);
    }
    // SAFETY: argc is 2, so that argv[1] is two words further.
    let argument = unsafe { *stack.add(2) } as *const u8;
    let block = map(number(argument));
    block.relocate();
    let _failed = block.walk(List::Start);
    raw::exit(125)
}

/// What the caller does in its own time: process 1 is made, waits, and is given the policy's steps and the job's.
pub(crate) fn process_one(mut block: Block) -> ! {
    let mut walked = block.walk(List::Isolate);
    while walked.is_ok() {
        let Some(next) = receive::next(block) else { break };
        block = next;
        walked = block.walk(List::Build).and_then(|()| block.walk(List::Admit));
        if walked.is_ok() && block.has(List::Enter) {
            reap::until_the_job_ends(&block)
        }
    }
    // A step failed: if that was behind the fork, there is a job.
    bury::all(&block);
    raw::exit(125)
}

fn number(text: *const u8) -> u64 {
    let mut value = 0;
    for i in 0..10 {
        // SAFETY: arguments are NUL-terminated, and the loop ends at the NUL.
        let byte = unsafe { *text.add(i) };
        if !byte.is_ascii_digit() {
            break;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    value
}

pub(crate) fn map(descriptor: u64) -> Block {
    const READ_WRITE: u64 = 3;
    const SHARED: u64 = 1;
    // SAFETY: a descriptor, offset 0, SEEK_END.
    let size = unsafe { raw::call(nr::LSEEK, [descriptor, 0, 2, 0, 0, 0]) };
    if size < size_of::<Header>() as i64 {
        raw::exit(125);
    }
    // SAFETY: a new mapping at an address of the kernel's choice.
    let base = unsafe { raw::call(nr::MMAP, [0, size as u64, READ_WRITE, SHARED, descriptor, 0]) };
    // SAFETY: a mapped page starts with a header, checked by its magic before anything else is believed.
    if base < 0 || unsafe { (*(base as *const Header)).magic } != MAGIC {
        raw::exit(125);
    }
    // SAFETY: mapped, as large as the file, never unmapped.
    unsafe { Block::at(base as *mut u8) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    raw::exit(125)
}
