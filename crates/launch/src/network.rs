//! The network of a job, as a plan, and its beginning.

mod mounts;

use crate::error::{PlanError, RunError};
use crate::landlock::LandlockPlan;
use lazaret_broker::net::{self, Net, Terms};
use lazaret_egress::{Rule, Upstream};
use lazaret_inspect::Reader;
use lazaret_policy::{Layer, Policy, Root};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How often each of a policy's name servers is asked, and how long it is waited for: as resolv.conf(5) has it by default.
const ATTEMPTS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// What may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// The policy's rules.
    pub rules: Vec<Rule>,
    /// Whether the kernel refuses the job TCP connections of its own making.
    pub walled: bool,
    /// Who is asked for names in place of this host's name servers.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// The paths of this host that the job is shown.
    pub shown: Vec<PathBuf>,
}

impl NetworkPlan {
    /// The network that `policy` gives, if it gives any.
    ///
    /// # Errors
    ///
    /// A rule that is none, or a host on which nobody can connect for the job.
    pub fn new(policy: &Policy, supervised: bool, landlock: &LandlockPlan) -> Result<Option<Self>, PlanError> {
        let Some(first) = policy.network.allow.first() else { return Ok(None) };
        if !supervised {
            return Err(PlanError::Network {
                asked_by: first.source.clone(),
                problem: format!("it needs the layer `{}`, which does not hold here", Layer::Notifier),
            });
        }
        let rules = policy.network.allow.iter().map(|host| {
            let problem =
                |e| PlanError::Network { asked_by: host.source.clone(), problem: format!("`{}`: {e}", host.rule) };
            host.rule.parse().map_err(problem)
        });
        let walled = matches!(landlock, LandlockPlan::Rules { network, .. } if *network != 0);
        let files = &policy.files;
        let root = match &files.root.value {
            Root::Directory(root) => Some(root.clone()),
            Root::Host => None,
        };
        let read = files.read.iter().map(|bind| bind.host.clone());
        let cow = files.cow.iter().map(|cow| cow.host.clone());
        let devices = files.devices.iter().map(|device| device.path.clone());
        let shown = root.into_iter().chain(read).chain(cow).chain(devices).collect();
        let name_servers = policy.network.name_servers.as_ref().map(|servers| servers.value.clone());
        Ok(Some(Self { rules: rules.collect::<Result<_, _>>()?, walled, name_servers, shown }))
    }

    /// Makes it, for one job.
    ///
    /// # Errors
    ///
    /// When this host's own network cannot be looked at.
    pub(crate) fn begin(&self) -> Result<Net, RunError> {
        let own = |what| move |source| RunError::Resource { what, source };
        let guard = net::guard([]);
        let upstream = match &self.name_servers {
            // Nothing of this host's then, its own names neither.
            Some(servers) => Upstream::of_texts("", "").with_servers(servers.clone(), ATTEMPTS, PATIENCE),
            None => Upstream::of_system().map_err(own("read this host's name servers"))?,
        };
        let may_wait = mounts::may_wait(&self.shown).map_err(own("look at this host's mounts"))?;
        let reader = if may_wait { Reader::default() } else { Reader::of_memory_that_is_there() };
        let terms = Terms { rules: self.rules.clone(), guard };
        Net::new(terms, upstream, reader, self.walled).map_err(own("tell this network namespace from the job's"))
    }
}
