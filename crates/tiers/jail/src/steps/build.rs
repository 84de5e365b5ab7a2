//! The second list: process 1 in its namespaces, up to the job's fork and after it.

use super::start::{Settings, Slots};
use super::{List, Part, Slot, Steps, Structure, Tolerate, Value, call, mounts, named, text};
use crate::plan::{INNER_ID, LandlockPlan, Plan};
use lazaret_sys::landlock::{RULE_PATH_BENEATH, RulesetAttr};
use std::ffi::c_ulong;

const LIST: List = List::Build;

pub(crate) fn add(steps: &mut Steps, slots: &Slots, plan: &Plan, settings: &Settings) {
    die_with_the_caller(steps, slots);
    steps.mark(LIST, Part::IdMaps);
    id_maps(steps, settings);
    steps.mark(LIST, Part::Isolation);
    isolate(steps, plan);
    if plan.namespaces.time {
        steps.mark(LIST, Part::Time);
        time(steps, settings);
    }
    steps.mark(LIST, Part::Root);
    mounts::add(steps, slots, plan, settings);
    if plan.loopback && slots.network.is_none() {
        loopback(steps, LIST);
    }
    steps.mark(LIST, Part::Capabilities);
    // Not earlier: it makes /proc/self root's own. Nobody else is in this pid namespace yet.
    steps.add(LIST, Part::Capabilities, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(0)]);
    drop_capabilities(steps);
    steps.mark(LIST, Part::Landlock);
    landlock(steps, slots, &plan.landlock);
    // Twice: a change of credentials can take the first one away.
    die_with_the_caller(steps, slots);
    steps.mark(LIST, Part::Fork);
    steps.add(LIST, Part::Fork, call!(op FORK_JOB), vec![]);
    hand_over(steps, slots);
}

fn die_with_the_caller(steps: &mut Steps, slots: &Slots) {
    let death = vec![named!(PR_SET_PDEATHSIG), named!(SIGKILL)];
    steps.add(LIST, Part::Isolation, call!(SYS_prctl), death);
    steps.add(LIST, Part::Isolation, call!(op LIFELINE), vec![Value::Descriptor(slots.channel)]);
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
fn id_maps(steps: &mut Steps, settings: &Settings) {
    let (uid, gid) = settings.host_id;
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/gid_map", format!("{INNER_ID} {gid} 1")),
        ("/proc/self/uid_map", format!("{INNER_ID} {uid} 1")),
    ];
    for (path, content) in maps {
        write_file(steps, Part::IdMaps, path, content, Tolerate::Nothing);
    }
    let id = || Value::Number(INNER_ID.into());
    steps.add(LIST, Part::IdMaps, call!(SYS_setresgid), vec![id(), id(), id()]);
    steps.add(LIST, Part::IdMaps, call!(SYS_setresuid), vec![id(), id(), id()]);
}

fn isolate(steps: &mut Steps, plan: &Plan) {
    // The kernel shall rather kill a job than its caller.
    write_file(steps, Part::Isolation, "/proc/self/oom_score_adj", "1000".to_owned(), Tolerate::Anything);
    // No user namespace inside this one, whatever the filter says: namespaces(7), /proc/sys/user.
    let path = "/proc/sys/user/max_user_namespaces";
    write_file(steps, Part::Isolation, path, "0".to_owned(), Tolerate::Anything);
    let name = plan.host_name.as_bytes();
    let args = vec![text(name), Value::Number(name.len() as u64)];
    steps.add(LIST, Part::Isolation, call!(SYS_sethostname), args);
    steps.add(LIST, Part::Isolation, call!(SYS_setdomainname), vec![text(""), Value::Number(0)]);
    // keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL): a new, empty keyring in place of the caller's. ENOSYS without keyrings.
    steps
        .add(
            LIST,
            Part::Isolation,
            call!(SYS_keyctl),
            vec![Value::Named(1, "KEYCTL_JOIN_SESSION_KEYRING"), Value::Number(0)],
        )
        .tolerate(Tolerate::Anything);
    steps.add(LIST, Part::Isolation, call!(SYS_umask), vec![Value::Number(0o022)]);
}

/// time_namespaces(7): takes effect for the job, this process's child.
fn time(steps: &mut Steps, settings: &Settings) {
    steps.add(LIST, Part::Time, call!(SYS_unshare), vec![Value::Named(0x80, "CLONE_NEWTIME")]);
    let (monotonic, boottime) = settings.clocks;
    let offsets = format!("monotonic -{monotonic} 0\nboottime -{boottime} 0\n");
    write_file(steps, Part::Time, "/proc/self/timens_offsets", offsets, Tolerate::Nothing);
}

/// netdevice(7), SIOCSIFFLAGS on `lo`.
pub(crate) fn loopback(steps: &mut Steps, list: List) {
    let socket = steps.scratch_slot();
    let mut request = vec![0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP is 1")]
    request[16..18].copy_from_slice(&(libc::IFF_UP as i16).to_ne_bytes());
    let request = Structure { shown: "{lo, IFF_UP}".into(), bytes: request, addresses: Vec::new() };
    let kind = Value::Named((libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64, "SOCK_DGRAM|SOCK_CLOEXEC");
    let open = vec![named!(AF_INET), kind, Value::Number(0)];
    steps.add(list, Part::Network, call!(SYS_socket), open).save(socket);
    let args = vec![Value::Descriptor(socket), named!(SIOCSIFFLAGS), Value::Structure(request.into())];
    steps.add(list, Part::Network, call!(SYS_ioctl), args);
    steps.add(list, Part::Network, call!(SYS_close), vec![Value::Descriptor(socket)]);
}

/// The highest capability that any kernel can have: they are counted in 64 bits, and 41 exist as of Linux 6.18.
const LAST_CAPABILITY: u64 = 40;

/// capabilities(7): none in any set, none to be had by executing, and the switches locked.
fn drop_capabilities(steps: &mut Steps) {
    let part = Part::Capabilities;
    for capability in 0..=LAST_CAPABILITY {
        let args = vec![named!(PR_CAPBSET_DROP), Value::Number(capability)];
        // Older kernels know fewer.
        steps.add(LIST, part, call!(SYS_prctl), args).tolerate(Tolerate::Errno(libc::EINVAL));
    }
    // SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock.
    let bits = Value::Named(0xef, "NOROOT|NO_SETUID_FIXUP|NO_CAP_AMBIENT_RAISE, all locked");
    steps.add(LIST, part, call!(SYS_prctl), vec![named!(PR_SET_SECUREBITS), bits]);
    let clear = vec![named!(PR_CAP_AMBIENT), named!(PR_CAP_AMBIENT_CLEAR_ALL)];
    steps.add(LIST, part, call!(SYS_prctl), clear);
    // struct __user_cap_header_struct: version 3, this process. Two struct __user_cap_data_struct of zeroes.
    let header = Structure::words("{version 3}", &[0x2008_0522]);
    let none = Structure::words("{no capability}", &[0, 0, 0]);
    steps.add(LIST, part, call!(SYS_capset), vec![Value::Structure(header.into()), Value::Structure(none.into())]);
    let no_new =
        vec![named!(PR_SET_NO_NEW_PRIVS), Value::Number(1), Value::Number(0), Value::Number(0), Value::Number(0)];
    steps.add(LIST, part, call!(SYS_prctl), no_new);
}

/// landlock(7). The ruleset is made here and put on the job alone, so that process 1 lies outside its domain.
fn landlock(steps: &mut Steps, slots: &Slots, plan: &LandlockPlan) {
    let LandlockPlan::Rules { abi, files, network, scope, rules } = plan else { return };
    let part = Part::Landlock;
    let attributes = Structure::words("{handled}", &[*files, *network, *scope]);
    let size = RulesetAttr::size(*abi) as u64;
    let args = vec![Value::Structure(attributes.into()), Value::Number(size), Value::Number(0)];
    steps.add(LIST, part, call!(SYS_landlock_create_ruleset), args).save(slots.ruleset);
    for rule in rules {
        let path = rule.path.as_os_str().as_encoded_bytes();
        let directory = steps.scratch_slot();
        let flags = Value::Named((libc::O_PATH | libc::O_CLOEXEC) as u64, "O_PATH|O_CLOEXEC");
        let open = vec![named!(AT_FDCWD), text(path), flags];
        steps.add(LIST, part, call!(SYS_openat), open).save(directory);
        // struct landlock_path_beneath_attr is packed: the descriptor follows the rights. The slot's word is copied in
        // by the walker's own operation.
        let args = vec![
            Value::Descriptor(slots.ruleset),
            Value::Descriptor(directory),
            Value::Named(RULE_PATH_BENEATH, "LANDLOCK_RULE_PATH_BENEATH"),
            Value::Named(rule.rights, "rights"),
        ];
        steps.add(LIST, part, call!(op LANDLOCK_RULE), args);
        steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(directory)]);
    }
}

/// What the caller gets back, in this order.
pub(crate) fn handed_over(slots: &Slots) -> [Slot; 4] {
    [slots.job_directory, slots.scratch, slots.mount_namespace, slots.listener]
}

fn hand_over(steps: &mut Steps, slots: &Slots) {
    let list: Vec<u8> = handed_over(slots).iter().map(|slot| slot.0).collect();
    let count = list.len() as u64;
    let list = Structure {
        shown: "[job directory, scratch, mount namespace, listener]".into(),
        bytes: list,
        addresses: vec![],
    };
    let args = vec![Value::Descriptor(slots.channel), Value::Structure(list.into()), Value::Number(count)];
    steps.add(LIST, Part::Handover, call!(op SEND_SLOTS), args);
    let all = vec![Value::Number(0), Value::Number(c_ulong::from(u32::MAX)), Value::Number(0)];
    steps.add(LIST, Part::Handover, call!(SYS_close_range), all);
}
