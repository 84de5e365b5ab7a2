//! What a job in shadow runs under when there is no old policy.

use std::path::PathBuf;

use crate::layer::Tier;
use crate::limits::{LimitKey, Limits};
use crate::policy::{Bind, CallAction, Policy, ProcView};
use crate::source::{Source, Sourced};

/// What lies at the host's `/`, but for what is the jail's own, and `/run` and `/sys`: a socket can be used through a
/// read-only view, and what `/sys` shows can be acted on. Nor `/mnt`, which a jail with all of /proc keeps empty.
const HOST: [&str; 14] = [
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/opt", "/root", "/sbin",
    "/srv", "/usr",
];

/// Of the host's `/var`, without what leads to `/run` and to services' sockets.
const HOST_VAR: [&str; 6] = ["/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/opt", "/var/spool"];

/// The largest values, but for open files: many programs do something for each descriptor that they could have.
const LOOSE: [(LimitKey, &str); 8] = [
    (LimitKey::Wall, "24h"),
    (LimitKey::Cpu, "24h"),
    (LimitKey::Memory, "1TiB"),
    (LimitKey::Processes, "32768"),
    (LimitKey::FileSize, "1TiB"),
    (LimitKey::Disk, "1TiB"),
    (LimitKey::Output, "1GiB"),
    (LimitKey::OpenFiles, "65536"),
];

impl Policy {
    /// The loosest that the boundary can be, for jobs that no policy held so far.
    ///
    /// The host's directories can be read, as far as the job's user may; every system call is allowed that Lazaret ever
    /// allows; limits are at values that ordinary programs do not reach, or the policy's own where those are higher. What
    /// makes the jail stays: namespaces, no network, no capability, nothing of the host can be changed. Environment,
    /// devices, copy-on-write views and degraded layers are this policy's.
    #[must_use]
    pub fn loosened(&self, source: &Source) -> Self {
        let mut loose = self.clone();
        "none".clone_into(&mut loose.name);
        loose.chain.clear();
        loose.rollout = None;
        for path in HOST.into_iter().chain(HOST_VAR).map(PathBuf::from) {
            if loose.files.read.iter().any(|bind| bind.guest == path)
                || loose.files.cow.iter().any(|cow| cow.guest == path)
            {
                continue;
            }
            let why = "there is no old policy".to_owned();
            let bind = Bind { host: path.clone(), guest: path, optional: true, why };
            loose.files.read.push(Sourced::new(bind, source.clone()));
        }
        if loose.tier.value == Tier::Jail {
            loose.files.proc = Sourced::new(ProcView::Full, source.clone());
            loose.files.pts = Sourced::new(true, source.clone());
            loose.files.shm = Sourced::new(true, source.clone());
            loose.network.loopback = Sourced::new(true, source.clone());
        }
        loose.system_calls.default = Sourced::new(CallAction::Allow, source.clone());
        loose.system_calls.rules.clear();
        loose.system_calls.refuse_after_start.clear();
        loosen(&mut loose.limits, source);
        loose
    }
}

fn loosen(limits: &mut Limits, source: &Source) {
    let tight = limits.clone();
    for (key, value) in LOOSE {
        let set = limits.set(key, value, source.clone());
        debug_assert!(set.is_ok(), "{key} can be {value}");
    }
    keep_if_higher(&mut limits.wall, tight.wall);
    keep_if_higher(&mut limits.cpu, tight.cpu);
    keep_if_higher(&mut limits.memory, tight.memory);
    keep_if_higher(&mut limits.processes, tight.processes);
    keep_if_higher(&mut limits.file_size, tight.file_size);
    keep_if_higher(&mut limits.disk, tight.disk);
    keep_if_higher(&mut limits.output, tight.output);
    keep_if_higher(&mut limits.open_files, tight.open_files);
    limits.cpus = None;
    limits.io_rate = None;
    limits.net_connections = None;
    limits.net_sent = None;
    limits.net_received = None;
    limits.net_time = None;
}

fn keep_if_higher<T: PartialOrd>(loose: &mut Sourced<T>, tight: Sourced<T>) {
    if tight.value > loose.value {
        *loose = tight;
    }
}
