//! More rights than the job was started with.

use crate::probe::{Need, Probe};

/// CAP_SYS_RESOURCE, which root is without in some virtual machines and containers.
const RESOURCES: &[Need] = &[Need::Capability(24, "CAP_SYS_RESOURCE")];

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("set-uid-program", "become root by a set-uid program").args(&["{bin}/set-uid-id"]).control_as_user(),
    Probe::new("capable-program", "get capabilities by a program that has them")
        .args(&["{bin}/capable-cat"])
        .control_as_user(),
    Probe::new("own-set-uid-program", "become another by a set-uid program of its own making").args(&["{dir}"]),
    Probe::new("capabilities", "have or get a capability, in any set"),
    Probe::new("change-ids", "become another user or join a group"),
    Probe::new("new-privileges", "get rid of no_new_privs"),
    Probe::new("dump-core", "have its memory dumped").control_needs(&[Need::CoreFiles]),
    Probe::new("raise-limits", "raise its limits").control_needs(RESOURCES),
    Probe::new("lower-oom-score", "be the last to be killed for memory").control_needs(RESOURCES),
    Probe::new("real-time", "come before ordinary processes"),
];
