//! What this host can enforce of the tier: found by looking, never by versions.

use lazaret_launch::bounds::{Bounds, CoreLimit};
use lazaret_launch::error::Missing;
use lazaret_launch::uid::Uids;
use lazaret_policy::{FilesMode, Layer, Mode, Policy};
use rustix::thread::CapabilitySet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// What a launch needs to know of the host.
#[derive(Debug, Clone)]
pub struct Support {
    /// Whether this process can give jobs user ids of their own.
    pub mode: Mode,
    /// Effective user and group id of this process.
    pub ids: (u32, u32),
    /// Why a process of root's can give no ids, if so.
    pub no_job_uid: Option<String>,
    /// Landlock's ABI, or why it is missing.
    pub landlock: Result<u32, String>,
    /// Whether refused calls can be reported.
    pub notifier: bool,
    /// Why the supervisor cannot make a job's calls on files, if so.
    pub no_hands: Option<&'static str>,
    /// Whether the kernel lists the children of a process, by which every process of a job is found.
    pub children: bool,
    /// Whether the open files of jobs can be looked at, which for those of another user takes CAP_SYS_PTRACE.
    pub open_files: bool,
    /// What this process itself is bounded by.
    pub bounds: Bounds,
}

const RET_USER_NOTIF: u32 = 0x7fc0_0000;

/// The lowest ABI whose rules keep files from being cut: below, truncate(2) is not among them.
const LEAST_ABI: u32 = 3;
/// The ABI that has scopes of signals and abstract sockets.
pub(crate) const SCOPE_ABI: u32 = 6;

/// Why a supervisor cannot make calls on files for jobs, if so.
fn no_hands(notifier: bool, open_files: bool) -> Option<&'static str> {
    match () {
        () if !notifier => Some("this kernel cannot notify a supervisor"),
        () if !lazaret_sys::seccomp::can_wait_killable() => {
            Some("this kernel lets signals disturb calls that are made for a job (before Linux 5.19)")
        }
        () if !open_files => Some("this process is root without CAP_SYS_PTRACE, and does not see into its jobs"),
        () => None,
    }
}

impl Support {
    /// Looks at the host and changes nothing.
    pub fn probe() -> Self {
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let no_job_uid = if ids.0 == 0 { missing_for_job_uid() } else { None };
        let mode = if ids.0 == 0 && no_job_uid.is_none() { Mode::Root } else { Mode::Rootless };
        let notifier = lazaret_sys::seccomp::has_action(RET_USER_NOTIF).unwrap_or(false);
        let open_files = mode == Mode::Rootless
            || rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
        Self {
            mode,
            ids,
            no_job_uid,
            landlock: lazaret_sys::landlock::abi().map_err(|e| format!("landlock_create_ruleset is refused: {e}")),
            notifier,
            no_hands: no_hands(notifier, open_files),
            children: fs::metadata("/proc/thread-self/children").is_ok(),
            open_files,
            bounds: Bounds::probe(mode),
        }
    }

    /// Whether the supervisor makes the calls on files of a job under `policy`: where the policy does not say, it does if it
    /// can.
    pub fn brokers_files(&self, policy: &Policy) -> bool {
        match &policy.files.mode {
            Some(mode) => mode.value == FilesMode::Brokered,
            // Without Landlock nothing would hold what a job executes, so that it could execute nothing.
            None => self.no_hands.is_none() && self.landlock.as_ref().is_ok_and(|abi| *abi > 0),
        }
    }

    /// The layers that `policy` asks for and this host lacks, degraded ones left out.
    pub fn missing(&self, policy: &Policy) -> Vec<Missing> {
        let mut missing = self.lacks(policy);
        missing.retain(|lack| policy.degrades(lack.layer).is_none());
        missing
    }

    /// The layers that the tier has and this host lacks.
    pub(crate) fn lacks(&self, _policy: &Policy) -> Vec<Missing> {
        let mut lacks = Vec::new();
        let mut lack = |layer, why: &str, fix: &str| {
            lacks.push(Missing { layer, why: why.to_owned(), fix: fix.to_owned() });
        };
        match &self.landlock {
            Ok(0) => lack(
                Layer::Landlock,
                "this kernel has no Landlock, does not enable it, or a container's system-call filter hides it, and \
                 nothing else confines files in tier seccomp",
                "`lazaret doctor` tells which, and what to do",
            ),
            Ok(abi) if *abi < LEAST_ABI => lack(
                Layer::Landlock,
                "this kernel's Landlock does not keep files from being cut (ABI 3), and nothing else does in tier seccomp",
                "use Linux 6.2 or later",
            ),
            Ok(abi) if *abi < SCOPE_ABI => lack(
                Layer::LandlockScope,
                "this kernel's Landlock has no scopes (ABI 6), and nothing else keeps signals within the job",
                "use Linux 6.12 or later",
            ),
            Ok(_) => {}
            Err(why) => lack(Layer::Landlock, why, "`lazaret doctor` tells why, and what to do"),
        }
        if self.bounds.core == CoreLimit::Insufficient {
            lack(
                Layer::Rlimits,
                "this process's hard limit of core dumps is 0, which does not keep the kernel from starting the program \
                 for dumps in kernel.core_pattern",
                "raise it to 1 or more before: `sudo prlimit --pid $$ --core=unlimited`, `LimitCORE=infinity` for a \
                 service, `--ulimit core=1` for a container",
            );
        }
        if !self.children {
            lack(
                Layer::Rlimits,
                "there is no /proc here, or its kernel does not list children (CONFIG_PROC_CHILDREN), by which every \
                 process of the job is found and ended",
                "mount /proc, or use `--tier jail`",
            );
        }
        if !self.notifier {
            lack(Layer::Notifier, "this kernel cannot notify a supervisor", "use Linux 5.5 or later");
        }
        lacks
    }
}

/// What giving a job an id takes, putting its directory in its hands, ending it, and clearing up behind it.
fn missing_for_job_uid() -> Option<String> {
    let needed = [
        (CapabilitySet::SETUID, "CAP_SETUID"),
        (CapabilitySet::SETGID, "CAP_SETGID"),
        (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
        (CapabilitySet::KILL, "CAP_KILL"),
        (CapabilitySet::CHOWN, "CAP_CHOWN"),
        (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
        (CapabilitySet::FOWNER, "CAP_FOWNER"),
    ];
    let held = match rustix::thread::capabilities(None) {
        Ok(sets) => sets.effective,
        Err(errno) => return Some(format!("its capabilities cannot be read: {errno}")),
    };
    let lacks: Vec<&str> = needed.iter().filter(|(bit, _)| !held.contains(*bit)).map(|(_, name)| *name).collect();
    if !lacks.is_empty() {
        return Some(format!("this process of root's has no {}", lacks.join(", ")));
    }
    let last = Uids::FIRST + Uids::COUNT - 1;
    let maps = |path: &str| {
        fs::read_to_string(path).is_ok_and(|map| map.lines().any(|line| maps_range(line, Uids::FIRST, last)))
    };
    let mapped = maps("/proc/self/uid_map") && maps("/proc/self/gid_map");
    (!mapped).then(|| format!("the ids {} to {last} are not mapped into this user namespace", Uids::FIRST))
}

/// Whether a line of an id map (first id inside, first outside, count) holds all ids from `first` to `last`.
fn maps_range(line: &str, first: u32, last: u32) -> bool {
    let mut numbers = line.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.nth(1)) {
        (Some(Ok(inside)), Some(Ok(count))) => inside <= first.into() && u64::from(last) < inside.saturating_add(count),
        _ => false,
    }
}

/// How many processes and threads a job's user has already.
pub fn tasks(support: &Support) -> u64 {
    match support.mode {
        Mode::Root => 0,
        Mode::Rootless => tasks_of(support.ids.0),
    }
}

/// How many tasks `uid` has now, as far as /proc shows them: RLIMIT_NPROC counts them too.
fn tasks_of(uid: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let own = entries.flatten().filter(|entry| {
        entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
            && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
    });
    own.map(|entry| fs::metadata(entry.path().join("task")).map_or(1, |task| task.nlink().saturating_sub(2).max(1)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_mapped_when_one_line_of_the_map_holds_all_of_it() {
        assert!(maps_range("         0          0 4294967295", 2_000_000_000, 2_000_065_535));
        assert!(!maps_range("0 100000 65536", 2_000_000_000, 2_000_065_535));
    }

    #[test]
    fn this_process_is_among_the_tasks_of_its_user() {
        assert!(tasks_of(rustix::process::geteuid().as_raw()) > 0);
    }
}
