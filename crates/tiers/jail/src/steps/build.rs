//! The third list: process 1 builds the policy's root, and ties its own hands.

use super::{List, Part, Steps, Structure, Tolerate, Value, call, isolate, mounts, named, text, words};
use crate::plan::{INNER_ID, LandlockPlan, Room};
use lazaret_sys::landlock::{RULE_PATH_BENEATH, RulesetAttr};

const LIST: List = List::Build;

pub(crate) fn add(steps: &mut Steps, room: &Room) {
    steps.mark(LIST, Part::Isolation);
    let name = room.host_name.as_bytes();
    let args = vec![text(name), Value::Number(name.len() as u64)];
    steps.add(LIST, Part::Isolation, call!(SYS_sethostname), args);
    steps.add(LIST, Part::Isolation, call!(SYS_setdomainname), vec![text(""), Value::Number(0)]);
    steps.mark(LIST, Part::Root);
    mounts::add(steps, &room.tree);
    steps.mark(LIST, Part::Capabilities);
    // Not earlier: it makes /proc/self root's own. Nobody else is in this pid namespace yet.
    steps.add(LIST, Part::Capabilities, call!(SYS_prctl), vec![named!(PR_SET_DUMPABLE), Value::Number(0)]);
    no_new_capabilities(steps);
    steps.mark(LIST, Part::Landlock);
    landlock(steps, &room.landlock);
    // Again: a change of credentials can take it away.
    isolate::die_with_the_caller(steps, LIST);
    steps.mark(LIST, Part::Waiting);
}

/// The one line of an id map that maps the job's id to `host`: user_namespaces(7).
pub(crate) fn id_map(host: u32) -> String {
    format!("{INNER_ID} {host} 1")
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

/// capabilities(7): none to be had by executing, and the switches locked. What this process has it gives up when it is
/// admitted a job: see `admit`.
fn no_new_capabilities(steps: &mut Steps) {
    let part = Part::Capabilities;
    for capability in 0..=LAST_CAPABILITY {
        let args = vec![named!(PR_CAPBSET_DROP), Value::Number(capability)];
        // Older kernels know fewer.
        steps.add(LIST, part, call!(SYS_prctl), args).tolerate(Tolerate::Errno(libc::EINVAL));
    }
    // SECBIT_NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each with its lock.
    let bits = Value::Named(0xef, "NOROOT|NO_SETUID_FIXUP|NO_CAP_AMBIENT_RAISE, all locked");
    steps.add(LIST, part, call!(SYS_prctl), vec![named!(PR_SET_SECUREBITS), bits]);
    let no_new =
        vec![named!(PR_SET_NO_NEW_PRIVS), Value::Number(1), Value::Number(0), Value::Number(0), Value::Number(0)];
    steps.add(LIST, part, call!(SYS_prctl), no_new);
}

/// landlock(7). The ruleset is made here and put on the job alone, so that process 1 lies outside its domain.
fn landlock(steps: &mut Steps, plan: &LandlockPlan) {
    let LandlockPlan::Rules { abi, files, network, scope, rules } = plan else { return };
    let part = Part::Landlock;
    let ruleset = steps.carried.ruleset;
    let attributes = Structure::words(words::HANDLED, &[*files, *network, *scope]);
    let size = RulesetAttr::size(*abi) as u64;
    let args = vec![Value::Structure(attributes.into()), Value::Number(size), Value::Number(0)];
    steps.add(LIST, part, call!(SYS_landlock_create_ruleset), args).save(ruleset);
    for rule in rules {
        let path = rule.path.as_os_str().as_encoded_bytes();
        let directory = steps.scratch_slot();
        let flags = Value::Named((libc::O_PATH | libc::O_CLOEXEC) as u64, "O_PATH|O_CLOEXEC");
        let open = vec![named!(AT_FDCWD), text(path), flags];
        steps.add(LIST, part, call!(SYS_openat), open).save(directory);
        // struct landlock_path_beneath_attr is packed: the descriptor follows the rights. The slot's word is copied in
        // by the walker's own operation.
        let args = vec![
            Value::Descriptor(ruleset),
            Value::Descriptor(directory),
            Value::Named(RULE_PATH_BENEATH, "LANDLOCK_RULE_PATH_BENEATH"),
            Value::Named(rule.rights, words::RIGHTS),
        ];
        steps.add(LIST, part, call!(op LANDLOCK_RULE), args);
        steps.add(LIST, part, call!(SYS_close), vec![Value::Descriptor(directory)]);
    }
}
