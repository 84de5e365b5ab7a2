//! Runs a plan: launch, watch, collect, tear down. Decides nothing.

mod changes;
mod housekeeper;
mod launch;
mod scratch;
mod shell;
mod walls;

pub use housekeeper::Ahead;
pub use lazaret_launch::collect::Destination;
pub use lazaret_launch::{Cancel, Error, Finished, Sink};

use crate::error::{PlanError, RunError};
use crate::plan::{FilterCache, OWN_RULES, OWN_TASKS, Place, Plan, ShellKind};
use crate::probe::{Identity, PathFacts, Support};
use crate::run::housekeeper::Housekeeper;
use crate::uid::Uids;
use lazaret_launch::files::{FileHands, FilesPlan, Identity as JobIdentity};
use lazaret_launch::hands::Hands;
use lazaret_launch::inputs::OpenInput;
use lazaret_launch::network::{Begun, CERTIFICATES, NetworkPlan};
use lazaret_launch::observe::Observe;
use lazaret_launch::report::{Account, Times};
use lazaret_launch::running::{Boundary as _, Terms};
use lazaret_launch::shell::Shell;
use lazaret_launch::{collect, image, inputs, judge, report, watch};
use lazaret_policy::{Holding, Job, Layer, Policy, Tier};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

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
        Ok(Self { uids, image: image::image()? })
    }
}

/// Jobs that this process has started: their groups are named after it, whichever launcher makes them.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The hands that make the calls on files of the job that `shell` takes in, as that job's user.
fn begin_files(files: &FilesPlan, shell: &Shell, inputs: &[OpenInput]) -> Result<FileHands, RunError> {
    let identity = match &shell.uid {
        Some(uid) => JobIdentity::Job { uid: uid.get(), gid: uid.get(), groups: Vec::new() },
        None => JobIdentity::Own,
    };
    // What Lazaret adds itself is nothing that nobody vouches for.
    let given = inputs.iter().filter(|input| input.name.as_bytes() != CERTIFICATES.as_bytes());
    let names: Vec<_> = given.map(|input| input.name.clone()).collect();
    files.begin(identity, &names)
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
        let (filters, last_place) = (FilterCache::new(OWN_RULES), Mutex::new(None));
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
        self.plan_in(self.place(policy)?, policy, job, &Observe::Nothing)
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

    fn plan_in(&self, place: Place, policy: &Policy, job: &Job, observe: &Observe) -> Result<Plan, PlanError> {
        let file_size = policy.limits.file_size.bytes();
        let filter = self.filters.get(&policy.system_calls, self.support.notifier, file_size, observe)?;
        Plan::new(policy, job, &self.support, place, filter)
    }

    /// Runs `job` under `policy` in a fresh jail. When this returns, none of the job's processes lives and nothing of
    /// the jail is left.
    ///
    /// # Errors
    ///
    /// Lazaret's own failures. The job's failures are in the report.
    pub fn run(&self, policy: &Policy, job: &Job, sink: &Sink<'_>, cancels: &[Cancel]) -> Result<Finished, Error> {
        self.run_observed(policy, job, &Observe::Nothing, sink, cancels)
    }

    /// The same, and notes of the job what `observe` asks for. What is enforced is the same: see
    /// [`lazaret_launch::observe`].
    ///
    /// # Errors
    ///
    /// As [`Launcher::run`]. What could not be observed is told in [`Finished::observed`].
    pub fn run_observed(
        &self,
        policy: &Policy,
        job: &Job,
        observe: &Observe,
        sink: &Sink<'_>,
        cancels: &[Cancel],
    ) -> Result<Finished, Error> {
        let begun = Instant::now();
        let place = self.place(policy)?;
        // The jail is built while the rest is decided. If that fails, it is thrown away.
        let shell = launch::begin(self, &place)?;
        let plan = self.plan_in(place, policy, job, observe)?;
        let mut inputs = inputs::open_inputs(job, &plan.limits)?;
        let (files, fetched) = plan.fetch.run()?;
        inputs::add(&mut inputs, files, &plan.limits)?;
        let destinations = collect::prepare(job)?;
        let planned = begun.elapsed();
        let terms = Terms { limits: &plan.limits, filter: &plan.filter, program: &plan.program, cancels };
        let mut watch_in = |shell: Shell| -> Result<_, RunError> {
            let network = plan.network.as_ref().map(NetworkPlan::begin).transpose()?;
            let certificates = network.as_ref().map(Begun::input).transpose()?.flatten();
            inputs.retain(|input| certificates.as_ref().is_none_or(|own| own.name != input.name));
            inputs.extend(certificates);
            let number = STARTED.fetch_add(1, Ordering::Relaxed);
            let files = plan.files.as_ref().map(|files| begin_files(files, &shell, &inputs)).transpose()?;
            let mut jail = launch::launch(&plan, shell, number, &inputs, job, sink)?;
            self.housekeeper.lend_a_hand();
            let hands = Hands { net: network.map(|network| network.net), files };
            let begin_next = || self.housekeeper.prepare_next();
            let watched =
                watch::watch(&terms, &mut jail.running, &mut jail.walls, sink, self.processors, begin_next, hands);
            Ok((jail, watched))
        };
        let (mut jail, mut watched) = watch_in(shell)?;
        let was_left_alone = watched.as_ref().is_ok_and(|watched| watched.stop.is_none());
        if was_left_alone && jail.running.shell.is_untouched() {
            // Somebody killed process 1 before it took the job in, of which nothing has happened. A signal takes a while
            // to kill, so that a prepared jail can look well to the end.
            if let Some(group) = jail.walls.group.take() {
                group.remove()?;
            }
            (jail, watched) = watch_in(launch::begin_anew(self, &plan)?)?;
        }
        let ended = Instant::now();
        let mut watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                jail.walls.bury(&mut jail.running)?;
                return Err(error.into());
            }
        };
        let fate = judge::judge(&terms, &jail.running, &watched, &mut jail.walls);
        if *observe != Observe::Nothing {
            watched.refusals.observed.peaks = jail.walls.peaks(&jail.running);
            watched.refusals.observed.problem = plan.filter.unwatched().map(str::to_owned);
        }
        let collected = collect::collect(&terms, &jail.running, destinations, &fate, job)?;
        let export = job.export_changes.as_deref().filter(|_| collected.deliver);
        let changes = changes::collect(&plan, &jail.running, export)?;
        let times = Times { planned, collecting: ended.elapsed(), teardown: Instant::now() };
        let mut controls = plan.controls;
        if let Some(group) = jail.walls.group.take() {
            if !group.swap_bounded()
                && let Some(control) = controls.iter_mut().find(|control| control.layer == Layer::CgroupSwap)
                && control.holding == Holding::Yes
            {
                control.detail = "there is no swap".to_owned();
            }
            group.remove()?;
        }
        let mut notes = plan.notes;
        changes.remark(&mut notes);
        let account = Account {
            policy: plan.policy,
            tier: Tier::Jail,
            mode: plan.shell.mode,
            program: &plan.program,
            controls,
            notes,
            fetched,
            changes: changes.list,
            own_tasks: OWN_TASKS,
        };
        let finished = report::finish(account, &mut jail.running, watched, fate, collected, &times);
        self.housekeeper.dispose(jail);
        Ok(finished)
    }
}
