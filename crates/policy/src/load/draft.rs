use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::check::Fault;
use crate::error::{Place, Problem};
use crate::layer::{Layer, Tier};
use crate::limits::LimitKey;
use crate::phase::FilePhases;
use crate::policy::{
    Bind, CallAction, CallRule, Cow, Device, EnvVar, Fetch, FilesMode, HostRule, Outside, ProcView, Root, Until,
};
use crate::quantity::{
    ConnectionLimit, Cpus, DiskLimit, FileSizeLimit, IoRate, MemoryLimit, OpenFilesLimit, OutputLimit, ProcessLimit,
    QuantityError, TimeLimit, TrafficLimit,
};
use crate::rollout::{KeyRule, Share};
use crate::source::{Source, Sourced};
use crate::text;

/// A policy as one text says it, or several merged: anything may still be unset.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) description: Option<String>,
    pub(super) extends: Option<(String, Range<usize>)>,
    pub(super) tier: Option<Sourced<Tier>>,
    pub(super) degrade: Vec<Sourced<Layer>>,
    pub(super) require: Vec<Sourced<Layer>>,
    pub(super) files: DraftFiles,
    pub(super) loopback: Option<Sourced<bool>>,
    pub(super) host_name: Option<Sourced<String>>,
    pub(super) hosts: Vec<Sourced<HostRule>>,
    pub(super) name_servers: Option<Sourced<Vec<SocketAddr>>>,
    pub(super) trust: Vec<Sourced<PathBuf>>,
    pub(super) until: Option<Sourced<Until>>,
    pub(super) fetch: Vec<Sourced<Fetch>>,
    /// Taken whole, from whichever text has it last: a list that grew by `extends` would leave more than it says.
    pub(super) phases: Option<FilePhases>,
    pub(super) environment: Vec<Sourced<EnvVar>>,
    pub(super) call_default: Option<Sourced<CallAction>>,
    pub(super) rules: Vec<Sourced<CallRule>>,
    pub(super) refuse_after_start: Vec<Sourced<CallRule>>,
    pub(super) limits: DraftLimits,
    pub(super) removals: Vec<Removal>,
    pub(super) rollout: Option<DraftRollout>,
}

/// A rollout as a text says it. It is not inherited: the policy that it introduces is that text's own.
#[derive(Debug, Clone)]
pub(super) struct DraftRollout {
    pub(super) enforce: Sourced<Share>,
    pub(super) old: Sourced<String>,
    /// Where `old` stands.
    pub(super) place: Place,
    pub(super) key: Sourced<KeyRule>,
    pub(super) file: Option<Sourced<PathBuf>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DraftFiles {
    pub(super) root: Option<Sourced<Root>>,
    pub(super) read: Vec<Sourced<Bind>>,
    pub(super) cow: Vec<Sourced<Cow>>,
    pub(super) devices: Vec<Sourced<Device>>,
    pub(super) proc: Option<Sourced<ProcView>>,
    pub(super) pts: Option<Sourced<bool>>,
    pub(super) shm: Option<Sourced<bool>>,
    pub(super) fonts: Option<Sourced<bool>>,
    pub(super) locale: Option<Sourced<String>>,
    pub(super) mode: Option<Sourced<FilesMode>>,
    pub(super) outside: Option<Sourced<Outside>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct DraftLimits {
    pub(super) wall: Option<Sourced<TimeLimit>>,
    pub(super) cpu: Option<Sourced<TimeLimit>>,
    pub(super) memory: Option<Sourced<MemoryLimit>>,
    pub(super) processes: Option<Sourced<ProcessLimit>>,
    pub(super) file_size: Option<Sourced<FileSizeLimit>>,
    pub(super) disk: Option<Sourced<DiskLimit>>,
    pub(super) output: Option<Sourced<OutputLimit>>,
    pub(super) open_files: Option<Sourced<OpenFilesLimit>>,
    pub(super) cpus: Option<Sourced<Cpus>>,
    pub(super) io_rate: Option<Sourced<IoRate>>,
    pub(super) net_connections: Option<Sourced<ConnectionLimit>>,
    pub(super) net_sent: Option<Sourced<TrafficLimit>>,
    pub(super) net_received: Option<Sourced<TrafficLimit>>,
    pub(super) net_time: Option<Sourced<TimeLimit>>,
}

/// One entry of `[remove]`: something to take out of the base.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    pub(super) list: List,
    /// A path, name or rule; `*` is all of the list.
    pub(super) what: String,
    pub(super) place: Place,
}

/// The lists of a policy that entries can be removed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Degrade,
    Require,
    Read,
    Cow,
    Devices,
    Environment,
    Rules(CallAction),
    AfterStart,
    Hosts,
    Fetch,
    Limits,
}

impl List {
    /// The keys of `[remove]`.
    pub(super) const KEYS: &[&'static str] = &[
        "degrade",
        "require",
        "read",
        "cow",
        "devices",
        "environment",
        "allow",
        "log",
        "trap",
        "kill",
        "refuse",
        "silent",
        "refuse-after-start",
        "net",
        "fetch",
        "limits",
    ];

    pub(super) fn from_key(key: &str) -> Option<Self> {
        match key {
            "degrade" => Some(Self::Degrade),
            "require" => Some(Self::Require),
            "read" => Some(Self::Read),
            "cow" => Some(Self::Cow),
            "devices" => Some(Self::Devices),
            "environment" => Some(Self::Environment),
            "refuse-after-start" => Some(Self::AfterStart),
            "net" => Some(Self::Hosts),
            "fetch" => Some(Self::Fetch),
            "limits" => Some(Self::Limits),
            _ => CallAction::ALL.iter().find(|action| action.name() == key).map(|action| Self::Rules(*action)),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Degrade => "degrade",
            Self::Require => "require",
            Self::Read => "read",
            Self::Cow => "cow",
            Self::Devices => "devices",
            Self::Environment => "environment",
            Self::Rules(action) => action.name(),
            Self::AfterStart => "refuse-after-start",
            Self::Hosts => "net",
            Self::Fetch => "fetch",
            Self::Limits => "limits",
        }
    }
}

impl DraftLimits {
    pub(super) fn set(&mut self, key: LimitKey, text: &str, source: Source) -> Result<(), QuantityError> {
        match key {
            LimitKey::Wall => self.wall = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Cpu => self.cpu = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Memory => self.memory = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Processes => self.processes = Some(Sourced::new(text.parse()?, source)),
            LimitKey::FileSize => self.file_size = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Disk => self.disk = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Output => self.output = Some(Sourced::new(text.parse()?, source)),
            LimitKey::OpenFiles => self.open_files = Some(Sourced::new(text.parse()?, source)),
            LimitKey::Cpus => self.cpus = Some(Sourced::new(text.parse()?, source)),
            LimitKey::IoRate => self.io_rate = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetConnections => self.net_connections = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetSent => self.net_sent = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetReceived => self.net_received = Some(Sourced::new(text.parse()?, source)),
            LimitKey::NetTime => self.net_time = Some(Sourced::new(text.parse()?, source)),
        }
        Ok(())
    }

    /// Makes an optional limit unbounded again. The others can be raised, not removed.
    fn remove(&mut self, what: &str) -> Result<(), Fault> {
        let (is_set, name) = match what {
            "cpus" => (self.cpus.take().is_some(), LimitKey::Cpus),
            "io-rate" => (self.io_rate.take().is_some(), LimitKey::IoRate),
            "net-connections" => (self.net_connections.take().is_some(), LimitKey::NetConnections),
            "net-sent" => (self.net_sent.take().is_some(), LimitKey::NetSent),
            "net-received" => (self.net_received.take().is_some(), LimitKey::NetReceived),
            "net-time" => (self.net_time.take().is_some(), LimitKey::NetTime),
            _ => {
                return Err(Fault::new(
                    format!("the limit `{what}` cannot be removed"),
                    "only `cpus`, `io-rate` and those of the network can be; raise the others under [limits]",
                ));
            }
        };
        if is_set { Ok(()) } else { Err(Fault::new(format!("the base has no limit `{name}`"), "drop this entry")) }
    }

    fn over(self, base: Self) -> Self {
        Self {
            wall: self.wall.or(base.wall),
            cpu: self.cpu.or(base.cpu),
            memory: self.memory.or(base.memory),
            processes: self.processes.or(base.processes),
            file_size: self.file_size.or(base.file_size),
            disk: self.disk.or(base.disk),
            output: self.output.or(base.output),
            open_files: self.open_files.or(base.open_files),
            cpus: self.cpus.or(base.cpus),
            io_rate: self.io_rate.or(base.io_rate),
            net_connections: self.net_connections.or(base.net_connections),
            net_sent: self.net_sent.or(base.net_sent),
            net_received: self.net_received.or(base.net_received),
            net_time: self.net_time.or(base.net_time),
        }
    }
}

impl Draft {
    /// This draft on top of `base`: what `[remove]` names is taken out of the base, scalars replace, lists append.
    pub(super) fn over(self, mut base: Self, problems: &mut Vec<Problem>) -> Self {
        for removal in &self.removals {
            if let Err(fault) = base.remove(removal) {
                problems.push(Problem::new(fault.message, fault.hint).at(removal.place.clone()));
            }
        }
        let Self {
            description,
            extends,
            tier,
            degrade,
            require,
            files,
            loopback,
            host_name,
            hosts,
            name_servers,
            trust,
            until,
            fetch,
            phases,
            environment,
            call_default,
            rules,
            refuse_after_start,
            limits,
            removals: _,
            rollout,
        } = self;
        let DraftFiles { root, read, cow, devices, proc, pts, shm, fonts, locale, mode, outside } = files;
        let mut all_rules = base.rules;
        all_rules.retain(|old| !rules.iter().any(|new| new.action == old.action && new.rule == old.rule));
        all_rules.extend(rules);
        Self {
            description: description.or(base.description),
            extends,
            tier: tier.or(base.tier),
            degrade: merged(base.degrade, degrade, |layer| *layer),
            require: merged(base.require, require, |layer| *layer),
            files: DraftFiles {
                root: root.or(base.files.root),
                read: merged(base.files.read, read, |bind| bind.guest.clone()),
                cow: merged(base.files.cow, cow, |cow| cow.guest.clone()),
                devices: merged(base.files.devices, devices, |device| device.path.clone()),
                proc: proc.or(base.files.proc),
                pts: pts.or(base.files.pts),
                shm: shm.or(base.files.shm),
                fonts: fonts.or(base.files.fonts),
                locale: locale.or(base.files.locale),
                mode: mode.or(base.files.mode),
                outside: outside.or(base.files.outside),
            },
            loopback: loopback.or(base.loopback),
            host_name: host_name.or(base.host_name),
            hosts: merged(base.hosts, hosts, |host| host.rule.clone()),
            name_servers: name_servers.or(base.name_servers),
            trust: merged(base.trust, trust, Clone::clone),
            until: until.or(base.until),
            fetch: merged(base.fetch, fetch, |fetch| fetch.to.clone()),
            phases: phases.or(base.phases),
            environment: merged(base.environment, environment, |variable| variable.name.clone()),
            call_default: call_default.or(base.call_default),
            rules: all_rules,
            refuse_after_start: merged(base.refuse_after_start, refuse_after_start, |rule| rule.rule.clone()),
            limits: limits.over(base.limits),
            removals: Vec::new(),
            rollout,
        }
    }

    fn remove(&mut self, removal: &Removal) -> Result<(), Fault> {
        let what = removal.what.as_str();
        let path = Path::new(what);
        match removal.list {
            List::Degrade => {
                take(&mut self.degrade, removal, |layer| layer.name().to_owned(), |layer| layer.name() == what)
            }
            List::Require => {
                take(&mut self.require, removal, |layer| layer.name().to_owned(), |layer| layer.name() == what)
            }
            List::Read => {
                take(&mut self.files.read, removal, |bind| bind.guest.display().to_string(), |bind| bind.guest == path)
            }
            List::Cow => {
                take(&mut self.files.cow, removal, |cow| cow.guest.display().to_string(), |cow| cow.guest == path)
            }
            List::Devices => {
                take(&mut self.files.devices, removal, |node| node.path.display().to_string(), |node| node.path == path)
            }
            List::Environment => {
                take(&mut self.environment, removal, |variable| variable.name.clone(), |variable| variable.name == what)
            }
            List::Rules(action) => {
                // Only the rules of that action can go; the others keep their places.
                let (mut these, mut others): (Vec<_>, Vec<_>) =
                    self.rules.drain(..).enumerate().partition(|(_, rule)| rule.action == action);
                let taken = take_indexed(&mut these, removal);
                others.extend(these);
                others.sort_by_key(|(index, _)| *index);
                self.rules = others.into_iter().map(|(_, rule)| rule).collect();
                taken
            }
            List::AfterStart => {
                take(&mut self.refuse_after_start, removal, |rule| rule.rule.clone(), |rule| rule.rule == what)
            }
            List::Hosts => take(&mut self.hosts, removal, |host| host.rule.clone(), |host| host.rule == what),
            List::Fetch => {
                take(&mut self.fetch, removal, |fetch| fetch.to.to_string(), |fetch| fetch.to.to_string() == what)
            }
            List::Limits => self.limits.remove(what),
        }
    }
}

/// The base's entries, those of the same key replaced, then the new ones.
fn merged<T: Clone, K: PartialEq>(
    mut base: Vec<Sourced<T>>,
    new: Vec<Sourced<T>>,
    key: impl Fn(&T) -> K,
) -> Vec<Sourced<T>> {
    for entry in new {
        match base.iter_mut().find(|old| key(&old.value) == key(&entry.value)) {
            Some(old) => *old = entry,
            None => base.push(entry),
        }
    }
    base
}

/// Takes out of `list` what `removal` names. Nothing there to take is a fault.
fn take<T>(
    list: &mut Vec<Sourced<T>>,
    removal: &Removal,
    name: impl Fn(&T) -> String,
    is_it: impl Fn(&T) -> bool,
) -> Result<(), Fault> {
    if removal.what == "*" {
        list.clear();
        return Ok(());
    }
    let before = list.len();
    let names: Vec<String> = list.iter().map(|entry| name(&entry.value)).collect();
    list.retain(|entry| !is_it(&entry.value));
    if list.len() < before { Ok(()) } else { Err(nothing_to_remove(removal, &names)) }
}

fn take_indexed(list: &mut Vec<(usize, Sourced<CallRule>)>, removal: &Removal) -> Result<(), Fault> {
    if removal.what == "*" {
        list.clear();
        return Ok(());
    }
    let before = list.len();
    let names: Vec<String> = list.iter().map(|(_, rule)| rule.rule.clone()).collect();
    list.retain(|(_, rule)| rule.rule != removal.what);
    if list.len() < before { Ok(()) } else { Err(nothing_to_remove(removal, &names)) }
}

fn nothing_to_remove(removal: &Removal, names: &[String]) -> Fault {
    let Removal { list, what, place: _ } = removal;
    let message = format!("the base has no `{what}` in `{}`", list.name());
    if names.is_empty() {
        return Fault::new(message, format!("its `{}` is empty: drop this entry", list.name()));
    }
    Fault::new(message, text::name_hint(what, names.iter().map(String::as_str)))
}
