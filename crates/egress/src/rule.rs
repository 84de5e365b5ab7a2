//! Rules on hosts and ports, as a policy has them.

use crate::class::{class, wrapped};
use crate::host::{Host, HostError, Name};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What a job may reach: `images.example.com:443`, `*.example.com:443`, `10.1.0.0/16:5432`, `[2001:db8::1]:8000-8010`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The host or hosts.
    pub target: Target,
    /// The port or ports.
    pub ports: Ports,
}

/// Whom a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A name.
    Name(Name),
    /// Every name below a name, however deep; not itself.
    Below(Name),
    /// Addresses: one or a range, by which alone such as are not public can be reached.
    Range(IpNet),
}

/// Ports, none of which is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(RangeInclusive<u16>);

/// Why a text is no rule, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct RuleError {
    /// What is wrong.
    pub problem: RuleProblem,
    /// The bytes of the text that it is about.
    pub span: std::ops::Range<usize>,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleProblem {
    /// There is no port.
    #[error("a rule names a port")]
    NoPort,
    /// The port is none.
    #[error("a port is a number from 1 to 65535, or two of them as in `8000-8010`")]
    Port,
    /// The host is none.
    #[error("{0}")]
    Host(HostError),
    /// A `*` elsewhere than as the whole first label.
    #[error("`*` stands for the whole beginning of a name: `*.example.com`")]
    Wildcard,
    /// A range of addresses that is none.
    #[error("a range of addresses is written as in `10.1.0.0/16`")]
    Range,
    /// A range whose address is not its first.
    #[error("the range begins at {0}")]
    HostBits(IpAddr),
    /// A URL in place of a host.
    #[error("a rule for every request names host and port, without a scheme or path")]
    Url,
}

impl Rule {
    /// Whether it is for this name and port.
    pub fn permits_name(&self, name: &Name, port: u16) -> bool {
        self.names(name) && self.ports.contain(port)
    }

    /// Whether it is for this name, at some port.
    pub fn names(&self, name: &Name) -> bool {
        match &self.target {
            Target::Name(own) => own == name,
            Target::Below(parent) => name.is_below(parent),
            Target::Range(_) => false,
        }
    }

    /// Whether it names this address and port itself.
    pub fn permits_address(&self, address: IpAddr, port: u16) -> bool {
        self.names_address(address) && self.ports.contain(port)
    }

    /// Whether it is about addresses of that kind, and not about so many that this is one of them: `10.0.0.0/8` means private
    /// addresses, `0.0.0.0/0` does not.
    pub fn means(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // What is wrapped is asked about by itself.
        let is_alike = |end: IpAddr| match wrapped(address).is_empty() {
            true => class(end) == class(address),
            false => !wrapped(end).is_empty(),
        };
        match &self.target {
            Target::Range(range) => is_alike(range.network()) && is_alike(range.broadcast()),
            Target::Name(_) | Target::Below(_) => false,
        }
    }

    /// Whether it names this address itself, at some port.
    pub fn names_address(&self, address: IpAddr) -> bool {
        match &self.target {
            Target::Range(range) => range.contains(&address.to_canonical()),
            Target::Name(_) | Target::Below(_) => false,
        }
    }
}

impl Ports {
    /// Whether `port` is one of them.
    pub fn contain(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error = |problem, span, hint| RuleError { problem, span, hint };
        if let Some(at) = text.find("://") {
            let rest = &text[at + 3..];
            let host = rest.split('/').next().unwrap_or(rest);
            let port = if text[..at].eq_ignore_ascii_case("http") { 80 } else { 443 };
            let hint = if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
            return Err(error(RuleProblem::Url, 0..text.len(), Some(format!("write `{hint}`"))));
        }
        let (host, ports) = split(text).ok_or_else(|| {
            let host = if is_bare_v6(text) { format!("[{text}]") } else { text.trim_end_matches(':').to_owned() };
            let host = if host.is_empty() { "api.example.com".to_owned() } else { host };
            error(RuleProblem::NoPort, 0..text.len(), Some(format!("write `{host}:443`")))
        })?;
        let behind = host.len() + 1..text.len();
        let ports = Ports::parse(ports).ok_or_else(|| error(RuleProblem::Port, behind, None))?;
        let target = target(host).map_err(|(problem, hint)| {
            let hint = hint.map(|host| format!("write `{host}:{ports}`"));
            error(problem, 0..host.len(), hint)
        })?;
        Ok(Self { target, ports })
    }
}

fn is_bare_v6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Host and ports. An IPv6 address without brackets leaves open where it ends.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, ports) = text.rsplit_once(':').filter(|(_, ports)| !ports.is_empty())?;
    let is_open = host.contains(':') && !host.contains([']', '/']);
    (!is_open).then_some((host, ports))
}

pub(crate) fn target(host: &str) -> Result<Target, (RuleProblem, Option<String>)> {
    if let Some((address, len)) = host.split_once('/') {
        let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address: IpAddr = plain.parse().map_err(|_none| (RuleProblem::Range, None))?;
        let len: u8 = len.parse().map_err(|_none| (RuleProblem::Range, None))?;
        let range = IpNet::new(address, len).map_err(|_long| (RuleProblem::Range, None))?;
        if range.trunc() != range {
            let first = range.trunc();
            return Err((RuleProblem::HostBits(first.addr()), Some(first.to_string())));
        }
        // One that maps IPv4 addresses is the range of those.
        return match address.to_canonical() {
            IpAddr::V4(inner) if address.is_ipv6() && len >= 96 => {
                IpNet::new(inner.into(), len - 96).map(Target::Range).map_err(|_long| (RuleProblem::Range, None))
            }
            _ => Ok(Target::Range(range)),
        };
    }
    if let Some(below) = host.strip_prefix("*.") {
        return match Host::parse(below) {
            Ok(Host::Name(name)) => Ok(Target::Below(name)),
            Ok(Host::Address(_)) => Err((RuleProblem::Wildcard, None)),
            Err(HostError::Character('*')) => Err((RuleProblem::Wildcard, None)),
            Err(e) => Err((RuleProblem::Host(e), None)),
        };
    }
    match Host::parse(host) {
        Ok(Host::Name(name)) => Ok(Target::Name(name)),
        Ok(Host::Address(address)) => Ok(Target::Range(IpNet::from(address))),
        Err(HostError::Character('*')) => Err((RuleProblem::Wildcard, None)),
        Err(e) => Err((RuleProblem::Host(e), None)),
    }
}

impl Ports {
    /// `port` alone.
    pub fn one(port: u16) -> Self {
        Self(port..=port)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Not `+80`, which is a number to Rust.
        let number = |text: &str| -> Option<u16> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|port| digits && *port != 0)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(Self(first..=last))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Range(IpNet::V4(range)) if range.prefix_len() == 32 => range.addr().fmt(f),
            Self::Range(IpNet::V6(range)) if range.prefix_len() == 128 => write!(f, "[{}]", range.addr()),
            Self::Range(range) => range.fmt(f),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target, self.ports)
    }
}

#[cfg(test)]
mod tests;
