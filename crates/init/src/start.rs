//! The library that a dynamically linked program's loader loads before all others: it tells the supervisor when the
//! program's `main` begins, and is then out of the way.
//!
//! It takes the place of `__libc_start_main`, of glibc and of musl, which every program calls with its `main`; the true one
//! gets [`begin`] instead. A program that does not call it has its start told by this library's initialiser.
//! There is no C library beneath: two of its functions are looked up weakly, so that nothing has to be there.

#![no_std]

mod marker;

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

type Strings = *mut *mut u8;
type Main = unsafe extern "C" fn(i32, Strings, Strings) -> i32;
type LibcStart = unsafe extern "C" fn(Main, i32, Strings, usize, usize, usize, usize) -> i32;

/// The program's own `main`.
static MAIN: AtomicUsize = AtomicUsize::new(0);

const STARTER: &[u8] = b"__libc_start_main\0";
/// What the variable begins with when it names this library; a number follows.
const VARIABLE: &[u8] = b"LD_PRELOAD=/proc/self/fd/";
/// The part that stays when the user has a value of their own.
const NAME: usize = b"LD_PRELOAD=".len();

const EINTR: i64 = 4;
/// The status of a job that was not begun.
const NOT_BEGUN: u64 = 125;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub(crate) const CLOSE: u64 = 3;
    pub(crate) const GETPPID: u64 = 110;
    pub(crate) const EXIT_GROUP: u64 = 231;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub(crate) const CLOSE: u64 = 57;
    pub(crate) const GETPPID: u64 = 173;
    pub(crate) const EXIT_GROUP: u64 = 94;
}

/// What the program calls in place of the C library's.
///
/// # Safety
///
/// As for the C library's: a program calls it once, with its `main` and the vectors that the kernel gave it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    count: i32,
    arguments: Strings,
    init: usize,
    fini: usize,
    loader_fini: usize,
    stack_end: usize,
) -> i32 {
    MAIN.store(main as usize, Ordering::Relaxed);
    let Some(next) = next_starter() else { exit() };
    // SAFETY: the arguments are those that it would have got but for `main`, whose type `begin` has.
    let answer = unsafe { next(begin, count, arguments, init, fini, loader_fini, stack_end) };
    // Not in the place of this frame: dlsym(3) goes by who called it.
    core::hint::black_box(answer)
}

/// The C library's own.
fn next_starter() -> Option<LibcStart> {
    const RTLD_NEXT: usize = usize::MAX;
    type Find = unsafe extern "C" fn(usize, *const u8) -> usize;
    let find = weak_dlsym();
    if find == 0 {
        return None;
    }
    // SAFETY: dlsym(3) has this type.
    let find = unsafe { core::mem::transmute::<usize, Find>(find) };
    // SAFETY: a NUL-terminated name.
    let found = core::hint::black_box(unsafe { find(RTLD_NEXT, STARTER.as_ptr()) });
    if found == 0 {
        return None;
    }
    // SAFETY: the symbol of this name has this type in glibc and musl; musl takes fewer arguments, which does no harm.
    Some(unsafe { core::mem::transmute::<usize, LibcStart>(found) })
}

/// What the C library calls as `main`, when all initialisers have run.
unsafe extern "C" fn begin(count: i32, arguments: Strings, environment: Strings) -> i32 {
    tell(marker::MAIN);
    // SAFETY: the C library gives the program's environment, which ends with a null pointer.
    unsafe { hide(environment) };
    // SAFETY: stored from a `Main` before this function was named to anybody.
    let main = unsafe { core::mem::transmute::<usize, Main>(MAIN.load(Ordering::Relaxed)) };
    // SAFETY: as the C library would have called it.
    let status = unsafe { main(count, arguments, environment) };
    core::hint::black_box(status)
}

/// Takes this library out of the environment, and closes the descriptor that it was loaded through.
///
/// # Safety
///
/// `environment` is an array of NUL-terminated strings that may be changed, with a null pointer at its end.
unsafe fn hide(environment: Strings) {
    let mut at = environment;
    loop {
        // SAFETY: not beyond the null pointer at the end.
        let text = unsafe { *at };
        if text.is_null() {
            return;
        }
        // SAFETY: a NUL-terminated string.
        if let Some((descriptor, rest)) = unsafe { library(text) } {
            call(nr::CLOSE, [descriptor, 0, 0]);
            // SAFETY: `rest` is within the string.
            let own = unsafe { keep(text, rest) };
            if !own {
                // SAFETY: within the array.
                unsafe { take_out(at) };
            }
            return;
        }
        // SAFETY: the null pointer was not reached.
        at = unsafe { at.add(1) };
    }
}

/// The descriptor in the variable that names this library, and where the rest begins.
///
/// # Safety
///
/// `text` is NUL-terminated.
unsafe fn library(text: *const u8) -> Option<(u64, usize)> {
    for (at, expected) in VARIABLE.iter().enumerate() {
        // SAFETY: all before were no NUL.
        if unsafe { *text.add(at) } != *expected {
            return None;
        }
    }
    let (mut at, mut descriptor) = (VARIABLE.len(), 0_u64);
    loop {
        // SAFETY: all before were no NUL.
        let digit = unsafe { *text.add(at) };
        if !digit.is_ascii_digit() {
            return Some((descriptor, at));
        }
        descriptor = descriptor.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
}

/// Leaves of the variable what the user gave it, which stands from `rest` on behind a separator, and NULs behind. Returns
/// whether there is anything.
///
/// # Safety
///
/// `text` is NUL-terminated and `rest` within it.
unsafe fn keep(text: *mut u8, rest: usize) -> bool {
    // SAFETY: within the string.
    let own = unsafe { *text.add(rest) } != 0;
    let (mut from, mut to) = (rest, 0);
    if own {
        (from, to) = (rest + 1, NAME);
    }
    loop {
        // SAFETY: at most the NUL at the end.
        let byte = unsafe { *text.add(from) };
        if byte == 0 {
            break;
        }
        // SAFETY: before `from`. Volatile: no call of a C library's function is to come of this loop.
        unsafe { text.add(to).write_volatile(byte) };
        (from, to) = (from + 1, to + 1);
    }
    while to < from {
        // SAFETY: before the NUL at the end.
        unsafe { text.add(to).write_volatile(0) };
        to += 1;
    }
    own
}

/// # Safety
///
/// `at` is within an array that ends with a null pointer.
unsafe fn take_out(mut at: Strings) {
    loop {
        // SAFETY: the null pointer was not reached.
        let next = unsafe { at.add(1) };
        // SAFETY: at most the null pointer.
        let text = unsafe { *next };
        // SAFETY: before the null pointer.
        unsafe { at.write_volatile(text) };
        if text.is_null() {
            return;
        }
        at = next;
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static INITIALISER: extern "C" fn() = initialise;

/// A program that never asks for the C library's `__libc_start_main` begins when this returns, as far as can be told.
extern "C" fn initialise() {
    if !program_asks_for_starter().unwrap_or(false) {
        tell(marker::CONSTRUCTOR);
    }
}

/// struct Elf64_Phdr, `Elf64_Dyn`, `Elf64_Rela` and `Elf64_Sym`, as arrays of 64-bit words.
fn program_asks_for_starter() -> Option<bool> {
    const AT_PHDR: u64 = 3;
    const AT_PHNUM: u64 = 5;
    const PT_DYNAMIC: u64 = 2;
    const PT_PHDR: u64 = 6;
    let (headers, count) = (auxiliary(AT_PHDR)?, auxiliary(AT_PHNUM)?);
    let (mut bias, mut dynamic) = (0, None);
    for header in (0..count).map(|index| headers + index * 56) {
        match word(header) & 0xffff_ffff {
            PT_PHDR => bias = headers.wrapping_sub(word(header + 16)),
            PT_DYNAMIC => dynamic = Some(word(header + 16)),
            _ => {}
        }
    }
    let dynamic = dynamic?.wrapping_add(bias);
    let entry = |tag: u64| {
        let entries = (0..).map(|index| dynamic + index * 16).take_while(|at| word(*at) != 0);
        entries.into_iter().find(|at| word(*at) == tag).map(|at| word(at + 8))
    };
    // glibc has written the address in place of the offset, musl has not.
    let address = |tag| entry(tag).map(|value| if value < bias { value + bias } else { value });
    let (strings, symbols) = (address(5)?, address(6)?);
    let relocations = [(address(7), entry(8)), (address(23), entry(2))];
    for (first, size) in relocations.into_iter().filter_map(|(first, size)| Some((first?, size?))) {
        for symbol in (0..size / 24).map(|index| word(first + index * 24 + 8) >> 32).filter(|symbol| *symbol != 0) {
            let name = strings + (word(symbols + symbol * 24) & 0xffff_ffff);
            if STARTER.iter().zip(0..).all(|(expected, at)| byte(name + at) == *expected) {
                return Some(true);
            }
        }
    }
    Some(false)
}

fn word(address: u64) -> u64 {
    // SAFETY: an address in the program's headers or tables, as its loader has just used them.
    unsafe { core::ptr::read_unaligned(address as *const u64) }
}

fn byte(address: u64) -> u8 {
    // SAFETY: as for `word`.
    unsafe { core::ptr::read(address as *const u8) }
}

/// getauxval(3), where there is one. None: nothing is known of the program.
fn auxiliary(kind: u64) -> Option<u64> {
    type Value = unsafe extern "C" fn(u64) -> u64;
    let value = weak_getauxval();
    if value == 0 {
        return None;
    }
    // SAFETY: getauxval(3) has this type.
    let value = unsafe { core::mem::transmute::<usize, Value>(value) };
    // SAFETY: any number may be asked for.
    Some(unsafe { value(kind) }).filter(|value| *value != 0)
}

/// Tells the supervisor, and goes on only if it understood.
fn tell(how: u64) {
    loop {
        match -call(nr::GETPPID, [marker::FIRST, marker::SECOND, how]) {
            EINTR => {}
            understood if understood == i64::from(marker::UNDERSTOOD) => return,
            _ => exit(),
        }
    }
}

fn exit() -> ! {
    loop {
        call(nr::EXIT_GROUP, [NOT_BEGUN, 0, 0]);
    }
}

#[cfg(target_arch = "x86_64")]
fn call(number: u64, args: [u64; 3]) -> i64 {
    let answer;
    // SAFETY: none of the calls made here reads or writes memory.
    unsafe {
        asm!(
            "syscall", inlateout("rax") number => answer,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            lateout("rcx") _, lateout("r11") _, options(nostack)
        );
    }
    answer
}

#[cfg(target_arch = "aarch64")]
fn call(number: u64, args: [u64; 3]) -> i64 {
    let answer;
    // SAFETY: none of the calls made here reads or writes memory.
    unsafe {
        asm!(
            "svc 0", in("x8") number, inlateout("x0") args[0] => answer,
            in("x1") args[1], in("x2") args[2], options(nostack)
        );
    }
    answer
}

/// The address of a function that need not be there, 0 if it is not.
macro_rules! weak {
    ($function:ident, $symbol:literal) => {
        core::arch::global_asm!(concat!(".weak ", $symbol));

        fn $function() -> usize {
            let address: usize;
            #[cfg(target_arch = "x86_64")]
            // SAFETY: reads the place where the loader has put the address.
            unsafe {
                asm!(concat!("mov {}, qword ptr [rip + ", $symbol, "@GOTPCREL]"), out(reg) address, options(nostack));
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                asm!(
                    concat!("adrp {0}, :got:", $symbol), concat!("ldr {0}, [{0}, :got_lo12:", $symbol, "]"),
                    out(reg) address, options(nostack)
                );
            }
            address
        }
    };
}

weak!(weak_dlsym, "dlsym");
weak!(weak_getauxval, "getauxval");

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    exit()
}
