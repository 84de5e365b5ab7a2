//! Jobs that would not end, or would have another verdict than theirs.

use crate::probe::Effect::{Exited, Printed, ProcessLeft, Signalled, Unending};
use crate::probe::{Fate, Probe, Scene};

const SHORT: &[&str] = &["--limit", "wall=700ms"];

pub(crate) const ROWS: &[Probe] = &[
    Probe::new("sleep-forever", "sleep past its time").options(SHORT).verdict(&["timeout"]).shows(&[Unending]),
    Probe::new("ignore-signals", "live past its time by ignoring all signals")
        .options(SHORT)
        .verdict(&["timeout"])
        .shows(&[Unending]),
    Probe::new("stop-everything", "hang its caller by stopping every process")
        .options(SHORT)
        .verdict(&["timeout"])
        .shows(&[Printed("BYSTANDER hurt"), Printed("STOPPED")])
        .control_within("pid,bystander,mount"),
    Probe::new("daemon", "leave a process behind").shows(&[ProcessLeft]),
    Probe::new("moving-target", "leave a process behind that always forks")
        .shows(&[ProcessLeft])
        .control_args(&["3000"]),
    Probe::new("sleep-forever", "outlive its supervisor")
        .scene(Scene::SupervisorKilled)
        .fate(Fate::Ends)
        .shows(&[ProcessLeft])
        .control_within("parent"),
    Probe::new("end-by-signal", "pass its own SIGKILL off as a limit")
        .args(&["9"])
        .fate(Fate::Signal(9))
        .shows(&[Signalled(9)]),
    Probe::new("end-by-signal", "pass its own SIGXCPU off as a limit")
        .args(&["24"])
        .fate(Fate::Signal(24))
        .shows(&[Signalled(24)]),
    Probe::new("end-by-signal", "pass its own SIGXFSZ off as a limit")
        .args(&["25"])
        .fate(Fate::Signal(25))
        .shows(&[Signalled(25)]),
    Probe::new("end-by-signal", "pass its own SIGSYS off as a violation")
        .args(&["31"])
        .fate(Fate::Signal(31))
        .shows(&[Signalled(31)]),
    Probe::new("end-with-code", "pass the exit code 137 off as a limit")
        .args(&["137"])
        .fate(Fate::Code(137))
        .shows(&[Exited(137)]),
    Probe::new("end-with-code", "pass the exit code 125 off as a failure of the sandbox")
        .args(&["125"])
        .fate(Fate::Code(125))
        .shows(&[Exited(125)]),
];
