//! System calls without a C library: no `errno`, no thread-local state, nothing that a new process could find half-made.

/// Makes system call `number` and returns the kernel's answer: a value, or the negated errno.
///
/// Source: syscall(2), "Architecture calling conventions".
///
/// # Safety
///
/// The arguments must be valid for that call; pointers must stay valid for as long as the kernel uses them.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(number: u64, args: [u64; 6]) -> i64 {
    let answer: i64;
    // SAFETY: the caller answers for the arguments; the kernel clobbers rcx and r11 only.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as i64 => answer,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// Makes system call `number` and returns the kernel's answer: a value, or the negated errno.
///
/// Source: syscall(2), "Architecture calling conventions".
///
/// # Safety
///
/// The arguments must be valid for that call; pointers must stay valid for as long as the kernel uses them.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(number: u64, args: [u64; 6]) -> i64 {
    let answer: i64;
    // SAFETY: the caller answers for the arguments; the kernel preserves every register but x0.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as i64 => answer,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    answer
}

/// The system call numbers that the walker itself uses; those of the steps come as data.
#[cfg(target_arch = "x86_64")]
pub(crate) mod nr {
    #![allow(missing_docs, reason = "the names are the system calls' own")]
    pub(crate) const READ: u64 = 0;
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const LSEEK: u64 = 8;
    pub(crate) const MMAP: u64 = 9;
    pub(crate) const SIGACTION: u64 = 13;
    pub(crate) const CLONE: u64 = 56;
    pub(crate) const EXECVE: u64 = 59;
    pub(crate) const WAIT4: u64 = 61;
    pub(crate) const KILL: u64 = 62;
    pub(crate) const SENDFILE: u64 = 40;
    pub(crate) const SIGTIMEDWAIT: u64 = 128;
    pub(crate) const CLOCK_GETTIME: u64 = 228;
    pub(crate) const EXIT_GROUP: u64 = 231;
    pub(crate) const POLL: u64 = 271;
    pub(crate) const FACCESSAT: u64 = 269;
    pub(crate) const SENDMSG: u64 = 46;
    pub(crate) const RECVMSG: u64 = 47;
    pub(crate) const FUTEX: u64 = 202;
    pub(crate) const WAITID: u64 = 247;
    pub(crate) const OPENAT: u64 = 257;
    pub(crate) const LANDLOCK_ADD_RULE: u64 = 445;
}

/// The system call numbers that the walker itself uses; those of the steps come as data.
#[cfg(target_arch = "aarch64")]
pub(crate) mod nr {
    #![allow(missing_docs, reason = "the names are the system calls' own")]
    pub(crate) const READ: u64 = 63;
    pub(crate) const WRITE: u64 = 64;
    pub(crate) const LSEEK: u64 = 62;
    pub(crate) const MMAP: u64 = 222;
    pub(crate) const SIGACTION: u64 = 134;
    pub(crate) const CLONE: u64 = 220;
    pub(crate) const EXECVE: u64 = 221;
    pub(crate) const WAIT4: u64 = 260;
    pub(crate) const KILL: u64 = 129;
    pub(crate) const SENDFILE: u64 = 71;
    pub(crate) const SIGTIMEDWAIT: u64 = 137;
    pub(crate) const CLOCK_GETTIME: u64 = 113;
    pub(crate) const EXIT_GROUP: u64 = 94;
    pub(crate) const POLL: u64 = 73;
    pub(crate) const FACCESSAT: u64 = 48;
    pub(crate) const SENDMSG: u64 = 211;
    pub(crate) const RECVMSG: u64 = 212;
    pub(crate) const FUTEX: u64 = 98;
    pub(crate) const WAITID: u64 = 95;
    pub(crate) const OPENAT: u64 = 56;
    pub(crate) const LANDLOCK_ADD_RULE: u64 = 445;
}

/// Ends the process.
pub(crate) fn exit(code: u64) -> ! {
    exit_with(code, 0)
}

/// The same, with `token` in the sixth register.
pub(crate) fn exit_with(code: u64, token: u64) -> ! {
    loop {
        // SAFETY: exit_group takes a number and does not return.
        unsafe { call(nr::EXIT_GROUP, [code, 0, 0, 0, 0, token]) };
    }
}
