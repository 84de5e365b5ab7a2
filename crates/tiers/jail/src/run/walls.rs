//! What a jail has around a running job, for the loop that watches it: the group, and looks at the scratch file system.

use super::scratch::{self, Gauge};
use crate::cgroup::JobGroup;
use crate::error::RunError;
use lazaret_launch::judge::Seen;
use lazaret_launch::observe::Peaks;
use lazaret_launch::running::{Boundary, Running};
use lazaret_policy::LimitKey;
use lazaret_sys::wait::Ended;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Walls {
    pub(crate) group: Option<JobGroup>,
    /// What was seen of /job and /tmp while the job ran.
    pub(crate) gauge: Gauge,
    pub(crate) file_size: u64,
}

impl Boundary for Walls {
    fn begin(&mut self, _running: &Running) {
        self.gauge.begin();
    }

    /// Lets nothing keep the jail from dying: with a bound on bandwidth a dead process waits for its turn like a living
    /// one.
    fn kill(&mut self, running: &Running) {
        if let Some(group) = &self.group {
            group.kill();
        }
        running.shell.kill();
    }

    /// The pid namespace dies with its process 1.
    fn bury(&mut self, running: &mut Running) -> Result<Option<Ended>, RunError> {
        self.kill(running);
        running.shell.reap()
    }

    fn cpu_used(&self, _running: &Running) -> Option<Duration> {
        self.group.as_ref()?.cpu_us().map(Duration::from_micros)
    }

    fn due(&self) -> Instant {
        self.gauge.due()
    }

    fn interest(&self) -> Option<BorrowedFd<'_>> {
        self.gauge.interest()
    }

    fn is_near(&self) -> bool {
        self.gauge.is_near()
    }

    /// The kernel bounds everything that this looks at, so that no job is ended for it.
    fn look(&mut self, running: &Running, asked: bool) -> Option<LimitKey> {
        self.gauge.look(running, asked);
        None
    }

    fn last_look(&mut self, _running: &Running) -> Option<LimitKey> {
        None
    }

    fn seen(&mut self, running: &Running, failed: bool) -> Seen {
        Seen {
            measured: self.group.as_ref().map(JobGroup::measure).unwrap_or_default(),
            disk_full: self.gauge.full || scratch::is_full(running),
            file_at_limit: failed && (self.gauge.file_at_limit || scratch::has_file_of_size(running, self.file_size)),
        }
    }

    fn peaks(&mut self, running: &Running) -> Peaks {
        self.gauge.peaks(running)
    }
}
