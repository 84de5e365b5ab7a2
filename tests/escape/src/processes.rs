//! Processes outside the jail, and those that hold it: pid 1 and the supervisor.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use crate::call::{Errno, Result, ignore, sys};
use crate::child;
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("see-processes", see_processes),
    ("read-environment", read_environment),
    ("signal-process", signal_process),
    ("signal-supervisor", signal_supervisor),
    ("signal-everything", signal_everything),
    ("trace-process", trace_process),
    ("read-memory", read_memory),
    ("write-memory", write_memory),
    ("write-proc-mem", write_proc_mem),
    ("take-descriptor", take_descriptor),
    ("open-proc-fd", open_proc_fd),
    ("open-proc-root", open_proc_root),
    ("limit-process", limit_process),
];

/// What an attack writes into the process outside: its address, and this in its place.
const POKE: u64 = 0x6561_7365_6420_6f77;

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// PID: a process outside; looks at it and at all others for a command line that is not ours.
fn see_processes(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let own = fs::read("/proc/self/cmdline").unwrap_or_default();
    let mut seen = pids();
    seen.push(args.number(0));
    for pid in seen {
        let path = format!("/proc/{pid}/cmdline");
        let line = tries.of(&path, fs::read(&path)).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("attack outside") && line.as_bytes() != own {
            return Outcome::escaped(format!("sees process {pid}: {line}"));
        }
    }
    tries.blocked()
}

/// PID: looks in every environment that can be read for what the caller of the jail has in its own.
fn read_environment(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let own = std::env::vars().find(|(name, _)| name == "ESCAPE_SECRET");
    if let Some((name, value)) = own {
        return Outcome::escaped(format!("inherited {name}={value}"));
    }
    for pid in pids().into_iter().chain([1, args.number(0)]) {
        let path = format!("/proc/{pid}/environ");
        let text = tries.of(&path, fs::read(&path)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\0', "\n");
        if let Some(line) = text.lines().find(|line| line.starts_with("ESCAPE_SECRET=")) {
            return Outcome::escaped(format!("process {pid} has {line}"));
        }
    }
    tries.blocked()
}

/// PID: a process outside, to be killed.
fn signal_process(args: &Arguments) -> Outcome {
    let pid: i32 = args.number(0);
    let mut tries = Tries::new();
    // Its number may be that of a process of ours here. To kill that is no escape: the outside is asked.
    let mut done = Vec::new();
    done.extend(tries.of("pidfd", pidfd_signal(pid)).map(|_| "pidfd_send_signal"));
    done.extend(tries.of("tgkill", sys!(tgkill, pid, pid, libc::SIGKILL)).map(|_| "tgkill"));
    let mut info = [0_u32; 32];
    info[0] = libc::SIGKILL.cast_unsigned();
    info[2] = (-1_i32).cast_unsigned();
    done.extend(tries.of("sigqueue", sys!(rt_sigqueueinfo, pid, libc::SIGKILL, info.as_ptr())).map(|_| "sigqueue"));
    done.extend(tries.of("kill", sys!(kill, pid, libc::SIGKILL)).map(|_| "kill"));
    done.extend(tries.of("kill a group", sys!(kill, -pid, libc::SIGKILL)).map(|_| "kill a group"));
    if done.is_empty() { tries.blocked() } else { Outcome::escaped(format!("signalled {pid} by {}", done.join(", "))) }
}

fn pidfd_signal(pid: i32) -> Result {
    let descriptor = sys!(pidfd_open, pid, 0)?;
    let sent = sys!(pidfd_send_signal, descriptor, libc::SIGKILL, 0, 0);
    sys!(close, descriptor)?;
    sent
}

/// `init`, or nothing: signals its parent, and pid 1 when told so, with all signals that end or stop. It goes on as if
/// nothing had been.
fn signal_supervisor(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    // SAFETY: no arguments.
    let parent = unsafe { libc::getppid() };
    let init = (args.text(0) == "init").then_some(1);
    if init.is_some() && !in_own_pid_namespace() {
        return Outcome::escaped("there is no pid namespace of its own");
    }
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGSEGV, libc::SIGSTOP, libc::SIGKILL] {
        for pid in [parent].into_iter().filter(|pid| *pid > 1).chain(init) {
            tries.of(format!("kill {pid}"), sys!(kill, pid, number));
        }
    }
    child::nap(200);
    Outcome::judged_outside()
}

/// Kills every process that can be seen, and lives on.
fn signal_everything(args: &Arguments) -> Outcome {
    if args.text(0) != "anyway" && !in_own_pid_namespace() {
        return Outcome::escaped("there is no pid namespace of its own");
    }
    let mut tries = Tries::new();
    tries.of("kill -1", sys!(kill, -1, libc::SIGKILL));
    child::nap(100);
    Outcome::judged_outside()
}

/// Whether our number is as small as those in a fresh pid namespace are. Probes that signal everything make sure of it
/// first, so that a jail that has failed does not cost the machine.
pub(crate) fn in_own_pid_namespace() -> bool {
    std::process::id() < 100
}

/// The process outside that the first argument names, and the jail's pid 1: never that of the machine.
fn targets(args: &Arguments) -> Vec<i32> {
    let init = in_own_pid_namespace().then_some(1);
    [args.number(0)].into_iter().chain(init).collect()
}

/// PID ADDRESS: attaches to the process outside and writes to its memory; and to pid 1.
fn trace_process(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let address: u64 = args.number(1);
    for pid in targets(args) {
        for request in [libc::PTRACE_SEIZE, libc::PTRACE_ATTACH] {
            if tries.of(format!("ptrace {request:#x} {pid}"), sys!(ptrace, request, pid, 0, 0)).is_none() {
                continue;
            }
            let poked = interrupt(pid).and_then(|()| sys!(ptrace, libc::PTRACE_POKEDATA, pid, address, POKE));
            // Ends with our own end in any case.
            ignore(sys!(ptrace, libc::PTRACE_DETACH, pid, 0, 0));
            return Outcome::escaped(format!("traced {pid}; write: {}", said(poked)));
        }
    }
    tries.blocked()
}

fn interrupt(pid: i32) -> Result<()> {
    // An attached process stops by itself, and then there is nothing to interrupt.
    ignore(sys!(ptrace, libc::PTRACE_INTERRUPT, pid, 0, 0));
    child::Child(pid).wait_for(std::time::Duration::from_secs(2)).map(|_| ())
}

fn said(result: Result) -> String {
    result.map_or_else(|errno| errno.to_string(), |value| format!("gave {value}"))
}

/// PID ADDRESS: reads memory of the process outside by process_vm_readv, and tries pid 1.
fn read_memory(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut bytes = [0_u8; 64];
    let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let there = libc::iovec { iov_base: args.number::<usize>(1) as *mut _, iov_len: bytes.len() };
    for pid in targets(args) {
        let read = sys!(process_vm_readv, pid, &raw const here, 1, &raw const there, 1, 0);
        match read {
            Ok(_) => {
                return Outcome::escaped(format!("memory of {pid} has {}", String::from_utf8_lossy(&bytes)));
            }
            // The address means nothing there, but it was looked for.
            Err(Errno(libc::EFAULT)) => return Outcome::escaped(format!("may read the memory of {pid}")),
            Err(errno) => tries.failed(format!("process_vm_readv {pid}"), errno),
        }
    }
    tries.blocked()
}

/// PID ADDRESS: writes memory of the process outside by process_vm_writev, and tries pid 1.
fn write_memory(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let mut word = POKE;
    let here = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
    let there = libc::iovec { iov_base: args.number::<usize>(1) as *mut _, iov_len: 8 };
    for pid in targets(args) {
        match sys!(process_vm_writev, pid, &raw const here, 1, &raw const there, 1, 0) {
            Ok(_) => return Outcome::escaped(format!("wrote memory of {pid}")),
            Err(Errno(libc::EFAULT)) => return Outcome::escaped(format!("may write the memory of {pid}")),
            Err(errno) => tries.failed(format!("process_vm_writev {pid}"), errno),
        }
    }
    tries.blocked()
}

/// PID ADDRESS: writes memory of the process outside through /proc/PID/mem, and opens that of pid 1.
fn write_proc_mem(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for pid in targets(args) {
        let path = format!("/proc/{pid}/mem");
        let opened = OpenOptions::new().write(true).open(&path);
        if let Some(mut memory) = tries.of(&path, opened) {
            let moved = memory.seek(SeekFrom::Start(args.number(1)));
            let wrote = moved.and_then(|_| memory.write_all(&POKE.to_ne_bytes()));
            return Outcome::escaped(format!("opened {path}; write: {wrote:?}"));
        }
    }
    tries.blocked()
}

/// PID DESCRIPTOR: takes a descriptor out of the process outside; of pid 1 any.
fn take_descriptor(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let targets = [(args.number::<i32>(0), args.number::<i32>(1)), (1, 0), (1, 1), (1, 3), (1, 4), (1, 5)];
    for (pid, number) in targets {
        let Some(process) = tries.of(format!("pidfd_open {pid}"), sys!(pidfd_open, pid, 0)) else { continue };
        let taken = sys!(pidfd_getfd, process, number, 0);
        if let Some(descriptor) = tries.of(format!("pidfd_getfd {number} of {pid}"), taken) {
            let text = fs::read_to_string(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
            return Outcome::escaped(format!("took descriptor {number} of {pid}, it says {text}"));
        }
    }
    tries.blocked()
}

/// PID DESCRIPTOR: opens what the process outside has open, by its link in /proc; and everything of pid 1.
fn open_proc_fd(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let outside = format!("/proc/{}/fd/{}", args.text(0), args.text(1));
    if let Some(text) = tries.of(&outside, fs::read_to_string(&outside)) {
        return Outcome::escaped(format!("{outside} says {text}"));
    }
    if std::process::id() != 1
        && let Some(entries) = tries.of("/proc/1/fd", fs::read_dir("/proc/1/fd"))
    {
        let names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|l| l.display().to_string())
            .collect();
        return Outcome::escaped(format!("lists the descriptors of pid 1: {}", names.join(" ")));
    }
    tries.blocked()
}

/// PATH PID: reads PATH through the root and working directories of other processes.
fn open_proc_root(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let others = pids().into_iter().chain([1, args.number(1)]).filter(|pid| pid.cast_unsigned() != std::process::id());
    for pid in others {
        for place in ["root", "cwd/../../../../.."] {
            let path = format!("/proc/{pid}/{place}{}", args.text(0));
            let mut text = String::new();
            let read = File::open(&path).and_then(|mut file| file.read_to_string(&mut text));
            if tries.of(&path, read).is_some() {
                return Outcome::escaped(format!("{path} says {text}"));
            }
        }
    }
    tries.blocked()
}

/// PID: changes a limit of the process outside, and of pid 1.
fn limit_process(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for pid in targets(args) {
        let mut limit = [0_u64; 2];
        let got = sys!(prlimit64, pid, libc::RLIMIT_NOFILE, 0, limit.as_mut_ptr());
        if tries.of(format!("prlimit {pid}"), got).is_none() {
            continue;
        }
        let set = sys!(prlimit64, pid, libc::RLIMIT_NOFILE, limit.as_ptr(), 0);
        if tries.of(format!("set prlimit {pid}"), set).is_some() {
            return Outcome::escaped(format!("set a limit of {pid}"));
        }
    }
    tries.blocked()
}

/// Kills what is left of a run of the harness: every process whose command line has its tag.
pub(crate) fn end(tag: &str) -> i32 {
    for pid in pids().into_iter().filter(|pid| tag.len() > 8 && pid.cast_unsigned() != std::process::id()) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(tag) {
            ignore(child::Child(pid).signal(libc::SIGKILL));
        }
    }
    0
}
