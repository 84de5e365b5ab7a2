//! A plan, carried out. The filter is last: behind it, nothing more is needed.

use super::error::LockdownError;
use super::facts;
use super::plan::Plan;
use lazaret_sys::landlock::Restrict;
use lazaret_sys::seccomp::{Synchronised, install_on_all_threads};
use lazaret_sys::timer::KillTimer;
use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use std::io;

/// What was changed so far, for the error of a step that fails.
#[derive(Default)]
struct Changes(Vec<String>);

impl Changes {
    fn step(&mut self, step: &'static str, done: String, result: io::Result<()>) -> Result<(), LockdownError> {
        match result {
            Ok(()) => {
                self.0.push(done);
                Ok(())
            }
            Err(source) => Err(self.fail(step, None, source)),
        }
    }

    fn fail(&mut self, step: &'static str, thread: Option<(u32, String)>, source: io::Error) -> LockdownError {
        LockdownError::Partial { step, thread, source, changed: std::mem::take(&mut self.0) }
    }
}

/// Carries out `plan`. `names` are those of the threads; `is_locked`: an earlier lockdown took the capabilities.
pub(crate) fn apply(
    plan: Plan,
    wall: KillTimer,
    processor: KillTimer,
    names: &[(u32, String)],
    is_locked: bool,
) -> Result<(), LockdownError> {
    let Plan { filter, landlock, rlimits, wall: wall_time, processor: processor_time, controls: _ } = plan;
    let ruleset = landlock.ruleset().map_err(|source| LockdownError::Prepare { what: "a Landlock ruleset", source })?;
    // The opened paths: behind the filter there may be no close.
    drop(landlock);
    let mut changes = Changes::default();
    let set = rustix::thread::set_no_new_privs(true).map_err(io::Error::from);
    changes.step("set no_new_privs", "no_new_privs of the calling thread".to_owned(), set)?;
    if !is_locked {
        drop_capabilities(&mut changes)?;
        let set = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from);
        changes.step("make the process undumpable", "the process is not dumpable".to_owned(), set)?;
    }
    for bound in rlimits {
        changes.step("set a limit", format!("{} is {}", bound.name, bound.value), bound.set())?;
    }
    if let Some((ruleset, whom)) = ruleset {
        let of = match whom {
            Restrict::Thread => "Landlock of the calling thread",
            Restrict::AllThreads => "Landlock of all threads",
        };
        changes.step("restrict the process with Landlock", of.to_owned(), ruleset.restrict(whom))?;
    }
    // Taken back, as the timers are dropped, if the filter fails.
    for (timer, after, name) in [(&wall, wall_time, "wall-clock"), (&processor, processor_time, "processor")] {
        if let Err(source) = timer.start(after) {
            return Err(changes.fail(
                if name == "processor" { "start the timer of processor time" } else { "start the timer" },
                None,
                source,
            ));
        }
    }
    match install_on_all_threads(&filter.program) {
        Ok(Synchronised::All) => {
            wall.leave();
            processor.leave();
            Ok(())
        }
        Ok(Synchronised::Not { thread }) => {
            let source = io::Error::other("it has a filter that the calling thread has not, or is in the strict mode");
            // Asked before: Landlock hides /proc by now.
            let name = names.iter().find(|(id, _)| *id == thread).map(|(_, name)| name.clone()).unwrap_or_default();
            Err(changes.fail("install the filter on all threads: it cannot be made that", Some((thread, name)), source))
        }
        Err(source) => Err(changes.fail("install the filter on all threads", None, source)),
    }
}

/// Every capability out of every set of the calling thread; others have none.
fn drop_capabilities(changes: &mut Changes) -> Result<(), LockdownError> {
    let capable = facts::is_capable().map_err(|source| changes.fail("read the capabilities", None, source))?;
    if !capable {
        return Ok(());
    }
    let effective = rustix::thread::capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
    if effective.contains(CapabilitySet::SETPCAP) {
        let dropped = (0..64).map(|bit| CapabilitySet::from_bits_retain(1 << bit)).try_for_each(drop_bounding);
        changes.step("empty the bounding set", "no capability in the bounding set".to_owned(), dropped)?;
        let bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        let set = rustix::thread::set_capabilities_secure_bits(bits).map_err(io::Error::from);
        changes.step("lock the securebits", "securebits locked".to_owned(), set)?;
    }
    let cleared = rustix::thread::clear_ambient_capability_set().map_err(io::Error::from);
    changes.step("clear the ambient capabilities", "no ambient capability".to_owned(), cleared)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let set = rustix::thread::set_capabilities(None, sets).map_err(io::Error::from);
    changes.step("drop the capabilities", "no capability of the calling thread".to_owned(), set)
}

/// A capability that this kernel does not have is not in the set.
fn drop_bounding(capability: CapabilitySet) -> io::Result<()> {
    match rustix::thread::remove_capability_from_bounding_set(capability) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
