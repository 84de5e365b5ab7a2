//! Bombs. Each takes four times what its limit gives and then stops: enough to see that nothing bounds it, and little
//! enough to be shown outside a jail. What they write they leave: the jail is thrown away, and outside the stage is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::call::{Errno, Result, c, ignore, sys};
use crate::child::{self, Child};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("fork-bomb", fork_bomb),
    ("fork-storm", fork_storm),
    ("thread-bomb", thread_bomb),
    ("zombie-farm", zombie_farm),
    ("memory-bomb", memory_bomb),
    ("memory-of-many", memory_of_many),
    ("shared-memory-bomb", shared_memory_bomb),
    ("memory-file-bomb", memory_file_bomb),
    ("pipe-bomb", pipe_bomb),
    ("socket-bomb", socket_bomb),
    ("disk-bomb", disk_bomb),
    ("file-bomb", file_bomb),
    ("sparse-bomb", sparse_bomb),
    ("inode-bomb", inode_bomb),
    ("descriptor-bomb", descriptor_bomb),
    ("output-bomb", output_bomb),
    ("processor-bomb", processor_bomb),
    ("processors-of-many", processors_of_many),
];

const MIB: usize = 1 << 20;
/// How many times its limit a bomb takes.
const TIMES: u64 = 4;

/// LIMIT: children that sleep.
fn fork_bomb(args: &Arguments) -> Outcome {
    crowd(args.number(0), || {
        child::nap(20_000);
        0
    })
}

/// LIMIT: children that end and are not waited for.
fn zombie_farm(args: &Arguments) -> Outcome {
    crowd(args.number(0), || 0)
}

fn crowd(limit: u64, life: impl Fn() -> i32) -> Outcome {
    let mut tries = Tries::new();
    let mut children: Vec<Child> = Vec::new();
    while (children.len() as u64) < TIMES * limit {
        match tries.of(format!("fork after {}", children.len()), child::fork(&life)) {
            Some(child) => children.push(child),
            None => break,
        }
    }
    let made = children.len() as u64;
    children.into_iter().for_each(Child::end);
    if made > limit {
        Outcome::escaped(format!("had {made} children, where {limit} are the limit"))
    } else {
        tries.blocked()
    }
}

/// LIMIT: every process forks without end, until all together are too many.
fn fork_storm(args: &Arguments) -> Outcome {
    let most = TIMES * args.number::<u64>(0);
    let Ok(counter) = shared_page() else { return Outcome::Blocked("no shared page".to_owned()) };
    let started = Instant::now();
    while counter.load(Ordering::Relaxed) < most && started.elapsed() < Duration::from_secs(3) {
        // In the child the loop goes on: that is what makes it a storm.
        // SAFETY: one thread.
        if unsafe { libc::fork() } == 0 {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    let made = counter.load(Ordering::Relaxed);
    if started.elapsed() < Duration::from_secs(3) && made >= most {
        // All are alive now, for each lives on for a while.
        child::nap(1000);
        return Outcome::escaped(format!("were {made} processes"));
    }
    child::nap(500);
    Outcome::Blocked(format!("fork: EAGAIN after {made}"))
}

fn shared_page() -> Result<&'static AtomicU64> {
    let name = format!("shared-{}", std::process::id());
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&name).map_err(Errno::from)?;
    ignore(fs::remove_file(&name));
    file.set_len(4096).map_err(Errno::from)?;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, both, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if page == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: a page of zeros, aligned, never unmapped.
    Ok(unsafe { &*page.cast::<AtomicU64>() })
}

/// LIMIT: threads that sleep.
fn thread_bomb(args: &Arguments) -> Outcome {
    let limit: u64 = args.number(0);
    let mut tries = Tries::new();
    let mut made = 0;
    while made < TIMES * limit {
        let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(|| child::nap(20_000));
        if tries.of(format!("thread after {made}"), thread).is_none() {
            break;
        }
        made += 1;
    }
    if made > limit {
        Outcome::escaped(format!("had {made} threads, where {limit} are the limit"))
    } else {
        tries.blocked()
    }
}

/// Maps memory and touches every page of it.
fn touch(size: usize, sharing: i32) -> Result<()> {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, sharing | libc::MAP_ANONYMOUS, -1, 0)
    };
    if start == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    for offset in (0..size).step_by(4096) {
        let page = start.cast::<u8>().wrapping_add(offset);
        // SAFETY: within the mapping.
        unsafe { page.write_volatile(1) };
    }
    Ok(())
}

/// Takes MiB after MiB by `take`; escaped when it has several times the limit.
fn grow(limit: u64, mut take: impl FnMut(u64) -> Result<()>) -> Outcome {
    let mut tries = Tries::new();
    for held in 0..TIMES * limit {
        if tries.of(format!("after {held} MiB"), take(held)).is_none() {
            // Twice the limit is more than any slack of accounting.
            let over = held > 2 * limit;
            return if over { Outcome::escaped(format!("held {held} MiB")) } else { tries.blocked() };
        }
    }
    Outcome::escaped(format!("held {} MiB, where {limit} are the limit", TIMES * limit))
}

/// LIMIT in MiB: memory of its own.
fn memory_bomb(args: &Arguments) -> Outcome {
    grow(args.number(0), |_| touch(MIB, libc::MAP_PRIVATE))
}

/// LIMIT in MiB: processes each of which stays below it.
fn memory_of_many(args: &Arguments) -> Outcome {
    let limit: u64 = args.number(0);
    let Ok(held) = shared_page() else { return Outcome::Blocked("no shared page".to_owned()) };
    let each = limit / 2;
    let mut children = Vec::new();
    for _ in 0..TIMES * 2 {
        let made = child::fork(|| {
            for _ in 0..each {
                if touch(MIB, libc::MAP_PRIVATE).is_err() {
                    return 1;
                }
                held.fetch_add(1, Ordering::Relaxed);
            }
            child::nap(20_000);
            0
        });
        children.extend(made);
    }
    let start = Instant::now();
    let alive = |child: &Child| matches!(child.wait_for(Duration::ZERO), Ok(None));
    while held.load(Ordering::Relaxed) < TIMES * limit && start.elapsed() < Duration::from_secs(4) {
        child::nap(10);
    }
    let living = children.iter().filter(|child| alive(child)).count() as u64;
    children.into_iter().for_each(Child::end);
    if living * each > 2 * limit {
        return Outcome::escaped(format!("{living} processes held {each} MiB each"));
    }
    Outcome::Blocked(format!("{living} processes were left, of {each} MiB each"))
}

/// LIMIT in MiB: shared memory, anonymous and of System V.
fn shared_memory_bomb(args: &Arguments) -> Outcome {
    grow(args.number(0), |held| {
        // Where System V is refused, the anonymous kind is left.
        let segment = if held % 2 == 0 { segment() } else { Err(Errno(libc::EAGAIN)) };
        segment.or_else(|_| touch(MIB, libc::MAP_SHARED))
    })
}

/// A segment of 1 MiB that ends with its last user.
fn segment() -> Result<()> {
    let id = sys!(shmget, libc::IPC_PRIVATE, MIB, 0o600)?;
    let address = sys!(shmat, id, 0, 0);
    sys!(shmctl, id, libc::IPC_RMID, 0)?;
    let start = address? as *mut u8;
    for offset in (0..MIB).step_by(4096) {
        let page = start.wrapping_add(offset);
        // SAFETY: within the segment, which stays attached.
        unsafe { page.write_volatile(1) };
    }
    Ok(())
}

/// LIMIT in MiB: files that are only in memory.
fn memory_file_bomb(args: &Arguments) -> Outcome {
    let mut files = Vec::new();
    grow(args.number(0), |_| {
        let mut file = File::from(owned(sys!(memfd_create, c("bomb").as_ptr(), 0)?));
        file.write_all(&vec![1; MIB])?;
        files.push(file);
        Ok(())
    })
}

fn owned(descriptor: i64) -> OwnedFd {
    // SAFETY: a descriptor that was just made and has no other owner.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor).unwrap_or(-1)) }
}

/// LIMIT in MiB: full pipes. The kernel makes a user's later pipes small, so that these are many.
fn pipe_bomb(args: &Arguments) -> Outcome {
    let mut pipes = Vec::new();
    spread(args.number(0), &mut |_| {
        let (reader, mut writer) = io::pipe()?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
        // SAFETY: numbers only. It is a wish.
        unsafe { libc::fcntl(number, libc::F_SETPIPE_SZ, MIB) };
        // SAFETY: numbers only.
        unsafe { libc::fcntl(number, libc::F_SETFL, libc::O_NONBLOCK) };
        let block = [1; 4096];
        let mut full = 0;
        while let Ok(wrote) = writer.write(&block) {
            full += wrote;
        }
        pipes.push((reader, writer));
        Ok(full)
    })
}

/// LIMIT in MiB: sockets with full buffers.
fn socket_bomb(args: &Arguments) -> Outcome {
    let mut sockets = Vec::new();
    spread(args.number(0), &mut |_| {
        let (reader, mut writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        let block = [1; 65536];
        let mut full = 0;
        while let Ok(wrote) = writer.write(&block) {
            full += wrote;
        }
        sockets.push((reader, writer));
        Ok(full)
    })
}

/// Fills buffers of the kernel from several processes, since each process has few descriptors.
fn spread(limit: u64, fill: &mut dyn FnMut(u64) -> Result<usize>) -> Outcome {
    let Ok(held) = shared_page() else { return Outcome::Blocked("no shared page".to_owned()) };
    let most = TIMES * limit * MIB as u64;
    let mut tries = Tries::new();
    let mut children = Vec::new();
    for number in 0..12 {
        let made = child::fork(|| {
            while held.load(Ordering::Relaxed) < most {
                match fill(number) {
                    Ok(full) => held.fetch_add(full as u64, Ordering::Relaxed),
                    Err(_) => break,
                };
            }
            child::nap(20_000);
            0
        });
        children.extend(tries.of("fork", made));
        let start = Instant::now();
        let mut before = u64::MAX;
        while before != held.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(2) {
            before = held.load(Ordering::Relaxed);
            child::nap(50);
        }
    }
    let all = held.load(Ordering::Relaxed);
    let killed = children.iter().filter(|child| !matches!(child.wait_for(Duration::ZERO), Ok(None))).count();
    children.into_iter().for_each(Child::end);
    if killed == 0 && all >= most / 2 {
        return Outcome::escaped(format!("the kernel held {} MiB, where {limit} are the limit", all >> 20));
    }
    Outcome::Blocked(format!("{} MiB; {killed} processes were killed", all >> 20))
}

/// LIMIT in MiB, DIRECTORY: files of 1 MiB each.
fn disk_bomb(args: &Arguments) -> Outcome {
    let directory = args.text(1);
    grow(args.number(0), |held| Ok(fs::write(format!("{directory}/bomb-{held}"), vec![1; MIB])?))
}

/// LIMIT in MiB, DIRECTORY: one file.
fn file_bomb(args: &Arguments) -> Outcome {
    let name = format!("{}/bomb", args.text(1));
    match File::create(&name) {
        Ok(mut file) => grow(args.number(0), |_| Ok(file.write_all(&vec![1; MIB])?)),
        Err(error) => Outcome::Blocked(Errno::from(error).to_string()),
    }
}

/// DIRECTORY: a file that says it has a tebibyte.
fn sparse_bomb(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let name = format!("{}/sparse", args.text(0));
    let grown = File::create(&name).and_then(|file| file.set_len(1 << 40));
    match tries.of("ftruncate", grown) {
        Some(()) => Outcome::escaped("a file has a tebibyte"),
        None => tries.blocked(),
    }
}

/// NUMBER DIRECTORY: empty files.
fn inode_bomb(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let most: u64 = args.number(0);
    let directory = format!("{}/inodes", args.text(1));
    tries.of("mkdir", fs::create_dir(&directory));
    let mut made = 0;
    while made < most {
        if tries.of(format!("file {made}"), File::create(Path::new(&directory).join(made.to_string()))).is_none() {
            break;
        }
        made += 1;
    }
    if made >= most { Outcome::escaped(format!("made {made} files")) } else { tries.blocked() }
}

/// LIMIT: descriptors of one process.
fn descriptor_bomb(args: &Arguments) -> Outcome {
    let limit: u64 = args.number(0);
    let mut tries = Tries::new();
    let mut open = Vec::new();
    while (open.len() as u64) < TIMES * limit {
        match tries.of(format!("open after {}", open.len()), File::open("/dev/null")) {
            Some(file) => open.push(file),
            None => break,
        }
    }
    let held = open.len() as u64;
    drop(open);
    if held > limit { Outcome::escaped(format!("had {held} descriptors")) } else { tries.blocked() }
}

/// LIMIT in MiB: standard output.
fn output_bomb(args: &Arguments) -> Outcome {
    let limit: u64 = args.number(0);
    let mut line = vec![b'x'; MIB - 1];
    line.push(b'\n');
    let mut tries = Tries::new();
    for written in 0..TIMES * limit {
        if tries.of(format!("after {written} MiB"), io::stdout().write_all(&line)).is_none() {
            return tries.blocked();
        }
    }
    Outcome::escaped(format!("wrote {} MiB", TIMES * limit))
}

/// Uses `most` of processor time.
fn spin(most: Duration) {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    while Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32) < most {
        (0..10_000).for_each(|_| std::hint::spin_loop());
        // SAFETY: a writable struct timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) };
    }
}

/// MILLISECONDS: computes, and does not mind being told to stop.
fn processor_bomb(args: &Arguments) -> Outcome {
    // SAFETY: a signal is ignored; no handler.
    unsafe { libc::signal(libc::SIGXCPU, libc::SIG_IGN) };
    let most = Duration::from_millis(TIMES * args.number::<u64>(0));
    spin(most);
    Outcome::escaped(format!("computed for {most:?}"))
}

/// MILLISECONDS: children one after the other, each of which stays below the limit.
fn processors_of_many(args: &Arguments) -> Outcome {
    let each = Duration::from_millis(args.number::<u64>(0) / 4);
    for _ in 0..TIMES * 6 {
        ignore(child::in_a_child(|| {
            spin(each);
            0
        }));
    }
    Outcome::escaped("children computed, each a little")
}
