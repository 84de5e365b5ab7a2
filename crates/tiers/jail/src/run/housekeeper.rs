//! A thread that works ahead and cleans up behind, off the way of requests.
//!
//! Ahead: a network namespace takes longer to make than everything else of a jail together, so one is made before it is
//! asked for. It is empty, and each is used once. Behind: closing the last descriptor of a mount namespace waits for the
//! kernel to dissolve its mounts.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many namespaces are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// None: they are made as part of the launch.
    Nothing,
    /// One, for the one job that will be run.
    Once,
    /// One more whenever one was used.
    Always,
}

/// The handle of the thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    network: Network,
    rubbish: Vec<OwnedFd>,
    ended: bool,
}

#[derive(Debug)]
enum Network {
    /// Nobody makes one: there is no need, or no way.
    Off,
    /// One is being made.
    Making,
    /// One is there.
    Ready(OwnedFd),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Housekeeper {
    /// Starts the thread, unless there is nothing to do for it.
    pub(crate) fn start(ahead: Ahead) -> Self {
        let network = if ahead == Ahead::Nothing { Network::Off } else { Network::Making };
        let state = State { network, rubbish: Vec::new(), ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let started = thread::Builder::new().name("lazaret-keeper".to_owned()).stack_size(64 << 10).spawn(move || {
            keep(&theirs, ahead);
        });
        if started.is_err() {
            // Without it everything is done in place.
            shared.lock().ended = true;
            shared.lock().network = Network::Off;
        }
        Self { shared }
    }

    /// A network namespace that nobody used, if one is ready or being made.
    pub(crate) fn network(&self) -> Option<OwnedFd> {
        let mut state = self.shared.lock();
        while matches!(state.network, Network::Making) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match std::mem::replace(&mut state.network, Network::Making) {
            Network::Ready(network) => {
                self.shared.changed.notify_all();
                Some(network)
            }
            other => {
                state.network = other;
                None
            }
        }
    }

    /// Closes descriptors later.
    pub(crate) fn dispose(&self, descriptors: impl IntoIterator<Item = OwnedFd>) {
        let mut state = self.shared.lock();
        if state.ended {
            return;
        }
        state.rubbish.extend(descriptors);
        self.shared.changed.notify_all();
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

fn keep(shared: &Shared, ahead: Ahead) {
    let mut state = shared.lock();
    let mut made = 0_u64;
    loop {
        let rubbish = std::mem::take(&mut state.rubbish);
        if !rubbish.is_empty() {
            drop(state);
            drop(rubbish);
            state = shared.lock();
        } else if state.ended {
            return;
        } else if matches!(state.network, Network::Making) {
            if ahead == Ahead::Once && made > 0 {
                state.network = Network::Off;
                shared.changed.notify_all();
                continue;
            }
            drop(state);
            let network = lazaret_sys::namespace::new_network();
            made += 1;
            state = shared.lock();
            // What fails here fails in the launch too, and is explained there.
            state.network = network.map_or(Network::Off, Network::Ready);
            shared.changed.notify_all();
        } else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_housekeeper_that_has_nothing_to_make_gives_nothing() {
        let keeper = Housekeeper::start(Ahead::Nothing);

        assert!(keeper.network().is_none());
    }
}
