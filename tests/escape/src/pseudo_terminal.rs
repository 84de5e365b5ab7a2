//! A terminal for a command, and what became of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::call::{Errno, Result, ignore, sys};
use crate::child;
use crate::within;

/// Runs the command with a new terminal as its controlling terminal and standard descriptors. Prints what it prints, and
/// then `TERMINAL input …` when something was typed into it and `TERMINAL changed` when it is in another mode.
pub(crate) fn run(command: &[String]) -> Result<i32> {
    let (mut master, slave) = open()?;
    let (mut report, reporter) = std::io::pipe()?;
    let leader = child::fork(|| lead(command, &slave, &reporter).unwrap_or(125))?;
    drop((slave, reporter));
    let echo = std::thread::spawn(move || {
        let mut bytes = [0_u8; 4096];
        // A terminal whose last holder has gone fails with EIO.
        while let Ok(length @ 1..) = master.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..length]).replace('\r', "");
            ignore(std::io::stdout().write_all(text.as_bytes()));
        }
    });
    let end = leader.wait()?;
    ignore(echo.join());
    let mut text = String::new();
    report.read_to_string(&mut text)?;
    std::io::stdout().write_all(format!("\n{text}").as_bytes())?;
    Ok(within::status(end))
}

fn open() -> Result<(File, File)> {
    let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx")?;
    let number = master.as_raw_fd();
    // SAFETY: a descriptor of a terminal's master.
    if unsafe { libc::unlockpt(number) } != 0 {
        return Err(Errno::last());
    }
    // By descriptor and not by name, since the name may lie in another mount of devpts.
    let slave = sys!(ioctl, number, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY)?;
    // SAFETY: a descriptor that was just made and has no other owner.
    Ok((master, unsafe { File::from_raw_fd(i32::try_from(slave).unwrap_or(-1)) }))
}

/// The leader of the terminal's session: it outlives the command, since the terminal does not outlive its leader.
fn lead(command: &[String], slave: &File, mut reporter: &std::io::PipeWriter) -> Result<i32> {
    // SAFETY: no arguments.
    unsafe { libc::setsid() };
    sys!(ioctl, slave.as_raw_fd(), libc::TIOCSCTTY, 0)?;
    let before = modes(slave)?;
    let job = child::fork(|| {
        for number in 0..3 {
            // SAFETY: two numbers.
            unsafe { libc::dup2(slave.as_raw_fd(), number) };
        }
        within::exec(command)
    })?;
    let end = job.wait()?;

    let after = modes(slave)?;
    if (before.c_lflag, before.c_iflag, before.c_oflag) != (after.c_lflag, after.c_iflag, after.c_oflag) {
        writeln!(reporter, "TERMINAL changed")?;
    }
    let mut raw = after;
    raw.c_lflag = 0;
    raw.c_cc[libc::VMIN] = 0;
    raw.c_cc[libc::VTIME] = 0;
    sys!(ioctl, slave.as_raw_fd(), libc::TCSETS, &raw const raw)?;
    let mut typed = [0_u8; 256];
    let length = (&mut &*slave).read(&mut typed)?;
    if length > 0 {
        writeln!(reporter, "TERMINAL input {}", String::from_utf8_lossy(&typed[..length]))?;
    }
    Ok(within::status(end))
}

fn modes(terminal: &File) -> Result<libc::termios> {
    // SAFETY: a struct termios is numbers, for which zeros are good values.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a descriptor and a writable struct termios.
    if unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut modes) } == 0 { Ok(modes) } else { Err(Errno::last()) }
}
