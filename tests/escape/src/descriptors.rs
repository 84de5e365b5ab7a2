//! Descriptors: those that leaked into the job, those sent to it, and its standard ones.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::call::{Errno, Result, c, sys};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("leaked-directory", leaked_directory),
    ("leaked-file", leaked_file),
    ("leaked-socket", leaked_socket),
    ("reopen-input", reopen_input),
    ("cut-output", cut_output),
    ("any-descriptor", any_descriptor),
];

/// More than any program that leaks has.
const NUMBERS: std::ops::Range<i32> = 3..1100;

/// PATH: reads PATH, which is absolute, starting from every directory that is open.
fn leaked_directory(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let below = c(args.text(0).trim_start_matches('/'));
    for number in NUMBERS {
        match sys!(openat, number, below.as_ptr(), libc::O_RDONLY) {
            Ok(opened) => {
                let text = fs::read_to_string(format!("/proc/self/fd/{opened}")).unwrap_or_else(|_| drain(opened));
                return Outcome::escaped(format!("beneath descriptor {number} a file says {text}"));
            }
            Err(Errno(libc::EBADF)) => {}
            Err(errno) => tries.failed(number, errno),
        }
    }
    tries.blocked()
}

fn drain(descriptor: i64) -> String {
    let mut bytes = [0_u8; 256];
    let number = i32::try_from(descriptor).unwrap_or(-1);
    // SAFETY: a buffer of that size.
    let length = unsafe { libc::pread(number, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    String::from_utf8_lossy(&bytes[..usize::try_from(length).unwrap_or_default()]).into_owned()
}

/// TEXT: writes TEXT to every descriptor that is open.
fn leaked_file(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut wrote = Vec::new();
    for number in NUMBERS {
        // SAFETY: a buffer of that size.
        let length = unsafe { libc::write(number, args.text(0).as_ptr().cast(), args.text(0).len()) };
        match length {
            -1 if Errno::last() == Errno(libc::EBADF) => {}
            -1 => tries.failed(number, Errno::last()),
            _ => wrote.push(number),
        }
    }
    if wrote.is_empty() { tries.blocked() } else { Outcome::escaped(format!("wrote to descriptors {wrote:?}")) }
}

/// Receives on every descriptor that is open.
fn leaked_socket(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for number in NUMBERS {
        match receive(number) {
            Ok(text) => return Outcome::escaped(format!("descriptor {number} gave a file that says {text}")),
            Err(Errno(libc::EBADF)) => {}
            Err(errno) => tries.failed(number, errno),
        }
    }
    tries.blocked()
}

/// TEXT: opens its standard input, a file that was opened for reading, anew for writing.
fn reopen_input(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for path in ["/proc/self/fd/0", "/dev/stdin", "/dev/fd/0"] {
        let wrote = OpenOptions::new().append(true).open(path).and_then(|mut file| {
            let is_file = file.metadata()?.is_file();
            file.write_all(args.text(0).as_bytes()).map(|()| is_file)
        });
        if tries.of(path, wrote) == Some(true) {
            return Outcome::escaped(format!("wrote to the input by {path}"));
        }
    }
    tries.blocked()
}

/// Cuts off what stands in the file that is its standard output.
fn cut_output(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for number in [1, 2] {
        if tries.of(format!("ftruncate {number}"), sys!(ftruncate, number, 0)).is_some() {
            return Outcome::escaped(format!("cut off descriptor {number}"));
        }
        let path = format!("/proc/self/fd/{number}");
        let opened = OpenOptions::new().write(true).truncate(true).open(&path);
        if let Some(file) = tries.of(&path, opened)
            && file.metadata().is_ok_and(|data| data.is_file())
        {
            return Outcome::escaped(format!("cut off {path}"));
        }
    }
    tries.blocked()
}

/// Whether anything is open beside the three standard descriptors.
fn any_descriptor(_: &Arguments) -> Outcome {
    let open: Vec<String> = NUMBERS
        // SAFETY: a number and a command without an argument.
        .filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1)
        .map(|number| {
            let link = fs::read_link(format!("/proc/self/fd/{number}"));
            format!("{number} ({})", link.map_or_else(|_| "?".to_owned(), |link| link.display().to_string()))
        })
        .collect();
    if open.is_empty() {
        return Outcome::Blocked("nothing is open".to_owned());
    }
    Outcome::escaped(format!("inherited {}", open.join(", ")))
}

/// Room for one descriptor in a control message: CMSG_SPACE(4), aligned as a header must be.
#[derive(Default)]
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptor: i32,
    padding: i32,
}

/// The content of a file whose descriptor arrives on socket `number`.
pub(crate) fn receive(number: i32) -> Result<String> {
    let mut byte = [0_u8; 64];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    let mut control = Control::default();
    let mut message = message(&mut vector, &mut control);
    let patience: [i64; 2] = [0, 300_000];
    // SAFETY: a struct timeval and its size. It fails for what is no socket, and then so does what follows.
    unsafe { libc::setsockopt(number, libc::SOL_SOCKET, libc::SO_RCVTIMEO, patience.as_ptr().cast(), 16) };
    sys!(recvmsg, number, &raw mut message, 0)?;
    if control.level != libc::SOL_SOCKET || control.kind != libc::SCM_RIGHTS {
        return Err(Errno(libc::ENOENT));
    }
    let bytes = drain(control.descriptor.into());
    Ok(bytes)
}

/// A descriptor that arrives on socket `number` within two seconds.
pub(crate) fn receive_one(number: i32) -> Result<OwnedFd> {
    let mut byte = [0_u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control::default();
    let mut message = message(&mut vector, &mut control);
    let patience: [i64; 2] = [2, 0];
    // SAFETY: a struct timeval and its size.
    unsafe { libc::setsockopt(number, libc::SOL_SOCKET, libc::SO_RCVTIMEO, patience.as_ptr().cast(), 16) };
    sys!(recvmsg, number, &raw mut message, 0)?;
    if control.level != libc::SOL_SOCKET || control.kind != libc::SCM_RIGHTS {
        return Err(Errno(libc::ENOENT));
    }
    // SAFETY: the kernel has just given it, to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(control.descriptor) })
}

/// Sends `descriptor` on socket `number`.
pub(crate) fn send(number: i32, descriptor: i32) -> Result {
    let mut byte = [b'x'];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control {
        length: size_of::<Control>() - 4,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        descriptor,
        padding: 0,
    };
    let message = message(&mut vector, &mut control);
    sys!(sendmsg, number, &raw const message, 0)
}

fn message(vector: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: a struct msghdr is numbers and pointers, for which zeros are good values.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut *control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    message
}
