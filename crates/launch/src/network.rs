//! The network of a job, as a plan, and its beginning.

mod mounts;

use crate::error::{PlanError, RunError};
use crate::landlock::LandlockPlan;
use lazaret_broker::ledger::{self, Budget};
use lazaret_broker::net::{Net, Setting, Terms};
use lazaret_egress::{Guard, Rule, Upstream};
use lazaret_inspect::Reader;
use lazaret_policy::{Layer, Limits, Policy, Root};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// How often each of a policy's name servers is asked, and how long it is waited for: as resolv.conf(5) has it by default.
const ATTEMPTS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the kernel tells about connections, found out once.
fn can_account() -> &'static Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    FOUND.get_or_init(ledger::supported)
}

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
    /// How many connections it may have.
    pub connections: Option<u32>,
    /// What these may carry, and how long they may last.
    pub budget: Budget,
    /// Why the kernel cannot be asked about connections, if so.
    pub blind: Option<String>,
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
        let Limits { net_connections, net_sent, net_received, net_time, .. } = &policy.limits;
        let budget = Budget {
            sent: net_sent.as_ref().map(|limit| limit.bytes()),
            received: net_received.as_ref().map(|limit| limit.bytes()),
            time_per_connection: net_time.as_ref().map(|limit| limit.duration()),
        };
        let blind = can_account().clone().err();
        let bounded = net_sent.as_ref().map(|limit| &limit.source).or(net_received.as_ref().map(|limit| &limit.source));
        let bounded = bounded.or(net_time.as_ref().map(|limit| &limit.source));
        if let (Some(source), Some(why)) = (bounded, &blind) {
            let problem = format!("its bounds of bytes or time ({source}) cannot be enforced here: {why}");
            return Err(PlanError::Network { asked_by: first.source.clone(), problem });
        }
        let connections = net_connections.as_ref().map(|limit| limit.get());
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Some(Self { rules, walled, name_servers, shown, connections, budget, blind }))
    }

    /// Makes it, for one job.
    ///
    /// # Errors
    ///
    /// When this host's own network cannot be looked at.
    pub(crate) fn begin(&self) -> Result<Net, RunError> {
        let own = |what| move |source| RunError::Resource { what, source };
        let upstream = match &self.name_servers {
            // Nothing of this host's then, its own names neither.
            Some(servers) => Upstream::of_texts("", "").with_servers(servers.clone(), ATTEMPTS, PATIENCE),
            None => Upstream::of_system().map_err(own("read this host's name servers"))?,
        };
        let may_wait = mounts::may_wait(&self.shown).map_err(own("look at this host's mounts"))?;
        let reader = if may_wait { Reader::default() } else { Reader::of_memory_that_is_there() };
        let setting = Setting {
            terms: Terms { rules: self.rules.clone(), guard: Guard::default() },
            upstream,
            reader,
            walled: self.walled,
            connections: self.connections,
            budget: self.budget,
            blind: self.blind.clone(),
        };
        Net::new(setting).map_err(own("look at this host's network"))
    }
}
