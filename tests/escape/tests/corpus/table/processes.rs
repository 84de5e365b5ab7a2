//! Processes of others, and those that hold the jail.

use crate::probe::Effect::{Claimed, OutsideHurt, Printed, SecretShown, SurroundingsKilled};
use crate::probe::{Fate, Probe};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("see-processes", "see processes of the host").args(&["{pid}"]),
    Probe::new("read-environment", "read its caller's environment or that of a process of the host")
        .args(&["{pid}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("signal-process", "signal a process of the host").args(&["{pid}"]).shows(&[Claimed, OutsideHurt]),
    Probe::new("signal-supervisor", "end or stop what holds it")
        .args(&["init"])
        .control_args(&[])
        .control_within("parent")
        .shows(&[SurroundingsKilled]),
    Probe::new("signal-everything", "kill anything but its own processes")
        .control_within("pid,bystander,mount")
        .shows(&[Printed("BYSTANDER hurt")]),
    Probe::new("trace-process", "trace a process of the host, or pid 1")
        .args(&["{pid}", "{word}"])
        .shows(&[Claimed, OutsideHurt]),
    Probe::new("read-memory", "read the memory of a process of the host, or of pid 1")
        .args(&["{pid}", "{memory}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("write-memory", "write the memory of a process of the host, or of pid 1")
        .args(&["{pid}", "{word}"])
        .shows(&[Claimed, OutsideHurt]),
    Probe::new("write-proc-mem", "write the memory of a process by a file of /proc")
        .args(&["{pid}", "{word}"])
        .shows(&[Claimed, OutsideHurt]),
    Probe::new("take-descriptor", "take a descriptor out of a process of the host, or of pid 1")
        .args(&["{pid}", "{descriptor}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("open-proc-fd", "open what a process of the host, or pid 1, has open")
        .args(&["{pid}", "{descriptor}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("open-proc-root", "leave the jail by the root directory of another process")
        .args(&["{secret-file}", "{pid}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("limit-process", "change a limit of a process of the host, or of pid 1")
        .args(&["{pid}"])
        .fate(Fate::Blocked),
];
