//! A policy, checked and made into what every call under it needs.

use super::error::SandboxError;
use super::filter::CallFilter;
use super::order::{Order, SELF};
use super::room::above_streams;
use lazaret_launch::refusals::{OwnId, Rules};
use lazaret_policy::{EnvValue, Layer, Limits, Policy, ProcView, Root, Source, Tier};
use lazaret_sys::descriptor::OwnSocket;
use lazaret_sys::landlock::{self, NETWORK_KNOWN, RulesetAttr, SCOPE_KNOWN, access};
use lazaret_sys::wait::{self, Ended};
use lazaret_sys::{confine, fork, seccomp};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::{AsFd, OwnedFd};

/// What is the same for every call.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) order: Order,
    pub(crate) filter: CallFilter,
    pub(crate) limits: Limits,
    /// Descriptors that the process may have.
    pub(crate) open_files: u64,
    pub(crate) ruleset: Option<OwnedFd>,
    /// `/dev/null`.
    pub(crate) null: OwnedFd,
    /// Tells whether the descriptors above are still what they were, or were closed behind our back and given again.
    mark: OwnSocket,
    /// Layers that the host lacks, and that the policy does without.
    pub(crate) missing: Vec<Layer>,
}

impl Recipe {
    pub(crate) fn new(policy: &Policy) -> Result<Self, SandboxError> {
        check(policy)?;
        let mut missing = Vec::new();
        let listen = has_notifications(policy, &mut missing)?;
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let open_files = u64::from(policy.limits.open_files.get()).min(most.saturating_sub(1));
        let socket = i32::try_from(open_files).unwrap_or(i32::MAX);
        let filter = CallFilter::new(policy, listen, socket)?;
        let ruleset = ruleset(policy, &filter, &mut missing)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(above_streams)
            .map_err(|source| SandboxError::Resource { what: "open /dev/null", source })?;
        let order = Order {
            program: filter.program.clone(),
            own_id: filter.own_id.clone(),
            listen,
            restrict: ruleset.is_some(),
            socket,
            advise: filter.permits("madvise"),
            file_size: policy.limits.file_size.bytes(),
            memory: policy.limits.memory.bytes(),
            cpu_seconds: policy.limits.cpu.duration().as_secs() + 1,
        };
        let mark = mark().map_err(|source| SandboxError::Resource { what: "make a socket", source })?;
        Ok(Self { order, filter, limits: policy.limits.clone(), open_files, ruleset, null, mark, missing })
    }
}

fn mark() -> std::io::Result<OwnSocket> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    OwnSocket::new(above_streams(socket)?)
}

impl Recipe {
    /// Whether its descriptors are still what they were.
    ///
    /// # Errors
    ///
    /// `EBADF` when not.
    pub(crate) fn is_whole(&self) -> std::io::Result<()> {
        self.mark.get().map(drop)
    }

    /// The rules, for answering calls of the process `pid` by them.
    pub(crate) fn rules(&self, pid: u32) -> Rules<'_> {
        self.filter.rules(OwnId { pid, stands: SELF }, self.ruleset.is_some())
    }
}

/// Refuses what a function call cannot have.
fn check(policy: &Policy) -> Result<(), SandboxError> {
    if policy.tier.value != Tier::Seccomp {
        return Err(SandboxError::Tier { policy: policy.name.clone(), tier: policy.tier.value });
    }
    let files = &policy.files;
    let limits = &policy.limits;
    let own_tree = "it has the host's file tree, and no mounts of its own";
    let moved = files.read.iter().find(|bind| bind.host != bind.guest);
    // The locale of every program that has set none.
    let plain = |value: &EnvValue| matches!(value, EnvValue::Set(locale) if matches!(locale.as_str(), "C" | "POSIX"));
    let mut variables = policy.environment.iter().filter(|set| set.name != "LANG" || !plain(&set.value.value));
    let set = variables.next().map(|variable| {
        let key = if matches!(variable.value.value, EnvValue::Set(_)) { "environment.set" } else { "environment.pass" };
        (format!("{key}: {}", variable.name), &variable.source)
    });
    let named = |key: &str, source: Option<&Source>| source.map(|source| (key.to_owned(), source.to_string()));
    let later = policy.system_calls.refuse_after_start.first().map(|rule| &rule.source);
    let beyond = [
        (
            named("system-calls.refuse-after-start", later),
            "a function has no start of its own: refuse the calls altogether",
        ),
        (named("files.root", (files.root.value != Root::Host).then_some(&files.root.source)), own_tree),
        (moved.map(|bind| (format!("files.read: at = {}", bind.guest.display()), bind.source.to_string())), own_tree),
        (named("files.cow", files.cow.first().map(|cow| &cow.source)), own_tree),
        (named("files.devices", files.devices.first().map(|device| &device.source)), own_tree),
        (named("files.proc", (files.proc.value != ProcView::None).then_some(&files.proc.source)), own_tree),
        (named("files.pts", files.pts.value.then_some(&files.pts.source)), own_tree),
        (named("files.shm", files.shm.value.then_some(&files.shm.source)), own_tree),
        (
            named("net.loopback", policy.network.loopback.value.then_some(&policy.network.loopback.source)),
            "it has no network namespace of its own",
        ),
        (
            named("net.allow", policy.network.allow.first().map(|host| &host.source)),
            "it has no network namespace of its own",
        ),
        (
            named("fetch", policy.fetch.first().map(|fetch| &fetch.source)),
            "it has no directory for files: hand it the bytes",
        ),
        (
            named("files.mode", files.mode.as_ref().filter(|_| files.are_brokered()).map(|mode| &mode.source)),
            "it opens no files: hand it the bytes",
        ),
        (set.map(|(key, source)| (key, source.to_string())), "it has its caller's memory, and so its environment"),
        (
            named("limits.processes", (limits.processes.get() != 1).then_some(&limits.processes.source)),
            "it is one process of one thread: say 1",
        ),
        (
            named("limits.cpus", limits.cpus.as_ref().map(|cpus| &cpus.source)),
            "nothing but a cgroup bounds the bandwidth of a processor",
        ),
        (
            named("limits.io-rate", limits.io_rate.as_ref().map(|rate| &rate.source)),
            "nothing but a cgroup bounds the rate of a disk",
        ),
    ];
    match beyond.into_iter().find_map(|(asked, why)| asked.map(|asked| (asked, why))) {
        None => Ok(()),
        Some(((key, from), why)) => Err(SandboxError::Beyond { key, from, why }),
    }
}

/// Notes that this host lacks `layer`, if the policy agrees to that.
fn lacks(policy: &Policy, missing: &mut Vec<Layer>, layer: Layer, why: String) -> Result<(), SandboxError> {
    if policy.degrades(layer).is_none() {
        return Err(SandboxError::Missing { layer, why });
    }
    missing.push(layer);
    Ok(())
}

fn has_notifications(policy: &Policy, missing: &mut Vec<Layer>) -> Result<bool, SandboxError> {
    let why = match seccomp::has_action(libc::SECCOMP_RET_USER_NOTIF) {
        Ok(true) if can_listen() => return Ok(true),
        Ok(true) => "this process is under a filter whose refused calls are reported to somebody else".to_owned(),
        Ok(false) => "no user notification (Linux 5.0)".to_owned(),
        Err(e) => e.to_string(),
    };
    lacks(policy, missing, Layer::Notifier, why).map(|()| false)
}

/// Whether a filter with a listener can be put on. A process without any filter can have one, by proc_pid_status(5); under
/// others, one may have a listener already: that is tried, in a child.
fn can_listen() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "0")) {
        return true;
    }
    let permit_all = [&6_u16.to_ne_bytes()[..], &[0, 0], &libc::SECCOMP_RET_ALLOW.to_ne_bytes()].concat();
    let child = fork::fork(|| {
        let able = rustix::thread::set_no_new_privs(true).is_ok() && confine::filter(&permit_all, true).is_ok();
        fork::exit(i32::from(!able));
    });
    // Where nobody can tell, each call will.
    let ended = child.and_then(wait::reap).ok().flatten();
    ended.is_none_or(|ended| ended == Ended::Exited(0))
}

/// The Landlock ruleset: nothing but what the policy reads. Where the filter leaves nothing that Landlock would bound, it
/// is not missed.
fn ruleset(policy: &Policy, filter: &CallFilter, missing: &mut Vec<Layer>) -> Result<Option<OwnedFd>, SandboxError> {
    let (abi, why) = match landlock::abi() {
        Ok(abi) => (abi, format!("this kernel's Landlock has ABI {abi}")),
        Err(e) => (0, format!("Landlock cannot be asked for: {e}")),
    };
    let asked = [
        (Layer::Landlock, 1, filter.opens()),
        (Layer::LandlockNetwork, 4, filter.connects()),
        (Layer::LandlockScope, 6, filter.connects()),
    ];
    for (layer, since, needed) in asked {
        if needed && abi < since {
            lacks(policy, missing, layer, why.clone())?;
        }
    }
    if abi == 0 {
        return Ok(None);
    }
    let attributes = RulesetAttr {
        handled_access_fs: access::known(abi),
        handled_access_net: if abi >= 4 { NETWORK_KNOWN } else { 0 },
        scoped: if abi >= 6 { SCOPE_KNOWN } else { 0 },
    };
    let failed = |source| SandboxError::Resource { what: "make a Landlock ruleset", source };
    let ruleset = confine::ruleset(&attributes, abi).and_then(above_streams).map_err(failed)?;
    for bind in &policy.files.read {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let path = match rustix::fs::open(&bind.host, flags, Mode::empty()) {
            Ok(path) => path,
            Err(rustix::io::Errno::NOENT) if bind.optional => continue,
            Err(e) => {
                let (path, from) = (bind.host.clone(), bind.source.to_string());
                return Err(SandboxError::Path { path, from, source: e.into() });
            }
        };
        let is_directory = rustix::fs::fstat(&path)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory);
        let rights = if is_directory { access::READ_FILE | access::READ_DIR } else { access::READ_FILE };
        confine::allow_beneath(ruleset.as_fd(), path.as_fd(), rights).map_err(failed)?;
    }
    Ok(Some(ruleset))
}
