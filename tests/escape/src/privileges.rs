//! Getting more rights than the job was started with.

use std::fs;
use std::process::Command;

use crate::abi;
use crate::call::{Result, c, ignore, sys};
use crate::outcome::{Arguments, Named, Outcome, Tries};

pub(crate) const PROBES: &[Named] = &[
    ("set-uid-program", set_uid_program),
    ("capable-program", capable_program),
    ("own-set-uid-program", own_set_uid_program),
    ("capabilities", capabilities),
    ("change-ids", change_ids),
    ("new-privileges", new_privileges),
    ("dump-core", dump_core),
    ("raise-limits", raise_limits),
    ("lower-oom-score", lower_oom_score),
    ("real-time", real_time),
];

fn effective_uid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() }
}

/// PROGRAM: a set-uid root copy of `id`.
fn set_uid_program(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for program in [args.text(0), "/opt/lazaret-escape/set-uid-id"] {
        let Some(output) = tries.of(program, Command::new(program).arg("-u").output()) else { continue };
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said.parse() != Ok(effective_uid()) {
            return Outcome::escaped(format!("{program} runs as {said}"));
        }
        tries.failed(program, "runs as ourselves");
    }
    tries.blocked()
}

/// PROGRAM: a copy of `cat` with a file capability.
fn capable_program(args: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for program in [args.text(0), "/opt/lazaret-escape/capable-cat"] {
        let Some(output) = tries.of(program, Command::new(program).arg("/proc/self/status").output()) else { continue };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let held = said.lines().find_map(|line| line.strip_prefix("CapEff:")).map(str::trim);
        match held {
            Some(held) if held.trim_matches('0').is_empty() => tries.failed(program, "has no capability"),
            Some(held) => return Outcome::escaped(format!("{program} has capabilities {held}")),
            None => tries.failed(program, String::from_utf8_lossy(&output.stderr)),
        }
    }
    tries.blocked()
}

/// Gives a program CAP_NET_RAW, which a copy of `cat` can do no harm with.
pub(crate) fn make_capable(path: &str) -> Result {
    // struct vfs_cap_data: revision 2 and effective; permitted and inheritable, low and high.
    let data: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let (path, name) = (c(path), c("security.capability"));
    sys!(setxattr, path.as_ptr(), name.as_ptr(), data.as_ptr(), size_of_val(&data), 0)
}

/// \[DIRECTORY\]: a program of its own made set-uid and given to another owner.
fn own_set_uid_program(args: &Arguments) -> Outcome {
    use std::os::unix::fs::{PermissionsExt, chown};
    let mut tries = Tries::new();
    for directory in [args.text(0), "/job", "/tmp"] {
        let path = format!("{directory}/id-of-another");
        if tries.of(&path, fs::copy("/usr/bin/id", &path)).is_none() {
            continue;
        }
        let other = if effective_uid() == 12345 { 54321 } else { 12345 };
        tries.of("chown", chown(&path, Some(other), None));
        tries.of("chmod", fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)));
        let said = tries.of("run", Command::new(&path).arg("-u").output());
        ignore(fs::remove_file(&path));
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        match said.as_deref().map(str::parse::<u32>) {
            Some(Ok(uid)) if uid != effective_uid() => return Outcome::escaped(format!("runs as {uid}")),
            _ => tries.failed(path, "runs as ourselves"),
        }
    }
    tries.blocked()
}

/// Any capability in any set, and ways to get one back.
fn capabilities(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("Cap")) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if !value.trim().trim_matches('0').is_empty() {
            return Outcome::escaped(format!("{name} is {}", value.trim()));
        }
        tries.failed(name, "empty");
    }
    // _LINUX_CAPABILITY_VERSION_3, this process; and all of them in all three sets.
    let header: [u32; 2] = [0x2008_0522, 0];
    let every = [u32::MAX; 6];
    if tries.of("capset", sys!(capset, header.as_ptr(), every.as_ptr())).is_some() {
        return Outcome::escaped("capset gave capabilities");
    }
    let mut held = [0_u32; 6];
    if tries.of("capget", sys!(capget, header.as_ptr(), held.as_mut_ptr())).is_some() && held != [0; 6] {
        return Outcome::escaped(format!("has capabilities {held:x?}"));
    }
    for capability in 0..41 {
        let raised = sys!(prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0);
        if tries.of("ambient", raised).is_some() {
            return Outcome::escaped(format!("raised capability {capability}"));
        }
    }
    tries.blocked()
}

/// Other users and groups.
fn change_ids(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for id in [0_u32, 1, 1000, 65534] {
        // SAFETY: no arguments.
        let own_group = unsafe { libc::getegid() };
        if id != own_group && tries.of(format!("setresgid {id}"), sys!(setresgid, id, id, id)).is_some() {
            return Outcome::escaped(format!("is in group {id}"));
        }
        if tries.of(format!("setgroups {id}"), sys!(setgroups, 1, (&raw const id))).is_some() {
            return Outcome::escaped(format!("has the further group {id}"));
        }
        if id != effective_uid() && tries.of(format!("setresuid {id}"), sys!(setresuid, id, id, id)).is_some() {
            return Outcome::escaped(format!("is user {id}"));
        }
    }
    tries.blocked()
}

/// Whether programs could give rights at all.
fn new_privileges(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    tries.of("clear", sys!(prctl, libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    if tries.of("ask", sys!(prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)) == Some(0) {
        return Outcome::escaped("programs may give rights");
    }
    tries.blocked()
}

/// An image of its memory, which the host may hand to a program of root's.
fn dump_core(_: &Arguments) -> Outcome {
    match abi::core_dumped() {
        Some(true) => Outcome::escaped("a core was dumped"),
        Some(false) => Outcome::Blocked("no core was dumped".to_owned()),
        None => Outcome::Blocked("the child did not abort".to_owned()),
    }
}

fn limit(resource: u32) -> Result<[u64; 2]> {
    let mut now = [0_u64; 2];
    sys!(getrlimit, resource, now.as_mut_ptr())?;
    Ok(now)
}

/// Hard limits above what they are.
fn raise_limits(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for resource in 0..16 {
        let Some([soft, hard]) = tries.of(resource, limit(resource)) else { continue };
        if hard == u64::MAX {
            continue;
        }
        let more = [soft, hard + 1];
        tries.of(format!("prlimit {resource}"), sys!(prlimit64, 0, resource, more.as_ptr(), 0));
        if let Ok([_, raised]) = limit(resource)
            && raised > hard
        {
            return Outcome::escaped(format!("raised limit {resource} from {hard} to {raised}"));
        }
    }
    tries.blocked()
}

/// Makes itself the last that the kernel kills for memory.
fn lower_oom_score(_: &Arguments) -> Outcome {
    let mut tries = Tries::new();
    for (path, score) in [("/proc/self/oom_score_adj", "-1000"), ("/proc/self/oom_adj", "-17")] {
        if tries.of(path, fs::write(path, score)).is_some() {
            return Outcome::escaped(format!("wrote {score} to {path}"));
        }
    }
    tries.blocked()
}

/// Comes before every ordinary process.
fn real_time(_: &Arguments) -> Outcome {
    const REAL_TIME_CLASS: i32 = 1 << 13;
    const DEADLINE: u64 = 6;
    let mut tries = Tries::new();
    let priority = 1_i32;
    for policy in [libc::SCHED_FIFO, libc::SCHED_RR] {
        let set = sys!(sched_setscheduler, 0, policy, &raw const priority);
        if tries.of(format!("policy {policy}"), set).is_some() {
            return Outcome::escaped(format!("is scheduled by policy {policy}"));
        }
    }
    // struct sched_attr: size and policy, flags, nice and priority, and runtime, deadline and period in nanoseconds.
    let attr = [48 | DEADLINE << 32, 0, 0, 1_000_000, 10_000_000, 10_000_000];
    if tries.of("deadline", sys!(sched_setattr, 0, attr.as_ptr(), 0)).is_some() {
        return Outcome::escaped("is scheduled by deadline");
    }
    if tries.of("nice", sys!(setpriority, libc::PRIO_PROCESS, 0, -20)).is_some() {
        return Outcome::escaped("has priority -20");
    }
    if tries.of("ioprio", sys!(ioprio_set, 1, 0, REAL_TIME_CLASS)).is_some() {
        return Outcome::escaped("has real-time input and output");
    }
    tries.blocked()
}
