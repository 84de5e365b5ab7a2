//! The ids by which the kernel checks what a thread does with files.
//!
//! The C library changes ids of all threads of a process together. These calls are made past it, and count for the
//! calling thread alone. Source: setfsuid(2), setfsgid(2), setgroups(2), nptl(7).

use std::io;

/// An id that is none: the kernel changes nothing, and says which one there is.
const NOBODY: u32 = u32::MAX;

/// Has the kernel check files for `uid`, and says whether it does so from then on. Away from 0, the thread's
/// capabilities over files become ineffective, and they are effective again when it comes back.
///
/// Like any change of ids it makes the process one that cannot be dumped, and takes the thread's signal for its
/// parent's death away.
pub fn set_file_uid(uid: u32) -> bool {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
    file_uid() == uid
}

/// The user whose files the kernel takes this thread's to be.
pub fn file_uid() -> u32 {
    // SAFETY: numbers only.
    id(unsafe { libc::syscall(libc::SYS_setfsuid, NOBODY) })
}

/// Has the kernel check files for the group `gid`, and says whether it does so from then on.
pub fn set_file_gid(gid: u32) -> bool {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
    file_gid() == gid
}

/// The group for which the kernel checks files.
pub fn file_gid() -> u32 {
    // SAFETY: numbers only.
    id(unsafe { libc::syscall(libc::SYS_setfsgid, NOBODY) })
}

fn id(answer: i64) -> u32 {
    // The kernel's answer is an int that stands for 32 unsigned bits.
    u32::try_from(answer & i64::from(u32::MAX)).unwrap_or(NOBODY)
}

/// The supplementary groups of this thread.
///
/// # Errors
///
/// None that can happen.
pub fn groups() -> io::Result<Vec<u32>> {
    Ok(rustix::process::getgroups()?.into_iter().map(rustix::process::Gid::as_raw).collect())
}

/// Gives this thread the supplementary groups `groups`.
///
/// # Errors
///
/// `EPERM` without CAP_SETGID, `EINVAL` for more than the kernel takes.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads as many numbers as are there.
    crate::check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_thread_are_its_own_and_can_be_set_to_what_they_are() {
        let (uid, gid) = (file_uid(), file_gid());

        assert_eq!((uid, gid), (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
        assert!(set_file_uid(uid) && set_file_gid(gid));
    }
}
