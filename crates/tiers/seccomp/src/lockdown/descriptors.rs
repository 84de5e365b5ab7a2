//! What the open descriptors are.

use lazaret_sys::socket::{self, Socket};
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::FileTypeExt;

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) number: i32,
    /// What /proc/self/fd says that it is.
    pub(crate) shown: String,
    pub(crate) is_writable: bool,
    pub(crate) kind: Kind,
}

/// What a descriptor leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file, with its size.
    File {
        size: u64,
    },
    /// A file without a name, in memory.
    Memory {
        size: u64,
    },
    /// A file of procfs, sysfs and the like: an interface of the kernel's.
    Kernel,
    /// The memory of a process, as a file of procfs.
    ProcessMemory,
    Directory,
    Pipe,
    Socket(Socket),
    Terminal,
    /// /dev/null and its like.
    Harmless,
    /// Another device.
    Device,
    IoUring,
    Namespace,
    /// Waits or counts, and has no further effect: eventfd, timerfd, signalfd.
    Counter,
    Epoll,
    Inotify,
    /// Acts on another process, on memory or on the kernel: its name.
    Powerful,
    /// Nothing that is known.
    Unknown,
}

/// Every descriptor but the one that is needed to look.
pub(crate) fn look() -> io::Result<Vec<Descriptor>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
    let own = directory.as_raw_fd();
    let mut found = Vec::new();
    // It owns the descriptor, and needs no second.
    for entry in rustix::fs::Dir::new(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(number) = name.parse::<i32>() else { continue };
        if number != own {
            found.extend(descriptor(number));
        }
    }
    found.sort_by_key(|descriptor| descriptor.number);
    Ok(found)
}

/// `None` when it was closed meanwhile.
fn descriptor(number: i32) -> Option<Descriptor> {
    let path = format!("/proc/self/fd/{number}");
    let shown = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
    let information = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    let flags = information.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    // What cannot be told is taken for writable.
    let is_writable = flags.is_none_or(|flags| flags.cast_signed() & libc::O_ACCMODE != libc::O_RDONLY);
    let is_path = flags.is_some_and(|flags| flags.cast_signed() & libc::O_PATH != 0);
    Some(Descriptor { number, kind: kind(number, &path, &shown), shown, is_writable: is_writable && !is_path })
}

fn kind(number: i32, path: &str, shown: &str) -> Kind {
    if let Some(name) = shown.strip_prefix("anon_inode:") {
        return anonymous(name.trim_matches(['[', ']']));
    }
    if shown.starts_with("pidfd:") {
        return Kind::Powerful;
    }
    let Ok(metadata) = fs::metadata(path) else { return Kind::Unknown };
    let kind = metadata.file_type();
    let system = rustix::fs::statfs(path).map(|system| system.f_type.cast_unsigned()).unwrap_or_default();
    if system == NSFS {
        Kind::Namespace
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_fifo() {
        Kind::Pipe
    } else if kind.is_socket() {
        socket::look(number).map_or(Kind::Unknown, Kind::Socket)
    } else if kind.is_char_device() {
        character_device(metadata.st_rdev())
    } else if kind.is_block_device() {
        Kind::Device
    } else if system == PIDFS {
        Kind::Powerful
    } else if system == PROC && shown.ends_with("/mem") {
        Kind::ProcessMemory
    } else if KERNEL_SYSTEMS.contains(&system) {
        Kind::Kernel
    } else if shown.starts_with("/memfd:") || shown.starts_with("/secretmem") {
        Kind::Memory { size: metadata.st_size() }
    } else {
        Kind::File { size: metadata.st_size() }
    }
}

/// File systems by their magic numbers: statfs(2), include/uapi/linux/magic.h.
const NSFS: u64 = 0x6e73_6673;
const PIDFS: u64 = 0x5049_4446;
const PROC: u64 = 0x9fa0;
/// proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, selinuxfs, bpf, configfs, efivarfs, binfmt_misc.
const KERNEL_SYSTEMS: [u64; 12] = [
    PROC,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xf97c_ff8c,
    0xcafe_4a11,
    0x6265_6570,
    0xde5e_81e4,
    0x4249_4e4d,
];

fn anonymous(name: &str) -> Kind {
    match name {
        "io_uring" => Kind::IoUring,
        "eventfd" | "timerfd" | "signalfd" => Kind::Counter,
        "eventpoll" => Kind::Epoll,
        "inotify" => Kind::Inotify,
        "pidfd" | "userfaultfd" | "perf_event" | "fanotify" | "seccomp notify" | "landlock-ruleset" | "fscontext"
        | "bpf-map" | "bpf-prog" | "bpf-link" | "bpf_link" | "btf" => Kind::Powerful,
        name if name.starts_with("kvm") || name.starts_with("bpf") || name.starts_with("vfio") => Kind::Powerful,
        _ => Kind::Unknown,
    }
}

fn character_device(device: u64) -> Kind {
    match (libc::major(device), libc::minor(device)) {
        // null, zero, full, random, urandom: mem(4), full(4), random(4).
        (1, 3 | 5 | 7 | 8 | 9) => Kind::Harmless,
        // Consoles, serial lines, pseudo-terminals: Documentation/admin-guide/devices.txt.
        (4 | 5 | 136..=143 | 204 | 229, _) => Kind::Terminal,
        _ => Kind::Device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    fn kind_of(descriptor: &impl AsFd) -> Kind {
        let number = descriptor.as_fd().as_raw_fd();
        let all = look().expect("a /proc");
        all.into_iter().find(|other| other.number == number).expect("an open descriptor").kind
    }

    #[test]
    fn descriptors_are_told_apart() {
        let null = File::open("/dev/null").expect("a device");
        let directory = File::open("/").expect("a directory");
        let memory = File::open("/proc/self/mem").expect("an own file");
        let status = File::open("/proc/self/status").expect("an own file");
        let program = File::open("/proc/self/exe").expect("an own file");
        let namespace = File::open("/proc/self/ns/net").expect("an own file");
        let (left, _right) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).expect("an instance");

        assert_eq!(kind_of(&null), Kind::Harmless);
        assert_eq!(kind_of(&directory), Kind::Directory);
        assert_eq!(kind_of(&memory), Kind::ProcessMemory);
        assert_eq!(kind_of(&status), Kind::Kernel);
        assert!(matches!(kind_of(&program), Kind::File { size } if size > 0));
        assert_eq!(kind_of(&namespace), Kind::Namespace);
        assert!(matches!(kind_of(&left), Kind::Socket(Socket { family: 1, is_connected: true, listens: false })));
        assert_eq!(kind_of(&epoll), Kind::Epoll);
    }
}
