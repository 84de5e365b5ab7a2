//! What a job says to the supervisor above it.

/// Says that this process has all of its input, or that its work begins, so that what its policy ends then is ended. Returns
/// whether there is a supervisor who ended it.
///
/// It is getppid(2), with arguments that it does not have: who is not supervised has asked for a number. `first`, `second` and
/// `third` are what the supervisor knows it by, and `understood` the errno by which it answers.
pub fn tell([first, second, third]: [u64; 3], understood: i32) -> bool {
    // SAFETY: the call takes no memory, and looks at no argument.
    let answer = unsafe { libc::syscall(libc::SYS_getppid, first, second, third) };
    crate::check(answer).is_err_and(|e| e.raw_os_error() == Some(understood))
}
