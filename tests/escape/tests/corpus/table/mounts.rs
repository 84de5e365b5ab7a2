//! Mounts and namespaces.

use crate::probe::Effect::{Claimed, SecretShown};
use crate::probe::{Need, Probe};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("mount", "mount a file system").control_within("mount").control_args(&["{dir}"]),
    Probe::new("mount-disk", "mount the host's disk")
        .args(&["{disk}", "{secret-file}"])
        .control_within("mount")
        .control_args(&["{disk}", "{secret-file}", "{dir}"])
        .control_needs(&[Need::Disk]),
    Probe::new("mount-anew", "mount by the newer calls")
        .control_within("mount")
        .control_args(&["{dir}"])
        .absent_by(&["ENOSYS"]),
    Probe::new("remount-writable", "make a read-only bind writable")
        .args(&["{name}", "/usr", "/etc", "/opt/lazaret-escape", "/"])
        .control_within("mount,read-only={dir}")
        .control_args(&["{name}", "{dir}"]),
    Probe::new("uncover", "take mounts off and see what is below")
        .args(&["{secret-file}"])
        .shows(&[Claimed, SecretShown])
        .control_within("mount,tmpfs={dir}"),
    Probe::new("pivot-root", "make another directory the root").control_within("mount").control_args(&["{dir}"]),
    Probe::new("chroot-descriptor", "leave the jail by a directory held over a chroot")
        .args(&["{secret-file}"])
        .shows(&[Claimed, SecretShown])
        .control_args(&["{secret-file}", "{dir}"]),
    Probe::new("nested-mount", "see or change more with all capabilities in a user namespace of its own")
        .args(&["{secret-file}", "{name}", "/usr", "/etc", "/opt/lazaret-escape"])
        .cannot_be_shown(
            "a kernel that keeps its promise locks mounts in a nested user namespace everywhere; that the probe gets \
             its namespace and mounts in it is shown by nested-users, and what it tries then by uncover and \
             remount-writable",
        ),
    Probe::new("unshare", "have namespaces of its own").strict_only().absent_by(&["EINVAL"]),
    Probe::new("nested-users", "be root in a user namespace of its own").strict_only().control_as_user(),
    Probe::new("enter-namespaces", "enter the namespaces of a process of the host, or of pid 1")
        .args(&["{secret-file}", "{pid}"])
        .shows(&[Claimed, SecretShown])
        .control_within("mount,tmpfs={dir}"),
    Probe::new("clone3", "have namespaces by clone3, whose flags no filter sees").strict_only().absent_by(&["ENOSYS"]),
    Probe::new("clone3-nonsense", "get anything by clone3 with bad flags")
        .args(&["/sys/fs/cgroup"])
        .control_args(&["{cgroup2}"])
        .control_needs(&[Need::Cgroup2])
        .absent_by(&["ENOSYS"]),
];
