//! `attack within WORDS -- COMMAND…`: runs a command in surroundings made for it, which end with it. A control needs them
//! so that it changes nothing of the machine, and a jail so that it has something to keep from its job.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::call::{Errno, Result, sys};
use crate::child::{self, Child, End};
use crate::descriptors;
use crate::kernel;
use crate::mounts::mount_at;

/// Runs the command and gives its exit status.
pub(crate) fn run(args: &[String]) -> Result<i32> {
    let [words, dashes, command @ ..] = args else { return Err(Errno(libc::EINVAL)) };
    if dashes != "--" || command.is_empty() {
        return Err(Errno(libc::EINVAL));
    }
    let words: Vec<(&str, &str)> = words
        .split(',')
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .collect();
    let has = |name: &str| words.iter().any(|(word, _)| *word == name);

    let flags = words.iter().fold(0, |flags, (word, _)| flags | namespace(word));
    if flags != 0 {
        sys!(unshare, flags)?;
    }
    if has("mount") {
        mount_at("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    }
    for (word, value) in &words {
        arrange(word, value)?;
    }
    if has("pid") {
        let seconds = words.iter().find(|(word, _)| *word == "seconds").and_then(|(_, value)| value.parse().ok());
        return in_pid_namespace(command, has("bystander"), has("mount"), Duration::from_secs(seconds.unwrap_or(20)));
    }
    if has("pty") {
        return crate::pseudo_terminal::run(command);
    }
    if has("parent") {
        return Ok(status(child::fork(|| exec(command))?.wait()?));
    }
    Ok(exec(command))
}

fn namespace(word: &str) -> i32 {
    match word {
        "mount" => libc::CLONE_NEWNS,
        "pid" => libc::CLONE_NEWPID,
        "net" => libc::CLONE_NEWNET,
        "ipc" => libc::CLONE_NEWIPC,
        "uts" => libc::CLONE_NEWUTS,
        "cgroup" => libc::CLONE_NEWCGROUP,
        _ => 0,
    }
}

fn arrange(word: &str, value: &str) -> Result<()> {
    match word {
        "tmpfs" => mount_at("none", value, "tmpfs", 0, "").map(|_| ()),
        "read-only" => {
            mount_at(value, value, "", libc::MS_BIND, "")?;
            mount_at("", value, "", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, "").map(|_| ())
        }
        "net" => loopback(None),
        "address" => loopback(Some(value)),
        "keyring" => kernel::hold_key(&std::env::var("ESCAPE_SECRET").unwrap_or_default()).map(|_| ()),
        "leak-directory" => leak(File::open(value)?),
        "leak-file" => leak(OpenOptions::new().append(true).open(value)?),
        "leak-socket" => leak_socket(value),
        "mount" | "pid" | "ipc" | "uts" | "cgroup" | "pty" | "parent" | "bystander" | "seconds" => Ok(()),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// A descriptor that programs started from here have.
fn leak(file: impl IntoRawFd) -> Result<()> {
    const NUMBER: i32 = 9;
    // SAFETY: two numbers. The copy has no close-on-exec flag.
    if unsafe { libc::dup2(file.into_raw_fd(), NUMBER) } == NUMBER { Ok(()) } else { Err(Errno::last()) }
}

/// A socket on which a descriptor of the file waits.
fn leak_socket(path: &str) -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    descriptors::send(ours.as_raw_fd(), File::open(path)?.as_raw_fd())?;
    // SAFETY: a number and a command. The other end stays open, so that the message does.
    unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, 0) };
    std::mem::forget(ours);
    leak(theirs)
}

/// Sets up the loopback interface of a new network namespace, with a further address.
fn loopback(address: Option<&str>) -> Result<()> {
    let socket = sys!(socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // struct ifreq: a name, and then what the request is about.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    match address.and_then(|text| text.parse::<std::net::Ipv4Addr>().ok()) {
        Some(ip) => {
            request[16..18].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            request[20..24].copy_from_slice(&ip.octets());
            sys!(ioctl, socket, libc::SIOCSIFADDR, request.as_ptr())?;
        }
        None => {
            request[16..18].copy_from_slice(&(libc::IFF_UP as u16).to_ne_bytes());
            sys!(ioctl, socket, libc::SIOCSIFFLAGS, request.as_ptr())?;
        }
    }
    sys!(close, socket).map(|_| ())
}

/// Replaces this process; gives a shell's status when it cannot.
#[expect(clippy::print_stderr, reason = "that is where the harness looks for it")]
pub(crate) fn exec(command: &[String]) -> i32 {
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    eprintln!("attack within: {}: {error}", command[0]);
    127
}

pub(crate) fn status(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::Signalled { number, .. } => 128 + number,
        End::Stopped => 128 + libc::SIGSTOP,
    }
}

/// Pid 1 of the new namespace is ours, and the command its child; all that is left is killed when pid 1 ends.
fn in_pid_namespace(command: &[String], bystander: bool, own_proc: bool, most: Duration) -> Result<i32> {
    let init = child::fork(|| first_process(command, bystander, own_proc, most).unwrap_or(125))?;
    init.wait().map(status)
}

#[expect(clippy::print_stdout, reason = "the harness looks for it there")]
fn first_process(command: &[String], bystander: bool, own_proc: bool, most: Duration) -> Result<i32> {
    // SAFETY: numbers only: the namespace ends when the process outside of it does.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if own_proc {
        mount_at("proc", "/proc", "proc", 0, "")?;
    }
    let idle = || {
        child::nap(60_000);
        0
    };
    let other = if bystander { Some(child::fork(idle)?) } else { None };
    let job: Child = child::fork(|| {
        // A process group reaches across namespaces, and the harness is in ours.
        // SAFETY: two numbers.
        unsafe { libc::setpgid(0, 0) };
        exec(command)
    })?;
    let end = job.wait_for(most)?;
    match other.map(|other| other.wait_for(Duration::from_millis(200))) {
        Some(Ok(Some(End::Signalled { .. } | End::Stopped))) => println!("BYSTANDER hurt"),
        Some(_) => println!("BYSTANDER well"),
        None => {}
    }
    if end == Some(End::Stopped) {
        println!("STOPPED");
    }
    Ok(end.map_or(124, status))
}
