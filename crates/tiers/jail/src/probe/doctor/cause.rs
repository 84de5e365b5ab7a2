//! Why something is missing: what was tried tells that it is, hints of this host tell which of the usual reasons it is.

use super::feature::{Feature, Group};
use super::trial::Trouble;
use std::fs;
use std::path::Path;

/// The usual reasons for a feature to be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The kernel is too old, or was built without it.
    Kernel,
    /// The kernel has it, and it was not enabled at boot.
    NotEnabledAtBoot,
    /// A system-call filter around this process refuses it: a container's or a service's.
    CallFilter,
    /// AppArmor lets unprivileged programs make user namespaces, and do nothing in them.
    AppArmor,
    /// The sysctl `kernel.unprivileged_userns_clone` is 0.
    UnprivilegedUserns,
    /// The number of namespaces is bounded, and the bound reached.
    NamespaceLimit,
    /// This process is in a chroot, from which no user namespace can be made.
    Chroot,
    /// Parts of the /proc that is mounted here are covered, so that no new one can be mounted.
    MaskedProc,
    /// The sysctl `vm.memfd_noexec` is 2.
    MemfdNoexec,
    /// No cgroup file system is mounted.
    NoHierarchy,
    /// This user may make no groups.
    NotDelegated,
    /// The cgroup file system is mounted read-only.
    ReadOnlyHierarchy,
    /// A controller was not handed to this user's group.
    NoController,
    /// Swap is in use and not accounted.
    SwapAccounting,
    /// This process of root's lacks a capability.
    NoCapability,
    /// The ids of jobs are not mapped into this user namespace.
    IdsNotMapped,
    /// The file with the locks of the job uids cannot be used.
    LockFile,
    /// The device is not there.
    NoDevice,
    /// This user may not open the device.
    DevicePermission,
    /// None of these.
    Unknown,
}

impl Cause {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::NotEnabledAtBoot => "not-enabled-at-boot",
            Self::CallFilter => "call-filter",
            Self::AppArmor => "apparmor",
            Self::UnprivilegedUserns => "unprivileged-userns",
            Self::NamespaceLimit => "namespace-limit",
            Self::Chroot => "chroot",
            Self::MaskedProc => "masked-proc",
            Self::MemfdNoexec => "memfd-noexec",
            Self::NoHierarchy => "no-hierarchy",
            Self::NotDelegated => "not-delegated",
            Self::ReadOnlyHierarchy => "read-only-hierarchy",
            Self::NoController => "no-controller",
            Self::SwapAccounting => "swap-accounting",
            Self::NoCapability => "no-capability",
            Self::IdsNotMapped => "ids-not-mapped",
            Self::LockFile => "lock-file",
            Self::NoDevice => "no-device",
            Self::DevicePermission => "device-permission",
            Self::Unknown => "unknown",
        }
    }
}

/// Where this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// In none that is known.
    None,
    /// Docker, or what leaves its mark.
    Docker,
    /// Podman, Buildah.
    Podman,
    /// A pod of Kubernetes.
    Kubernetes,
}

/// Hints that this host gives without being tried. They choose between explanations; they decide nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The container engine.
    pub container: Container,
    /// Whether a system-call filter lies around this process.
    pub call_filter: bool,
    /// `kernel.unprivileged_userns_clone`, where the kernel has that switch: Debian's older ones.
    pub unprivileged_userns_clone: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, where the kernel has that switch: Ubuntu's.
    pub apparmor_restricts_userns: Option<bool>,
    /// The AppArmor profile of this process.
    pub apparmor_profile: Option<String>,
    /// The security modules that are active, where the kernel tells.
    pub security_modules: Option<String>,
    /// Whether the root directory is none of the mount namespace's.
    pub chroot: bool,
    /// Paths below /proc that are covered by other mounts.
    pub covered_proc: Vec<String>,
    /// `vm.memfd_noexec`.
    pub memfd_noexec: Option<u32>,
    /// Whether systemd runs this host.
    pub systemd: bool,
}

impl Circumstances {
    /// Reads them.
    pub(super) fn read() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            container: container(),
            call_filter: status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone").map(|n| n != 0),
            apparmor_restricts_userns: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").map(|n| n != 0),
            apparmor_profile: word("/proc/self/attr/apparmor/current"),
            security_modules: word("/sys/kernel/security/lsm"),
            chroot: !points.is_empty() && !points.contains(&"/"),
            covered_proc: points
                .iter()
                .filter(|point| point.strip_prefix("/proc/").is_some_and(|rest| rest != "sys/fs/binfmt_misc"))
                .map(|point| (*point).to_owned())
                .collect(),
            memfd_noexec: number("/proc/sys/vm/memfd_noexec"),
            systemd: Path::new("/run/systemd/system").exists(),
        }
    }

    /// The cause of `trouble` with `feature`.
    pub(super) fn cause(&self, feature: Feature, trouble: &Trouble) -> Cause {
        let (errno, opening) = match trouble {
            Trouble::Refused { errno, call } => (*errno, *call == "openat"),
            Trouble::NotStarted(errno) => (*errno, false),
            Trouble::Killed(libc::SIGSYS) if self.call_filter => return Cause::CallFilter,
            Trouble::Killed(_) | Trouble::Late | Trouble::NoEffect => return Cause::Unknown,
        };
        match (errno, feature.group()) {
            (libc::ENOSPC | libc::EUSERS, _) if feature.sysctl().is_some() => Cause::NamespaceLimit,
            (libc::EOPNOTSUPP, Group::Landlock) => Cause::NotEnabledAtBoot,
            (libc::ENOSYS, Group::Landlock) => self.absent_landlock(),
            (libc::EACCES, Group::Launch) if self.memfd_noexec == Some(2) => Cause::MemfdNoexec,
            (libc::ENOENT | libc::ENODEV | libc::ENXIO, Group::Devices) => Cause::NoDevice,
            (libc::EACCES | libc::EPERM, Group::Devices) if opening => Cause::DevicePermission,
            (libc::EPERM | libc::EACCES, Group::Namespaces | Group::Mounts | Group::Devices) => self.refusal(feature),
            (libc::ENOSYS | libc::EPERM | libc::EACCES, _) if self.call_filter => Cause::CallFilter,
            (libc::ENOSYS | libc::EINVAL | libc::ENODEV | libc::EOPNOTSUPP | libc::ENOTTY, _) => Cause::Kernel,
            _ => Cause::Unknown,
        }
    }

    /// A kernel that lists Landlock among its modules has the call.
    fn absent_landlock(&self) -> Cause {
        match &self.security_modules {
            Some(modules) if self.call_filter && !modules.split(',').any(|name| name == "landlock") => Cause::Kernel,
            _ if self.call_filter => Cause::CallFilter,
            _ => Cause::Kernel,
        }
    }

    fn refusal(&self, feature: Feature) -> Cause {
        let user = matches!(feature, Feature::UserNamespace);
        if user && self.unprivileged_userns_clone == Some(false) {
            Cause::UnprivilegedUserns
        } else if self.apparmor_restricts_userns == Some(true) {
            Cause::AppArmor
        } else if matches!(feature, Feature::Proc | Feature::ProcMinimal) && !self.covered_proc.is_empty() {
            Cause::MaskedProc
        } else if self.call_filter {
            Cause::CallFilter
        } else if user && self.chroot {
            Cause::Chroot
        } else {
            Cause::Unknown
        }
    }
}

/// Images leave their marks on machines that were made from them too: those are in the first namespaces of their kernel.
///
/// Source: the inode numbers of the first namespaces, include/uapi/linux/nsfs.h.
fn container() -> Container {
    let exists = |path: &str| Path::new(path).exists();
    let is_first = |path: &str, first: &str| fs::read_link(path).is_ok_and(|link| link == Path::new(first));
    if is_first("/proc/self/ns/pid", "pid:[4026531836]") && is_first("/proc/self/ns/uts", "uts:[4026531838]") {
        Container::None
    } else if exists("/run/secrets/kubernetes.io") || exists("/var/run/secrets/kubernetes.io") {
        Container::Kubernetes
    } else if exists("/run/.containerenv") {
        Container::Podman
    } else if exists("/.dockerenv") {
        Container::Docker
    } else {
        Container::None
    }
}

fn word(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_end_matches(['\n', '\0']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(path: &str) -> Option<u32> {
    word(path)?.parse().ok()
}
