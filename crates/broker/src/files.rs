//! Files by path: a job's calls that name files, made for it beneath the roots that it may use.
//!
//! # What decides
//!
//! The path is copied once. The copy is followed from descriptor to descriptor (`walk`), and what counts is the root
//! beneath which it was found: [`Roots`](Root) give access to places, and a place outside of them does not exist or is
//! refused, with the same answer whether something is there or not. What was found is opened, or changed, through its
//! descriptor. Wherever directories are moved meanwhile, a walk stays beneath the roots that it began at; a directory
//! that is moved out of a root while it is walked through counts as beneath it until the walk is over, as it would for
//! a process that has it open.
//!
//! Directories above roots can be walked through and looked at. They are not listed, and nothing else in them exists.
//!
//! # What descriptors are worth
//!
//! A descriptor of a file is the file: whoever has it may read or write as it was opened, and needs no broker.
//! Descriptors may be sent to a job or by it (SCM_RIGHTS), which therefore takes nothing and gives nothing. A
//! descriptor of a directory is a place where a path begins. It is looked up where that directory is in the job's
//! tree, and where it is none of it, every path from there is refused. The current directory is the same: so chdir(2)
//! is decided on for the sake of its answer, and made by the kernel, by then perhaps for another directory, which is
//! worth nothing. fchdir(2) is not put to the broker. What an owner may do through a
//! descriptor that is open for reading alone (fchmod(2), fchown(2), fsetxattr(2)) is put to the broker too.
//!
//! The kernel lets nobody put a descriptor that is opened with O_PATH into another process by its listener. Who asks
//! for one of a directory or file gets one for reading, where the roots permit that.
//!
//! # Executing
//!
//! A program cannot be executed for another process. The copy is decided on, so that the job has an answer as for any
//! path, and where [`Exec::Held`] says that something else holds what is executed, the kernel makes the call. The job
//! can change the path between the two: the rule that holds is the other one, Landlock's right to execute. Without
//! such a rule, executing is refused. That rule stays as it was when the job began: of [`Files::restrict`] it knows
//! nothing, so a later phase in which nothing may be executed has to be one whose roots have no right to it at all.
//!
//! # What it needs
//!
//! - A filter that puts all of [`calls`] to the supervisor, or refuses them, and whose listener was made with
//!   `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19): otherwise a signal has a call made once more that was made
//!   already, and a second mkdir(2) fails.
//! - openat2(2), Linux 5.6, and /proc in this process's own tree.
//! - Roots of file systems that answer by themselves. A server of files (FUSE, NFS) is asked when a file is opened,
//!   and this process waits for it. Leases, FIFOs and devices do not hold it up.
//!
//! # What differs from the kernel's own calls
//!
//! - Permission to search is asked for beneath a root, not in the directories above it.
//! - The caller's mask on modes is taken off where a default access list would take its place.
//! - `fs.protected_symlinks`, `fs.protected_regular` and `fs.protected_fifos` are not looked at.
//! - A FIFO that would be waited for is refused, a lease that would be waited for is `EAGAIN`.
//! - openat2(2) with a bound on the walk opens, and makes nothing; extended attributes of others than `user.` and
//!   access lists are not changed; devices are not made; a walk has a bound of its own on its length.
//! - O_PATH, as said above, and O_NOFOLLOW are not among the flags that fcntl(2) tells.
//! - What the kernel remembers of files that are made or looked for counts to this process's memory, not the job's.

mod act;
mod change;
mod identity;
mod look;
mod memory;
mod open;
mod path;
mod proc;
mod refusal;
mod registers;
mod request;
mod root;
mod shortcut;
mod walk;

pub use identity::{Identity, IdentityError, Taken};
pub use memory::Memory;
pub use proc::Processes;
pub use refusal::{Outside, Refused, Why};
pub use root::{Access, Root, RootError};

use crate::caller::{Caller, CallerError, Reply};
use act::{Act, Done};
use lazaret_filter::{Action, Arch, Call, table};
use lazaret_inspect::Reader;
use memory::Remote;
use refusal::Stop;
use request::Request;
use root::Roots;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use walk::Walker;

/// Who holds what a job executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exec {
    /// Nobody: nothing is executed.
    Refused,
    /// A wall that does not depend on the job's memory, and lets it execute what the roots have for that alone:
    /// Landlock.
    Held,
    /// As [`Exec::Held`], and of that nothing which the roots have for writing: roots add to each other, so one that gives
    /// a right to execute gives it to those within too.
    Shown,
}

/// The file tree of a job, and how its files are used.
#[derive(Debug)]
pub struct Setting {
    /// The root directory that the job's paths begin at, opened with O_PATH.
    pub tree: OwnedFd,
    /// What of it the job may use.
    pub roots: Vec<Root>,
    /// What it is told of the rest.
    pub outside: Outside,
    /// Who holds what it executes.
    pub exec: Exec,
    /// As whom its files are used.
    pub identity: Identity,
    /// Which processes it may look at, where a root has /proc.
    pub processes: Processes,
    /// How its memory is read.
    pub memory: Memory,
}

/// Makes calls on files for one job.
#[derive(Debug)]
pub struct Files {
    roots: Roots,
    outside: Outside,
    exec: Exec,
    identity: Identity,
    processes: Processes,
    memory: Memory,
    /// The job's ids, as long as the calling thread has them.
    held: Option<Taken>,
    /// The calls that are put to the supervisor, by number.
    taken: Vec<Option<&'static str>>,
}

/// Whoever forgets to rest does not stay the job's user.
impl Drop for Files {
    fn drop(&mut self) {
        if self.rest().is_err() {}
    }
}

/// What is to be answered.
#[derive(Debug)]
pub enum Outcome {
    /// This.
    Reply(Reply),
    /// The kernel makes the call, as it stands in the job's memory by then: chdir(2), and with [`Exec::Held`] or
    /// [`Exec::Shown`] an execution.
    GoOn,
}

/// What came of a call.
#[derive(Debug)]
pub struct Made {
    /// What is to be answered.
    pub outcome: Outcome,
    /// What was refused by the roots, and not by the kernel.
    pub refused: Option<Refused>,
}

/// Why nothing comes of a call. Unless it is gone, the job cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Nobody waits for an answer any more.
    #[error("the call no longer waits")]
    Gone,
    /// The job cannot be looked at, or has its memory waited for.
    #[error("cannot look at the caller of `{call}`")]
    Caller {
        /// The call.
        call: &'static str,
        /// Why.
        source: CallerError,
    },
    /// The job's user cannot be had, or not be left again.
    #[error("cannot make `{call}` for the job")]
    Identity {
        /// The call.
        call: &'static str,
        /// Why.
        source: IdentityError,
    },
}

/// The calls that have to be put to the supervisor, by name: all that take paths, and those on descriptors that an
/// owner may make without a right to write. What is not made for any job is among them, and refused.
pub fn calls() -> impl Iterator<Item = &'static str> {
    lazaret_inspect::path_calls().chain(request::ON_DESCRIPTORS.iter().copied())
}

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// Rules behind those of every policy whose files are brokered, so that none prevails over them.
///
/// Another tree of mounts would be walked as the job arranged it; a process is made by a call whose flags are in its
/// registers.
pub const RULES: &[(&str, Action)] = &[
    ("setns", Action::Refuse(EPERM)),
    ("unshare(flags & 0x10020000 != 0)", Action::Refuse(EPERM)),
    ("clone(flags & 0x10020000 != 0)", Action::Refuse(EPERM)),
    ("clone3", Action::Errno(ENOSYS)),
];

impl Files {
    /// Files as `setting` says.
    ///
    /// # Errors
    ///
    /// When a root cannot be used.
    pub fn new(setting: Setting) -> Result<Self, RootError> {
        let Setting { tree, roots, outside, exec, identity, processes, memory } = setting;
        let roots = Roots::new(Arc::new(tree), roots)?;
        let mut taken = Vec::new();
        for name in calls() {
            let Some(number) = Arch::native().and_then(|arch| table::number(arch, name)) else { continue };
            let Ok(number) = usize::try_from(number) else { continue };
            if taken.len() <= number {
                taken.resize(number + 1, None);
            }
            taken[number] = Some(name);
        }
        Ok(Self { roots, outside, exec, identity, processes, memory, held: None, taken })
    }

    /// Whether the call of this number, in the manner of this architecture, is one that is made here.
    pub fn takes(&self, number: u32) -> bool {
        self.name(number).is_some()
    }

    fn name(&self, number: u32) -> Option<&'static str> {
        *self.taken.get(usize::try_from(number).ok()?)?
    }

    /// Has only `roots` be used from now on: places that could be used before, with no more access than before.
    ///
    /// # Errors
    ///
    /// When a root cannot be used, or would give what was not given before. The roots are the old ones then.
    pub fn restrict(&mut self, roots: Vec<Root>) -> Result<(), RootError> {
        self.roots = self.roots.restrict(roots)?;
        Ok(())
    }

    /// Has nothing be executed from now on.
    pub fn refuse_execution(&mut self) {
        self.exec = Exec::Refused;
    }

    /// Has the calling thread use files as itself again. [`Files::make`] leaves it with the job's ids, as the next call is
    /// likely to be one on files too, and changing ids costs more than most of them: whoever does anything else meanwhile
    /// rests before.
    ///
    /// # Errors
    ///
    /// When the kernel does not have it so: the thread has the job's rights to files then.
    pub fn rest(&mut self) -> Result<(), IdentityError> {
        self.held.take().map_or(Ok(()), Taken::give_back)
    }

    /// Makes `call`, in which `caller` waits, on the one thread that makes all calls of a job. See [`Files::rest`].
    ///
    /// # Errors
    ///
    /// When nothing can be had of the caller, or the job's user cannot be had. The call was not made then, or nobody
    /// will know that it was.
    pub fn make(&mut self, caller: &Caller<'_>, reader: &mut Reader, call: &Call) -> Result<Made, FilesError> {
        let native = Arch::from_audit(call.audit_arch).is_some_and(|arch| Some(arch) == Arch::native());
        let Some(name) = self.name(call.nr).filter(|_| native) else {
            let outcome = Outcome::Reply(Reply::Errno(libc::ENOSYS));
            return Ok(Made { outcome, refused: None });
        };
        let mut remote = Remote { caller, reader, how: self.memory };
        let request = match request::decode(name, &call.args, &mut remote) {
            Ok(request) => request,
            Err(stop) => return self.stopped(name, None, stop),
        };
        let mut act = Act {
            roots: &self.roots,
            caller,
            walker: Walker::new(&self.roots, caller, self.processes),
            exec: self.exec,
            processes: self.processes,
            sees_like_the_job: self.identity == Identity::Own,
        };
        if self.held.is_none() && self.identity != Identity::Own {
            let taken = self.identity.take().map_err(|source| FilesError::Identity { call: name, source })?;
            self.held = Some(taken);
        }
        let done = act.make(&request);
        let outcome = match done {
            Ok(Done::Value(value)) => Outcome::Reply(Reply::Value(value)),
            Ok(Done::Descriptor { object, cloexec }) => Outcome::Reply(Reply::Descriptor { object, cloexec }),
            Ok(Done::GoOn) => Outcome::GoOn,
            Ok(Done::Write { into, bytes, value }) => match remote.write(into, &bytes) {
                Ok(()) => Outcome::Reply(Reply::Value(value)),
                Err(error) => return self.stopped(name, Some(&request), error.into()),
            },
            Err(stop) => return self.stopped(name, Some(&request), stop),
        };
        Ok(Made { outcome, refused: None })
    }

    fn stopped(&self, call: &'static str, request: Option<&Request>, stop: Stop) -> Result<Made, FilesError> {
        let (errno, refused) = match stop {
            Stop::Errno(errno) => (errno, None),
            Stop::Caller(CallerError::Gone) => return Err(FilesError::Gone),
            // As where there is no memory.
            Stop::Caller(CallerError::Late) => (libc::EFAULT, None),
            Stop::Caller(source) => return Err(FilesError::Caller { call, source }),
            Stop::Refused { why, at } => {
                let written = request.and_then(|request| request.paths().next()).map(|at| at.path.clone());
                let written = written.map(|path| PathBuf::from(OsString::from_vec(path)));
                let path = at.map(|guest| guest.to_path()).or(written).unwrap_or_default();
                let errno = match request {
                    Some(Request::Never { errno, .. }) => *errno,
                    _ => why.errno(self.outside),
                };
                (errno, Some(Refused { call, path, why }))
            }
        };
        Ok(Made { outcome: Outcome::Reply(Reply::Errno(errno)), refused })
    }
}
