//! Tier, layers, network, environment, limits.

use super::{Area, Change, Kind, Risk};
use lazaret_policy::{EnvValue, Layer, LimitKey, Limits, Policy, Tier};
use std::cmp::Ordering;
use std::collections::BTreeSet;

pub(super) fn changes(before: &Policy, after: &Policy) -> Vec<Change> {
    let mut changes = Vec::new();
    changes.extend(tier(before.tier.value, after.tier.value));
    changes.extend(layers(before, after));
    changes.extend(network(before, after));
    changes.extend(environment(before, after));
    changes.extend(LimitKey::ALL.iter().filter_map(|key| limit(&before.limits, &after.limits, *key)));
    changes
}

fn tier(before: Tier, after: Tier) -> Option<Change> {
    let (kind, risk, why) = match (before, after) {
        (Tier::Jail, Tier::Seccomp) => (
            Kind::Widened,
            Risk::High,
            "no namespaces: other processes and the network are only held off by the filter",
        ),
        (Tier::Seccomp, Tier::Jail) => (Kind::Narrowed, Risk::None, ""),
        (Tier::Jail, Tier::Jail) | (Tier::Seccomp, Tier::Seccomp) => return None,
    };
    Some(change(Area::Tier, kind, risk, "tier", before.name(), after.name(), why))
}

fn layers(before: &Policy, after: &Policy) -> impl Iterator<Item = Change> {
    Layer::ALL.iter().filter_map(|layer| {
        let (kind, risk) = match (before.degrades(*layer).is_some(), after.degrades(*layer).is_some()) {
            (false, true) => (Kind::Widened, Risk::Medium),
            (true, false) => (Kind::Narrowed, Risk::None),
            _ => return None,
        };
        let word = |may| if may { "may be missing" } else { "required" };
        let (old, new) = (word(before.degrades(*layer).is_some()), word(after.degrades(*layer).is_some()));
        let why = if risk == Risk::None {
            String::new()
        } else {
            format!("where it is missing it does not hold that {}", layer.summary())
        };
        Some(change(Area::Layer, kind, risk, layer.name(), old, new, &why))
    })
}

fn network(before: &Policy, after: &Policy) -> Vec<Change> {
    let mut changes = Vec::new();
    let (old, new) = (before.network.loopback.value, after.network.loopback.value);
    if old != new {
        let (kind, risk, why) = if new {
            (
                Kind::Added,
                Risk::Low,
                "the job's processes can talk to each other by TCP and UDP; Landlock's TCP rules are left out",
            )
        } else {
            (Kind::Removed, Risk::None, "")
        };
        changes.push(change(Area::Network, kind, risk, "loopback", &old.to_string(), &new.to_string(), why));
    }
    let (old, new) = (&before.network.host_name.value, &after.network.host_name.value);
    if old != new {
        changes.push(change(Area::Network, Kind::Changed, Risk::None, "host name", old, new, ""));
    }
    changes.extend(outside(before, after));
    changes
}

/// What is reached outside, by the job or for it.
fn outside(before: &Policy, after: &Policy) -> Vec<Change> {
    let hosts = |policy: &Policy| policy.network.allow.iter().map(|host| host.rule.clone()).collect::<BTreeSet<_>>();
    let fetched = |policy: &Policy| {
        let text = |fetch: &lazaret_policy::Fetch| {
            let allow = if fetch.allow.is_empty() { String::new() } else { format!(", by {}", fetch.allow.join(", ")) };
            format!("{} from {}, {} at most{allow}", fetch.to, fetch.url, fetch.max_bytes)
        };
        policy.fetch.iter().map(|fetch| text(fetch)).collect::<BTreeSet<_>>()
    };
    let trust = |policy: &Policy| {
        policy.network.trust.iter().map(|path| path.value.display().to_string()).collect::<BTreeSet<_>>()
    };
    let mut changes = Vec::new();
    for (name, old, new, risk, why) in [
        ("allow", hosts(before), hosts(after), Risk::High, "the job can send there what it holds"),
        ("fetch", fetched(before), fetched(after), Risk::Medium, "what is there reaches the job"),
        ("trust", trust(before), trust(after), Risk::Medium, "who has its key can stand for any host"),
    ] {
        changes.extend(new.difference(&old).map(|new| change(Area::Network, Kind::Added, risk, name, "", new, why)));
        let gone = old.difference(&new);
        changes.extend(gone.map(|old| change(Area::Network, Kind::Removed, Risk::None, name, old, "", "")));
    }
    let until = |policy: &Policy| policy.network.until.as_ref().map_or("the job's end", |until| until.value.name());
    if until(before) != until(after) {
        let (kind, risk, why) = match after.network.until {
            None => (Kind::Widened, Risk::Medium, "the job has its network while it reads what it was given"),
            Some(_) => (Kind::Narrowed, Risk::None, ""),
        };
        changes.push(change(Area::Network, kind, risk, "until", until(before), until(after), why));
    }
    let servers = |policy: &Policy| {
        let texts = policy.network.name_servers.iter().flat_map(|servers| &servers.value).map(ToString::to_string);
        let texts: Vec<String> = texts.collect();
        if texts.is_empty() { "the host's".to_owned() } else { texts.join(", ") }
    };
    if servers(before) != servers(after) {
        let why = "they say where permitted names are";
        let (old, new) = (servers(before), servers(after));
        changes.push(change(Area::Network, Kind::Changed, Risk::Low, "name servers", &old, &new, why));
    }
    changes
}

fn environment(before: &Policy, after: &Policy) -> Vec<Change> {
    let names: BTreeSet<_> =
        before.environment.iter().chain(&after.environment).map(|variable| &variable.name).collect();
    let of = |policy: &Policy, name: &str| {
        policy.environment.iter().find(|variable| variable.name == name).map(|variable| variable.value.value.clone())
    };
    let shown = |value: &Option<EnvValue>| match value {
        None => "unset".to_owned(),
        Some(EnvValue::Set(text)) => format!("{text:?}"),
        Some(EnvValue::FromCaller) => "the caller's".to_owned(),
    };
    let mut changes = Vec::new();
    for name in names {
        let (old, new) = (of(before, name), of(after, name));
        let leads = name.starts_with("LD_") || name == "PATH";
        let kind = match (&old, &new) {
            _ if old == new => continue,
            // Other programs and libraries: neither more nor less can be said of it.
            (Some(_), Some(_)) if leads => Kind::Moved,
            (None, Some(_)) => Kind::Added,
            (Some(_), None) => Kind::Removed,
            (_, Some(EnvValue::FromCaller)) => Kind::Widened,
            _ => Kind::Changed,
        };
        let (risk, why) = match &new {
            None => (Risk::None, ""),
            Some(EnvValue::FromCaller) => (Risk::Medium, "what the caller has there reaches the job"),
            Some(EnvValue::Set(_)) if leads => (Risk::Medium, "it decides which programs and libraries are run"),
            Some(EnvValue::Set(_)) => (Risk::Low, "a fixed value"),
        };
        changes.push(change(Area::Environment, kind, risk, name, &shown(&old), &shown(&new), why));
    }
    changes
}

/// A limit as a number; none is the largest.
fn size(limits: &Limits, key: LimitKey) -> u128 {
    match key {
        LimitKey::Wall => limits.wall.duration().as_nanos(),
        LimitKey::Cpu => limits.cpu.duration().as_nanos(),
        LimitKey::Memory => limits.memory.bytes().into(),
        LimitKey::Processes => limits.processes.get().into(),
        LimitKey::FileSize => limits.file_size.bytes().into(),
        LimitKey::Disk => limits.disk.bytes().into(),
        LimitKey::Output => limits.output.bytes().into(),
        LimitKey::OpenFiles => limits.open_files.get().into(),
        LimitKey::Cpus => limits.cpus.as_ref().map_or(u128::MAX, |cpus| cpus.millis().into()),
        LimitKey::IoRate => limits.io_rate.as_ref().map_or(u128::MAX, |rate| rate.bytes().into()),
        LimitKey::NetConnections => limits.net_connections.as_ref().map_or(u128::MAX, |limit| limit.get().into()),
        LimitKey::NetSent => limits.net_sent.as_ref().map_or(u128::MAX, |limit| limit.bytes().into()),
        LimitKey::NetReceived => limits.net_received.as_ref().map_or(u128::MAX, |limit| limit.bytes().into()),
        LimitKey::NetTime => limits.net_time.as_ref().map_or(u128::MAX, |limit| limit.duration().as_nanos()),
    }
}

fn limit(before: &Limits, after: &Limits, key: LimitKey) -> Option<Change> {
    let (kind, risk) = match size(before, key).cmp(&size(after, key)) {
        Ordering::Equal => return None,
        Ordering::Less if size(after, key) == u128::MAX => (Kind::Widened, Risk::Medium),
        Ordering::Less => (Kind::Widened, Risk::Low),
        Ordering::Greater => (Kind::Narrowed, Risk::None),
    };
    let why = if risk == Risk::None { String::new() } else { format!("more {}", key.summary()) };
    Some(change(Area::Limit, kind, risk, key.name(), &before.get_display(key), &after.get_display(key), &why))
}

pub(super) fn change(area: Area, kind: Kind, risk: Risk, what: &str, before: &str, after: &str, why: &str) -> Change {
    Change {
        risk,
        kind,
        area,
        what: what.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        why: why.to_owned(),
    }
}
