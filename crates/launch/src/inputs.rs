//! The files that a job is given.

use crate::error::{InputProblem, PlanError, RunError};
use crate::outcome::Error;
use lazaret_policy::{FileName, InputFrom, Job, Limits};
use rustix::fs::{FileType, MemfdFlags, Mode as FileMode, OFlags};
use std::os::fd::OwnedFd;

/// An opened input.
#[derive(Debug)]
pub struct OpenInput {
    /// Its name in the job.
    pub name: FileName,
    /// Open for reading.
    pub file: OwnedFd,
    /// 0755 if anybody may execute it on the host, otherwise 0644.
    pub mode: u32,
}

/// Opens every input and checks that they are regular files which fit together.
///
/// # Errors
///
/// When one cannot be opened, is no regular file, or they are more than the disk limit.
pub fn open_inputs(job: &Job, limits: &Limits) -> Result<Vec<OpenInput>, Error> {
    let mut total = 0_u64;
    let mut opened = Vec::with_capacity(job.inputs.len());
    for input in &job.inputs {
        let (file, size, executable) = match &input.from {
            InputFrom::Bytes(bytes) => (memory_file(bytes)?, bytes.len() as u64, false),
            InputFrom::File(path) => {
                let failed = |problem| PlanError::Input { path: path.clone(), problem };
                let open_failed = |errno: rustix::io::Errno| failed(InputProblem::Open(errno.into()));
                // Without waiting: opening a FIFO that nobody writes to would otherwise never return.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = rustix::fs::open(path, flags, FileMode::empty()).map_err(open_failed)?;
                let stat = rustix::fs::fstat(&file).map_err(open_failed)?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind != FileType::RegularFile {
                    return Err(failed(InputProblem::Kind(kind_name(kind))).into());
                }
                (file, u64::try_from(stat.st_size).unwrap_or(0), stat.st_mode & 0o111 != 0)
            }
        };
        total = total.saturating_add(size);
        let disk = &limits.disk;
        if total > disk.bytes() {
            let path = match &input.from {
                InputFrom::File(path) => path.clone(),
                InputFrom::Bytes(_) => input.name.to_string().into(),
            };
            let problem = InputProblem::Size { size: total, disk: disk.to_string(), asked_by: disk.source.clone() };
            return Err(PlanError::Input { path, problem }.into());
        }
        let mode = if executable { 0o755 } else { 0o644 };
        opened.push(OpenInput { name: input.name.clone(), file, mode });
    }
    Ok(opened)
}

/// Adds files that are there already to the inputs.
///
/// # Errors
///
/// One whose name another has, or all together are more than the disk limit.
pub fn add(inputs: &mut Vec<OpenInput>, files: Vec<OpenInput>, limits: &Limits) -> Result<(), Error> {
    for file in files {
        let failed = |problem| PlanError::Input { path: file.name.to_string().into(), problem };
        if inputs.iter().any(|input| input.name == file.name) {
            return Err(failed(InputProblem::Kind("name that another input has")).into());
        }
        inputs.push(file);
    }
    let mut total = 0_u64;
    for input in inputs {
        let stat = rustix::fs::fstat(&input.file)
            .map_err(|errno| RunError::Resource { what: "look at an input", source: errno.into() })?;
        total = total.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        if total > limits.disk.bytes() {
            let (disk, asked_by) = (limits.disk.to_string(), limits.disk.source.clone());
            let problem = InputProblem::Size { size: total, disk, asked_by };
            return Err(PlanError::Input { path: input.name.to_string().into(), problem }.into());
        }
    }
    Ok(())
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "directory",
        FileType::Fifo => "FIFO",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Socket => "socket",
        _ => "special file",
    }
}

/// A file in memory that holds `bytes`, at its start.
///
/// # Errors
///
/// When memory or descriptors run out.
pub fn memory_file(bytes: &[u8]) -> Result<OwnedFd, RunError> {
    let failed = |errno: rustix::io::Errno| RunError::Resource { what: "hold data in memory", source: errno.into() };
    let file =
        rustix::fs::memfd_create("lazaret-data", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(failed)?;
    let mut written = 0;
    while written < bytes.len() {
        written += rustix::io::pwrite(&file, &bytes[written..], written as u64).map_err(failed)?;
    }
    Ok(file)
}
