//! What tells of the host or is shared with it, and what jobs might share with each other.

use crate::probe::Effect::{Claimed, SecretShown};
use crate::probe::{Probe, Scene};

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("host-name", "learn what the host is called").args(&["{host-name}"]),
    Probe::new("host-uptime", "learn how long the host has been up").args(&["{uptime}"]),
    Probe::new("host-ipc", "read shared memory of the host").args(&["{segment}"]).shows(&[Claimed, SecretShown]),
    Probe::new("host-shared-memory", "read a file in the host's /dev/shm")
        .args(&["{name}"])
        .shows(&[Claimed, SecretShown]),
    Probe::new("host-ports", "learn which ports the host has open").args(&["{port}"]),
    Probe::new("find-left-behind", "find what an earlier job left")
        .args(&["{name}-job"])
        .scene(Scene::After(&["leave-behind", "{name}-job", "{secret}"]))
        .shows(&[Claimed, SecretShown])
        .control_within("mount,ipc,net,tmpfs=/tmp,tmpfs=/dev,tmpfs=/run"),
    Probe::new("find-left-behind", "find what a job has that runs beside it")
        .args(&["{name}-job"])
        .scene(Scene::Beside(&["leave-behind", "{name}-job", "{secret}", "2500"]))
        .shows(&[Claimed, SecretShown])
        .control_within("mount,ipc,net,tmpfs=/tmp,tmpfs=/dev,tmpfs=/run"),
];
