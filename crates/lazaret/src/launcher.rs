//! One launcher for every tier: the policy of each job says which.

use lazaret_jail::run::Ahead;
use lazaret_launch::error::{Missing, RunError};
use lazaret_launch::filter::OwnRules;
use lazaret_launch::observe::Observe;
use lazaret_launch::uid::Uids;
use lazaret_launch::{Cancel, Error, Finished, Sink};
use lazaret_policy::{Brokered, Job, Mode, Policy, Tier};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Launches jobs. Make one and keep it: it knows the host, and what it needs of each tier.
#[derive(Debug)]
pub struct Launcher {
    uids: Uids,
    ahead: Ahead,
    base: PathBuf,
    jails: OnceLock<lazaret_jail::Launcher>,
    filters: OnceLock<lazaret_seccomp::Launcher>,
}

impl Launcher {
    /// Looks at the host and prepares for many jails, with the default range of user ids.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn new() -> Result<Self, RunError> {
        Self::with(Uids::default(), Ahead::Always)
    }

    /// Looks at the host and prepares for jails. A launcher keeps one thread, which prepares `ahead` and cleans up behind.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn with(uids: Uids, ahead: Ahead) -> Result<Self, RunError> {
        let launcher = Self::when_asked(uids, ahead);
        launcher.jails()?;
        Ok(launcher)
    }

    /// Prepares nothing before a job asks for its tier.
    pub fn when_asked(uids: Uids, ahead: Ahead) -> Self {
        let base = PathBuf::from(lazaret_seccomp::plan::BASE);
        Self { uids, ahead, base, jails: OnceLock::new(), filters: OnceLock::new() }
    }

    /// Has tier seccomp make the private directories of jobs in `base`, in place of /tmp.
    #[must_use]
    pub fn with_directories_in(mut self, base: impl Into<PathBuf>) -> Self {
        self.base = base.into();
        self
    }

    /// The launcher of tier jail.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn jails(&self) -> Result<&lazaret_jail::Launcher, RunError> {
        if let Some(launcher) = self.jails.get() {
            return Ok(launcher);
        }
        let made = lazaret_jail::Launcher::with(self.uids.clone(), self.ahead)?;
        Ok(self.jails.get_or_init(|| made))
    }

    /// The launcher of tier seccomp.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn filters(&self) -> Result<&lazaret_seccomp::Launcher, RunError> {
        if let Some(launcher) = self.filters.get() {
            return Ok(launcher);
        }
        let made = lazaret_seccomp::Launcher::with(self.uids.clone(), &self.base)?;
        Ok(self.filters.get_or_init(|| made))
    }

    /// The rules that a job under `policy` gets behind those of that.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn own_rules(&self, policy: &Policy) -> Result<OwnRules, RunError> {
        let tier = policy.tier.value;
        Ok(match tier {
            Tier::Jail => own_rules(tier, Mode::Root, policy.system_calls.brokered),
            Tier::Seccomp => {
                let support = self.filters()?.support();
                let files = support.brokers_files(policy);
                own_rules(tier, support.mode, Brokered { files, ..policy.system_calls.brokered })
            }
        })
    }

    /// Decides how `job` would be run in a jail, without running anything.
    ///
    /// # Errors
    ///
    /// When the policy asks for another tier, or for what this host cannot enforce, or the job is wrong.
    pub fn plan(&self, policy: &Policy, job: &Job) -> Result<lazaret_jail::Plan, Error> {
        Ok(self.jails()?.plan(policy, job)?)
    }

    /// The layers that `policy` asks of its tier and this host lacks, degraded ones left out.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn missing(&self, policy: &Policy) -> Result<Vec<Missing>, RunError> {
        Ok(match policy.tier.value {
            Tier::Jail => self.jails()?.support().missing(policy),
            Tier::Seccomp => self.filters()?.support().missing(policy),
        })
    }

    /// Runs `job` in the tier that `policy` says. When this returns, none of its processes lives and nothing is left.
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
        match policy.tier.value {
            Tier::Jail => self.jails()?.run_observed(policy, job, observe, sink, cancels),
            Tier::Seccomp => self.filters()?.run_observed(policy, job, observe, sink, cancels),
        }
    }
}

/// The rules that `tier` puts behind those of every policy, so that none prevails over them. In tier seccomp a job that
/// has its caller's user id (`mode`) is refused more, unless its calls on files are `brokered`, and all sockets, unless it has
/// rules on hosts; the jail's are the same for all.
pub fn own_rules(tier: Tier, mode: Mode, brokered: Brokered) -> OwnRules {
    match tier {
        Tier::Jail => lazaret_jail::plan::OWN_RULES,
        Tier::Seccomp => lazaret_seccomp::plan::own_rules(mode, brokered),
    }
}
