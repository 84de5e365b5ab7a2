//! The second list: process 1 in its namespaces, what no policy changes.

use super::start::ShellSettings;
use super::{List, Part, Steps, Structure, Tolerate, Value, call, named, text};
use crate::plan::{INNER_ID, ShellKind};
use lazaret_policy::Mode;

const LIST: List = List::Isolate;

pub(crate) fn add(steps: &mut Steps, kind: ShellKind, settings: ShellSettings) {
    die_with_the_caller(steps, LIST);
    see_children_end(steps);
    steps.mark(LIST, Part::Isolation);
    isolate(steps);
    if kind.time {
        steps.mark(LIST, Part::Time);
        time(steps, settings.clocks);
    }
    if kind.mode == Mode::Rootless && kind.loopback {
        super::build::loopback(steps, LIST);
    }
    steps.mark(LIST, Part::IdMaps);
    match kind.mode {
        Mode::Root => {
            steps.add(LIST, Part::IdMaps, call!(op AWAIT_IDS), vec![]);
        }
        Mode::Rootless => own_maps(steps, settings.host_id),
    }
    let id = || Value::Number(INNER_ID.into());
    steps.add(LIST, Part::IdMaps, call!(SYS_setresgid), vec![id(), id(), id()]);
    steps.add(LIST, Part::IdMaps, call!(SYS_setresuid), vec![id(), id(), id()]);
    // A change of ids makes /proc/self root's own, and takes the signal of the caller's death away.
    steps.add(LIST, Part::IdMaps, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(1)]);
    die_with_the_caller(steps, LIST);
    // keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL): a new, empty keyring in place of the caller's. ENOSYS without keyrings.
    let args = vec![Value::Named(1, "KEYCTL_JOIN_SESSION_KEYRING"), Value::Number(0)];
    steps.add(LIST, Part::Isolation, call!(SYS_keyctl), args).tolerate(Tolerate::Anything);
    steps.mark(LIST, Part::Waiting);
}

pub(crate) fn die_with_the_caller(steps: &mut Steps, list: List) {
    let death = vec![named!(PR_SET_PDEATHSIG), named!(SIGKILL)];
    steps.add(list, Part::Isolation, call!(SYS_prctl), death);
    let channel = steps.carried.channel;
    steps.add(list, Part::Isolation, call!(op LIFELINE), vec![Value::Descriptor(channel)]);
}

/// A caller that ignores SIGCHLD passes that on through every execve, and then no child's end can be waited for:
/// waitpid(2), "NOTES".
fn see_children_end(steps: &mut Steps) {
    // The kernel's struct sigaction: handler SIG_DFL, flags, restorer, mask.
    let default = Structure::words("{SIG_DFL}", &[0; 4]);
    let args = vec![named!(SIGCHLD), Value::Structure(default.into()), Value::Number(0), Value::Number(8)];
    steps.add(LIST, Part::Isolation, call!(SYS_rt_sigaction), args);
}

/// Writes `content` into the file `path` of the host's procfs.
fn write_file(steps: &mut Steps, part: Part, path: &str, content: String, tolerate: Tolerate) {
    let file = steps.scratch_slot();
    let flags = Value::Named((libc::O_WRONLY | libc::O_CLOEXEC) as u64, "O_WRONLY|O_CLOEXEC");
    steps.add(LIST, part, call!(SYS_openat), vec![named!(AT_FDCWD), text(path), flags]).save(file).tolerate(tolerate);
    let length = content.len() as u64;
    let args = vec![Value::Descriptor(file), text(content), Value::Number(length)];
    steps.add(LIST, part, call!(SYS_write), args).tolerate(tolerate);
    steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(file)]).tolerate(tolerate);
}

/// user_namespaces(7): one id each; groups cannot be dropped, and so not be changed, afterwards.
fn own_maps(steps: &mut Steps, (uid, gid): (u32, u32)) {
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/gid_map", super::build::id_map(gid)),
        ("/proc/self/uid_map", super::build::id_map(uid)),
    ];
    for (path, content) in maps {
        write_file(steps, Part::IdMaps, path, content, Tolerate::Nothing);
    }
}

fn isolate(steps: &mut Steps) {
    // The kernel shall rather kill a job than its caller.
    write_file(steps, Part::Isolation, "/proc/self/oom_score_adj", "1000".to_owned(), Tolerate::Anything);
    // No user namespace inside this one, whatever the filter says: namespaces(7), /proc/sys/user.
    let path = "/proc/sys/user/max_user_namespaces";
    write_file(steps, Part::Isolation, path, "0".to_owned(), Tolerate::Anything);
    steps.add(LIST, Part::Isolation, call!(SYS_umask), vec![Value::Number(0o022)]);
}

/// time_namespaces(7): takes effect for the job, this process's child.
fn time(steps: &mut Steps, (monotonic, boottime): (u64, u64)) {
    steps.add(LIST, Part::Time, call!(SYS_unshare), vec![Value::Named(0x80, "CLONE_NEWTIME")]);
    let offsets = format!("monotonic -{monotonic} 0\nboottime -{boottime} 0\n");
    write_file(steps, Part::Time, "/proc/self/timens_offsets", offsets, Tolerate::Nothing);
}
