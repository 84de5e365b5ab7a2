//! Standard input, output and error of a job: pipes, bounded, never the caller's own descriptors.
//!
//! The job gets pipes even where the caller has files or a terminal: a descriptor of the caller's would let it change
//! modes, insert into the terminal's input, or outlive the job.

use crate::error::RunError;
use crate::inputs::memory_file;
use lazaret_policy::Stdin;
use rustix::event::PollFlags;
use rustix::fs::{Mode, SealFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where a job's standard output and error go.
#[derive(Debug)]
pub enum Sink<'a> {
    /// Into the report.
    Capture,
    /// On to these descriptors, and input from the third, as the bytes come.
    Forward {
        /// Gets standard output.
        stdout: BorrowedFd<'a>,
        /// Gets standard error.
        stderr: BorrowedFd<'a>,
        /// Read when the job's standard input is inherited.
        stdin: BorrowedFd<'a>,
    },
}

/// Our ends.
#[derive(Debug)]
pub struct Streams {
    /// Standard output.
    pub stdout: Outgoing,
    /// Standard error.
    pub stderr: Outgoing,
    /// Standard input.
    pub stdin: Incoming,
}

/// The job's ends.
#[derive(Debug)]
pub struct Theirs {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// Both ends of all three.
///
/// # Errors
///
/// When descriptors or memory run out.
pub fn open(stdin: &Stdin, sink: &Sink<'_>) -> Result<(Streams, Theirs), RunError> {
    let pipe = || {
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| RunError::Resource { what: "make a pipe", source: errno.into() })
    };
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = pipe()?;
    let (incoming, their_stdin) = match (stdin, sink) {
        (Stdin::Inherit, Sink::Forward { .. }) => {
            let (theirs, ours) = pipe()?;
            (Incoming::open(ours), theirs)
        }
        (Stdin::Bytes(bytes), _) => (Incoming::Closed, sealed(memory_file(bytes)?)?),
        // Nobody to inherit from: an input that is at its end. A pipe, which holds no attributes.
        (Stdin::Empty | Stdin::Inherit, _) => (Incoming::Closed, pipe()?.0),
    };
    let streams = Streams { stdout: Outgoing::new(stdout), stderr: Outgoing::new(stderr), stdin: incoming };
    Ok((streams, Theirs { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr }))
}

/// The job holds this file itself: it shall not keep anything in it.
fn sealed(file: OwnedFd) -> Result<OwnedFd, RunError> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    // Nor in its attributes: as root the file is not the job's own, and can only be read.
    let read_only = Mode::RUSR | Mode::RGRP | Mode::ROTH;
    rustix::fs::fchmod(&file, read_only)
        .and_then(|()| rustix::fs::fcntl_add_seals(&file, seals))
        .map_err(|errno| RunError::Resource { what: "seal the job's standard input", source: errno.into() })?;
    Ok(file)
}

/// How much is read at once. POSIX lets a pipe that poll(2) calls writable take PIPE_BUF bytes without waiting.
const CHUNK: usize = 64 << 10;
const FIRST_CHUNK: usize = 4096;
const PIPE_BUF: usize = 4096;

/// One stream out of the job.
#[derive(Debug)]
pub struct Outgoing {
    pipe: Option<OwnedFd>,
    /// Bytes taken so far.
    pub taken: u64,
    /// Whether the bound cut it.
    pub truncated: bool,
    /// What was captured.
    pub captured: Vec<u8>,
    /// What waits for the reader at the other end.
    pending: Vec<u8>,
}

impl Outgoing {
    fn new(pipe: OwnedFd) -> Self {
        Self { pipe: Some(pipe), taken: 0, truncated: false, captured: Vec::new(), pending: Vec::new() }
    }

    /// What to poll for: the job's bytes, or the reader's readiness for those that wait.
    pub fn interest<'a>(&'a self, reader: Option<BorrowedFd<'a>>) -> Option<(BorrowedFd<'a>, PollFlags)> {
        match (&self.pipe, reader) {
            (_, Some(reader)) if !self.pending.is_empty() => Some((reader, PollFlags::OUT)),
            (Some(pipe), _) => Some((pipe.as_fd(), PollFlags::IN)),
            (None, _) => None,
        }
    }

    /// Takes what is there, up to `bound` bytes in all, or passes on what was taken. Call when the interest is met:
    /// writing to a reader that was not asked could wait for as long as it likes.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be read, or the reader not written to.
    pub fn advance(&mut self, reader: Option<BorrowedFd<'_>>, bound: u64) -> Result<(), RunError> {
        match reader {
            Some(reader) if !self.pending.is_empty() => self.pass_on(reader),
            _ => self.take(reader.is_some(), bound),
        }
    }

    fn take(&mut self, forward: bool, bound: u64) -> Result<(), RunError> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let kept = if forward { &mut self.pending } else { &mut self.captured };
        let before = kept.len();
        // A stream that ends without a word costs no large buffer.
        kept.reserve(if self.taken == 0 { FIRST_CHUNK } else { CHUNK });
        let length = match rustix::io::read(pipe, rustix::buffer::spare_capacity(kept)) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(RunError::Resource { what: "read the job's output", source: errno.into() }),
        };
        if length == 0 {
            self.pipe = None;
            return Ok(());
        }
        let room = usize::try_from(bound - self.taken).unwrap_or(usize::MAX);
        self.truncated |= length > room;
        kept.truncate(before + length.min(room));
        self.taken += length.min(room) as u64;
        Ok(())
    }

    fn pass_on(&mut self, reader: BorrowedFd<'_>) -> Result<(), RunError> {
        let length = self.pending.len().min(PIPE_BUF);
        match rustix::io::write(reader, &self.pending[..length]) {
            Ok(written) => {
                self.pending.drain(..written);
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            // The reader is gone: so the job's pipe breaks, and it is told as any writer is.
            Err(Errno::PIPE) => {
                self.pending.clear();
                self.pipe = None;
                Ok(())
            }
            Err(errno) => Err(RunError::Resource { what: "pass the job's output on", source: errno.into() }),
        }
    }

    /// Whether everything has been read and passed on.
    pub fn is_done(&self) -> bool {
        self.pipe.is_none() && self.pending.is_empty()
    }
}

/// The stream into the job.
#[derive(Debug)]
pub enum Incoming {
    /// Nothing to bring.
    Closed,
    /// Bytes travel from the caller's descriptor to the job's pipe.
    Open {
        /// The job's pipe; writing to it never waits.
        pipe: OwnedFd,
        /// What was read and not yet taken by the job.
        pending: Vec<u8>,
    },
}

impl Incoming {
    fn open(pipe: OwnedFd) -> Self {
        Self::Open { pipe, pending: Vec::new() }
    }

    /// What to poll for.
    pub fn interest<'a>(&'a self, source: Option<BorrowedFd<'a>>) -> Option<(BorrowedFd<'a>, PollFlags)> {
        match (self, source) {
            (Self::Open { pipe, pending }, Some(_)) if !pending.is_empty() => Some((pipe.as_fd(), PollFlags::OUT)),
            (Self::Open { .. }, Some(source)) => Some((source, PollFlags::IN)),
            _ => None,
        }
    }

    /// Reads a little, or writes a little. An end, or a job that reads no more, closes the pipe.
    pub fn advance(&mut self, source: Option<BorrowedFd<'_>>) {
        let (Self::Open { pipe, pending }, Some(source)) = (&mut *self, source) else { return };
        if pending.is_empty() {
            let mut chunk = [0_u8; PIPE_BUF];
            match rustix::io::read(source, &mut chunk) {
                Ok(0) => *self = Self::Closed,
                Ok(length) => pending.extend_from_slice(&chunk[..length]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => *self = Self::Closed,
            }
        } else {
            let length = pending.len().min(PIPE_BUF);
            match rustix::io::write(&*pipe, &pending[..length]) {
                Ok(written) => {
                    pending.drain(..written);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => *self = Self::Closed,
            }
        }
    }
}
