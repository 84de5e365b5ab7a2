//! Takes in the calls of one run, one after the other, and says what to answer.

use super::memory::Memory;
use super::recorder::{self, CallEntry, CallKey, PathKey, Recorder};
use super::resolve::Resolver;
use super::usage::Usage;
use super::{image, look, question};
use crate::learn::image::Image;
use crate::record::{Access, Answered, Origin, PathKind};
use lazaret_filter::{Action, Arch, Call, Filter, table};
use lazaret_inspect::{Address, AddressRole, InspectError, PathAccess, PathUse, Thread};
use lazaret_sys::seccomp::{Answer, Notification};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::net::{SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

const ENOSYS: i32 = 38;
const EPERM: i32 = 1;
const EAFNOSUPPORT: i32 = 97;
const AF_VSOCK: u64 = 40;
const DNS: u16 = 53;
/// What a DNS message over UDP has at most without extensions, of which a question has few.
const MESSAGE: usize = 512;

/// What is known of a call by its number.
#[derive(Debug)]
pub(super) struct Numbered {
    name: &'static str,
    pub(super) looks: &'static [look::Look],
    kind: Kind,
    has_path: bool,
    /// Whether its first argument is a descriptor in use, from which the number of open ones is seen.
    has_descriptor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Execute,
    EndThread,
    EndProcess,
    /// It names an address or sends a message.
    Socket,
    /// No policy of the jail lets it through.
    Never(i32),
}

/// What is known of each number of this architecture.
pub(super) fn numbered(arch: Arch) -> Vec<Option<Numbered>> {
    let newest = usize::try_from(table::newest(arch)).unwrap_or(0);
    let mut all: Vec<Option<Numbered>> = (0..=newest).map(|_| None).collect();
    for (number, name) in table::iter(arch) {
        let kind = match name {
            "execve" | "execveat" => Kind::Execute,
            "exit" => Kind::EndThread,
            "exit_group" => Kind::EndProcess,
            "bind" | "connect" | "sendto" | "sendmsg" | "sendmmsg" => Kind::Socket,
            // As in the jail: C libraries fall back to `clone`, and programs to ordinary calls.
            "clone3" => Kind::Never(ENOSYS),
            "io_uring_setup" | "io_uring_enter" | "io_uring_register" => Kind::Never(EPERM),
            _ => Kind::Plain,
        };
        let has_descriptor = matches!(
            name,
            "read"
                | "write"
                | "readv"
                | "writev"
                | "pread64"
                | "pwrite64"
                | "fstat"
                | "lseek"
                | "fcntl"
                | "ioctl"
                | "getdents64"
                | "recvmsg"
                | "sendto"
                | "connect"
                | "ftruncate"
                | "fsync"
        );
        let has_path = lazaret_inspect::path_calls().any(|call| call == name);
        if let Some(place) = usize::try_from(number).ok().and_then(|number| all.get_mut(number)) {
            *place = Some(Numbered { name, looks: look::looks(name), kind, has_path, has_descriptor });
        }
    }
    all
}

/// What does not change from run to run.
#[derive(Debug)]
pub(super) struct Fixed<'a> {
    pub(super) arch: Arch,
    pub(super) numbered: &'a [Option<Numbered>],
    /// What the base decides; `None`: there is none.
    pub(super) base: Option<&'a Filter>,
    /// The directory that the run's own directories are in.
    pub(super) scene: &'a Path,
}

#[derive(Debug)]
struct Process {
    tid: u32,
    descriptor: OwnedFd,
    image: Image,
    /// It asked to be another program, and nothing was heard of it since.
    executing: bool,
}

/// One run.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    fixed: &'a Fixed<'a>,
    recorder: &'a mut Recorder,
    resolver: &'a mut Resolver,
    /// The first process, until it has become the program: what it does is Lazaret's own.
    launching: Launch,
    processes: Vec<Process>,
    /// Threads, by the index of their process.
    threads: FxHashMap<u32, usize>,
    /// Descriptors, of processes, that are connected to port 53.
    resolvers: FxHashSet<(usize, u32)>,
    pub(super) usage: Usage,
    pub(super) memory: Memory,
    /// Calls of which memory could not be read.
    pub(super) unread: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Launch {
    /// Before its execve.
    Before(u32),
    /// Its execve was let through.
    Executing(u32),
    Done,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        fixed: &'a Fixed<'a>,
        recorder: &'a mut Recorder,
        resolver: &'a mut Resolver,
        first: u32,
    ) -> Self {
        Self {
            fixed,
            recorder,
            resolver,
            launching: Launch::Before(first),
            processes: Vec::new(),
            threads: FxHashMap::default(),
            resolvers: FxHashSet::default(),
            usage: Usage::default(),
            memory: Memory::default(),
            unread: 0,
        }
    }

    /// A call waits. Says what to answer.
    pub(super) fn call(&mut self, listener: BorrowedFd<'_>, call: &Notification) -> Answer {
        let numbered = usize::try_from(call.number).ok().and_then(|number| self.fixed.numbered.get(number)?.as_ref());
        match (self.launching, numbered.map(|numbered| numbered.kind)) {
            (Launch::Before(pid), Some(Kind::Execute)) if pid == call.pid => {
                self.launching = Launch::Executing(pid);
                return Answer::Continue;
            }
            (Launch::Before(pid), _) if pid == call.pid => return Answer::Continue,
            (Launch::Executing(pid), _) if pid == call.pid => self.launching = Launch::Done,
            _ => {}
        }
        let thread = Thread::new(listener, call);
        let Some(process) = self.process(&thread, call.pid) else { return Answer::Continue };
        let native = call.arch == self.fixed.arch.audit();
        let (Some(numbered), true) = (numbered, native) else { return self.unknown(process, call) };
        let image = &self.processes[process].image;
        let (program, by) = (image.program, image.origin(call.instruction_pointer));
        let errno = self.note(numbered, call, program, by);
        if numbered.has_descriptor {
            self.usage.descriptor(call.args[0]);
        }
        self.memory.note(numbered.name, call);
        if numbered.has_path {
            self.paths(listener, process, call, program, by);
        }
        match numbered.kind {
            Kind::Execute => {
                self.usage.ends(process, self.processes[process].tid);
                self.processes[process].executing = true;
            }
            Kind::EndThread => self.thread_ends(call.pid),
            Kind::EndProcess => self.process_ends(process),
            Kind::Socket => self.addresses(listener, process, call),
            Kind::Plain if numbered.name == "write" => self.written(listener, process, call),
            Kind::Plain | Kind::Never(_) => {}
        }
        if errno == 0 { Answer::Continue } else { Answer::Errno(errno) }
    }

    /// The call as such. Returns the errno to answer with, 0 for none.
    fn note(&mut self, numbered: &Numbered, call: &Notification, program: usize, by: Origin) -> i32 {
        let values = recorder::values(numbered, &call.args);
        let key = CallKey { number: call.number, foreign: false, program, by, values };
        let fixed = self.fixed;
        let entry = self.recorder.call(key, |_| {
            let vsock = numbered.name == "socket" && call.args[0] & u64::from(u32::MAX) == AF_VSOCK;
            let (answered, errno) = match numbered.kind {
                Kind::Never(errno) => (Answered::Never, errno),
                _ if vsock => (Answered::Never, EAFNOSUPPORT),
                _ => fixed.base.map_or((Answered::Made, 0), |base| silenced(base, call)),
            };
            CallEntry { name: numbered.name.to_owned(), example: call.args, answered, errno }
        });
        entry.errno
    }

    /// A call that no table has, or in the manner of another architecture: as in the jail it does not exist.
    fn unknown(&mut self, process: usize, call: &Notification) -> Answer {
        let image = &self.processes[process].image;
        let (program, by) = (image.program, image.origin(call.instruction_pointer));
        let foreign = call.arch != self.fixed.arch.audit();
        let key = CallKey { number: call.number, foreign, program, by, values: [0; recorder::MOST_LOOKS] };
        self.recorder.call(key, |_| CallEntry {
            name: if foreign { format!("#{} (foreign)", call.number) } else { format!("#{}", call.number) },
            example: call.args,
            answered: Answered::Never,
            errno: ENOSYS,
        });
        Answer::Errno(ENOSYS)
    }

    /// The process that the thread belongs to, with its present image.
    fn process(&mut self, thread: &Thread<'_>, tid: u32) -> Option<usize> {
        let known = match self.threads.get(&tid) {
            Some(process) => *process,
            None => self.meet(thread, tid)?,
        };
        if self.processes[known].executing {
            self.processes[known].executing = false;
            self.usage.begins(known);
            self.memory.note_file(&format!("/proc/{tid}/exe"));
            if let Some(image) = image::read(tid, |path| self.recorder.program(path)).filter(|_| thread.is_waiting()) {
                self.processes[known].image = image;
            }
        }
        Some(known)
    }

    /// A thread that was not heard of before.
    fn meet(&mut self, thread: &Thread<'_>, tid: u32) -> Option<usize> {
        let leader = image::leader(tid)?;
        let process = match self.threads.get(&leader).filter(|_| leader != tid) {
            Some(process) => *process,
            None => {
                let pid = Pid::from_raw(leader.try_into().ok()?)?;
                let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
                let image = image::read(leader, |path| self.recorder.program(path))?;
                let process = self.processes.len();
                self.processes.push(Process { tid: leader, descriptor, image, executing: false });
                self.threads.insert(leader, process);
                self.usage.begins(process);
                self.usage.thread_begins();
                self.memory.note_file(&format!("/proc/{leader}/exe"));
                process
            }
        };
        if !thread.is_waiting() {
            return None;
        }
        if leader != tid {
            self.threads.insert(tid, process);
            self.usage.thread_begins();
        }
        Some(process)
    }

    fn thread_ends(&mut self, tid: u32) {
        if self.threads.remove(&tid).is_some() {
            self.usage.threads_end(1);
        }
    }

    fn process_ends(&mut self, process: usize) {
        self.usage.ends(process, self.processes[process].tid);
        let before = self.threads.len();
        self.threads.retain(|_, of| *of != process);
        self.usage.threads_end(before - self.threads.len());
        self.resolvers.retain(|(of, _)| *of != process);
    }

    fn paths(&mut self, listener: BorrowedFd<'_>, process: usize, call: &Notification, program: usize, by: Origin) {
        let asked = as_call(call);
        let paths = self.memory.read(listener, call, move |thread| lazaret_inspect::paths(thread, &asked));
        let Some(paths) = self.count_unread(paths) else { return };
        for PathUse { absolute, access, follow, .. } in paths {
            let Some(path) = absolute else { continue };
            if path.starts_with(self.fixed.scene) {
                if matches!(access, PathAccess::Remove) {
                    self.usage.removed(&path);
                }
                continue;
            }
            // Where the run's own directories lie is of no interest.
            if self.fixed.scene.starts_with(&path) {
                continue;
            }
            let path = image::own(path, self.processes[process].tid);
            if access == PathAccess::Execute {
                for interpreter in self.resolver.interpreters(&path).to_vec() {
                    self.path(PathKey { path: interpreter, access: Access::Execute, follow: true, by, program });
                }
            }
            self.path(PathKey { path, access: access.into(), follow, by, program });
        }
    }

    /// What the launch itself needs: the program, and what the kernel opens to execute it.
    pub(super) fn launched(&mut self, path: &Path, main: &Path) {
        let program = self.recorder.program(main);
        let mut paths = self.resolver.interpreters(path).to_vec();
        paths.push(path.to_owned());
        for path in paths {
            let (access, by) = (Access::Execute, Origin::Program);
            self.path(PathKey { path, access, follow: true, by, program });
        }
    }

    fn path(&mut self, key: PathKey) {
        let (resolver, scene) = (&mut *self.resolver, self.fixed.scene);
        self.recorder.path(key, |key| {
            let lead = resolver.lead(&key.path, key.follow);
            if lead.steps.last().is_some_and(|last| last.starts_with(scene)) {
                return (vec![std::path::PathBuf::from("/tmp")], PathKind::Directory);
            }
            match lead.kind {
                // What is to be made is not there yet; that it cannot be made is news all the same.
                PathKind::Absent if key.access == Access::Write => (vec![key.path.clone()], PathKind::File),
                kind => (lead.steps.clone(), kind),
            }
        });
    }

    fn addresses(&mut self, listener: BorrowedFd<'_>, process: usize, call: &Notification) {
        let asked = as_call(call);
        let uses = self.memory.read(listener, call, move |thread| lazaret_inspect::addresses(thread, &asked));
        let Some(uses) = self.count_unread(uses) else { return };
        let socket = descriptor(call);
        let mut asks = self.resolvers.contains(&(process, socket));
        for address in uses {
            let port = match &address.address {
                Address::Inet(inet) => inet.port(),
                Address::Inet6(inet) => inet.port(),
                _ => 0,
            };
            let is_inet = matches!(&address.address, Address::Inet(_) | Address::Inet6(_));
            let role = match address.role {
                AddressRole::Bind if is_inet && self.has_datagrams(process, socket) => "receive",
                AddressRole::Bind => "bind",
                // No connection: it is where the socket sends to.
                AddressRole::Connect if is_inet && self.has_datagrams(process, socket) => "send",
                AddressRole::Connect => "connect",
                AddressRole::Send => "send",
            };
            if address.role == AddressRole::Connect {
                if port == DNS {
                    self.resolvers.insert((process, socket));
                } else {
                    self.resolvers.remove(&(process, socket));
                }
            }
            asks |= port == DNS && address.role == AddressRole::Send;
            if !matches!(address.address, Address::Unspecified) {
                self.recorder.host(address.address.to_string(), role);
            }
        }
        let name = self.name_of(call);
        if asks && name != "connect" {
            let args = call.args;
            let messages = self.memory.read(listener, call, move |thread| Ok(messages(thread, name, &args)));
            for (at, length) in messages.unwrap_or_default() {
                self.ask(listener, call, at, length);
            }
        }
    }

    fn has_datagrams(&self, process: usize, socket: u32) -> bool {
        let pidfd = &self.processes[process].descriptor;
        let socket = rustix::process::pidfd_getfd(pidfd, socket.cast_signed(), PidfdGetfdFlags::empty());
        socket.is_ok_and(|socket| sockopt::socket_type(&socket) == Ok(SocketType::DGRAM))
    }

    fn name_of(&self, call: &Notification) -> &'static str {
        table::name(self.fixed.arch, call.number).unwrap_or("")
    }

    /// write(2), which may be a question to a name server.
    fn written(&mut self, listener: BorrowedFd<'_>, process: usize, call: &Notification) {
        if self.resolvers.contains(&(process, descriptor(call))) {
            self.ask(listener, call, call.args[1], call.args[2]);
        }
    }

    fn ask(&mut self, listener: BorrowedFd<'_>, call: &Notification, at: u64, length: u64) {
        let name = self.memory.read(listener, call, move |thread| {
            let mut message = vec![0; usize::try_from(length).unwrap_or(MESSAGE).min(MESSAGE)];
            let read = thread.read(at, &mut message)?;
            Ok(question::name(&message[..read]).filter(|_| thread.is_waiting()))
        });
        if let Ok(Some(name)) = name {
            self.recorder.name(name);
        }
    }

    fn count_unread<T>(&mut self, found: Result<T, InspectError>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(InspectError::Denied(_)) => {
                self.unread += 1;
                None
            }
            // The call went away: it was not made.
            Err(_) => None,
        }
    }

    /// Kills whatever is left and waits for it to be gone.
    pub(super) fn end(&mut self, patience: std::time::Duration) {
        for process in &self.processes {
            match rustix::process::pidfd_send_signal(&process.descriptor, Signal::KILL) {
                // One that is gone needs no killing, and one that is not this user's (a set-user-id program, which gains
                // nothing here) ends with its listener.
                Ok(()) | Err(_) => {}
            }
        }
        let until = std::time::Instant::now() + patience;
        for process in &self.processes {
            super::run::wait_until(&process.descriptor, until);
        }
    }
}

fn as_call(call: &Notification) -> Call {
    Call { audit_arch: call.arch, nr: call.number, args: call.args }
}

#[expect(clippy::cast_possible_truncation, reason = "the high half of an int's register has no meaning")]
fn descriptor(call: &Notification) -> u32 {
    call.args[0] as u32
}

/// What the base has fail silently fails here too, so that the program does what it will do in the jail.
fn silenced(base: &Filter, call: &Notification) -> (Answered, i32) {
    match base.decide(&as_call(call)).action {
        Action::Errno(errno) => (Answered::Silenced, errno.into()),
        _ => (Answered::Made, 0),
    }
}

/// Where the messages that a sending call names lie, and how long they are.
///
/// Source: sendmsg(2), struct msghdr: the vectors are at 16, their number at 24.
fn messages(thread: &Thread<'_>, name: &str, args: &[u64; 6]) -> Vec<(u64, u64)> {
    const MMSGHDR: u64 = 64;
    const MOST: u64 = 4;
    let pair = |at: u64| {
        let mut bytes = [0; 16];
        let read = thread.read(at, &mut bytes).unwrap_or(0);
        let half = |from: usize| u64::from_ne_bytes(bytes[from..from + 8].try_into().unwrap_or_default());
        (read == bytes.len()).then(|| (half(0), half(8)))
    };
    let of_header = |header: u64| {
        let (vectors, count) = pair(header.checked_add(16)?)?;
        if count == 0 { None } else { pair(vectors) }
    };
    match name {
        "sendto" => vec![(args[1], args[2])],
        "sendmsg" => of_header(args[1]).into_iter().collect(),
        "sendmmsg" => {
            let headers = (0..args[2].min(MOST)).map_while(|at| args[1].checked_add(at * MMSGHDR));
            headers.filter_map(of_header).collect()
        }
        _ => Vec::new(),
    }
}
