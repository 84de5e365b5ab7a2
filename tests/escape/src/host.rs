//! What tells of the host, and what is shared with it beside files: names, times, memory; and with other jobs.

use std::fs;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::call::{c, ignore, sys};
use crate::child;
use crate::files;
use crate::outcome::{Arguments, Named, Outcome, Tries};
use crate::sockets;

pub(crate) const PROBES: &[Named] = &[
    ("host-name", host_name),
    ("host-uptime", host_uptime),
    ("host-ipc", host_ipc),
    ("host-shared-memory", host_shared_memory),
    ("host-ports", host_ports),
    ("leave-behind", leave_behind),
    ("find-left-behind", find_left_behind),
    ("output-link", output_link),
    ("output-pipe", output_pipe),
    ("output-socket", output_socket),
    ("output-race", output_race),
    ("output-hard-link", output_hard_link),
];

/// NAME: what the host is called.
fn host_name(args: &Arguments) -> Outcome {
    let mut name = [0_u8; 256];
    // SAFETY: a buffer of that size.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
    if name == args.text(0) {
        return Outcome::escaped(format!("the host is called {name}"));
    }
    Outcome::Blocked(format!("is called {name}"))
}

/// SECONDS: how long the host has been up.
fn host_uptime(args: &Arguments) -> Outcome {
    let theirs: f64 = args.number(0);
    let mut seen = Vec::new();
    let mut info = std::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: a writable struct sysinfo.
    unsafe { libc::sysinfo(info.as_mut_ptr()) };
    // SAFETY: numbers, for which the zeros that it has otherwise are good values.
    seen.push(("sysinfo", unsafe { info.assume_init() }.uptime as f64));
    for (name, clock) in [("boottime", libc::CLOCK_BOOTTIME), ("monotonic", libc::CLOCK_MONOTONIC)] {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a writable struct timespec.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        seen.push((name, time.tv_sec as f64));
    }
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    seen.extend(text.split(' ').next().and_then(|first| first.parse().ok()).map(|value| ("/proc/uptime", value)));
    match seen.iter().find(|(_, value)| *value > 0.0 && (value - theirs).abs() < 30.0) {
        Some((name, value)) => Outcome::escaped(format!("{name} says {value} seconds")),
        None => Outcome::Blocked(format!("saw {seen:?}")),
    }
}

/// ID: a System V segment of the host.
fn host_ipc(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    match tries.of("shmat", sys!(shmat, args.number::<i32>(0), 0, libc::SHM_RDONLY)) {
        Some(address) => {
            let start = address as *const std::ffi::c_char;
            // SAFETY: the process outside wrote text with a NUL into it.
            let text = unsafe { std::ffi::CStr::from_ptr(start) };
            Outcome::escaped(format!("the segment says {}", text.to_string_lossy()))
        }
        None => tries.blocked(),
    }
}

/// NAME: a file in the host's /dev/shm.
fn host_shared_memory(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let path = format!("/dev/shm/{}", args.text(0));
    match tries.of(&path, fs::read_to_string(&path)) {
        Some(text) => Outcome::escaped(format!("{path} says {text}")),
        None => tries.blocked(),
    }
}

/// PORT: whether the host's open ports are to be read.
fn host_ports(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let wanted = format!(":{:04X} ", args.number::<u16>(0));
    for path in ["/proc/net/tcp", "/proc/self/net/tcp", "/proc/1/net/tcp", "/proc/thread-self/net/tcp"] {
        let text = tries.of(path, fs::read_to_string(path)).unwrap_or_default();
        if text.contains(&wanted) {
            return Outcome::escaped(format!("{path} shows port {wanted}"));
        }
    }
    tries.blocked()
}

/// Where a job may be able to leave a file.
const PLACES: [&str; 6] = ["/tmp", "/dev/shm", "/job", "/run", "/dev", "/opt/lazaret-escape"];

/// NAME SECRET \[MILLISECONDS\]: leaves the secret wherever something may outlive a job, and stays for a while.
fn leave_behind(args: &Arguments) -> Outcome {
    let (name, secret) = (args.text(0), args.text(1));
    let mut left = Vec::new();
    for directory in PLACES {
        left.extend(fs::write(format!("{directory}/{name}"), secret).map(|()| directory));
    }
    let segment = sys!(shmget, key(name), 4096, libc::IPC_CREAT | 0o666);
    if let Ok(address) = segment.and_then(|id| sys!(shmat, id, 0, 0)) {
        // SAFETY: a segment of 4096 bytes, and a secret that is much shorter; the rest is zeros.
        unsafe { std::ptr::copy_nonoverlapping(secret.as_ptr(), address as *mut u8, secret.len()) };
        left.push("System V");
    }
    let socket = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
    let lingering: u64 = args.number(2);
    let socket = socket.and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).ok();
    left.extend(socket.as_ref().map(|_| "abstract socket"));
    for _ in 0..lingering / 10 {
        if let Some(Ok((mut peer, _))) = socket.as_ref().map(UnixListener::accept) {
            ignore(peer.write_all(secret.as_bytes()));
        }
        child::nap(10);
    }
    Outcome::Blocked(format!("or not; left it in: {}", left.join(", ")))
}

fn key(name: &str) -> i32 {
    name.bytes().fold(0x4c5a, |key: i32, byte| key.wrapping_mul(31).wrapping_add(byte.into())) | 1
}

/// NAME: looks wherever `leave-behind` leaves. It gives up at the first find, and takes away System V memory.
fn find_left_behind(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let name = args.text(0);
    for directory in PLACES {
        let path = format!("{directory}/{name}");
        if let Some(text) = tries.of(&path, fs::read_to_string(&path)) {
            return Outcome::escaped(format!("{path} says {text}"));
        }
    }
    let segment = sys!(shmget, key(name), 4096, 0);
    if let Some(address) = tries.of("System V", segment.and_then(|id| sys!(shmat, id, 0, libc::SHM_RDONLY))) {
        // SAFETY: `leave-behind` left zeros after its text.
        let text = unsafe { std::ffi::CStr::from_ptr(address as *const _) };
        return Outcome::escaped(format!("a segment says {}", text.to_string_lossy()));
    }
    let mut text = String::new();
    let read = sockets::connect_abstract(name).and_then(|mut peer| std::io::Read::read_to_string(&mut peer, &mut text));
    if tries.of("abstract socket", read).is_some() {
        return Outcome::escaped(format!("an abstract socket says {text}"));
    }
    let mut seen = 0;
    for root in ["/tmp", "/job", "/dev", "/run", "/home", "/var"] {
        if let Some(path) = files::find(root.as_ref(), name, 2, &mut seen) {
            return Outcome::escaped(format!("{path} is there"));
        }
    }
    tries.blocked()
}

/// PATH: an output that is a link to a file outside.
fn output_link(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    tries.of("symlink", std::os::unix::fs::symlink(args.text(0), "out"));
    done(&tries.blocked())
}

/// The job ends well, so that its outputs are taken.
fn done(_: &Outcome) -> Outcome {
    child::leave(0)
}

/// An output that would let its reader wait for ever.
fn output_pipe(_: &Arguments) -> Outcome {
    // SAFETY: a path and a mode.
    unsafe { libc::mkfifo(c("out").as_ptr(), 0o666) };
    child::leave(0)
}

fn output_socket(_: &Arguments) -> Outcome {
    ignore(UnixListener::bind("out"));
    child::leave(0)
}

/// PATH: an output that a process left behind turns into a link and back, as fast as it can.
fn output_race(args: &Arguments) -> Outcome {
    ignore(fs::write("plain", "harmless"));
    ignore(std::os::unix::fs::symlink(args.text(0), "link"));
    ignore(fs::hard_link("plain", "out"));
    let flip = child::fork(|| {
        let start = std::time::Instant::now();
        while start.elapsed().as_secs() < 5 {
            // Renames are atomic, so that the name is always there.
            ignore(std::os::unix::fs::symlink(args.text(0), "next"));
            ignore(fs::rename("next", "out"));
            ignore(fs::hard_link("plain", "next"));
            ignore(fs::rename("next", "out"));
            // Readers have to come in between.
            std::thread::yield_now();
        }
        0
    });
    child::nap(50);
    child::leave(i32::from(flip.is_err()))
}

/// PATH: an output that is another name of a file outside, or of one that the jail shows.
fn output_hard_link(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for path in [args.text(0), "/usr/bin/id", "/etc/passwd", "/opt/lazaret-escape/attack"] {
        if tries.of(path, fs::hard_link(path, "out")).is_some() {
            child::leave(0);
        }
    }
    tries.blocked()
}
