//! Runs a plan: launch, watch, collect, tear down. Decides nothing.

mod changes;
mod collect;
mod housekeeper;
mod inputs;
mod judge;
mod launch;
mod refusals;
mod report;
mod scratch;
mod shell;
mod streams;
mod watch;

pub use collect::Destination;
pub use housekeeper::Ahead;
pub use streams::Sink;

use crate::error::{PlanError, RunError};
use crate::plan::{FilterCache, Place, Plan, ShellKind};
use crate::probe::{Identity, PathFacts, Support};
use crate::run::housekeeper::Housekeeper;
use crate::uid::Uids;
use lazaret_policy::{FileName, Job, Policy, Report};
use rustix::fs::MemfdFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Launches jobs. Make one and keep it: it knows the host and holds the program that becomes each jail's process 1.
#[derive(Debug)]
pub struct Launcher {
    support: Support,
    tools: Arc<Tools>,
    filters: FilterCache,
    last_place: Mutex<Option<(Policy, PathFacts, Place)>>,
    housekeeper: Housekeeper,
    processors: u32,
}

/// What every jail is started with.
#[derive(Debug)]
pub(crate) struct Tools {
    uids: Uids,
    /// The program that becomes each jail's process 1.
    image: OwnedFd,
}

impl Tools {
    fn new(uids: Uids) -> Result<Self, RunError> {
        Ok(Self { uids, image: image()? })
    }
}

/// Jobs that this process has started: their groups are named after it, whichever launcher makes them.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// What came of a job.
#[derive(Debug)]
pub struct Finished {
    /// Verdict, usage and all else that can be told.
    pub report: Report,
    /// The outputs that were asked for without a destination.
    pub outputs: Vec<(FileName, Vec<u8>)>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was started.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The job could not be run, or not to its end.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Plan(error) => Some(error.hint()),
            Self::Run(error) => error.hint(),
        }
    }
}

/// Ends jobs from outside: once it is cancelled, running jobs die and new ones are not started.
#[derive(Debug, Clone)]
pub struct Cancel {
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// Not cancelled yet.
    ///
    /// # Errors
    ///
    /// When descriptors run out.
    pub fn new() -> Result<Self, RunError> {
        let event =
            rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK);
        let event =
            event.map_err(|errno| RunError::Resource { what: "make an event descriptor", source: errno.into() })?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Cancelled when `descriptor` becomes readable, as a signalfd(2) or an eventfd(2) does.
    pub fn when_readable(descriptor: OwnedFd) -> Self {
        Self { event: Arc::new(descriptor) }
    }

    /// Cancels.
    pub fn cancel(&self) {
        // An event counter that is full already says what this would say.
        let told = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
        debug_assert!(told.is_ok_and(|n| n == 8) || told == Err(rustix::io::Errno::AGAIN), "an event takes a count");
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        let mut watched = [rustix::event::PollFd::new(&*self.event, rustix::event::PollFlags::IN)];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Launcher {
    /// Looks at the host and prepares for many jobs, with the default range of user ids.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn new() -> Result<Self, RunError> {
        Self::with(Uids::default(), Ahead::Always)
    }

    /// Looks at the host and prepares. A launcher keeps one thread, which prepares `ahead` and cleans up behind.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn with(uids: Uids, ahead: Ahead) -> Result<Self, RunError> {
        let tools = Arc::new(Tools::new(uids)?);
        let identity = Identity::probe();
        let housekeeper = Housekeeper::start(&tools, ahead, ShellKind::usual(&identity));
        let support = Support::prepare(identity);
        if let Ok(groups) = &support.groups {
            housekeeper.sweep(groups.clone());
        }
        // A bound on how fast processor time can be used up, whatever quota there is beside.
        let processors = rustix::thread::sched_getaffinity(None).map_or(u32::MAX, |set| set.count());
        let (filters, last_place) = (FilterCache::default(), Mutex::new(None));
        Ok(Self { support, tools, filters, last_place, housekeeper, processors })
    }

    /// What this host can enforce.
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Decides how `job` would be run under `policy`, without running anything.
    ///
    /// # Errors
    ///
    /// See [`Place::new`] and [`Plan::new`].
    pub fn plan(&self, policy: &Policy, job: &Job) -> Result<Plan, PlanError> {
        self.plan_in(self.place(policy)?, policy, job)
    }

    /// Decided now, or before for the same policy and the same files.
    fn place(&self, policy: &Policy) -> Result<Place, PlanError> {
        let facts = PathFacts::gather(policy);
        let mut last = self.last_place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, place)) = last.as_ref().filter(|(of, with, _)| of == policy && *with == facts) {
            return Ok(place.clone());
        }
        let place = Place::new(policy, &self.support, &facts)?;
        *last = Some((policy.clone(), facts, place.clone()));
        Ok(place)
    }

    fn plan_in(&self, place: Place, policy: &Policy, job: &Job) -> Result<Plan, PlanError> {
        let filter = self.filters.get(&policy.system_calls, self.support.notifier, policy.limits.file_size.bytes())?;
        Plan::new(policy, job, &self.support, place, filter)
    }

    /// Runs `job` under `policy` in a fresh jail. When this returns, none of the job's processes lives and nothing of
    /// the jail is left.
    ///
    /// # Errors
    ///
    /// Lazaret's own failures. The job's failures are in the report.
    pub fn run(&self, policy: &Policy, job: &Job, sink: &Sink<'_>, cancels: &[Cancel]) -> Result<Finished, Error> {
        let begun = Instant::now();
        let place = self.place(policy)?;
        // The jail is built while the rest is decided. If that fails, it is thrown away.
        let shell = launch::begin(self, &place)?;
        let plan = self.plan_in(place, policy, job)?;
        let inputs = inputs::open_inputs(job, &plan)?;
        let destinations = collect::prepare(job)?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let planned = begun.elapsed();
        let mut jail = launch::launch(&plan, shell, number, &inputs, job, sink)?;
        self.housekeeper.lend_a_hand();
        let watched = watch::watch(&plan, &mut jail, sink, cancels, self);
        let ended = Instant::now();
        let watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                jail.kill();
                jail.shell.reap()?;
                return Err(error.into());
            }
        };
        let fate = judge::judge(&plan, &jail, &watched);
        let collected = collect::collect(&plan, &jail, destinations, &fate, job, cancels)?;
        let collecting = ended.elapsed();
        let times = report::Times { planned, collecting, begun };
        Ok(report::finish(plan, self, jail, watched, fate, collected, &times)?)
    }
}

/// The program, in memory that can be executed and no longer written.
fn image() -> Result<OwnedFd, RunError> {
    use rustix::fs::SealFlags;
    let failed = |errno: rustix::io::Errno| RunError::Resource { what: "prepare process 1", source: errno.into() };
    let create = |flags| rustix::fs::memfd_create("lazaret-init", flags);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before Linux 6.3 there is no MFD_EXEC, and none is needed.
    let image = match create(flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => create(flags),
        other => other,
    };
    let image = image.map_err(failed)?;
    let mut rest = lazaret_init::IMAGE;
    while !rest.is_empty() {
        let written = rustix::io::write(&image, rest).map_err(failed)?;
        rest = &rest[written..];
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&image, seals).map_err(failed)?;
    Ok(image)
}

/// Microseconds, as reports give them.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
