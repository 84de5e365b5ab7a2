//! The table: a row for each cause, with the ways out of it.

use super::super::FixKind::{AppArmor, Boot, Command, Container as Flag, Kernel, Policy, Service, Sysctl};
use super::super::cause::Cause;
use super::super::feature::{Feature, Group};
use super::Where::{Anywhere, Docker, Host, Kubernetes, Podman, Systemd};
use super::{Of, Row, fix};

pub(super) const TABLE: &[Row] = &[
    Row {
        cause: Cause::UnprivilegedUserns,
        of: Of::Any,
        means: "the sysctl kernel.unprivileged_userns_clone is 0",
        remedies: &[fix(
            Anywhere,
            Sysctl,
            "allow it, now and at every boot",
            "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-lazaret.conf && sudo sysctl --system",
        )],
    },
    Row {
        cause: Cause::AppArmor,
        of: Of::Any,
        means: "AppArmor takes every right from user namespaces that unprivileged programs make \
                (kernel.apparmor_restrict_unprivileged_userns=1, as in Ubuntu 23.10 and later)",
        remedies: &[
            fix(
                Anywhere,
                AppArmor,
                "allow it for this program: write to /etc/apparmor.d/lazaret, then run \
                 `sudo apparmor_parser -r /etc/apparmor.d/lazaret`",
                "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile lazaret {program} flags=(unconfined) {\n  userns,\n  \
                 include if exists <local/lazaret>\n}",
            ),
            fix(
                Anywhere,
                Sysctl,
                "or lift the restriction for every program",
                "echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-lazaret.conf && sudo sysctl \
                 --system",
            ),
        ],
    },
    Row {
        cause: Cause::NamespaceLimit,
        of: Of::Any,
        means: "the bound {sysctl} is reached, here or in a user namespace around this one",
        remedies: &[fix(
            Anywhere,
            Sysctl,
            "raise it, now and at every boot; in a container on its host",
            "echo {sysctl}=15000 | sudo tee /etc/sysctl.d/60-lazaret.conf && sudo sysctl --system",
        )],
    },
    Row {
        cause: Cause::Chroot,
        of: Of::Any,
        means: "this process is in a chroot, from which the kernel lets nobody make a user namespace",
        remedies: &[fix(
            Anywhere,
            Command,
            "enter the directory by pivot_root instead of chroot",
            "sudo bwrap --bind DIRECTORY / --proc /proc --dev /dev COMMAND",
        )],
    },
    Row {
        cause: Cause::MaskedProc,
        of: Of::Any,
        means: "parts of /proc are covered by other mounts ({covered}), and the kernel then allows no new one in a user \
                namespace",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--security-opt systempaths=unconfined"),
            fix(Podman, Flag, "start the container with", "--security-opt unmask=ALL"),
            fix(
                Kubernetes,
                Flag,
                "in the pod",
                "spec:\n  hostUsers: false\n  containers:\n  - securityContext:\n      procMount: Unmasked",
            ),
            fix(
                Systemd,
                Service,
                "for a service, take out of its unit",
                "ProtectKernelTunables=\nProtectProc=\nProcSubset=",
            ),
            fix(Anywhere, Policy, "or show no /proc: in the policy", "[files]\nproc = \"none\""),
        ],
    },
    Row {
        cause: Cause::MemfdNoexec,
        of: Of::Any,
        means: "the sysctl vm.memfd_noexec is 2",
        remedies: &[fix(
            Anywhere,
            Sysctl,
            "allow it, now and at every boot",
            "echo vm.memfd_noexec=1 | sudo tee /etc/sysctl.d/60-lazaret.conf && sudo sysctl --system",
        )],
    },
    Row {
        cause: Cause::NotEnabledAtBoot,
        of: Of::In(Group::Landlock),
        means: "this kernel has Landlock and did not enable it at boot",
        remedies: &[fix(
            Anywhere,
            Boot,
            "add `landlock` to the list of security modules, in /etc/default/grub, then run `sudo update-grub` and reboot",
            "GRUB_CMDLINE_LINUX=\"lsm=landlock,{modules}\"",
        )],
    },
    Row {
        cause: Cause::CallFilter,
        of: Of::Any,
        means: "a system-call filter lies around this process: a container's or a service's",
        remedies: &[
            fix(
                Docker,
                Flag,
                "start the container with (or with Docker's profile plus the calls that `lazaret plan --steps` prints)",
                "--security-opt seccomp=unconfined --security-opt apparmor=unconfined",
            ),
            fix(
                Podman,
                Flag,
                "start the container with (or with Podman's profile plus the calls that `lazaret plan --steps` prints)",
                "--security-opt seccomp=unconfined",
            ),
            fix(
                Kubernetes,
                Flag,
                "in the container's securityContext",
                "seccompProfile: { type: Unconfined }\nappArmorProfile: { type: Unconfined }",
            ),
            fix(
                Host,
                Service,
                "for a service, take out of its unit, or add the calls that `lazaret plan --steps` prints",
                "RestrictNamespaces=\nSystemCallFilter=",
            ),
            fix(Host, Flag, "for a container, start it with", "--security-opt seccomp=unconfined"),
        ],
    },
    Row {
        cause: Cause::NoHierarchy,
        of: Of::Any,
        means: "jobs can only be accounted and limited as groups where a hierarchy is mounted",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw"),
            fix(
                Podman,
                Flag,
                "start the container with",
                "--cgroupns=private --security-opt unmask=ALL --systemd=always",
            ),
            fix(Host, Command, "mount it", "sudo mount -t cgroup2 none /sys/fs/cgroup"),
            fix(
                Host,
                Command,
                "or, where another file system hides it, unmount that one",
                "sudo umount /sys/fs/cgroup",
            ),
            fix(
                Anywhere,
                Policy,
                "or accept weaker limits by name: --degrade cgroup, or in the policy",
                "degrade = [\"cgroup\"]",
            ),
        ],
    },
    Row {
        cause: Cause::ReadOnlyHierarchy,
        of: Of::Any,
        means: "it is mounted read-only",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw"),
            fix(
                Podman,
                Flag,
                "start the container with",
                "--cgroupns=private --security-opt unmask=ALL --systemd=always",
            ),
            fix(Systemd, Service, "for a service, in its unit", "Delegate=yes\nProtectControlGroups=no"),
            fix(Host, Command, "mount it writable", "sudo mount -o remount,rw /sys/fs/cgroup"),
            fix(
                Anywhere,
                Policy,
                "or accept weaker limits by name: --degrade cgroup, or in the policy",
                "degrade = [\"cgroup\"]",
            ),
        ],
    },
    Row {
        cause: Cause::NotDelegated,
        of: Of::Any,
        means: "groups are made only where that was delegated to this user, or where it is alone",
        remedies: &[
            fix(
                Systemd,
                Service,
                "start the shell, or Lazaret alone, in a scope that is delegated",
                "{scope} -p Delegate=yes $SHELL",
            ),
            fix(
                Systemd,
                Service,
                "for a service, in its unit (DelegateSubgroup: systemd 254 and later)",
                "Delegate=yes\nDelegateSubgroup=service",
            ),
            fix(Docker, Flag, "start the container with", "--cgroupns=private -v /sys/fs/cgroup:/sys/fs/cgroup:rw"),
            fix(
                Podman,
                Flag,
                "start the container with",
                "--cgroupns=private --security-opt unmask=ALL --systemd=always",
            ),
            fix(
                Host,
                Command,
                "without systemd, give this user a group of its own, and start Lazaret from a shell in it",
                "for d in {groups}; do\n  sudo mkdir -p $d/lazaret-{user} && sudo chown -R {user} $d/lazaret-{user}\n  \
                 echo $$ | sudo tee $d/lazaret-{user}/cgroup.procs\ndone",
            ),
            fix(
                Anywhere,
                Policy,
                "or accept weaker limits by name: --degrade cgroup, or in the policy",
                "degrade = [\"cgroup\"]",
            ),
        ],
    },
    Row {
        cause: Cause::NoController,
        of: Of::Any,
        means: "the group that this process is in does not have it",
        remedies: &[
            fix(
                Systemd,
                Service,
                "hand all controllers to users: write to /etc/systemd/system/user@.service.d/delegate.conf, then run \
                 `sudo systemctl daemon-reload` and log in again",
                "[Service]\nDelegate=cpu cpuset io memory pids",
            ),
            fix(
                Host,
                Command,
                "hand it down from the nearest group that has it, or start Lazaret in a scope (`{scope} -p Delegate=yes $SHELL`)",
                "echo +{controller} | sudo tee {above}/cgroup.subtree_control",
            ),
            fix(Host, Kernel, "or, if no group has it, use a kernel that does", "{kernel}"),
            fix(
                Anywhere,
                Policy,
                "or accept its absence by name: --degrade {layer}, or in the policy",
                "degrade = [\"{layer}\"]",
            ),
        ],
    },
    Row {
        cause: Cause::SwapAccounting,
        of: Of::Any,
        means: "this kernel does not count swap to groups",
        remedies: &[
            fix(
                Anywhere,
                Boot,
                "count it: in /etc/default/grub, then run `sudo update-grub` and reboot",
                "GRUB_CMDLINE_LINUX=\"swapaccount=1\"",
            ),
            fix(Host, Command, "or do without swap", "sudo swapoff -a"),
            fix(
                Anywhere,
                Policy,
                "or accept it by name: --degrade cgroup-swap, or in the policy",
                "degrade = [\"cgroup-swap\"]",
            ),
        ],
    },
    Row {
        cause: Cause::NoCapability,
        of: Of::Any,
        means: "only a process with both can give jobs ids of their own",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--cap-add SETUID --cap-add SETGID"),
            fix(Podman, Flag, "start the container with", "--cap-add SETUID --cap-add SETGID"),
            fix(Kubernetes, Flag, "in the container's securityContext", "capabilities: { add: [SETUID, SETGID] }"),
            fix(Systemd, Service, "for a service, in its unit", "CapabilityBoundingSet=CAP_SETUID CAP_SETGID"),
            fix(
                Anywhere,
                Command,
                "or start it as an ordinary user, whose id every job then has",
                "setpriv --reuid USER --regid USER --init-groups lazaret …",
            ),
            fix(
                Anywhere,
                Policy,
                "or accept it by name: --degrade job-uid, or in the policy",
                "degrade = [\"job-uid\"]",
            ),
        ],
    },
    Row {
        cause: Cause::IdsNotMapped,
        of: Of::Any,
        means: "jobs of root's get ids out of that range",
        remedies: &[
            fix(
                Anywhere,
                Command,
                "start it as an ordinary user, whose id every job then has",
                "setpriv --reuid USER --regid USER --init-groups lazaret …",
            ),
            fix(
                Anywhere,
                Policy,
                "or accept it by name: --degrade job-uid, or in the policy",
                "degrade = [\"job-uid\"]",
            ),
        ],
    },
    Row {
        cause: Cause::LockFile,
        of: Of::Any,
        means: "the locks in it are what keeps two jobs from having one id",
        remedies: &[fix(Anywhere, Command, "make its directory writable", "mount -t tmpfs -o mode=755 none /run")],
    },
    Row {
        cause: Cause::NoDevice,
        of: Of::These(&[Feature::Kvm]),
        means: "there is no /dev/kvm: the processor or the hypervisor around this machine offers no virtualisation, or the \
                module is not loaded",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--device /dev/kvm"),
            fix(Podman, Flag, "start the container with", "--device /dev/kvm"),
            fix(Host, Command, "load the module", "sudo modprobe kvm_intel || sudo modprobe kvm_amd"),
            fix(
                Host,
                Command,
                "otherwise switch VT-x or AMD-V on in the firmware, or nested virtualisation on the machine's host, and see",
                "grep -cwE 'vmx|svm' /proc/cpuinfo",
            ),
        ],
    },
    Row {
        cause: Cause::NoDevice,
        of: Of::Any,
        means: "{device} is not there, or has no driver",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--device {device}"),
            fix(Podman, Flag, "start the container with", "--device {device}"),
            fix(Host, Command, "load the module", "sudo modprobe {module}"),
        ],
    },
    Row {
        cause: Cause::DevicePermission,
        of: Of::These(&[Feature::Kvm]),
        means: "this user may not open /dev/kvm",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--device /dev/kvm --group-add $(stat -c %g /dev/kvm)"),
            fix(Podman, Flag, "start the container with", "--device /dev/kvm --group-add keep-groups"),
            fix(Host, Command, "add this user to the device's group, and log in again", "sudo usermod -aG kvm $USER"),
        ],
    },
    Row {
        cause: Cause::DevicePermission,
        of: Of::Any,
        means: "this user may not use {device}",
        remedies: &[
            fix(Docker, Flag, "start the container with", "--device {device}"),
            fix(Podman, Flag, "start the container with", "--device {device}"),
            fix(Host, Command, "let every user open it, as distributions do", "sudo chmod 666 {device}"),
        ],
    },
    Row {
        cause: Cause::Kernel,
        of: Of::These(&[Feature::Overlayfs]),
        means: "this kernel has no overlayfs, or has none in user namespaces",
        remedies: &[
            fix(Host, Command, "load the module", "sudo modprobe overlay"),
            fix(Anywhere, Kernel, "or use a kernel that has it", "{kernel}"),
        ],
    },
    Row {
        cause: Cause::Kernel,
        of: Of::In(Group::Landlock),
        means: "this kernel does not have it",
        remedies: &[
            fix(Anywhere, Kernel, "use a kernel that has it", "{kernel}"),
            fix(
                Anywhere,
                Policy,
                "or accept its absence by name: --degrade {layer}, or in the policy",
                "degrade = [\"{layer}\"]",
            ),
        ],
    },
    Row {
        cause: Cause::Kernel,
        of: Of::Any,
        means: "this kernel does not have it",
        remedies: &[fix(Anywhere, Kernel, "use a kernel that has it", "{kernel}")],
    },
    Row {
        cause: Cause::Unknown,
        of: Of::Any,
        means: "no usual reason for that was found",
        remedies: &[fix(
            Anywhere,
            Command,
            "see what the kernel and its security modules say about it",
            "sudo dmesg | tail; sudo journalctl -k -g 'apparmor|avc|seccomp' -n 20",
        )],
    },
];
