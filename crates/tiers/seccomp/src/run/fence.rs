//! What the tier has around a running job, for the loop that watches it: a reaper that ends every process, and looks at
//! what no kernel bounds for a tree of processes.

use super::place::Place;
use super::tree::{self, Sum};
use crate::enter;
use crate::plan::Plan;
use lazaret_init::format::Outcome;
use lazaret_launch::error::RunError;
use lazaret_launch::judge::{Measured, Seen};
use lazaret_launch::observe::Peaks;
use lazaret_launch::running::{Boundary, Running};
use lazaret_launch::shell::Shell;
use lazaret_policy::{LimitKey, Limits, Mode};
use lazaret_sys::wait::Ended;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Dir, FileType, Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// When a job is first looked at, and how long there is at most, and at least, between two looks.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LOOK: Duration = Duration::from_millis(50);
const LEAST: Duration = Duration::from_millis(2);
/// How many bytes a job can write, or touch, in a microsecond.
const BYTES_PER_US: u64 = 4000;
/// How much of the time looks may take: a job with many files is looked at less often.
const SHARE: u32 = 10;
/// How long process 1 is given to end the job: a little more than it takes for that itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the kernel is given to say that nobody is under the filter any more.
const EMPTY: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// How many entries are looked at, and how deep: each level holds a descriptor.
const MOST_ENTRIES: u64 = 200_000;
/// What a file costs beside its content: its inode, and its name.
const ENTRY: u64 = 512;
const DEEPEST: usize = 256;
/// How long there may be processes that cannot be looked into. A job's first one is such until its exec.
const HIDING: Duration = Duration::from_millis(500);

/// The fence around one job.
#[derive(Debug)]
pub(crate) struct Fence<'a> {
    limits: &'a Limits,
    mode: Mode,
    image: BorrowedFd<'a>,
    place: &'a Place,
    peak: Sum,
    /// What was in the private directory when it was looked at last.
    held: u64,
    /// The most that was in it at any look.
    most_held: u64,
    /// The largest file that was there at the last look.
    largest: u64,
    disk_full: bool,
    file_at_limit: bool,
    /// Where the private directory is, as /proc says it; `None` where open files cannot be looked at.
    looks_below: Option<PathBuf>,
    /// Since when there was a process at every look that could not be looked into.
    hides_since: Option<Instant>,
    next: Instant,
}

impl<'a> Fence<'a> {
    /// `open_files` says whether the open files of jobs can be looked at.
    pub(crate) fn new(plan: &'a Plan, image: BorrowedFd<'a>, place: &'a Place, open_files: bool) -> Self {
        let link = format!("/proc/self/fd/{}", place.top().as_raw_fd());
        Self {
            limits: &plan.limits,
            mode: plan.mode,
            image,
            place,
            peak: Sum::default(),
            held: 0,
            most_held: 0,
            largest: 0,
            disk_full: false,
            file_at_limit: false,
            looks_below: std::fs::read_link(link).ok().filter(|_| open_files),
            hides_since: None,
            next: Instant::now(),
        }
    }

    /// Kills by the job's own id what a process 1 left that was ended by somebody else.
    fn kill_by_id(&self, running: &Running) -> Result<(), RunError> {
        if let (Mode::Root, Some(uid)) = (self.mode, &running.shell.uid) {
            let mut killer = Shell::start(self.image, None, enter::kill_all_of(uid.get()), 0)?;
            killer.reap()?;
        }
        Ok(())
    }

    /// Takes what is in the private directory: bytes, and whether a file has the size that none may exceed.
    fn look_at_files(&mut self) {
        let mut look =
            Look { bound: self.limits.disk.bytes(), file_size: self.limits.file_size.bytes(), ..Look::default() };
        for name in [c"job", c"tmp"] {
            look.directory(self.place.top(), name, 0);
        }
        self.file_at_limit |= look.file_at_limit;
        self.held = if look.is_beyond { u64::MAX } else { look.bytes };
        self.most_held = self.most_held.max(look.bytes);
        self.largest = look.largest;
    }

    /// Whether something is hidden for longer than it takes to begin.
    fn hides(&mut self, sum: &Sum) -> bool {
        let since = self.hides_since.filter(|_| sum.hides).or_else(|| sum.hides.then(Instant::now));
        self.hides_since = since;
        since.is_some_and(|since| since.elapsed() > HIDING)
    }

    fn over_memory(&self, reaper: i32, sum: &Sum) -> bool {
        let bound = self.limits.memory.bytes();
        sum.memory > bound && tree::shared_memory(reaper).is_none_or(|shared| shared > bound)
    }
}

/// One look at the private directory.
#[derive(Debug, Default)]
struct Look {
    bound: u64,
    file_size: u64,
    bytes: u64,
    entries: u64,
    /// The size of the largest file.
    largest: u64,
    file_at_limit: bool,
    /// Files of several names, which count once.
    linked: BTreeSet<u64>,
    /// There is more than the bound; or what cannot be looked at, and is taken for more.
    is_beyond: bool,
}

impl Look {
    fn directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = match rustix::fs::openat(parent, name, flags, FileMode::empty()) {
            Ok(directory) if depth <= DEEPEST => directory,
            // Gone by now, or something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            // Where the job hides what it holds, or deeper than anybody goes.
            Ok(_) | Err(_) => {
                self.is_beyond = true;
                return;
            }
        };
        let Ok(entries) = Dir::read_from(&directory) else { return };
        let mut below = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            self.entries += 1;
            let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let is_known = is_regular && stat.st_nlink > 1 && !self.linked.insert(stat.st_ino);
            let blocks = if is_known { 0 } else { u64::try_from(stat.st_blocks).unwrap_or(0) };
            self.bytes += blocks * 512 + ENTRY;
            if self.bytes > self.bound || self.entries > MOST_ENTRIES {
                // More is not needed to know.
                self.is_beyond = true;
                return;
            }
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => below.push(name.to_owned()),
                FileType::RegularFile => {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    self.largest = self.largest.max(size);
                    self.file_at_limit |= size == self.file_size;
                }
                _ => {}
            }
        }
        for name in below {
            if !self.is_beyond {
                self.directory(directory.as_fd(), &name, depth + 1);
            }
        }
    }
}

impl Boundary for Fence<'_> {
    fn begin(&mut self, _running: &Running) {
        self.next = Instant::now() + FIRST_LOOK;
    }

    fn kill(&mut self, running: &Running) {
        running.shell.end();
    }

    fn bury(&mut self, running: &mut Running) -> Result<Option<Ended>, RunError> {
        running.shell.end();
        if let Some(init) = running.shell.init_pid()
            && let Ok(process) = pidfd_open(init, PidfdFlags::empty())
        {
            let until = Instant::now() + PATIENCE;
            loop {
                let left = until.saturating_duration_since(Instant::now());
                let timeout = Timespec::try_from(left).ok();
                match poll(&mut [PollFd::new(&process, PollFlags::IN)], timeout.as_ref()) {
                    Err(Errno::INTR) if !left.is_zero() => {}
                    _ => break,
                }
            }
        }
        running.shell.kill();
        let ended = running.shell.reap()?;
        let forked = running.shell.outcome::<u32>(offset_of!(Outcome, forked)) == 1;
        let buried = running.shell.outcome::<u32>(offset_of!(Outcome, buried)) == 1;
        if forked && !buried {
            self.kill_by_id(running)?;
            // Only when nobody is under the filter any more does its listener hang up: seccomp_unotify(2).
            let empty = running.handed[3].as_ref().is_some_and(|listener| {
                let mut watched = [PollFd::new(listener, PollFlags::empty())];
                poll(&mut watched, Some(&EMPTY)).is_ok_and(|ready| ready > 0)
            });
            if !empty {
                let source = io::Error::from_raw_os_error(libc::ETIMEDOUT);
                return Err(RunError::Remains {
                    what: "its process 1 was ended, or could not end them in time",
                    source,
                });
            }
        }
        Ok(ended)
    }

    fn cpu_used(&self, running: &Running) -> Option<Duration> {
        Some(Sum::of(running.shell.init_pid()?.as_raw_nonzero().get(), None).cpu)
    }

    fn peaks(&mut self, _running: &Running) -> Peaks {
        self.look_at_files();
        Peaks { disk: Some(self.most_held), file: Some(self.largest) }
    }

    fn due(&self) -> Instant {
        self.next
    }

    fn interest(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_near(&self) -> bool {
        false
    }

    fn look(&mut self, running: &Running, _asked: bool) -> Option<LimitKey> {
        let begun = Instant::now();
        let reaper = running.shell.init_pid()?.as_raw_nonzero().get();
        let sum = Sum::of(reaper, self.looks_below.as_deref());
        self.peak.tasks = self.peak.tasks.max(sum.tasks);
        self.peak.memory = self.peak.memory.max(sum.memory);
        self.peak.cpu = self.peak.cpu.max(sum.cpu);
        self.look_at_files();
        let held = if self.hides(&sum) { u64::MAX } else { self.held.saturating_add(sum.nameless) };
        let left = self.limits.disk.bytes().saturating_sub(held);
        let room = self.limits.memory.bytes().saturating_sub(sum.memory);
        let way = Duration::from_micros(left.min(room) / BYTES_PER_US).clamp(LEAST, LOOK);
        self.next = Instant::now() + way.max(begun.elapsed() * SHARE);
        if held > self.limits.disk.bytes() {
            self.disk_full = true;
            return Some(LimitKey::Disk);
        }
        if self.over_memory(reaper, &sum) {
            return Some(LimitKey::Memory);
        }
        // The kernel's own bound counts what else this user has; one more is a fork that is under way.
        (sum.tasks > u64::from(self.limits.processes.get()) + 1).then_some(LimitKey::Processes)
    }

    fn last_look(&mut self, _running: &Running) -> Option<LimitKey> {
        self.look_at_files();
        (self.held > self.limits.disk.bytes()).then_some(LimitKey::Disk)
    }

    fn seen(&mut self, _running: &Running, failed: bool) -> Seen {
        if failed {
            self.look_at_files();
        }
        let refused = self.peak.tasks >= self.limits.processes.get().into();
        let measured = Measured {
            forks_refused: u64::from(refused),
            peak_memory: Some(self.peak.memory),
            peak_tasks: Some(self.peak.tasks),
            ..Measured::default()
        };
        Seen {
            measured,
            disk_full: self.disk_full || self.held > self.limits.disk.bytes(),
            file_at_limit: self.file_at_limit,
        }
    }
}

const _: () = assert!(PATIENCE.as_secs() > 10, "longer than process 1 takes to give up");
