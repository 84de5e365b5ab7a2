//! What belongs to the machine.

use crate::probe::Effect::{Claimed, Made, SecretShown};
use crate::probe::{Need, Probe};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("write-kernel-file", "change a setting in /proc/sys")
        .args(&["/proc/sys/vm/swappiness"])
        .control_within("ipc")
        .control_args(&["/proc/sys/kernel/shmmni", "4095"]),
    Probe::new("write-kernel-file", "have a program of its choice started for core dumps")
        .args(&["/proc/sys/kernel/core_pattern"])
        .cannot_be_shown("the setting is the whole machine's; the probe is shown on a setting of a namespace"),
    Probe::new("write-kernel-file", "change a setting in /sys")
        .args(&["/sys/kernel/mm/ksm/pages_to_scan"])
        .cannot_be_shown("all that can be written in /sys is the whole machine's; the probe is shown on /proc/sys"),
    Probe::new("write-cgroup-files", "make a cgroup or change a limit of one")
        .args(&["{name}", "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"])
        .shows(&[Claimed])
        .control_within("mount,cgroup")
        .control_args(&["{name}", "{cgroup2}"])
        .control_shows(&[Claimed, Made("{cgroup2}/{name}")])
        .control_needs(&[Need::Cgroup2]),
    Probe::new("set-host-name", "rename the machine")
        .args(&["{host-name}"])
        .control_within("uts")
        .control_args(&["lazaret-escape"]),
    Probe::new("set-clock", "set the clock"),
    Probe::new("read-kernel-log", "read the kernel's log"),
    Probe::new("read-sensitive-proc", "read files of /proc that tell of the machine and of others"),
    Probe::new("load-kernel", "load another kernel").absent_by(&["ENOSYS"]),
    Probe::new("load-module", "load or remove a kernel module").absent_by(&["ENOSYS"]),
    Probe::new("load-bpf", "load a bpf program").absent_by(&["ENOSYS"]),
    Probe::new("userfaultfd", "handle page faults").strict_only().absent_by(&["ENOSYS", "ENOENT"]),
    Probe::new("perf-event", "count the processor's events").strict_only().absent_by(&["ENOSYS"]),
    Probe::new("io-uring", "have an io_uring").absent_by(&["ENOSYS"]),
    Probe::new("read-key", "read a key in its caller's session keyring")
        .around("keyring")
        .shows(&[Claimed, SecretShown])
        .absent_by(&["ENOSYS"]),
    Probe::new("request-key", "have the kernel start a program outside to find a key")
        .strict_only()
        .control_within("keyring")
        .absent_by(&["ENOSYS"]),
    Probe::new("reboot", "restart the machine"),
    Probe::new("administer", "swap, or account for processes").absent_by(&["ENOSYS"]),
    Probe::new("x32-call", "make calls in the manner of x32").absent_by(&["ENOSYS"]),
    Probe::new("int80-call", "make calls in the manner of 32-bit programs").absent_by(&[]),
    Probe::new("personality", "take another execution domain").strict_only(),
    Probe::new("memfd-exec", "leave the jail by a program that is in no file")
        .args(&["{secret-file}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("modify-ldt", "set descriptor tables of the processor").strict_only().absent_by(&["ENOSYS"]),
    Probe::new("port-io", "reach the hardware's ports").absent_by(&["ENOSYS"]),
];
