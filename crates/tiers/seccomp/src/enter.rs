//! A launch as data: the system calls that put a job under the tier, in order. No namespace, and no right beyond what a
//! launcher of root's needs to give the job an id of its own.

use crate::plan::Plan;
use lazaret_launch::program::Program;
use lazaret_launch::steps::job::{self, Settings, Slots};
use lazaret_launch::steps::words;
use lazaret_launch::steps::{
    List, Part, ProgramVectors, Steps, Structure, Tolerate, Value, call, landlock, named, text,
};
use lazaret_launch::uid::Uids;
use lazaret_policy::{FileName, Mode};
use lazaret_sys::landlock::{RULE_PATH_BENEATH, access};
use std::path::Path;

/// capabilities(7): what process 1 of root's keeps until there is a job, and then.
const GIVE_AN_ID: u64 = 1 << CAP_KILL | 1 << CAP_SETGID | 1 << CAP_SETUID;
const END_A_JOB: u64 = 1 << CAP_KILL;
const CAP_KILL: u64 = 5;
const CAP_SETGID: u64 = 6;
const CAP_SETUID: u64 = 7;

/// The steps that make process 1: a plain process that adopts what descends from it.
pub(crate) fn shell(mode: Mode) -> Steps {
    let mut steps = Steps::default();
    add_shell(&mut steps, mode);
    steps
}

fn add_shell(steps: &mut Steps, mode: Mode) {
    let list = List::Start;
    steps.mark(list, Part::Identity);
    job::leave_the_callers_streams(steps, list);
    if mode == Mode::Root {
        job::raise_the_bound_of_core_dumps(steps, list);
        steps.add(list, Part::Identity, call!(SYS_setgroups), vec![Value::Number(0), Value::Number(0)]);
    }
    steps.add(list, Part::Identity, call!(op CLONE_INIT), vec![Value::Named(0, "0")]);

    let list = List::Isolate;
    steps.mark(list, Part::Isolation);
    die_with_the_caller(steps, list);
    job::see_children_end(steps, list);
    // No signal of a terminal's reaches process 1.
    steps.add(list, Part::Isolation, call!(SYS_setsid), vec![]);
    adopt(steps, list);
    job::leave_the_callers_keys(steps, list);
    steps.add(list, Part::Isolation, call!(SYS_umask), vec![Value::Number(0o022)]);
    steps.mark(list, Part::Waiting);
}

/// Not by SIGKILL: process 1 has to end the job first.
fn die_with_the_caller(steps: &mut Steps, list: List) {
    steps.add(list, Part::Isolation, call!(SYS_prctl), vec![named!(PR_SET_PDEATHSIG), named!(SIGTERM)]);
    job::end_if_the_caller_is_gone(steps, list);
}

/// prctl(2), `PR_SET_CHILD_SUBREAPER`; proc(5), `/proc/PID/task/TID/children`.
fn adopt(steps: &mut Steps, list: List) {
    steps.add(list, Part::Isolation, call!(SYS_prctl), vec![named!(PR_SET_CHILD_SUBREAPER), Value::Number(1)]);
    let children = steps.slot("children");
    let flags = Value::Named((libc::O_RDONLY | libc::O_CLOEXEC) as u64, "O_RDONLY|O_CLOEXEC");
    let open = vec![named!(AT_FDCWD), text("/proc/thread-self/children"), flags];
    steps.add(list, Part::Isolation, call!(SYS_openat), open).save(children);
    let channel = Value::Descriptor(steps.carried.channel);
    steps.add(list, Part::Isolation, call!(op KEEP_CHILDREN), vec![Value::Descriptor(children), channel]);
}

/// The steps that admit the job of `plan`, whose user and group on the host is `id`, and the slots that the caller fills.
pub(crate) fn job(plan: &Plan, id: u32, settings: &Settings) -> (Steps, Slots) {
    let mut steps = Steps::default();
    let slots = add_job(&mut steps, plan, id, settings);
    (steps, slots)
}

fn add_job(steps: &mut Steps, plan: &Plan, id: u32, settings: &Settings) -> Slots {
    let list = List::Build;
    steps.mark(list, Part::Landlock);
    landlock::make(steps, list, &plan.landlock);
    steps.mark(list, Part::Capabilities);
    // Out of reach of a job with the same id: ptrace(2).
    steps.add(list, Part::Capabilities, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(0)]);
    // Older kernels know fewer capabilities, and only root can drop any: a job of another user has none to begin with.
    let tolerate = match plan.mode {
        Mode::Root => Tolerate::Errno(libc::EINVAL),
        Mode::Rootless => Tolerate::Anything,
    };
    job::drop_the_bounding_set(steps, list, tolerate);
    let tolerate = match plan.mode {
        Mode::Root => Tolerate::Nothing,
        Mode::Rootless => Tolerate::Anything,
    };
    job::lock_the_securebits(steps, list, tolerate);
    job::no_new_privileges(steps, list);
    if plan.mode == Mode::Root {
        keep_capabilities(steps, list, GIVE_AN_ID, "{KILL, SETGID, SETUID}");
    }

    let list = List::Admit;
    steps.mark(list, Part::Inputs);
    let slots = Slots::new(steps, settings);
    job::streams(steps, list, &slots);
    if plan.mode == Mode::Root {
        as_user(steps, list, id);
    }
    open_directory(steps, list, &plan.job_directory());
    job::inputs(steps, list, &slots, settings);
    if plan.mode == Mode::Root {
        as_user(steps, list, 0);
    }
    // Again: a change of credentials can take it away.
    die_with_the_caller(steps, list);
    job::make_room_for_library(steps, list, &slots, &plan.program);
    job::fork_and_hand_over(steps, list);
    let_go(steps, list, &slots, plan.program.library);
    if plan.mode == Mode::Root {
        keep_capabilities(steps, list, END_A_JOB, "{KILL}");
    }
    enter(steps, plan, id, &slots);
    let Program { candidates, arguments, environment, library: _, begins: _ } = plan.program.clone();
    steps.program = ProgramVectors { candidates, arguments, environment };
    slots
}

fn keep_capabilities(steps: &mut Steps, list: List, kept: u64, shown: &'static str) {
    let header = Structure::words("{version 3}", &[0x2008_0522]);
    // Two struct __user_cap_data_struct, of which the first has the low 32: effective and permitted, and nothing inheritable.
    let kept = Structure::words(shown, &[kept << 32 | kept, 0, 0]);
    let args = vec![Value::Structure(header.into()), Value::Structure(kept.into())];
    steps.add(list, Part::Capabilities, call!(SYS_capset), args);
}

/// Files are made and opened as that user's.
fn as_user(steps: &mut Steps, list: List, id: u32) {
    steps.add(list, Part::Inputs, call!(SYS_setfsgid), vec![Value::Number(id.into())]);
    steps.add(list, Part::Inputs, call!(SYS_setfsuid), vec![Value::Number(id.into())]);
}

fn open_directory(steps: &mut Steps, list: List, path: &Path) {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let flags = Value::Named(flags as u64, "O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC");
    let args = vec![named!(AT_FDCWD), text(path.as_os_str().as_encoded_bytes()), flags];
    let directory = steps.carried.job_directory;
    steps.add(list, Part::Inputs, call!(SYS_openat), args).save(directory);
}

/// Process 1 keeps the channel and the list of its children. The job's streams must end with the job.
fn let_go(steps: &mut Steps, list: List, slots: &Slots, library: Option<u32>) {
    job::leave_the_callers_streams(steps, list);
    let carried = steps.carried;
    let always = [slots.stdin, slots.stdout, slots.stderr, carried.job_directory];
    let sometimes = [carried.ruleset, carried.listener];
    for slot in always.into_iter().chain(slots.inputs.iter().copied()) {
        steps.add(list, Part::Handover, call!(SYS_close), vec![Value::Descriptor(slot)]);
    }
    // The job's process, which shared the table, has given it that number.
    for number in
        slots.library.map(Value::Descriptor).into_iter().chain(library.map(|number| Value::Number(number.into())))
    {
        steps.add(list, Part::Handover, call!(SYS_close), vec![number]).tolerate(Tolerate::Errno(libc::EBADF));
    }
    for slot in sometimes {
        let close = vec![Value::Descriptor(slot)];
        steps.add(list, Part::Handover, call!(SYS_close), close).tolerate(Tolerate::Errno(libc::EBADF));
    }
}

/// The job's own process, up to its exec.
fn enter(steps: &mut Steps, plan: &Plan, id: u32, slots: &Slots) {
    let list = List::Enter;
    steps.mark(list, Part::Process);
    job::die_before_the_caller(steps, list);
    if plan.mode == Mode::Root {
        let ids = || vec![Value::Number(id.into()), Value::Number(id.into()), Value::Number(id.into())];
        steps.add(list, Part::Identity, call!(SYS_setresgid), ids());
        steps.add(list, Part::Identity, call!(SYS_setresuid), ids());
    }
    job::no_capabilities(steps, list);
    steps.add(list, Part::Process, call!(SYS_prctl), vec![named!(PR_SET_PDEATHSIG), named!(SIGKILL)]);
    job::session(steps, list, &plan.rlimits);
    let path = plan.job_directory();
    steps.add(list, Part::Process, call!(SYS_chdir), vec![text(path.as_os_str().as_encoded_bytes())]);
    job::fresh_signals_and_descriptors(steps, list);
    job::keep_library(steps, list, slots, &plan.program);
    if plan.own_proc {
        own_proc(steps, list);
    }
    landlock::put_on(steps, list, &plan.landlock);
    job::filter(steps, list, &plan.filter);
}

/// What the job's first process may read of its own in /proc: not `net` or `mountinfo`, which tell of the host.
const OWN_PROC: [&str; 11] =
    ["auxv", "cmdline", "comm", "environ", "fd", "limits", "maps", "smaps", "stat", "statm", "status"];

/// The job's first process may read these files of its own directory of /proc, and no process any other's.
fn own_proc(steps: &mut Steps, list: List) {
    for name in OWN_PROC {
        let file = steps.scratch_slot();
        let flags = Value::Named((libc::O_PATH | libc::O_CLOEXEC) as u64, "O_PATH|O_CLOEXEC");
        let open = vec![named!(AT_FDCWD), text(format!("/proc/self/{name}")), flags];
        steps.add(list, Part::Landlock, call!(SYS_openat), open).save(file);
        let rights = if name == "fd" { access::READ_FILE | access::READ_DIR } else { access::READ_FILE };
        let args = vec![
            Value::Descriptor(steps.carried.ruleset),
            Value::Descriptor(file),
            Value::Named(RULE_PATH_BENEATH, "LANDLOCK_RULE_PATH_BENEATH"),
            Value::Named(rights, words::RIGHTS),
        ];
        steps.add(list, Part::Landlock, call!(op LANDLOCK_RULE), args);
        steps.add(list, Part::Landlock, call!(SYS_close), vec![Value::Descriptor(file)]);
    }
}

/// The steps that kill every process of the user `id`, as that user: kill(2), -1.
pub(crate) fn kill_all_of(id: u32) -> Steps {
    let (mut steps, list) = (Steps::default(), List::Start);
    let ids = || vec![Value::Number(id.into()), Value::Number(id.into()), Value::Number(id.into())];
    steps.add(list, Part::Identity, call!(SYS_setresgid), ids());
    steps.add(list, Part::Identity, call!(SYS_setresuid), ids());
    let everybody = Value::Named(u64::MAX, "-1");
    steps
        .add(list, Part::Identity, call!(SYS_kill), vec![everybody, named!(SIGKILL)])
        .tolerate(Tolerate::Errno(libc::ESRCH));
    steps
}

/// The steps of `plan`, for looking at: with the first id of the default range.
pub fn preview(plan: &Plan, inputs: &[FileName]) -> Steps {
    let id = match plan.mode {
        Mode::Root => Uids::FIRST,
        Mode::Rootless => plan.caller_ids.0,
    };
    let inputs = inputs.iter().map(|name| (name.as_bytes().to_vec(), 0o644)).collect();
    let mut steps = Steps::default();
    add_shell(&mut steps, plan.mode);
    let library = plan.program.library.is_some();
    add_job(&mut steps, plan, id, &Settings { doors: 0, own_doors: 0, inputs, library });
    steps
}
