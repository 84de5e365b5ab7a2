//! Walks the steps of a launch block. No allocation, no locks, no formatting: each step is one system call.

use crate::format::{Header, List, NO_SLOT, Outcome, Program, Span, Step, kind, op};
use crate::raw::{self, nr};
use crate::{bury, maps, process_one, reap};
use core::mem::{offset_of, size_of};

const CLONE_PARENT: u64 = 0x8000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_FILES: u64 = 0x400;
const SIGCHLD: u64 = 17;
const ENOENT: i64 = -2;
const ENOTDIR: i64 = -20;
const ETIMEDOUT: i64 = -110;

/// Values of [`Outcome::mapped`].
const MAPPED: u32 = 1;
const NEVER_MAPPED: u32 = 2;
/// How long process 1 waits for its ids.
const MAPS_PATIENCE_S: u64 = 10;

/// A launch block mapped at `base`.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    base: *mut u8,
}

/// A step failed; the outcome tells which, and walking ends.
pub(crate) struct Failed;

impl Block {
    /// Takes the block at `base`.
    ///
    /// # Safety
    ///
    /// `base` must be the page-aligned start of a whole, valid launch block that stays mapped, writable, for good.
    pub(crate) unsafe fn at(base: *mut u8) -> Self {
        Self { base }
    }

    /// The address of block offset `at`.
    pub(crate) fn address(&self, at: u64) -> u64 {
        self.base as u64 + at
    }

    fn read<T: Copy>(&self, at: u64) -> T {
        // SAFETY: every offset in a block was laid out by the parent within it, aligned for its type.
        unsafe { core::ptr::read(self.address(at) as *const T) }
    }

    fn write<T>(&self, at: u64, value: T) {
        // SAFETY: as for `read`; the mapping is writable and other processes only read what this one writes.
        unsafe { core::ptr::write_volatile(self.address(at) as *mut T, value) }
    }

    /// Writes one field of the outcome.
    pub(crate) fn tell<T>(&self, field: usize, value: T) {
        self.write((offset_of!(Header, outcome) + field) as u64, value);
    }

    /// Whether a list has any steps.
    pub(crate) fn has(&self, list: List) -> bool {
        self.span(list).count > 0
    }

    fn span(&self, list: List) -> Span {
        let span_at = offset_of!(Header, lists) + list as usize * size_of::<Span>();
        self.read(span_at as u64)
    }

    fn slot_at(slot: u64) -> u64 {
        offset_of!(Header, slots) as u64 + slot * size_of::<i32>() as u64
    }

    /// The descriptor in `slot`, -1 without one.
    pub(crate) fn slot(&self, slot: u64) -> i32 {
        self.read(Self::slot_at(slot))
    }

    /// Puts a descriptor into `slot`.
    pub(crate) fn fill(&self, slot: u64, descriptor: i32) {
        self.write(Self::slot_at(slot), descriptor);
    }

    /// Turns the offsets that structures hold into addresses of this mapping. Once per block.
    pub(crate) fn relocate(&self) {
        let places: Span = self.read(offset_of!(Header, relocations) as u64);
        for i in 0..u64::from(places.count) {
            let place = u64::from(self.read::<u32>(u64::from(places.at) + i * 4));
            let offset: u64 = self.read(place);
            self.write(place, self.address(offset));
        }
    }

    /// Walks one list to its end, or to the first step that fails.
    pub(crate) fn walk(&self, list: List) -> Result<(), Failed> {
        let span = self.span(list);
        let steps_at = u64::from(self.read::<u32>(offset_of!(Header, steps_at) as u64));
        for index in 0..span.count {
            let at = steps_at + u64::from(span.at + index) * size_of::<Step>() as u64;
            let step: Step = self.read(at);
            let answer = self.take(&step);
            let tolerated = step.tolerate == u16::MAX || -answer == i64::from(step.tolerate);
            if answer < 0 && !tolerated {
                self.tell(offset_of!(Outcome, failed_list), list as u32);
                self.tell(offset_of!(Outcome, failed_step), index);
                self.tell(offset_of!(Outcome, errno), (-answer) as i32);
                self.tell(offset_of!(Outcome, failed), 1_u32);
                return Err(Failed);
            }
            if step.save != NO_SLOT {
                self.fill(u64::from(step.save), answer as i32);
            }
        }
        Ok(())
    }

    fn take(&self, step: &Step) -> i64 {
        let mut args = step.args;
        for (arg, kind) in args.iter_mut().zip(step.kinds) {
            match kind {
                kind::ADDRESS => *arg = self.address(*arg),
                kind::SLOT => *arg = self.slot(*arg) as i64 as u64,
                _ => {}
            }
        }
        match step.call {
            op::MARK => self.mark(args[0]),
            op::CLONE_INIT => self.clone_init(args[0], args[1], args[2]),
            op::AWAIT_IDS => self.await_ids(),
            op::FORK_JOB => self.fork_job(),
            op::COPY => copy(args[0], args[1]),
            op::LIFELINE => lifeline(args[0]),
            op::DEFAULT_SIGNALS => default_signals(),
            op::LANDLOCK_RULE => landlock_rule(args),
            op::KEEP_CHILDREN => bury::keep(args[0], args[1]),
            op::SEND_SLOTS => self.send_slots(args[0], args[1], args[2]),
            number => {
                // SAFETY: the parent composed this step for exactly this call; its addresses lie in the block.
                unsafe { raw::call(u64::from(number), args) }
            }
        }
    }

    fn mark(&self, mark: u64) -> i64 {
        let mut now = [0_u64; 2];
        // SAFETY: CLOCK_MONOTONIC (1) and a writable timespec.
        let answer = unsafe { raw::call(nr::CLOCK_GETTIME, [1, (&raw mut now) as u64, 0, 0, 0, 0]) };
        let field = offset_of!(Outcome, marks) + mark as usize * 8;
        self.tell(field, now[0] * 1_000_000_000 + now[1]);
        answer
    }

    /// The child gets this process's parent as its own, so that the caller can wait for it and this process may go.
    fn clone_init(&self, flags: u64, map: u64, map_length: u64) -> i64 {
        // The kernel notes the id before the child runs: by the time process 1 speaks to the caller, it is there.
        let note = self.address((offset_of!(Header, outcome) + offset_of!(Outcome, init_pid)) as u64);
        // SAFETY: no CLONE_VM: the child gets a copy of this address space and goes on with this stack's copy. The id
        // is written into the block.
        let pid = unsafe { raw::call(nr::CLONE, [flags | CLONE_PARENT | CLONE_PARENT_SETTID, 0, note, 0, 0, 0]) };
        match pid {
            0 => process_one(*self),
            pid if pid > 0 && map == 0 => raw::exit(0),
            pid if pid > 0 => match maps::write(pid as u64, map, map_length) {
                0 => {
                    self.say_mapped(MAPPED);
                    raw::exit(0)
                }
                error => {
                    self.say_mapped(NEVER_MAPPED);
                    error
                }
            },
            error => error,
        }
    }

    fn mapped_at() -> u64 {
        (offset_of!(Header, outcome) + offset_of!(Outcome, mapped)) as u64
    }

    fn say_mapped(&self, state: u32) {
        self.write(Self::mapped_at(), state);
        // SAFETY: a word of the shared mapping; FUTEX_WAKE (1) of one waiter, in another process.
        unsafe { raw::call(nr::FUTEX, [self.address(Self::mapped_at()), 1, 1, 0, 0, 0]) };
    }

    /// Not forever: whoever should write the maps may have been killed.
    fn await_ids(&self) -> i64 {
        let patience = [MAPS_PATIENCE_S, 0_u64];
        let word = self.address(Self::mapped_at());
        loop {
            // SAFETY: an aligned word of the mapping, which another process writes.
            match unsafe { core::ptr::read_volatile(word as *const u32) } {
                MAPPED => return 0,
                NEVER_MAPPED => raw::exit(125),
                _ => {}
            }
            // SAFETY: a word of the shared mapping; FUTEX_WAIT (0) while it is 0, with a relative timespec.
            let answer = unsafe { raw::call(nr::FUTEX, [word, 0, 0, (&raw const patience) as u64, 0, 0]) };
            if answer == ETIMEDOUT {
                return answer;
            }
        }
    }

    /// CLONE_VFORK holds this process until the job's exec; CLONE_FILES lets it see the filter's listener.
    fn fork_job(&self) -> i64 {
        // SAFETY: no CLONE_VM, as above.
        let pid = unsafe { raw::call(nr::CLONE, [CLONE_FILES | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0, 0]) };
        if pid == 0 {
            if self.walk(List::Enter).is_ok() {
                self.execute();
            }
            let program: Program = self.read(offset_of!(Header, program) as u64);
            raw::exit_with(125, program.token)
        }
        if pid > 0 {
            self.tell(offset_of!(Outcome, forked), 1_u32);
        }
        reap::set_job(pid);
        pid.min(0)
    }

    /// Tries the candidates as execvp(3) does: the first that is not missing decides the error.
    fn execute(&self) {
        let program: Program = self.read(offset_of!(Header, program) as u64);
        self.tell(offset_of!(Outcome, reached_exec), 1_u32);
        let token = program.token;
        let (mut errno, mut which) = (-ENOENT, 0);
        for i in 0..program.candidates.count {
            let path: u64 = self.read(u64::from(program.candidates.at) + u64::from(i) * 8);
            let (argv, envp) = (self.address(program.argv_at.into()), self.address(program.envp_at.into()));
            // SAFETY: path, argv and envp are NUL-terminated and lie in the block.
            let answer = unsafe { raw::call(nr::EXECVE, [path, argv, envp, 0, 0, token]) };
            let missing = answer == ENOENT || answer == ENOTDIR;
            if !missing || (program.may_look == 1 && exists(path, token)) {
                (errno, which) = (-answer, i);
                self.tell(offset_of!(Outcome, exec_exists), 1_u32);
                if answer != -13 {
                    break;
                }
            }
        }
        self.tell(offset_of!(Outcome, exec_candidate), which);
        self.tell(offset_of!(Outcome, exec_errno), errno as i32);
    }

    /// One message with the descriptors of all filled slots, laid out on the stack: struct msghdr, iovec, cmsghdr.
    fn send_slots(&self, socket: u64, list: u64, count: u64) -> i64 {
        const MOST: usize = 8;
        let mut places = [0_u8; MOST];
        // A cmsghdr (length, level SOL_SOCKET = 1, type SCM_RIGHTS = 1) followed by the descriptors.
        let mut control = [0_u64; 2 + MOST / 2];
        let mut sent = 0_usize;
        for place in 0..(count as usize).min(MOST) {
            // SAFETY: `list` is the address of `count` bytes in the block.
            let slot = unsafe { core::ptr::read((list as usize + place) as *const u8) };
            let descriptor = self.slot(u64::from(slot));
            if descriptor >= 0 {
                let (word, shift) = (2 + sent / 2, 32 * (sent % 2));
                control[word] |= u64::from(descriptor as u32) << shift;
                places[sent] = place as u8;
                sent += 1;
            }
        }
        control[0] = 16 + 4 * sent as u64;
        control[1] = (1 << 32) | 1;
        let vector = [(&raw const places) as u64, sent as u64];
        let control_space = (16 + 4 * sent as u64).next_multiple_of(8);
        let message = [0, 0, (&raw const vector) as u64, 1, (&raw const control) as u64, control_space, 0];
        // SAFETY: the message and what it points to live on this stack until the call returns. MSG_NOSIGNAL.
        unsafe { raw::call(nr::SENDMSG, [socket, (&raw const message) as u64, 0x4000, 0, 0, 0]).min(0) }
    }
}

fn exists(path: u64, token: u64) -> bool {
    const AT_FDCWD: u64 = -100_i64 as u64;
    // SAFETY: `path` is NUL-terminated and lies in the block; mode F_OK.
    unsafe { raw::call(nr::FACCESSAT, [AT_FDCWD, path, 0, 0, 0, token]) == 0 }
}

/// The structure is packed: 8 bytes of rights, 4 of descriptor.
fn landlock_rule([ruleset, directory, kind, rights, ..]: [u64; 6]) -> i64 {
    let rule = [rights, directory & 0xffff_ffff];
    // SAFETY: the structure lives on this stack until the call returns.
    unsafe { raw::call(nr::LANDLOCK_ADD_RULE, [ruleset, kind, (&raw const rule) as u64, 0, 0, 0]) }
}

fn copy(to: u64, from: u64) -> i64 {
    loop {
        // SAFETY: two descriptors, no offset pointer, at most 1 GiB at once.
        let copied = unsafe { raw::call(nr::SENDFILE, [to, from, 0, 1 << 30, 0, 0]) };
        if copied <= 0 {
            return copied;
        }
    }
}

pub(crate) fn lifeline(socket: u64) -> i64 {
    const EOWNERDEAD: i64 = 130;
    // No events asked for: only that the other end is gone (POLLHUP) is told. A waiting message is none of that.
    let mut watch = socket & 0xffff_ffff;
    let at_once = [0_u64; 2];
    // SAFETY: ppoll with one pollfd (descriptor, events, revents in 8 bytes), a zero timespec, no mask.
    let ready = unsafe { raw::call(nr::POLL, [(&raw mut watch) as u64, 1, (&raw const at_once) as u64, 0, 0, 0]) };
    if ready == 0 { 0 } else { -EOWNERDEAD }
}

/// Ignored signals stay ignored through exec, so a caller that ignores SIGPIPE would make the job do so.
fn default_signals() -> i64 {
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: a zeroed kernel sigaction is SIG_DFL; refusals for SIGKILL and SIGSTOP do no harm.
        unsafe { raw::call(nr::SIGACTION, [signal, (&raw const default) as u64, 0, 8, 0, 0]) };
    }
    0
}
