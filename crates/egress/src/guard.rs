//! The last word on an address, right before it is connected to.

use crate::class::{Class, class, wrapped};
use crate::rule::Rule;
use std::net::{IpAddr, SocketAddr};

/// Decides on addresses.
///
/// A name that a rule permits may resolve to anything: to this host, to a neighbour, to the service that hands out this
/// machine's credentials. So every address is judged, whatever name it was found by, every time that it is connected to.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    own: Vec<IpAddr>,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is a metadata service's, or wraps one. No rule permits that.
    #[error("{address} is a metadata service's address, which no rule permits")]
    Metadata {
        /// The address.
        address: IpAddr,
    },
    /// It is not public, and no rule names its range and port.
    #[error("{address} is {}: only a rule that names the address or its range permits that", .class.describe())]
    NotPublic {
        /// The address.
        address: IpAddr,
        /// What it is instead.
        class: Class,
    },
    /// It is one of this host's own, and no rule names it.
    #[error("{address} is one of this host's own addresses: only a rule that names it permits that")]
    Own {
        /// The address.
        address: IpAddr,
    },
    /// It has a scope, which an address of the Internet has not.
    #[error("{address} is an address of one interface's")]
    Scope {
        /// The address.
        address: IpAddr,
    },
}

impl Guard {
    /// `own`: all addresses of this host's, as its interfaces have them.
    pub fn new(own: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { own: own.into_iter().map(|address| address.to_canonical()).collect() }
    }

    /// Decides on `address`, to which a permitted name resolved, or which the job asked for. Returns what to connect to: an
    /// IPv4-mapped address is the IPv4 address.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn decide(&self, address: SocketAddr, rules: &[Rule]) -> Result<SocketAddr, Refusal> {
        if let SocketAddr::V6(address) = address
            && address.scope_id() != 0
        {
            return Err(Refusal::Scope { address: IpAddr::V6(*address.ip()) });
        }
        let port = address.port();
        let ip =
            self.judge(address.ip(), |ip| rules.iter().any(|rule| rule.permits_address(ip, port) && rule.means(ip)))?;
        Ok(SocketAddr::new(ip, port))
    }

    /// Whether there is a port at which `address` could be connected to. What is not is not told to a job either.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn decide_on_ports(&self, address: IpAddr, rules: &[Rule]) -> Result<(), Refusal> {
        self.judge(address, |ip| rules.iter().any(|rule| rule.names_address(ip) && rule.means(ip))).map(drop)
    }

    /// The canonical form of `address`, if it is public or `names` says that a rule names it.
    fn judge(&self, address: IpAddr, names: impl Fn(IpAddr) -> bool) -> Result<IpAddr, Refusal> {
        let ip = address.to_canonical();
        let class = class(ip);
        if class == Class::Metadata {
            return Err(Refusal::Metadata { address: ip });
        }
        let is_open = |inner: IpAddr| crate::class(inner) == Class::Global && !self.own.contains(&inner);
        // One that wraps another has to be named by both.
        let is_named =
            names(ip) && wrapped(ip).into_iter().map(IpAddr::from).all(|inner| is_open(inner) || names(inner));
        let ends_at_own = self.own.contains(&ip) || wrapped(ip).iter().any(|inner| self.own.contains(&(*inner).into()));
        match (is_named, class) {
            (true, _) => Ok(ip),
            (false, _) if ends_at_own => Err(Refusal::Own { address: ip }),
            (false, Class::Global) => Ok(ip),
            (false, class) => Err(Refusal::NotPublic { address: ip, class }),
        }
    }
}

#[cfg(test)]
mod tests;
