//! Starting programs and waiting for them, never for ever.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// More than any probe may print; what comes after it is read and dropped.
const MOST_OUTPUT: usize = 8 << 20;

/// A program that was started.
pub(crate) struct Started {
    pub(crate) child: Child,
    since: Instant,
    stdout: Option<Receiver<String>>,
    stderr: Option<Receiver<String>>,
}

/// A program that has ended, or was ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    /// `None`: it did not end in time.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Started {
    /// Starts `command` in a process group of its own. Its outputs are read unless they were set to something else.
    pub(crate) fn new(command: &mut Command) -> Result<Self, String> {
        let since = Instant::now();
        let mut child =
            command.process_group(0).spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Ok(Self { child, since, stdout, stderr })
    }

    /// Waits until it ends, `most` after its start at the latest, and then kills it.
    pub(crate) fn end(mut self, most: Duration) -> Result<Ended, String> {
        let status = loop {
            let status = self.child.try_wait().map_err(|error| format!("cannot wait: {error}"))?;
            if status.is_some() || self.since.elapsed() > most {
                break status;
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let took = self.since.elapsed();
        if status.is_none() {
            self.child.kill().map_err(|error| format!("cannot kill: {error}"))?;
            self.child.wait().map_err(|error| format!("cannot wait: {error}"))?;
        }
        Ok(Ended { pid: self.child.id(), status, stdout: text(self.stdout), stderr: text(self.stderr), took })
    }
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }
}

/// Reads to the end on a thread of its own. The end may never come, when a process lives on that has the pipe.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (mut kept, mut bytes) = (Vec::new(), [0_u8; 65536]);
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if kept.len() < MOST_OUTPUT {
                kept.extend_from_slice(&bytes[..length]);
                // What there is so far, for the case that the end does not come.
                if kept.len() < 65536 {
                    drop(sender.send(String::from_utf8_lossy(&kept).into_owned()));
                }
            }
        }
        drop(sender.send(String::from_utf8_lossy(&kept).into_owned()));
    });
    receiver
}

/// The last that came, by which time the writer has ended or half a second has gone by.
fn text(receiver: Option<Receiver<String>>) -> String {
    let Some(receiver) = receiver else { return String::new() };
    let mut last = String::new();
    while let Ok(text) = receiver.recv_timeout(Duration::from_millis(500)) {
        last = text;
    }
    last
}

/// Runs `command` to its end, with nothing to read and its outputs kept.
pub(crate) fn run(command: &mut Command, most: Duration) -> Result<Ended, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Started::new(command)?.end(most)
}
