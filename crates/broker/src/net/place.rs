//! Sockets from outside in the job's hands.

use super::transcript::Entry;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// A socket that took the place of one of the job's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Whom it was connected to.
    pub(super) address: SocketAddr,
    /// Its entry in the transcript.
    pub(super) entry: Option<Entry>,
    /// Whether the job was told that it is connected.
    pub(super) told: bool,
}

/// How many descriptors' flags are kept within reach.
const KEPT: usize = 8;

/// Where the kernel tells of the flags of a job's descriptors. To find that file takes longer than to read it, and a thread
/// that connects again often does so by the same number.
#[derive(Debug, Default)]
pub(super) struct FlagsOf {
    /// The last ones.
    files: Vec<(u32, i32, File)>,
}

impl FlagsOf {
    /// Whether the number `descriptor` of the thread `tid` is closed on exec. Source: proc_pid_fdinfo(5).
    pub(super) fn is_closed_on_exec(&mut self, tid: u32, descriptor: i32) -> bool {
        let known = self.files.iter().position(|(of, number, _)| (*of, *number) == (tid, descriptor));
        // What was opened for a thread tells of that very thread: of one that is dead it tells nothing.
        let told = known.and_then(|at| flags(&self.files[at].2));
        let flags = told.or_else(|| {
            if let Some(at) = known {
                self.files.swap_remove(at);
            }
            let file = File::open(format!("/proc/{tid}/fdinfo/{descriptor}")).ok()?;
            let flags = flags(&file);
            if self.files.len() >= KEPT {
                self.files.remove(0);
            }
            self.files.push((tid, descriptor, file));
            flags
        });
        flags.is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
    }
}

fn flags(file: &File) -> Option<i32> {
    // The kernel gives as much of it at once as there is room for; the flags are its second line.
    let mut text = [0; 128];
    let read = file.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..read]).ok()?;
    text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok())
}

/// How many sockets wait to be let go of.
const MOST_UNUSED: usize = 64;
/// How long after they were replaced.
const LATER: Duration = Duration::from_micros(100);

/// The job's own sockets that were replaced. To let go of one takes the kernel as long as to look at one.
#[derive(Debug, Default)]
pub(super) struct Unused {
    sockets: Vec<OwnedFd>,
    since: Option<Instant>,
}

impl Unused {
    pub(super) fn keep(&mut self, socket: OwnedFd) {
        if self.sockets.len() >= MOST_UNUSED {
            self.let_go();
        }
        self.sockets.push(socket);
        self.since = Some(Instant::now());
    }

    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.since? + LATER)
    }

    pub(super) fn let_go(&mut self) {
        self.sockets.clear();
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_setfd};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn flags_are_those_of_now_and_of_whatever_has_the_number() {
        let tid = std::process::id();
        let file = File::open("/dev/null").expect("it is there");
        let number = file.as_raw_fd();
        let mut flags = FlagsOf::default();

        let first = flags.is_closed_on_exec(tid, number);
        fcntl_setfd(&file, FdFlags::empty()).expect("it is open");
        let second = flags.is_closed_on_exec(tid, number);
        drop(file);
        let absent = flags.is_closed_on_exec(tid, i32::MAX);

        assert!(first && !second && !absent);
    }
}
