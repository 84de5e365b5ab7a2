//! The network of a job, as a plan, and its beginning.

mod mounts;
mod pointless;
mod trust;

pub(crate) use mounts::{may_wait, shown};
pub use trust::{BUNDLES, NAME as CERTIFICATES};
pub(crate) use trust::{authorities, variables};

use crate::error::{PlanError, RunError};
use crate::filter::FilterPlan;
use crate::inputs::{OpenInput, memory_file};
use crate::landlock::LandlockPlan;
use lazaret_broker::ledger::{self, Budget};
use lazaret_broker::net::{NAME_SERVER, Net, Setting, Terms};
use lazaret_egress::{RequestRule, Rule, Upstream};
use lazaret_inspect::Reader;
use lazaret_policy::{FileName, HostRule, Layer, Limits, Policy, Sourced, Tier};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

/// A network that was made.
#[derive(Debug)]
pub struct Begun {
    /// The network.
    pub net: Net,
    /// The certificates of authorities that the job believes, as PEM; it is given them as a file.
    pub certificates: Option<Vec<u8>>,
}

impl Begun {
    /// The certificates, as one more input of the job.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn input(&self) -> Result<Option<OpenInput>, RunError> {
        let Some(certificates) = &self.certificates else { return Ok(None) };
        let name = FileName::new(trust::NAME)
            .map_err(|e| RunError::Resource { what: "name a file", source: io::Error::other(e) })?;
        Ok(Some(OpenInput { name, file: memory_file(certificates)?, mode: 0o644 }))
    }
}

/// A rule of the policy's, which was looked at when the policy was read.
fn parsed<R: FromStr<Err: fmt::Display>>(host: &Sourced<HostRule>) -> Result<R, PlanError> {
    let problem = |e| {
        let problem = format!("`{}`: {e}", host.rule);
        PlanError::Network { asked_by: host.source.clone(), problem, fix: "mend the rule, or take it out" }
    };
    host.rule.parse().map_err(problem)
}

/// How often each of a policy's name servers is asked, and how long it is waited for: as resolv.conf(5) has it by default.
const ATTEMPTS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the kernel tells about connections, found out once.
fn can_account() -> &'static Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    FOUND.get_or_init(ledger::supported)
}

/// The resolv.conf(5) of a job without a network namespace of its own: it asks by TCP, once, for a name as it is.
pub fn names_by_tcp() -> String {
    format!("nameserver {}\noptions use-vc timeout:30 attempts:1\n", NAME_SERVER.ip())
}

/// What can be done where a host lacks something.
const ELSEWHERE: &str = "use a host that has it, or take the rules out: [remove] net = [\"*\"]";

/// Who is asked for names: these, or those of this host.
///
/// # Errors
///
/// When this host's cannot be read.
pub(crate) fn name_servers(servers: Option<&[SocketAddr]>) -> Result<Upstream, RunError> {
    match servers {
        // Nothing of this host's then, its own names neither.
        Some(servers) => Ok(Upstream::of_texts("", "").with_servers(servers.to_vec(), ATTEMPTS, PATIENCE)),
        None => {
            let failed = |source| RunError::Resource { what: "read this host's name servers", source };
            Upstream::of_system().map_err(failed)
        }
    }
}

/// What may be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// The policy's rules on connections.
    pub rules: Vec<Rule>,
    /// Those on requests.
    pub requests: Vec<RequestRule>,
    /// Files of certificates of authorities that are believed beside the host's.
    pub trust: Vec<PathBuf>,
    /// How long the job lasts at most.
    pub lifetime: Duration,
    /// Whether the kernel refuses the job TCP connections of its own making.
    pub walled: bool,
    /// Whether the job has no network namespace of its own.
    pub shared: bool,
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
    /// Whether it ends when the job's input is complete.
    pub may_end: bool,
    /// Whether signals leave the job's calls alone that the supervisor has taken.
    pub undisturbed: bool,
}

impl NetworkPlan {
    /// The network that `policy` gives, if it gives any.
    ///
    /// # Errors
    ///
    /// A rule that is none, or a host on which nobody can connect for the job.
    pub fn new(policy: &Policy, filter: &FilterPlan, landlock: &LandlockPlan) -> Result<Option<Self>, PlanError> {
        let Some(first) = policy.network.allow.first() else { return Ok(None) };
        if !filter.supervised {
            return Err(PlanError::Network {
                asked_by: first.source.clone(),
                problem: format!("it needs the layer `{}`, which does not hold here", Layer::Notifier),
                fix: ELSEWHERE,
            });
        }
        let (of_requests, of_hosts): (Vec<_>, Vec<_>) =
            policy.network.allow.iter().partition(|host| host.value.is_of_requests());
        let rules: Vec<Rule> = of_hosts.iter().map(|host| parsed(host)).collect::<Result<_, _>>()?;
        let requests: Vec<RequestRule> = of_requests.iter().map(|host| parsed(host)).collect::<Result<_, _>>()?;
        pointless::check(&of_hosts, &rules, &of_requests, &requests)?;
        let walled = matches!(landlock, LandlockPlan::Rules { network, .. } if *network != 0);
        let shown = shown(policy);
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
            let asked_by = first.source.clone();
            return Err(PlanError::Network { asked_by, problem, fix: ELSEWHERE });
        }
        let connections = net_connections.as_ref().map(|limit| limit.get());
        let may_end = policy.network.until.is_some();
        let trust = policy.network.trust.iter().map(|path| path.value.clone()).collect();
        let lifetime = policy.limits.wall.duration();
        let undisturbed = filter.is_undisturbed();
        Ok(Some(Self {
            rules,
            requests,
            trust,
            lifetime,
            walled,
            shared: policy.tier.value == Tier::Seccomp,
            name_servers,
            shown,
            connections,
            budget,
            blind,
            may_end,
            undisturbed,
        }))
    }

    /// Makes it, for one job, and the certificates that the job is to believe, if it is to believe others than the host.
    ///
    /// # Errors
    ///
    /// When this host's own network, or its certificates, cannot be looked at.
    pub fn begin(&self) -> Result<Begun, RunError> {
        let own = |what| move |source| RunError::Resource { what, source };
        let upstream = name_servers(self.name_servers.as_deref())?;
        let may_wait = may_wait(&self.shown).map_err(own("look at this host's mounts"))?;
        let reader = if may_wait { Reader::default() } else { Reader::of_memory_that_is_there() };
        let (speaker, certificates) = match self.requests.is_empty() {
            true => (None, None),
            false => {
                let (speaker, certificates) = trust::make(&self.requests, &self.trust, self.lifetime)
                    .map_err(|error| own("make certificates for the job")(io::Error::other(error)))?;
                (Some(speaker), Some(certificates))
            }
        };
        let setting = Setting {
            terms: Terms::new(self.rules.clone(), self.requests.clone()),
            upstream,
            reader,
            walled: self.walled,
            shared: self.shared,
            connections: self.connections,
            budget: self.budget,
            blind: self.blind.clone(),
            speaker,
            may_end: self.may_end,
            undisturbed: self.undisturbed,
        };
        let net = Net::new(setting).map_err(own("look at this host's network"))?;
        Ok(Begun { net, certificates })
    }
}
