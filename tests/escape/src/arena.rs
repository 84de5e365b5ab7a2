//! `attack arena WORDS -- COMMAND…`: runs a command beside those whom it may and may not reach, and tells who was reached.
//!
//! In the command's words `{permitted}` and the like stand for addresses. With the word `own` the network namespace is the
//! arena's own: more addresses are there, everybody who listens is looked for, and a name server of the host's is played.

mod servers;

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::call::{Errno, Result, ignore, sys};
use crate::child;
use servers::Servers;

/// What the words say.
#[derive(Debug, Default)]
struct Words {
    own: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    /// The command's limit on descriptors.
    descriptors: Option<u64>,
    /// When it is killed.
    kill: Option<Duration>,
    /// It is stopped again and again.
    stops: bool,
    seconds: u64,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Self { seconds: 60, ..Self::default() };
        for word in text.split(',') {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "own" => words.own = true,
                "uid" => words.uid = value.parse().ok(),
                "gid" => words.gid = value.parse().ok(),
                "descriptors" => words.descriptors = value.parse().ok(),
                "kill" => words.kill = value.parse().ok().map(Duration::from_millis),
                "stops" => words.stops = true,
                "seconds" => words.seconds = value.parse().unwrap_or(60),
                _ => {}
            }
        }
        words
    }
}

/// Runs the command; tells, a line each, how it ended and who was reached.
#[expect(clippy::print_stdout, reason = "the lines are the program's output")]
pub(crate) fn run(args: &[String]) -> Result<i32> {
    let [words, dashes, command @ ..] = args else { return Err(Errno(libc::EINVAL)) };
    if dashes != "--" || command.is_empty() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: numbers only: this ends when the harness does.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let words = Words::of(words);
    if words.own {
        servers::furnish()?;
    }
    let servers = Servers::new(words.own)?;
    let command: Vec<String> = command.iter().map(|word| servers.fill(word)).collect();
    let started = Instant::now();
    let mut running = start(&words, &command)?;
    let ended = wait(&words, &servers, &mut running, started);
    println!("took {}", started.elapsed().as_millis());
    println!("ended {ended}");
    // What it left is seen now, and what is on its way arrives.
    child::nap(50);
    servers.tell();
    ignore(std::io::stdout().flush());
    Ok(0)
}

fn start(words: &Words, command: &[String]) -> Result<Child> {
    let mut prepared = Command::new(&command[0]);
    prepared.args(&command[1..]).stdin(Stdio::null());
    if let (Some(uid), Some(gid)) = (words.uid, words.gid) {
        prepared.uid(uid).gid(gid);
    }
    if let Some(most) = words.descriptors {
        // SAFETY: one system call, with numbers and a struct of the closure's own.
        unsafe {
            prepared.pre_exec(move || {
                sys!(prlimit64, 0, libc::RLIMIT_NOFILE, [most, most].as_ptr(), 0)
                    .map(drop)
                    .map_err(|Errno(errno)| std::io::Error::from_raw_os_error(errno))
            });
        }
    }
    Ok(prepared.spawn()?)
}

/// Waits, and does meanwhile what the words say. Gives the command's status.
#[expect(clippy::print_stdout, reason = "the lines are the program's output")]
fn wait(words: &Words, servers: &Servers, running: &mut Child, started: Instant) -> String {
    let pid = running.id() as i32;
    let mut killed = false;
    let mut turn = 0_u64;
    loop {
        if let Ok(Some(status)) = running.try_wait() {
            return match (status.code(), status.signal()) {
                (Some(code), _) => format!("code {code}"),
                (_, signal) => format!("signal {}", signal.unwrap_or_default()),
            };
        }
        let passed = started.elapsed();
        if passed > Duration::from_secs(words.seconds) {
            ignore(running.kill());
            ignore(running.wait());
            return "late".to_owned();
        }
        if !killed && words.kill.is_some_and(|at| passed > at) {
            killed = running.kill().is_ok();
        }
        turn += 1;
        if words.stops && passed > Duration::from_millis(300) {
            // At moments of no order.
            child::nap(turn * 104_729 % 37);
            ignore(sys!(kill, pid, libc::SIGSTOP));
            // What was connected before is taken.
            child::nap(20);
            let before = servers.permitted();
            child::nap(20);
            if servers.permitted() != before {
                println!("unsupervised connections were made while it was stopped");
            }
            ignore(sys!(kill, pid, libc::SIGCONT));
        } else {
            child::nap(3);
        }
    }
}
