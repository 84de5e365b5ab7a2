//! What is looked for.

use lazaret_policy::{Layer, Policy, ProcView};
use std::fmt;

/// The kind of a feature, for showing them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// Starting a small program.
    Launch,
    /// Namespaces and id maps.
    Namespaces,
    /// Mounting inside a user namespace.
    Mounts,
    /// Control groups.
    Groups,
    /// User ids of jobs.
    Identity,
    /// Landlock.
    Landlock,
    /// System-call filters.
    Filter,
    /// Devices that other tiers and the network use.
    Devices,
}

impl Group {
    /// Every group, in the order in which they are shown.
    pub const ALL: &[Self] = &[
        Self::Launch,
        Self::Namespaces,
        Self::Mounts,
        Self::Groups,
        Self::Identity,
        Self::Landlock,
        Self::Filter,
        Self::Devices,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Namespaces => "namespaces",
            Self::Mounts => "mounts",
            Self::Groups => "cgroups",
            Self::Identity => "identity",
            Self::Landlock => "landlock",
            Self::Filter => "filter",
            Self::Devices => "devices",
        }
    }
}

macro_rules! features {
    ($($variant:ident = $name:literal, $group:ident, $layer:expr, $summary:literal, $since:literal, $option:literal;)*) => {
        /// Something that a host has or lacks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $(#[doc = $summary] $variant,)*
        }

        impl Feature {
            /// Every feature, group by group.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name. A layer's own feature has the layer's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it is, in a few words.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary),* }
            }

            /// Its kind.
            pub const fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group),* }
            }

            /// The layer of a jail that needs it.
            pub const fn layer(self) -> Option<Layer> {
                match self { $(Self::$variant => $layer),* }
            }

            /// The first Linux that has it.
            pub const fn since(self) -> &'static str {
                match self { $(Self::$variant => $since),* }
            }

            /// The options that a kernel is built with to have it. Empty: it always has it.
            pub const fn kernel_options(self) -> &'static str {
                match self { $(Self::$variant => $option),* }
            }
        }
    };
}

features! {
    MemoryExec = "memory-exec", Launch, None, "start a program from memory, whatever the caller's size", "5.2", "CONFIG_MEMFD_CREATE";
    CloseRange = "close-range", Launch, None, "close all inherited descriptors", "5.11", "";
    UserNamespace = "user-namespace", Namespaces, Some(Layer::UserNamespace), "user namespace, as the job's user", "3.8", "CONFIG_USER_NS";
    IdMaps = "id-maps", Namespaces, Some(Layer::UserNamespace), "map one id into a user namespace", "3.8", "CONFIG_USER_NS";
    PidNamespace = "pid-namespace", Namespaces, Some(Layer::PidNamespace), "process ids of the job's own", "3.8", "CONFIG_PID_NS";
    MountNamespace = "mount-namespace", Namespaces, Some(Layer::MountNamespace), "mounts of the job's own", "3.8", "";
    NetworkNamespace = "network-namespace", Namespaces, Some(Layer::NetworkNamespace), "network of the job's own", "3.8", "CONFIG_NET_NS";
    Loopback = "loopback", Namespaces, None, "loopback interface in it", "3.8", "CONFIG_NET_NS";
    IpcNamespace = "ipc-namespace", Namespaces, Some(Layer::IpcNamespace), "message queues and shared memory of the job's own", "3.8", "CONFIG_IPC_NS";
    UtsNamespace = "uts-namespace", Namespaces, Some(Layer::UtsNamespace), "host name of the job's own", "3.8", "CONFIG_UTS_NS";
    CgroupNamespace = "cgroup-namespace", Namespaces, Some(Layer::CgroupNamespace), "cgroup paths hidden", "4.6", "CONFIG_CGROUPS";
    TimeNamespace = "time-namespace", Namespaces, Some(Layer::TimeNamespace), "uptime hidden", "5.6", "CONFIG_TIME_NS";
    MountCalls = "mount-calls", Mounts, Some(Layer::MountNamespace), "new mount calls: open_tree, move_mount", "5.2", "";
    MountAttributes = "mount-attributes", Mounts, Some(Layer::MountNamespace), "read-only for whole trees: mount_setattr", "5.12", "";
    Tmpfs = "tmpfs", Mounts, Some(Layer::MountNamespace), "sized tmpfs: fsopen, fsconfig, fsmount", "5.2", "CONFIG_TMPFS";
    PivotRoot = "pivot-root", Mounts, Some(Layer::MountNamespace), "leave the old root: pivot_root", "3.8", "";
    Proc = "proc", Mounts, None, "procfs with other users' processes hidden", "5.8", "CONFIG_PROC_FS";
    ProcMinimal = "proc-minimal", Mounts, None, "procfs of processes alone: subset=pid", "5.8", "CONFIG_PROC_FS";
    Devpts = "devpts", Mounts, None, "pseudo-terminals of the job's own", "4.7", "CONFIG_UNIX98_PTYS";
    Overlayfs = "overlayfs", Mounts, None, "overlayfs, for copy-on-write views", "5.11", "CONFIG_OVERLAY_FS";
    Cgroup = "cgroup", Groups, Some(Layer::Cgroup), "make, limit, enter and remove a job's group", "2.6.24", "CONFIG_CGROUPS";
    CgroupMemory = "cgroup-memory", Groups, Some(Layer::CgroupMemory), "memory controller", "2.6.25", "CONFIG_MEMCG";
    CgroupSwap = "cgroup-swap", Groups, Some(Layer::CgroupSwap), "swap bounded, or none in use", "2.6.34", "CONFIG_MEMCG, CONFIG_SWAP";
    CgroupPids = "cgroup-pids", Groups, Some(Layer::CgroupPids), "pids controller", "4.3", "CONFIG_CGROUP_PIDS";
    CgroupCpu = "cgroup-cpu", Groups, Some(Layer::CgroupCpu), "processor time of a group", "2.6.24", "CONFIG_CGROUP_CPUACCT";
    CgroupCpuBandwidth = "cgroup-cpu-bandwidth", Groups, Some(Layer::CgroupCpu), "cpu controller, for the limit `cpus`", "3.2", "CONFIG_CFS_BANDWIDTH";
    CgroupIo = "cgroup-io", Groups, Some(Layer::CgroupIo), "io (v1: blkio) controller, for the limit `io-rate`", "2.6.37", "CONFIG_BLK_CGROUP, CONFIG_BLK_DEV_THROTTLING";
    JobUid = "job-uid", Identity, Some(Layer::JobUid), "an unused host user id for each job", "3.15", "";
    Landlock = "landlock", Landlock, Some(Layer::Landlock), "files", "5.13", "CONFIG_SECURITY_LANDLOCK";
    LandlockNetwork = "landlock-network", Landlock, Some(Layer::LandlockNetwork), "TCP", "6.7", "CONFIG_SECURITY_LANDLOCK, CONFIG_INET";
    LandlockScope = "landlock-scope", Landlock, Some(Layer::LandlockScope), "signals and abstract sockets", "6.12", "CONFIG_SECURITY_LANDLOCK";
    Seccomp = "seccomp", Filter, Some(Layer::Seccomp), "install a filter that refuses a call", "3.17", "CONFIG_SECCOMP_FILTER";
    ActionTrap = "action-trap", Filter, None, "action `trap`: SIGSYS", "3.5", "CONFIG_SECCOMP_FILTER";
    ActionLog = "action-log", Filter, None, "action `log`", "4.14", "CONFIG_SECCOMP_FILTER";
    ActionKill = "action-kill", Filter, None, "action `kill`: the whole process", "4.14", "CONFIG_SECCOMP_FILTER";
    ActionKillThread = "action-kill-thread", Filter, None, "RET_KILL_THREAD; not used by jails", "3.5", "CONFIG_SECCOMP_FILTER";
    ActionTrace = "action-trace", Filter, None, "RET_TRACE; not used by jails", "3.5", "CONFIG_SECCOMP_FILTER";
    Notifier = "notifier", Filter, Some(Layer::Notifier), "a supervisor is told of a refused call and answers it", "5.0", "CONFIG_SECCOMP_FILTER";
    NotifierKillable = "notifier-killable", Filter, None, "WAIT_KILLABLE_RECV: a waiting call is not interrupted", "5.19", "CONFIG_SECCOMP_FILTER";
    NotifierWakeUp = "notifier-wake-up", Filter, None, "SYNC_WAKE_UP: supervisor and job share a processor", "6.6", "CONFIG_SECCOMP_FILTER";
    Kvm = "kvm", Devices, None, "virtual machines: /dev/kvm", "2.6.20", "CONFIG_KVM, CONFIG_KVM_INTEL or CONFIG_KVM_AMD";
    Tun = "tun", Devices, None, "network interfaces in user space: /dev/net/tun", "3.8", "CONFIG_TUN";
    Fuse = "fuse", Devices, None, "file systems in user space: /dev/fuse", "4.18", "CONFIG_FUSE_FS";
}

impl Feature {
    /// Whether a jail for `policy` needs it. What the policy degrades is not needed.
    pub fn needed_by(self, policy: &Policy) -> bool {
        if self.layer().is_some_and(|layer| policy.degrades(layer).is_some()) {
            return false;
        }
        let files = &policy.files;
        match self {
            Self::MemoryExec
            | Self::CloseRange
            | Self::UserNamespace
            | Self::IdMaps
            | Self::PidNamespace
            | Self::MountNamespace
            | Self::NetworkNamespace
            | Self::IpcNamespace
            | Self::UtsNamespace
            | Self::CgroupNamespace
            | Self::TimeNamespace
            | Self::MountCalls
            | Self::MountAttributes
            | Self::Tmpfs
            | Self::PivotRoot
            | Self::Cgroup
            | Self::CgroupMemory
            | Self::CgroupSwap
            | Self::CgroupPids
            | Self::CgroupCpu
            | Self::JobUid
            | Self::Landlock
            | Self::Seccomp
            | Self::Notifier => true,
            Self::Loopback => policy.network.loopback.value,
            Self::Proc => files.proc.value == ProcView::Full,
            Self::ProcMinimal => files.proc.value == ProcView::Minimal,
            Self::Devpts => files.pts.value,
            Self::Overlayfs => !files.cow.is_empty(),
            Self::CgroupCpuBandwidth => policy.limits.cpus.is_some(),
            Self::CgroupIo => policy.limits.io_rate.is_some(),
            // Told by a plan where they are missing, not refused.
            Self::LandlockNetwork | Self::LandlockScope => false,
            Self::ActionTrap => uses(policy, lazaret_policy::CallAction::Trap),
            Self::ActionLog => uses(policy, lazaret_policy::CallAction::Log),
            Self::ActionKill => uses(policy, lazaret_policy::CallAction::Kill),
            Self::ActionKillThread
            | Self::ActionTrace
            | Self::NotifierKillable
            | Self::NotifierWakeUp
            | Self::Kvm
            | Self::Tun
            | Self::Fuse => false,
        }
    }

    /// The bound under `/proc/sys/user` on how many of a namespace there are.
    pub(super) const fn sysctl(self) -> Option<&'static str> {
        match self {
            Self::UserNamespace | Self::IdMaps => Some("user.max_user_namespaces"),
            Self::PidNamespace => Some("user.max_pid_namespaces"),
            Self::MountNamespace => Some("user.max_mnt_namespaces"),
            Self::NetworkNamespace | Self::Loopback => Some("user.max_net_namespaces"),
            Self::IpcNamespace => Some("user.max_ipc_namespaces"),
            Self::UtsNamespace => Some("user.max_uts_namespaces"),
            Self::CgroupNamespace => Some("user.max_cgroup_namespaces"),
            Self::TimeNamespace => Some("user.max_time_namespaces"),
            _ => None,
        }
    }

    /// The device that it is reached through.
    pub(super) const fn device(self) -> Option<&'static str> {
        match self {
            Self::Kvm => Some("/dev/kvm"),
            Self::Tun => Some("/dev/net/tun"),
            Self::Fuse => Some("/dev/fuse"),
            _ => None,
        }
    }

    /// The module that brings that device.
    pub(super) const fn module(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tun => "tun",
            Self::Overlayfs => "overlay",
            _ => "fuse",
        }
    }
}

fn uses(policy: &Policy, action: lazaret_policy::CallAction) -> bool {
    let calls = &policy.system_calls;
    calls.default.value == action || calls.rules.iter().any(|rule| rule.action == action)
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
