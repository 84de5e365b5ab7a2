//! Steps as sentences, for people.

use super::{List, Slot, Step, Steps, Value};
use lazaret_sys::landlock::access;

/// Names of values that are shown by their bits.
pub const ATTRIBUTES: &str = "attributes";
/// Landlock's rights over files.
pub const RIGHTS: &str = "rights";
/// The three words of a Landlock ruleset.
pub const HANDLED: &str = "{files, network, scope}";

/// mount_setattr(2), `MOUNT_ATTR_*`.
pub fn attributes(bits: u64) -> String {
    let names = [(1, "RDONLY"), (2, "NOSUID"), (4, "NODEV"), (8, "NOEXEC")];
    joined(names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name), "|")
}

/// Landlock's rights over files, in words.
pub fn rights(bits: u64, between: &str) -> String {
    let names = [
        (access::EXECUTE, "execute"),
        (access::WRITE_FILE, "write"),
        (access::READ_FILE, "read"),
        (access::READ_DIR, "list"),
        (access::REMOVE_DIR, "remove directories"),
        (access::REMOVE_FILE, "remove files"),
        (access::MAKE_CHAR, "make character devices"),
        (access::MAKE_DIR, "make directories"),
        (access::MAKE_REG, "make files"),
        (access::MAKE_SOCK, "make sockets"),
        (access::MAKE_FIFO, "make FIFOs"),
        (access::MAKE_BLOCK, "make block devices"),
        (access::MAKE_SYM, "make links"),
        (access::REFER, "move between directories"),
        (access::TRUNCATE, "truncate"),
        (access::IOCTL_DEV, "control devices"),
    ];
    joined(names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name), between)
}

fn joined<'a>(words: impl Iterator<Item = &'a str>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}

impl Steps {
    /// What `step` of `list` does, as a sentence without its full stop. Temporary descriptors are called after what they
    /// hold.
    pub fn say(&self, list: List, step: &Step) -> String {
        let name = step.call.name.strip_prefix("SYS_").unwrap_or(step.call.name);
        let arg = |index: usize| step.args.get(index);
        let held = |index: usize| match arg(index) {
            Some(Value::Descriptor(slot)) => self.held(list, step, *slot),
            _ => "?".to_owned(),
        };
        let shown = |index: usize| arg(index).map_or_else(|| "?".to_owned(), |value| self.show_value(value));
        let is = |index: usize, name: &str| matches!(arg(index), Some(Value::Named(_, named)) if *named == name);
        let number = |index: usize| match arg(index) {
            Some(Value::Number(number) | Value::Named(number, _)) => *number,
            _ => 0,
        };
        match name {
            "write" if matches!(arg(0), Some(Value::Descriptor(slot)) if !self.is_temporary(*slot)) => {
                format!("enter {}", held(0))
            }
            "write" if number(2) > 40 => format!("write {} bytes into {}", number(2), held(0)),
            "write" => format!("write {} into {}", shown(1), held(0)),
            "dup3" => format!("make {} descriptor {}", held(0), number(1)),
            "setgroups" => "leave all supplementary groups".to_owned(),
            "setresgid" => format!("become group {}", number(0)),
            "setresuid" => format!("become user {}", number(0)),
            "prctl" => self.say_prctl(&shown(0), number(1)),
            "CLONE_INIT" if arg(1).is_some() => {
                format!("start process 1 in new namespaces: {}; map its ids", say_namespaces(&shown(0)))
            }
            "CLONE_INIT" if shown(0) == "0" => "start process 1".to_owned(),
            "KEEP_CHILDREN" => "end whatever descends from this process before itself".to_owned(),
            "setfsuid" => format!("make and open files as user {}", number(0)),
            "setfsgid" => format!("make and open files as group {}", number(0)),
            "kill" => "kill every process of this user".to_owned(),
            "capset" if shown(1) != "{no capability}" => format!("keep no capability but {}", shown(1)),
            "CLONE_INIT" => format!("start process 1 in new namespaces: {}", say_namespaces(&shown(0))),
            "AWAIT_IDS" => "wait until the ids are mapped".to_owned(),
            "LIFELINE" => "end if the caller is gone".to_owned(),
            "openat" if shown(2).contains("O_CREAT") => format!("make the file {} in {}", shown(1), held(0)),
            "openat" if shown(2).contains("O_WRONLY") => format!("open {} for writing", shown(1)),
            "openat" => format!("open {}", shown(1)),
            "close" => format!("close {}", held(0)),
            "sethostname" => format!("call the host {}", shown(0)),
            "setdomainname" => "leave the host's domain name empty".to_owned(),
            "keyctl" => "leave the caller's keys for an empty keyring".to_owned(),
            "umask" => "let nobody but the job write to what it makes".to_owned(),
            "unshare" if is(0, "CLONE_NEWNET") => "make a network namespace that root owns".to_owned(),
            "unshare" if is(0, "CLONE_NEWCGROUP") => "hide the groups around the job's".to_owned(),
            "unshare" => "make a time namespace for the job".to_owned(),
            "socket" => "open a socket to reach the loopback interface with".to_owned(),
            "ioctl" => "turn the loopback interface on".to_owned(),
            "capset" => "give up every capability".to_owned(),
            "landlock_create_ruleset" => say_ruleset(arg(0)),
            "LANDLOCK_RULE" => format!("permit beneath {}: {}", held(1), rights(number(3), ", ")),
            "FORK_JOB" => "start the job's process, and wait for its execve".to_owned(),
            "SEND_SLOTS" => format!("hand {} to the caller", shown(1).trim_matches(['[', ']'])),
            "close_range" if is(2, "CLOSE_RANGE_CLOEXEC") => {
                "have execve close all but standard input, output and error".to_owned()
            }
            "close_range" => "close every descriptor".to_owned(),
            "setsid" => "begin a session without a terminal".to_owned(),
            "prlimit64" => format!("set {} to {}", shown(1), shown(2)),
            "chdir" => format!("go to {}", shown(0)),
            "fchdir" => format!("go to {}", held(0)),
            "DEFAULT_SIGNALS" => "give every signal its default action".to_owned(),
            "rt_sigaction" => format!("give {} its default action", shown(0)),
            "rt_sigprocmask" => "block no signal".to_owned(),
            "landlock_restrict_self" => "put Landlock's rules on".to_owned(),
            "seccomp" => "put the system-call filter on".to_owned(),
            "move_mount" if matches!(arg(2), Some(Value::Descriptor(_))) => {
                format!("mount {} at {} in {}", held(0), shown(3), held(2))
            }
            "move_mount" => format!("mount {} over {}", held(0), shown(3)),
            "mkdirat" => format!("make the directory {} in {}", shown(1), held(0)),
            "mknodat" => format!("make the empty file {} in {}, to mount on", shown(1), held(0)),
            "symlinkat" => format!("make the link {} in {}, to {}", shown(2), held(1), shown(0)),
            "open_tree" if matches!(arg(0), Some(Value::Descriptor(_))) => {
                format!("take a mount of {} in {}", shown(1), held(0))
            }
            "open_tree" => format!("take a mount of the host's {}", shown(1)),
            "mount_setattr" => format!("restrict {}: {}", held(0), say_restrictions(arg(3))),
            "fsopen" => format!("prepare a new {}", plain(&shown(0))),
            "fsconfig" if is(1, "FSCONFIG_CMD_CREATE") => format!("make {}", held(0)),
            "fsconfig" if is(1, "FSCONFIG_SET_FLAG") => format!("give {} the option {}", held(0), plain(&shown(2))),
            "fsconfig" => format!("give {} the option {}={}", held(0), plain(&shown(2)), plain(&shown(3))),
            "fsmount" => format!("take a mount of {}: {}", held(0), say_attributes(number(2))),
            "COPY" => format!("copy {} into {}", held(1), held(0)),
            "pivot_root" => "make this directory the root, and put the old root over it".to_owned(),
            "umount2" => "take the old root away".to_owned(),
            other => format!("call {other}"),
        }
    }

    fn say_prctl(&self, option: &str, value: u64) -> String {
        match (option, value) {
            ("PR_SET_DUMPABLE", 0) => "put this process out of reach of its own user".to_owned(),
            ("PR_SET_DUMPABLE", _) => "let this process's user own its files in /proc".to_owned(),
            ("PR_SET_PDEATHSIG", _) => "have the kernel kill this process when the caller dies".to_owned(),
            ("PR_CAPBSET_DROP", number) => format!("let no program gain capability {number}"),
            ("PR_SET_SECUREBITS", _) => "give user id 0 no privileges, and lock that".to_owned(),
            ("PR_CAP_AMBIENT", _) => "pass no capability on to programs".to_owned(),
            ("PR_SET_NO_NEW_PRIVS", _) => "let no program gain privileges by being executed".to_owned(),
            ("PR_SET_CHILD_SUBREAPER", _) => "become the parent of all below that lose theirs".to_owned(),
            (option, value) => format!("set {option} to {value}"),
        }
    }

    /// What `slot` holds when `step` of `list` is walked.
    fn held(&self, list: List, step: &Step, slot: Slot) -> String {
        if !self.is_temporary(slot) {
            let name = self.slot_name(slot);
            return match name {
                "stdin" => "standard input".to_owned(),
                "stdout" => "standard output".to_owned(),
                "stderr" => "standard error".to_owned(),
                "scratch" => "the scratch file system".to_owned(),
                name => format!("the {name}"),
            };
        }
        let steps = self.list(list);
        let here = steps.iter().position(|known| std::ptr::eq(known, step)).unwrap_or(steps.len());
        let Some(saved) = steps[..here].iter().rev().find(|before| before.save == Some(slot)) else {
            return "it".to_owned();
        };
        let text = |index: usize| saved.args.get(index).map_or_else(String::new, |value| self.show_value(value));
        match (saved.call.name, saved.args.first()) {
            ("SYS_fsopen", _) => format!("the new {}", plain(&text(0))),
            ("SYS_fsmount", Some(Value::Descriptor(context))) => self.held(list, saved, *context),
            ("SYS_open_tree", Some(Value::Descriptor(_))) => format!("the jail's {}", text(1)),
            ("SYS_open_tree", _) => format!("the host's {}", text(1)),
            ("SYS_openat", _) => text(1),
            ("SYS_socket", _) => "the socket".to_owned(),
            _ => "it".to_owned(),
        }
    }

    /// Whether `slot` holds one thing after the other.
    fn is_temporary(&self, slot: Slot) -> bool {
        self.temporaries.contains(&Some(slot))
    }
}

/// `CLONE_NEWUSER|NEWNS` as `user, mount`.
fn say_namespaces(flags: &str) -> String {
    let name = |flag: &str| match flag.trim_start_matches("CLONE_").trim_start_matches("NEW") {
        "NS" => "mount".to_owned(),
        "NET" => "network".to_owned(),
        other => other.to_lowercase(),
    };
    flags.split('|').map(name).collect::<Vec<_>>().join(", ")
}

/// Without the quotes of a string.
fn plain(shown: &str) -> &str {
    shown.trim_matches('"')
}

fn say_attributes(bits: u64) -> String {
    let words = [(1, "read-only"), (2, "no set-user-id"), (4, "no devices"), (8, "no programs")];
    joined(words.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word), ", ")
}

/// struct mount_attr: set, clear, propagation, user namespace.
fn say_restrictions(value: Option<&Value>) -> String {
    match value {
        Some(Value::Structure(structure)) => {
            let set = structure.bytes.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
            format!("{}, cut off from what the host mounts later", say_attributes(set))
        }
        _ => "?".to_owned(),
    }
}

/// struct landlock_ruleset_attr: rights over files, over TCP, scopes.
fn say_ruleset(value: Option<&Value>) -> String {
    let Some(Value::Structure(structure)) = value else { return "?".to_owned() };
    let mut words = structure.bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes));
    let (files, network, scope) = (words.next(), words.next().unwrap_or(0), words.next().unwrap_or(0));
    let mut text = format!("make Landlock rules: {} need permission", rights(files.unwrap_or(0), ", "));
    if network != 0 {
        text.push_str("; no TCP");
    }
    if scope != 0 {
        text.push_str("; no signals and abstract sockets beyond the job");
    }
    text
}
