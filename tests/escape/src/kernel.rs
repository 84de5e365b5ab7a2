//! What belongs to the machine: its settings, clocks, log, modules, keys, and the parts of the kernel that
//! containers are broken through.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::call::{Errno, c, sys};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("write-kernel-file", write_kernel_file),
    ("write-cgroup-files", write_cgroup_files),
    ("set-host-name", set_host_name),
    ("set-clock", set_clock),
    ("read-kernel-log", read_kernel_log),
    ("read-sensitive-proc", read_sensitive_proc),
    ("load-kernel", load_kernel),
    ("load-module", load_module),
    ("load-bpf", load_bpf),
    ("userfaultfd", userfaultfd),
    ("perf-event", perf_event),
    ("io-uring", io_uring),
    ("read-key", read_key),
    ("request-key", request_key),
    ("reboot", reboot),
    ("administer", administer),
];

/// PATH \[TEXT\]: writes TEXT to a file of /proc/sys or /sys; without TEXT what the file says already, so that the machine
/// stays as it is when a jail fails.
fn write_kernel_file(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for before in ["", "/proc/self/root"] {
        let path = format!("{before}{}", args.text(0));
        let same = fs::read(&path).unwrap_or_default();
        let text = if args.all().len() > 1 { args.text(1).as_bytes() } else { &same };
        let wrote = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(text));
        if tries.of(&path, wrote).is_some() {
            return Outcome::escaped(format!("wrote {path}"));
        }
    }
    tries.blocked()
}

/// NAME ROOTS…: makes a cgroup, and then sets a limit in those that are there.
fn write_cgroup_files(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for root in &args.all()[1..] {
        let path = format!("{root}/{}", args.text(0));
        if tries.of(&path, fs::create_dir(&path)).is_some() {
            return Outcome::escaped(format!("made {path}"));
        }
        for file in ["memory.max", "memory.limit_in_bytes", "pids.max", "release_agent", "cgroup.procs"] {
            let path = Path::new(root).join(file);
            if tries.of(path.display(), OpenOptions::new().write(true).open(&path)).is_some() {
                return Outcome::escaped(format!("opened {} for writing", path.display()));
            }
        }
    }
    tries.blocked()
}

/// NAME: renames the machine.
fn set_host_name(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let name = args.text(0);
    let set = sys!(sethostname, name.as_ptr(), name.len());
    if tries.of("sethostname", set).is_some() {
        return Outcome::escaped("set the host name");
    }
    if tries.of("setdomainname", sys!(setdomainname, name.as_ptr(), name.len())).is_some() {
        return Outcome::escaped("set the domain name");
    }
    tries.blocked()
}

/// Sets the clock: first to the tick that it has, then to the time that it shows, so that success changes nothing.
fn set_clock(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    // SAFETY: a struct timex is numbers, for which zeros are good values.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    tries.of("adjtimex", sys!(adjtimex, &raw mut timex));
    timex.modes = libc::ADJ_TICK;
    if tries.of("adjtimex", sys!(adjtimex, &raw mut timex)).is_some() {
        return Outcome::escaped("adjtimex set the tick");
    }
    if tries.of("clock_adjtime", sys!(clock_adjtime, libc::CLOCK_REALTIME, &raw mut timex)).is_some() {
        return Outcome::escaped("clock_adjtime set the tick");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let spec = [now.as_secs(), u64::from(now.subsec_nanos())];
    if tries.of("clock_settime", sys!(clock_settime, libc::CLOCK_REALTIME, spec.as_ptr())).is_some() {
        return Outcome::escaped("clock_settime set the time");
    }
    let value = [now.as_secs(), u64::from(now.subsec_micros())];
    if tries.of("settimeofday", sys!(settimeofday, value.as_ptr(), 0)).is_some() {
        return Outcome::escaped("settimeofday set the time");
    }
    tries.blocked()
}

fn read_kernel_log(_: &Arguments) -> Outcome {
    const READ_ALL: i32 = 3;
    const SIZE_BUFFER: i32 = 10;
    let mut tries = Tries::new();
    let mut text = [0_u8; 512];
    if let Some(length) = tries.of("syslog", sys!(syslog, READ_ALL, text.as_mut_ptr(), text.len())) {
        return Outcome::escaped(format!("read {length} bytes of the kernel's log"));
    }
    if tries.of("syslog", sys!(syslog, SIZE_BUFFER, 0, 0)).is_some() {
        return Outcome::escaped("asked for the size of the kernel's log");
    }
    for path in ["/dev/kmsg", "/proc/kmsg"] {
        use std::os::unix::fs::OpenOptionsExt;
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let Some(mut log) = tries.of(path, opened) else { continue };
        match std::io::Read::read(&mut log, &mut text) {
            // A masked file is there and empty.
            Ok(0) => tries.failed(path, "empty"),
            Ok(length) => return Outcome::escaped(format!("read {length} bytes of {path}")),
            Err(error) => return Outcome::escaped(format!("opened {path}: {error}")),
        }
    }
    tries.blocked()
}

/// Files of /proc that tell of the machine and of others.
fn read_sensitive_proc(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for name in [
        "kcore",
        "kmsg",
        "keys",
        "timer_list",
        "sched_debug",
        "latency_stats",
        "kpagecount",
        "kpageflags",
        "kpagecgroup",
        "sysrq-trigger",
        "slabinfo",
        "vmallocinfo",
        "1/environ",
        "1/maps",
        "1/stack",
    ] {
        let path = format!("/proc/{name}");
        let content = tries.of(&path, fs::File::open(&path)).map(|file| {
            use std::io::Read;
            let mut bytes = Vec::new();
            let read = file.take(4096).read_to_end(&mut bytes);
            read.map(|_| bytes)
        });
        match content {
            // A masked file is there and empty.
            Some(Ok(bytes)) if bytes.is_empty() => tries.failed(&path, "empty"),
            Some(Ok(bytes)) => return Outcome::escaped(format!("read {} bytes of {path}", bytes.len())),
            Some(Err(error)) => tries.failed(&path, Errno::from(error)),
            None => {}
        }
    }
    tries.blocked()
}

/// Whether the kernel looked at the arguments of a call that makes no sense: then it would have done a sensible one.
fn looked_at(tries: &mut Tries, what: &str, result: crate::call::Result) -> Option<Outcome> {
    match result {
        Ok(_) => Some(Outcome::escaped(format!("{what} succeeded"))),
        Err(errno) if !errno.is_refusal() => Some(Outcome::escaped(format!("{what} was permitted: {errno}"))),
        Err(errno) => {
            tries.failed(what, errno);
            None
        }
    }
}

/// Another kernel, of no segments and with flags that do not exist.
fn load_kernel(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let calls = [
        ("kexec_load", sys!(kexec_load, 0, 0, 0, 0x7000_0000_i64)),
        ("kexec_file_load", sys!(kexec_file_load, -1, -1, 0, 0, 0x7000_0000_i64)),
    ];
    for (name, result) in calls {
        if let Some(outcome) = looked_at(&mut tries, name, result) {
            return outcome;
        }
    }
    tries.blocked()
}

/// A module that is none.
fn load_module(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let image = b"this is no module";
    let none = c("");
    let calls = [
        ("init_module", sys!(init_module, image.as_ptr(), image.len(), none.as_ptr())),
        ("finit_module", sys!(finit_module, 0, none.as_ptr(), 0)),
        ("delete_module", sys!(delete_module, c("lazaret_escape").as_ptr(), libc::O_NONBLOCK)),
    ];
    for (name, result) in calls {
        if let Some(outcome) = looked_at(&mut tries, name, result) {
            return outcome;
        }
    }
    tries.blocked()
}

/// A map, and a program that returns 0.
fn load_bpf(_: &Arguments) -> Outcome {
    const MAP_CREATE: i32 = 0;
    const PROG_LOAD: i32 = 5;
    let mut tries = Tries::new();
    // union bpf_attr for MAP_CREATE: an array (2) of one entry, with keys of 4 bytes and values of 8.
    let mut map = [0_u32; 32];
    map[..4].copy_from_slice(&[2, 4, 8, 1]);
    if tries.of("bpf map", sys!(bpf, MAP_CREATE, map.as_ptr(), size_of_val(&map))).is_some() {
        return Outcome::escaped("made a bpf map");
    }
    // r0 = 0; exit.
    let program: [u64; 2] = [0x0000_0000_0000_00b7, 0x0000_0000_0000_0095];
    let license = c("GPL");
    // union bpf_attr for PROG_LOAD: a socket filter (1) of two instructions.
    let mut load = [0_u64; 16];
    load[0] = 1 | 2 << 32;
    load[1] = program.as_ptr().addr() as u64;
    load[2] = license.as_ptr().addr() as u64;
    if tries.of("bpf program", sys!(bpf, PROG_LOAD, load.as_ptr(), size_of_val(&load))).is_some() {
        return Outcome::escaped("loaded a bpf program");
    }
    tries.blocked()
}

fn userfaultfd(_: &Arguments) -> Outcome {
    const USER_MODE_ONLY: i32 = 1;
    let mut tries = Tries::new();
    for flags in [0, USER_MODE_ONLY] {
        if tries.of("userfaultfd", sys!(userfaultfd, flags)).is_some() {
            return Outcome::escaped("may handle its own page faults");
        }
    }
    if tries.of("/dev/userfaultfd", fs::File::open("/dev/userfaultfd")).is_some() {
        return Outcome::escaped("opened /dev/userfaultfd");
    }
    tries.blocked()
}

fn perf_event(_: &Arguments) -> Outcome {
    const SOFTWARE: u64 = 1;
    const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 0b11 << 5;
    let mut tries = Tries::new();
    // struct perf_event_attr: type and size, config (the processor clock), …, the flags in the sixth word.
    let mut attr = [0_u64; 16];
    attr[0] = SOFTWARE | (size_of_val(&attr) as u64) << 32;
    for (pid, processor, flags) in [(-1, 0, 0), (0, -1, 0), (0, -1, EXCLUDE_KERNEL_AND_HYPERVISOR)] {
        attr[5] = flags;
        if tries.of("perf_event_open", sys!(perf_event_open, attr.as_ptr(), pid, processor, -1, 0)).is_some() {
            return Outcome::escaped(format!("counts events of pid {pid} on processor {processor}"));
        }
    }
    tries.blocked()
}

fn io_uring(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut parameters = [0_u32; 30];
    if tries.of("io_uring_setup", sys!(io_uring_setup, 4, parameters.as_mut_ptr())).is_some() {
        return Outcome::escaped("has an io_uring");
    }
    tries.blocked()
}

const SESSION_KEYRING: i32 = -3;
const USER_KEYRING: i32 = -4;
const USER_SESSION_KEYRING: i32 = -5;

/// Looks for the key that the jail's caller has in its session keyring, by name and in /proc/keys.
fn read_key(_: &Arguments) -> Outcome {
    const SEARCH: i32 = 10;
    const READ: i32 = 11;
    let mut tries = Tries::new();
    let (kind, name) = (c("user"), c(KEY_NAME));
    let mut keys: Vec<i64> = Vec::new();
    for ring in [SESSION_KEYRING, USER_KEYRING, USER_SESSION_KEYRING] {
        let found = sys!(keyctl, SEARCH, ring, kind.as_ptr(), name.as_ptr(), 0);
        keys.extend(tries.of(format!("search {ring}"), found));
    }
    for line in fs::read_to_string("/proc/keys").unwrap_or_default().lines() {
        let is_it = line.contains(KEY_NAME);
        keys.extend(line.split(' ').next().filter(|_| is_it).and_then(|id| i64::from_str_radix(id, 16).ok()));
    }
    for key in keys {
        let mut text = [0_u8; 256];
        if tries.of("read", sys!(keyctl, READ, key, text.as_mut_ptr(), text.len())).is_some() {
            return Outcome::escaped(format!("the key says {}", String::from_utf8_lossy(&text)));
        }
    }
    tries.blocked()
}

/// What the key of the jail's caller is called.
const KEY_NAME: &str = "lazaret-escape-secret";

/// Gives this process a session keyring of its own, with a key in it that says `secret`. Both end with their last
/// process.
pub(crate) fn hold_key(secret: &str) -> crate::call::Result {
    const JOIN_SESSION_KEYRING: i32 = 1;
    sys!(keyctl, JOIN_SESSION_KEYRING, 0)?;
    let (kind, name) = (c("user"), c(KEY_NAME));
    sys!(add_key, kind.as_ptr(), name.as_ptr(), secret.as_ptr(), secret.len(), SESSION_KEYRING)
}

/// Asks for a key that nobody has, for which the kernel would start a program as root, outside.
fn request_key(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let (kind, name, hint) = (c("user"), c("lazaret-escape-missing"), c("hint"));
    let asked = sys!(request_key, kind.as_ptr(), name.as_ptr(), hint.as_ptr(), SESSION_KEYRING);
    match asked {
        // No such program, or it found nothing: it was asked for.
        Ok(_) => Outcome::escaped("has the key"),
        Err(errno @ Errno(libc::ENOKEY | libc::ENOENT)) => {
            Outcome::escaped(format!("started a helper outside: {errno}"))
        }
        Err(errno) => {
            tries.failed("request_key", errno);
            tries.blocked()
        }
    }
}

/// With magic numbers that are none: the permission comes first.
fn reboot(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let result = sys!(reboot, 0, 0, 0, 0);
    looked_at(&mut tries, "reboot", result).unwrap_or_else(|| tries.blocked())
}

/// Calls of an administrator, about files that do not exist.
fn administer(_: &Arguments) -> Outcome {
    const Q_GETFMT_USER: i64 = 0x80_0004 << 8;
    let mut tries = Tries::new();
    let missing = c("/nonexistent/lazaret-escape");
    let calls = [("swapon", sys!(swapon, missing.as_ptr(), 0)), ("acct", sys!(acct, missing.as_ptr()))];
    for (name, result) in calls {
        if let Some(outcome) = looked_at(&mut tries, name, result) {
            return outcome;
        }
    }
    let disk = c("/dev/vda");
    tries.of("quotactl", sys!(quotactl, Q_GETFMT_USER, disk.as_ptr(), 0, 0));
    tries.blocked()
}
