//! A thread that works ahead and cleans up behind, off the way of requests.
//!
//! Ahead: the shell of a jail, and the room of the policy that was used last, are the greater part of a launch, so that
//! one is made before it is asked for. It has had no job, and has one. Behind: closing the last descriptor of a mount
//! namespace waits for the kernel to dissolve its mounts.

use super::Tools;
use super::launch::Jail;
use super::shell;
use crate::cgroup::{self, Groups};
use crate::plan::{Room, ShellKind};
use lazaret_launch::shell::Shell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many jails are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// None: they are made as part of the launch.
    Nothing,
    /// One, for the one job that will be run, begun at once. There is no thread.
    Once,
    /// One more whenever one was used, until no job came for ten seconds.
    Always,
}

/// How long a prepared jail waits for a job. It is a process, holds a user id, and pins what its root shows.
const IDLE: Duration = Duration::from_secs(10);

/// How long a new jail's launcher is given to be done.
const SETTLING: Duration = Duration::from_millis(20);

/// The handle of the thread, if there is one; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    shared: Arc<Shared>,
    ahead: Ahead,
    /// Without it everything is done in place.
    has_thread: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    prepared: Prepared,
    /// What the next one is to be.
    wanted: Wanted,
    /// Whether somebody waits for the one that is being made.
    awaited: bool,
    rubbish: Vec<Rubbish>,
    /// Where groups may be that killed callers left.
    sweep: Option<Groups>,
    ended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    kind: ShellKind,
    room: Option<Arc<Room>>,
}

#[derive(Debug)]
enum Prepared {
    /// There is none, and none is being made.
    Nothing,
    /// One is being made.
    Making,
    /// One is there.
    Ready(Box<Shell>, ShellKind, Option<Arc<Room>>),
}

impl Prepared {
    /// What fails here fails in the launch too, and is explained there.
    fn made(shell: Option<Shell>, wanted: Wanted) -> Self {
        shell.map_or(Self::Nothing, |shell| Self::Ready(Box::new(shell), wanted.kind, wanted.room))
    }
}

/// What is dropped off the way of requests.
#[derive(Debug)]
enum Rubbish {
    /// A jail whose processes are dead and reaped.
    Used(#[expect(dead_code, reason = "kept to be dropped")] Box<Jail>),
    /// One that did not fit what was asked for.
    Unused(#[expect(dead_code, reason = "kept to be dropped")] Box<Shell>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Housekeeper {
    /// Begins, with a jail of `kind`.
    pub(crate) fn start(tools: &Arc<Tools>, ahead: Ahead, kind: ShellKind) -> Self {
        let wanted = Wanted { kind, room: None };
        let prepared = match ahead {
            Ahead::Nothing => Prepared::Nothing,
            Ahead::Once => Prepared::made(prepare(tools, &wanted), wanted.clone()),
            Ahead::Always => Prepared::Making,
        };
        let state = State { prepared, wanted, awaited: false, rubbish: Vec::new(), sweep: None, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        if ahead == Ahead::Once {
            return Self { shared, ahead, has_thread: false };
        }
        let (theirs, tools) = (Arc::clone(&shared), Arc::clone(tools));
        let builder = thread::Builder::new().name("lazaret-keeper".to_owned()).stack_size(128 << 10);
        let has_thread = builder.spawn(move || keep(&theirs, &tools)).is_ok();
        if !has_thread {
            shared.lock().prepared = Prepared::Nothing;
        }
        Self { shared, ahead, has_thread }
    }

    /// Notes where groups may be that killed callers left.
    pub(crate) fn sweep(&self, groups: Groups) {
        let mut state = self.shared.lock();
        state.sweep = Some(groups);
        self.shared.changed.notify_all();
    }

    /// Does what there is no thread for. Called when there is nothing to do but to wait.
    pub(crate) fn lend_a_hand(&self) {
        if !self.has_thread {
            let groups = self.shared.lock().sweep.take();
            groups.iter().for_each(cgroup::sweep);
        }
    }

    /// A jail of `kind` that had no job, and whether it has `room` already; `None` if there is none that fits.
    pub(crate) fn take(&self, kind: ShellKind, room: &Arc<Room>) -> Option<(Shell, bool)> {
        if self.ahead == Ahead::Nothing {
            return None;
        }
        let mut state = self.shared.lock();
        // One waits: it will be served soonest by what has begun. More than one would wait for each other.
        let mut waited = false;
        if matches!(state.prepared, Prepared::Making) && !state.awaited {
            (waited, state.awaited) = (true, true);
            while matches!(state.prepared, Prepared::Making) {
                state = self.shared.wait(state);
            }
            state.awaited = false;
        }
        if matches!(state.prepared, Prepared::Making) {
            return None;
        }
        let taken = std::mem::replace(&mut state.prepared, Prepared::Nothing);
        if state.wanted.kind != kind || state.wanted.room.as_ref() != Some(room) {
            state.wanted = Wanted { kind, room: Some(Arc::clone(room)) };
        }
        if waited && self.ahead == Ahead::Always && self.has_thread {
            // Jobs come faster than jails are made: the next is begun at once.
            state.prepared = Prepared::Making;
            self.shared.changed.notify_all();
        }
        match taken {
            Prepared::Ready(shell, of, furnished) => {
                let right = furnished.as_ref().is_none_or(|furnished| furnished == room);
                if of == kind && right && shell.is_waiting() {
                    Some((*shell, furnished.is_some()))
                } else {
                    state.rubbish.push(Rubbish::Unused(shell));
                    self.shared.changed.notify_all();
                    None
                }
            }
            Prepared::Nothing | Prepared::Making => None,
        }
    }

    /// Begins with the next jail. Called when a job has begun, so that its own launch is not slowed down by that.
    pub(crate) fn prepare_next(&self) {
        if self.ahead != Ahead::Always || !self.has_thread {
            return;
        }
        let mut state = self.shared.lock();
        if matches!(state.prepared, Prepared::Nothing) {
            state.prepared = Prepared::Making;
            self.shared.changed.notify_all();
        }
    }

    /// Lets go of what a dead jail held, and what held it.
    pub(crate) fn dispose(&self, jail: Jail) {
        if !self.has_thread {
            return;
        }
        let mut state = self.shared.lock();
        state.rubbish.push(Rubbish::Used(Box::new(jail)));
        self.shared.changed.notify_all();
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.changed.notify_all();
        // A prepared jail is gone when this returns; rubbish is the thread's, or the end of the process's.
        while matches!(state.prepared, Prepared::Making) {
            state = self.shared.wait(state);
        }
        let unused = std::mem::replace(&mut state.prepared, Prepared::Nothing);
        drop(state);
        drop(unused);
    }
}

fn keep(shared: &Shared, tools: &Tools) {
    let mut state = shared.lock();
    loop {
        if matches!(state.prepared, Prepared::Making) {
            let wanted = state.wanted.clone();
            drop(state);
            let made = prepare(tools, &wanted);
            state = shared.lock();
            state.prepared = Prepared::made(made, wanted);
            shared.changed.notify_all();
        } else if !state.rubbish.is_empty() {
            let rubbish = std::mem::take(&mut state.rubbish);
            drop(state);
            drop(rubbish);
            state = shared.lock();
        } else if state.ended {
            return;
        } else if let Some(groups) = state.sweep.take() {
            drop(state);
            cgroup::sweep(&groups);
            state = shared.lock();
        } else if let Prepared::Ready(shell, ..) = &mut state.prepared {
            let patience = if shell.settle() { IDLE } else { SETTLING };
            let waited = shared.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if waited.1.timed_out() && patience == IDLE {
                let idle = std::mem::replace(&mut state.prepared, Prepared::Nothing);
                drop(state);
                drop(idle);
                state = shared.lock();
            }
        } else {
            state = shared.wait(state);
        }
    }
}

fn prepare(tools: &Tools, wanted: &Wanted) -> Option<Shell> {
    let mut shell = shell::start(tools, wanted.kind).ok()?;
    if let Some(room) = &wanted.room {
        shell::furnish(&mut shell, room).ok()?;
    }
    Some(shell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{full_support, plan, policy};
    use crate::uid::Uids;
    use lazaret_policy::Job;

    #[test]
    fn a_housekeeper_that_has_nothing_to_make_gives_nothing() {
        let plan = plan(&policy(""), &Job::new("true"), &full_support()).expect("the host has everything");
        let tools = Arc::new(Tools::new(Uids::default()).expect("memory is there"));
        let keeper = Housekeeper::start(&tools, Ahead::Nothing, plan.shell);

        assert!(keeper.take(plan.shell, &plan.room).is_none());
    }
}
