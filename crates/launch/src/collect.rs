//! Takes the outputs out of a dead jail. The job chose their names, kinds and content: nothing of it is trusted.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::judge::Fate;
use crate::running::{Running, Terms};
use lazaret_policy::{FileName, Job, OutputProblem, OutputReport, Verdict};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where an output goes: a directory that is open already, and a name in it.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    directory: OwnedFd,
    name: FileName,
}

/// What became of the outputs.
#[derive(Debug, Default)]
pub struct Collected {
    /// What became of each, in the order of the job.
    pub reports: Vec<OutputReport>,
    /// The bytes of those without a destination.
    pub held: Vec<(FileName, Vec<u8>)>,
    /// Whether the job came to its own end, so that what it made may be delivered.
    pub deliver: bool,
    /// Set when the job itself succeeded and an output is missing, or a cancellation came before all were delivered.
    pub verdict: Option<Verdict>,
}

/// Opens the directories of all destinations, before the job runs: what cannot be delivered shall not be computed.
///
/// # Errors
///
/// When one cannot be written to.
pub fn prepare(job: &Job) -> Result<Vec<Option<Destination>>, RunError> {
    if let Some(path) = job.export_changes.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(RunError::Deliver { path: path.to_owned(), source: Errno::EXIST.into() });
    }
    job.outputs.iter().map(|output| output.to.as_deref().map(destination).transpose()).collect()
}

fn destination(path: &Path) -> Result<Destination, RunError> {
    let failed = |source: io::Error| RunError::Deliver { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| failed(Errno::ISDIR.into()))?;
    let name = FileName::new(name).map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    if let Ok(stat) = rustix::fs::statat(&directory, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        return Err(failed(Errno::ISDIR.into()));
    }
    rustix::fs::accessat(&directory, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|errno| failed(errno.into()))?;
    Ok(Destination { path: path.to_owned(), directory, name })
}

/// Looks at every output, and delivers those that are good of a job that came to its own end.
///
/// # Errors
///
/// When a good one cannot be delivered.
pub fn collect(
    terms: &Terms<'_>,
    running: &Running,
    destinations: Vec<Option<Destination>>,
    fate: &Fate,
    job: &Job,
) -> Result<Collected, RunError> {
    let mut collected = Collected::default();
    let (bound, cancels) = (terms.limits.file_size.bytes().min(terms.limits.disk.bytes()), terms.cancels);
    // A job that was stopped may have stopped in the middle of a file.
    let mut deliver = matches!(fate.verdict, Verdict::Ok | Verdict::Exit { start_failure: None, .. });
    for (output, destination) in job.outputs.iter().zip(destinations) {
        let to = output.to.as_ref().map(|path| path.display().to_string());
        let mut report = OutputReport { name: output.name.clone(), to, size: None, sha256: None, problem: None };
        match open(running, &output.name, bound) {
            Err(problem) => {
                if fate.verdict.is_ok() && collected.verdict.is_none() {
                    let reason = problem.clone();
                    collected.verdict = Some(Verdict::OutputMissing { name: output.name.clone(), reason });
                }
                report.problem = Some(problem);
            }
            Ok((file, size)) => {
                report.size = Some(size);
                if deliver {
                    report.sha256 = match destination {
                        Some(destination) => destination.put(&file, bound, cancels)?,
                        None => read_all(&file, bound, cancels)?.map(|bytes| {
                            let hash = Sha256::digest(&bytes);
                            collected.held.push((output.name.clone(), bytes));
                            hex(&hash)
                        }),
                    };
                    if report.sha256.is_none() {
                        collected.verdict = Some(Verdict::Cancelled);
                        deliver = false;
                    }
                }
            }
        }
        collected.reports.push(report);
    }
    collected.deliver = deliver;
    Ok(collected)
}

/// Opens the output `name` of /job, if it is a regular file within the bound. Looks before it opens: opening a device
/// or a FIFO already does something.
fn open(running: &Running, name: &FileName, bound: u64) -> Result<(OwnedFd, u64), OutputProblem> {
    let Some(directory) = &running.handed[0] else { return Err(OutputProblem::Missing) };
    let looked = open_beneath(directory.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW).map_err(problem)?;
    let stat = rustix::fs::fstat(&looked).map_err(problem)?;
    let size = check(&stat, bound)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open_beneath(directory.as_fd(), name, flags).map_err(problem)?;
    let opened = rustix::fs::fstat(&file).map_err(problem)?;
    // Nobody lives who could have exchanged it; if somebody did, the second look would tell.
    if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(OutputProblem::Escapes);
    }
    Ok((file, size))
}

fn open_beneath(directory: BorrowedFd<'_>, name: &FileName, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // A link as the last component is opened as itself (O_PATH | O_NOFOLLOW), so that it can be named as one.
    let resolve = if flags.contains(OFlags::PATH) { resolve } else { resolve | ResolveFlags::NO_SYMLINKS };
    rustix::fs::openat2(directory, name.as_os_str(), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn problem(errno: Errno) -> OutputProblem {
    match errno {
        Errno::NOENT => OutputProblem::Missing,
        Errno::XDEV => OutputProblem::Escapes,
        Errno::LOOP => OutputProblem::Symlink,
        errno => OutputProblem::Unreadable { errno: errno.raw_os_error() },
    }
}

fn check(stat: &Stat, bound: u64) -> Result<u64, OutputProblem> {
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink > 1 => Err(OutputProblem::HardLinked),
        FileType::RegularFile if size > bound => Err(OutputProblem::TooLarge { bound }),
        FileType::RegularFile => Ok(size),
        FileType::Symlink => Err(OutputProblem::Symlink),
        FileType::Directory => Err(OutputProblem::Directory),
        FileType::Fifo => Err(OutputProblem::Fifo),
        FileType::Socket => Err(OutputProblem::Socket),
        _ => Err(OutputProblem::Device),
    }
}

const CHUNK: usize = 256 << 10;

/// Reads `file` to its end and hands each piece over; never more than `bound` bytes. Returns whether it came to the end
/// before a cancellation.
fn each_chunk(
    file: &OwnedFd,
    bound: u64,
    cancels: &[Cancel],
    mut take: impl FnMut(&[u8]) -> Result<(), RunError>,
) -> Result<bool, RunError> {
    let mut chunk = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let length = match rustix::io::read(file, &mut chunk) {
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(RunError::Resource { what: "read an output", source: errno.into() }),
        };
        total += length as u64;
        if length == 0 || total > bound {
            return Ok(true);
        }
        if cancels.iter().any(Cancel::is_cancelled) {
            return Ok(false);
        }
        take(&chunk[..length])?;
    }
}

fn read_all(file: &OwnedFd, bound: u64, cancels: &[Cancel]) -> Result<Option<Vec<u8>>, RunError> {
    let mut bytes = Vec::new();
    let whole = each_chunk(file, bound, cancels, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(whole.then_some(bytes))
}

impl Destination {
    /// Writes the whole file beside the destination, then renames: a reader sees the old file or the new one. Returns
    /// the hash, or nothing after a cancellation: then the old one is there still.
    fn put(&self, file: &OwnedFd, bound: u64, cancels: &[Cancel]) -> Result<Option<String>, RunError> {
        let failed = |errno: Errno| RunError::Deliver { path: self.path.clone(), source: errno.into() };
        let temporary = self.temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let new = rustix::fs::openat(&self.directory, &temporary, flags, mode).map_err(failed)?;
        let mut hash = Sha256::new();
        let written = each_chunk(file, bound, cancels, |chunk| {
            hash.update(chunk);
            let mut rest = chunk;
            while !rest.is_empty() {
                let written = rustix::io::write(&new, rest).map_err(failed)?;
                rest = &rest[written..];
            }
            Ok(())
        });
        let renamed = written.and_then(|whole| {
            if whole {
                rustix::fs::renameat(&self.directory, &temporary, &self.directory, self.name.as_os_str())
                    .map_err(failed)?;
            }
            Ok(whole)
        });
        if !matches!(renamed, Ok(true)) {
            let removed = rustix::fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
            debug_assert!(removed.is_ok(), "a file made a moment ago can be removed");
        }
        renamed.map(|whole| whole.then(|| hex(&hash.finalize())))
    }

    /// Hidden, and of this process alone.
    fn temporary_name(&self) -> Vec<u8> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = self.name.as_os_str().as_bytes();
        let stem = &name[..name.len().min(200)];
        [b".", stem, format!(".lazaret-{}-{number}", std::process::id()).as_bytes()].concat()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        text
    })
}
