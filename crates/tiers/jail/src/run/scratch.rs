//! The file system of /job, /tmp and /dev/shm, seen from outside: whether it was ever full, and whether a file grew to
//! the bound of a single one.
//!
//! The kernel counts neither, so it is looked at while the job runs. Far from the bounds that is a statfs(2) now and
//! then, so often that no job can fill what is left between two looks. Near them the job's own writes wake the
//! supervisor (inotify(7)), which may come too late for a job that removes its files at once, or misses writes that
//! raise no event: those through memory maps, and those in directories beyond the first [`MOST_PLACES`].

use crate::plan::Plan;
use lazaret_launch::observe::Peaks;
use lazaret_launch::running::Running;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// When a job is first looked at: many are over by then, and hardly any has filled a file
/// system and cleaned up.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// How long there is at most between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// A bound that could be reached in less than this is near.
const NEAR: Duration = Duration::from_millis(2);
/// The same where writes cannot wake the supervisor.
const NEAR_UNSEEN: Duration = Duration::from_millis(5);
/// How many bytes a job can write in a nanosecond, at most, and how long it takes to make a file, at least.
const BYTES_PER_NS: u64 = 16;
const NS_PER_FILE: u64 = 1000;
/// Between looks that the job's writes ask for and that show nothing new: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LAST_PAUSE: Duration = Duration::from_millis(2);
/// How many looks at one job may follow each other as fast as it comes near to a bound. More would let it keep the
/// supervisor busy.
const MOST_EAGER: u32 = 5000;
/// How many events one look takes. Those that wait are seen by the next.
const MOST_EVENTS: usize = 4096;
/// How many directories are watched.
const MOST_PLACES: usize = 64;
/// How many entries are looked at, at most: a job may leave as many as its file system holds.
const MOST_ENTRIES: usize = 20_000;

/// Whether the job's file system has no room, or no file, left.
pub(crate) fn is_full(running: &Running) -> bool {
    Fill::of(running).is_some_and(|fill| fill.is_full())
}

/// Whether a regular file of just `size` bytes is anywhere in /job, /tmp or /dev/shm: there the kernel cuts a write. Only
/// an input can be larger.
pub(crate) fn has_file_of_size(running: &Running, size: u64) -> bool {
    top(running).is_some_and(|top| walk(top, &mut |found| found == Some(size), &mut |_| true))
}

/// What is left, in bytes and files, and what is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fill {
    free_bytes: u64,
    used_bytes: u64,
    free_files: u64,
}

impl Fill {
    fn of(running: &Running) -> Option<Self> {
        let stat = rustix::fs::fstatvfs(running.handed[1].as_ref()?).ok()?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Some(Self {
            free_bytes: stat.f_bfree.saturating_mul(stat.f_bsize),
            used_bytes: used.saturating_mul(stat.f_bsize),
            free_files: stat.f_ffree,
        })
    }

    fn is_full(self) -> bool {
        self.free_bytes == 0 || self.free_files == 0
    }

    /// The shortest time in which it can be full.
    fn way(self) -> Duration {
        time_to_write(self.free_bytes).min(Duration::from_nanos(self.free_files.saturating_mul(NS_PER_FILE)))
    }
}

fn time_to_write(bytes: u64) -> Duration {
    Duration::from_nanos(bytes / BYTES_PER_NS)
}

/// Looks at the file system of a running job.
#[derive(Debug)]
pub(crate) struct Gauge {
    file_size: u64,
    /// Whether it was ever seen full.
    pub(crate) full: bool,
    /// Whether a file of the job's was ever seen with the size that none may exceed.
    pub(crate) file_at_limit: bool,
    last: Option<Fill>,
    /// The most bytes in use at any look.
    most: u64,
    next: Instant,
    pause: Duration,
    eager: u32,
    /// Whether writes shall wake the supervisor before the next look.
    listening: bool,
    /// Once a bound was near: what writes are seen with, if that is to be had.
    writes: Option<Option<Writes>>,
}

impl Gauge {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            file_size: plan.limits.file_size.bytes(),
            full: false,
            file_at_limit: false,
            last: None,
            most: 0,
            next: Instant::now(),
            pause: FIRST_PAUSE,
            eager: 0,
            listening: false,
            writes: None,
        }
    }

    /// The job's command has begun.
    pub(crate) fn begin(&mut self) {
        self.next = Instant::now() + FIRST_LOOK;
    }

    /// The most that was in use at any look, now included, and the largest file that is there now.
    pub(crate) fn peaks(&self, running: &Running) -> Peaks {
        let disk = Fill::of(running).map(|fill| self.most.max(fill.used_bytes));
        let mut largest = 0;
        let mut file = |size: Option<u64>| {
            largest = largest.max(size.unwrap_or(0));
            false
        };
        let looked = top(running).map(|top| walk(top, &mut file, &mut |_| true)).is_some();
        Peaks { disk, file: looked.then_some(largest) }
    }

    /// When the next look is due.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// What becomes readable when the job has written, while that asks for a look.
    pub(crate) fn interest(&self) -> Option<BorrowedFd<'_>> {
        self.writes.as_ref()?.as_ref().filter(|_| self.listening).map(|writes| writes.events.as_fd())
    }

    /// Whether a look at every occasion is worth its microsecond.
    pub(crate) fn is_near(&self) -> bool {
        self.writes.is_some()
    }

    /// Looks, and decides about the next look. `asked` says that the job's writes asked for this one.
    pub(crate) fn look(&mut self, running: &Running, asked: bool) {
        let Some(fill) = Fill::of(running) else {
            self.next = Instant::now() + LOOK;
            return;
        };
        self.full |= fill.is_full();
        self.most = self.most.max(fill.used_bytes);
        // A file of so many bytes has as many in use; one with holes has fewer, and is seen when it is there in the end.
        let way_of_files = time_to_write(self.file_size.saturating_sub(fill.used_bytes));
        if fill.way().min(way_of_files) < NEAR && self.writes.is_none() {
            self.writes = Some(Writes::watch(running, self.file_size));
        }
        let writes = self.writes.as_mut().and_then(Option::as_mut);
        let can_listen = writes.is_some();
        let largest = writes.map_or(0, |writes| writes.take());
        self.file_at_limit |= largest == self.file_size;
        let moved = self.last.replace(fill) != Some(fill);
        let mut way = time_to_write(self.file_size.saturating_sub(largest));
        if self.file_at_limit {
            way = LOOK;
        }
        if !self.full {
            way = way.min(fill.way());
        }
        let eager = moved && can_listen && way < LAST_PAUSE && self.eager < MOST_EAGER;
        self.eager += u32::from(eager);
        let wait = match (moved, can_listen) {
            // The job is on its way: the next look is due when it can have arrived.
            (true, true) => {
                self.pause = FIRST_PAUSE;
                way.max(if eager { FIRST_PAUSE } else { LAST_PAUSE })
            }
            // A job that writes without using more shall not keep the supervisor busy.
            (false, true) if asked => {
                self.pause = (self.pause * 2).min(LAST_PAUSE);
                self.pause
            }
            (false, true) => LOOK,
            (_, false) => way.max(NEAR_UNSEEN),
        };
        self.listening = can_listen && (eager && way < FIRST_PAUSE || !moved && !asked);
        self.next = Instant::now() + wait.min(LOOK);
    }
}

/// Tells of writes to files, as inotify(7) does: of those right in the watched directories.
#[derive(Debug)]
struct Writes {
    events: OwnedFd,
    places: Vec<(i32, OwnedFd)>,
    bound: u64,
    /// The size of the largest file that was found or written to since it was last asked for, of those within the bound:
    /// only an input is larger.
    largest: u64,
}

impl Writes {
    /// Watches every directory that is there. `None` where that cannot be had: without /proc, or when this user's
    /// inotify instances are used up.
    fn watch(running: &Running, bound: u64) -> Option<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let mut writes = Self { events, places: Vec::new(), bound, largest: 0 };
        writes.add(top(running)?);
        (!writes.places.is_empty()).then_some(writes)
    }

    /// Watches `directory` and those below, and looks at what is in them by now.
    fn add(&mut self, directory: OwnedFd) {
        let Self { events, places, bound, largest } = self;
        let mut file = |size: Option<u64>| {
            note(largest, size, *bound);
            false
        };
        walk(directory, &mut file, &mut |directory| {
            let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
            let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
            if places.len() < MOST_PLACES
                && let Ok(watch) = inotify::add_watch(&*events, path, flags)
                && let Ok(directory) = rustix::io::fcntl_dupfd_cloexec(directory, 3)
            {
                places.retain(|(known, _)| *known != watch);
                places.push((watch, directory));
            }
            places.len() < MOST_PLACES
        });
    }

    /// Takes the events that wait, and watches directories that are new. Returns the largest size that was seen since
    /// the last time.
    fn take(&mut self) -> u64 {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut new = Vec::new();
        let mut reader = Reader::new(&self.events, &mut buffer);
        for _ in 0..MOST_EVENTS {
            let Ok(event) = reader.next() else { break };
            let place = self.places.iter().find(|(watch, _)| *watch == event.wd());
            let (Some((_, place)), Some(name)) = (place, event.file_name()) else { continue };
            if event.events().contains(ReadFlags::ISDIR) {
                new.extend(directory_below(place.as_fd(), name));
            } else {
                note(&mut self.largest, size_of_file(place.as_fd(), name), self.bound);
            }
        }
        for directory in new {
            self.add(directory);
        }
        std::mem::take(&mut self.largest)
    }
}

fn note(largest: &mut u64, size: Option<u64>, bound: u64) {
    *largest = size.filter(|size| *size <= bound).unwrap_or(0).max(*largest);
}

/// Visits `top` and the directories below it: `directory` with each, which returns whether to go on below it, then
/// `file` with the size of everything in it, if it is a regular file; that returns whether it was looked for. Returns
/// whether it was found.
fn walk(
    top: OwnedFd,
    file: &mut dyn FnMut(Option<u64>) -> bool,
    directory: &mut dyn FnMut(BorrowedFd<'_>) -> bool,
) -> bool {
    let (mut open, mut seen) = (vec![top], 0);
    while let Some(next) = open.pop() {
        if !directory(next.as_fd()) {
            continue;
        }
        let Ok(entries) = Dir::read_from(&next) else { continue };
        for found in entries.flatten() {
            seen += 1;
            let name = found.file_name();
            if seen > MOST_ENTRIES || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match found.file_type() {
                // Breadth costs descriptors: deep and wide trees are cut, not followed.
                FileType::Directory if open.len() < MOST_PLACES => open.extend(directory_below(next.as_fd(), name)),
                FileType::Directory => {}
                _ if file(size_of_file(next.as_fd(), name)) => return true,
                _ => {}
            }
        }
    }
    false
}

fn size_of_file(directory: BorrowedFd<'_>, name: &CStr) -> Option<u64> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    regular.then(|| u64::try_from(stat.st_size).unwrap_or(u64::MAX))
}

/// A mount's own descriptor names the place only (fsmount(2)); entries are read through another.
fn top(running: &Running) -> Option<OwnedFd> {
    directory_below(running.handed[1].as_ref()?.as_fd(), c".")
}

fn directory_below(directory: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve).ok()
}
