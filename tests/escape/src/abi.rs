//! Other ways to make a system call, and to run code.

use std::fs;
use std::os::unix::process::CommandExt;

use crate::call::{self, c, sys};
use crate::child::{self, End};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("x32-call", x32_call),
    ("int80-call", int80_call),
    ("personality", personality),
    ("memfd-exec", memfd_exec),
    ("modify-ldt", modify_ldt),
    ("port-io", port_io),
];

/// A call in the manner of x32, whose numbers a filter may not know.
fn x32_call(_: &Arguments) -> Outcome {
    const X32: i64 = 0x4000_0000;
    const OPENAT: i64 = 257;
    let mut tries = Tries::new();
    if cfg!(target_arch = "x86_64") {
        if tries.of("getpid", call::call(X32 | libc::SYS_getpid, [0; 6])).is_some() {
            return Outcome::escaped("getpid was called in the manner of x32");
        }
        let path = c("/");
        let opened = call::call(X32 | OPENAT, [libc::AT_FDCWD.into(), path.as_ptr().addr() as i64, 0, 0, 0, 0]);
        if tries.of("openat", opened).is_some() {
            return Outcome::escaped("openat was called in the manner of x32");
        }
    }
    tries.blocked()
}

/// getpid and unshare in the manner of 32-bit programs, in whose numbering they are other calls.
#[cfg(target_arch = "x86_64")]
fn int80_call(_: &Arguments) -> Outcome {
    const GETPID: i64 = 20;
    const UNSHARE: i64 = 310;
    let mut tries = Tries::new();
    // A kernel without it answers with SIGSEGV.
    let worked = child::in_a_child(|| {
        let pid = int80(GETPID, 0);
        i32::from(pid != i64::from(std::process::id()))
    });
    if tries.of("getpid", worked) == Some(true) {
        return Outcome::escaped("getpid was called by int 0x80");
    }
    let worked = child::in_a_child(|| i32::from(int80(UNSHARE, libc::CLONE_NEWUSER.into()) != 0));
    if tries.of("unshare", worked) == Some(true) {
        return Outcome::escaped("unshare was called by int 0x80");
    }
    tries.failed("int 0x80", "refused");
    tries.blocked()
}

#[cfg(not(target_arch = "x86_64"))]
fn int80_call(_: &Arguments) -> Outcome {
    Outcome::Blocked("this architecture has no int 0x80".to_owned())
}

#[cfg(target_arch = "x86_64")]
fn int80(number: i64, argument: i64) -> i64 {
    let result: i64;
    // SAFETY: the two calls that are made take numbers only. The entry saves all registers but rax, and those that
    // 32-bit programs lack.
    unsafe {
        std::arch::asm!(
            "xchg rsi, rbx",
            "int 0x80",
            "xchg rsi, rbx",
            inlateout("rax") number => result,
            inlateout("rsi") argument => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    i64::from(result as i32)
}

/// Execution domains that weaken the process's own defences or change what calls mean.
fn personality(_: &Arguments) -> Outcome {
    const SAME: u32 = 0xffff_ffff;
    let mut tries = Tries::new();
    for (name, persona) in [
        ("no address randomisation", 0x004_0000),
        ("readable is executable", 0x040_0000),
        ("page zero", 0x010_0000),
        ("Linux, 32 bits", 0x0008),
    ] {
        if tries.of(name, sys!(personality, persona)).is_some() && sys!(personality, SAME) == Ok(persona.into()) {
            return Outcome::escaped(format!("has a personality: {name}"));
        }
    }
    tries.blocked()
}

/// PATH: runs a program that is in no file, which then reads the file PATH outside. Whether it may run is the policy's
/// matter; that it is in the same jail is not.
fn memfd_exec(args: &Arguments) -> Outcome {
    const EMPTY_PATH: i32 = libc::AT_EMPTY_PATH;
    let mut tries = Tries::new();
    let Some(memory) = tries.of("memfd_create", sys!(memfd_create, c("program").as_ptr(), 0)) else {
        return tries.blocked();
    };
    let place = format!("/proc/self/fd/{memory}");
    let program = fs::read("/proc/self/exe").and_then(|program| fs::write(&place, program));
    tries.of("copy", program);
    let words = [c("attack"), c("read-host-file"), c(args.text(0))];
    let mut pointers: Vec<*const std::ffi::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let none = c("");
    let environment = [std::ptr::null::<std::ffi::c_char>()];
    let failed = sys!(execveat, memory, none.as_ptr(), pointers.as_ptr(), environment.as_ptr(), EMPTY_PATH);
    tries.of("execveat", failed);
    let error = std::process::Command::new(&place).args(["read-host-file", args.text(0)]).exec();
    tries.failed("execve", error);
    tries.blocked()
}

/// An entry in the local descriptor table.
fn modify_ldt(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    #[cfg(target_arch = "x86_64")]
    {
        // struct user_desc: entry 0, no base, limit 0xfffff, 32 bits, pages.
        let entry: [u32; 4] = [0, 0, 0xf_ffff, 0b0101_0001];
        let set = call::call(libc::SYS_modify_ldt, [1, entry.as_ptr().addr() as i64, 16, 0, 0, 0]);
        if tries.of("modify_ldt", set).is_some() {
            return Outcome::escaped("has a local descriptor table");
        }
    }
    tries.failed("modify_ldt", "refused");
    tries.blocked()
}

/// The ports of the hardware. Port 0x80 is the one that does nothing; it is not used.
fn port_io(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    #[cfg(target_arch = "x86_64")]
    for (name, number, args) in
        [("ioperm", libc::SYS_ioperm, [0x80, 1, 1, 0, 0, 0]), ("iopl", libc::SYS_iopl, [3, 0, 0, 0, 0, 0])]
    {
        if tries.of(name, call::call(number, args)).is_some() {
            return Outcome::escaped(format!("{name} gave access to ports"));
        }
    }
    tries.failed("ports", "refused");
    tries.blocked()
}

/// Whether a child that aborts leaves an image of its memory. The kernel says so in its status.
pub(crate) fn core_dumped() -> Option<bool> {
    let end = child::fork(|| {
        let most = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a readable struct rlimit.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const most) };
        // SAFETY: a writable struct rlimit.
        unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut now) };
        now.rlim_cur = now.rlim_max;
        // SAFETY: a readable struct rlimit.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const now) };
        // SAFETY: three numbers: a process that changed its ids is not dumped otherwise.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
        std::process::abort()
    })
    .ok()?
    .wait()
    .ok()?;
    match end {
        End::Signalled { dumped_core, .. } => Some(dumped_core),
        End::Exited(_) | End::Stopped => None,
    }
}
