//! Runs a plan: launch, watch, collect, clear up. Decides nothing.

mod fence;
mod nameless;
mod place;
mod tree;

use crate::enter;
use crate::plan::{BASE, Plan, own_rules};
use crate::probe::{Support, tasks};
use fence::Fence;
use lazaret_launch::error::{PlanError, RunError};
use lazaret_launch::files::Identity;
use lazaret_launch::filter::FilterCache;
use lazaret_launch::hands::Hands;
use lazaret_launch::network::NetworkPlan;
use lazaret_launch::observe::Observe;
use lazaret_launch::report::{Account, Times};
use lazaret_launch::running::{self, Boundary as _, Given, Moment, Terms};
use lazaret_launch::shell::Shell;
use lazaret_launch::uid::Uids;
use lazaret_launch::{Cancel, Error, Finished, Sink, collect, image, inputs, judge, report, start, watch};
use lazaret_policy::{Brokered, Job, Mode, Policy, Tier};
use place::Place;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Launches jobs under the tier. Make one and keep it: it knows the host and holds the program that becomes process 1.
#[derive(Debug)]
pub struct Launcher {
    support: Support,
    uids: Uids,
    image: OwnedFd,
    /// Of jobs that open their files themselves and of those for which that is done, each without a network and with one.
    filters: [FilterCache; 4],
    base: PathBuf,
    processors: u32,
}

impl Launcher {
    /// Looks at the host, with the default range of user ids, and private directories in /tmp.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn new() -> Result<Self, RunError> {
        Self::with(Uids::default(), BASE)
    }

    /// Looks at the host. Private directories are made in `base`; those that killed callers left there are removed.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn with(uids: Uids, base: impl Into<PathBuf>) -> Result<Self, RunError> {
        let support = Support::probe();
        let filters = [(false, false), (false, true), (true, false), (true, true)].map(|(files, network)| {
            let brokered = Brokered { files, network, ..Brokered::default() };
            FilterCache::new(own_rules(support.mode, brokered))
        });
        let processors = rustix::thread::sched_getaffinity(None).map_or(u32::MAX, |set| set.count());
        let base = base.into();
        place::sweep(&base);
        Ok(Self { support, uids, image: image::image()?, filters, base, processors })
    }

    /// What this host can enforce.
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Decides how `job` would be run under `policy`, without running anything.
    ///
    /// # Errors
    ///
    /// See [`Plan::new`].
    pub fn plan(&self, policy: &Policy, job: &Job) -> Result<Plan, PlanError> {
        self.plan_at(&self.base.join("lazaret-NAME"), policy, job, &Observe::Nothing)
    }

    fn plan_at(&self, place: &Path, policy: &Policy, job: &Job, observe: &Observe) -> Result<Plan, PlanError> {
        let file_size = policy.limits.file_size.bytes();
        let mut calls = policy.system_calls.clone();
        calls.brokered.files = self.support.brokers_files(policy);
        let filters = &self.filters[2 * usize::from(calls.brokered.files) + usize::from(calls.brokered.network)];
        let filter = filters.get(&calls, self.support.notifier, file_size, observe)?;
        let tasks = tasks(&self.support);
        Plan::new(policy, job, &self.support, place, tasks, filter)
    }

    /// Runs `job` under `policy`. When this returns, none of the job's processes lives and its directory is gone.
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
        let name = place::name();
        let plan = self.plan_at(&self.base.join(&name), policy, job, observe)?;
        let mut inputs = inputs::open_inputs(job, &plan.limits)?;
        let (files, fetched) = plan.fetch.run()?;
        inputs::add(&mut inputs, files, &plan.limits)?;
        let destinations = collect::prepare(job)?;
        let planned = begun.elapsed();
        let uid = match plan.mode {
            Mode::Root => Some(self.uids.take()?),
            Mode::Rootless => None,
        };
        let id = uid.as_ref().map_or(plan.caller_ids.0, |uid| uid.get());
        let owner = uid.as_ref().map(|uid| uid.get());
        let names: Vec<_> = inputs.iter().map(|input| input.name.clone()).collect();
        let identity = || match owner {
            Some(uid) => Identity::Job { uid, gid: uid, groups: Vec::new() },
            None => Identity::Own,
        };
        let files = plan.files.as_ref().map(|files| files.begin(identity(), &names)).transpose()?;
        let place = Place::make(&self.base, &name, owner)?;
        let since = Moment::now();
        let shell = Shell::start(self.image.as_fd(), uid, enter::shell(plan.mode), 0)?;
        let make = |settings: &_| enter::job(&plan, id, settings);
        let network = plan.network.as_ref().map(NetworkPlan::begin).transpose()?;
        let library = plan.program.library.map(|_| start::library()).transpose()?;
        let given = Given { library: library.as_ref(), ..Given::default() };
        let mut running = running::admit(since, shell, job, sink, &inputs, given, make)?;
        drop(library);
        let mut fence = Fence::new(&plan, self.image.as_fd(), &place, self.support.open_files);
        let terms = Terms { limits: &plan.limits, filter: &plan.filter, program: &plan.program, cancels };
        let hands = Hands { net: network.map(|network| network.net), files };
        let watched = watch::watch(&terms, &mut running, &mut fence, sink, self.processors, || {}, hands);
        let ended = Instant::now();
        let mut watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                fence.bury(&mut running)?;
                return Err(error.into());
            }
        };
        let fate = judge::judge(&terms, &running, &watched, &mut fence);
        if *observe != Observe::Nothing {
            watched.refusals.observed.peaks = fence.peaks(&running);
            watched.refusals.observed.problem = plan.filter.unwatched().map(str::to_owned);
        }
        let collected = collect::collect(&terms, &running, destinations, &fate, job)?;
        let times = Times { planned, collecting: ended.elapsed(), teardown: Instant::now() };
        place.remove()?;
        let account = Account {
            policy: plan.policy.clone(),
            tier: Tier::Seccomp,
            mode: plan.mode,
            program: &plan.program,
            controls: plan.controls.clone(),
            notes: plan.notes.clone(),
            fetched,
            changes: Vec::new(),
            own_tasks: 0,
        };
        Ok(report::finish(account, &mut running, watched, fate, collected, &times))
    }
}
