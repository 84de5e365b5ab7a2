//! Id maps of process 1, written from outside of its user namespace: user_namespaces(7).

use crate::raw::{self, nr};

/// Room for `/proc/` with a process id, a name and the final NUL.
const PATH: usize = 48;

/// Writes "deny" to `setgroups`, then the text at `map` to both maps of process `pid`. The answer is 0 or the first
/// error.
pub(crate) fn write(pid: u64, map: u64, length: u64) -> i64 {
    let deny = b"deny";
    let files: [(&[u8], u64, u64); 3] =
        [(b"/setgroups", deny.as_ptr() as u64, 4), (b"/gid_map", map, length), (b"/uid_map", map, length)];
    for (name, text, length) in files {
        let answer = write_file(&path(pid, name), text, length);
        if answer < 0 {
            return answer;
        }
    }
    0
}

/// `/proc/PID` and `name`, NUL-terminated.
fn path(pid: u64, name: &[u8]) -> [u8; PATH] {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    let mut rest = pid;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut path = [0_u8; PATH];
    let mut at = 0;
    for part in [b"/proc/".as_slice(), &digits[first..], name] {
        for byte in part {
            path[at] = *byte;
            at += 1;
        }
    }
    path
}

fn write_file(path: &[u8; PATH], text: u64, length: u64) -> i64 {
    const AT_FDCWD: u64 = -100_i64 as u64;
    const WRONLY_CLOEXEC: u64 = 0o2_000_001;
    // SAFETY: a NUL-terminated path on this stack.
    let file = unsafe { raw::call(nr::OPENAT, [AT_FDCWD, path.as_ptr() as u64, WRONLY_CLOEXEC, 0, 0, 0]) };
    if file < 0 {
        return file;
    }
    // SAFETY: `length` readable bytes at `text`. This process exits soon and closes nothing itself.
    unsafe { raw::call(nr::WRITE, [file as u64, text, length, 0, 0, 0]) }
}
