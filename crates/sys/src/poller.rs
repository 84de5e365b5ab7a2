//! epoll instances of other processes.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// A descriptor that an epoll instance watches. Source: proc_pid_fdinfo(5), epoll_ctl(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// `EPOLL*`, flags included.
    pub events: u32,
    /// What the program gets back with an event.
    pub data: u64,
}

/// Has the epoll instance `poller` watch `object` under the number `number`, as a process would in whose table the object
/// has that number. This process need not have it there: a thread of its own, with a table of its own, does it.
///
/// Source: epoll_ctl(2), `EPOLL_CTL_ADD`; unshare(2), `CLONE_FILES`.
///
/// # Errors
///
/// What epoll_ctl(2) has, among it `EEXIST`; no thread or descriptor to be had.
pub fn watch(poller: BorrowedFd<'_>, object: BorrowedFd<'_>, number: i32, watched: Watched) -> io::Result<()> {
    std::thread::scope(|scope| {
        let work = move || in_own_table(poller, object, number, watched);
        let thread = std::thread::Builder::new().name("lazaret-epoll".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_panicked| Err(io::Error::other("the thread panicked")))
    })
}

fn in_own_table(poller: BorrowedFd<'_>, object: BorrowedFd<'_>, number: i32, watched: Watched) -> io::Result<()> {
    // From here on no other thread sees what is done to this one's table.
    crate::table::unshare()?;
    let beyond = number.checked_add(1).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
    // Neither has the number that is about to be taken.
    let (poller, object) = (duplicate(poller, beyond)?, duplicate(object, beyond)?);
    // SAFETY: no memory is passed; what the number stood for is closed in this thread's own table, which ends with it.
    crate::check(unsafe { libc::dup2(object.as_raw_fd(), number) }.into())?;
    let mut event = libc::epoll_event { events: watched.events, u64: watched.data };
    // SAFETY: the kernel reads the structure, which outlives the call.
    let added = unsafe { libc::epoll_ctl(poller.as_raw_fd(), libc::EPOLL_CTL_ADD, number, &raw mut event) };
    crate::check(added.into()).map(drop)
}

fn duplicate(descriptor: BorrowedFd<'_>, least: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let number = unsafe { libc::fcntl(descriptor.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    crate::check(number.into())?;
    // SAFETY: the kernel has just given this number to this thread's table, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, epoll, eventfd};

    #[test]
    fn what_is_watched_is_found_under_the_number_that_was_named() {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an instance");
        let object = eventfd(1, EventfdFlags::CLOEXEC).expect("a counter");
        let number = 777;

        let watched = Watched { events: libc::EPOLLIN.cast_unsigned(), data: 42 };
        watch(poller.as_fd(), object.as_fd(), number, watched).expect("it is watched");

        let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", poller.as_raw_fd())).expect("its text");
        assert!(shown.contains("tfd:      777"), "{shown}");
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 1];
        let count = epoll::wait(&poller, &mut events, None).expect("an event");
        assert_eq!((count, events[0].data.u64()), (1, 42));
        let taken = std::fs::read_link(format!("/proc/self/fd/{number}"));
        assert!(taken.is_err(), "{taken:?}");
    }
}
