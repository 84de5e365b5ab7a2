//! Steps that every tier takes with a job: what process 1 does for it, and its own process up to the exec.

use super::{List, Part, Slot, Steps, Structure, Tolerate, Value, call, named, text};
use crate::bounds::Rlimit;
use crate::filter::FilterPlan;
use crate::program::Program;
use std::ffi::c_ulong;

/// What is known only when a job is admitted.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many cgroups process 1 joins, and with it the job.
    pub doors: usize,
    /// How many the job's process joins by itself.
    pub own_doors: usize,
    /// The inputs' names and modes, in order.
    pub inputs: Vec<(Vec<u8>, u32)>,
    /// Whether the job's program is to load the library that tells of its start.
    pub library: bool,
}

/// The slots that the caller fills for a job.
#[derive(Debug, Clone)]
pub struct Slots {
    /// Standard input.
    pub stdin: Slot,
    /// Standard output.
    pub stdout: Slot,
    /// Standard error.
    pub stderr: Slot,
    /// Process 1's doors, then the job's own.
    pub doors: Vec<Slot>,
    /// The inputs, in order.
    pub inputs: Vec<Slot>,
    /// The library that tells of the program's start.
    pub library: Option<Slot>,
}

impl Slots {
    /// Slots for all that `settings` speak of.
    pub fn new(steps: &mut Steps, settings: &Settings) -> Self {
        let input = |(name, _): &(Vec<u8>, u32)| format!("input {}", String::from_utf8_lossy(name));
        Self {
            stdin: steps.slot("stdin"),
            stdout: steps.slot("stdout"),
            stderr: steps.slot("stderr"),
            doors: (0..settings.doors + settings.own_doors).map(|i| steps.slot(format!("cgroup {i}"))).collect(),
            inputs: settings.inputs.iter().map(|named| steps.slot(input(named))).collect(),
            library: settings.library.then(|| steps.slot("library")),
        }
    }
}

/// The caller's own streams are none of the job's. The job's come in their place when there is a job.
pub fn leave_the_callers_streams(steps: &mut Steps, list: List) {
    let channel = steps.carried.channel;
    for number in 0..3 {
        let args = vec![Value::Descriptor(channel), Value::Number(number), Value::Number(0)];
        steps.add(list, Part::Process, call!(SYS_dup3), args);
    }
}

/// While there is CAP_SYS_RESOURCE: sudo(8) leaves a hard limit of 0. Where it is refused, the plan knows of it.
pub fn raise_the_bound_of_core_dumps(steps: &mut Steps, list: List) {
    let one = Structure::words("1", &[1, 1]);
    let args = vec![Value::Number(0), named!(RLIMIT_CORE), Value::Structure(one.into()), Value::Number(0)];
    steps.add(list, Part::Process, call!(SYS_prlimit64), args).tolerate(Tolerate::Anything);
}

/// The kernel kills this process when the caller dies; a caller that is dead already ends it now.
pub fn die_with_the_caller(steps: &mut Steps, list: List) {
    let death = vec![named!(PR_SET_PDEATHSIG), named!(SIGKILL)];
    steps.add(list, Part::Isolation, call!(SYS_prctl), death);
    end_if_the_caller_is_gone(steps, list);
}

/// A caller that is dead already ends this process.
pub fn end_if_the_caller_is_gone(steps: &mut Steps, list: List) {
    let channel = steps.carried.channel;
    steps.add(list, Part::Isolation, call!(op LIFELINE), vec![Value::Descriptor(channel)]);
}

/// A caller that ignores SIGCHLD passes that on through every execve, and then no child's end can be waited for:
/// waitpid(2), "NOTES".
pub fn see_children_end(steps: &mut Steps, list: List) {
    // The kernel's struct sigaction: handler SIG_DFL, flags, restorer, mask.
    let default = Structure::words("{SIG_DFL}", &[0; 4]);
    let args = vec![named!(SIGCHLD), Value::Structure(default.into()), Value::Number(0), Value::Number(8)];
    steps.add(list, Part::Isolation, call!(SYS_rt_sigaction), args);
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL): a new, empty keyring in place of the caller's. ENOSYS without keyrings.
pub fn leave_the_callers_keys(steps: &mut Steps, list: List) {
    let args = vec![Value::Named(1, "KEYCTL_JOIN_SESSION_KEYRING"), Value::Number(0)];
    steps.add(list, Part::Isolation, call!(SYS_keyctl), args).tolerate(Tolerate::Anything);
}

/// Writes `content` into the file `path` of the host's procfs.
pub fn write_file(steps: &mut Steps, list: List, part: Part, path: &str, content: String, tolerate: Tolerate) {
    let file = steps.scratch_slot();
    let flags = Value::Named((libc::O_WRONLY | libc::O_CLOEXEC) as u64, "O_WRONLY|O_CLOEXEC");
    steps.add(list, part, call!(SYS_openat), vec![named!(AT_FDCWD), text(path), flags]).save(file).tolerate(tolerate);
    let length = content.len() as u64;
    let args = vec![Value::Descriptor(file), text(content), Value::Number(length)];
    steps.add(list, part, call!(SYS_write), args).tolerate(tolerate);
    steps.add(list, part, call!(SYS_close), vec![Value::Descriptor(file)]).tolerate(tolerate);
}

/// The kernel shall rather kill a job than its caller.
pub fn die_before_the_caller(steps: &mut Steps, list: List) {
    let path = "/proc/self/oom_score_adj";
    write_file(steps, list, Part::Isolation, path, "1000".to_owned(), Tolerate::Anything);
}

/// The highest capability that any kernel can have: they are counted in 64 bits, and 41 exist as of Linux 6.18.
const LAST_CAPABILITY: u64 = 40;

/// capabilities(7): none to be had by executing. `tolerate` says what may fail: older kernels know fewer, and an ordinary
/// user can drop none.
pub fn drop_the_bounding_set(steps: &mut Steps, list: List, tolerate: Tolerate) {
    for capability in 0..=LAST_CAPABILITY {
        let args = vec![named!(PR_CAPBSET_DROP), Value::Number(capability)];
        steps.add(list, Part::Capabilities, call!(SYS_prctl), args).tolerate(tolerate);
    }
}

/// SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock.
pub fn lock_the_securebits(steps: &mut Steps, list: List, tolerate: Tolerate) {
    let bits = Value::Named(0xef, "NOROOT|NO_SETUID_FIXUP|NO_CAP_AMBIENT_RAISE, all locked");
    steps.add(list, Part::Capabilities, call!(SYS_prctl), vec![named!(PR_SET_SECUREBITS), bits]).tolerate(tolerate);
}

/// No program gains rights by being executed.
pub fn no_new_privileges(steps: &mut Steps, list: List) {
    let no_new =
        vec![named!(PR_SET_NO_NEW_PRIVS), Value::Number(1), Value::Number(0), Value::Number(0), Value::Number(0)];
    steps.add(list, Part::Capabilities, call!(SYS_prctl), no_new);
}

/// capabilities(7): none in any set.
pub fn no_capabilities(steps: &mut Steps, list: List) {
    let part = Part::Capabilities;
    let clear = vec![named!(PR_CAP_AMBIENT), named!(PR_CAP_AMBIENT_CLEAR_ALL)];
    steps.add(list, part, call!(SYS_prctl), clear);
    // struct __user_cap_header_struct: version 3, this process. Two struct __user_cap_data_struct of zeroes.
    let header = Structure::words("{version 3}", &[0x2008_0522]);
    let none = Structure::words("{no capability}", &[0, 0, 0]);
    steps.add(list, part, call!(SYS_capset), vec![Value::Structure(header.into()), Value::Structure(none.into())]);
}

/// The job's streams become standard input, output and error.
pub fn streams(steps: &mut Steps, list: List, slots: &Slots) {
    for (slot, number) in [(slots.stdin, 0), (slots.stdout, 1), (slots.stderr, 2)] {
        let args = vec![Value::Descriptor(slot), Value::Number(number), Value::Number(0)];
        steps.add(list, Part::Process, call!(SYS_dup3), args);
    }
}

/// Copies each input, so that the job has its own and the host's cannot change under it.
pub fn inputs(steps: &mut Steps, list: List, slots: &Slots, settings: &Settings) {
    let part = Part::Inputs;
    let directory = steps.carried.job_directory;
    for (slot, (name, mode)) in slots.inputs.iter().zip(&settings.inputs) {
        let file = steps.scratch_slot();
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let flags = Value::Named(flags as u64, "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC");
        let mode = Value::Number((*mode).into());
        let args = vec![Value::Descriptor(directory), text(name.clone()), flags, mode];
        steps.add(list, part, call!(SYS_openat), args).save(file);
        let copy = vec![Value::Descriptor(file), Value::Descriptor(*slot)];
        steps.add(list, part, call!(op COPY), copy);
        steps.add(list, part, call!(SYS_close), vec![Value::Descriptor(file)]);
    }
}

/// Forks the job's process, and gives the caller what it needs of the tier.
pub fn fork_and_hand_over(steps: &mut Steps, list: List) {
    steps.mark(list, Part::Fork);
    steps.add(list, Part::Fork, call!(op FORK_JOB), vec![]);
    let carried = steps.carried;
    let slots: Vec<u8> = carried.handed_over().iter().map(|slot| slot.0).collect();
    let count = slots.len() as u64;
    let slots = Structure {
        shown: "[job directory, scratch, mount namespace, listener, questions, question streams, requests]".into(),
        bytes: slots,
        addresses: vec![],
    };
    let args = vec![Value::Descriptor(carried.channel), Value::Structure(slots.into()), Value::Number(count)];
    steps.add(list, Part::Handover, call!(op SEND_SLOTS), args);
}

/// No descriptor stays open, the channel neither.
pub fn close_everything(steps: &mut Steps, list: List) {
    let all = vec![Value::Number(0), Value::Number(c_ulong::from(u32::MAX)), Value::Number(0)];
    steps.add(list, Part::Handover, call!(SYS_close_range), all);
}

/// A session of its own, without a terminal, and the limits of each process.
pub fn session(steps: &mut Steps, list: List, rlimits: &[Rlimit]) {
    steps.add(list, Part::Process, call!(SYS_setsid), vec![]);
    for rlimit in rlimits {
        let value = Structure::words(rlimit.value.to_string(), &[rlimit.value, rlimit.value]);
        let resource = Value::Named(rlimit.resource.into(), rlimit.name);
        let args = vec![Value::Number(0), resource, Value::Structure(value.into()), Value::Number(0)];
        steps.add(list, Part::Process, call!(SYS_prlimit64), args);
    }
}

/// Signals as a fresh program has them, and only standard input, output and error beyond the exec.
pub fn fresh_signals_and_descriptors(steps: &mut Steps, list: List) {
    steps.add(list, Part::Process, call!(op DEFAULT_SIGNALS), vec![]);
    let none = Structure::words("[]", &[0]);
    let args = vec![named!(SIG_SETMASK), Value::Structure(none.into()), Value::Number(0), Value::Number(8)];
    steps.add(list, Part::Process, call!(SYS_rt_sigprocmask), args);
    let rest = vec![Value::Number(3), Value::Number(u32::MAX.into()), named!(CLOSE_RANGE_CLOEXEC)];
    steps.add(list, Part::Process, call!(SYS_close_range), rest);
}

/// Grows process 1's table of descriptors to the number of the library, before the job's process shares it: of a table that
/// is shared the kernel waits until nobody can be reading it (synchronize_rcu), which takes milliseconds.
pub fn make_room_for_library(steps: &mut Steps, list: List, slots: &Slots, program: &Program) {
    if let (Some(library), Some(number)) = (slots.library, program.library) {
        let flags = Value::Named(libc::O_CLOEXEC as u64, "O_CLOEXEC");
        let args = vec![Value::Descriptor(library), Value::Number(number.into()), flags];
        steps.add(list, Part::Handover, call!(SYS_dup3), args);
    }
}

/// The library stays open beyond the exec, under the number that the program's environment names.
pub fn keep_library(steps: &mut Steps, list: List, slots: &Slots, program: &Program) {
    if let (Some(library), Some(number)) = (slots.library, program.library) {
        let args = vec![Value::Descriptor(library), Value::Number(number.into()), Value::Number(0)];
        steps.add(list, Part::Process, call!(SYS_dup3), args);
    }
}

/// seccomp(2). The listener's descriptor stays with process 1, which shares the table until the exec.
pub fn filter(steps: &mut Steps, list: List, filter: &FilterPlan) {
    (steps.token, steps.may_look) = (filter.token, filter.may_look());
    steps.mark(list, Part::Filter);
    let mut program = u64::from(filter.instructions).to_ne_bytes().to_vec();
    program.extend([0; 8]);
    let program = Structure {
        shown: format!("{{{} instructions}}", filter.instructions).into(),
        bytes: program,
        addresses: vec![(8, filter.program.clone())],
    };
    let (flags, shown) = match (filter.supervised, filter.is_undisturbed()) {
        (true, true) => (8 | 32, "NEW_LISTENER|WAIT_KILLABLE_RECV"),
        (true, false) => (8, "NEW_LISTENER"),
        (false, _) => (0, "0"),
    };
    let mode = Value::Named(1, "SECCOMP_SET_MODE_FILTER");
    let args = vec![mode, Value::Named(flags, shown), Value::Structure(program.into())];
    let listener = steps.carried.listener;
    let step = steps.add(list, Part::Filter, call!(SYS_seccomp), args);
    if filter.supervised {
        step.save(listener);
    }
}
