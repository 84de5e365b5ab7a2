//! Why a call on files is not made.

use super::path::Guest;
use crate::caller::CallerError;
use std::path::PathBuf;

/// What the job is told of files that are not beneath its roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// That there are none: `ENOENT`.
    Absent,
    /// That it may not use them: `EACCES`, whether they exist or not.
    Denied,
}

/// Why the policy has a call refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// It is beneath no root.
    Outside,
    /// It is a directory on the way to a root: it can be gone through and looked at, not listed or changed.
    Above,
    /// The root gives no right to read.
    Read,
    /// The root gives no right to write.
    Write,
    /// The root gives no right to execute, or nothing else would hold a program that is executed.
    Execute,
    /// The job's user may not read the program: this process, which is that user's, could not look at what executes it, and
    /// so make no call for it. For a supervisor that is root it is executed.
    Unseen,
    /// It is a device, and no root of its own.
    Device,
    /// Opening a FIFO by its name may wait for good. With O_NONBLOCK, or for both directions, it does not.
    Fifo,
    /// It was to be opened with O_PATH, and cannot be for a job: only directories and files are, which it may read.
    Unopened,
    /// It would get more rights by its new place.
    Across,
    /// The name is that of a root, or of a directory on the way to one.
    Name,
    /// The call is made for no job.
    Call,
}

impl Why {
    /// As a sentence without its end, for a report.
    pub fn text(self) -> &'static str {
        match self {
            Self::Outside => "it is not beneath what the policy names",
            Self::Above => "it is a directory on the way to what the policy names, which is not listed or changed",
            Self::Read => "the policy gives no right to read it",
            Self::Write => "the policy gives no right to change it",
            Self::Execute => "it may not be executed",
            Self::Unseen => "a program that its user may not read would be out of the supervisor's sight",
            Self::Device => "it is a device that the policy does not name",
            Self::Fifo => "opening a FIFO by its name may wait for good",
            Self::Unopened => "it cannot be opened with O_PATH for a job",
            Self::Across => "it would get more rights by its new place",
            Self::Name => "the name is one of the policy's own",
            Self::Call => "the call is made for no job",
        }
    }

    pub(super) fn errno(self, outside: Outside) -> i32 {
        match self {
            Self::Outside => match outside {
                Outside::Absent => libc::ENOENT,
                Outside::Denied => libc::EACCES,
            },
            Self::Above | Self::Read | Self::Write | Self::Execute | Self::Unseen | Self::Device => libc::EACCES,
            Self::Fifo | Self::Unopened => libc::EOPNOTSUPP,
            Self::Across => libc::EXDEV,
            Self::Name => libc::EBUSY,
            Self::Call => libc::EPERM,
        }
    }
}

/// A call that was refused, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The call's name.
    pub call: &'static str,
    /// The path that it was refused for: where it leads, as far as it was followed; else as the job wrote it.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why an act does not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The kernel says so, or would.
    Errno(i32),
    /// The policy says so.
    Refused { why: Why, at: Option<Guest> },
    /// Nothing can be had of the caller.
    Caller(CallerError),
}

impl From<rustix::io::Errno> for Stop {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Errno(errno.raw_os_error())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<CallerError> for Stop {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Errno(errno) => Self::Errno(errno),
            other => Self::Caller(other),
        }
    }
}

pub(super) fn refuse<T>(why: Why, at: &Guest) -> Result<T, Stop> {
    Err(Stop::Refused { why, at: Some(at.clone()) })
}

pub(super) fn errno<T>(errno: i32) -> Result<T, Stop> {
    Err(Stop::Errno(errno))
}
