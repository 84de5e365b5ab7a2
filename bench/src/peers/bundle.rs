//! Files that other sandboxes need: an OCI bundle, an empty root, a compiled filter.

use super::JOB;
use anyhow::{Context, Result};
use lazaret::plan::{FilterPlan, OWN_RULES};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A host id above every range that is handed out, and outside of the ids of Lazaret's own jobs.
const UNUSED_ID: u32 = 2_000_100_000;

/// A directory for them, removed at the end.
#[derive(Debug)]
pub(super) struct Scratch(TempDir);

/// Which system calls a bundle allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// All.
    All,
    /// Those of Lazaret's default profile.
    Profile,
}

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("lazaret-bench-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .context("cannot make a temporary directory")?;
        Ok(Self(directory))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The filter of the default profile as an array of struct sock_filter.
    pub(super) fn filter(&self) -> Result<PathBuf> {
        let path = self.path().join("default.bpf");
        fs::write(&path, default_filter()?.program).context("cannot write the filter")?;
        Ok(path)
    }

    /// A bundle that runs the job.
    pub(super) fn bundle(&self, calls: Calls) -> Result<PathBuf> {
        let bundle = self.path().join(match calls {
            Calls::All => "bundle",
            Calls::Profile => "bundle-filter",
        });
        root(&bundle.join("rootfs"))?;
        let mut config = config();
        if calls == Calls::Profile {
            let arch = lazaret_filter::Arch::native().context("there is no table for this architecture")?;
            let profile = lazaret_filter::oci::write(&default_filter()?.filter, arch)?;
            config["linux"]["seccomp"] = serde_json::from_str(&profile)?;
        }
        fs::write(bundle.join("config.json"), config.to_string()).context("cannot write an OCI bundle")?;
        Ok(bundle)
    }

    /// An empty root with the directories that minijail mounts on.
    pub(super) fn minijail_root(&self) -> Result<PathBuf> {
        let path = self.path().join("minijail");
        root(&path)?;
        Ok(path)
    }
}

/// Who the job is outside of a user namespace that maps one id: for root an unused one, for others themselves.
pub(super) fn outside_ids() -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() { (UNUSED_ID, UNUSED_ID) } else { (uid.as_raw(), gid.as_raw()) }
}

fn default_filter() -> Result<FilterPlan> {
    let policy = lazaret::profile("default")?;
    Ok(FilterPlan::new(&policy.system_calls, OWN_RULES, false)?)
}

fn root(path: &Path) -> Result<()> {
    let failed = || format!("cannot make `{}`", path.display());
    for name in ["usr", "proc", "dev", "tmp", "job", "etc"] {
        fs::create_dir_all(path.join(name)).with_context(failed)?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target, path.join(name)).with_context(failed)?;
        }
    }
    Ok(())
}

fn config() -> Value {
    let is_root = rustix::process::geteuid().is_root();
    let (uid, gid) = outside_ids();
    let tmpfs = |at: &str, options: &[&str]| json!({ "destination": at, "type": "tmpfs", "source": "tmpfs", "options": options });
    let namespaces = ["user", "pid", "mount", "network", "ipc", "uts", "cgroup"];
    let no_capabilities = json!({ "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] });
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": "job",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": [JOB],
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/job", "TMPDIR=/tmp"],
            "cwd": "/job",
            "noNewPrivileges": true,
            "capabilities": no_capabilities,
            "rlimits": [
                { "type": "RLIMIT_CORE", "hard": 0, "soft": 0 },
                { "type": "RLIMIT_NOFILE", "hard": 256, "soft": 256 },
                { "type": "RLIMIT_FSIZE", "hard": 512 << 20, "soft": 512 << 20 },
            ],
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid", "nodev"] },
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            tmpfs("/dev", &["nosuid", "mode=755", "size=65536k"]),
            tmpfs("/tmp", &["nosuid", "nodev", "size=512m"]),
            tmpfs("/job", &["nosuid", "nodev", "size=512m"]),
        ],
        "linux": {
            "namespaces": namespaces.map(|kind| json!({ "type": kind })),
            "uidMappings": [{ "containerID": 0, "hostID": uid, "size": 1 }],
            "gidMappings": [{ "containerID": 0, "hostID": gid, "size": 1 }],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"],
        },
    });
    if is_root {
        config["linux"]["resources"] = json!({ "memory": { "limit": 1 << 30 }, "pids": { "limit": 64 } });
    }
    config
}
