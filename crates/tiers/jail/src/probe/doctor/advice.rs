//! What a cause means and what to do about it: one table, all wording in it.

use super::cause::{Cause, Circumstances, Container};
use super::feature::{Feature, Group};
use super::trial::Trouble;
use super::{Fix, FixKind, Lack};
use lazaret_policy::signal_name;
use std::io;

/// For which features a row holds. The first row that fits is taken.
enum Of {
    Any,
    In(Group),
    These(&'static [Feature]),
}

/// On which hosts a remedy helps.
enum Where {
    Anywhere,
    /// Outside of containers.
    Host,
    Docker,
    Podman,
    Kubernetes,
    /// Where systemd starts services.
    Systemd,
}

struct Row {
    cause: Cause,
    of: Of,
    /// Why it is missing, behind what was tried.
    means: &'static str,
    remedies: &'static [Remedy],
}

/// `text` is to be typed, or written where `how` says. See [`fill`] for the words in braces.
struct Remedy {
    on: Where,
    kind: FixKind,
    how: &'static str,
    text: &'static str,
}

const fn fix(on: Where, kind: FixKind, how: &'static str, text: &'static str) -> Remedy {
    Remedy { on, kind, how, text }
}

use FixKind::{AppArmor, Boot, Command, Container as Flag, Kernel, Policy, Service, Sysctl};
use Where::{Anywhere, Docker, Host, Kubernetes, Podman, Systemd};

const TABLE: &[Row] = &[
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
        means: "groups are made only in a subtree that was delegated to this user",
        remedies: &[
            fix(
                Systemd,
                Service,
                "for a shell, start Lazaret in a scope of its own",
                "systemd-run --user --scope -p Delegate=yes lazaret run …",
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
                "without systemd, give this user a group in each hierarchy, and start Lazaret from a shell in it",
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
                "hand it down from the group above",
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

/// Facts that the table's texts name.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// The program for which an AppArmor profile is made.
    pub(super) program: String,
    /// This user's id.
    pub(super) user: String,
    /// The directories in which this user's jobs would have their groups.
    pub(super) groups: String,
    /// The name of the controller that is missing.
    pub(super) controller: String,
    /// The group from which it would be handed down.
    pub(super) above: String,
}

/// What is known of the missing `feature`: what was found when it was tried, and what the table says about the cause.
pub(super) fn lack(
    feature: Feature,
    (cause, found, errno): (Cause, String, Option<i32>),
    circumstances: &Circumstances,
    words: &Words,
) -> Lack {
    let row = TABLE.iter().find(|row| row.cause == cause && row.of.holds(feature));
    let fill = |text: &str| fill(text, feature, circumstances, words);
    let fits = |remedy: &&Remedy| remedy.on.fits(circumstances);
    let fixes = row.map_or(&[][..], |row| row.remedies).iter().filter(fits).map(|remedy| Fix {
        kind: remedy.kind,
        how: fill(remedy.how),
        text: fill(remedy.text),
    });
    let means = row.map_or_else(String::new, |row| fill(row.means));
    Lack { cause, errno, reason: format!("{found}: {means}"), fixes: fixes.collect() }
}

/// What was found, in words.
pub(super) fn found(trouble: &Trouble) -> (String, Option<i32>) {
    let words = |errno: &i32| io::Error::from_raw_os_error(*errno).to_string();
    match trouble {
        Trouble::Refused { call, errno } => (format!("{call} fails with `{}`", words(errno)), Some(*errno)),
        Trouble::NotStarted(errno) => (format!("starting a process fails with `{}`", words(errno)), Some(*errno)),
        Trouble::Killed(signal) => {
            let name = signal_name(*signal);
            (format!("whoever tries it is killed by {name}"), None)
        }
        Trouble::Late => ("the kernel did not answer in time".to_owned(), None),
        Trouble::NoEffect => ("the kernel takes it and does not act on it".to_owned(), None),
    }
}

impl Of {
    fn holds(&self, feature: Feature) -> bool {
        match self {
            Self::Any => true,
            Self::In(group) => feature.group() == *group,
            Self::These(features) => features.contains(&feature),
        }
    }
}

impl Where {
    fn fits(&self, circumstances: &Circumstances) -> bool {
        let container = circumstances.container;
        match self {
            Self::Anywhere => true,
            Self::Host => container == Container::None,
            Self::Docker => container == Container::Docker,
            Self::Podman => container == Container::Podman,
            Self::Kubernetes => container == Container::Kubernetes,
            Self::Systemd => container == Container::None && circumstances.systemd,
        }
    }
}

/// Puts facts in place of the words in braces.
fn fill(text: &str, feature: Feature, circumstances: &Circumstances, words: &Words) -> String {
    let modules = circumstances.security_modules.as_deref().unwrap_or("lockdown,yama,integrity,apparmor");
    let facts = [
        ("{program}", words.program.as_str()),
        ("{user}", &words.user),
        ("{groups}", &words.groups),
        ("{controller}", &words.controller),
        ("{above}", &words.above),
        ("{sysctl}", feature.sysctl().unwrap_or_default()),
        ("{device}", feature.device().unwrap_or_default()),
        ("{module}", feature.module()),
        ("{layer}", feature.layer().map_or("", |layer| layer.name())),
        ("{kernel}", &kernel(feature)),
        ("{covered}", &circumstances.covered_proc.join(", ")),
        ("{modules}", modules),
    ];
    facts.iter().fold(text.to_owned(), |text, (word, fact)| text.replace(word, fact))
}

fn kernel(feature: Feature) -> String {
    let since = feature.since();
    match feature.kernel_options() {
        "" => format!("Linux {since} or later"),
        options => format!("Linux {since} or later, built with {options}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances() -> Circumstances {
        Circumstances {
            container: Container::None,
            call_filter: false,
            unprivileged_userns_clone: None,
            apparmor_restricts_userns: None,
            apparmor_profile: None,
            security_modules: None,
            chroot: false,
            covered_proc: Vec::new(),
            memfd_noexec: None,
            systemd: false,
        }
    }

    fn refused(call: &'static str, errno: i32) -> Trouble {
        Trouble::Refused { call, errno }
    }

    fn texts(feature: Feature, trouble: &Trouble, circumstances: &Circumstances) -> (Cause, Vec<String>) {
        let words = Words { program: "/opt/lazaret".to_owned(), user: "1001".to_owned(), ..Words::default() };
        let (found, errno) = found(trouble);
        let cause = circumstances.cause(feature, trouble);
        let lack = lack(feature, (cause, found, errno), circumstances, &words);
        (cause, lack.fixes.into_iter().map(|fix| fix.text).collect())
    }

    #[test]
    fn ubuntu_s_restriction_is_told_with_a_profile_for_this_program_and_the_sysctl() {
        let ubuntu = Circumstances { apparmor_restricts_userns: Some(true), ..circumstances() };

        let (cause, texts) = texts(Feature::IdMaps, &refused("write", libc::EPERM), &ubuntu);

        assert_eq!(cause, Cause::AppArmor);
        assert!(texts[0].contains("profile lazaret /opt/lazaret flags=(unconfined)"), "{texts:?}");
        assert!(texts[1].contains("kernel.apparmor_restrict_unprivileged_userns=0"), "{texts:?}");
    }

    #[test]
    fn debian_s_switch_comes_before_every_other_explanation() {
        let debian = Circumstances { unprivileged_userns_clone: Some(false), call_filter: true, ..circumstances() };

        let (cause, texts) = texts(Feature::UserNamespace, &refused("clone", libc::EPERM), &debian);

        assert_eq!(cause, Cause::UnprivilegedUserns);
        assert!(texts[0].contains("kernel.unprivileged_userns_clone=1"), "{texts:?}");
    }

    #[test]
    fn an_exhausted_namespace_is_told_with_its_own_sysctl() {
        let (cause, texts) = texts(Feature::NetworkNamespace, &refused("clone", libc::ENOSPC), &circumstances());

        assert_eq!(cause, Cause::NamespaceLimit);
        assert!(texts[0].contains("user.max_net_namespaces=15000"), "{texts:?}");
    }

    #[test]
    fn docker_s_filter_is_told_with_docker_s_flag_alone() {
        let docker = Circumstances { container: Container::Docker, call_filter: true, ..circumstances() };

        let (cause, texts) = texts(Feature::UserNamespace, &refused("clone", libc::EPERM), &docker);

        assert_eq!(cause, Cause::CallFilter);
        assert_eq!(texts, ["--security-opt seccomp=unconfined --security-opt apparmor=unconfined"]);
    }

    #[test]
    fn a_covered_proc_is_told_apart_from_a_filter() {
        let covered_proc = vec!["/proc/kcore".to_owned()];
        let docker = Circumstances { container: Container::Docker, call_filter: true, covered_proc, ..circumstances() };

        let (cause, texts) = texts(Feature::ProcMinimal, &refused("fsconfig", libc::EPERM), &docker);

        assert_eq!(cause, Cause::MaskedProc);
        assert_eq!(texts[0], "--security-opt systempaths=unconfined");
    }

    #[test]
    fn landlock_that_boot_left_out_is_told_with_the_boot_parameter() {
        let lsm = Circumstances { security_modules: Some("capability,yama".to_owned()), ..circumstances() };

        let (cause, texts) = texts(Feature::Landlock, &refused("landlock_create_ruleset", libc::EOPNOTSUPP), &lsm);

        assert_eq!(cause, Cause::NotEnabledAtBoot);
        assert!(texts[0].contains("lsm=landlock,capability,yama"), "{texts:?}");
    }

    #[test]
    fn landlock_under_a_filter_is_told_with_the_filter_when_the_kernel_lists_it() {
        let modules = Some("capability,landlock,yama".to_owned());
        let filtered = Circumstances { call_filter: true, security_modules: modules, ..circumstances() };

        let (cause, _) = texts(Feature::Landlock, &refused("landlock_create_ruleset", libc::ENOSYS), &filtered);

        assert_eq!(cause, Cause::CallFilter);
    }

    #[test]
    fn a_missing_device_in_podman_is_told_with_its_flag() {
        let podman = Circumstances { container: Container::Podman, ..circumstances() };

        let (cause, texts) = texts(Feature::Kvm, &refused("openat", libc::ENOENT), &podman);

        assert_eq!(cause, Cause::NoDevice);
        assert_eq!(texts, ["--device /dev/kvm"]);
    }

    #[test]
    fn every_feature_has_an_explanation_for_every_refusal() {
        let errnos = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL, libc::ENOSPC, libc::ENOENT, libc::EIO];
        let circumstances = circumstances();

        let unexplained =
            Feature::ALL.iter().flat_map(|feature| errnos.map(|errno| (*feature, errno))).find(|(feature, errno)| {
                let trouble = refused("call", *errno);
                let cause = circumstances.cause(*feature, &trouble);
                let row = TABLE.iter().find(|row| row.cause == cause && row.of.holds(*feature));
                row.is_none_or(|row| row.means.is_empty() || row.remedies.is_empty())
            });

        assert_eq!(unexplained, None);
    }
}
