//! Makes one job's calls on files, and has its work begin.

use super::{FilesPlan, RootPlan, WorkPlan};
use crate::inputs::memory_file;
use lazaret_broker::files::{Files, FilesError, Identity, Memory, Outcome, Refused, Root, Setting, Why};
use lazaret_broker::{Caller, Reply, Together};
use lazaret_filter::Call;
use lazaret_inspect::Reader;
use lazaret_policy::{Begins, FileRefusal, FilesReport, WorkReport};
use lazaret_sys::seccomp::Notification;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, SealFlags, StatxFlags, fcntl_add_seals};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How many different refusals are kept; more are counted.
const KEPT: usize = 64;

/// Who makes one job's calls on files.
#[derive(Debug)]
pub struct FileHands {
    plan: FilesPlan,
    identity: Identity,
    memory: Memory,
    /// Where the inputs are, and what is there, once that was looked at.
    inputs: Vec<PathBuf>,
    are_inputs: Vec<Object>,
    reader: Reader,
    files: Option<Files>,
    together: Together,
    tree: Option<OwnedFd>,
    own: Own,
    /// When the work began, and what began it.
    began: Option<(Instant, Begins)>,
    made: u64,
    refused: Vec<FileRefusal>,
    dropped: u64,
}

/// What something is, wherever it is.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    device: (u32, u32),
    inode: u64,
}

impl Object {
    fn of(object: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = rustix::fs::statx(object, "", flags, StatxFlags::INO)?;
        Ok(Self { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
    }
}

impl FileHands {
    pub(super) fn new(plan: FilesPlan, identity: Identity, memory: Memory, inputs: Vec<PathBuf>) -> Self {
        Self {
            plan,
            identity,
            memory,
            inputs,
            are_inputs: Vec::new(),
            reader: Reader::of_memory_that_is_there(),
            files: None,
            together: Together::default(),
            tree: None,
            own: Own::default(),
            began: None,
            made: 0,
            refused: Vec::new(),
            dropped: 0,
        }
    }

    /// Whether the job has a second phase.
    pub fn has_phases(&self) -> bool {
        self.plan.work.is_some()
    }

    /// Has this thread use files as itself again, and lets go of the job's thread that is kept together with it.
    ///
    /// # Errors
    ///
    /// When the kernel does not have it so.
    pub fn rest(&mut self) -> io::Result<()> {
        self.together.part();
        self.files.as_mut().map_or(Ok(()), |files| files.rest().map_err(io::Error::other))
    }

    /// When to [rest](Self::rest) at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.together.due()
    }

    /// Makes the call that `notification` tells of, which was received from `listener`, and answers it.
    ///
    /// # Errors
    ///
    /// When it cannot be known what would come of it: the job is to be ended.
    pub fn make(&mut self, listener: BorrowedFd<'_>, notification: &Notification) -> io::Result<()> {
        let caller = Caller::new(listener, notification);
        if self.files.is_none() && !self.open(&caller)? {
            return Ok(());
        }
        let call = Call { audit_arch: notification.arch, nr: notification.number, args: notification.args };
        let Some(files) = &mut self.files else { return Err(io::Error::other("there is no file tree")) };
        let made = match files.make(&caller, &mut self.reader, &call) {
            Ok(made) => made,
            Err(FilesError::Gone) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        };
        self.made += 1;
        if let Some(refused) = made.refused {
            self.record(refused);
        }
        match made.outcome {
            Outcome::GoOn => caller.go_on(),
            Outcome::Reply(reply) => {
                if let Reply::Descriptor { object, .. } = &reply
                    && self.is_awaited(object.as_fd())?
                {
                    self.begin_work(Begins::InputOpened)?;
                }
                self.together.answer(&caller, reply)
            }
        }
    }

    /// Has the work begin, because the job says so. Once begun it goes on.
    ///
    /// # Errors
    ///
    /// When what is left cannot be had: the job is to be ended.
    pub fn enter_work(&mut self, listener: BorrowedFd<'_>, notification: &Notification) -> io::Result<()> {
        let caller = Caller::new(listener, notification);
        if self.files.is_none() && !self.open(&caller)? {
            return Ok(());
        }
        self.begin_work(Begins::Told)
    }

    /// Whether `object`, which the job is about to have, is an input that its work begins with.
    fn is_awaited(&self, object: BorrowedFd<'_>) -> io::Result<bool> {
        let waits = self.plan.work.as_ref().is_some_and(|work| work.begins == Begins::InputOpened);
        if !waits || self.began.is_some() {
            return Ok(false);
        }
        Ok(self.are_inputs.contains(&Object::of(object)?))
    }

    fn begin_work(&mut self, by: Begins) -> io::Result<()> {
        let (Some(WorkPlan { roots, .. }), None) = (&self.plan.work, &self.began) else { return Ok(()) };
        let (Some(files), Some(tree)) = (&mut self.files, &self.tree) else {
            return Err(io::Error::other("there is no file tree"));
        };
        files.rest().map_err(io::Error::other)?;
        // Nothing is executed from here on: the wall that holds that is the first phase's.
        files.refuse_execution();
        let places = roots.iter().map(|root| self.own.place(tree, root)).collect::<io::Result<Vec<_>>>()?;
        if let Err(error) = files.restrict(places) {
            let link = roots.iter().find_map(|root| Some((&root.guest, link(tree, &root.guest)?)));
            return Err(link.map_or_else(
                || io::Error::other(error),
                |(guest, text)| {
                    let guest = guest.display();
                    io::Error::other(format!("`{guest}` of [phase.work] is a link to `{text}`: name what it leads to"))
                },
            ));
        }
        self.began = Some((Instant::now(), by));
        Ok(())
    }

    /// Opens the tree of the job, as whose first call waits. Returns whether it waits still.
    fn open(&mut self, caller: &Caller<'_>) -> io::Result<bool> {
        let root = format!("/proc/{}/root", caller.tid());
        let tree = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        if !caller.is_waiting() {
            return Ok(false);
        }
        let tree = tree?;
        self.own = Own::make(&self.plan.own)?;
        let roots = self.plan.roots.iter().map(|root| self.own.place(&tree, root)).collect::<io::Result<Vec<_>>>()?;
        for input in &self.inputs {
            self.are_inputs.push(Object::of(open_beneath(&tree, input)?.as_fd())?);
        }
        if self.memory == Memory::Bounded {
            self.reader = Reader::default();
        }
        let setting = Setting {
            tree: tree.try_clone()?,
            roots,
            outside: self.plan.outside,
            exec: self.plan.exec,
            identity: self.identity.clone(),
            processes: self.plan.processes,
            memory: self.memory,
        };
        self.files = Some(Files::new(setting).map_err(io::Error::other)?);
        self.tree = Some(tree);
        Ok(true)
    }

    fn record(&mut self, refused: Refused) {
        let Refused { call, path, why } = refused;
        let path = lazaret_policy::escape(path.as_os_str().as_bytes());
        let same = |known: &&mut FileRefusal| known.call == call && known.path == path && known.reason == why.text();
        if let Some(known) = self.refused.iter_mut().find(same) {
            known.count += 1;
        } else if self.refused.len() >= KEPT {
            self.dropped += 1;
        } else {
            let is_work = self.began.is_some();
            let suggestion = suggestion(&self.as_written(&path), why, is_work);
            let (call, reason) = (call.to_owned(), why.text().to_owned());
            self.refused.push(FileRefusal { call, path, reason, suggestion, count: 1 });
        }
    }

    /// `path` of the job, as policies name it.
    fn as_written(&self, path: &str) -> String {
        let job = self.plan.job_directory.as_path();
        let own = [(job.to_path_buf(), "/job"), (job.with_file_name("tmp"), "/tmp")];
        let moved = own.iter().find_map(|(place, own)| {
            let rest = Path::new(path).strip_prefix(place).ok()?;
            Some(Path::new(own).join(rest).display().to_string())
        });
        moved.unwrap_or_else(|| path.to_owned())
    }

    /// What was done, of a job whose command began at `started`.
    pub fn finish(self, started: Instant) -> FilesReport {
        let work = self.plan.work.as_ref().map(|_| WorkReport {
            began_us: self.began.map(|(at, _)| crate::outcome::micros(at.saturating_duration_since(started))),
            by: self.began.map(|(_, by)| by.name().to_owned()),
        });
        FilesReport { calls: self.made, work, refused: self.refused, refused_dropped: self.dropped }
    }
}

/// The line of a policy that would permit it, where one would. The job chose the path: one that would end the string in which
/// it stands, and say more, is no part of any policy.
fn suggestion(path: &str, why: Why, is_work: bool) -> Option<String> {
    if path.contains(['"', '\\']) {
        return None;
    }
    match (why, is_work) {
        (Why::Outside | Why::Read | Why::Above, true) => Some(format!("[phase.work] read = [\"{path}\"]")),
        (Why::Write, true) => Some(format!("[phase.work] write = [\"{path}\"]")),
        (Why::Outside, false) => Some(format!("[files] read = [\"{path}\"]")),
        (Why::Device, false) => Some(format!("[files] devices = [\"{path}\"]")),
        _ => None,
    }
}

/// What `guest` says, if it is a link.
fn link(tree: &OwnedFd, guest: &Path) -> Option<String> {
    let text = rustix::fs::readlinkat(tree, guest.strip_prefix("/").ok()?, Vec::new()).ok()?;
    Some(lazaret_policy::escape(text.as_bytes()))
}

/// The job's own files, in memory: their paths, as it names them.
#[derive(Debug, Default)]
struct Own(Vec<(PathBuf, OwnedFd)>);

impl Own {
    fn make(files: &[(PathBuf, String)]) -> io::Result<Self> {
        let made = files.iter().map(|(guest, content)| {
            let file = memory_file(content.as_bytes()).map_err(io::Error::other)?;
            // Whoever has it, also by a descriptor, reads it and no more.
            fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW)?;
            Ok((guest.clone(), file))
        });
        made.collect::<io::Result<_>>().map(Self)
    }

    fn place(&self, tree: &OwnedFd, root: &RootPlan) -> io::Result<Root> {
        let own = self.0.iter().find(|(guest, _)| *guest == root.guest);
        let place = own.map_or_else(|| open_beneath(tree, &root.guest), |(_, file)| file.try_clone())?;
        Ok(Root { guest: root.guest.clone(), place, access: root.access })
    }
}

/// What `guest` is in `tree`, with the tree's own links followed.
fn open_beneath(tree: &OwnedFd, guest: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(tree, guest, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    opened.map_err(|errno| {
        let source = io::Error::from(errno);
        io::Error::new(source.kind(), format!("`{}` of the job's tree: {source}", guest.display()))
    })
}
